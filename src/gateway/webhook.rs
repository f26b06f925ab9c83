//! The way of a webhook: no envelope and no judgement, but a signature over all of it.
//!
//! It needs no socket: a rehearsal walks the same way.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::judgement::{Judgement, Witness};
use crate::clock::UnixSeconds;
use crate::edge::origin::RequestOrigin;
use crate::envelope::EnvelopeError;
use crate::epoch::Tenant;
use crate::identity::{PresentedSignature, UsedUp, VerifiedWebhook};
use crate::observe::WorkspaceMetrics;
use crate::profile::WebhookSignature;
use crate::rejection::Rejection;
use crate::state::{StateError, Store};

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
        witness: &mut impl Witness,
    ) -> Result<Self, Rejection> {
        let tenant = judgement.named_alone(origin, witness)?;
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

/// A webhook that was used up for a backend that has not taken it yet. Unless it does, it is given back: also where its vendor goes away
/// meanwhile, and the request with it.
pub(super) struct Untaken {
    used: Option<UsedUp>,
    state: Arc<dyn Store>,
    /// What outlives a request.
    tasks: TaskTracker,
    metrics: Arc<WorkspaceMetrics>,
    workspace: String,
    request: Uuid,
}

impl Untaken {
    pub(super) fn new(
        used: UsedUp,
        state: &Arc<dyn Store>,
        tasks: &TaskTracker,
        tenant: &Tenant,
        request: Uuid,
    ) -> Self {
        Self {
            used: Some(used),
            state: Arc::clone(state),
            tasks: tasks.clone(),
            metrics: Arc::clone(&tenant.metrics),
            workspace: tenant.workspace.id.clone(),
            request,
        }
    }

    /// The backend has it.
    pub(super) fn taken(mut self) {
        self.used = None;
    }

    /// The backend does not. Its vendor is told so only when it may send it again.
    pub(super) async fn give_back(mut self) {
        if let Some(task) = self.begin_to_give_back() {
            // One that panicked has given nothing back, and the panic was told of.
            drop(task.await);
        }
    }

    /// In a task of its own: nobody waits where the request is dropped.
    fn begin_to_give_back(&mut self) -> Option<JoinHandle<()>> {
        // Without a runtime the process is at its end.
        let (used, runtime) = (self.used.take()?, Handle::try_current().ok()?);
        let (state, metrics) = (Arc::clone(&self.state), Arc::clone(&self.metrics));
        let (workspace, request) = (std::mem::take(&mut self.workspace), self.request);
        let giving_back = async move {
            if let Err(error) = used.give_back(&*state).await {
                tell_state_failed(&metrics, &workspace, request, error);
            }
        };
        Some(self.tasks.spawn_on(giving_back, &runtime))
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        drop(self.begin_to_give_back());
    }
}

/// The state had no answer: counted, and said as often as somebody can read.
pub(super) fn tell_state_failed(metrics: &WorkspaceMetrics, workspace: &str, request: Uuid, error: StateError) {
    let Some(unsaid) = metrics.state_failed(Instant::now()) else { return };
    tracing::error!(workspace, %error, id = %request, unsaid, "state_failed");
}
