//! The claims of a token that holds.

use std::fmt;

use super::jwt::SignedPayload;
use super::proofs::Presented;
use super::subject::SubjectClaims;
use super::times::TimeRules;
use super::verdict::TokenError;
use crate::clock::UnixSeconds;
use crate::decision::Value;
use crate::envelope::json;
use crate::policy::Limits;

/// What a token says whose signature holds, which is in force, and which is about the user that the request is about.
///
/// It has one maker, and that demands a payload whose signature held. Others may read it:
///
/// ```
/// # use countersign::identity::VerifiedClaims;
/// fn read(claims: &VerifiedClaims) -> &str { claims.user_id() }
/// ```
///
/// and can neither make one, nor put other words into one:
///
/// ```compile_fail,E0451
/// # use countersign::identity::VerifiedClaims;
/// fn forge(claims: VerifiedClaims) -> VerifiedClaims { VerifiedClaims { user_id: "user-43".to_owned(), ..claims } }
/// ```
///
/// ```compile_fail,E0277
/// # use countersign::identity::VerifiedClaims;
/// let claims = <VerifiedClaims as Default>::default();
/// ```
pub struct VerifiedClaims {
    claims: Value<'static>,
    user_id: String,
}

/// What is asked of claims.
pub(super) struct ClaimRules {
    pub(super) times: TimeRules,
    pub(super) subject: SubjectClaims,
}

impl VerifiedClaims {
    /// Reads the payload, which nobody did before its signature was found to hold.
    pub(super) fn admit(
        payload: &SignedPayload<'_>,
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
        rules.times.admit(&claims, now)?;
        let user_id = rules.subject.bind(&claims, presented)?;
        // The payload was decoded here and ends here; the claims live as long as the request.
        Ok(Self { claims: claims.into_owned(), user_id })
    }

    /// The user that the token vouches for. A value of the request: never to be logged as it stands.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }
}

/// Says that there are claims and nothing of them, not even their names.
impl fmt::Debug for VerifiedClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifiedClaims(..)")
    }
}
