//! Ordered certificates (ACME) in the hands of the listeners: loaded like those that operators bring, but never a reason to refuse.
//!
//! One that is not there yet, or broken, keeps nobody from starting and no policy from coming into force: what was shown stays, and the
//! listener shows the others until it comes.

use super::offer::follow_certificates;
use super::reload::{Reloader, tell_in_force};
use super::{StartError, grades};
use crate::clock::{self, UnixSeconds};
use crate::edge::certificates::{Certificate, CertificateError, Certificates};
use crate::policy::{self, CertificateSource};

/// All certificates of a listener that can be shown. `shown`: what it shows until now.
pub(super) fn load(
    settings: &policy::Listener,
    shown: Option<&Certificates>,
) -> Result<Certificates, Vec<CertificateError>> {
    let now = clock::now_seconds();
    let mut mistakes = Vec::new();
    let of_operators = |source: &CertificateSource| {
        let loaded = match shown {
            Some(shown) => Certificate::load_again(source, shown, now),
            None => Certificate::load(source, now),
        };
        match loaded {
            Ok(certificate) => Some(certificate),
            Err(mistake) => {
                mistakes.push(mistake);
                None
            }
        }
    };
    let certificates = assemble(settings, shown, now, of_operators);
    if settings.ordered.is_empty() && certificates.is_awaited() && mistakes.is_empty() {
        mistakes.push(CertificateError::None);
    }
    if mistakes.is_empty() { Ok(certificates) } else { Err(mistakes) }
}

/// What is on disk of those that were ordered, and all others as they are shown: their files are not looked at.
fn with_issued(settings: &policy::Listener, shown: &Certificates) -> Certificates {
    assemble(settings, Some(shown), clock::now_seconds(), |source| {
        shown.iter().find(|shown| shown.source() == source.certificate).cloned()
    })
}

/// Those of operators from wherever `of_operators` has them, those that were ordered from disk.
fn assemble(
    settings: &policy::Listener,
    shown: Option<&Certificates>,
    now: UnixSeconds,
    mut of_operators: impl FnMut(&CertificateSource) -> Option<Certificate>,
) -> Certificates {
    let (mut certificates, mut kept): (Vec<Certificate>, Vec<Certificate>) = (Vec::new(), Vec::new());
    for source in &settings.certificates {
        let Some(order) = settings.ordered.iter().find(|order| order.file == source.certificate) else {
            certificates.extend(of_operators(source));
            continue;
        };
        if let Ok(certificate) = Certificate::load(source, now) {
            certificates.push(certificate);
        } else {
            // Why not, whoever orders it tells. What is kept may have come from elsewhere: a listener that begins to order, or orders of
            // another authority, shows what it has until there is another.
            let speaks = |shown: &&Certificate| order.names.iter().any(|name| shown.names().cover(name));
            kept.extend(shown.into_iter().flat_map(Certificates::iter).filter(speaks).cloned());
        }
    }
    for kept in kept {
        if !certificates.iter().any(|other| other.source() == kept.source()) {
            certificates.push(kept);
        }
    }
    Certificates::new(certificates).unwrap_or_else(|_| Certificates::awaited())
}

impl Reloader {
    /// Shows a certificate that was issued, also while the policy files, or files that they name, are broken.
    pub(super) fn show_issued(&self) {
        let epoch = self.epochs.current();
        for (name, tls) in &self.shown {
            let settings = epoch.gateway.listener(name).filter(|listener| !listener.ordered.is_empty());
            let Some(settings) = settings else { continue };
            let certificates = with_issued(settings, &tls.certificates());
            let replaced = grades::admit(name, &certificates, &epoch.gateway).and_then(|()| {
                tls.show(certificates).map_err(|source| StartError::Tls { name: name.to_string(), source })
            });
            if let Err(error) = replaced {
                tracing::error!(%error, "the certificates of before stay");
            }
        }
        follow_certificates(&self.stapler, &epoch, &self.shown);
        tell_in_force(&self.state, &epoch, &self.shown);
    }
}
