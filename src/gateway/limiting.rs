//! The rates on a request's way, each as soon as what it counts is known.

use std::net::IpAddr;
use std::sync::Arc;

use super::answer::Progress;
use crate::audit::Event;
use crate::decision::Mode;
use crate::edge::rates::{Moment, Nearly, Numbers, Rates, Taken};
use crate::edge::room::Room;
use crate::epoch::{Epoch, Tenant};
use crate::identity::{Presented, ProofVerdict, Proofs};
use crate::observe::{Metrics, RateReading, RoomReading};
use crate::policy::Rate;
use crate::rejection::Rejection;

/// Whoever may say no on the way, for what was asked before. What is refused in an enforcing gate is an error; the code of what would be is
/// given back where it only observes.
pub trait Gate {
    /// The workspace is known, and has let the request in.
    ///
    /// # Errors
    ///
    /// It has been asked too often.
    fn workspace(&mut self, _: &Tenant) -> Result<Option<&'static str>, Rejection> {
        Ok(None)
    }

    /// What is presented is known, and nothing of it is verified.
    ///
    /// # Errors
    ///
    /// Too much of the kind has failed.
    fn presented(&mut self, _: &Tenant, _: &Presented<'_>) -> Result<Option<&'static str>, Rejection> {
        Ok(None)
    }

    /// What was presented has been verified.
    ///
    /// # Errors
    ///
    /// Too much of the kind has failed, or the user whom it proves has asked too often.
    fn proven(&mut self, _: &Tenant, _: &Presented<'_>, _: &Proofs<'_>) -> Result<Option<&'static str>, Rejection> {
        Ok(None)
    }
}

/// A gate that stands open: for rehearsals, where nobody comes too often.
pub struct Open;

impl Gate for Open {}

/// The rates of one request: who asks, when, and what the policies in force say.
pub(super) struct Limiting<'l> {
    pub(super) rates: &'l Rates,
    pub(super) epoch: &'l Epoch,
    pub(super) client: IpAddr,
    pub(super) now: Moment,
    /// The tightest of the rates of which little is left.
    nearly: Option<Nearly>,
}

impl<'l> Limiting<'l> {
    pub(super) fn begin(rates: &'l Rates, epoch: &'l Epoch, client: IpAddr) -> Self {
        Self { rates, epoch, client, now: rates.now(), nearly: None }
    }

    /// Counts a request of this address. Everything counts, also what is refused for another reason a moment later.
    pub(super) fn address(&mut self) -> Taken {
        self.rates.by_address(&self.epoch.gateway.rates.requests_per_address, self.client, self.now)
    }

    /// Refuses a request whose address asks too often, or else one whose origin does. After the arrival, so that the page that sent it may read
    /// why.
    pub(super) fn arrived(
        &mut self,
        by_address: Taken,
        event: &mut Event,
        progress: &Progress,
    ) -> Result<(), Rejection> {
        let would = self.settle(by_address)?;
        let origin = progress.origin.as_ref().and_then(|origin| origin.allow_origin());
        let by_origin = match origin {
            Some(origin) => self.rates.by_origin(&self.epoch.gateway.rates.requests_per_origin, origin, self.now),
            None => Taken::Allowed(None),
        };
        let would = would.or(self.settle(by_origin)?);
        if let Some(code) = would {
            event.would_refuse(code);
        }
        Ok(())
    }

    /// Refuses what is not opened where its workspace is asked too often.
    pub(super) fn streamed(&mut self, tenant: &Tenant, event: &mut Event) -> Result<(), Rejection> {
        if let Some(code) = self.workspace(tenant)? {
            event.would_refuse(code);
        }
        Ok(())
    }

    /// What a client is told of it.
    pub(super) fn nearly(&self) -> Option<Nearly> {
        self.nearly
    }

    /// What is taken has its consequence here, and only here is it counted as such: a preflight, or what nobody serves, has none.
    fn settle(&mut self, taken: Taken) -> Result<Option<&'static str>, Rejection> {
        self.rates.count(taken);
        match taken {
            Taken::Allowed(nearly) => {
                self.nearly = match (self.nearly, nearly) {
                    (Some(one), Some(other)) => Some(one.tighter(other)),
                    (one, other) => one.or(other),
                };
                Ok(None)
            }
            Taken::Observed(exceeded) => Ok(Some(Rejection::Rate(exceeded).code())),
            Taken::Refused(exceeded) => Err(Rejection::Rate(exceeded)),
        }
    }

    /// The rate of failing proofs, which refuses nothing in a workspace that does not enforce: there a proof that fails has no consequence.
    fn of_failing(&self, tenant: &Tenant) -> Rate {
        let rate = self.epoch.gateway.rates.failing_proofs;
        match rate.mode {
            Mode::Enforce if !tenant.workspace.enforces() => Rate { mode: Mode::Observe, ..rate },
            Mode::Off | Mode::Observe | Mode::Enforce => rate,
        }
    }
}

impl Gate for Limiting<'_> {
    fn workspace(&mut self, tenant: &Tenant) -> Result<Option<&'static str>, Rejection> {
        let own = tenant.workspace.rates.requests;
        let rate = own.unwrap_or(self.epoch.gateway.rates.requests_per_workspace);
        self.settle(self.rates.by_workspace(&rate, &tenant.workspace.id, self.now))
    }

    fn presented(&mut self, tenant: &Tenant, presented: &Presented<'_>) -> Result<Option<&'static str>, Rejection> {
        if !presented.is_any() {
            return Ok(None);
        }
        let (rate, penalty) = (self.of_failing(tenant), self.epoch.gateway.rates.penalty);
        let workspace = &tenant.workspace.id;
        self.settle(self.rates.new_proof(&rate, penalty, self.client, workspace, presented.credential(), self.now))
    }

    fn proven(
        &mut self,
        tenant: &Tenant,
        presented: &Presented<'_>,
        proofs: &Proofs<'_>,
    ) -> Result<Option<&'static str>, Rejection> {
        let workspace = &tenant.workspace.id;
        let failing = match proofs.verdict() {
            ProofVerdict::Absent => return Ok(None),
            ProofVerdict::Failed(error) if error.may_be_a_guess() => {
                let (rate, penalty) = (self.of_failing(tenant), self.epoch.gateway.rates.penalty);
                return self.settle(self.rates.failing_proof(&rate, penalty, self.client, workspace, self.now));
            }
            ProofVerdict::Failed(_) => return Ok(None),
            ProofVerdict::Valid | ProofVerdict::HashValid | ProofVerdict::SealedValid | ProofVerdict::Exchanged => {
                &self.epoch.gateway.rates.failing_proofs
            }
        };
        let Some(subject) = proofs.subject() else { return Ok(None) };
        let own: Option<Rate> = tenant.workspace.rates.requests_per_subject;
        let rate = own.unwrap_or(self.epoch.gateway.rates.requests_per_subject);
        let would = self.settle(self.rates.by_subject(&rate, workspace, subject, self.now))?;
        // Only now: who asks too often is not heard, also not of more proofs.
        if failing.mode != Mode::Off
            && let Some(credential) = presented.credential()
        {
            self.rates.held(workspace, subject, credential, self.now);
        }
        Ok(would)
    }
}

/// Tells the metrics where to look at each scrape.
pub(super) fn tell_metrics(metrics: &Metrics, rates: &Arc<Rates>, room: &Arc<Room>) {
    metrics.read_rates({
        let rates = Arc::clone(rates);
        move || {
            let reading = |Numbers { limited, refused, observed, keys, shared }| RateReading {
                limit: limited.as_str(),
                refused,
                observed,
                keys,
                shared,
            };
            rates.numbers().into_iter().map(reading).collect()
        }
    });
    metrics.read_room({
        let room = Arc::clone(room);
        move || RoomReading { taken: room.taken(), refused: room.refused() }
    });
}
