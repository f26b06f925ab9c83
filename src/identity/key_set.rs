//! JWK Sets (RFC 7517 §5) that somebody else publishes: what is read of one, and which of its keys may verify tokens.
//!
//! Not every key that an issuer publishes is for us: keys for encryption, secrets that do not belong there, kinds that a later standard
//! knows. They are left out and counted, and the rest of the set stays usable.

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::ParsedPublicKey;

use super::jwt::{TokenKeys, VerifyingKey};
use super::material::KeyMaterial;
use super::public_key::{self, PublicKeyError};
use crate::decision::Value;
use crate::envelope::json;
use crate::policy::{Algorithm, KeyKind, KeyTerm, Limits};
use crate::profile::Platforms;

/// The longest set, in bytes: 64 RSA keys with their certificates are less.
pub const SET_BYTES_MAX: usize = 256 * 1024;

/// How many keys a set may have. Issuers publish two or three.
pub const SET_KEYS_MAX: usize = 64;

/// The longest `kid`, in bytes. It stands in every record of its key.
pub const KID_BYTES_MAX: usize = 128;

/// Why there is no set. Nothing of what was published is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeySetError {
    #[error("longer than {SET_BYTES_MAX} bytes")]
    TooLong,
    #[error("not JSON that every reader reads alike")]
    NotJson,
    #[error("expected a JWK Set: an object with a list `keys`")]
    NotASet,
    #[error("more than {SET_KEYS_MAX} keys")]
    TooManyKeys,
    #[error("no key of it may verify tokens here")]
    NoUsableKey,
}

/// Why a key of a set verifies nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeftOut {
    /// No `kid`, or one that is long or of other characters than visible ASCII: no token could name it.
    KeyId,
    /// Two usable keys have the same `kid`: which of them a token means, nobody knows.
    Ambiguous,
    /// `oct`: a secret that everybody can read.
    Secret,
    /// The private half: whoever has read it can sign.
    Private,
    /// `use` or `key_ops` say that it is for something else.
    OtherUse,
    /// `alg`, kind or curve are of none of the policy's algorithms.
    OtherAlgorithm,
    /// It has no `alg`, and several of the policy's algorithms take such a key.
    SeveralAlgorithms,
    /// An RSA key too short or too long, or with an exponent that is none.
    Weak,
    /// A member is missing or broken, or it is no key at all.
    Unreadable,
}

impl LeftOut {
    /// The stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            LeftOut::KeyId => "kid",
            LeftOut::Ambiguous => "kid_twice",
            LeftOut::Secret => "secret",
            LeftOut::Private => "private",
            LeftOut::OtherUse => "other_use",
            LeftOut::OtherAlgorithm => "other_algorithm",
            LeftOut::SeveralAlgorithms => "several_algorithms",
            LeftOut::Weak => "weak",
            LeftOut::Unreadable => "unreadable",
        }
    }
}

/// The keys of a set that verify tokens.
///
/// What is remembered of tokens belongs to the set: with a key that was withdrawn goes all that it had signed.
pub struct KeySet {
    pub(super) keys: TokenKeys,
    left_out: Vec<LeftOut>,
    digest: [u8; digest::SHA256_OUTPUT_LEN],
}

impl KeySet {
    /// Reads a set for a policy that takes only `algorithms`.
    ///
    /// # Errors
    /// It is no set, or has no key for us: an issuer that publishes nothing usable is broken, and no reason to forget what was there before.
    pub fn parse(content: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeySetError> {
        if content.len() > SET_BYTES_MAX {
            return Err(KeySetError::TooLong);
        }
        let document = json::read(content, &Limits::default()).map_err(|_| KeySetError::NotJson)?;
        let Some(Value::List(published)) = document.member("keys") else { return Err(KeySetError::NotASet) };
        if published.len() > SET_KEYS_MAX {
            return Err(KeySetError::TooManyKeys);
        }
        let (mut usable, mut left_out) = (Vec::new(), Vec::new());
        for jwk in published {
            match admit(jwk, algorithms) {
                Ok(key) => usable.push(key),
                Err(why) => left_out.push(why),
            }
        }
        let mut named: HashMap<&str, usize> = HashMap::new();
        for key in &usable {
            *named.entry(key.kid).or_default() += 1;
        }
        let mut keys = TokenKeys::new();
        for Usable { kid, algorithm, key } in usable {
            if named.get(kid) == Some(&1) {
                keys.push(kid, algorithm, KeyTerm::default(), Platforms::ALL, VerifyingKey::Public(key));
            } else {
                left_out.push(LeftOut::Ambiguous);
            }
        }
        if keys.len() == 0 {
            return Err(KeySetError::NoUsableKey);
        }
        left_out.sort_unstable();
        Ok(Self { keys, left_out, digest: digest_of(content) })
    }

    /// A set of one key, for those that publish nothing: rehearsals.
    ///
    /// # Errors
    /// The material is no public key of the algorithm.
    pub fn of_one(kid: &str, algorithm: Algorithm, material: &KeyMaterial) -> Result<Self, PublicKeyError> {
        let content = match material {
            KeyMaterial::PublicKey(content) => content,
            KeyMaterial::Secret(_) => return Err(PublicKeyError::Symmetric),
        };
        let mut keys = TokenKeys::new();
        let key = public_key::read(content, algorithm, kid)?;
        keys.push(kid, algorithm, KeyTerm::default(), Platforms::ALL, VerifyingKey::Public(key));
        Ok(Self { keys, left_out: Vec::new(), digest: digest_of(content) })
    }

    /// How many keys verify tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether none does, which no set is made with.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Why the others do not, one for each, in order.
    #[must_use]
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Whether it was read from these very bytes.
    #[must_use]
    pub fn is_of(&self, content: &[u8]) -> bool {
        self.digest == digest_of(content)
    }
}

fn digest_of(content: &[u8]) -> [u8; digest::SHA256_OUTPUT_LEN] {
    let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, content).as_ref());
    bytes
}

struct Usable<'j> {
    kid: &'j str,
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

fn admit<'j>(jwk: &'j Value<'_>, algorithms: &[Algorithm]) -> Result<Usable<'j>, LeftOut> {
    let algorithm = algorithm_of(jwk, algorithms)?;
    let key = public_key::from_jwk(jwk, algorithm).map_err(left_out)?;
    public_key::admit(&key, algorithm).map_err(left_out)?;
    let kid = jwk.member("kid").and_then(Value::as_text).ok_or(LeftOut::KeyId)?;
    if kid.is_empty() || kid.len() > KID_BYTES_MAX || !kid.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(LeftOut::KeyId);
    }
    Ok(Usable { kid, algorithm, key })
}

/// The one algorithm of a key: what it says itself, where the policy takes that, or the only one of the policy's that takes such a key.
fn algorithm_of(jwk: &Value<'_>, algorithms: &[Algorithm]) -> Result<Algorithm, LeftOut> {
    let text = |name: &str| jwk.member(name).and_then(Value::as_text);
    let kind = match text("kty").ok_or(LeftOut::Unreadable)? {
        // Whatever it says of itself: a secret that is published is none.
        "oct" => return Err(LeftOut::Secret),
        "RSA" => KeyKind::Rsa,
        "EC" => KeyKind::Ec,
        "OKP" => KeyKind::Ed,
        _ => return Err(LeftOut::OtherAlgorithm),
    };
    if let Some(stated) = jwk.member("alg") {
        let named = stated.as_text().and_then(Algorithm::named).ok_or(LeftOut::OtherAlgorithm)?;
        return if algorithms.contains(&named) { Ok(named) } else { Err(LeftOut::OtherAlgorithm) };
    }
    let fits = |algorithm: &&Algorithm| {
        let curve = public_key::curve(**algorithm).map(|(name, _)| name);
        algorithm.key_kind() == kind && (kind != KeyKind::Ec || text("crv") == curve)
    };
    let mut fitting = algorithms.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(algorithm), None) => Ok(*algorithm),
        (None, _) => Err(LeftOut::OtherAlgorithm),
        (Some(_), Some(_)) => Err(LeftOut::SeveralAlgorithms),
    }
}

fn left_out(error: PublicKeyError) -> LeftOut {
    match error {
        PublicKeyError::Symmetric => LeftOut::Secret,
        PublicKeyError::Private => LeftOut::Private,
        PublicKeyError::OtherUse => LeftOut::OtherUse,
        PublicKeyError::OtherAlgorithm(_) => LeftOut::OtherAlgorithm,
        PublicKeyError::RsaSize(_) | PublicKeyError::RsaExponent | PublicKeyError::SmallOrder => LeftOut::Weak,
        PublicKeyError::Unreadable
        | PublicKeyError::Certificate
        | PublicKeyError::NotInSet
        | PublicKeyError::TwiceInSet
        | PublicKeyError::Unfit(_) => LeftOut::Unreadable,
    }
}

/// Says how many keys there are.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.len()).field("left_out", &self.left_out).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
