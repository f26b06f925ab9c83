//! Signatures of tokens: which key is tried, and whether it signed. The one file that knows `jsonwebtoken`.
//!
//! Of that crate only `crypto::verify` is used, and for shared secrets only. Its `decode` reads the system clock, takes the last of two
//! equal claims, and ignores `crit`; and of a public key it reads the file's form anew for each token, where the library below it keeps it read.

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, crypto};
use secrecy::ExposeSecret;

use super::Secret;
use super::compact::UnverifiedToken;
use super::seen::{SeenTokens, TokenDigest};
use super::verdict::{Refused, TokenError};
use crate::clock::UnixSeconds;
use crate::policy::{Algorithm, KEY_TRIES_MAX, KeyKind, KeyTerm};
use crate::profile::{Platform, Platforms};

/// Keys for tokens: those of a workspace, or those of a set.
pub(super) struct TokenKeys {
    keys: Vec<TokenKey>,
    /// The index of the key that signed last. Most tokens come from one key, so that trying it first makes one signature the rule. It is a
    /// hint: a stale one costs time and changes no outcome.
    recent: AtomicUsize,
    /// Only what a key pair signed: a shared secret verifies in less time than a look takes.
    seen: SeenTokens,
}

struct TokenKey {
    id: Arc<str>,
    algorithm: Algorithm,
    term: KeyTerm,
    platforms: Platforms,
    key: VerifyingKey,
}

/// The key that signed.
struct Signer {
    index: usize,
    /// Whether it is for the platform of the request.
    counts: bool,
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

/// One token before one set of keys after another: what a forged token costs has its limit over all of them.
pub(super) struct Trial<'t> {
    token: UnverifiedToken<'t>,
    now: UnixSeconds,
    /// Where the request comes from, as far as that is known.
    platform: Option<Platform>,
    room: &'t mut SignedPayload,
    /// Signatures that were looked at.
    tries: usize,
    digest: OnceCell<TokenDigest>,
}

impl<'t> Trial<'t> {
    pub(super) fn new(
        token: UnverifiedToken<'t>,
        now: UnixSeconds,
        platform: Option<Platform>,
        room: &'t mut SignedPayload,
    ) -> Self {
        Self { token, now, platform, room, tries: 0, digest: OnceCell::new() }
    }

    pub(super) fn token(&self) -> &UnverifiedToken<'t> {
        &self.token
    }

    /// By which a token is known again: only where a signature costs more than the look.
    fn digest(&self) -> Option<TokenDigest> {
        let is_dear = self.token.algorithm.is_some_and(|algorithm| algorithm.key_kind() != KeyKind::Secret);
        is_dear.then(|| *self.digest.get_or_init(|| TokenDigest::of(&self.token)))
    }
}

impl TokenKeys {
    pub(super) fn new() -> Self {
        Self { keys: Vec::new(), recent: AtomicUsize::new(0), seen: SeenTokens::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn push(
        &mut self,
        id: &str,
        algorithm: Algorithm,
        term: KeyTerm,
        platforms: Platforms,
        key: VerifyingKey,
    ) {
        self.keys.push(TokenKey { id: id.into(), algorithm, term, platforms, key });
    }

    #[cfg(test)]
    pub(super) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.keys.iter().map(|key| key.algorithm)
    }

    /// Whether a key has this id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|key| *key.id == *id)
    }

    /// Whether a key that signed before would be looked at now.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`], [`TokenError::KeyNotInForce`] or [`TokenError::KeyForOtherPlatform`].
    pub(super) fn find(&self, id: &str, now: UnixSeconds, platform: Option<Platform>) -> Result<&Arc<str>, TokenError> {
        let key = self.keys.iter().find(|key| *key.id == *id).ok_or(TokenError::UnknownKey)?;
        match (key.term.holds(now.0), key.platforms.count_from(platform)) {
            (true, true) => Ok(&key.id),
            (false, _) => Err(TokenError::KeyNotInForce),
            (true, false) => Err(TokenError::KeyForOtherPlatform),
        }
    }

    /// Finds the key that signed the token, the one it names, or else one of all in force; gives its id, and the payload into the trial's
    /// room.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`], [`TokenError::KeyNotInForce`], [`TokenError::WrongAlgorithm`], [`TokenError::BadSignature`] or
    /// [`TokenError::KeyForOtherPlatform`].
    pub(super) fn verify(&self, trial: &mut Trial<'_>) -> Result<&Arc<str>, Refused<'_, TokenError>> {
        let Signer { index, counts } = match &trial.token.key_id {
            Some(id) => {
                let index = self.keys.iter().position(|key| *key.id == **id).ok_or(TokenError::UnknownKey)?;
                self.try_keys([index], trial)?
            }
            None if self.keys.is_empty() => return Err(TokenError::UnknownKey.into()),
            None => {
                let recent = self.recent.load(Ordering::Relaxed);
                let others = (0..self.keys.len()).filter(|index| *index != recent);
                self.try_keys(std::iter::once(recent).chain(others), trial)?
            }
        };
        let key = self.keys.get(index).ok_or(TokenError::UnknownKey)?;
        if !counts {
            return Err(Refused { error: TokenError::KeyForOtherPlatform, key_id: Some(&key.id) });
        }
        self.recent.store(index, Ordering::Relaxed);
        trial.room.bytes = std::mem::take(&mut trial.token.payload);
        Ok(&key.id)
    }

    /// The index of the first key that signed. A key of another algorithm than the header's is not tried: the header never chooses how a
    /// key is used, which is what `none` and an RSA public key taken for an HMAC secret live on (RFC 8725 §3.1).
    ///
    /// Keys for other platforms come last, to be told from a stranger's: what they sign is refused.
    fn try_keys(
        &self,
        indices: impl IntoIterator<Item = usize> + Clone,
        trial: &mut Trial<'_>,
    ) -> Result<Signer, TokenError> {
        let platform = trial.platform;
        let counts = |index: &usize| self.keys.get(*index).is_some_and(|key| key.platforms.count_from(platform));
        let found = |index| Ok(Signer { index, counts: counts(&index) });
        let elsewhere = indices.clone().into_iter().filter(|index| !counts(index));
        let indices = indices.into_iter().filter(counts).chain(elsewhere);
        let mut failure = TokenError::WrongAlgorithm;
        let digest = trial.digest();
        // That a key for another platform signed it says nothing of the others: one key may stand here under two names.
        let known = digest.and_then(|digest| self.seen.signer(&digest)).filter(counts);
        let (token, now) = (&trial.token, trial.now);
        let tries = &mut trial.tries;
        for index in indices {
            let Some(key) = self.keys.get(index) else { continue };
            if token.algorithm != Some(key.algorithm) {
                continue;
            }
            if !key.term.holds(now.0) {
                if *tries == 0 {
                    failure = TokenError::KeyNotInForce;
                }
                continue;
            }
            match known {
                Some(known) if known == index => return found(index),
                // Another key did.
                Some(_) => continue,
                None => {}
            }
            if *tries == KEY_TRIES_MAX {
                break;
            }
            *tries += 1;
            if key.signed(token) {
                if let Some(digest) = digest {
                    self.seen.remember(digest, index);
                }
                return found(index);
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
