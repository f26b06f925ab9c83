//! Material that may be a key: a secret that can be guessed lets anybody sign.

use secrecy::ExposeSecret;

use super::Secret;
use super::jwt::VerifyingKey;
use super::material::{self, KeyMaterial};
use super::public_key::{self, PublicKeyError};
use crate::policy::{Algorithm, KEY_TRIES_MAX, KeyPolicy, KeySource, KeyUse, word};

/// The shortest secret of any key for tokens, in bytes. Of a shorter one, a single token is enough to find it by trying.
pub const SECRET_BYTES_MIN: usize = 32;

/// How many keys a workspace may have for tokens. A token with `kid` costs one signature whatever their number.
pub const KEYS_MAX: usize = 64;

/// A secret of tokens with fewer different bytes was typed, not drawn: 32 random hexadecimal digits have fewer in one case of a million.
const DISTINCT_BYTES_MIN: usize = 8;

/// Why a key cannot be in force. It names the key's id and nothing of the secret, not even its length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("key `{id}`: nothing was fetched for it")]
    Missing { id: String },
    #[error("something was fetched that belongs to no key")]
    Surplus,
    #[error("key `{id}`: another key has the same id")]
    Repeated { id: String },
    #[error("key `{id}`: more than {KEYS_MAX} keys for tokens, or {KEY_TRIES_MAX} for hashes or encrypted payloads")]
    TooMany { id: String },
    #[error("key `{id}`: the secret is empty")]
    Empty { id: String },
    #[error("key `{id}`: expected a secret written in `{encoding}`")]
    Encoding { id: String, encoding: &'static str },
    #[error("key `{id}`: expected a secret of at least {bytes_min} bytes for tokens")]
    TooShort { id: String, bytes_min: usize },
    #[error("key `{id}`: the secret is a well-known one or a placeholder")]
    WellKnown { id: String },
    #[error("key `{id}`: {source}")]
    PublicKey { id: String, source: PublicKeyError },
    #[error("key `{id}`: its material is of another kind than its algorithm")]
    OtherKind { id: String },
}

/// What a key may be used for.
pub(super) struct Admitted {
    /// Where it verifies tokens.
    pub(super) token: Option<VerifyingKey>,
    /// Where it verifies collector tickets.
    pub(super) ticket: Option<VerifyingKey>,
    /// Where it verifies hashes.
    pub(super) hash: Option<Secret>,
    /// Where it opens encrypted payloads.
    pub(super) sealed: Option<Secret>,
}

/// Admits what was fetched for a key, for the uses of the key.
pub(super) fn admit(policy: &KeyPolicy, material: &KeyMaterial) -> Result<Admitted, KeyError> {
    let id = || policy.id.clone();
    let verifies = |wanted: KeyUse| policy.uses.contains(&wanted);
    match (&policy.source, material) {
        (KeySource::Secret { source: _, encoding }, KeyMaterial::Secret(written)) => {
            admit_secret(policy, written)?;
            let secret = material::decode(written, *encoding)
                .ok_or_else(|| KeyError::Encoding { id: id(), encoding: word(*encoding) })?;
            admit_secret(policy, &secret)?;
            let token = verifies(KeyUse::Jwt).then(|| VerifyingKey::secret(&secret));
            let hash = verifies(KeyUse::UserHash).then(|| secret.clone());
            let ticket = verifies(KeyUse::CollectorTicket).then(|| VerifyingKey::secret(&secret));
            Ok(Admitted { token, ticket, hash, sealed: verifies(KeyUse::EncryptedPayload).then_some(secret) })
        }
        (KeySource::PublicKey(_), KeyMaterial::PublicKey(content)) => {
            let key = public_key::read(content, policy.algorithm, &policy.id)
                .map_err(|source| KeyError::PublicKey { id: id(), source })?;
            // One of the two: a key for tickets is for nothing else.
            let (token, ticket) = if verifies(KeyUse::CollectorTicket) {
                (None, Some(VerifyingKey::Public(key)))
            } else {
                (verifies(KeyUse::Jwt).then_some(VerifyingKey::Public(key)), None)
            };
            Ok(Admitted { token, ticket, hash: None, sealed: None })
        }
        (KeySource::Secret { .. }, KeyMaterial::PublicKey(_)) | (KeySource::PublicKey(_), KeyMaterial::Secret(_)) => {
            Err(KeyError::OtherKind { id: id() })
        }
    }
}

/// Admits a secret for the uses of its key.
///
/// A hash of users may have a shorter one, because the messengers that only know hashes hand out shorter ones.
fn admit_secret(policy: &KeyPolicy, secret: &Secret) -> Result<(), KeyError> {
    let id = || policy.id.clone();
    let secret = secret.expose_secret();
    if secret.iter().all(u8::is_ascii_whitespace) {
        return Err(KeyError::Empty { id: id() });
    }
    if is_well_known(secret) {
        return Err(KeyError::WellKnown { id: id() });
    }
    if policy.uses.iter().any(|uses| matches!(uses, KeyUse::Jwt | KeyUse::EncryptedPayload | KeyUse::CollectorTicket)) {
        let bytes_min = secret_bytes_min(policy.algorithm);
        if secret.len() < bytes_min {
            return Err(KeyError::TooShort { id: id(), bytes_min });
        }
        if has_few_distinct_bytes(secret) {
            return Err(KeyError::WellKnown { id: id() });
        }
    }
    Ok(())
}

/// As long as the hash (RFC 7518 §3.2).
fn secret_bytes_min(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Hs384 => 48,
        Algorithm::Hs512 => 64,
        Algorithm::Hs256
        | Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::EdDsa => SECRET_BYTES_MIN,
    }
}

/// Secrets that stand in lists of things to try, whole.
const WELL_KNOWN: [&str; 10] = [
    "secret",
    "password",
    "supersecret",
    "secretkey",
    "secret-key",
    "secret_key",
    "jwt_secret",
    "test",
    "key",
    "123456",
];

/// What a secret contains that somebody copied from a page and meant to replace.
const PLACEHOLDERS: [&str; 9] = [
    "changeme",
    "change-me",
    "change_me",
    "placeholder",
    "replace",
    "your-secret",
    "your_secret",
    "your-256-bit-secret",
    "at-least-256-bits",
];

fn is_well_known(secret: &[u8]) -> bool {
    let secret = secret.trim_ascii();
    WELL_KNOWN.iter().any(|known| secret.eq_ignore_ascii_case(known.as_bytes()))
        || PLACEHOLDERS
            .iter()
            .any(|known| secret.windows(known.len()).any(|part| part.eq_ignore_ascii_case(known.as_bytes())))
}

fn has_few_distinct_bytes(secret: &[u8]) -> bool {
    let mut seen: Vec<u8> = Vec::with_capacity(DISTINCT_BYTES_MIN);
    for byte in secret {
        if !seen.contains(byte) {
            seen.push(*byte);
        }
        if seen.len() >= DISTINCT_BYTES_MIN {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{key, secret};

    #[track_caller]
    fn check(uses: &[KeyUse], text: &str, expected: Result<(), KeyError>) {
        let material = KeyMaterial::Secret(secret(text.as_bytes()));
        assert_eq!(admit(&key("web", uses), &material).map(|_| ()), expected, "{text}");
    }

    fn id() -> String {
        "web".into()
    }

    #[test]
    fn a_secret_of_tokens_is_as_long_as_the_hash() {
        let long_enough = "0123456789abcdefghijklmnopqrstuv";
        let short = "0123456789abcdefghijklmnopqrstu";
        assert_eq!((long_enough.len(), short.len()), (32, 31));
        check(&[KeyUse::Jwt], long_enough, Ok(()));
        check(&[KeyUse::Jwt], short, Err(KeyError::TooShort { id: id(), bytes_min: 32 }));
        check(&[KeyUse::Jwt, KeyUse::UserHash], short, Err(KeyError::TooShort { id: id(), bytes_min: 32 }));
        check(&[KeyUse::UserHash], short, Ok(()));
    }

    #[test]
    fn no_secret_is_no_key() {
        for text in ["", " ", "\n", " \t\r\n ".repeat(10).as_str()] {
            check(&[KeyUse::Jwt], text, Err(KeyError::Empty { id: id() }));
            check(&[KeyUse::UserHash], text, Err(KeyError::Empty { id: id() }));
        }
    }

    #[test]
    fn secrets_that_everybody_knows_are_none() {
        for text in [
            "secret",
            "SECRET\n",
            "your-256-bit-secret",
            "a-string-secret-at-least-256-bits-long",
            "ChangeMe-0123456789abcdef0123456789abcdef",
            "replace-this-with-your-own-0123456789abcdef",
        ] {
            check(&[KeyUse::UserHash], text, Err(KeyError::WellKnown { id: id() }));
            check(&[KeyUse::Jwt], text, Err(KeyError::WellKnown { id: id() }));
        }
        check(&[KeyUse::Jwt], &"x".repeat(64), Err(KeyError::WellKnown { id: id() }));
        check(&[KeyUse::Jwt], &"abcdefg".repeat(8), Err(KeyError::WellKnown { id: id() }));
        check(&[KeyUse::Jwt], &"abcdefgh".repeat(8), Ok(()));
        check(&[KeyUse::UserHash], "secret-of-acme", Ok(()));
    }

    #[test]
    fn an_error_names_the_key_and_nothing_of_the_secret() {
        let material = KeyMaterial::Secret(secret(b"canary"));
        let error = admit(&key("web", &[KeyUse::Jwt]), &material).map(|_| ()).expect_err("too short");
        assert_eq!(error.to_string(), "key `web`: expected a secret of at least 32 bytes for tokens");
        assert!(!format!("{error:?}").contains("canary"));
    }
}
