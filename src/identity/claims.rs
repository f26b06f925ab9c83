//! The claims of a token that holds.

use std::borrow::Cow;
use std::fmt;

use super::issue::IssueRules;
use super::jwt::SignedPayload;
use super::proofs::Presented;
use super::subject::SubjectClaims;
use super::times::{TimeRules, Times};
use super::token_id::{IdRules, name_of};
use super::verdict::TokenError;
use crate::clock::UnixSeconds;
use crate::decision::{Signed, Value};
use crate::envelope::{self, json};
use crate::policy::Limits;
use crate::profile::Profile;

/// What a token says whose signature holds, which is in force, and which is about the user that the request is about.
///
/// It has one maker, and that demands a payload whose signature held. Others may read it:
///
/// ```
/// # use countersign::identity::VerifiedClaims;
/// fn read<'c>(claims: &'c VerifiedClaims<'_>) -> &'c str { claims.user_id() }
/// ```
///
/// and can neither make one, nor put other words into one:
///
/// ```compile_fail,E0451
/// # use countersign::identity::VerifiedClaims;
/// fn forge<'t>(claims: VerifiedClaims<'t>) -> VerifiedClaims<'t> { VerifiedClaims { user_id: "user-43".into(), ..claims } }
/// ```
///
/// ```compile_fail,E0277
/// # use countersign::identity::VerifiedClaims;
/// let claims = <VerifiedClaims as Default>::default();
/// ```
pub struct VerifiedClaims<'t> {
    claims: Value<'t>,
    user_id: Cow<'t, str>,
    times: Times,
    /// As it was signed.
    payload: &'t [u8],
}

/// By what a token is known again, and for how long that matters.
#[derive(Clone, Copy)]
pub struct TokenFacts<'c> {
    /// `jti`, where it is a text of 1 to [`TOKEN_ID_BYTES_MAX`](crate::state::TOKEN_ID_BYTES_MAX) bytes, or the digits of an integer.
    pub id: Option<&'c str>,
    /// `iss`, where it is a text.
    pub issuer: Option<&'c str>,
    /// `iat`.
    pub issued: Option<UnixSeconds>,
    /// The first second in which the token is refused as ended, leeway included.
    pub until: Option<UnixSeconds>,
}

/// What is asked of claims.
pub(super) struct ClaimRules {
    pub(super) times: TimeRules,
    pub(super) issue: IssueRules,
    pub(super) id: IdRules,
    pub(super) subject: SubjectClaims,
}

impl<'t> VerifiedClaims<'t> {
    /// Reads the payload, which nobody did before its signature was found to hold.
    pub(super) fn admit(
        payload: &'t SignedPayload,
        rules: &ClaimRules,
        limits: &Limits,
        presented: &Presented<'_>,
        now: UnixSeconds,
    ) -> Result<Self, TokenError> {
        // Strict here too: of two equal claims, we and the backend might read different ones.
        let claims = json::read(payload.bytes(), limits).map_err(|_| TokenError::Malformed)?;
        if claims.as_object().is_none() {
            return Err(TokenError::Malformed);
        }
        let times = rules.times.admit(&claims, now)?;
        rules.issue.admit(&claims)?;
        rules.id.admit(&claims, &times)?;
        let user_id = rules.subject.bind(&claims, presented)?;
        Ok(Self { claims, user_id, times, payload: payload.bytes() })
    }

    /// When it begins and ends, as it says.
    pub(super) fn times(&self) -> Times {
        self.times
    }

    /// The user that the token vouches for. A value of the request: never to be logged as it stands.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// By what the token is known again. Values of the request: never to be logged as they stand.
    #[must_use]
    pub fn token(&self) -> TokenFacts<'_> {
        let Times { exp: _, iat: issued, until } = self.times;
        TokenFacts {
            id: name_of(&self.claims),
            issuer: self.claims.member("iss").and_then(Value::as_text),
            issued: issued.map(UnixSeconds),
            until: until.map(UnixSeconds),
        }
    }

    pub(super) fn payload(&self) -> &[u8] {
        self.payload
    }

    /// The claims as attributes, read as the profile says.
    #[must_use]
    pub fn signed<'c>(&'c self, profile: &'c Profile) -> Signed<'c> {
        Signed::vouched(envelope::claims(&profile.claims, &profile.claim_names, &self.claims))
    }
}

/// Says that there are claims and nothing of them, not even their names.
impl fmt::Debug for VerifiedClaims<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedClaims(..)")
    }
}

#[cfg(test)]
mod tests {
    use crate::decision::{
        Additions, Attribute, Catalogue, Channel, Circumstances, Code, Collect, Folding, Lock, Mode, NoSecrets,
        Subject, TokenReader, Unlisted, Update, ValueRule, judge,
    };
    use crate::identity::testing::{NOW, presented, profile, token, user_hash, verifier};
    use crate::identity::{Presented, SignedPayload};

    fn plan() -> Catalogue {
        let plan =
            Attribute { name: "plan".into(), lock: Lock::Enforce, rule: ValueRule::default(), collect: Collect::Never };
        Catalogue::new(Mode::Enforce, Unlisted::Drop, Unlisted::Drop, Folding::default(), &[], vec![plan])
            .expect("a catalogue")
    }

    /// What the decision says of `plan` when only these proofs speak of it.
    #[track_caller]
    fn check(presented: &Presented<'_>, expected: Option<Code>) {
        let (verifier, profile, update) = (verifier(), profile(), Update::default());
        let mut payload = SignedPayload::default();
        let proofs = verifier.verify(presented, NOW, &mut payload);
        let signed = proofs.claims().map(|claims| claims.signed(&profile));
        let circumstances = Circumstances {
            channel: Channel::Messenger,
            subject: Subject::NotLead,
            token_reader: TokenReader::Upstream,
            additions: Additions::Welcome,
        };
        let judged = judge(&plan(), circumstances, &NoSecrets, signed.as_ref(), &update);
        let code = judged.unnamed().iter().find(|(name, _)| name == "plan").map(|(_, verdict)| verdict.code);
        assert_eq!(code, expected);
    }

    #[test]
    fn a_valid_token_signs_and_nothing_else_does() {
        let with = |payload: &str| Presented { tokens: vec![token(payload).into()], ..presented() };
        check(&with(r#"{"user_id":"user-42","plan":"pro","exp":4102444800}"#), Some(Code::Signed));
        check(&with(r#"{"user_id":"user-42","exp":4102444800}"#), None);
        check(&with(r#"{"user_id":"user-42","plan":"pro","exp":1}"#), None);
        let user_hashes = vec![user_hash("user-42").into()];
        check(&Presented { user_hashes, user_ids: vec!["user-42".into()], ..presented() }, None);
    }
}
