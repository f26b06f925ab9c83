//! The way of a webhook: no envelope and no judgement, but a signature over all of it.
//!
//! It needs no socket: a rehearsal walks the same way.

use bytes::Bytes;
use http::header::CONTENT_ENCODING;

use super::judgement::{Judgement, Witness};
use crate::clock::UnixSeconds;
use crate::edge::origin::RequestOrigin;
use crate::envelope::EnvelopeError;
use crate::epoch::Tenant;
use crate::identity::{PresentedSignature, UsedUp, VerifiedWebhook};
use crate::profile::WebhookSignature;
use crate::rejection::Rejection;
use crate::state::Store;

/// A webhook whose head is as it must be; its body is still to be read.
pub struct ArrivedWebhook<'j> {
    pub tenant: &'j Tenant,
    presented: PresentedSignature,
}

/// What stands in the record as the finding about a webhook's signature.
pub const WEBHOOK_VALID: &str = "webhook_valid";

impl<'j> ArrivedWebhook<'j> {
    /// Looks at all that is known before the body: whose it is, that no browser sends it, and that there is a signature.
    ///
    /// # Errors
    ///
    /// The first of these that is not so.
    pub fn find(
        judgement: &Judgement<'j>,
        origin: &RequestOrigin,
        signature: &WebhookSignature,
    ) -> Result<Self, Rejection> {
        let tenant = judgement.named_alone(origin)?;
        let headers = &judgement.parts.headers;
        // What was signed is what is on the wire, and two servers may undo a coding differently.
        if headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Rejection::Envelope(EnvelopeError::Coding));
        }
        Ok(Self { tenant, presented: PresentedSignature::read(signature, headers)? })
    }

    /// Verifies the body, and uses the webhook up where it counts once. Whose signature it is the witness hears also of one that is refused for
    /// something else.
    ///
    /// # Errors
    ///
    /// It was not the vendor who sent it, or not now, or not for the first time.
    pub async fn verify(
        self,
        judgement: &Judgement<'j>,
        body: Bytes,
        now: UnixSeconds,
        state: &dyn Store,
        witness: &mut impl Witness,
    ) -> Result<(VerifiedWebhook, UsedUp), Rejection> {
        let tenant = self.tenant;
        let signed = match tenant.webhooks.verify(&self.presented, body, now) {
            Ok(signed) => signed,
            Err(error) => {
                witness.webhook(tenant, None, Err(error));
                return Err(error.into());
            }
        };
        let (key_id, on_failure) = (signed.key_id(), judgement.epoch.gateway.state.on_failure);
        let admitted = signed.admit(&tenant.workspace.id, state, on_failure, now).await;
        witness.webhook(tenant, Some(key_id), admitted.as_ref().map(|_| ()).map_err(|error| *error));
        Ok(admitted?)
    }
}
