//! What the record, the metrics and the answer have to know of a request's way.

use std::sync::Arc;
use std::time::Instant;

use super::answer::Progress;
use super::webhook::tell_state_failed;
use super::{Arriving, LeakFound, WEBHOOK_VALID, Witness};
use crate::audit::{Ended, Event, Tally};
use crate::clock::UnixSeconds;
use crate::decision::{Judged, Update};
use crate::epoch::Tenant;
use crate::identity::{ProofError, ProofVerdict, Proofs, Times, TokenError, WebhookError};
use crate::observe::{CountedProof, CountedToken, Metrics, OperationMetrics, TokenRisk, Upheld};
use crate::policy::Origin;
use crate::profile::{Operation, Profile};
use crate::state::StateError;

/// What the record and the answer have to know of an arrival.
pub(super) struct Recording<'r> {
    pub(super) event: &'r mut Event,
    pub(super) progress: &'r mut Progress,
    pub(super) metrics: &'r Metrics,
}

impl Arriving for Recording<'_> {
    fn routed(&mut self, operation: &Operation, profile: &Arc<Profile>) {
        self.event.operation(&operation.name, operation.class);
        self.progress.profile = Some(Arc::clone(profile));
    }

    fn origin(&mut self, origin: &Origin) {
        self.event.origin(origin.as_str());
    }

    fn foreign(&mut self, origin: &Origin, meant: Option<&Tenant>) {
        let workspace = meant.map(|tenant| tenant.workspace.id.as_str());
        self.metrics.refused_origins().count(workspace, origin, UnixSeconds::of(self.event.time()));
    }
}

impl Witness for Event {
    fn tenant(&mut self, tenant: &Tenant, operation: &Operation) {
        self.workspace(&tenant.workspace.id);
        self.counted_by(Arc::clone(tenant.metrics.operation(&operation.name)) as Arc<dyn Tally>);
    }

    fn proofs(&mut self, tenant: &Tenant, proofs: &Proofs<'_>) {
        let (found, key_id) = (proofs.verdict(), proofs.key_id());
        let verdict = found.code();
        self.proof(verdict, key_id);
        let (metrics, at) = (&tenant.metrics, UnixSeconds::of(self.time()));
        let upheld = match found {
            ProofVerdict::Valid | ProofVerdict::HashValid | ProofVerdict::SealedValid | ProofVerdict::Exchanged => {
                Upheld::Verified
            }
            ProofVerdict::Absent | ProofVerdict::Failed(_) => Upheld::Refused,
        };
        metrics.proof(&CountedProof { verdict, key_id: proofs.policy_key_id(), kind: proofs.kind(), upheld, at });
        if let Some((hash, Times { exp, iat, until: _ })) = proofs.hashed_token(metrics.token_hasher()) {
            metrics.token(&CountedToken { hash, exp, iat, address: self.client(), at });
        } else if let ProofVerdict::Failed(ProofError::Token(error)) = found {
            // Found only where the signature holds.
            if error == TokenError::ExpiryMissing {
                metrics.risk(TokenRisk::NoExpiry);
            } else if error == TokenError::LifetimeTooLong {
                metrics.risk(TokenRisk::LongLife);
            }
        }
        if let Some(subject) = proofs.subject() {
            self.subject(subject);
        }
    }

    fn ticket(&mut self, tenant: &Tenant, verdict: &'static str, key_id: Option<&str>) {
        Event::ticket(self, verdict);
        if let Some(key_id) = key_id {
            tenant.metrics.ticket(key_id, UnixSeconds::of(self.time()));
        }
    }

    fn webhook(&mut self, tenant: &Tenant, key_id: Option<&str>, admitted: Result<(), WebhookError>) {
        let Some(key) = key_id else { return tenant.metrics.webhook_unsigned() };
        self.proof(WEBHOOK_VALID, key_id);
        let upheld = if admitted.is_ok() { Upheld::Verified } else { Upheld::Refused };
        tenant.metrics.webhook(WEBHOOK_VALID, key, upheld, UnixSeconds::of(self.time()));
    }

    fn foreign(&mut self, tenant: &Tenant, origin: &Origin) {
        tenant.metrics.refused_origin(origin, UnixSeconds::of(self.time()));
    }

    fn would_refuse(&mut self, code: &'static str) {
        Event::would_refuse(self, code);
    }

    fn judged(&mut self, tenant: &Tenant, update: &Update<'_>, judged: &Judged<'_>) {
        Event::judged(self, &tenant.workspace.catalogue, update, judged);
        tenant.metrics.judged(judged);
    }

    fn state_failed(&mut self, tenant: &Tenant, error: StateError) {
        tell_state_failed(&tenant.metrics, &tenant.workspace.id, self.id(), error);
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
