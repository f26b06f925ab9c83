//! The id of a token (`jti`, RFC 7519 §4.1.7): by it a token is known again, whichever way its signature is spelled.

use super::times::{Times, is_integer};
use super::verdict::TokenError;
use crate::decision::Value;
use crate::policy::{IdentityPolicy, OnSessionEnd, Replay};
use crate::state::TOKEN_ID_BYTES_MAX;

/// Whether a token must have an id.
pub(super) struct IdRules {
    asked_for: bool,
}

impl IdRules {
    pub(super) fn new(policy: &IdentityPolicy) -> Self {
        let asked_for = match (policy.replay, policy.session_end) {
            (Replay::Allow, OnSessionEnd::Keep) => false,
            (Replay::SingleUse | Replay::FirstOrigin | Replay::FirstSession, _) | (_, OnSessionEnd::Revoke) => true,
        };
        Self { asked_for }
    }

    /// For encrypted settings, which have none.
    pub(super) fn of_sealed() -> Self {
        Self { asked_for: false }
    }

    /// Admits claims that have an id, and an end: what is never forgotten must be remembered for ever.
    pub(super) fn admit(&self, claims: &Value<'_>, times: &Times) -> Result<(), TokenError> {
        if !self.asked_for {
            return Ok(());
        }
        id_of(claims).ok_or(TokenError::IdMissing)?;
        times.until.map(|_| ()).ok_or(TokenError::ExpiryMissing)
    }
}

/// By what a token can be taken back: its id, or the digits of a number in its place. Such a number has other spellings elsewhere, so that no
/// token is known again by it.
pub(super) fn name_of<'v>(claims: &'v Value<'_>) -> Option<&'v str> {
    let digits = |claims: &'v Value<'_>| match claims.member("jti") {
        Some(Value::Number(digits)) if is_integer(digits) && digits.len() <= TOKEN_ID_BYTES_MAX => Some(&**digits),
        Some(_) | None => None,
    };
    id_of(claims).or_else(|| digits(claims))
}

/// The id: a text that says something.
fn id_of<'v>(claims: &'v Value<'_>) -> Option<&'v str> {
    claims.member("jti").and_then(Value::as_text).filter(|id| (1..=TOKEN_ID_BYTES_MAX).contains(&id.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::json;
    use crate::identity::testing;
    use crate::policy::Limits;

    #[track_caller]
    fn check(replay: Replay, claims: &str, until: Option<i64>, expected: Result<(), TokenError>) {
        let rules = IdRules::new(&IdentityPolicy { replay, ..testing::policy() });
        let read = json::read(claims.as_bytes(), &Limits::default()).expect("claims");
        assert_eq!(rules.admit(&read, &Times { exp: until, iat: None, until }), expected, "{claims}");
    }

    #[test]
    fn an_id_is_a_text_that_is_neither_empty_nor_endless() {
        let of = |length: usize| format!(r#"{{"jti":"{}"}}"#, "a".repeat(length));
        for replay in [Replay::SingleUse, Replay::FirstOrigin, Replay::FirstSession] {
            for claims in [of(1), of(TOKEN_ID_BYTES_MAX), r#"{"jti":" "}"#.into()] {
                check(replay, &claims, Some(1), Ok(()));
                check(Replay::Allow, &claims, None, Ok(()));
            }
            let near = ["{}", r#"{"JTI":"a"}"#, r#"{"jti":null}"#, r#"{"jti":7}"#, r#"{"jti":["a"]}"#, r#"{"jti":{}}"#];
            for claims in near.map(str::to_owned).into_iter().chain([of(0), of(TOKEN_ID_BYTES_MAX + 1)]) {
                check(replay, &claims, Some(1), Err(TokenError::IdMissing));
                check(Replay::Allow, &claims, Some(1), Ok(()));
            }
            check(replay, &of(1), None, Err(TokenError::ExpiryMissing));
        }
        let ends = IdentityPolicy { session_end: OnSessionEnd::Revoke, ..testing::policy() };
        let claims = json::read(b"{}", &Limits::default()).expect("claims");
        let admitted = IdRules::new(&ends).admit(&claims, &Times { exp: Some(1), iat: None, until: Some(1) });
        assert_eq!(admitted, Err(TokenError::IdMissing), "what cannot be named cannot be ended");
    }
}
