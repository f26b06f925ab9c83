//! What a policy asks of the proofs of a request.

use super::proofs::Proofs;
use super::verdict::{ProofError, ProofVerdict, TokenError};
use crate::decision::TokenReader;
use crate::policy::{IdentityPolicy, Require};

/// Why a request is refused for its identity. Outside, both read alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("a proof of identity is required, and there is none")]
    Missing,
    #[error("the proof of identity does not hold")]
    Bad(#[source] ProofError),
}

impl IdentityError {
    /// The stable name: `identity_missing`, or that of the failure.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            IdentityError::Missing => "identity_missing",
            IdentityError::Bad(error) => error.code(),
        }
    }
}

/// Refuses a request whose proofs are not what the policy requires.
///
/// # Errors
/// [`IdentityError::Missing`] where a proof is required and none is presented, [`IdentityError::Bad`] where one is that does not hold.
/// A well-signed token about somebody else is refused under every policy: the request would write to one user in another's name. So is a proof
/// that was withdrawn, where the backend reads proofs itself: it would believe it.
pub fn demand(proofs: &Proofs<'_>, policy: &IdentityPolicy, reader: TokenReader) -> Result<(), IdentityError> {
    let required = match policy.require {
        Require::Never => false,
        Require::Identified => proofs.names_a_user(),
        Require::Always => true,
    };
    match (proofs.verdict(), required) {
        (ProofVerdict::Valid | ProofVerdict::HashValid | ProofVerdict::SealedValid | ProofVerdict::Exchanged, _)
        | (ProofVerdict::Absent, false) => Ok(()),
        (ProofVerdict::Absent, true) => Err(IdentityError::Missing),
        (ProofVerdict::Failed(error @ ProofError::Token(TokenError::SubjectMismatch)), _)
        | (ProofVerdict::Failed(error), true) => Err(IdentityError::Bad(error)),
        // Whoever reads proofs behind us does not know that it was taken back.
        (ProofVerdict::Failed(error), false) if proofs.is_withdrawn_but_believed(reader) => {
            Err(IdentityError::Bad(error))
        }
        // Not asked for: it signs nothing and stands in the record, and the visitor may go on chatting.
        (ProofVerdict::Failed(_), false) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use Require::{Always, Identified, Never};

    use super::*;
    use crate::identity::proofs::Presented;
    use crate::identity::testing::{self, NOW, presented, token, user_hash, verifier};
    use crate::identity::{SignedPayload, Withdrawal};

    #[track_caller]
    fn check(presented: &Presented<'_>, expected: [(Require, Result<(), IdentityError>); 3]) {
        let verifier = verifier();
        let mut payload = SignedPayload::default();
        let proofs = verifier.verify(presented, NOW, &mut payload);
        for (require, expected) in expected {
            let policy = IdentityPolicy { require, ..testing::policy() };
            for reader in [TokenReader::Gateway, TokenReader::Upstream] {
                assert_eq!(demand(&proofs, &policy, reader), expected, "{require:?}");
            }
        }
    }

    fn bad(error: TokenError) -> Result<(), IdentityError> {
        Err(IdentityError::Bad(ProofError::Token(error)))
    }

    #[test]
    fn a_visitor_needs_a_proof_only_where_everybody_does() {
        let missing = Err(IdentityError::Missing);
        check(&presented(), [(Never, Ok(())), (Identified, Ok(())), (Always, missing)]);
        let session = Presented { sessions: vec!["s".into()], ..presented() };
        check(&session, [(Never, Ok(())), (Identified, Ok(())), (Always, missing)]);
    }

    #[test]
    fn a_user_without_a_proof_is_refused_where_users_need_one() {
        let missing = Err(IdentityError::Missing);
        let by_id = Presented { user_ids: vec!["user-42".into()], ..presented() };
        check(&by_id, [(Never, Ok(())), (Identified, missing), (Always, missing)]);
        let by_email = Presented { emails: vec!["ada@example.com".into()], ..presented() };
        check(&by_email, [(Never, Ok(())), (Identified, missing), (Always, missing)]);
        let by_blank_id = Presented { user_ids: vec!["".into()], ..presented() };
        check(&by_blank_id, [(Never, Ok(())), (Identified, missing), (Always, missing)]);
    }

    #[test]
    fn a_bad_proof_is_not_no_proof() {
        let expired = token(r#"{"user_id":"user-42","exp":1}"#);
        let presented = Presented { tokens: vec![expired.into()], ..presented() };
        let expired = bad(TokenError::Expired);
        check(&presented, [(Never, Ok(())), (Identified, expired), (Always, expired)]);
    }

    #[test]
    fn a_bad_hash_is_not_no_proof() {
        let presented = Presented { user_hashes: vec!["0".repeat(64).into()], ..presented() };
        let refused = Err(IdentityError::Bad(ProofError::Hash(crate::identity::HashError::WithoutSubject)));
        check(&presented, [(Never, Ok(())), (Identified, refused), (Always, refused)]);
    }

    #[test]
    fn a_token_about_somebody_else_is_refused_always_and_a_forged_one_only_where_needed() {
        let payload = r#"{"user_id":"user-42","exp":4102444800}"#;
        let others = Presented { user_ids: vec!["user-43".into()], tokens: vec![token(payload).into()], ..presented() };
        let mismatch = bad(TokenError::SubjectMismatch);
        check(&others, [(Never, mismatch), (Identified, mismatch), (Always, mismatch)]);
        let forged = testing::sign(testing::HEADER, payload, b"another-secret-0123456789abcdef0123456789");
        let forged = Presented { tokens: vec![forged.into()], ..others };
        let refused = bad(TokenError::BadSignature);
        check(&forged, [(Never, Ok(())), (Identified, refused), (Always, refused)]);
    }

    #[test]
    fn a_good_proof_satisfies_every_policy() {
        let fine = [(Never, Ok(())), (Identified, Ok(())), (Always, Ok(()))];
        let ids = || vec!["user-42".into()];
        let tokens = vec![token(r#"{"user_id":"user-42","exp":4102444800}"#).into()];
        check(&Presented { user_ids: ids(), tokens, ..presented() }, fine);
        let user_hashes = vec![user_hash("user-42").into()];
        check(&Presented { user_ids: ids(), user_hashes, ..presented() }, fine);
    }

    #[test]
    fn nothing_in_the_words_tells_more_than_the_code() {
        let error = IdentityError::Bad(ProofError::Token(TokenError::Expired));
        assert_eq!(error.to_string(), "the proof of identity does not hold");
        assert_eq!(error.code(), "expired");
        assert_eq!(IdentityError::Missing.code(), "identity_missing");
    }

    #[test]
    fn a_withdrawn_proof_is_refused_where_the_backend_would_believe_it() {
        use TokenReader::{Gateway, Upstream};
        let of_token =
            Presented { tokens: vec![token(r#"{"user_id":"user-42","exp":4102444800}"#).into()], ..presented() };
        let of_hash = Presented {
            user_hashes: vec![user_hash("user-42").into()],
            user_ids: vec!["user-42".into()],
            ..presented()
        };
        let verifier = verifier();
        let refused = |presented: &Presented<'_>, require, reader| {
            let mut payload = SignedPayload::default();
            let mut proofs = verifier.verify(presented, NOW, &mut payload);
            proofs.withdraw(Withdrawal::Replayed);
            assert!(proofs.claims().is_none() && proofs.subject().is_none(), "it says nothing any longer");
            demand(&proofs, &IdentityPolicy { require, ..testing::policy() }, reader).is_err()
        };
        assert!(refused(&of_token, Never, Upstream) && !refused(&of_token, Never, Gateway));
        assert!(refused(&of_hash, Never, Upstream) && refused(&of_hash, Never, Gateway));
        for presented in [&of_token, &of_hash] {
            assert!(refused(presented, Identified, Gateway) && refused(presented, Always, Gateway));
        }
        // What is not there cannot be taken back.
        let (none, mut payload) = (presented(), SignedPayload::default());
        let mut proofs = verifier.verify(&none, NOW, &mut payload);
        proofs.withdraw(Withdrawal::Replayed);
        assert_eq!(proofs.verdict(), ProofVerdict::Absent);
    }
}
