//! The demo's attribute API: the backend that a gateway protects.
//!
//! It answers like the web backend of Intercom's messenger, like Chatwoot's contact calls, and like a plain JSON API, and it believes
//! everything: that is the situation the gateway is for. It reads as leniently as real backends do, so that a bypass would show. It
//! knows no lock; tokens it reads only if it is told who signs them.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::loopback::{Loopback, read_at_most};
use super::wire::{self, DemoSigner};
use crate::clock;

const BODY_BYTES_MAX: usize = 256 * 1024;
const CONTACTS_MAX: usize = 1_000;
/// As many as Intercom keeps for one workspace.
const ATTRIBUTES_PER_CONTACT_MAX: usize = 250;
const RECEIVED_MAX: usize = 64;
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

/// One request, exactly as it arrived.
pub struct ReceivedRequest {
    /// Counts from 1 in the order of arrival.
    pub number: u64,
    pub method: Method,
    pub path_and_query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The attributes as this lenient backend read them, those of a genuine token among them.
    pub attributes: Map<String, Value>,
}

/// Says how much arrived and never what.
impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRequest")
            .field("number", &self.number)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .field("attributes", &self.attributes.len())
            .finish_non_exhaustive()
    }
}

/// The newest requests; older ones make room.
#[derive(Debug)]
pub struct Received {
    newest: Mutex<Newest>,
    arrivals: broadcast::Sender<Arc<ReceivedRequest>>,
}

#[derive(Debug, Default)]
struct Newest {
    count: u64,
    requests: VecDeque<Arc<ReceivedRequest>>,
}

impl Default for Received {
    fn default() -> Self {
        Self { newest: Mutex::default(), arrivals: broadcast::channel(RECEIVED_MAX).0 }
    }
}

impl Received {
    /// How many arrived since the start, those already forgotten among them.
    #[must_use]
    pub fn count(&self) -> u64 {
        lock(&self.newest).count
    }

    /// Those that arrived after the first `count`, oldest first, as far as they are remembered.
    #[must_use]
    pub fn since(&self, count: u64) -> Vec<Arc<ReceivedRequest>> {
        lock(&self.newest).requests.iter().filter(|request| request.number > count).cloned().collect()
    }

    /// The newest one.
    #[must_use]
    pub fn last(&self) -> Option<Arc<ReceivedRequest>> {
        lock(&self.newest).requests.back().cloned()
    }

    /// Each request from now on, as it arrives.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<ReceivedRequest>> {
        self.arrivals.subscribe()
    }

    fn remember(&self, head: &http::request::Parts, body: Bytes, attributes: Map<String, Value>) {
        let request = {
            let mut newest = lock(&self.newest);
            newest.count += 1;
            let request = Arc::new(ReceivedRequest {
                number: newest.count,
                method: head.method.clone(),
                path_and_query: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
                headers: head.headers.clone(),
                body,
                attributes,
            });
            if newest.requests.len() == RECEIVED_MAX {
                newest.requests.pop_front();
            }
            newest.requests.push_back(Arc::clone(&request));
            request
        };
        // Nobody need be listening.
        let _ = self.arrivals.send(request);
    }
}

/// A panic elsewhere leaves a queue or a map that is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Contacts(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_id: HashMap<String, Map<String, Value>>,
    /// Oldest first, to make room.
    order: VecDeque<String>,
}

impl fmt::Debug for Contacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Contacts").field(&lock(&self.0).by_id.len()).finish()
    }
}

impl Contacts {
    fn find(&self, id: &str) -> Option<Map<String, Value>> {
        lock(&self.0).by_id.get(id).cloned()
    }

    /// Merges `attributes` into the contact and gives back the whole.
    fn merge(&self, id: &str, attributes: &Map<String, Value>) -> Map<String, Value> {
        let mut kept = lock(&self.0);
        if !kept.by_id.contains_key(id) {
            if kept.order.len() == CONTACTS_MAX
                && let Some(oldest) = kept.order.pop_front()
            {
                kept.by_id.remove(&oldest);
            }
            kept.order.push_back(id.to_owned());
        }
        let contact = kept.by_id.entry(id.to_owned()).or_default();
        merge(contact, attributes);
        contact.clone()
    }
}

/// Objects merge member by member, as Chatwoot merges its `custom_attributes`; anything else is replaced.
fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (name, value) in from {
        let has_room = into.len() < ATTRIBUTES_PER_CONTACT_MAX;
        match (into.get_mut(name), value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
            (Some(old), new) => *old = new.clone(),
            (None, new) if has_room => {
                into.insert(name.clone(), new.clone());
            }
            (None, _) => {}
        }
    }
}

/// The calls that this API knows.
enum Call<'p> {
    /// Any call of Intercom's web messenger: they all take `user_data`.
    IntercomWeb,
    ChatwootContact,
    User(&'p str),
}

impl<'p> Call<'p> {
    fn find(method: &Method, path: &'p str) -> Option<Self> {
        if *method == Method::POST {
            let call = path.strip_prefix("/messenger/web/")?;
            return (!call.is_empty()).then_some(Call::IntercomWeb);
        }
        if *method != Method::PATCH {
            return None;
        }
        match path {
            "/api/v1/widget/contact" | "/api/v1/widget/contact/set_user" => Some(Call::ChatwootContact),
            path => {
                let id = path.strip_prefix("/v1/users/")?;
                (!id.is_empty() && !id.contains('/')).then_some(Call::User(id))
            }
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
        None => Some(Map::new()),
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
    async fn only_the_newest_are_remembered() {
        let received = Received::default();
        let (head, ()) = Request::post("/messenger/web/ping").body(()).unwrap().into_parts();
        for _ in 0..=RECEIVED_MAX {
            received.remember(&head, Bytes::new(), Map::new());
        }
        assert_eq!(received.since(0).len(), RECEIVED_MAX);
        assert_eq!(received.since(0)[0].number, 2);
        assert_eq!(received.since(RECEIVED_MAX as u64).len(), 1);
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

    #[test]
    fn contacts_and_their_attributes_are_bounded() {
        let contacts = Contacts::default();
        for number in 0..=CONTACTS_MAX {
            contacts.merge(&number.to_string(), &Map::new());
        }
        assert!(contacts.find("0").is_none());
        assert!(contacts.find("1").is_some());
        let many = (0..=ATTRIBUTES_PER_CONTACT_MAX).map(|number| (number.to_string(), Value::Null)).collect();
        assert_eq!(contacts.merge("many", &many).len(), ATTRIBUTES_PER_CONTACT_MAX);
    }

    const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
}
