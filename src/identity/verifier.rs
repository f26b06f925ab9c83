//! The verifier of one workspace: its keys, and the order in which proofs are looked at.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::claims::{ClaimRules, VerifiedClaims};
use super::compact::UnverifiedToken;
use super::exchange::Exchanged;
use super::issue::IssueRules;
use super::jwt::{SignedPayload, TokenKeys};
use super::keyring::{KeyName, KeySetState, Keyring, NamedSet};
use super::keys::{self, Admitted, KEYS_MAX, KeyError};
use super::material::KeyMaterial;
use super::proofs::{Agreed, Finding, Presented, Proofs};
use super::published::PublishedKeys;
use super::sealed::SealedKeys;
use super::subject::SubjectClaims;
use super::ticket::{PresentedTicket, Ticket, TicketError, TicketKeys};
use super::times::TimeRules;
use super::token_id::IdRules;
use super::user_hash::HashKeys;
use super::verdict::{ProofError, Refused, SealedError, TokenError};
use crate::clock::UnixSeconds;
use crate::policy::{IdentityPolicy, KEY_TRIES_MAX, Limits};
use crate::profile::Profile;

/// Verifies the proofs of requests to one workspace, by the keys that are in force there.
pub struct Verifier {
    token_keys: Keyring,
    hash_keys: HashKeys,
    sealed_keys: SealedKeys,
    ticket_keys: TicketKeys,
    rules: ClaimRules,
    sealed_rules: ClaimRules,
    limits: Limits,
    key_ids: Vec<String>,
}

impl Verifier {
    /// Puts the keys of a policy in force. `materials` are those of `policy.keys`, in the same order.
    ///
    /// # Errors
    /// [`KeyError`] names the first key whose material is missing or too weak, or whose id is another key's as well.
    pub fn new(
        policy: &IdentityPolicy,
        materials: Vec<KeyMaterial>,
        profile: &Profile,
        limits: &Limits,
    ) -> Result<Self, KeyError> {
        let (mut token_keys, mut hash_keys, mut sealed_keys) = (TokenKeys::new(), HashKeys::new(), SealedKeys::new());
        let mut ticket_keys = TicketKeys::new(policy);
        let mut ids = HashSet::new();
        let mut materials = materials.into_iter();
        for key in &policy.keys {
            let id = || key.id.clone();
            let material = materials.next().ok_or_else(|| KeyError::Missing { id: id() })?;
            // A `kid` must name one key.
            if !ids.insert(&key.id) {
                return Err(KeyError::Repeated { id: id() });
            }
            let Admitted { token, ticket, hash, sealed } = keys::admit(key, &material)?;
            if let Some(verifying) = token {
                token_keys.push(&key.id, key.algorithm, key.term, key.platforms, verifying);
            }
            if let Some(verifying) = ticket {
                ticket_keys.keys.push(&key.id, key.algorithm, key.term, key.platforms, verifying);
            }
            if let Some(secret) = hash {
                hash_keys.push(&key.id, key.term, key.platforms, &secret);
            }
            if let Some(secret) = sealed {
                sealed_keys.push(&key.id, key.term, key.platforms, &secret);
            }
            let untold = hash_keys.len().max(sealed_keys.len());
            if token_keys.len().max(ticket_keys.keys.len()) > KEYS_MAX || untold > KEY_TRIES_MAX {
                return Err(KeyError::TooMany { id: id() });
            }
        }
        if materials.next().is_some() {
            return Err(KeyError::Surplus);
        }
        let rules = ClaimRules {
            times: TimeRules::new(policy),
            issue: IssueRules::new(policy),
            id: IdRules::new(policy),
            subject: SubjectClaims::new(&profile.identity),
        };
        let sealed_rules = ClaimRules {
            times: TimeRules::of_sealed(policy),
            issue: IssueRules::of_sealed(),
            id: IdRules::of_sealed(),
            subject: SubjectClaims::new(&profile.identity),
        };
        let key_ids = policy.keys.iter().map(|key| key.id.clone()).collect();
        let token_keys = Keyring { own: token_keys, sets: Vec::new() };
        Ok(Self {
            token_keys,
            hash_keys,
            sealed_keys,
            ticket_keys,
            rules,
            sealed_rules,
            limits: limits.clone(),
            key_ids,
        })
    }

    /// Puts the sets of keys of the same policy in force beside them. `published` are those of `policy.key_sets`, in the same order.
    ///
    /// # Errors
    /// [`KeyError`] names the first set that is missing, or whose name is another's as well.
    pub fn with_key_sets(
        mut self,
        policy: &IdentityPolicy,
        published: Vec<Arc<PublishedKeys>>,
    ) -> Result<Self, KeyError> {
        let mut published = published.into_iter();
        for set in &policy.key_sets {
            let keys = published.next().ok_or_else(|| KeyError::Missing { id: set.id.clone() })?;
            if self.key_ids.contains(&set.id) {
                return Err(KeyError::Repeated { id: set.id.clone() });
            }
            self.key_ids.push(set.id.clone());
            self.token_keys.sets.push(NamedSet::new(set, keys));
        }
        if published.next().is_some() { Err(KeyError::Surplus) } else { Ok(self) }
    }

    /// How the sets of keys are doing, in the policy's order.
    pub fn key_sets(&self, now: UnixSeconds) -> impl Iterator<Item = KeySetState<'_>> {
        self.token_keys.sets.iter().map(move |set| set.state(now))
    }

    /// Looks at everything that a request presents, as of `now`. What a token signs is in `payload` afterwards, where its signature holds.
    ///
    /// A token counts before a hash, as in the messengers' own clients: beside a valid token a hash is not looked at, and beside a bad one
    /// a good hash does not help, or who holds a stolen hash could hide behind any text in the token's place.
    #[must_use]
    pub fn verify<'t>(
        &'t self,
        presented: &'t Presented<'_>,
        now: UnixSeconds,
        payload: &'t mut SignedPayload,
    ) -> Proofs<'t> {
        let unopened = |error| (Finding::Failed(ProofError::Sealed(error)), None);
        let (finding, key) = match (Agreed::of(&presented.sealed), Agreed::of(&presented.tokens)) {
            (Agreed::Nothing, Agreed::Nothing) => match &presented.exchanged {
                Some(exchanged) if presented.user_hashes.is_empty() => {
                    self.verify_exchanged(exchanged, presented, now, payload)
                }
                Some(_) | None => self.verify_hash(presented, now),
            },
            (Agreed::Nothing, Agreed::One(token)) => {
                let (claims, key) = self.verify_token(token, presented, now, payload);
                (claims.map_or_else(|error| Finding::Failed(ProofError::Token(error)), Finding::Token), key)
            }
            (Agreed::Nothing, Agreed::Several) => (Finding::Failed(ProofError::Token(TokenError::TwoTokens)), None),
            (Agreed::One(sealed), Agreed::Nothing) => self.open_sealed(sealed, presented, now, payload),
            (Agreed::One(_), Agreed::One(_) | Agreed::Several) => unopened(SealedError::BesideToken),
            (Agreed::Several, _) => unopened(SealedError::Two),
        };
        // The backend goes by the session that it gave, whoever the token is about.
        let finding = match (finding, &presented.exchanged) {
            (Finding::Token(claims) | Finding::Sealed(claims), Some(exchanged))
                if claims.user_id() != exchanged.user_id() =>
            {
                Finding::Failed(ProofError::Token(TokenError::SubjectMismatch))
            }
            (finding, _) => finding,
        };
        let token = match Agreed::of(&presented.tokens) {
            Agreed::One(token) => Some(token),
            Agreed::Nothing | Agreed::Several => None,
        };
        let (kind, names_a_user) = (presented.kind(), presented.names_a_user());
        Proofs { finding, key, kind, token, names_a_user }
    }

    /// Verifies what a request presents as a collector ticket; `None`: nothing.
    ///
    /// # Errors
    /// [`TicketError`]: it does not hold, or is about another session or conversation.
    pub fn ticket(&self, presented: &PresentedTicket<'_>, now: UnixSeconds) -> Result<Option<Ticket>, TicketError> {
        self.ticket_keys.verify(presented, now, &self.limits)
    }

    /// Verifies one token. The key that signed it is given also where the token fails otherwise.
    pub(super) fn verify_token<'t>(
        &'t self,
        token: &str,
        presented: &'t Presented<'_>,
        now: UnixSeconds,
        payload: &'t mut SignedPayload,
    ) -> (Result<VerifiedClaims<'t>, TokenError>, Option<KeyName<'t>>) {
        let token = UnverifiedToken::parse(token, &self.limits);
        let verified = token.map_err(Refused::from);
        match verified.and_then(|token| self.token_keys.verify(token, now, presented.platform, payload)) {
            Ok(key) => (VerifiedClaims::admit(payload, &self.rules, &self.limits, presented, now), Some(key)),
            Err(Refused { error, key_id }) => (Err(error), key_id.map(KeyName::own)),
        }
    }

    /// Looks at the claims of a session as at those of a token, but for the signature: that held when they were bound.
    fn verify_exchanged<'t>(
        &'t self,
        exchanged: &Exchanged,
        presented: &'t Presented<'_>,
        now: UnixSeconds,
        payload: &'t mut SignedPayload,
    ) -> (Finding<'t>, Option<KeyName<'t>>) {
        let failed = |error| Finding::Failed(ProofError::Token(error));
        let key = match self.token_keys.find(exchanged.key_id(), now, presented.platform) {
            Ok(key) => key,
            Err(error) => return (failed(error), None),
        };
        payload.hold(exchanged.payload().to_vec());
        let claims = VerifiedClaims::admit(payload, &self.rules, &self.limits, presented, now);
        (claims.map_or_else(failed, Finding::Exchanged), Some(key))
    }

    fn open_sealed<'t>(
        &'t self,
        sealed: &str,
        presented: &'t Presented<'_>,
        now: UnixSeconds,
        payload: &'t mut SignedPayload,
    ) -> (Finding<'t>, Option<KeyName<'t>>) {
        let key_id = match self.sealed_keys.open(sealed, now, presented.platform) {
            Ok(opened) => {
                payload.hold(opened.plain);
                opened.key_id
            }
            Err(Refused { error, key_id }) => {
                return (Finding::Failed(ProofError::Sealed(error)), key_id.map(KeyName::own));
            }
        };
        let finding = match VerifiedClaims::admit(payload, &self.sealed_rules, &self.limits, presented, now) {
            Ok(claims) => Finding::Sealed(claims),
            Err(error) => Finding::Failed(ProofError::Token(error)),
        };
        (finding, Some(KeyName::own(key_id)))
    }

    fn verify_hash<'t>(&'t self, presented: &'t Presented<'_>, now: UnixSeconds) -> (Finding<'t>, Option<KeyName<'t>>) {
        match self.hash_keys.verify(presented, now) {
            Ok(None) => (Finding::Absent, None),
            Ok(Some(hashed)) => (Finding::Hash { subject: hashed.subject }, Some(KeyName::own(hashed.key_id))),
            Err(Refused { error, key_id }) => (Finding::Failed(ProofError::Hash(error)), key_id.map(KeyName::own)),
        }
    }
}

/// Names the keys and shows none.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("key_ids", &self.key_ids).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
