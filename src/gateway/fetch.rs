//! The second look at where a request comes from: what its browser says by itself, against what the operation is.

use http::Method;

use super::Judgement;
use crate::edge::fetch_metadata::{FetchMetadata, Preflighted, Purpose, is_of_browser};
use crate::edge::origin::RequestOrigin;
use crate::epoch::Tenant;
use crate::policy::FetchMetadataRule;
use crate::profile::{Body, Class, Upgrade};
use crate::rejection::Rejection;
use crate::upstream::Handshake;

impl Judgement<'_> {
    /// Refuses what the browser's own words speak against, where each of `tenants` would: whose request it is may not be known yet.
    ///
    /// # Errors
    ///
    /// What speaks against it.
    pub(super) fn admit_fetch(&self, origin: &RequestOrigin, tenants: &[&Tenant]) -> Result<(), Rejection> {
        if tenants.iter().all(|tenant| tenant.workspace.fetch_metadata == FetchMetadataRule::Enforce) {
            self.objection(origin).map_or(Ok(()), Err)
        } else {
            Ok(())
        }
    }

    /// Why the request would be refused, were the tenant not only watching.
    #[must_use]
    pub fn fetch_observed(&self, origin: &RequestOrigin, tenant: &Tenant) -> Option<&'static str> {
        match tenant.workspace.fetch_metadata {
            FetchMetadataRule::Observe => self.objection(origin).map(|rejection| rejection.code()),
            FetchMetadataRule::Enforce | FetchMetadataRule::Off => None,
        }
    }

    fn objection(&self, origin: &RequestOrigin) -> Option<Rejection> {
        let headers = &self.parts.headers;
        let Some(purpose) = self.purpose() else {
            return is_of_browser(headers).then_some(Rejection::ServerOnly);
        };
        let said = FetchMetadata::read(headers);
        said.and_then(|said| said.admit(purpose, origin, self.head)).err().map(Rejection::from)
    }

    /// `None`: no browser has any business there.
    fn purpose(&self) -> Option<Purpose> {
        let operation = self.route.operation;
        match operation.class {
            Class::ServerApi | Class::Webhook => return None,
            Class::Pass if self.parts.method.is_safe() && self.parts.method != Method::OPTIONS => {
                let is_handshake =
                    operation.upgrade == Upgrade::WebSocket && Handshake::is_asked_for(&self.parts.headers);
                return Some(if is_handshake { Purpose::WebSocket } else { Purpose::Load });
            }
            Class::Pass
            | Class::Update
            | Class::Event
            | Class::Collect
            | Class::Delete
            | Class::Identify
            | Class::SessionEnd
            | Class::Telemetry => {}
        }
        Some(match (&self.parts.method, operation.body) {
            (&Method::OPTIONS, _) => Purpose::Preflight,
            // What a form or a beacon may send without a question; JSON, and other methods, it may not.
            (&Method::POST, Body::Form | Body::Stream | Body::None) => Purpose::Call(Preflighted::Perhaps),
            (_, Body::Json | Body::Form | Body::Stream | Body::None) => Purpose::Call(Preflighted::Always),
        })
    }
}
