//! Whether a proof that holds by itself still stands: what other requests have left in the state decides.
//!
//! It comes after all else that a proof must be, so that no token that is forged, ended or about somebody else uses up an id.

use std::borrow::Cow;

use bytes::Bytes;

use crate::clock::UnixSeconds;
use crate::edge::origin::RequestOrigin;
use crate::epoch::Tenant;
use crate::identity::{ProofVerdict, Proofs, TokenFacts, Withdrawal};
use crate::policy::{OnSessionEnd, Replay, word};
use crate::profile::Class;
use crate::state::{Claimed, Key, Space, StateError, Store, Voucher, VoucherToken};

/// How many tokens a session is remembered to have carried: a page renews its token now and then, and old ones end.
const SESSION_TOKENS_MAX: u8 = 8;

/// What a request says of where it comes from, and the state that is asked.
pub(super) struct Standing<'s> {
    pub(super) tenant: &'s Tenant,
    pub(super) class: Class,
    pub(super) origin: &'s RequestOrigin,
    /// The values of the messenger's session.
    pub(super) sessions: &'s [Cow<'s, str>],
    pub(super) now: UnixSeconds,
    pub(super) state: &'s dyn Store,
}

impl Standing<'_> {
    /// Withdraws a proof that does not stand; remembers for a session which tokens it carries.
    ///
    /// # Errors
    ///
    /// The state has no answer; the proof is as it was.
    pub(super) async fn look_up(&self, proofs: &mut Proofs<'_>) -> Result<(), StateError> {
        // First, so that what was taken back uses up no id.
        let withdrawal = if self.is_revoked(proofs) {
            Some(Withdrawal::Revoked)
        } else if let Some(token) = proofs.token() {
            match (self.is_ended(&token).await?, proofs.verdict()) {
                (true, _) => Some(Withdrawal::Revoked),
                // It was used once, when it was exchanged; the session that it was given for is another thing.
                (false, ProofVerdict::Exchanged) => None,
                (false, _) => self.replayed(&token).await?,
            }
        } else {
            None
        };
        match (withdrawal, proofs.token()) {
            (Some(why), _) => proofs.withdraw(why),
            (None, Some(token)) if self.ends_sessions() && self.class != Class::SessionEnd => {
                self.remember(&token).await?;
            }
            (None, Some(_) | None) => {}
        }
        Ok(())
    }

    /// Ends the tokens of the session that the request ends: the one that it proves itself by, and those that came with the session before.
    /// Nobody can end what they neither have nor know the session of.
    ///
    /// # Errors
    ///
    /// The state is full or cannot be reached; some may have ended.
    pub(super) async fn end_session(&self, proofs: &Proofs<'_>) -> Result<(), StateError> {
        if self.class != Class::SessionEnd || !self.ends_sessions() {
            return Ok(());
        }
        if let Some((key, until)) = proofs.token().and_then(|token| self.ended_key(&token)) {
            self.state.put(key, Bytes::new(), until, self.now).await?;
        }
        for slot in self.slots() {
            if let Some((key, until)) = self.state.get(slot, self.now).await?.as_deref().and_then(read_slot) {
                self.state.put(key, Bytes::new(), until, self.now).await?;
                self.state.remove(slot).await?;
            }
        }
        Ok(())
    }

    fn ends_sessions(&self) -> bool {
        self.tenant.workspace.identity.session_end == OnSessionEnd::Revoke
    }

    async fn is_ended(&self, token: &TokenFacts<'_>) -> Result<bool, StateError> {
        if !self.ends_sessions() {
            return Ok(false);
        }
        match self.ended_key(token) {
            Some((key, _)) => Ok(self.state.get(key, self.now).await?.is_some()),
            None => Ok(false),
        }
    }

    fn ended_key(&self, token: &TokenFacts<'_>) -> Option<(Key, UnixSeconds)> {
        let name = joined(&[token.issuer.unwrap_or_default().as_bytes(), token.id?.as_bytes()]);
        Some((Key::of(Space::EndedToken, &self.tenant.workspace.id, &name), token.until?))
    }

    /// Puts the token into a slot of the session: an empty one, or that of a token that ends sooner, the first to end.
    async fn remember(&self, token: &TokenFacts<'_>) -> Result<(), StateError> {
        let Some((key, until)) = self.ended_key(token) else { return Ok(()) };
        let value = Bytes::from([&until.0.to_be_bytes()[..], key.bytes()].concat());
        let mut first: Option<(UnixSeconds, Key)> = None;
        for slot in self.slots() {
            match self.state.claim(slot, value.clone(), until, self.now).await? {
                Claimed::First => return Ok(()),
                Claimed::Already(there) if there == value => return Ok(()),
                Claimed::Already(there) => {
                    let end = read_slot(&there).map_or(self.now, |(_, end)| end);
                    if first.is_none_or(|(earliest, _)| end < earliest) {
                        first = Some((end, slot));
                    }
                }
            }
        }
        match first {
            Some((end, slot)) if end < until => self.state.put(slot, value, until, self.now).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Where the tokens of the request's session are remembered. Two sessions in one request are none: whose it is is not known.
    fn slots(&self) -> impl Iterator<Item = Key> {
        let session = match self.sessions {
            [first, others @ ..] if others.iter().all(|other| other == first) => Some(&**first),
            [] | [_, ..] => None,
        };
        let workspace = &self.tenant.workspace.id;
        session.into_iter().flat_map(move |session| {
            (0..SESSION_TOKENS_MAX)
                .map(move |slot| Key::of(Space::SessionTokens, workspace, &joined(&[session.as_bytes(), &[slot]])))
        })
    }

    fn is_revoked(&self, proofs: &Proofs<'_>) -> bool {
        let revocations = self.state.revocations();
        if revocations.is_empty() {
            return false;
        }
        let Some(subject) = proofs.subject() else { return false };
        let token = proofs.token().map(|TokenFacts { id, issued, .. }| VoucherToken { id, issued });
        // A key of a set goes with its own name, `idp/k1`, and with the set's.
        let name = proofs.key_id();
        let set = proofs.policy_key_id().filter(|set| Some(*set) != name);
        name.into_iter().chain(set).any(|key| {
            let voucher = Voucher { workspace: &self.tenant.workspace.id, key, subject, token };
            revocations.cover(&voucher, self.now)
        })
    }

    /// Whether the token was used before, or elsewhere, where the policy asks.
    async fn replayed(&self, token: &TokenFacts<'_>) -> Result<Option<Withdrawal>, StateError> {
        let rule = self.tenant.workspace.identity.replay;
        let (value, otherwise) = match rule {
            Replay::Allow => return Ok(None),
            Replay::SingleUse => (Bytes::new(), Withdrawal::Replayed),
            Replay::FirstOrigin => (self.digest_of(&[&self.origin_bytes()]), Withdrawal::BoundElsewhere),
            Replay::FirstSession => {
                let sessions: Vec<&[u8]> = self.sessions.iter().map(|session| session.as_bytes()).collect();
                (self.digest_of(&sessions), Withdrawal::BoundElsewhere)
            }
        };
        // Whoever verified the token has seen to it that it has both.
        let (Some(id), Some(until)) = (token.id, token.until) else { return Ok(Some(Withdrawal::Replayed)) };
        // Under each rule for itself: a policy that changes must not take one rule's memory for another's.
        let name = joined(&[word(rule).as_bytes(), token.issuer.unwrap_or_default().as_bytes(), id.as_bytes()]);
        let key = Key::of(Space::TokenId, &self.tenant.workspace.id, &name);
        Ok(match self.state.claim(key, value.clone(), until, self.now).await? {
            Claimed::First => None,
            Claimed::Already(_) if rule == Replay::SingleUse => Some(otherwise),
            Claimed::Already(there) => (there != value).then_some(otherwise),
        })
    }

    fn origin_bytes(&self) -> Vec<u8> {
        match self.origin {
            RequestOrigin::Missing => Vec::new(),
            RequestOrigin::Null => b"null".to_vec(),
            // Admitted it is not.
            RequestOrigin::Malformed => b"malformed".to_vec(),
            RequestOrigin::Origin(origin) => origin.as_str().as_bytes().to_vec(),
        }
    }

    /// What is compared with what came first, and says nothing of it.
    fn digest_of(&self, parts: &[&[u8]]) -> Bytes {
        Bytes::copy_from_slice(Key::of(Space::TokenId, &self.tenant.workspace.id, &joined(parts)).bytes())
    }
}

/// What stands in a slot: the end of a token, and the name under which it ends.
fn read_slot(value: &[u8]) -> Option<(Key, UnixSeconds)> {
    let (until, digest) = value.split_first_chunk::<8>()?;
    Some((Key::of_digest(Space::EndedToken, digest.try_into().ok()?), UnixSeconds(i64::from_be_bytes(*until))))
}

/// Texts as one, lengths first, so that no two lists of them are one sequence of bytes.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
