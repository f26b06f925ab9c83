//! What a listener shows clients and asks of them, from the files that its settings name: all of it, or the reason why not.

use std::sync::Arc;

use super::reload::load_certificates;
use super::{StartError, grades};
use crate::clock;
use crate::edge::certificates::Certificates;
use crate::edge::client_authorities::{ClientAuthorities, ClientAuthoritiesError};
use crate::edge::tickets::{SECRET_SECONDS_MAX, TicketFileError, TicketSecrets};
use crate::edge::tls::{Offer, ReloadableTls};
use crate::epoch::Epoch;
use crate::policy::{self, Ocsp};
use crate::stapling::{Shown, Stapler};

/// Why a listener's further TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    #[error(transparent)]
    Clients(#[from] ClientAuthoritiesError),
    #[error(transparent)]
    Tickets(#[from] TicketFileError),
}

/// Reads certificates, authorities of clients, and the secrets of tickets, and asks whether that is good enough for `gateway`. `shown`: what
/// the listener shows until now.
pub(super) fn load_offer(
    settings: &policy::Listener,
    shown: Option<&Certificates>,
    gateway: &policy::Gateway,
) -> Result<Offer, StartError> {
    let certificates = load_certificates(settings, shown)?;
    grades::admit(&settings.name, &certificates, gateway)?;
    for certificate in certificates.iter().filter(|certificate| certificate.ends() < clock::now_seconds()) {
        let (listener, file) = (&settings.name, certificate.source().display());
        tracing::error!(listener, %file, "certificate_ended: clients refuse it; it is shown until its files are others");
    }
    let failed = |source| StartError::Offer { name: settings.name.clone(), source };
    let now = clock::now_seconds();
    let clients =
        ClientAuthorities::load(&settings.tls.client_certificates, now).map_err(|error| failed(error.into()))?;
    for remark in clients.remarks() {
        tracing::warn!(listener = settings.name, "client_certificates: {remark}");
    }
    let tickets = match &settings.tls.tickets {
        Some(path) => {
            let secrets = TicketSecrets::load(path).map_err(|error| failed(error.into()))?;
            if secrets.age_seconds(now) > SECRET_SECONDS_MAX {
                let (file, days) = (path.display(), SECRET_SECONDS_MAX / (24 * 60 * 60));
                tracing::warn!(%file, "the first secret for session tickets is older than {days} days: put a new one above it");
            }
            Some(secrets)
        }
        None => None,
    };
    Ok(Offer { listener: settings.name.clone(), certificates, clients, tickets })
}

/// Has the issuers asked of the certificates that are shown, but where a listener wants none of it.
pub(super) fn follow_certificates(stapler: &Stapler, epoch: &Epoch, shown: &[(Arc<str>, Arc<ReloadableTls>)]) {
    let wants = |name: &str| {
        let settings = epoch.gateway.listener(name);
        settings.is_some_and(|listener| listener.tls.ocsp == Ocsp::On)
    };
    let wanted = shown.iter().filter(|(name, _)| wants(name)).flat_map(|(name, tls)| {
        let certificates = tls.certificates();
        let shown = certificates.iter().map(|certificate| Shown {
            name: format!("{name}: {}", certificate.source().display()),
            certificate: certificate.clone(),
        });
        shown.collect::<Vec<_>>()
    });
    stapler.follow(wanted.collect());
}
