//! What the record, the metrics and the answer have to know of a request's way.

use std::sync::Arc;
use std::time::Instant;

use super::{Arriving, LeakFound, Progress, Witness};
use crate::audit::{Ended, Event, Tally};
use crate::decision::{Judged, Update};
use crate::epoch::Tenant;
use crate::identity::Proofs;
use crate::observe::OperationMetrics;
use crate::policy::Origin;
use crate::profile::{Operation, Profile};

/// What the record and the answer have to know of an arrival.
pub(super) struct Recording<'r> {
    pub(super) event: &'r mut Event,
    pub(super) progress: &'r mut Progress,
}

impl Arriving for Recording<'_> {
    fn routed(&mut self, operation: &Operation, profile: &Arc<Profile>) {
        self.event.operation(&operation.name, operation.class);
        self.progress.profile = Some(Arc::clone(profile));
    }

    fn origin(&mut self, origin: &Origin) {
        self.event.origin(origin.as_str());
    }
}

impl Witness for Event {
    fn tenant(&mut self, tenant: &Tenant, operation: &Operation) {
        self.workspace(&tenant.workspace.id);
        self.counted_by(Arc::clone(tenant.metrics.operation(&operation.name)) as Arc<dyn Tally>);
    }

    fn proofs(&mut self, tenant: &Tenant, proofs: &Proofs<'_>) {
        let verdict = proofs.verdict().code();
        self.proof(verdict, proofs.key_id());
        tenant.metrics.proof(verdict, proofs.key_id());
        if let Some(subject) = proofs.subject() {
            self.subject(subject);
        }
    }

    fn ticket(&mut self, verdict: &'static str) {
        Event::ticket(self, verdict);
    }

    fn would_refuse(&mut self, code: &'static str) {
        Event::would_refuse(self, code);
    }

    fn judged(&mut self, tenant: &Tenant, update: &Update<'_>, judged: &Judged<'_>) {
        Event::judged(self, &tenant.workspace.catalogue, update, judged);
        tenant.metrics.judged(judged);
    }

    fn leaked(&mut self, tenant: &Tenant, found: &LeakFound<'_>) {
        let Some(unsaid) = tenant.metrics.leaked(found.leak, Instant::now()) else { return };
        tracing::error!(
            workspace = tenant.workspace.id,
            attribute = &*self.harmless_name(found.name),
            kind = found.leak.as_str(),
            key_workspace = found.owner.map(|owner| owner.workspace.as_str()),
            key = found.owner.map(|owner| owner.key.as_str()),
            id = %self.id(),
            unsaid,
            "secret_leaked"
        );
    }
}

impl Tally for OperationMetrics {
    fn ended(&self, ended: &Ended) {
        OperationMetrics::ended(self, ended.code, ended.status, ended.total, ended.upstream, ended.judge);
    }
}
