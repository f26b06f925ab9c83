//! Sets as an issuer would publish them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::KeySet;
use crate::identity::{KeyMaterial, SigningKey};
use crate::policy::Algorithm;

/// A set of keys of ES256 that nobody signs with.
pub(crate) fn set_of(kids: &[&str]) -> Arc<KeySet> {
    Arc::new(KeySet::parse(document(kids).as_bytes(), &[Algorithm::Es256]).expect("a set"))
}

/// The document of such a set.
pub(crate) fn document(kids: &[&str]) -> String {
    let jwk = |kid: &&str| jwk(kid, &SigningKey::draw(Algorithm::Es256).expect("a key"));
    json!({ "keys": kids.iter().map(jwk).collect::<Vec<_>>() }).to_string()
}

/// The public half of a key of ES256 or EdDSA as a JWK without `alg`.
pub(crate) fn jwk(kid: &str, key: &SigningKey) -> Value {
    let KeyMaterial::PublicKey(pem) = key.material().expect("material") else { panic!("a secret") };
    let pem = String::from_utf8(pem).expect("PEM");
    let der = STANDARD.decode(pem.lines().nth(1).expect("digits")).expect("base64");
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    // Both kinds end in the numbers themselves.
    match der.len() {
        91 => {
            let point = &der[der.len() - 64..];
            json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": encode(&point[..32]), "y": encode(&point[32..])})
        }
        44 => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": encode(&der[12..])}),
        length => panic!("{length} bytes"),
    }
}
