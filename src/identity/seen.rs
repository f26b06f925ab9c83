//! Tokens whose signature was found to hold: a page sends the same one with every call, and a signature by a key pair is dear.
//!
//! What is remembered is that one key signed one text, and nothing else. Whether the token is in force, for whom, and about whom is asked
//! each time anew. It belongs to one set of keys and goes with it.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use aws_lc_rs::digest;

use super::compact::UnverifiedToken;

/// How many tokens a workspace remembers. A token that finds its slot taken takes it over: a stranger cannot, for only what is signed is kept.
const SLOTS: usize = 1024;

/// SHA-256 over all of a token, so that no two have the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenDigest([u8; digest::SHA256_OUTPUT_LEN]);

impl TokenDigest {
    pub(super) fn of(token: &UnverifiedToken<'_>) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(token.message.as_bytes());
        // Neither part has a dot of its own where another could stand.
        context.update(b".");
        context.update(token.signature.as_bytes());
        let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }

    fn slot(&self) -> usize {
        let [first, second, ..] = self.0;
        usize::from(u16::from_be_bytes([first, second])) % SLOTS
    }
}

/// Which key signed which token, for so many tokens.
pub(super) struct SeenTokens {
    /// Made when the first token comes: most workspaces have no key pair.
    slots: OnceLock<Box<[Mutex<Option<Seen>>]>>,
}

#[derive(Clone, Copy)]
struct Seen {
    digest: TokenDigest,
    /// Its index among the keys.
    key: usize,
}

impl SeenTokens {
    pub(super) fn new() -> Self {
        Self { slots: OnceLock::new() }
    }

    /// The key that is known to have signed the token.
    pub(super) fn signer(&self, digest: &TokenDigest) -> Option<usize> {
        let slot = self.slots.get()?.get(digest.slot())?;
        // Whoever panicked meanwhile left a whole value: it is written at once.
        let seen = (*slot.lock().unwrap_or_else(PoisonError::into_inner))?;
        (seen.digest == *digest).then_some(seen.key)
    }

    /// Remembers that a key signed the token.
    pub(super) fn remember(&self, digest: TokenDigest, key: usize) {
        let slots = self.slots.get_or_init(|| (0..SLOTS).map(|_| Mutex::new(None)).collect());
        if let Some(slot) = slots.get(digest.slot()) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Seen { digest, key });
        }
    }
}

/// Says nothing of whose tokens they are.
impl fmt::Debug for SeenTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeenTokens(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{HEADER, SECRET, sign};
    use crate::policy::Limits;

    fn digest_of(text: &str) -> TokenDigest {
        TokenDigest::of(&UnverifiedToken::parse(text, &Limits::default()).expect("a token"))
    }

    #[test]
    fn every_part_of_a_token_counts() {
        let of = |header: &str, payload: &str, secret: &[u8]| digest_of(&sign(header, payload, secret));
        let seen = SeenTokens::new();
        let token = of(HEADER, "{}", SECRET);
        assert_eq!(seen.signer(&token), None);
        seen.remember(token, 3);
        assert_eq!(seen.signer(&of(HEADER, "{}", SECRET)), Some(3));
        for other in [
            of(r#"{"alg":"HS256"}"#, "{}", SECRET),
            of(HEADER, "[]", SECRET),
            of(HEADER, "{}", b"another-secret-0123456789abcdef0123456789"),
        ] {
            assert_eq!(seen.signer(&other), None);
        }
    }

    #[test]
    fn whoever_comes_later_has_the_slot() {
        let slot_and = |last: u8| {
            let mut bytes = [7; digest::SHA256_OUTPUT_LEN];
            bytes[31] = last;
            TokenDigest(bytes)
        };
        let seen = SeenTokens::new();
        seen.remember(slot_and(1), 0);
        seen.remember(slot_and(2), 1);
        assert_eq!((seen.signer(&slot_and(1)), seen.signer(&slot_and(2))), (None, Some(1)));
        for number in 0..u16::MAX {
            let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
            bytes[..2].copy_from_slice(&number.to_be_bytes());
            seen.remember(TokenDigest(bytes), 0);
        }
        assert_eq!(seen.slots.get().expect("made").len(), SLOTS, "however many come");
    }
}
