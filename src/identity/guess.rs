//! Which failures of a proof look like somebody trying: those are counted, and too many of them have consequences.

use super::verdict::{HashError, ProofError, SealedError, TokenError};

impl ProofError {
    /// Whether nobody vouched for what was presented, so that whoever sent it may have made it up, or it is somebody else's.
    ///
    /// A proof that is well signed and fails otherwise is an honest page's that is late, early or mistaken: a thousand of them from one
    /// office are an outage and no attack. So is what is no proof at all (`[object Object]`), and what is our own doing.
    #[must_use]
    pub fn may_be_a_guess(self) -> bool {
        match self {
            ProofError::Token(error) => match error {
                TokenError::CriticalHeader
                | TokenError::UnencodedPayload
                | TokenError::EmbeddedKey
                | TokenError::Nested
                | TokenError::WrongAlgorithm
                | TokenError::BadSignature
                | TokenError::SubjectMismatch => true,
                TokenError::TwoTokens
                | TokenError::TooLarge
                | TokenError::Malformed
                | TokenError::WrongType
                // An issuer whose new key is not known here yet, or a name that somebody made up: no key was tried.
                | TokenError::UnknownKey
                | TokenError::KeysStale
                | TokenError::KeyNotInForce
                | TokenError::KeyForOtherPlatform
                | TokenError::NotInteger(_)
                | TokenError::InMilliseconds(_)
                | TokenError::OutOfRange(_)
                | TokenError::ExpiryMissing
                | TokenError::Expired
                | TokenError::NotYetValid
                | TokenError::LifetimeTooLong
                | TokenError::WrongIssuer
                | TokenError::WrongAudience
                | TokenError::ClaimMissing
                | TokenError::IdMissing
                | TokenError::MissingSubject => false,
            },
            ProofError::Hash(error) => match error {
                HashError::Bad => true,
                HashError::TwoHashes
                | HashError::WithoutSubject
                | HashError::TwoSubjects
                | HashError::WithoutKey
                | HashError::KeyForOtherPlatform => false,
            },
            ProofError::Sealed(error) => match error {
                SealedError::Bad => true,
                SealedError::Two
                | SealedError::BesideToken
                | SealedError::TooLarge
                | SealedError::Malformed
                | SealedError::WithoutKey
                | SealedError::KeyForOtherPlatform => false,
            },
            // Somebody did vouch for it.
            ProofError::Withdrawn(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_is_what_nobody_signed_or_what_is_about_somebody_else() {
        let guesses: Vec<_> = ProofError::all().filter(|error| error.may_be_a_guess()).map(ProofError::code).collect();
        let expected = [
            "critical_header",
            "unencoded_payload",
            "embedded_key",
            "nested",
            "wrong_algorithm",
            "bad_signature",
            "subject_mismatch",
            "bad_hash",
            "bad_sealed",
        ];
        assert_eq!(guesses, expected);
    }
}
