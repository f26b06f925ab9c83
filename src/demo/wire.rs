//! The demo's requests on the wire: written as a widget writes them, read back as a lenient backend reads them.
//!
//! The reading half takes the last of two equal names and any spelling that it can make sense of. It must never be used by the gateway.

use std::fmt::Write;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{header, request};
use serde_json::{Map, Value, json};

use super::scenario::{APP_ID, Call, DemoRequest, Proof, Spelling, USER_ID};
use crate::clock::UnixSeconds;

const TOKEN_LIFETIME_SECONDS: i64 = 15 * 60;

/// One request as bytes, but for the connection.
pub struct WireRequest {
    pub method: &'static str,
    pub path: &'static str,
    pub origin: &'static str,
    pub content_type: &'static str,
    pub body: String,
}

/// Who knows the secret: the customer's server, which signs, and the API, which verifies. No browser ever has it.
#[derive(Clone)]
pub struct DemoSigner {
    key: hmac::Key,
}

impl DemoSigner {
    /// Signs with `secret`, which the gateway must know too.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// A token over `claims` (RFC 7519), HS256.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(&json!({ "alg": "HS256", "typ": "JWT" })), encode(claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The claims, where the signature holds. Times are not looked at: the gateway does that.
    fn claims(&self, token: &str) -> Option<Map<String, Value>> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &signature).ok()?;
        let (_, payload) = signed.split_once('.')?;
        lenient_object(&BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?.into())
    }

    /// The older proof: lower-case hex of the HMAC over the user id. It says who, and nothing about attributes.
    #[must_use]
    pub fn user_hash(&self, user_id: &str) -> String {
        let tag = hmac::sign(&self.key, user_id.as_bytes());
        tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
            // Writing to a `String` cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

fn encode(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

impl DemoRequest {
    /// The request as a browser would send it at `now`.
    #[must_use]
    pub fn on_the_wire(&self, signer: &DemoSigner, now: UnixSeconds) -> WireRequest {
        let mut data: Vec<(&str, Value)> = vec![("user_id", USER_ID.into())];
        data.extend(
            self.attributes.iter().filter_map(|attribute| Some((attribute.name.as_str(), attribute.plain.clone()?))),
        );
        match &self.proof {
            Proof::UserHash => data.push(("user_hash", signer.user_hash(USER_ID).into())),
            Proof::Token => data.push(("intercom_user_jwt", signer.token(&self.claims(now)).into())),
            Proof::AlteredToken { name, value } => {
                let token = signer.token(&self.claims(now));
                let mut claims = self.claims(now);
                if let Some(claims) = claims.as_object_mut() {
                    claims.insert(name.clone(), value.clone());
                }
                data.push(("intercom_user_jwt", with_payload(&token, &claims).into()));
            }
        }
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("app_id", APP_ID).append_pair("v", "3").append_pair("platform", "web");
        match self.spelling {
            Spelling::UserData => {
                form.append_pair("user_data", &object_text(&data));
            }
            Spelling::Brackets => {
                for (name, value) in &data {
                    form.append_pair(&format!("user_data[{name}]"), &bracket_text(value));
                }
            }
        }
        WireRequest {
            method: "POST",
            path: match self.call {
                Call::Ping => "/messenger/web/ping",
                Call::Open => "/messenger/web/open",
            },
            origin: self.site.origin(),
            content_type: "application/x-www-form-urlencoded",
            body: form.finish(),
        }
    }

    fn claims(&self, now: UnixSeconds) -> Value {
        let mut claims = Map::new();
        claims.insert("user_id".into(), USER_ID.into());
        claims.insert("exp".into(), now.0.saturating_add(TOKEN_LIFETIME_SECONDS).into());
        for attribute in &self.attributes {
            if let Some(value) = &attribute.signed {
                claims.insert(attribute.name.clone(), value.clone());
            }
        }
        Value::Object(claims)
    }
}

/// The same header and signature around another payload: what somebody without the secret can do.
fn with_payload(token: &str, claims: &Value) -> String {
    match (token.split_once('.'), token.rsplit_once('.')) {
        (Some((header, _)), Some((_, signature))) => format!("{header}.{}.{signature}", encode(claims)),
        (_, _) => String::new(),
    }
}

/// Keeps the order of the members, which a map would not.
fn object_text(members: &[(&str, Value)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", Value::from(*name))).collect();
    format!("{{{}}}", members.join(","))
}

/// Form brackets know only text.
fn bracket_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

const TOKEN_NAMES: [&str; 2] = ["intercom_user_jwt", "user_hash"];
/// What a token says of itself and not of the user (RFC 7519 §4.1).
const REGISTERED_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

/// Reads `user_data` wherever a lenient backend might: query and form, JSON text and brackets, or a JSON body; and, with a signer, the
/// tokens that it signed. `None`: `user_data` is there and is no object.
#[must_use]
pub fn lenient_user_data(
    head: &request::Parts,
    body: &Bytes,
    signer: Option<&DemoSigner>,
) -> Option<Map<String, Value>> {
    let mut attributes = Map::new();
    let mut tokens = Vec::new();
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let is_json = head
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"));
    let form: &[u8] = if is_json { b"" } else { body };
    for (name, value) in form_urlencoded::parse(query).chain(form_urlencoded::parse(form)) {
        if name == "user_data" {
            attributes.extend(object(&value)?);
        } else if let Some(member) = name.strip_prefix("user_data[").and_then(|rest| rest.strip_suffix(']')) {
            attributes.insert(member.to_owned(), Value::String(value.into_owned()));
        } else if name == "intercom_user_jwt" {
            tokens.push(value.into_owned());
        }
    }
    if is_json {
        match lenient_object(body)?.remove("user_data") {
            Some(Value::Object(members)) => attributes.extend(members),
            Some(Value::String(text)) => attributes.extend(object(&text)?),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => return None,
            None => {}
        }
    }
    for name in TOKEN_NAMES {
        if let (Some(Value::String(token)), "intercom_user_jwt") = (attributes.remove(name), name) {
            tokens.push(token);
        }
    }
    // Like the real backend: what a genuine token says counts more, and any other token is no token.
    for claims in tokens.iter().filter_map(|token| signer?.claims(token)) {
        attributes.extend(claims.into_iter().filter(|(name, _)| !REGISTERED_CLAIMS.contains(&name.as_str())));
    }
    Some(attributes)
}

/// Reads a JSON object; `None` if it is none.
#[must_use]
pub fn lenient_object(body: &Bytes) -> Option<Map<String, Value>> {
    object(std::str::from_utf8(body).ok()?)
}

fn object(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

/// A body for people: one form field a line, decoded, with long tokens cut short.
#[must_use]
pub fn readable(body: &[u8]) -> String {
    let lines: Vec<String> =
        form_urlencoded::parse(body).map(|(name, value)| format!("{name} = {}", shorten_tokens(&value))).collect();
    lines.join("\n")
}

const TOKEN_CHARS_SHOWN: usize = 12;

fn shorten_tokens(text: &str) -> String {
    let is_token = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_token) {
        let (before, run) = rest.split_at(start);
        let (run, after) = run.split_at(run.find(|char| !is_token(char)).unwrap_or(run.len()));
        shown.push_str(before);
        match run.split_at_checked(TOKEN_CHARS_SHOWN) {
            Some((head, tail)) if run.len() >= 64 => {
                let _ = write!(shown, "{head}… ({} more)", tail.len());
            }
            Some(_) | None => shown.push_str(run),
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// A client that is no part of what is tested.
#[cfg(test)]
pub(super) mod testing {
    use std::fmt::Write;
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    pub struct Answer {
        pub status: u16,
        pub head: String,
        pub body: String,
    }

    /// Sends one request on a connection of its own and reads until the server closes it.
    pub async fn send(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "Host") {
            write!(head, "Host: {address}\r\n").unwrap();
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await.unwrap();
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(content_type: &str, target: &str) -> request::Parts {
        let request = http::Request::post(target).header(header::CONTENT_TYPE, content_type).body(()).unwrap();
        request.into_parts().0
    }

    #[track_caller]
    fn check(content_type: &str, target: &str, body: &'static str, plan: Option<&str>) {
        let read = lenient_user_data(&head(content_type, target), &Bytes::from_static(body.as_bytes()), None);
        let read = read.and_then(|read| read.get("plan")?.as_str().map(str::to_owned));
        assert_eq!(read.as_deref(), plan, "{target} {body}");
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn it_reads_what_lenient_backends_read() {
        check(FORM, "/", "user_data=%7B%22plan%22%3A%22pro%22%7D", Some("pro"));
        check(FORM, "/", "user_data[plan]=pro", Some("pro"));
        check(FORM, "/?user_data[plan]=pro", "", Some("pro"));
        check(FORM, "/", "user_data=%7B%22plan%22%3A%22free%22%2C%22plan%22%3A%22pro%22%7D", Some("pro"));
        check("application/json", "/", r#"{"user_data":{"plan":"pro"}}"#, Some("pro"));
        check("application/json", "/", r#"{"user_data":"{\"plan\":\"pro\"}"}"#, Some("pro"));
        check(FORM, "/", "user_data=7", None);
        check(FORM, "/", "plan=pro", None);
    }

    /// The vectors were made with another implementation.
    #[test]
    fn it_signs_like_everybody_else() {
        let signer = DemoSigner::new(b"test-secret-0123456789abcdef0123456789");
        assert_eq!(signer.user_hash("user-42"), "14255644703afde09642fd12b8e9d2f3727b47a90950fde862ce8fca029cbb34");
        let payload = r#"{"user_id":"user-42","email":"ada@example.com","plan":"pro","seats":5,"exp":4102444800}"#;
        let signed = format!(
            "{}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
            BASE64_URL_SAFE_NO_PAD.encode(payload)
        );
        let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&signer.key, signed.as_bytes()));
        assert_eq!(signature, "5GCB-fVWkgpWF_rknHcIoILv33LxkjWwScK0NQCA-PU");
    }

    #[test]
    fn an_altered_token_keeps_its_signature_and_changes_its_payload() {
        let signer = DemoSigner::new(b"another secret of thirty-two bytes");
        let token = signer.token(&json!({ "plan": "free" }));
        let altered = with_payload(&token, &json!({ "plan": "pro" }));
        assert_ne!(token, altered);
        assert_eq!(token.rsplit('.').next(), altered.rsplit('.').next());
        assert_eq!(signer.claims(&token).unwrap()["plan"], "free");
        assert!(signer.claims(&altered).is_none());
    }

    #[test]
    fn only_a_reader_with_the_secret_believes_a_token() {
        let signer = DemoSigner::new(b"another secret of thirty-two bytes");
        let body = |token: &str| {
            let data = json!({ "plan": "free", "intercom_user_jwt": token }).to_string();
            Bytes::from(form_urlencoded::Serializer::new(String::new()).append_pair("user_data", &data).finish())
        };
        let token = signer.token(&json!({ "plan": "pro", "exp": 1 }));
        let altered = with_payload(&token, &json!({ "plan": "enterprise" }));
        let other = DemoSigner::new(b"yet another secret of thirty bytes");
        for (token, reader, plan) in [
            (&token, Some(&signer), "pro"),
            (&altered, Some(&signer), "free"),
            (&token, Some(&other), "free"),
            (&token, None, "free"),
        ] {
            let read = lenient_user_data(&head(FORM, "/"), &body(token), reader).unwrap();
            assert_eq!(Value::Object(read), json!({ "plan": plan }));
        }
    }

    #[test]
    fn long_tokens_are_cut_short_and_nothing_else_is() {
        let long = "a".repeat(80);
        assert_eq!(readable(format!("jwt={long}&x=a+b").as_bytes()), "jwt = aaaaaaaaaaaa… (68 more)\nx = a b");
        assert_eq!(shorten_tokens("caf\u{e9} [1]"), "caf\u{e9} [1]");
    }
}
