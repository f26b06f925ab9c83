//! Ordered certificates (ACME) in the hands of the listeners: loaded like those that operators bring, but never a reason to refuse.
//!
//! One that is not there yet, or broken, keeps nobody from starting and no policy from coming into force: what was shown stays, and the
//! listener shows the others until it comes.

use super::StartError;
use super::offer::{follow_certificates, load_offer};
use super::reload::{Reloader, tell_in_force};
use crate::clock;
use crate::edge::certificates::{Certificate, CertificateError, Certificates};
use crate::policy;

/// All certificates of a listener that can be shown. `shown`: what it shows until now.
pub(super) fn load(
    settings: &policy::Listener,
    shown: Option<&Certificates>,
) -> Result<Certificates, Vec<CertificateError>> {
    let now = clock::now_seconds();
    if settings.ordered.is_empty() {
        return Certificates::load(&settings.certificates, now);
    }
    let (mut sources, mut kept): (_, Vec<Certificate>) = (Vec::new(), Vec::new());
    for source in &settings.certificates {
        let order = settings.ordered.iter().find(|order| order.file == source.certificate);
        match order {
            Some(order) if Certificate::load(source, now).is_err() => {
                // Also one that came from elsewhere: a listener that begins to order, or orders of another authority, shows what it has
                // until there is another.
                let speaks = |shown: &&Certificate| order.names.iter().any(|name| shown.names().cover(name));
                kept.extend(shown.into_iter().flat_map(Certificates::iter).filter(speaks).cloned());
            }
            Some(_) | None => sources.push(source.clone()),
        }
    }
    let mut certificates: Vec<Certificate> = Vec::new();
    if !sources.is_empty() {
        certificates.extend(Certificates::load(&sources, now)?.iter().cloned());
    }
    for kept in kept {
        if !certificates.iter().any(|other| other.source() == kept.source()) {
            certificates.push(kept);
        }
    }
    Ok(Certificates::new(certificates).unwrap_or_else(|_| Certificates::awaited()))
}

impl Reloader {
    /// Shows a certificate that was issued, also while the policy files are broken.
    pub(super) fn show_issued(&self) {
        let epoch = self.epochs.current();
        for (name, tls) in &self.shown {
            let settings = epoch.gateway.listener(name).filter(|listener| !listener.ordered.is_empty());
            let Some(settings) = settings else { continue };
            let offer = load_offer(settings, Some(&tls.certificates()), &epoch.gateway);
            let replaced = offer.and_then(|offer| {
                tls.replace(offer).map_err(|source| StartError::Tls { name: name.to_string(), source })
            });
            if let Err(error) = replaced {
                tracing::error!(%error, "the certificates of before stay");
            }
        }
        follow_certificates(&self.stapler, &epoch, &self.shown);
        tell_in_force(&self.state, &epoch, &self.shown);
    }
}
