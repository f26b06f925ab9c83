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
use super::verdict::TokenError;
use crate::clock::UnixSeconds;
use crate::policy::{Algorithm, KEY_TRIES_MAX, KeyTerm};

/// The keys of a workspace for tokens.
pub(super) struct TokenKeys {
    keys: Vec<TokenKey>,
    /// The index of the key that signed last. Most tokens come from one key, so that trying it first makes one signature the rule. It is a
    /// hint: a stale one costs time and changes no outcome.
    recent: AtomicUsize,
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
        Self { keys: Vec::new(), recent: AtomicUsize::new(0) }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn push(&mut self, id: &str, algorithm: Algorithm, term: KeyTerm, key: VerifyingKey) {
        self.keys.push(TokenKey { id: id.to_owned(), algorithm, term, key });
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
            if tries == KEY_TRIES_MAX {
                break;
            }
            tries += 1;
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
mod tests {
    use super::*;
    use crate::identity::public_key;
    use crate::identity::public_key::vectors::{PAYLOAD, SIGNED};
    use crate::identity::signing::SigningKey;
    use crate::identity::testing::{HEADER, NOW, SECRET, encode, secret, sign, signature};
    use crate::policy::{Limits, word};

    const OLD: &[u8] = b"old-secret-0123456789abcdef0123456789";
    const UNKNOWN: &[u8] = b"nobodys-secret-0123456789abcdef0123456789";

    fn keys() -> TokenKeys {
        let mut keys = TokenKeys::new();
        for (id, bytes) in [("web-2025", OLD), ("web-2026", SECRET)] {
            keys.push(id, Algorithm::Hs256, KeyTerm::default(), VerifyingKey::secret(&secret(bytes)));
        }
        keys
    }

    fn verify(keys: &TokenKeys, text: &str) -> Result<String, TokenError> {
        let token = UnverifiedToken::parse(text, &Limits::default())?;
        keys.verify(token, NOW, &mut SignedPayload::default()).map(str::to_owned)
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

    /// `{"alg":…,"typ":"JWT"}`, the payload, and the signature.
    fn compact(alg: &str, payload: &str, signature: &str) -> String {
        format!("{}.{payload}.{signature}", encode(&format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#)))
    }

    fn only(algorithm: Algorithm, pem: &str) -> TokenKeys {
        let key = public_key::read(pem.as_bytes(), algorithm, "web").expect("a key");
        let mut keys = TokenKeys::new();
        keys.push("web", algorithm, KeyTerm::default(), VerifyingKey::Public(key));
        keys
    }

    #[test]
    fn signatures_of_another_library_hold_and_broken_ones_do_not() {
        for (algorithm, pem, signature) in SIGNED {
            let keys = only(algorithm, pem);
            let alg = word(algorithm);
            assert_eq!(verify(&keys, &compact(alg, PAYLOAD, signature)).as_deref(), Ok("web"), "{alg}");
            // Another payload, another first byte, half of it, too much of it.
            let other = encode(r#"{"user_id":"user-43"}"#);
            let first = if signature.starts_with('A') { "B" } else { "A" };
            let cut = signature.get(..signature.len() / 8 * 4).expect("ASCII");
            for (payload, signature) in [
                (other.as_str(), signature.to_owned()),
                (PAYLOAD, format!("{first}{}", signature.get(1..).expect("ASCII"))),
                (PAYLOAD, cut.to_owned()),
                (PAYLOAD, format!("AAAA{signature}")),
                (PAYLOAD, "A".repeat(signature.len() / 4 * 4)),
            ] {
                let verdict = verify(&keys, &compact(alg, payload, &signature));
                assert_eq!(verdict, Err(TokenError::BadSignature), "{alg} {signature}");
            }
        }
    }

    #[test]
    fn a_key_verifies_by_its_own_algorithm_whatever_the_header_says() {
        for (algorithm, pem, signature) in SIGNED {
            let keys = only(algorithm, pem);
            for other in SIGNED.map(|(other, ..)| word(other)).into_iter().chain(["HS256", "HS512", "none"]) {
                if other != word(algorithm) {
                    let verdict = verify(&keys, &compact(other, PAYLOAD, signature));
                    assert_eq!(verdict, Err(TokenError::WrongAlgorithm), "{algorithm:?} as {other}");
                }
            }
            // The oldest trick: the public key as a shared secret.
            let forged = sign(HEADER, "{}", pem.as_bytes());
            assert_eq!(verify(&keys, &forged), Err(TokenError::WrongAlgorithm));
        }
    }

    #[test]
    fn shared_secrets_sign_by_the_longer_hashes_too() {
        for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
            let signing = SigningKey::of_secret(algorithm, SECRET).expect("a secret");
            let mut keys = TokenKeys::new();
            keys.push("web", algorithm, KeyTerm::default(), VerifyingKey::secret(&secret(SECRET)));
            assert_eq!(verify(&keys, &signing.token(b"{}").expect("signed")).as_deref(), Ok("web"), "{algorithm:?}");
            for other in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
                if other != algorithm {
                    let header = format!(r#"{{"alg":"{}"}}"#, word(other));
                    let token = signing.sign(&header, b"{}").expect("signed");
                    assert_eq!(verify(&keys, &token), Err(TokenError::WrongAlgorithm));
                    let mut others = TokenKeys::new();
                    others.push("web", other, KeyTerm::default(), VerifyingKey::secret(&secret(SECRET)));
                    assert_eq!(verify(&others, &token), Err(TokenError::BadSignature));
                }
            }
        }
    }

    #[test]
    fn a_key_counts_from_its_first_second_to_before_its_last() {
        #[track_caller]
        fn check(not_before: Option<i64>, not_after: Option<i64>, expected: Result<&str, TokenError>) {
            let mut keys = TokenKeys::new();
            let term = KeyTerm { not_before, not_after };
            keys.push("web-2026", Algorithm::Hs256, term, VerifyingKey::secret(&secret(SECRET)));
            for header in [HEADER, r#"{"alg":"HS256","kid":"web-2026"}"#] {
                assert_eq!(verify(&keys, &sign(header, "{}", SECRET)), expected.map(str::to_owned), "{header}");
            }
        }
        let now = NOW.0;
        check(Some(now), None, Ok("web-2026"));
        check(Some(now + 1), None, Err(TokenError::KeyNotInForce));
        check(None, Some(now + 1), Ok("web-2026"));
        check(None, Some(now), Err(TokenError::KeyNotInForce));
        check(Some(now - 1), Some(now + 1), Ok("web-2026"));
    }

    #[test]
    fn beside_a_key_in_force_one_that_is_not_changes_nothing() {
        let mut keys = keys();
        let over = KeyTerm { not_before: None, not_after: Some(NOW.0) };
        keys.push("web-2024", Algorithm::Hs256, over, VerifyingKey::secret(&secret(UNKNOWN)));
        assert_eq!(verify(&keys, &sign(HEADER, "{}", SECRET)).as_deref(), Ok("web-2026"));
        assert_eq!(verify(&keys, &sign(HEADER, "{}", UNKNOWN)), Err(TokenError::BadSignature));
        let named = sign(r#"{"alg":"HS256","kid":"web-2024"}"#, "{}", UNKNOWN);
        assert_eq!(verify(&keys, &named), Err(TokenError::KeyNotInForce));
    }

    #[test]
    fn a_token_without_kid_costs_so_many_signatures_and_one_with_kid_one() {
        let mut keys = TokenKeys::new();
        for index in 0..=KEY_TRIES_MAX {
            let bytes = format!("secret-{index}-0123456789abcdef0123456789");
            let key = VerifyingKey::secret(&secret(bytes.as_bytes()));
            keys.push(&format!("key-{index}"), Algorithm::Hs256, KeyTerm::default(), key);
        }
        let by = |index: usize| format!("secret-{index}-0123456789abcdef0123456789");
        let last = KEY_TRIES_MAX;
        assert_eq!(verify(&keys, &sign(HEADER, "{}", by(last).as_bytes())), Err(TokenError::BadSignature));
        assert!(verify(&keys, &sign(HEADER, "{}", by(last - 1).as_bytes())).is_ok());
        let named = format!(r#"{{"alg":"HS256","kid":"key-{last}"}}"#);
        assert!(verify(&keys, &sign(&named, "{}", by(last).as_bytes())).is_ok());
        // The one that signed last is tried first, wherever it stands.
        assert!(verify(&keys, &sign(HEADER, "{}", by(last).as_bytes())).is_ok());
    }
}
