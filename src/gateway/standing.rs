//! Whether a proof that holds by itself still stands: what other requests have left in the state decides.
//!
//! It comes after all else that a proof must be, so that no token that is forged, ended or about somebody else uses up an id.

use std::borrow::Cow;

use bytes::Bytes;

use crate::clock::UnixSeconds;
use crate::edge::origin::RequestOrigin;
use crate::epoch::Tenant;
use crate::identity::{Proofs, TokenFacts, Withdrawal};
use crate::policy::{Replay, word};
use crate::state::{Claimed, Key, Space, StateError, Store, Voucher, VoucherToken};

/// What a request says of where it comes from, and the state that is asked.
pub(super) struct Standing<'s> {
    pub(super) tenant: &'s Tenant,
    pub(super) origin: &'s RequestOrigin,
    /// The values of the messenger's session.
    pub(super) sessions: &'s [Cow<'s, str>],
    pub(super) now: UnixSeconds,
    pub(super) state: &'s dyn Store,
}

impl Standing<'_> {
    /// Withdraws a proof that does not stand.
    ///
    /// # Errors
    ///
    /// The state has no answer; the proof is as it was.
    pub(super) async fn look_up(&self, proofs: &mut Proofs<'_>) -> Result<(), StateError> {
        // First, so that what was taken back uses up no id.
        let withdrawal = if self.is_revoked(proofs) {
            Some(Withdrawal::Revoked)
        } else if let Some(token) = proofs.token() {
            self.replayed(&token).await?
        } else {
            None
        };
        if let Some(why) = withdrawal {
            proofs.withdraw(why);
        }
        Ok(())
    }

    fn is_revoked(&self, proofs: &Proofs<'_>) -> bool {
        let revocations = self.state.revocations();
        if revocations.is_empty() {
            return false;
        }
        let (Some(subject), Some(key)) = (proofs.subject(), proofs.key_id()) else { return false };
        let token = proofs.token().map(|TokenFacts { id, issued, .. }| VoucherToken { id, issued });
        let voucher = Voucher { workspace: &self.tenant.workspace.id, key, subject, token };
        revocations.cover(&voucher, self.now)
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

/// Texts as one, lengths first, so that no two lists of them are one sequence of bytes.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
