//! All keys by which a workspace's tokens may be signed: its own, and those of the sets that it names.

use std::borrow::Cow;
use std::sync::Arc;

use super::compact::UnverifiedToken;
use super::jwt::{SignedPayload, TokenKeys, Trial};
use super::published::{Publication, PublishedKeys};
use super::verdict::{Refused, TokenError};
use crate::clock::UnixSeconds;
use crate::policy::{Algorithm, KeySetPolicy, KeySetSource};
use crate::profile::Platform;

/// The keys for tokens of one workspace.
pub(super) struct Keyring {
    pub(super) own: TokenKeys,
    pub(super) sets: Vec<NamedSet>,
}

/// A set under the name that the workspace has for it.
pub(super) struct NamedSet {
    pub(super) id: String,
    algorithms: Vec<Algorithm>,
    /// `None`: they do not grow old.
    stale_after_seconds: Option<i64>,
    published: Arc<PublishedKeys>,
}

/// The name of a key that signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName<'k> {
    /// What the policy calls the key, or the set that it is of.
    pub policy_id: &'k str,
    /// For records: the policy's name, and for a key of a set its `kid` behind a `/`.
    pub full: Cow<'k, str>,
}

impl<'k> KeyName<'k> {
    pub(super) fn own(id: &'k str) -> Self {
        Self { policy_id: id, full: Cow::Borrowed(id) }
    }

    fn of_set(set: &'k str, kid: &str) -> Self {
        Self { policy_id: set, full: Cow::Owned(format!("{set}/{kid}")) }
    }
}

/// How one set of a workspace is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetState<'k> {
    pub id: &'k str,
    /// How many of its keys verify tokens.
    pub keys: usize,
    /// How many were published and do not.
    pub left_out: usize,
    /// For how long nobody has confirmed them; `None` where nobody needs to, or ever has.
    pub age_seconds: Option<i64>,
    /// Whether tokens are refused for it.
    pub is_stale: bool,
    /// Why its issuer could not be asked the last time.
    pub failure: Option<&'static str>,
}

impl NamedSet {
    pub(super) fn new(policy: &KeySetPolicy, published: Arc<PublishedKeys>) -> Self {
        let stale_after_seconds = match &policy.source {
            KeySetSource::File(_) => None,
            KeySetSource::Issuer(issuer) => Some(i64::try_from(issuer.stale_after.as_secs()).unwrap_or(i64::MAX)),
        };
        Self { id: policy.id.clone(), algorithms: policy.algorithms.clone(), stale_after_seconds, published }
    }

    /// Whether a key of it may have signed the token.
    fn may_have_signed(&self, token: &UnverifiedToken<'_>) -> bool {
        token.algorithm.is_some_and(|algorithm| self.algorithms.contains(&algorithm))
    }

    pub(super) fn state(&self, now: UnixSeconds) -> KeySetState<'_> {
        let current = self.published.current();
        KeySetState {
            id: &self.id,
            keys: current.keys().map_or(0, |keys| keys.len()),
            left_out: current.keys().map_or(0, |keys| keys.left_out().len()),
            age_seconds: current.age_seconds(now),
            is_stale: current.is_stale(self.stale_after_seconds, now),
            failure: self.published.failure(),
        }
    }
}

impl Keyring {
    /// Finds the key that signed the token, and gives the payload into `room`.
    ///
    /// Own keys come before those of sets: what the operator wrote down nobody else's set replaces. A set that is stale verifies nothing;
    /// whether one of its keys signed the token nobody can say then, so that is neither a bad signature nor an unknown key.
    ///
    /// # Errors
    /// As [`TokenKeys::verify`], and [`TokenError::KeysStale`].
    pub(super) fn verify(
        &self,
        token: UnverifiedToken<'_>,
        now: UnixSeconds,
        platform: Option<Platform>,
        room: &mut SignedPayload,
    ) -> Result<KeyName<'_>, Refused<'_, TokenError>> {
        let mut trial = Trial::new(token, now, platform, room);
        let is_named = trial.token().key_id.is_some();
        match self.own.verify(&mut trial) {
            Ok(id) => Ok(KeyName::own(id)),
            // An own key signed it, where it does not count.
            Err(refused) if refused.key_id.is_some() || self.sets.is_empty() => Err(refused),
            // A `kid` that the workspace's own key has is that key's.
            Err(refused) if is_named && refused.error != TokenError::UnknownKey => Err(refused),
            Err(refused) => Ok(self.verify_by_sets(refused.error, &mut trial, now)?),
        }
    }

    /// The key of this name, where tokens that it signed would hold now: a session that was given for one stands no longer than its key.
    ///
    /// # Errors
    /// As [`TokenKeys::find`], and [`TokenError::KeysStale`].
    pub(super) fn find(
        &self,
        name: &str,
        now: UnixSeconds,
        platform: Option<Platform>,
    ) -> Result<KeyName<'_>, TokenError> {
        match self.own.find(name, now, platform) {
            Err(TokenError::UnknownKey) => {}
            found => return found.map(|id| KeyName::own(id)),
        }
        let named = self.sets.iter().find_map(|set| Some((set, name.strip_prefix(&*set.id)?.strip_prefix('/')?)));
        let (set, kid) = named.ok_or(TokenError::UnknownKey)?;
        let current = set.published.current();
        match (&*current, current.is_stale(set.stale_after_seconds, now)) {
            (Publication::Nothing, _) | (_, true) => Err(TokenError::KeysStale),
            (Publication::Fixed(keys) | Publication::Confirmed { keys, at: _ }, false) => {
                keys.keys.find(kid, now, platform).map(|kid| KeyName::of_set(&set.id, kid))
            }
        }
    }

    /// By the sets, after the own keys failed with `failure`.
    fn verify_by_sets(
        &self,
        mut failure: TokenError,
        trial: &mut Trial<'_>,
        now: UnixSeconds,
    ) -> Result<KeyName<'_>, TokenError> {
        let is_named = trial.token().key_id.is_some();
        let (mut is_found, mut is_stale) = (false, false);
        for set in &self.sets {
            let current = set.published.current();
            let keys = match (&*current, current.is_stale(set.stale_after_seconds, now)) {
                (Publication::Nothing, _) | (_, true) => {
                    if set.may_have_signed(trial.token()) {
                        is_stale = true;
                        // Whoever is back shall be asked soon, and not only when it is due.
                        set.published.missed();
                    }
                    continue;
                }
                (Publication::Fixed(keys) | Publication::Confirmed { keys, at: _ }, false) => &keys.keys,
            };
            if trial.token().key_id.as_deref().is_some_and(|kid| !keys.has(kid)) {
                continue;
            }
            is_found = is_named;
            match keys.verify(trial) {
                Ok(kid) => return Ok(KeyName::of_set(&set.id, kid)),
                Err(refused) => failure = graver(failure, refused.error),
            }
        }
        if is_named && !is_found {
            // An issuer may have begun to sign with a key that it did not have when it was last asked.
            self.sets.iter().filter(|set| set.may_have_signed(trial.token())).for_each(|set| set.published.missed());
        }
        Err(if is_stale && !is_found { TokenError::KeysStale } else { failure })
    }
}

/// What of the failures by several sets of keys says more: a signature that was looked at, before a key that was none.
const TELLING: [TokenError; 3] = [TokenError::WrongAlgorithm, TokenError::KeyNotInForce, TokenError::BadSignature];

fn graver(one: TokenError, other: TokenError) -> TokenError {
    let tells = |error| TELLING.iter().position(|telling| *telling == error);
    if tells(other) > tells(one) { other } else { one }
}

#[cfg(test)]
mod tests;
