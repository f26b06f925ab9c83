//! The algorithms by which tokens are signed.

/// How many signatures a token without `kid` may cost. A rotation needs two.
pub const KEY_TRIES_MAX: usize = 8;

/// The algorithm of a key; a token's header never chooses. By their names of RFC 7518 §3.1 and RFC 8037 §3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

/// What kind of key an algorithm takes. No key is of two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// One secret for whoever signs and whoever verifies (RFC 2104).
    Secret,
    /// RFC 8017.
    Rsa,
    /// A point of the curve that the algorithm names (FIPS 186-5).
    Ec,
    /// A point of Ed25519 (RFC 8032).
    Ed,
}

impl Algorithm {
    /// The key that it takes.
    #[must_use]
    pub fn key_kind(self) -> KeyKind {
        match self {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => KeyKind::Secret,
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => KeyKind::Rsa,
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => KeyKind::Ec,
            Algorithm::EdDsa => KeyKind::Ed,
        }
    }

    /// The algorithm of this name in a header, to the letter. `Ed25519` is what RFC 9864 calls the one curve of `EdDSA` that we know.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "Ed25519" => Some(Algorithm::EdDsa),
            _ => <Self as super::reader::Keyword>::WORDS
                .iter()
                .find(|(word, _)| *word == name)
                .map(|(_, algorithm)| *algorithm),
        }
    }
}
