//! Signatures of tokens: which key is tried, and whether it signed. The one file that knows `jsonwebtoken`.
//!
//! Of that crate only `crypto::verify` is used. Its `decode` reads the system clock, takes the last of two equal claims, and ignores `crit`.

use std::sync::atomic::{AtomicUsize, Ordering};

use jsonwebtoken::{DecodingKey, crypto};
use secrecy::ExposeSecret;

use super::Secret;
use super::compact::UnverifiedToken;
use super::verdict::TokenError;
use crate::policy::Algorithm;

/// The keys in force for tokens, at most [`KEYS_PER_USE_MAX`](super::KEYS_PER_USE_MAX): so many signatures a token may cost.
pub(super) struct TokenKeys {
    keys: Vec<TokenKey>,
    /// The index of the key that signed last. Most tokens come from one key, so that trying it first makes one signature the rule. It is a
    /// hint: a stale one costs time and changes no outcome.
    recent: AtomicUsize,
}

struct TokenKey {
    id: String,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Room for the payload of a token. Nothing is put in before the signature is found to hold.
///
/// The claims of a token borrow from it, so that whoever has a token verified lends the room.
#[derive(Default)]
pub struct SignedPayload {
    bytes: Vec<u8>,
}

impl SignedPayload {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl TokenKeys {
    pub(super) fn new() -> Self {
        Self { keys: Vec::new(), recent: AtomicUsize::new(0) }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn push(&mut self, id: &str, algorithm: Algorithm, secret: &Secret) {
        let key = match algorithm {
            Algorithm::Hs256 => DecodingKey::from_secret(secret.expose_secret()),
        };
        self.keys.push(TokenKey { id: id.to_owned(), algorithm, key });
    }

    /// Finds the key that signed the token, the one it names, or else one of all; gives its id, and the payload into `room`.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`], [`TokenError::WrongAlgorithm`] or [`TokenError::BadSignature`].
    pub(super) fn verify(&self, token: UnverifiedToken<'_>, room: &mut SignedPayload) -> Result<&str, TokenError> {
        let index = match &token.key_id {
            Some(id) => {
                let index = self.keys.iter().position(|key| key.id == *id).ok_or(TokenError::UnknownKey)?;
                self.try_keys([index], &token)?
            }
            None if self.keys.is_empty() => return Err(TokenError::UnknownKey),
            None => {
                let recent = self.recent.load(Ordering::Relaxed);
                let others = (0..self.keys.len()).filter(|index| *index != recent);
                self.try_keys(std::iter::once(recent).chain(others), &token)?
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
    ) -> Result<usize, TokenError> {
        let mut failure = TokenError::WrongAlgorithm;
        for index in indices {
            let Some(key) = self.keys.get(index) else { continue };
            if token.algorithm != Some(key.algorithm) {
                continue;
            }
            if key.signed(token) {
                return Ok(index);
            }
            failure = TokenError::BadSignature;
        }
        Err(failure)
    }
}

impl TokenKey {
    fn signed(&self, token: &UnverifiedToken<'_>) -> bool {
        let algorithm = match self.algorithm {
            Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        };
        // `Ok(false)` is a bad signature; an error is a key of another family or broken base64. Only the one answer is yes.
        matches!(crypto::verify(token.signature, token.message.as_bytes(), &self.key, algorithm), Ok(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{HEADER, SECRET, encode, secret, sign, signature};
    use crate::policy::Limits;

    const OLD: &[u8] = b"old-secret-0123456789abcdef0123456789";
    const UNKNOWN: &[u8] = b"nobodys-secret-0123456789abcdef0123456789";

    fn keys() -> TokenKeys {
        let mut keys = TokenKeys::new();
        keys.push("web-2025", Algorithm::Hs256, &secret(OLD));
        keys.push("web-2026", Algorithm::Hs256, &secret(SECRET));
        keys
    }

    fn verify(keys: &TokenKeys, text: &str) -> Result<String, TokenError> {
        let token = UnverifiedToken::parse(text, &Limits::default())?;
        keys.verify(token, &mut SignedPayload::default()).map(str::to_owned)
    }

    #[track_caller]
    fn check(header: &str, by: &[u8], expected: Result<&str, TokenError>) {
        assert_eq!(verify(&keys(), &sign(header, "{}", by)), expected.map(str::to_owned), "{header}");
    }

    #[test]
    fn without_a_kid_every_key_in_force_counts() {
        check(HEADER, SECRET, Ok("web-2026"));
        check(HEADER, OLD, Ok("web-2025"));
        check(HEADER, UNKNOWN, Err(TokenError::BadSignature));
    }

    #[test]
    fn with_a_kid_only_that_key_counts() {
        check(r#"{"alg":"HS256","kid":"web-2026"}"#, SECRET, Ok("web-2026"));
        check(r#"{"alg":"HS256","kid":"web-2025"}"#, OLD, Ok("web-2025"));
        check(r#"{"alg":"HS256","kid":"web-2025"}"#, SECRET, Err(TokenError::BadSignature));
        check(r#"{"alg":"HS256","kid":"web-2026"}"#, UNKNOWN, Err(TokenError::BadSignature));
        for kid in ["", "web-2027", "WEB-2026", "web-2026 ", "../../dev/null", "' OR 1=1 --", "0"] {
            check(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#), SECRET, Err(TokenError::UnknownKey));
        }
    }

    #[test]
    fn the_header_never_chooses_the_algorithm() {
        for alg in [
            "none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA",
        ] {
            check(&format!(r#"{{"alg":"{alg}"}}"#), SECRET, Err(TokenError::WrongAlgorithm));
            check(&format!(r#"{{"alg":"{alg}","kid":"web-2026"}}"#), SECRET, Err(TokenError::WrongAlgorithm));
        }
    }

    #[test]
    fn a_real_signature_of_another_algorithm_is_none() {
        let message = format!("{}.{}", encode(r#"{"alg":"HS512"}"#), encode("{}"));
        let signed = signature(aws_lc_rs::hmac::HMAC_SHA512, SECRET, &message);
        assert_eq!(verify(&keys(), &format!("{message}.{signed}")), Err(TokenError::WrongAlgorithm));
        let message = format!("{}.{}", encode(HEADER), encode("{}"));
        let signed = signature(aws_lc_rs::hmac::HMAC_SHA512, SECRET, &message);
        assert_eq!(verify(&keys(), &format!("{message}.{signed}")), Err(TokenError::BadSignature));
    }

    #[test]
    fn a_signature_cut_short_is_none() {
        let text = sign(HEADER, "{}", SECRET);
        let (message, _) = text.rsplit_once('.').expect("three parts");
        for signature in ["AA", "AAAA"] {
            assert_eq!(verify(&keys(), &format!("{message}.{signature}")), Err(TokenError::BadSignature));
        }
        let shorter = text.get(..text.len() - 3).expect("ASCII");
        assert!(verify(&keys(), shorter).is_err());
    }

    #[test]
    fn without_keys_every_key_is_unknown() {
        assert_eq!(verify(&TokenKeys::new(), &sign(HEADER, "{}", SECRET)), Err(TokenError::UnknownKey));
        let empty = sign(HEADER, "{}", b"");
        assert_eq!(verify(&TokenKeys::new(), &empty), Err(TokenError::UnknownKey));
    }

    #[test]
    fn the_key_that_signed_last_is_tried_first_and_the_others_still_count() {
        let keys = keys();
        for (by, id) in [(SECRET, "web-2026"), (SECRET, "web-2026"), (OLD, "web-2025"), (SECRET, "web-2026")] {
            assert_eq!(verify(&keys, &sign(HEADER, "{}", by)).as_deref(), Ok(id));
            assert_eq!(keys.keys[keys.recent.load(Ordering::Relaxed)].id, id);
        }
        assert_eq!(verify(&keys, &sign(HEADER, "{}", UNKNOWN)), Err(TokenError::BadSignature));
        assert_eq!(keys.recent.load(Ordering::Relaxed), 1, "a failure moves nothing");
    }
}
