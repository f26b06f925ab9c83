//! Who issued a token, for whom, and what else it must say.

use super::verdict::TokenError;
use crate::decision::Value;
use crate::policy::IdentityPolicy;

/// What a policy asks of `iss`, `aud` and further claims. An empty list asks for nothing.
pub(super) struct IssueRules {
    issuers: Vec<String>,
    audiences: Vec<String>,
    required: Vec<String>,
}

impl IssueRules {
    pub(super) fn new(policy: &IdentityPolicy) -> Self {
        Self {
            issuers: policy.issuers.clone(),
            audiences: policy.audiences.clone(),
            required: policy.required_claims.clone(),
        }
    }

    /// For encrypted settings, which say nothing of the kind.
    pub(super) fn of_sealed() -> Self {
        Self { issuers: Vec::new(), audiences: Vec::new(), required: Vec::new() }
    }

    /// Admits claims that have what the policy asks for. A claim that is absent, or of another type, is never the right one.
    pub(super) fn admit(&self, claims: &Value<'_>) -> Result<(), TokenError> {
        // Compared to the letter: a StringOrURI is not normalised (RFC 7519 §2).
        let is_one_of = |names: &[String], value: &Value<'_>| {
            value.as_text().is_some_and(|text| names.iter().any(|name| name == text))
        };
        let is_from = || claims.member("iss").is_some_and(|issuer| is_one_of(&self.issuers, issuer));
        if !self.issuers.is_empty() && !is_from() {
            return Err(TokenError::WrongIssuer);
        }
        // One audience may stand without a list (§4.1.3).
        let is_for_us = || match claims.member("aud") {
            Some(Value::List(audiences)) => audiences.iter().any(|audience| is_one_of(&self.audiences, audience)),
            Some(audience) => is_one_of(&self.audiences, audience),
            None => false,
        };
        if !self.audiences.is_empty() && !is_for_us() {
            return Err(TokenError::WrongAudience);
        }
        let has = |name: &String| claims.member(name).is_some_and(|value| !matches!(value, Value::Null));
        if self.required.iter().all(has) { Ok(()) } else { Err(TokenError::ClaimMissing) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::json;
    use crate::identity::testing;
    use crate::policy::Limits;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[track_caller]
    fn check(policy: &IdentityPolicy, claims: &str, expected: Result<(), TokenError>) {
        let claims_read = json::read(claims.as_bytes(), &Limits::default()).expect("claims");
        assert_eq!(IssueRules::new(policy).admit(&claims_read), expected, "{claims}");
    }

    #[test]
    fn nothing_asked_for_is_nothing_refused() {
        for claims in ["{}", r#"{"iss":1,"aud":{}}"#] {
            check(&testing::policy(), claims, Ok(()));
        }
    }

    #[test]
    fn the_issuer_is_one_of_those_named_to_the_letter() {
        let policy = IdentityPolicy { issuers: texts(&["https://id.example", "acme"]), ..testing::policy() };
        check(&policy, r#"{"iss":"acme"}"#, Ok(()));
        check(&policy, r#"{"iss":"https://id.example"}"#, Ok(()));
        for claims in [
            "{}",
            r#"{"iss":null}"#,
            r#"{"iss":""}"#,
            r#"{"iss":"Acme"}"#,
            r#"{"iss":"acme "}"#,
            r#"{"iss":["acme"]}"#,
            r#"{"iss":{"acme":1}}"#,
            r#"{"iss":"https://id.example/"}"#,
        ] {
            check(&policy, claims, Err(TokenError::WrongIssuer));
        }
    }

    #[test]
    fn one_audience_of_the_token_is_one_of_ours() {
        let policy = IdentityPolicy { audiences: texts(&["messenger"]), ..testing::policy() };
        check(&policy, r#"{"aud":"messenger"}"#, Ok(()));
        check(&policy, r#"{"aud":["other",7,"messenger"]}"#, Ok(()));
        for claims in [
            "{}",
            r#"{"aud":null}"#,
            r#"{"aud":[]}"#,
            r#"{"aud":"other"}"#,
            r#"{"aud":["other"]}"#,
            r#"{"aud":[["messenger"]]}"#,
            r#"{"aud":"messenger other"}"#,
        ] {
            check(&policy, claims, Err(TokenError::WrongAudience));
        }
    }

    #[test]
    fn a_claim_that_is_asked_for_is_there_and_says_something() {
        let policy = IdentityPolicy { required_claims: texts(&["jti", "tenant"]), ..testing::policy() };
        check(&policy, r#"{"jti":"1","tenant":false}"#, Ok(()));
        for claims in ["{}", r#"{"jti":"1"}"#, r#"{"jti":"1","tenant":null}"#, r#"{"JTI":"1","tenant":"a"}"#] {
            check(&policy, claims, Err(TokenError::ClaimMissing));
        }
    }
}
