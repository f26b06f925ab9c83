//! What a listener shows clients and asks of them, from the files that its settings name: all of it, or the reason why not.

use super::StartError;
use super::reload::load_certificates;
use crate::clock;
use crate::edge::client_authorities::{ClientAuthorities, ClientAuthoritiesError};
use crate::edge::tickets::{SECRET_SECONDS_MAX, TicketFileError, TicketSecrets};
use crate::edge::tls::Offer;
use crate::policy;

/// Why a listener's further TLS cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    #[error(transparent)]
    Clients(#[from] ClientAuthoritiesError),
    #[error(transparent)]
    Tickets(#[from] TicketFileError),
}

/// Reads certificates, authorities of clients, and the secrets of tickets.
pub(super) fn load_offer(settings: &policy::Listener) -> Result<Offer, StartError> {
    let certificates = load_certificates(settings)?;
    let failed = |source| StartError::Offer { name: settings.name.clone(), source };
    let clients = ClientAuthorities::load(&settings.tls.client_certificates).map_err(|error| failed(error.into()))?;
    let tickets = match &settings.tls.tickets {
        Some(path) => {
            let secrets = TicketSecrets::load(path).map_err(|error| failed(error.into()))?;
            if secrets.age_seconds(clock::now_seconds()) > SECRET_SECONDS_MAX {
                let (file, days) = (path.display(), SECRET_SECONDS_MAX / (24 * 60 * 60));
                tracing::warn!(%file, "the first secret for session tickets is older than {days} days: put a new one above it");
            }
            Some(secrets)
        }
        None => None,
    };
    Ok(Offer { listener: settings.name.clone(), certificates, clients, tickets })
}
