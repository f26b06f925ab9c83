//! Secrets that may be keys: a secret that can be guessed lets anybody sign.

use secrecy::ExposeSecret;

use super::Secret;
use crate::policy::{KeyPolicy, KeyUse};

/// The shortest secret of a key for tokens, in bytes: as long as the hash (RFC 7518 §3.2). Of any shorter one, a single token is enough to
/// find it by trying.
pub const SECRET_BYTES_MIN: usize = 32;

/// How many keys may be in force for one use. A token without `kid` costs a signature for each, so that there are few; two are a rotation.
pub const KEYS_PER_USE_MAX: usize = 8;

/// A secret of tokens with fewer different bytes was typed, not drawn: 32 random hexadecimal digits have fewer in one case of a million.
const DISTINCT_BYTES_MIN: usize = 8;

/// Why a key cannot be in force. It names the key's id and nothing of the secret, not even its length.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("key `{id}`: no secret was given for it")]
    Missing { id: String },
    #[error("a secret was given that belongs to no key")]
    Surplus,
    #[error("key `{id}`: another key has the same id")]
    Repeated { id: String },
    #[error("key `{id}`: more than {KEYS_PER_USE_MAX} keys for one use")]
    TooMany { id: String },
    #[error("key `{id}`: the secret is empty")]
    Empty { id: String },
    #[error("key `{id}`: expected a secret of at least {SECRET_BYTES_MIN} bytes for tokens")]
    TooShort { id: String },
    #[error("key `{id}`: the secret is a well-known one or a placeholder")]
    WellKnown { id: String },
}

/// Admits a secret for the uses of its key.
///
/// A hash of users may have a shorter one, because the messengers that only know hashes hand out shorter ones.
pub(super) fn admit(policy: &KeyPolicy, secret: &Secret) -> Result<(), KeyError> {
    let id = || policy.id.clone();
    let secret = secret.expose_secret();
    if secret.iter().all(u8::is_ascii_whitespace) {
        return Err(KeyError::Empty { id: id() });
    }
    if is_well_known(secret) {
        return Err(KeyError::WellKnown { id: id() });
    }
    if policy.uses.contains(&KeyUse::Jwt) {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeyError::TooShort { id: id() });
        }
        if has_few_distinct_bytes(secret) {
            return Err(KeyError::WellKnown { id: id() });
        }
    }
    Ok(())
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
        assert_eq!(admit(&key("web", uses), &secret(text.as_bytes())), expected, "{text}");
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
        check(&[KeyUse::Jwt], short, Err(KeyError::TooShort { id: id() }));
        check(&[KeyUse::Jwt, KeyUse::UserHash], short, Err(KeyError::TooShort { id: id() }));
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
        let error = admit(&key("web", &[KeyUse::Jwt]), &secret(b"canary")).expect_err("too short");
        assert_eq!(error.to_string(), "key `web`: expected a secret of at least 32 bytes for tokens");
        assert!(!format!("{error:?}").contains("canary"));
    }
}
