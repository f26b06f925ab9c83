//! Keys that sign tokens and hashes: for rehearsals and for trying an installation out. Nothing that serves has one.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding};
use aws_lc_rs::{error, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::Secret;
use super::material::KeyMaterial;
use crate::policy::{Algorithm, word};

/// A key that signs by one algorithm.
pub struct SigningKey {
    algorithm: Algorithm,
    pair: Pair,
}

enum Pair {
    Secret { hash: hmac::Algorithm, secret: Zeroizing<Vec<u8>> },
    Rsa { pair: Box<rsa::KeyPair>, padding: &'static dyn RsaEncoding },
    Ec(Box<EcdsaKeyPair>),
    Ed(Box<Ed25519KeyPair>),
}

/// A drawn secret: as long as the longest hash asks for (RFC 7518 §3.2).
const SECRET_BYTES: usize = 64;

impl SigningKey {
    /// The key that a secret is, for an algorithm that takes one; `None` for any other.
    #[must_use]
    pub fn of_secret(algorithm: Algorithm, secret: &[u8]) -> Option<Self> {
        let pair = Pair::Secret { hash: hash_of(algorithm)?, secret: Zeroizing::new(secret.to_vec()) };
        Some(Self { algorithm, pair })
    }

    /// Draws a key of the algorithm.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn draw(algorithm: Algorithm) -> Result<Self, error::Unspecified> {
        let rsa = |padding| Ok(Pair::Rsa { pair: Box::new(rsa::KeyPair::generate(KeySize::Rsa2048)?), padding });
        let ec = |curve: &'static EcdsaSigningAlgorithm| Ok(Pair::Ec(Box::new(EcdsaKeyPair::generate(curve)?)));
        if let Some(hash) = hash_of(algorithm) {
            let mut secret = Zeroizing::new(vec![0; SECRET_BYTES]);
            rand::fill(&mut secret)?;
            return Ok(Self { algorithm, pair: Pair::Secret { hash, secret } });
        }
        let pair: Result<Pair, error::Unspecified> = match algorithm {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => Err(error::Unspecified),
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
            Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
            Algorithm::Ps256 => rsa(&signature::RSA_PSS_SHA256),
            Algorithm::Ps384 => rsa(&signature::RSA_PSS_SHA384),
            Algorithm::Ps512 => rsa(&signature::RSA_PSS_SHA512),
            Algorithm::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::Es512 => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::EdDsa => Ok(Pair::Ed(Box::new(Ed25519KeyPair::generate()?))),
        };
        Ok(Self { algorithm, pair: pair? })
    }

    /// What the policy would fetch to verify by: the secret, or the public half as PEM.
    ///
    /// # Errors
    /// The public half cannot be written down.
    pub fn material(&self) -> Result<KeyMaterial, error::Unspecified> {
        let public: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Secret { hash: _, secret } => return Ok(KeyMaterial::Secret(Secret::from(secret.to_vec()))),
            Pair::Rsa { pair, padding: _ } => pair.public_key().as_der()?,
            Pair::Ec(pair) => pair.public_key().as_der()?,
            Pair::Ed(pair) => pair.public_key().as_der()?,
        };
        let digits = STANDARD.encode(public.as_ref());
        Ok(KeyMaterial::PublicKey(
            format!("-----BEGIN PUBLIC KEY-----\n{digits}\n-----END PUBLIC KEY-----\n").into_bytes(),
        ))
    }

    /// The compact form of a token (RFC 7515 §7.1) with this payload.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn token(&self, payload: &[u8]) -> Result<String, error::Unspecified> {
        let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, word(self.algorithm));
        self.sign(&header, payload)
    }

    /// The `user_hash` of an id: HMAC-SHA256, in hexadecimal digits; `None` where the key is for something else.
    #[must_use]
    pub fn user_hash(&self, id: &str) -> Option<String> {
        match (&self.pair, self.algorithm) {
            (Pair::Secret { hash, secret }, Algorithm::Hs256) => {
                let tag = hmac::sign(&hmac::Key::new(*hash, secret), id.as_bytes());
                Some(tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat())
            }
            (Pair::Secret { .. } | Pair::Rsa { .. } | Pair::Ec(_) | Pair::Ed(_), _) => None,
        }
    }

    /// The same under any header: a signature says nothing of what stands there.
    pub fn sign(&self, header: &str, payload: &[u8]) -> Result<String, error::Unspecified> {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let bytes = message.as_bytes();
        let signature = match &self.pair {
            Pair::Secret { hash, secret } => hmac::sign(&hmac::Key::new(*hash, secret), bytes).as_ref().to_vec(),
            Pair::Rsa { pair, padding } => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*padding, &SystemRandom::new(), bytes, &mut signature)?;
                signature
            }
            Pair::Ec(pair) => pair.sign(&SystemRandom::new(), bytes)?.as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(bytes).as_ref().to_vec(),
        };
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// The hash of an algorithm that takes a secret.
fn hash_of(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
        Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512
        | Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::Es256
        | Algorithm::Es384
        | Algorithm::Es512
        | Algorithm::EdDsa => None,
    }
}

/// Says by what it signs, and nothing of the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_hashes_are_those_of_other_libraries() {
        let key = SigningKey::of_secret(Algorithm::Hs256, b"test-secret-0123456789abcdef0123456789").expect("a secret");
        let claims = br#"{"user_id":"user-42","email":"ada@example.com","plan":"pro","seats":5,"exp":4102444800}"#;
        assert_eq!(
            key.token(claims).expect("signed"),
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoidXNlci00MiIsImVtYWlsIjoiYWRhQGV4YW1wbGUuY29tIiwicGxhbiI6InBybyIsI\
             nNlYXRzIjo1LCJleHAiOjQxMDI0NDQ4MDB9.5GCB-fVWkgpWF_rknHcIoILv33LxkjWwScK0NQCA-PU"
        );
        let hash = "14255644703afde09642fd12b8e9d2f3727b47a90950fde862ce8fca029cbb34";
        assert_eq!(key.user_hash("user-42").as_deref(), Some(hash));
    }

    #[test]
    fn only_sha_256_makes_hashes_and_only_secrets_are_secrets() {
        let longer = SigningKey::of_secret(Algorithm::Hs512, &[7; 64]).expect("a secret");
        assert_eq!(longer.user_hash("user-42"), None);
        assert!(SigningKey::of_secret(Algorithm::Es256, &[7; 64]).is_none());
    }
}
