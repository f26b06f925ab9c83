//! The work that every measurement does: a `ping` of Intercom's web wire, its token, and the workspace that judges it.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The secret that signs the tokens, and the environment variable in which the gateway finds it.
pub const SECRET: &str = "bench-secret-0123456789abcdef0123456789";
pub const SECRET_VARIABLE: &str = "BENCH_SECRET";

/// The only site whose widget may speak.
pub const ORIGIN: &str = "https://app.acme.example";

/// How many attributes the catalogue has beside the named ones.
pub const LISTED: usize = 1_000;

/// Every tenth of the listed ones is locked, so that a large request has something to leave out too.
pub const LOCKED_EVERY: usize = 10;

/// What `encodeURIComponent` leaves as it is.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// The size of a request: `attributes` in `user_data`, filled up to about `body_bytes` of form.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub body_bytes: usize,
    pub attributes: usize,
}

/// Whether the `index`th listed attribute is locked.
pub fn is_locked(index: usize) -> bool {
    index.is_multiple_of(LOCKED_EVERY)
}

/// The name of the `index`th listed attribute.
pub fn listed(index: usize) -> String {
    format!("attr_{index:04}")
}

/// `workspaces/acme.toml`.
pub fn workspace() -> String {
    let mut text = format!(
        r#"profile = "intercom-web"
app_ids = ["abc12345"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["{ORIGIN}"]
missing_origin = "refuse"

[identity]
require = "identified"
max_lifetime = "2h"
leeway = "30s"

[[identity.keys]]
id = "bench"
algorithm = "HS256"
secret = {{ env = "{SECRET_VARIABLE}" }}
use = ["jwt"]

[attributes]
email = {{ lock = "enforce", type = "email" }}
plan = {{ lock = "enforce", one_of = ["free", "pro", "enterprise"] }}
seats = {{ lock = "enforce", type = "integer" }}
phone = {{ lock = "enforce", type = "text", max_length = 32 }}
name = {{ lock = "off", type = "text", max_length = 64 }}
"#
    );
    for index in 0..LISTED {
        let lock = if is_locked(index) { "enforce" } else { "off" };
        let line = format!("{} = {{ lock = \"{lock}\", type = \"text\", max_length = 65536 }}\n", listed(index));
        text.push_str(&line);
    }
    text
}

/// A token of the user with this number, good for an hour from `now` (seconds since 1970).
pub fn token(user: usize, now: i64) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let payload = URL_SAFE_NO_PAD.encode(format!(
        r#"{{"user_id":"user-{user}","email":"user-{user}@acme.example","plan":"pro","seats":5,"iat":{now},"exp":{}}}"#,
        now + 3600
    ));
    let message = format!("{header}.{payload}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
    format!("{message}.{signature}")
}

/// The form that the widget of the user with this number posts.
///
/// It names three attributes that the token signs (one of them with another value), a locked one that nobody signed, an open one
/// and one that nobody listed; the others come from the catalogue and share what is missing to the size.
pub fn form(size: Size, user: usize, now: i64) -> String {
    let missing_bytes = size.body_bytes.saturating_sub(form_with(size, user, now, 0).len());
    form_with(size, user, now, missing_bytes / fillers(size).max(1))
}

/// How many attributes come from the catalogue; six are always there.
fn fillers(size: Size) -> usize {
    size.attributes.saturating_sub(6)
}

fn form_with(size: Size, user: usize, now: i64, filler_bytes: usize) -> String {
    let token = token(user, now);
    let mut user_data = format!(
        r#"{{"user_id":"user-{user}","intercom_user_jwt":"{token}","email":"user-{user}@acme.example","plan":"enterprise","seats":5,"#
    );
    user_data.push_str(r#""phone":"555 0100","name":"Ada","planet":"Mars""#);
    for index in 0..fillers(size) {
        let member = format!(r#","{}":"{}""#, listed(index), filler(filler_bytes));
        user_data.push_str(&member);
    }
    user_data.push('}');
    let fields = [
        ("app_id", "abc12345"),
        ("v", "3"),
        ("s", "11111111-2222-4333-8444-555555555555"),
        ("platform", "web"),
        ("Idempotency-Key", "00112233445566aa"),
        ("page_title", "Home"),
        ("user_data", &user_data),
        ("source", "apiBoot"),
        ("referer", "https://app.acme.example/"),
    ];
    let pairs = fields.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, COMPONENT)));
    pairs.join("&")
}

/// Words that take this many bytes of an encoded form; a space takes three.
fn filler(encoded_bytes: usize) -> String {
    const WORD: &str = "attribute ";
    let encoded_word = WORD.len() + 2;
    WORD.repeat(encoded_bytes / encoded_word) + &"x".repeat(encoded_bytes % encoded_word)
}
