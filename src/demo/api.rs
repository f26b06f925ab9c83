//! The demo's attribute API: the backend that a gateway protects.
//!
//! It answers like the web backend of Intercom's messenger, like Chatwoot's contact calls, and like a plain JSON API, and it believes
//! everything: that is the situation the gateway is for. It reads as leniently as real backends do, so that a bypass would show. It
//! knows no lock; tokens it reads only if it is told who signs them.

mod contacts;
mod received;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use self::contacts::Contacts;
pub use self::received::{Received, ReceivedRequest};
use super::loopback::{Loopback, read_at_most};
use super::wire::{self, DemoSigner};
use crate::clock;

const BODY_BYTES_MAX: usize = 256 * 1024;
const SESSION_SECONDS: i64 = 7 * 24 * 3600;

/// The API, running. It stops when it is dropped.
#[derive(Debug)]
pub struct DemoApi {
    /// Where it listens: a loopback address.
    pub address: SocketAddr,
    received: Arc<Received>,
    contacts: Arc<Contacts>,
    server: Loopback,
}

impl DemoApi {
    /// Starts on a free port of `127.0.0.1`.
    ///
    /// # Errors
    ///
    /// No port can be had.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(None).await
    }

    /// Starts, and reads the tokens that `signer` signed, as Intercom's backend does.
    ///
    /// # Errors
    ///
    /// No port can be had.
    pub async fn start_reading_tokens(signer: DemoSigner) -> io::Result<Self> {
        Self::start_with(Some(signer)).await
    }

    async fn start_with(signer: Option<DemoSigner>) -> io::Result<Self> {
        let signer = signer.map(Arc::new);
        let received = Arc::new(Received::default());
        let contacts = Arc::new(Contacts::default());
        let listener = Loopback::bind(0).await?;
        let server = {
            let (received, contacts) = (Arc::clone(&received), Arc::clone(&contacts));
            Loopback::serve(listener, CancellationToken::new(), move |request| {
                let (received, contacts, signer) = (Arc::clone(&received), Arc::clone(&contacts), signer.clone());
                async move { answer(&received, &contacts, signer.as_deref(), request).await }
            })?
        };
        Ok(Self { address: server.address(), received, contacts, server })
    }

    /// The requests that arrived.
    #[must_use]
    pub fn received(&self) -> &Arc<Received> {
        &self.received
    }

    /// What the API keeps of one contact; `None` if nothing ever arrived for it.
    #[must_use]
    pub fn contact(&self, id: &str) -> Option<Map<String, Value>> {
        self.contacts.find(id)
    }

    /// Lets open requests end and closes the port.
    pub async fn stop(&self) {
        self.server.stop().await;
    }
}

/// The calls that this API knows.
enum Call<'p> {
    /// Any call of Intercom's web messenger: they all take `user_data`.
    IntercomWeb,
    ChatwootContact,
    User(&'p str),
    /// What is kept of a user, for whoever plays with the demo.
    Show(&'p str),
}

impl<'p> Call<'p> {
    fn find(method: &Method, path: &'p str) -> Option<Self> {
        if *method == Method::POST {
            let call = path.strip_prefix("/messenger/web/")?;
            return (!call.is_empty()).then_some(Call::IntercomWeb);
        }
        let user = path.strip_prefix("/v1/users/").filter(|id| !id.is_empty() && !id.contains('/'));
        match (method, path, user) {
            (&Method::PATCH, "/api/v1/widget/contact" | "/api/v1/widget/contact/set_user", _) => {
                Some(Call::ChatwootContact)
            }
            (&Method::PATCH, _, Some(id)) => Some(Call::User(id)),
            (&Method::GET, _, Some(id)) => Some(Call::Show(id)),
            (_, _, _) => None,
        }
    }
}

async fn answer(
    received: &Received,
    contacts: &Contacts,
    signer: Option<&DemoSigner>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = match read_at_most(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return reply(error.status(), &json!({ "errors": [{ "message": error.to_string() }] })),
    };
    let call = Call::find(&head.method, head.uri.path());
    let attributes = match &call {
        Some(Call::IntercomWeb) => wire::lenient_user_data(&head, &body, signer),
        Some(Call::ChatwootContact | Call::User(_)) => wire::lenient_object(&body),
        Some(Call::Show(_)) | None => Some(Map::new()),
    };
    // Also what is refused here has arrived here: for whoever watches, that is the news.
    received.remember(&head, body, attributes.clone().unwrap_or_default());
    let Some(call) = call else {
        return reply(StatusCode::NOT_FOUND, &json!({ "errors": [{ "message": "no such call" }] }));
    };
    let Some(attributes) = attributes else {
        return reply(StatusCode::BAD_REQUEST, &json!({ "errors": [{ "message": "not an object" }] }));
    };
    let body = match call {
        Call::IntercomWeb => intercom_ping(contacts, &attributes),
        Call::ChatwootContact => chatwoot_contact(contacts, &attributes),
        Call::User(id) => json!({ "id": id, "attributes": contacts.merge(id, &attributes) }),
        Call::Show(id) => json!({ "id": id, "attributes": contacts.find(id) }),
    };
    reply(StatusCode::OK, &body)
}

/// The parts of the answer to `ping` that the real widget reads; without `user` it would fail.
fn intercom_ping(contacts: &Contacts, attributes: &Map<String, Value>) -> Value {
    let named = id_of(attributes, &["user_id", "email"]);
    let role = if named.is_some() { "user_role" } else { "visitor_role" };
    let id = named.or_else(|| id_of(attributes, &["anonymous_id"])).unwrap_or_else(|| "visitor".to_owned());
    let contact = contacts.merge(&id, attributes);
    json!({
        "user": {
            "id": id,
            "role": role,
            "name": contact.get("name"),
            "email": contact.get("email"),
            "anonymous_id": contact.get("anonymous_id"),
        },
        "anonymous_session": format!("demo-session-{id}"),
        "session_expiry": clock::now_seconds().0.saturating_add(SESSION_SECONDS),
        "jwt_expired": false,
        "cdas_breaching_limit": [],
        "modules": {},
    })
}

fn chatwoot_contact(contacts: &Contacts, attributes: &Map<String, Value>) -> Value {
    let id = id_of(attributes, &["identifier", "email"]).unwrap_or_else(|| "visitor".to_owned());
    let contact = contacts.merge(&id, attributes);
    json!({
        "id": id,
        "name": contact.get("name"),
        "email": contact.get("email"),
        "has_email": contact.get("email").is_some_and(Value::is_string),
        // The widget reads it from every answer to `set_user`.
        "widget_auth_token": format!("demo-session-{id}"),
    })
}

fn id_of(attributes: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match attributes.get(*name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

fn reply(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::wire::testing::send;

    #[track_caller]
    fn check(method: &Method, path: &str, known: bool) {
        assert_eq!(Call::find(method, path).is_some(), known, "{method} {path}");
    }

    #[test]
    fn it_knows_its_calls_and_no_others() {
        check(&Method::POST, "/messenger/web/ping", true);
        check(&Method::POST, "/messenger/web/conversations/7/form", true);
        check(&Method::POST, "/messenger/web/", false);
        check(&Method::GET, "/messenger/web/ping", false);
        check(&Method::PATCH, "/api/v1/widget/contact/set_user", true);
        check(&Method::POST, "/api/v1/widget/contact/set_user", false);
        check(&Method::PATCH, "/v1/users/42", true);
        check(&Method::PATCH, "/v1/users/42/notes", false);
        check(&Method::PATCH, "/v1/users/", false);
        check(&Method::GET, "/v1/users/42", true);
        check(&Method::DELETE, "/v1/users/42", false);
    }

    #[tokio::test]
    async fn a_ping_is_answered_in_the_shape_that_the_widget_reads() {
        let api = DemoApi::start().await.unwrap();
        let body = "app_id=demo&user_data=%7B%22user_id%22%3A%2242%22%2C%22plan%22%3A%22pro%22%7D";
        let answer = send(api.address, "POST", "/messenger/web/ping", &[FORM], body).await;
        assert_eq!(answer.status, 200);
        let json: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(json["user"]["role"], "user_role");
        assert_eq!(json["user"]["id"], "42");
        assert_eq!(json["jwt_expired"], false);
        assert!(json["anonymous_session"].is_string());
        assert_eq!(api.contact("42").unwrap()["plan"], "pro");
        assert!(api.contact("43").is_none());
        let visitor = send(api.address, "POST", "/messenger/web/ping", &[FORM], "user_data=%7B%7D").await;
        assert!(visitor.body.contains("visitor_role"));
    }

    #[tokio::test]
    async fn what_arrives_is_remembered_as_it_came_and_announced() {
        let api = DemoApi::start().await.unwrap();
        let mut arrivals = api.received().subscribe();
        let raw = "user_data=%7B%22plan%22%3A%22pro%22%7D&x=1";
        send(api.address, "POST", "/messenger/web/open?a=b", &[FORM, ("Origin", "https://a.example")], raw).await;
        let request = arrivals.recv().await.unwrap();
        assert_eq!(request.body, raw.as_bytes());
        assert_eq!(request.path_and_query, "/messenger/web/open?a=b");
        assert_eq!(request.headers["origin"], "https://a.example");
        assert_eq!(request.attributes["plan"], "pro");
        assert_eq!(api.received().count(), 1);
        assert!(!format!("{request:?}").contains("pro"), "no value in Debug");
    }

    #[tokio::test]
    async fn chatwoot_and_plain_json_are_kept_and_anything_else_is_404() {
        let api = DemoApi::start().await.unwrap();
        let json = ("Content-Type", "application/json");
        let body = r#"{"identifier":"u-1","custom_attributes":{"plan":"pro"}}"#;
        let answer = send(api.address, "PATCH", "/api/v1/widget/contact/set_user", &[json], body).await;
        assert!(answer.body.contains("widget_auth_token"));
        let body = r#"{"identifier":"u-1","custom_attributes":{"seats":5}}"#;
        send(api.address, "PATCH", "/api/v1/widget/contact/set_user", &[json], body).await;
        assert_eq!(api.contact("u-1").unwrap()["custom_attributes"], json!({ "plan": "pro", "seats": 5 }));
        let answer = send(api.address, "PATCH", "/v1/users/7", &[json], r#"{"plan":"free"}"#).await;
        assert_eq!(answer.status, 200);
        assert_eq!(api.contact("7").unwrap()["plan"], "free");
        assert_eq!(send(api.address, "PATCH", "/v1/users/7", &[json], "[]").await.status, 400);
        assert_eq!(send(api.address, "PUT", "/v1/users/7", &[json], "{}").await.status, 404);
    }

    const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
}
