//! Tokens and hashes for rehearsals, signed with secrets that were drawn for them.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::decision::Value;
use crate::envelope::json;

/// A JSON Web Token (RFC 7519) of these claims, by HS256.
pub(super) fn token(claims: &Value<'_>, secret: &[u8]) -> String {
    let mut payload = Vec::new();
    json::write(claims, &mut payload);
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(tag(message.as_bytes(), secret));
    format!("{message}.{signature}")
}

/// The `user_hash` of an id: HMAC-SHA-256, in hexadecimal digits.
pub(super) fn user_hash(id: &str, secret: &[u8]) -> String {
    tag(id.as_bytes(), secret).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn tag(message: &[u8], secret: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message)
}
