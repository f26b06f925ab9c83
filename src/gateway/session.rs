//! Sessions on a request's way: what the state knows of those that it presents, and what it does to them.

use std::borrow::Cow;
use std::sync::Arc;

use super::judgement::Witness;
use super::lesson::{Lesson, Teaching};
use super::presented::{is_said, said_at};
use crate::clock::UnixSeconds;
use crate::decision::Mode;
use crate::envelope::{Envelope, EnvelopeError};
use crate::epoch::Tenant;
use crate::identity::{Exchanged, Exchanges, Holder, PresentedTicket, Proofs, Sessions, Ticket, TicketError};
use crate::policy::{Limits, Workspace};
use crate::profile::{Class, Operation, SessionRole, Teaches};
use crate::rejection::Rejection;
use crate::state::Store;

/// One request to an operation of a tenant, as far as its sessions go.
pub(super) struct InSession<'s> {
    operation: &'s Arc<Operation>,
    tenant: &'s Tenant,
    envelope: &'s Envelope<'s>,
    /// The session tokens that stand for an exchanged token.
    tokens: Vec<Cow<'s, str>>,
    sessions: Sessions<'s>,
    exchanges: Exchanges<'s>,
    now: UnixSeconds,
}

impl<'s> InSession<'s> {
    /// Reads the session tokens.
    ///
    /// # Errors
    ///
    /// A place of one is there twice, or holds no text.
    pub(super) fn read(
        operation: &'s Arc<Operation>,
        tenant: &'s Tenant,
        envelope: &'s Envelope<'s>,
        state: &'s dyn Store,
        now: UnixSeconds,
    ) -> Result<Self, EnvelopeError> {
        let Workspace { id, profile, .. } = &tenant.workspace;
        let mut tokens = match &operation.exchange {
            None => envelope.texts_at(&profile.tokens.session)?,
            // The session begins here; an older one is left behind.
            Some(_) => Vec::new(),
        };
        tokens.retain(|text| is_said(text));
        let (sessions, exchanges) = (Sessions::new(state, id, now), Exchanges::new(state, id, now));
        Ok(Self { operation, tenant, envelope, tokens, sessions, exchanges, now })
    }

    /// What the session token stands for, where it stands for anything.
    pub(super) async fn exchanged(&self) -> Option<Exchanged> {
        let (first, others) = self.tokens.split_first()?;
        // Which of several the backend goes by is not known; and without an answer of the state nobody is proven.
        if others.iter().any(|other| other != first) {
            return None;
        }
        match self.exchanges.find(first).await {
            Ok(exchanged) => exchanged,
            Err(error) => {
                tracing::debug!(%error, "session_not_found");
                None
            }
        }
    }

    /// Who stands behind the request's sessions. Only an answer to a bot depends on it.
    pub(super) async fn holder(&self, presented: &[Cow<'_, str>]) -> Holder {
        match self.operation.class {
            Class::Collect => holder(&self.sessions, presented, Remembered::of(&self.tenant.workspace)).await,
            Class::Update
            | Class::Event
            | Class::Delete
            | Class::Identify
            | Class::SessionEnd
            | Class::Telemetry
            | Class::Pass
            | Class::ServerApi
            | Class::Webhook => Holder::Hidden,
        }
    }

    /// The ticket with which a bot's own server asked. One that does not hold is none, and stands in the record.
    ///
    /// # Errors
    ///
    /// There are two, and the workspace enforces.
    pub(super) fn ticket(
        &self,
        presented: &[Cow<'_, str>],
        witness: &mut impl Witness,
    ) -> Result<Option<Ticket>, Rejection> {
        let Workspace { identity, catalogue, .. } = &self.tenant.workspace;
        if self.operation.class != Class::Collect || identity.ticket_at.is_empty() {
            return Ok(None);
        }
        let tickets = said_at(self.envelope, &identity.ticket_at)?;
        let conversation = self.operation.context.first().and_then(|place| self.envelope.text_at(place).ok()?);
        let presented = PresentedTicket { tickets, sessions: presented, conversation };
        match self.tenant.verifier.ticket(&presented, self.now) {
            Ok(None) => Ok(None),
            Ok(Some(ticket)) => {
                witness.ticket(self.tenant, "valid", Some(ticket.key_id()));
                Ok(Some(ticket))
            }
            Err(error) => {
                witness.ticket(self.tenant, error.code(), None);
                match (error, catalogue.mode()) {
                    (TicketError::Two, Mode::Enforce) => return Err(Rejection::TwoTickets),
                    (TicketError::Two, Mode::Off | Mode::Observe) => witness.would_refuse(Rejection::TwoTickets.code()),
                    (
                        TicketError::Token(_)
                        | TicketError::Claims
                        | TicketError::OtherSession
                        | TicketError::OtherConversation,
                        _,
                    ) => {}
                }
                Ok(None)
            }
        }
    }

    /// Remembers, before the request is sent on, what it does to its sessions: their answer may never come. Gives what the answer will teach.
    ///
    /// # Errors
    ///
    /// The place of a token is there twice, or holds no text.
    pub(super) async fn leave(
        &self,
        presented: &[Cow<'_, str>],
        proofs: &Proofs<'_>,
        limits: &Limits,
    ) -> Result<Option<Lesson>, EnvelopeError> {
        let ends = self.operation.class == Class::SessionEnd;
        if Remembered::of(&self.tenant.workspace) != Remembered::Nothing {
            for session in presented {
                let left = match (ends, proofs.names_a_user()) {
                    (true, _) => self.sessions.forget(session).await,
                    (false, true) => self.sessions.remember(session, SessionRole::User).await,
                    (false, false) => Ok(()),
                };
                // A state that cannot be reached has nobody for a lead either.
                if let Err(error) = left {
                    tracing::debug!(%error, "session_not_remembered");
                }
            }
        }
        for session in self.tokens.iter().filter(|_| ends) {
            if let Err(error) = self.exchanges.unbind(session).await {
                tracing::debug!(%error, "session_not_forgotten");
            }
        }
        self.lesson(presented, proofs, limits)
    }

    fn lesson(
        &self,
        presented: &[Cow<'_, str>],
        proofs: &Proofs<'_>,
        limits: &Limits,
    ) -> Result<Option<Lesson>, EnvelopeError> {
        let Workspace { id, profile, identity, .. } = &self.tenant.workspace;
        let remembered = Remembered::of(&self.tenant.workspace);
        let teaching = match (self.operation.teaches, &self.operation.exchange) {
            (Teaches::Role, None) if remembered == Remembered::Roles => Teaching::Role,
            (Teaches::Nothing | Teaches::Role, None) => return Ok(None),
            (Teaches::Nothing | Teaches::Role, Some(exchange)) => {
                let mut shown = said_at(self.envelope, &exchange.token)?;
                shown.extend(said_at(self.envelope, &profile.tokens.jwt)?);
                // For a token that only this gateway saw the backend gives no session.
                let binding =
                    if shown.is_empty() { None } else { proofs.binding(self.now, identity.exchange_lifetime) };
                Teaching::Session { operation: Arc::clone(self.operation), binding }
            }
        };
        Ok(Some(Lesson::new(id, profile, presented, teaching, limits)))
    }
}

async fn holder(sessions: &Sessions<'_>, presented: &[Cow<'_, str>], remembered: Remembered) -> Holder {
    let mut texts = presented.iter();
    match (texts.next(), remembered) {
        (None, Remembered::Nothing | Remembered::Users) => Holder::Unasked,
        // Whoever leaves the session out hides who it is.
        (None, Remembered::Roles) => Holder::Hidden,
        (Some(_), Remembered::Nothing) => Holder::Unknown,
        (Some(first), Remembered::Users | Remembered::Roles) if texts.all(|other| other == first) => {
            // Nobody is a lead for want of an answer.
            sessions.holder(first).await.unwrap_or(Holder::Hidden)
        }
        // Which of them the backend goes by is not known.
        (Some(_), Remembered::Users | Remembered::Roles) => Holder::Hidden,
    }
}

/// What is ever known of the sessions of a workspace: nothing where no lead may be asked for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remembered {
    Nothing,
    /// Those in which somebody named a user: no ticket is for them.
    Users,
    /// Whose each is, as the messenger's answers say.
    Roles,
}

impl Remembered {
    fn of(workspace: &Workspace) -> Self {
        if !workspace.catalogue.asks_leads() {
            return Remembered::Nothing;
        }
        match (&workspace.profile.roles, workspace.identity.ticket_at.is_empty()) {
            (Some(_), _) => Remembered::Roles,
            (None, false) => Remembered::Users,
            (None, true) => Remembered::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {

    use bytes::Bytes;
    use futures_util::FutureExt;

    use super::*;
    use crate::state::StateError;
    use crate::state::testing::Always;

    #[track_caller]
    fn check(state: Result<Option<&'static str>, StateError>, presented: &[&str], remembered: Remembered, who: Holder) {
        let state = Always::Answers(state.map(|text| text.map(|text| Bytes::from_static(text.as_bytes()))));
        let sessions = Sessions::new(&state, "acme", UnixSeconds(1_795_000_000));
        let presented: Vec<_> = presented.iter().map(|text| Cow::Borrowed(*text)).collect();
        let found = holder(&sessions, &presented, remembered).now_or_never();
        assert_eq!(found, Some(who), "{presented:?} {remembered:?}");
    }

    #[test]
    fn nobody_is_a_lead_for_want_of_an_answer() {
        use Remembered::{Nothing, Roles, Users};
        for remembered in [Users, Roles] {
            check(Ok(Some("lead")), &["s"], remembered, Holder::Lead);
            check(Ok(Some("lead")), &["s", "s"], remembered, Holder::Lead);
            check(Ok(Some("user")), &["s"], remembered, Holder::User);
            for unknown in [Ok(None), Ok(Some("")), Ok(Some("Lead"))] {
                check(unknown, &["s"], remembered, Holder::Unknown);
            }
            for error in [StateError::Unavailable, StateError::Full] {
                check(Err(error), &["s"], remembered, Holder::Hidden);
            }
            check(Ok(Some("lead")), &["s", "t"], remembered, Holder::Hidden);
        }
        check(Ok(Some("lead")), &[], Roles, Holder::Hidden);
        check(Ok(Some("user")), &[], Users, Holder::Unasked);
        check(Ok(Some("lead")), &["s"], Nothing, Holder::Unknown);
        check(Ok(Some("user")), &[], Nothing, Holder::Unasked);
    }
}
