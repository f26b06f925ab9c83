//! What became of the proofs of a request: every finding, each with a stable name.
//!
//! The names are for records, metrics and runbooks. To a client all failures read alike: which of them it was would teach an attacker.

/// The claims of a token that are times (RFC 7519 §4.1.4 to §4.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeClaim {
    Exp,
    Nbf,
    Iat,
}

impl TimeClaim {
    /// The claim's name in a token.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TimeClaim::Exp => "exp",
            TimeClaim::Nbf => "nbf",
            TimeClaim::Iat => "iat",
        }
    }
}

/// Why a token proves nothing. What stands behind [`BadSignature`](TokenError::BadSignature) is found only where the signature holds: of a
/// forged token no claim is ever reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    #[error("two different tokens in one request")]
    TwoTokens,
    #[error("longer than the limit for tokens")]
    TooLarge,
    #[error("not a token: its shape, its base64url or its JSON is broken")]
    Malformed,
    /// `crit` (RFC 7515 §4.1.11): its sender asks us to understand what we do not.
    #[error("its header asks for an extension")]
    CriticalHeader,
    /// `b64` (RFC 7797): the payload would not be what we decode.
    #[error("its header says how the payload is encoded")]
    UnencodedPayload,
    /// `jwk`, `jku`, `x5u`, `x5c` (RFC 7515 §4.1): whoever brings the key can sign anything with it.
    #[error("it brings its own key")]
    EmbeddedKey,
    /// `cty` (RFC 7519 §5.2): a token within a token.
    #[error("it carries another token")]
    Nested,
    /// `typ` is there and not `JWT`: it was issued for something else (RFC 8725 §3.11).
    #[error("not a token of this kind")]
    WrongType,
    #[error("its algorithm is not the key's")]
    WrongAlgorithm,
    #[error("no key in force has this id")]
    UnknownKey,
    /// Its key may be of a set that its issuer has not confirmed for longer than the policy trusts it. No fault of the token's.
    #[error("its key may be of a set that nobody has confirmed for too long")]
    KeysStale,
    /// `not_before` or `not_after` of the policy.
    #[error("its key is not in force now")]
    KeyNotInForce,
    #[error("the signature does not hold")]
    BadSignature,
    /// Found only where the signature holds.
    #[error("its key is not for the platform of the request")]
    KeyForOtherPlatform,
    #[error("a time is not an integer")]
    NotInteger(TimeClaim),
    #[error("a time looks like milliseconds")]
    InMilliseconds(TimeClaim),
    #[error("a time is out of range")]
    OutOfRange(TimeClaim),
    #[error("it does not say when it ends")]
    ExpiryMissing,
    #[error("expired")]
    Expired,
    #[error("it begins, or was issued, in the future")]
    NotYetValid,
    #[error("it lives longer than the policy allows")]
    LifetimeTooLong,
    /// `iss` (RFC 7519 §4.1.1).
    #[error("not issued by whom the policy names")]
    WrongIssuer,
    /// `aud` (RFC 7519 §4.1.3).
    #[error("not for whom the policy names")]
    WrongAudience,
    #[error("it lacks a claim that the policy asks for")]
    ClaimMissing,
    /// `jti` (RFC 7519 §4.1.7).
    #[error("it has no id by which it could be known again")]
    IdMissing,
    #[error("it names no user")]
    MissingSubject,
    #[error("it is about somebody else than the request")]
    SubjectMismatch,
}

impl TokenError {
    /// Every failure, in the order in which it is looked for.
    pub const ALL: [TokenError; 33] = [
        TokenError::TwoTokens,
        TokenError::TooLarge,
        TokenError::Malformed,
        TokenError::CriticalHeader,
        TokenError::UnencodedPayload,
        TokenError::EmbeddedKey,
        TokenError::Nested,
        TokenError::WrongType,
        TokenError::WrongAlgorithm,
        TokenError::UnknownKey,
        TokenError::KeysStale,
        TokenError::KeyNotInForce,
        TokenError::BadSignature,
        TokenError::KeyForOtherPlatform,
        TokenError::NotInteger(TimeClaim::Exp),
        TokenError::NotInteger(TimeClaim::Nbf),
        TokenError::NotInteger(TimeClaim::Iat),
        TokenError::InMilliseconds(TimeClaim::Exp),
        TokenError::InMilliseconds(TimeClaim::Nbf),
        TokenError::InMilliseconds(TimeClaim::Iat),
        TokenError::OutOfRange(TimeClaim::Exp),
        TokenError::OutOfRange(TimeClaim::Nbf),
        TokenError::OutOfRange(TimeClaim::Iat),
        TokenError::ExpiryMissing,
        TokenError::Expired,
        TokenError::NotYetValid,
        TokenError::LifetimeTooLong,
        TokenError::WrongIssuer,
        TokenError::WrongAudience,
        TokenError::ClaimMissing,
        TokenError::IdMissing,
        TokenError::MissingSubject,
        TokenError::SubjectMismatch,
    ];

    /// The stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            TokenError::TwoTokens => "two_tokens",
            TokenError::TooLarge => "too_large",
            TokenError::Malformed => "malformed",
            TokenError::CriticalHeader => "critical_header",
            TokenError::UnencodedPayload => "unencoded_payload",
            TokenError::EmbeddedKey => "embedded_key",
            TokenError::Nested => "nested",
            TokenError::WrongType => "wrong_type",
            TokenError::WrongAlgorithm => "wrong_algorithm",
            TokenError::UnknownKey => "unknown_key",
            TokenError::KeysStale => "keys_stale",
            TokenError::KeyNotInForce => "key_not_in_force",
            TokenError::BadSignature => "bad_signature",
            TokenError::KeyForOtherPlatform => "key_for_other_platform",
            TokenError::NotInteger(TimeClaim::Exp) => "exp_not_integer",
            TokenError::NotInteger(TimeClaim::Nbf) => "nbf_not_integer",
            TokenError::NotInteger(TimeClaim::Iat) => "iat_not_integer",
            TokenError::InMilliseconds(TimeClaim::Exp) => "exp_in_milliseconds",
            TokenError::InMilliseconds(TimeClaim::Nbf) => "nbf_in_milliseconds",
            TokenError::InMilliseconds(TimeClaim::Iat) => "iat_in_milliseconds",
            TokenError::OutOfRange(TimeClaim::Exp) => "exp_out_of_range",
            TokenError::OutOfRange(TimeClaim::Nbf) => "nbf_out_of_range",
            TokenError::OutOfRange(TimeClaim::Iat) => "iat_out_of_range",
            TokenError::ExpiryMissing => "expiry_missing",
            TokenError::Expired => "expired",
            TokenError::NotYetValid => "not_yet_valid",
            TokenError::LifetimeTooLong => "lifetime_too_long",
            TokenError::WrongIssuer => "wrong_issuer",
            TokenError::WrongAudience => "wrong_audience",
            TokenError::ClaimMissing => "claim_missing",
            TokenError::IdMissing => "jti_missing",
            TokenError::MissingSubject => "missing_subject",
            TokenError::SubjectMismatch => "subject_mismatch",
        }
    }
}

/// Why a `user_hash` proves nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HashError {
    #[error("two different hashes in one request")]
    TwoHashes,
    #[error("there is no user for it to be a hash of")]
    WithoutSubject,
    #[error("the request names two users")]
    TwoSubjects,
    #[error("no key in force verifies hashes")]
    WithoutKey,
    #[error("not the hash of this user")]
    Bad,
    #[error("its key is not for the platform of the request")]
    KeyForOtherPlatform,
}

impl HashError {
    /// Every failure, in the order in which it is looked for.
    pub const ALL: [HashError; 6] = [
        HashError::TwoHashes,
        HashError::WithoutSubject,
        HashError::TwoSubjects,
        HashError::WithoutKey,
        HashError::Bad,
        HashError::KeyForOtherPlatform,
    ];

    /// The stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            HashError::TwoHashes => "two_hashes",
            HashError::WithoutSubject => "hash_without_subject",
            HashError::TwoSubjects => "hash_two_subjects",
            HashError::WithoutKey => "hash_without_key",
            HashError::Bad => "bad_hash",
            HashError::KeyForOtherPlatform => "hash_key_for_other_platform",
        }
    }
}

/// Why encrypted settings are not opened. What stands in those that are is then read as claims are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SealedError {
    #[error("two different payloads in one request")]
    Two,
    /// Which of the two the backend believes is not known.
    #[error("a token beside it")]
    BesideToken,
    #[error("longer than such payloads are")]
    TooLarge,
    #[error("its base64 is broken, or it is too short")]
    Malformed,
    #[error("no key in force opens such payloads")]
    WithoutKey,
    #[error("made with another key, or changed")]
    Bad,
    #[error("its key is not for the platform of the request")]
    KeyForOtherPlatform,
}

impl SealedError {
    /// Every failure, in the order in which it is looked for.
    pub const ALL: [SealedError; 7] = [
        SealedError::Two,
        SealedError::BesideToken,
        SealedError::TooLarge,
        SealedError::Malformed,
        SealedError::WithoutKey,
        SealedError::Bad,
        SealedError::KeyForOtherPlatform,
    ];

    /// The stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            SealedError::Two => "two_sealed",
            SealedError::BesideToken => "sealed_beside_token",
            SealedError::TooLarge => "sealed_too_large",
            SealedError::Malformed => "sealed_malformed",
            SealedError::WithoutKey => "sealed_without_key",
            SealedError::Bad => "bad_sealed",
            SealedError::KeyForOtherPlatform => "sealed_key_for_other_platform",
        }
    }
}

/// Why a proof that holds by itself counts no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Withdrawal {
    /// The operator took it back: the token, its user, its key, or all that was issued before a moment.
    #[error("it was revoked")]
    Revoked,
    /// The token was to be used once, and was.
    #[error("it was used before")]
    Replayed,
    /// The token is bound to the origin or session that sent it first, and that was another.
    #[error("it was first used elsewhere")]
    BoundElsewhere,
}

impl Withdrawal {
    /// Every one of them.
    pub const ALL: [Withdrawal; 3] = [Withdrawal::Revoked, Withdrawal::Replayed, Withdrawal::BoundElsewhere];

    /// The stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Withdrawal::Revoked => "revoked",
            Withdrawal::Replayed => "replayed",
            Withdrawal::BoundElsewhere => "bound_elsewhere",
        }
    }
}

/// Why the proof that a request presents is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ProofError {
    #[error("token: {0}")]
    Token(TokenError),
    #[error("user hash: {0}")]
    Hash(HashError),
    #[error("encrypted settings: {0}")]
    Sealed(SealedError),
    #[error("withdrawn: {0}")]
    Withdrawn(Withdrawal),
}

impl ProofError {
    /// Every one there is.
    pub fn all() -> impl Iterator<Item = Self> {
        let tokens = TokenError::ALL.map(ProofError::Token).into_iter();
        let hashes = HashError::ALL.map(ProofError::Hash);
        let sealed = SealedError::ALL.map(ProofError::Sealed);
        tokens.chain(hashes).chain(sealed).chain(Withdrawal::ALL.map(ProofError::Withdrawn))
    }

    /// The stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            ProofError::Token(error) => error.code(),
            ProofError::Hash(error) => error.code(),
            ProofError::Sealed(error) => error.code(),
            ProofError::Withdrawn(why) => why.code(),
        }
    }
}

/// Why a proof is none, and the key that made it all the same, where one did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused<'k, E> {
    pub(super) error: E,
    pub(super) key_id: Option<&'k str>,
}

impl<E> From<E> for Refused<'_, E> {
    fn from(error: E) -> Self {
        Self { error, key_id: None }
    }
}

/// What became of the proofs of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProofVerdict {
    /// None was presented.
    Absent,
    /// A token holds: it says who, and what.
    Valid,
    /// A hash holds: it says who.
    HashValid,
    /// Encrypted settings were opened: they say who, and what.
    SealedValid,
    /// The session was given for a token that held, and its claims still do: they say who, and what.
    Exchanged,
    /// One was presented and does not hold. It is never taken for absent.
    Failed(ProofError),
}

impl ProofVerdict {
    /// Every one there is.
    pub fn all() -> impl Iterator<Item = Self> {
        let fine = [
            ProofVerdict::Absent,
            ProofVerdict::Valid,
            ProofVerdict::HashValid,
            ProofVerdict::SealedValid,
            ProofVerdict::Exchanged,
        ];
        fine.into_iter().chain(ProofError::all().map(ProofVerdict::Failed))
    }

    /// The stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            ProofVerdict::Absent => "absent",
            ProofVerdict::Valid => "valid",
            ProofVerdict::HashValid => "hash_valid",
            ProofVerdict::SealedValid => "sealed_valid",
            ProofVerdict::Exchanged => "exchanged",
            ProofVerdict::Failed(error) => error.code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_verdict_has_a_code_of_its_own() {
        let verdicts: Vec<ProofVerdict> = ProofVerdict::all().collect();
        let codes: HashSet<&str> = verdicts.iter().map(|verdict| verdict.code()).collect();
        assert_eq!(codes.len(), verdicts.len());
    }
}
