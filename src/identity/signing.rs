//! Proofs made rather than looked at: tokens and hashes for rehearsals and for tests of an installation.
//!
//! Nothing that serves signs anything.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::decision::Value;
use crate::envelope::json;

/// A JSON Web Token (RFC 7519) of these claims, by HS256.
pub(crate) fn token(claims: &Value<'_>, secret: &[u8]) -> String {
    let mut payload = Vec::new();
    json::write(claims, &mut payload);
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(tag(message.as_bytes(), secret));
    format!("{message}.{signature}")
}

/// The `user_hash` of an id: HMAC-SHA-256, in hexadecimal digits.
pub(crate) fn user_hash(id: &str, secret: &[u8]) -> String {
    tag(id.as_bytes(), secret).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn tag(message: &[u8], secret: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::read_again;

    const SECRET: &[u8] = b"test-secret-0123456789abcdef0123456789";

    #[test]
    fn tokens_and_hashes_are_those_of_other_libraries() {
        let claims =
            read_again(br#"{"user_id":"user-42","email":"ada@example.com","plan":"pro","seats":5,"exp":4102444800}"#);
        assert_eq!(
            token(&claims.expect("JSON"), SECRET),
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoidXNlci00MiIsImVtYWlsIjoiYWRhQGV4YW1wbGUuY29tIiwicGxhbiI6InBybyIsI\
             nNlYXRzIjo1LCJleHAiOjQxMDI0NDQ4MDB9.5GCB-fVWkgpWF_rknHcIoILv33LxkjWwScK0NQCA-PU"
        );
        assert_eq!(user_hash("user-42", SECRET), "14255644703afde09642fd12b8e9d2f3727b47a90950fde862ce8fca029cbb34");
    }
}
