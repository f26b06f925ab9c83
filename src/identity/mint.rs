//! Tokens made for tests of an installation, with the keys of its policy.

use std::borrow::Cow;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::diagnosis::{quoted, read_object};
use super::{KeyError, KeyMaterial, SigningKey, keys, material};
use crate::clock::UnixSeconds;
use crate::decision::Value;
use crate::envelope::json;
use crate::policy::{Algorithm, IdentityPolicy, KeyKind, KeyPolicy, KeySource, KeyUse, Limits, word};

/// By what a token is signed, and when.
pub struct Minting<'m> {
    pub key: &'m KeyPolicy,
    pub material: &'m KeyMaterial,
    /// From now to `exp`, where the claims do not say.
    pub lifetime: Duration,
    pub now: UnixSeconds,
}

/// Why no token is made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// It says where, and nothing of what stands there.
    #[error("{0}")]
    Claims(String),
    #[error("no key of the workspace both verifies tokens (`use = [\"jwt\"]`) and can sign them")]
    NoKey,
    #[error("the workspace has no key `{id}`: its keys are {}", quoted(.known.iter().map(String::as_str)))]
    UnknownKey { id: String, known: Vec<String> },
    #[error("key `{0}` verifies neither tokens nor tickets: its `use` has no `jwt`")]
    NotForTokens(String),
    #[error("key `{id}` verifies tokens of `{algorithm}` and cannot sign them")]
    CannotSign { id: String, algorithm: &'static str },
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The key of this id, which may be one for collector tickets, or else the first that can sign tokens.
///
/// # Errors
///
/// There is none, or the named one cannot.
pub fn signing_key<'p>(policy: &'p IdentityPolicy, id: Option<&str>) -> Result<&'p KeyPolicy, MintError> {
    let verifies_tokens = |key: &KeyPolicy| key.uses.contains(&KeyUse::Jwt);
    let Some(id) = id else {
        let mut keys = policy.keys.iter().filter(|key| verifies_tokens(key));
        return keys.find(|key| can_sign(key.algorithm)).ok_or(MintError::NoKey);
    };
    let key = policy.keys.iter().find(|key| key.id == id).ok_or_else(|| MintError::UnknownKey {
        id: id.to_owned(),
        known: policy.keys.iter().map(|key| key.id.clone()).collect(),
    })?;
    if !verifies_tokens(key) && !is_for_tickets(key) {
        return Err(MintError::NotForTokens(id.to_owned()));
    }
    if !can_sign(key.algorithm) {
        return Err(MintError::CannotSign { id: id.to_owned(), algorithm: word(key.algorithm) });
    }
    Ok(key)
}

/// Whether what a key signs is a collector ticket and no token.
#[must_use]
pub fn is_for_tickets(key: &KeyPolicy) -> bool {
    key.uses.contains(&KeyUse::CollectorTicket)
}

/// Whether what verifies can sign too: a shared secret does, and the public half of a pair does not.
fn can_sign(algorithm: Algorithm) -> bool {
    match algorithm.key_kind() {
        KeyKind::Secret => true,
        KeyKind::Rsa | KeyKind::Ec | KeyKind::Ed => false,
    }
}

/// Signs `claims`, the text of a JSON object. An `exp` and an `iat` that it does not have are added.
///
/// # Errors
///
/// The claims are no JSON object, or the secret could not be in force.
pub fn mint(claims: &str, minting: &Minting<'_>, limits: &Limits) -> Result<String, MintError> {
    let Minting { key, material, lifetime, now } = minting;
    keys::admit(key, material)?;
    let cannot_sign = || MintError::CannotSign { id: key.id.clone(), algorithm: word(key.algorithm) };
    let (KeySource::Secret { encoding, source: _ }, KeyMaterial::Secret(secret)) = (&key.source, material) else {
        return Err(cannot_sign());
    };
    let secret = material::decode(secret, *encoding).ok_or_else(cannot_sign)?;
    let signing = SigningKey::of_secret(key.algorithm, secret.expose_secret()).ok_or_else(cannot_sign)?;
    let mut claims = read_object(claims.as_bytes(), "the text of the claims", limits).map_err(MintError::Claims)?;
    let lifetime = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
    for (name, time) in [("iat", now.0), ("exp", now.0.saturating_add(lifetime))] {
        if claims.member(name).is_none()
            && let Value::Object(entries) = &mut claims
        {
            entries.push((Cow::Borrowed(name), Value::Number(Cow::Owned(time.to_string()))));
        }
    }
    let mut payload = Vec::new();
    json::write(&claims, &mut payload);
    signing.token(&payload).map_err(|_| cannot_sign())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{self, NOW, SECRET, key, secret, token};

    #[track_caller]
    fn check(claims: &str, expected: Result<&str, &str>) {
        let key = key("web", &[KeyUse::Jwt]);
        let minting = Minting {
            key: &key,
            material: &KeyMaterial::Secret(secret(SECRET)),
            lifetime: Duration::from_secs(3600),
            now: NOW,
        };
        let minted = mint(claims, &minting, &Limits::default()).map_err(|error| error.to_string());
        assert_eq!(minted, expected.map(token).map_err(str::to_owned), "{claims}");
    }

    #[test]
    fn times_are_added_where_the_claims_have_none() {
        check("{}", Ok(r#"{"iat":1795000000,"exp":1795003600}"#));
        check(r#"{"user_id":"user-42"}"#, Ok(r#"{"user_id":"user-42","iat":1795000000,"exp":1795003600}"#));
        check(r#"{ "exp" : 1 }"#, Ok(r#"{"exp":1,"iat":1795000000}"#));
        check(r#"{"iat":1,"exp":null}"#, Ok(r#"{"iat":1,"exp":null}"#));
        check(r#"{"seats":9007199254740993,"exp":1,"iat":1}"#, Ok(r#"{"seats":9007199254740993,"exp":1,"iat":1}"#));
    }

    #[test]
    fn what_is_no_object_of_claims_is_refused() {
        check("[]", Err("the text of the claims is a list, expected a JSON object"));
        check("", Err("the text of the claims cannot be read: the text is no JSON, line 1, column 0"));
        check("{\n\"a\":}", Err("the text of the claims cannot be read: the text is no JSON, line 2, column 5"));
        let twice = "the text of the claims cannot be read: an object has a name twice: `plan`";
        check(r#"{"plan":1,"plan":2}"#, Err(twice));
    }

    #[test]
    fn a_secret_that_could_not_be_in_force_signs_nothing() {
        let key = key("web", &[KeyUse::Jwt]);
        let minting =
            Minting { key: &key, material: &KeyMaterial::Secret(secret(b"short")), lifetime: Duration::ZERO, now: NOW };
        let refused = mint("{}", &minting, &Limits::default()).expect_err("too short");
        assert_eq!(refused.to_string(), "key `web`: expected a secret of at least 32 bytes for tokens");
    }

    #[test]
    fn the_key_is_the_named_one_or_the_first_for_tokens() {
        let keys = vec![
            key("hash", &[KeyUse::UserHash]),
            key("web", &[KeyUse::Jwt]),
            key("ios", &[KeyUse::Jwt, KeyUse::UserHash]),
            key("bot", &[KeyUse::CollectorTicket]),
        ];
        let policy = IdentityPolicy { keys, ..testing::policy() };
        let found = |id| signing_key(&policy, id).map(|key| key.id.as_str()).map_err(|error| error.to_string());
        assert_eq!(found(None), Ok("web"));
        assert_eq!(found(Some("ios")), Ok("ios"));
        assert_eq!(found(Some("bot")), Ok("bot"));
        assert_eq!(
            found(Some("hash")),
            Err("key `hash` verifies neither tokens nor tickets: its `use` has no `jwt`".into())
        );
        let unknown = "the workspace has no key `WEB`: its keys are `hash`, `web`, `ios`, `bot`";
        assert_eq!(found(Some("WEB")), Err(unknown.into()));
        let hashes_only = IdentityPolicy { keys: vec![key("hash", &[KeyUse::UserHash])], ..testing::policy() };
        assert!(matches!(signing_key(&hashes_only, None), Err(MintError::NoKey)));
    }
}
