//! The subject: the user whom a token names must be the user whom the request names.

use std::borrow::Cow;

use super::proofs::Presented;
use super::times::is_integer;
use super::verdict::TokenError;
use crate::decision::Value;
use crate::profile::IdentityPlaces;

/// Which claims say who the user is.
pub(super) struct SubjectClaims {
    user_id: Vec<String>,
    email: Vec<String>,
}

impl SubjectClaims {
    pub(super) fn new(places: &IdentityPlaces) -> Self {
        Self { user_id: places.user_id_claims.clone(), email: places.email_claims.clone() }
    }

    /// The user id that the claims vouch for, where the request is about that user or about nobody in particular.
    ///
    /// # Errors
    /// [`TokenError::MissingSubject`] without a usable user id, [`TokenError::SubjectMismatch`] where the request names somebody else.
    pub(super) fn bind<'c>(&self, claims: &Value<'c>, presented: &Presented<'_>) -> Result<Cow<'c, str>, TokenError> {
        let user_id = first(claims, &self.user_id).and_then(as_user_id).ok_or(TokenError::MissingSubject)?;
        let same_user = if presented.user_ids.is_empty() {
            // Without an id the e-mail is who the user is. One that the token does not have is somebody nobody vouched for.
            let email = first(claims, &self.email).and_then(Value::as_text);
            presented.emails.iter().all(|theirs| email.is_some_and(|ours| same_email(ours, theirs)))
        } else {
            // With an id the e-mail is an attribute like any other, and the table of verdicts judges it.
            presented.user_ids.iter().all(|theirs: &Cow<'_, str>| theirs == user_id)
        };
        if same_user { Ok(user_id.clone()) } else { Err(TokenError::SubjectMismatch) }
    }
}

/// The first of the names that is there, whatever its value: to skip one that is unusable would let two claims name two users.
fn first<'v, 'c>(claims: &'v Value<'c>, names: &[String]) -> Option<&'v Value<'c>> {
    names.iter().find_map(|name| claims.member(name))
}

/// A text that says something, or an integer by its digits. `1.0` and `1e3` have other spellings elsewhere.
fn as_user_id<'v, 'c>(value: &'v Value<'c>) -> Option<&'v Cow<'c, str>> {
    match value {
        Value::Text(text) if !text.trim().is_empty() => Some(text),
        Value::Number(digits) if is_integer(digits) => Some(digits),
        Value::Text(_) | Value::Number(_) | Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_) => None,
    }
}

/// Equal but for the case of ASCII letters, as the backends that find users by e-mail compare (they store it in lower case). No letter
/// beyond ASCII is folded: two addresses that only Unicode calls alike are two people.
fn same_email(ours: &str, theirs: &str) -> bool {
    ours.eq_ignore_ascii_case(theirs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::json;
    use crate::identity::testing;
    use crate::policy::Limits;

    const MISMATCH: Result<&str, TokenError> = Err(TokenError::SubjectMismatch);
    const MISSING: Result<&str, TokenError> = Err(TokenError::MissingSubject);

    #[track_caller]
    fn check(claims: &str, user_ids: &[&str], emails: &[&str], expected: Result<&str, TokenError>) {
        let texts = |texts: &[&str]| texts.iter().map(|text| Cow::Owned((*text).to_owned())).collect();
        let presented = Presented { user_ids: texts(user_ids), emails: texts(emails), ..testing::presented() };
        let value = json::read(claims.as_bytes(), &Limits::default()).expect("claims");
        let bound = SubjectClaims::new(&testing::profile().identity).bind(&value, &presented);
        assert_eq!(bound.as_deref(), expected.as_deref(), "{claims} {user_ids:?} {emails:?}");
    }

    #[test]
    fn the_id_is_a_text_or_an_integer() {
        check(r#"{"user_id":"user-42"}"#, &[], &[], Ok("user-42"));
        check(r#"{"user_id":42}"#, &[], &[], Ok("42"));
        check(r#"{"user_id":-42}"#, &[], &[], Ok("-42"));
        for claims in [
            "{}",
            r#"{"email":"ada@example.com"}"#,
            r#"{"USER_ID":"user-42"}"#,
            r#"{"user_id":""}"#,
            r#"{"user_id":" "}"#,
            r#"{"user_id":null}"#,
            r#"{"user_id":true}"#,
            r#"{"user_id":42.0}"#,
            r#"{"user_id":4.2e1}"#,
            r#"{"user_id":["user-42"]}"#,
            r#"{"user_id":{"id":"user-42"}}"#,
        ] {
            check(claims, &[], &[], MISSING);
        }
    }

    #[test]
    fn the_first_claim_that_is_there_names_the_user() {
        check(r#"{"sub":"user-43","user_id":"user-42"}"#, &["user-42"], &[], Ok("user-42"));
        check(r#"{"sub":"user-43","user_id":"user-42"}"#, &["user-43"], &[], MISMATCH);
        check(r#"{"sub":"user-43"}"#, &["user-43"], &[], Ok("user-43"));
        check(r#"{"sub":"user-43","user_id":null}"#, &["user-43"], &[], MISSING);
    }

    #[test]
    fn every_id_of_the_request_is_the_tokens() {
        let claims = r#"{"user_id":"user-42","email":"ada@example.com"}"#;
        check(claims, &["user-42"], &[], Ok("user-42"));
        check(claims, &["user-42", "user-42"], &[], Ok("user-42"));
        for id in ["user-43", "User-42", "user-42 ", "", "user-4", "user-42\0", "ada@example.com"] {
            check(claims, &[id], &[], MISMATCH);
            check(claims, &["user-42", id], &[], MISMATCH);
        }
        check(r#"{"user_id":42}"#, &["42"], &[], Ok("42"));
        check(r#"{"user_id":42}"#, &["042"], &[], MISMATCH);
        check(r#"{"user_id":9007199254740993}"#, &["9007199254740993"], &[], Ok("9007199254740993"));
        check(r#"{"user_id":9007199254740993}"#, &["9007199254740992"], &[], MISMATCH);
    }

    #[test]
    fn without_an_id_the_email_is_the_user() {
        let claims = r#"{"user_id":"user-42","email":"ada@example.com"}"#;
        check(claims, &[], &["ada@example.com"], Ok("user-42"));
        check(claims, &[], &["Ada@Example.com"], Ok("user-42"));
        for email in ["bob@example.com", "ada@example.com ", "", "\u{e4}da@example.com"] {
            check(claims, &[], &[email], MISMATCH);
            check(claims, &[], &["ada@example.com", email], MISMATCH);
        }
        check(r#"{"user_id":"user-42"}"#, &[], &["ada@example.com"], MISMATCH);
        check(r#"{"user_id":"user-42","email":null}"#, &[], &["null"], MISMATCH);
        // U+212A folds to `k` in Unicode, and is another address.
        check(r#"{"user_id":"user-42","email":"k@example.com"}"#, &[], &["\u{212a}@example.com"], MISMATCH);
    }

    #[test]
    fn beside_an_id_the_email_is_an_attribute() {
        let claims = r#"{"user_id":"user-42","email":"ada@example.com"}"#;
        check(claims, &["user-42"], &["bob@example.com"], Ok("user-42"));
        check(claims, &["user-43"], &["ada@example.com"], MISMATCH);
    }
}
