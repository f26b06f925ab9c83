//! Public keys: read from PEM, a JWK or a JWK Set, and looked at before anything is verified by them.

mod small_order;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::{PublicKey, RSAPublicKey};
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::decision::Value;
use crate::envelope::json;
use crate::policy::{Algorithm, KeyKind, Limits, word};

/// The shortest modulus of an RSA key, in bits (RFC 7518 §3.3).
pub const RSA_BITS_MIN: usize = 2048;

/// The longest: what a signature costs grows with its square, and whoever publishes a key would choose what we spend.
pub const RSA_BITS_MAX: usize = 8192;

/// Why a file has no public key for us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    #[error("expected PEM with one `PUBLIC KEY`, a JWK or a JWK Set")]
    Unreadable,
    #[error(
        "this is a private key: whoever can read it can sign, and a gateway needs the public half only. Make that with `openssl pkey -pubout`"
    )]
    Private,
    #[error("a certificate: take its key out with `openssl x509 -pubkey -noout`")]
    Certificate,
    #[error("a shared secret is no public key")]
    Symmetric,
    #[error("no key of the set has this id as its `kid`")]
    NotInSet,
    #[error("more than one key of the set has this id as its `kid`")]
    TwiceInSet,
    #[error("the key is for `{0}`")]
    OtherAlgorithm(String),
    #[error("the key is not for verifying signatures")]
    OtherUse,
    #[error("not a key of `{0}`: of another kind or curve, or no point of it")]
    Unfit(&'static str),
    #[error("an RSA key of {0} bits: expected {RSA_BITS_MIN} to {RSA_BITS_MAX}")]
    RsaSize(usize),
    #[error("its RSA exponent is even, or 1")]
    RsaExponent,
    #[error("its point is of small order: anybody can sign under it")]
    SmallOrder,
}

/// Reads the key for `algorithm` from what a file holds; of a JWK Set the one whose `kid` is `id`.
pub(super) fn read(content: &[u8], algorithm: Algorithm, id: &str) -> Result<ParsedPublicKey, PublicKeyError> {
    let key = if content.trim_ascii_start().starts_with(b"{") {
        let document = json::read(content, &Limits::default()).map_err(|_| PublicKeyError::Unreadable)?;
        from_json(&document, algorithm, id)?
    } else {
        from_pem(content, algorithm)?
    };
    admit(&key, algorithm)?;
    Ok(key)
}

fn from_pem(content: &[u8], algorithm: Algorithm) -> Result<ParsedPublicKey, PublicKeyError> {
    let mut blocks = Pem::iter_from_buffer(content);
    let (Some(Ok(block)), None) = (blocks.next(), blocks.next()) else {
        return Err(PublicKeyError::Unreadable);
    };
    match block.label.as_str() {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => parse(algorithm, &block.contents),
        "CERTIFICATE" => Err(PublicKeyError::Certificate),
        label if label.ends_with("PRIVATE KEY") => Err(PublicKeyError::Private),
        _ => Err(PublicKeyError::Unreadable),
    }
}

/// A JWK (RFC 7517 §4), or the one of a JWK Set (§5) that has the id.
fn from_json(document: &Value<'_>, algorithm: Algorithm, id: &str) -> Result<ParsedPublicKey, PublicKeyError> {
    let jwk = match document.member("keys") {
        None => document,
        Some(Value::List(keys)) => {
            let mut named = keys.iter().filter(|key| key.member("kid").and_then(Value::as_text) == Some(id));
            match (named.next(), named.next()) {
                (Some(key), None) => key,
                (None, _) => return Err(PublicKeyError::NotInSet),
                (Some(_), Some(_)) => return Err(PublicKeyError::TwiceInSet),
            }
        }
        Some(_) => return Err(PublicKeyError::Unreadable),
    };
    from_jwk(jwk, algorithm)
}

pub(super) fn from_jwk(jwk: &Value<'_>, algorithm: Algorithm) -> Result<ParsedPublicKey, PublicKeyError> {
    let text = |name: &str| jwk.member(name).and_then(Value::as_text);
    let kind = text("kty").ok_or(PublicKeyError::Unreadable)?;
    if kind == "oct" {
        return Err(PublicKeyError::Symmetric);
    }
    // RFC 7518 §6.2.2, §6.3.2.
    if ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|name| jwk.member(name).is_some()) {
        return Err(PublicKeyError::Private);
    }
    if let Some(name) = text("alg")
        && Algorithm::named(name) != Some(algorithm)
    {
        return Err(PublicKeyError::OtherAlgorithm(name.chars().take(ALGORITHM_CHARS_SHOWN).collect()));
    }
    let verifies = text("use").is_none_or(|use_| use_ == "sig")
        && match jwk.member("key_ops") {
            None => true,
            Some(Value::List(operations)) => operations.iter().any(|word| word.as_text() == Some("verify")),
            Some(_) => false,
        };
    if !verifies {
        return Err(PublicKeyError::OtherUse);
    }
    let number = |name: &str| {
        text(name).and_then(|digits| URL_SAFE_NO_PAD.decode(digits).ok()).ok_or(PublicKeyError::Unreadable)
    };
    let unfit = PublicKeyError::Unfit(word(algorithm));
    match (kind, algorithm.key_kind()) {
        ("RSA", KeyKind::Rsa) => {
            let components = RsaPublicKeyComponents { n: number("n")?, e: number("e")? };
            components.to_parsed_public_key(rsa_parameters(algorithm).ok_or(unfit.clone())?).map_err(|_| unfit)
        }
        ("EC", KeyKind::Ec) => {
            let (curve, bytes) = curve(algorithm).ok_or(unfit.clone())?;
            let (x, y) = (number("x")?, number("y")?);
            // The full length, leading zeros too (RFC 7518 §6.2.1.2): else two halves could be cut elsewhere.
            if text("crv") != Some(curve) || x.len() != bytes || y.len() != bytes {
                return Err(unfit);
            }
            parse(algorithm, &[&[UNCOMPRESSED_POINT], x.as_slice(), y.as_slice()].concat())
        }
        ("OKP", KeyKind::Ed) if text("crv") == Some("Ed25519") => parse(algorithm, &number("x")?),
        _ => Err(unfit),
    }
}

/// Of a foreign word in a message.
const ALGORITHM_CHARS_SHOWN: usize = 16;

/// SEC 1 §2.3.3.
const UNCOMPRESSED_POINT: u8 = 4;

/// The curve of an algorithm (RFC 7518 §3.4), and how long one of its coordinates is.
pub(super) fn curve(algorithm: Algorithm) -> Option<(&'static str, usize)> {
    match algorithm {
        Algorithm::Es256 => Some(("P-256", 32)),
        Algorithm::Es384 => Some(("P-384", 48)),
        Algorithm::Es512 => Some(("P-521", 66)),
        Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512
        | Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::EdDsa => None,
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512
        | Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::EdDsa => None,
    }
}

fn parse(algorithm: Algorithm, bytes: &[u8]) -> Result<ParsedPublicKey, PublicKeyError> {
    let unfit = || PublicKeyError::Unfit(word(algorithm));
    let verification: &'static dyn VerificationAlgorithm = match algorithm {
        // A signature of a JWT is two numbers of fixed length, never ASN.1 (RFC 7518 §3.4).
        Algorithm::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
        Algorithm::EdDsa => &signature::ED25519,
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::Hs256
        | Algorithm::Hs384
        | Algorithm::Hs512 => rsa_parameters(algorithm).ok_or_else(unfit)?,
    };
    ParsedPublicKey::new(verification, bytes).map_err(|_| unfit())
}

/// What the library asks of a key only when it verifies, or not at all: a key that never verifies must not be in force unseen, nor one under
/// which anybody can sign.
pub(super) fn admit(key: &ParsedPublicKey, algorithm: Algorithm) -> Result<(), PublicKeyError> {
    let unfit = || PublicKeyError::Unfit(word(algorithm));
    let der = key.as_der().map_err(|_| unfit())?;
    let (_, info) = SubjectPublicKeyInfo::from_der(der.as_ref()).map_err(|_| unfit())?;
    match algorithm.key_kind() {
        KeyKind::Rsa => match info.parsed() {
            Ok(PublicKey::RSA(rsa)) => admit_rsa(&rsa),
            Ok(_) | Err(_) => Err(unfit()),
        },
        KeyKind::Ed if small_order::is_of_small_order(&info.subject_public_key.data) => Err(PublicKeyError::SmallOrder),
        KeyKind::Ed | KeyKind::Ec | KeyKind::Secret => Ok(()),
    }
}

/// With an exponent of 1 every message is its own signature.
fn admit_rsa(rsa: &RSAPublicKey<'_>) -> Result<(), PublicKeyError> {
    let bits = significant_bits(rsa.modulus);
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err(PublicKeyError::RsaSize(bits));
    }
    let is_odd = rsa.exponent.last().is_some_and(|byte| byte % 2 == 1);
    if is_odd && significant_bits(rsa.exponent) > 1 { Ok(()) } else { Err(PublicKeyError::RsaExponent) }
}

/// How many bits a big-endian number has without its leading zeros.
fn significant_bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = number.get(zeros..).unwrap_or_default();
    digits.first().map_or(0, |first| digits.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod vectors;
