//! What a request presents, and what it proved.

use std::borrow::Cow;
use std::fmt;
use std::hash::BuildHasher;
use std::time::Duration;

use super::claims::{TokenFacts, VerifiedClaims};
use super::exchange::{Binding, EXCHANGE_SECONDS_MAX, Exchanged};
use super::keyring::KeyName;
use super::session::Holder;
use super::ticket::Ticket;
use super::times::Times;
use super::user_hash;
use super::verdict::{ProofError, ProofVerdict, Withdrawal};
use crate::clock::UnixSeconds;
use crate::decision::{Subject, TokenReader};
use crate::policy::KeyUse;
use crate::profile::Platform;

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
    /// From which platform the request comes; `None` where that is not known, and then only keys for all platforms count.
    pub platform: Option<Platform>,
}

impl Presented<'_> {
    /// What is presented, as what is looked at first.
    pub(super) fn kind(&self) -> Option<KeyUse> {
        match (self.sealed.is_empty(), self.tokens.is_empty(), self.user_hashes.is_empty()) {
            (false, _, _) => Some(KeyUse::EncryptedPayload),
            (true, false, _) => Some(KeyUse::Jwt),
            (true, true, false) => Some(KeyUse::UserHash),
            // By the session that was given for one.
            (true, true, true) => self.exchanged.is_some().then_some(KeyUse::Jwt),
        }
    }

    /// Whether anything is presented that has to be verified. A session that was given for a token is looked up.
    #[must_use]
    pub fn is_any(&self) -> bool {
        !(self.tokens.is_empty() && self.user_hashes.is_empty() && self.sealed.is_empty())
    }

    /// The one proof by which the verifier will go; `None` where it goes by none, since there are two of them or nobody whom a hash is of.
    #[must_use]
    pub fn credential(&self) -> Option<Credential<'_>> {
        match (Agreed::of(&self.sealed), Agreed::of(&self.tokens), Agreed::of(&self.user_hashes)) {
            (Agreed::One(sealed), Agreed::Nothing, _) => Some(Credential::Sealed(sealed)),
            // A hash beside a token is not looked at.
            (Agreed::Nothing, Agreed::One(token), _) => Some(Credential::Token(token)),
            (Agreed::Nothing, Agreed::Nothing, Agreed::One(hash)) => {
                user_hash::subject(self).ok().map(|subject| Credential::UserHash { hash, subject })
            }
            (Agreed::Nothing, Agreed::Nothing, Agreed::Nothing | Agreed::Several)
            | (Agreed::Nothing, Agreed::Several, _)
            | (Agreed::One(_), Agreed::One(_) | Agreed::Several, _)
            | (Agreed::Several, _, _) => None,
        }
    }

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
            .field("platform", &self.platform)
            .finish()
    }
}

/// One proof, by what is verified of it and nothing else: what a client may write beside it makes no other proof of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential<'p> {
    Token(&'p str),
    Sealed(&'p str),
    /// With whom it must be the hash of.
    UserHash {
        hash: &'p str,
        subject: &'p str,
    },
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
    pub(super) key: Option<KeyName<'t>>,
    pub(super) kind: Option<KeyUse>,
    /// The one token that was presented, to be told from others.
    pub(super) token: Option<&'t str>,
    pub(super) names_a_user: bool,
}

pub(super) enum Finding<'t> {
    Absent,
    Token(VerifiedClaims<'t>),
    Sealed(VerifiedClaims<'t>),
    Exchanged(VerifiedClaims<'t>),
    Hash { subject: &'t str },
    Failed(ProofError),
    Withdrawn { why: Withdrawal, what: Withdrawn },
}

/// What was withdrawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Withdrawn {
    /// A token, or what came encrypted.
    Signed,
    /// The session that was given for a token.
    Exchanged,
    Hash,
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
            Finding::Withdrawn { why, what: _ } => ProofVerdict::Failed(ProofError::Withdrawn(*why)),
        }
    }

    /// The name of the key that signed, where one did: for records.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key.as_ref().map(|key| &*key.full)
    }

    /// What the policy calls the key that signed, or the set that it is of: never a name that somebody else has chosen.
    #[must_use]
    pub fn policy_key_id(&self) -> Option<&'t str> {
        self.key.as_ref().map(|key| key.policy_id)
    }

    /// What was presented, good or bad, as what is looked at first; `None` where nothing was.
    #[must_use]
    pub fn kind(&self) -> Option<KeyUse> {
        self.kind
    }

    /// The token, where one holds: its hash by `hasher`, and its times. Never its text.
    #[must_use]
    pub fn hashed_token(&self, hasher: &impl BuildHasher) -> Option<(u64, Times)> {
        match (&self.finding, self.token) {
            (Finding::Token(claims), Some(token)) => {
                // No two tokens that hold have one signature, and it is the shortest part of most.
                let signature = token.rsplit_once('.').map_or(token, |(_, signature)| signature);
                Some((hasher.hash_one(signature), claims.times()))
            }
            (Finding::Token(_), None)
            | (
                Finding::Absent
                | Finding::Sealed(_)
                | Finding::Exchanged(_)
                | Finding::Hash { .. }
                | Finding::Failed(_)
                | Finding::Withdrawn { .. },
                _,
            ) => None,
        }
    }

    /// Who the user is, where that is proven. A value of the request: never to be logged as it stands.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        match &self.finding {
            Finding::Token(claims) | Finding::Sealed(claims) | Finding::Exchanged(claims) => Some(claims.user_id()),
            Finding::Hash { subject } => Some(subject),
            Finding::Absent | Finding::Failed(_) | Finding::Withdrawn { .. } => None,
        }
    }

    /// What is signed: only a valid token signs anything, now or when it was exchanged for this session, or what came encrypted. A hash says
    /// who, and never what.
    #[must_use]
    pub fn claims(&self) -> Option<&VerifiedClaims<'t>> {
        match &self.finding {
            Finding::Token(claims) | Finding::Sealed(claims) | Finding::Exchanged(claims) => Some(claims),
            Finding::Absent | Finding::Hash { .. } | Finding::Failed(_) | Finding::Withdrawn { .. } => None,
        }
    }

    /// By what a token that holds is known again, also one that was exchanged for a session. What came encrypted, and a hash, have nothing of
    /// the kind.
    #[must_use]
    pub fn token(&self) -> Option<TokenFacts<'_>> {
        match &self.finding {
            Finding::Token(claims) | Finding::Exchanged(claims) => Some(claims.token()),
            Finding::Absent
            | Finding::Sealed(_)
            | Finding::Hash { .. }
            | Finding::Failed(_)
            | Finding::Withdrawn { .. } => None,
        }
    }

    /// Takes back a proof that holds: from here on it is one that does not.
    pub fn withdraw(&mut self, why: Withdrawal) {
        let what = match self.finding {
            Finding::Token(_) | Finding::Sealed(_) => Withdrawn::Signed,
            Finding::Exchanged(_) => Withdrawn::Exchanged,
            Finding::Hash { .. } => Withdrawn::Hash,
            Finding::Absent | Finding::Failed(_) | Finding::Withdrawn { .. } => return,
        };
        self.finding = Finding::Withdrawn { why, what };
    }

    /// Whether a proof was withdrawn that the backend believes all the same: a hash always goes on to it, a session is its own, and a token
    /// where it reads tokens.
    pub(super) fn is_withdrawn_but_believed(&self, reader: TokenReader) -> bool {
        match (&self.finding, reader) {
            (Finding::Withdrawn { what: Withdrawn::Hash | Withdrawn::Exchanged, .. }, _)
            | (Finding::Withdrawn { what: Withdrawn::Signed, .. }, TokenReader::Upstream) => true,
            (Finding::Withdrawn { what: Withdrawn::Signed, .. }, TokenReader::Gateway)
            | (
                Finding::Absent
                | Finding::Token(_)
                | Finding::Sealed(_)
                | Finding::Exchanged(_)
                | Finding::Hash { .. }
                | Finding::Failed(_),
                TokenReader::Upstream | TokenReader::Gateway,
            ) => false,
        }
    }

    /// What a session that is given for this token may be bound to, for so long at most: only a token itself can be exchanged.
    #[must_use]
    pub fn binding(&self, now: UnixSeconds, lifetime_max: Option<Duration>) -> Option<Binding> {
        let (claims, key) = match (&self.finding, &self.key) {
            (Finding::Token(claims), Some(key)) => (claims, key),
            (
                Finding::Token(_)
                | Finding::Sealed(_)
                | Finding::Exchanged(_)
                | Finding::Absent
                | Finding::Hash { .. }
                | Finding::Failed(_)
                | Finding::Withdrawn { .. },
                _,
            ) => return None,
        };
        let lifetime = lifetime_max.and_then(|max| i64::try_from(max.as_secs()).ok()).unwrap_or(EXCHANGE_SECONDS_MAX);
        let until = UnixSeconds(now.0.saturating_add(lifetime.min(EXCHANGE_SECONDS_MAX)));
        let until = claims.times().exp.map_or(until, |end| until.min(UnixSeconds(end)));
        Binding::new(&key.full, claims.user_id(), claims.payload(), until, now)
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
            .field("key", &self.key)
            .field("names_a_user", &self.names_a_user)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::presented;

    #[test]
    fn a_proof_stays_the_same_whatever_is_written_beside_it() {
        let token = || Presented { tokens: vec!["t".into()], ..presented() };
        for varied in [
            Presented { tokens: vec!["t".into(), "t".into()], ..presented() },
            Presented { user_hashes: vec!["".into()], ..token() },
            Presented { user_hashes: vec!["a".into(), "b".into()], ..token() },
            Presented { user_ids: vec!["user-42".into()], emails: vec!["ada@example.com".into()], ..token() },
        ] {
            assert!(varied.credential() == Some(Credential::Token("t")), "{varied:?}");
        }
        // The hash of one user says nothing about another.
        let hash = |user_ids: &[&'static str], emails: &[&'static str]| {
            let texts = |texts: &[&'static str]| texts.iter().map(|text| Cow::Borrowed(*text)).collect();
            Presented { user_hashes: vec!["h".into()], user_ids: texts(user_ids), emails: texts(emails), ..presented() }
        };
        let of = |subject| Some(Credential::UserHash { hash: "h", subject });
        assert!(hash(&["user-42"], &[]).credential() == of("user-42"));
        assert!(hash(&["user-42"], &["ada@example.com"]).credential() == of("user-42"));
        assert!(hash(&[], &["ada@example.com"]).credential() == of("ada@example.com"));
        // Which of several would be believed is not known, and so none of them is.
        for nobodys in [
            hash(&[], &[]),
            hash(&["user-42", "user-43"], &[]),
            Presented { user_hashes: vec!["h".into(), "i".into()], ..hash(&["user-42"], &[]) },
            Presented { tokens: vec!["t".into(), "u".into()], ..presented() },
            Presented { sealed: vec!["s".into()], ..token() },
        ] {
            assert!(nobodys.credential().is_none(), "{nobodys:?}");
        }
    }
}
