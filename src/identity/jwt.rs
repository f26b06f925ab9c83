//! Signatures of tokens: which key is tried, and whether it signed. The one file that knows `jsonwebtoken`.
//!
//! Of that crate only `crypto::verify` is used, and for shared secrets only. Its `decode` reads the system clock, takes the last of two
//! equal claims, and ignores `crit`; and of a public key it reads the file's form anew for each token, where the library below it keeps it read.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, crypto};
use secrecy::ExposeSecret;

use super::Secret;
use super::compact::UnverifiedToken;
use super::seen::{SeenTokens, TokenDigest};
use super::verdict::TokenError;
use crate::clock::UnixSeconds;
use crate::policy::{Algorithm, KEY_TRIES_MAX, KeyKind, KeyTerm};

/// The keys of a workspace for tokens.
pub(super) struct TokenKeys {
    keys: Vec<TokenKey>,
    /// The index of the key that signed last. Most tokens come from one key, so that trying it first makes one signature the rule. It is a
    /// hint: a stale one costs time and changes no outcome.
    recent: AtomicUsize,
    /// Only what a key pair signed: a shared secret verifies in less time than a look takes.
    seen: SeenTokens,
}

struct TokenKey {
    id: String,
    algorithm: Algorithm,
    term: KeyTerm,
    key: VerifyingKey,
}

/// By what a signature is verified.
pub(super) enum VerifyingKey {
    Secret(DecodingKey),
    Public(ParsedPublicKey),
}

impl VerifyingKey {
    pub(super) fn secret(secret: &Secret) -> Self {
        VerifyingKey::Secret(DecodingKey::from_secret(secret.expose_secret()))
    }
}

/// Room for the payload of a token. Nothing is put in before the signature is found to hold.
///
/// The claims of a token borrow from it, so that whoever has a token verified lends the room.
#[derive(Default)]
pub struct SignedPayload {
    bytes: Vec<u8>,
}

impl SignedPayload {
    /// What was opened, of which the tag has shown that nobody changed it.
    pub(super) fn hold(&mut self, opened: Vec<u8>) {
        self.bytes = opened;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl TokenKeys {
    pub(super) fn new() -> Self {
        Self { keys: Vec::new(), recent: AtomicUsize::new(0), seen: SeenTokens::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn push(&mut self, id: &str, algorithm: Algorithm, term: KeyTerm, key: VerifyingKey) {
        self.keys.push(TokenKey { id: id.to_owned(), algorithm, term, key });
    }

    /// Whether a key that signed before would be looked at now.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`] or [`TokenError::KeyNotInForce`].
    pub(super) fn find(&self, id: &str, now: UnixSeconds) -> Result<&str, TokenError> {
        let key = self.keys.iter().find(|key| key.id == id).ok_or(TokenError::UnknownKey)?;
        if key.term.holds(now.0) { Ok(&key.id) } else { Err(TokenError::KeyNotInForce) }
    }

    /// Finds the key that signed the token, the one it names, or else one of all in force; gives its id, and the payload into `room`.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`], [`TokenError::KeyNotInForce`], [`TokenError::WrongAlgorithm`] or [`TokenError::BadSignature`].
    pub(super) fn verify(
        &self,
        token: UnverifiedToken<'_>,
        now: UnixSeconds,
        room: &mut SignedPayload,
    ) -> Result<&str, TokenError> {
        let index = match &token.key_id {
            Some(id) => {
                let index = self.keys.iter().position(|key| key.id == *id).ok_or(TokenError::UnknownKey)?;
                self.try_keys([index], &token, now)?
            }
            None if self.keys.is_empty() => return Err(TokenError::UnknownKey),
            None => {
                let recent = self.recent.load(Ordering::Relaxed);
                let others = (0..self.keys.len()).filter(|index| *index != recent);
                self.try_keys(std::iter::once(recent).chain(others), &token, now)?
            }
        };
        self.recent.store(index, Ordering::Relaxed);
        let key = self.keys.get(index).ok_or(TokenError::UnknownKey)?;
        room.bytes = token.payload;
        Ok(&key.id)
    }

    /// The index of the first key that signed. A key of another algorithm than the header's is not tried: the header never chooses how a
    /// key is used, which is what `none` and an RSA public key taken for an HMAC secret live on (RFC 8725 §3.1).
    fn try_keys(
        &self,
        indices: impl IntoIterator<Item = usize>,
        token: &UnverifiedToken<'_>,
        now: UnixSeconds,
    ) -> Result<usize, TokenError> {
        let mut failure = TokenError::WrongAlgorithm;
        let mut tries = 0;
        let is_dear = token.algorithm.is_some_and(|algorithm| algorithm.key_kind() != KeyKind::Secret);
        let digest = is_dear.then(|| TokenDigest::of(token));
        let signer = digest.and_then(|digest| self.seen.signer(&digest));
        for index in indices {
            let Some(key) = self.keys.get(index) else { continue };
            if token.algorithm != Some(key.algorithm) {
                continue;
            }
            if !key.term.holds(now.0) {
                if tries == 0 {
                    failure = TokenError::KeyNotInForce;
                }
                continue;
            }
            match signer {
                Some(signer) if signer == index => return Ok(index),
                // Another key did.
                Some(_) => continue,
                None => {}
            }
            if tries == KEY_TRIES_MAX {
                break;
            }
            tries += 1;
            if key.signed(token) {
                if let Some(digest) = digest {
                    self.seen.remember(digest, index);
                }
                return Ok(index);
            }
            failure = TokenError::BadSignature;
        }
        Err(failure)
    }
}

impl TokenKey {
    fn signed(&self, token: &UnverifiedToken<'_>) -> bool {
        match (&self.key, hmac_algorithm(self.algorithm)) {
            // `Ok(false)` is a bad signature; an error is a key of another family or broken base64. Only the one answer is yes.
            (VerifyingKey::Secret(key), Some(algorithm)) => {
                matches!(crypto::verify(token.signature, token.message.as_bytes(), key, algorithm), Ok(true))
            }
            (VerifyingKey::Public(key), None) => URL_SAFE_NO_PAD
                .decode(token.signature)
                .is_ok_and(|signature| key.verify_sig(token.message.as_bytes(), &signature).is_ok()),
            // No key is made for an algorithm of another kind.
            (VerifyingKey::Secret(_), None) | (VerifyingKey::Public(_), Some(_)) => false,
        }
    }
}

fn hmac_algorithm(algorithm: Algorithm) -> Option<jsonwebtoken::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(jsonwebtoken::Algorithm::HS256),
        Algorithm::Hs384 => Some(jsonwebtoken::Algorithm::HS384),
        Algorithm::Hs512 => Some(jsonwebtoken::Algorithm::HS512),
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::EdDsa => None,
    }
}

#[cfg(test)]
mod tests;
