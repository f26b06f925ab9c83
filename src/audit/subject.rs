//! Keyed hashes: how a record names somebody without saying who.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;

/// Why a key of hashes cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectKeyError {
    #[error(
        "expected at least {KEY_BYTES_MIN} bytes: e-mail addresses can be guessed, so a guessable key hides nothing"
    )]
    Short,
    #[error("no random numbers")]
    Random,
}

/// The shortest key of hashes: 128 bits.
const KEY_BYTES_MIN: usize = 16;

/// The key of the hashes in records (HMAC-SHA-256, RFC 2104). Whoever has it can tell whether a line is about a given user; nobody else can.
#[derive(Clone)]
pub struct SubjectKey(hmac::Key);

impl SubjectKey {
    /// The operator's key: hashes stay the same over restarts and machines.
    ///
    /// # Errors
    ///
    /// Fewer than 16 bytes.
    pub fn new(secret: &[u8]) -> Result<Self, SubjectKeyError> {
        if secret.len() < KEY_BYTES_MIN {
            return Err(SubjectKeyError::Short);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// A key of this run: hashes of two runs differ.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn random() -> Result<Self, SubjectKeyError> {
        match hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()) {
            Ok(key) => Ok(Self(key)),
            Err(aws_lc_rs::error::Unspecified) => Err(SubjectKeyError::Random),
        }
    }

    /// How a record names this user.
    #[must_use]
    pub fn subject(&self, id: &str) -> Hash {
        self.hash(b"subject\0", id)
    }

    pub(super) fn name(&self, name: &str) -> Hash {
        self.hash(b"name\0", name)
    }

    pub(super) fn client_certificate(&self, name: &str) -> Hash {
        self.hash(b"client certificate\0", name)
    }

    pub(super) fn origin(&self, origin: &str) -> Hash {
        self.hash(b"origin\0", origin)
    }

    /// The kind goes in first, so that the hash of a user who is called like an attribute is not the attribute's.
    fn hash(&self, kind: &[u8], text: &str) -> Hash {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(kind);
        context.update(text.as_bytes());
        let mut hash = [0; HASH_BYTES];
        for (to, from) in hash.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        Hash(hash)
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectKey(..)")
    }
}

/// 128 bits are enough to tell users apart.
const HASH_BYTES: usize = 16;

/// A keyed hash, written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hash([u8; HASH_BYTES]);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_first_half_of_hmac_sha256() {
        let key = SubjectKey::new(&[7; 32]).unwrap();
        let whole = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), b"subject\0ada");
        assert_eq!(key.subject("ada").0, whole.as_ref()[..16]);
        assert_eq!(Hash([0x0a; 16]).to_string(), "0a".repeat(16));
    }

    #[test]
    fn a_hash_depends_on_key_kind_and_text() {
        let key = SubjectKey::new(&[7; 32]).unwrap();
        assert_eq!(key.subject("ada"), key.subject("ada"));
        assert_ne!(key.subject("ada"), key.subject("Ada"));
        assert_ne!(key.subject("ada"), key.name("ada"));
        assert_ne!(key.subject("ada"), SubjectKey::new(&[8; 32]).unwrap().subject("ada"));
        assert_ne!(SubjectKey::random().unwrap().subject("ada"), SubjectKey::random().unwrap().subject("ada"));
    }

    #[test]
    fn a_short_key_is_refused_and_none_is_printed() {
        assert_eq!(SubjectKey::new(&[7; 15]).err(), Some(SubjectKeyError::Short));
        assert_eq!(format!("{:?}", SubjectKey::new(&[7; 16]).unwrap()), "SubjectKey(..)");
    }
}
