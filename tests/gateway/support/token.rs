//! Tokens made by the test itself: header and payload are texts, so that a test can spell what no library would.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The secret of MESSENGER vectors; 38 bytes of text.
pub const SECRET: &str = "test-secret-0123456789abcdef0123456789";

/// A token under construction.
pub struct Token {
    header: String,
    payload: String,
    secret: String,
}

impl Token {
    /// A token that says `payload` (JSON text), signed with [`SECRET`] by HS256.
    pub fn of(payload: &str) -> Self {
        Self { header: r#"{"alg":"HS256","typ":"JWT"}"#.into(), payload: payload.into(), secret: SECRET.into() }
    }

    /// A token about `user-42` that lives for ten minutes and says `members` (`"plan":"pro"`) beside that.
    pub fn saying(members: &str) -> Self {
        let comma = if members.is_empty() { "" } else { "," };
        Self::of(&format!(r#"{{"user_id":"user-42","exp":{}{comma}{members}}}"#, now() + 600))
    }

    pub fn header(mut self, header: &str) -> Self {
        self.header = header.into();
        self
    }

    pub fn secret(mut self, secret: &str) -> Self {
        self.secret = secret.into();
        self
    }

    pub fn text(&self) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(&self.header), URL_SAFE_NO_PAD.encode(&self.payload));
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes())))
    }
}

/// Lower-case hex of HMAC-SHA256 over `subject`.
pub fn user_hash(subject: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::sign(&key, subject.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Unix time in seconds.
pub fn now() -> i64 {
    countersign::clock::now_seconds().0
}
