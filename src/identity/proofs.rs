//! What a request presents, and what it proved.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::claims::VerifiedClaims;
use super::exchange::{Binding, EXCHANGE_SECONDS_MAX, Exchanged};
use super::session::Holder;
use super::ticket::Ticket;
use super::verdict::{ProofError, ProofVerdict};
use crate::clock::UnixSeconds;
use crate::decision::Subject;

/// The texts that stood at the profile's places for proofs and for identity, nothing verified.
///
/// All of them: a place that is named twice, or two places, may hold two texts, and which of them the backend reads is not known.
pub struct Presented<'r> {
    pub tokens: Vec<Cow<'r, str>>,
    pub user_hashes: Vec<Cow<'r, str>>,
    /// Encrypted settings that the workspace wants opened.
    pub sealed: Vec<Cow<'r, str>>,
    /// Ids as text; a number is its digits as written.
    pub user_ids: Vec<Cow<'r, str>>,
    pub emails: Vec<Cow<'r, str>>,
    /// What the session stands for that the messenger gave for a token.
    pub exchanged: Option<Exchanged>,
    /// Sessions of the messenger, by which somebody may be known upstream.
    pub sessions: Vec<Cow<'r, str>>,
}

impl Presented<'_> {
    /// A blank id counts: what the backend makes of one is not known. So does a proof, for a bad one is never "no proof".
    pub(super) fn names_a_user(&self) -> bool {
        [&self.user_ids, &self.emails, &self.tokens, &self.user_hashes, &self.sealed]
            .iter()
            .any(|texts| !texts.is_empty())
            || self.exchanged.is_some()
    }
}

/// Says how many there are and never what they say.
impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("tokens", &self.tokens.len())
            .field("user_hashes", &self.user_hashes.len())
            .field("sealed", &self.sealed.len())
            .field("user_ids", &self.user_ids.len())
            .field("emails", &self.emails.len())
            .field("exchanged", &self.exchanged.is_some())
            .field("sessions", &self.sessions.len())
            .finish()
    }
}

/// All texts of a list as one, where they are the same text.
pub(super) enum Agreed<'t> {
    Nothing,
    One(&'t str),
    Several,
}

impl<'t> Agreed<'t> {
    pub(super) fn of(texts: &'t [Cow<'_, str>]) -> Self {
        match texts.split_first() {
            None => Agreed::Nothing,
            Some((first, rest)) if rest.iter().all(|text| text == first) => Agreed::One(first),
            Some(_) => Agreed::Several,
        }
    }
}

/// What the proofs of one request came to.
///
/// It has one maker, [`Verifier::verify`](super::Verifier::verify), so that nobody is believed who was not looked at:
///
/// ```
/// # use countersign::identity::Proofs;
/// fn read(proofs: &Proofs<'_>) -> bool { proofs.names_a_user() }
/// ```
///
/// ```compile_fail,E0451
/// # use countersign::identity::Proofs;
/// fn forge<'t>(proofs: Proofs<'t>) -> Proofs<'t> { Proofs { names_a_user: false, ..proofs } }
/// ```
pub struct Proofs<'t> {
    pub(super) finding: Finding<'t>,
    /// The key by which the proof was verified: also that of a token that is well signed and fails otherwise, so that the last use of a
    /// key is known before it is taken out of force.
    pub(super) key_id: Option<&'t str>,
    pub(super) names_a_user: bool,
}

pub(super) enum Finding<'t> {
    Absent,
    Token(VerifiedClaims<'t>),
    Sealed(VerifiedClaims<'t>),
    Exchanged(VerifiedClaims<'t>),
    Hash { subject: &'t str },
    Failed(ProofError),
}

impl<'t> Proofs<'t> {
    /// What became of them.
    #[must_use]
    pub fn verdict(&self) -> ProofVerdict {
        match &self.finding {
            Finding::Absent => ProofVerdict::Absent,
            Finding::Token(_) => ProofVerdict::Valid,
            Finding::Sealed(_) => ProofVerdict::SealedValid,
            Finding::Exchanged(_) => ProofVerdict::Exchanged,
            Finding::Hash { .. } => ProofVerdict::HashValid,
            Finding::Failed(error) => ProofVerdict::Failed(*error),
        }
    }

    /// The id of the key that signed, where one did.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id
    }

    /// Who the user is, where that is proven. A value of the request: never to be logged as it stands.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        match &self.finding {
            Finding::Token(claims) | Finding::Sealed(claims) | Finding::Exchanged(claims) => Some(claims.user_id()),
            Finding::Hash { subject } => Some(subject),
            Finding::Absent | Finding::Failed(_) => None,
        }
    }

    /// What is signed: only a valid token signs anything, now or when it was exchanged for this session, or what came encrypted. A hash says
    /// who, and never what.
    #[must_use]
    pub fn claims(&self) -> Option<&VerifiedClaims<'t>> {
        match &self.finding {
            Finding::Token(claims) | Finding::Sealed(claims) | Finding::Exchanged(claims) => Some(claims),
            Finding::Absent | Finding::Hash { .. } | Finding::Failed(_) => None,
        }
    }

    /// What a session that is given for this token may be bound to, for so long at most: only a token itself can be exchanged.
    #[must_use]
    pub fn binding(&self, now: UnixSeconds, lifetime_max: Option<Duration>) -> Option<Binding> {
        let (claims, key_id) = match (&self.finding, self.key_id) {
            (Finding::Token(claims), Some(key_id)) => (claims, key_id),
            (
                Finding::Token(_)
                | Finding::Sealed(_)
                | Finding::Exchanged(_)
                | Finding::Absent
                | Finding::Hash { .. }
                | Finding::Failed(_),
                _,
            ) => return None,
        };
        let lifetime = lifetime_max.and_then(|max| i64::try_from(max.as_secs()).ok()).unwrap_or(EXCHANGE_SECONDS_MAX);
        let until = UnixSeconds(now.0.saturating_add(lifetime.min(EXCHANGE_SECONDS_MAX)));
        let until = claims.end().map_or(until, |end| until.min(end));
        Binding::new(key_id, claims.user_id(), claims.payload(), until, now)
    }

    /// Whether the request names a user, by id, e-mail or proof, good or bad.
    #[must_use]
    pub fn names_a_user(&self) -> bool {
        self.names_a_user
    }

    /// Whose attributes change. With a session of the messenger somebody may be known upstream, so that hiding the id makes nobody a lead:
    /// `holder` is who stands behind it. Where that is nobody known, a ticket lets answer what it names.
    #[must_use]
    pub fn user_or_lead<'s>(&self, holder: Holder, ticket: Option<&'s Ticket>) -> Subject<'s> {
        match (self.names_a_user, holder, ticket) {
            (true, _, _) | (false, Holder::Hidden | Holder::User, _) | (false, Holder::Unknown, None) => {
                Subject::NotLead
            }
            (false, Holder::Unasked | Holder::Lead, _) => Subject::Lead,
            (false, Holder::Unknown, Some(ticket)) => Subject::LeadFor(ticket.attributes()),
        }
    }
}

/// Says the verdict and the key's id, and never who or what.
impl fmt::Debug for Proofs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proofs")
            .field("verdict", &self.verdict())
            .field("key_id", &self.key_id)
            .field("names_a_user", &self.names_a_user)
            .finish()
    }
}
