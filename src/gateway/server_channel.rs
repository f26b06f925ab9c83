//! The server channel: requests of a workspace's own servers, known by the client certificate that they show.
//!
//! A certificate speaks for a server only where no page does: a browser that has one shows it for every page that asks it to.

use http::HeaderMap;

use crate::decision::{Additions, Channel};
use crate::edge::origin::RequestOrigin;
use crate::edge::{ClientCertificate, ClientCertificateRefusal};
use crate::epoch::Tenant;
use crate::identity::IdentityError;
use crate::policy::ServerLocks;
use crate::profile::Class;
use crate::rejection::Rejection;

/// Who sent a request, as far as a certificate tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// A page, an application, anybody.
    Anybody,
    /// One of the workspace's own servers.
    OwnServer,
    /// One of them, and what it writes needs no token.
    TrustedServer,
}

/// What browsers send with every request, also where they name no origin (Fetch Metadata §2).
const SENT_BY_BROWSERS: &str = "sec-fetch-site";

impl Caller {
    /// Who sent this, to `tenant`.
    pub(super) fn of(
        client: Option<&ClientCertificate>,
        origin: &RequestOrigin,
        headers: &HeaderMap,
        tenant: &Tenant,
    ) -> Self {
        let server = &tenant.workspace.server;
        let from_page = *origin != RequestOrigin::Missing || headers.contains_key(SENT_BY_BROWSERS);
        match (client, server.locks) {
            (Some(client), _) if from_page || !client.is_one_of(&server.client_certificates) => Self::Anybody,
            (Some(_), ServerLocks::Hold) => Self::OwnServer,
            (Some(_), ServerLocks::Lift) => Self::TrustedServer,
            (None, _) => Self::Anybody,
        }
    }

    /// Whether it may call an operation for servers.
    ///
    /// # Errors
    ///
    /// The workspace names its servers, and this is none of them.
    pub(super) fn admit_to_server_api(
        self,
        client: Option<&ClientCertificate>,
        tenant: &Tenant,
    ) -> Result<(), ClientCertificateRefusal> {
        match (self, client) {
            (Self::OwnServer | Self::TrustedServer, _) => Ok(()),
            (Self::Anybody, _) if tenant.workspace.server.client_certificates.is_empty() => Ok(()),
            (Self::Anybody, None) => Err(ClientCertificateRefusal::Missing),
            (Self::Anybody, Some(_)) => Err(ClientCertificateRefusal::Unlisted),
        }
    }

    /// The channel of an operation that is opened, and whether its document takes what only the token has. `additions` is asked where it may.
    pub(super) fn channel(self, class: Class, otherwise: Channel, additions: Additions) -> (Channel, Additions) {
        match (self, class) {
            (Self::TrustedServer, Class::Update | Class::Identify) => (Channel::Server, additions),
            (Self::TrustedServer, Class::Event | Class::Delete) => (Channel::Server, Additions::Unwelcome),
            (
                Self::TrustedServer,
                Class::Collect | Class::SessionEnd | Class::Telemetry | Class::Pass | Class::ServerApi | Class::Webhook,
            )
            | (Self::Anybody | Self::OwnServer, _) => (otherwise, additions),
        }
    }

    /// What is left of an objection to a request's identity: whoever is known by a certificate need not prove a user's.
    pub(super) fn excuse(self, class: Class, objection: Option<Rejection>) -> Option<Rejection> {
        let on_channel = matches!(self.channel(class, Channel::Messenger, Additions::Unwelcome), (Channel::Server, _));
        objection.filter(|rejection| !(on_channel && matches!(rejection, Rejection::Identity(IdentityError::Missing))))
    }
}
