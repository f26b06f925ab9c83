//! The demo's page: a small widget to try the gateway with, and the verdicts as they come.
//!
//! It serves plain HTTP on loopback and loads nothing from elsewhere. It knows no gateway: what it is asked to send it hands to a
//! [`Sender`].

mod events;
mod request;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::events::EventSource;
use self::request::requested;
use super::loopback::{Loopback, read_at_most};
use super::scenario::{DemoOutcome, DemoRequest, scenarios};
use crate::decision::Lock;

const BODY_BYTES_MAX: usize = 16 * 1024;

/// Sends one request through the gateway and tells what became of it.
pub type Sender =
    Arc<dyn Fn(DemoRequest) -> Pin<Box<dyn Future<Output = Result<DemoOutcome, SendError>> + Send>> + Send + Sync>;

/// Why a request of the demo had no outcome.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("the gateway could not be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What the page says about its surroundings.
#[derive(Clone, Serialize)]
pub struct Facts {
    /// Where the gateway listens, as an address with scheme.
    pub gateway: String,
    /// Where the API behind it listens.
    pub api: String,
    pub trusted_origin: String,
    pub foreign_origin: String,
    /// The catalogue: each attribute with `open`, `observed` or `locked`.
    pub attributes: Vec<FactAttribute>,
}

/// One attribute of the catalogue.
#[derive(Clone, Serialize)]
pub struct FactAttribute {
    pub name: String,
    pub lock: &'static str,
}

impl FactAttribute {
    /// The attribute with its lock in the page's words.
    #[must_use]
    pub fn new(name: &str, lock: Lock) -> Self {
        let lock = match lock {
            Lock::Off => "open",
            Lock::Observe => "observed",
            Lock::Enforce => "locked",
        };
        Self { name: name.to_owned(), lock }
    }
}

/// The page, running. It stops when it is dropped.
pub struct DemoPage {
    /// Where it listens: a loopback address.
    pub address: SocketAddr,
    server: Loopback,
}

impl DemoPage {
    /// Serves the page on `port` of `127.0.0.1`; 0 takes any free one.
    ///
    /// # Errors
    ///
    /// The port cannot be had.
    pub async fn start(port: u16, facts: Facts, sender: Sender) -> io::Result<Self> {
        let listener = Loopback::bind(port).await?;
        let stopping = CancellationToken::new();
        let room = Arc::new(Room {
            own_port: listener.local_addr()?.port(),
            facts,
            sender,
            events: EventSource::default(),
            stopping: stopping.clone(),
        });
        let server = Loopback::serve(listener, stopping, move |request| {
            let room = Arc::clone(&room);
            async move { with_security_headers(room.answer(request).await) }
        })?;
        Ok(Self { address: server.address(), server })
    }

    /// Ends the event streams, lets open requests end and closes the port.
    pub async fn stop(&self) {
        self.server.stop().await;
    }
}

struct Room {
    own_port: u16,
    facts: Facts,
    sender: Sender,
    events: EventSource,
    stopping: CancellationToken,
}

type PageBody = UnsyncBoxBody<Bytes, std::convert::Infallible>;

const HTML: &str = include_str!("page/index.html");
const CSS: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
const ICON: &str = include_str!("page/icon.svg");

impl Room {
    async fn answer(&self, request: Request<Incoming>) -> Response<PageBody> {
        let (head, body) = request.into_parts();
        // A foreign page may not use this one: neither through a name that it points at us (rebinding) nor by posting across origins.
        if !self.is_own_host(&head.headers) || !self.is_own_origin(&head.headers) {
            return text(StatusCode::FORBIDDEN, "this page answers its own address alone");
        }
        match (&head.method, head.uri.path()) {
            (&Method::GET, "/") => file("text/html; charset=utf-8", HTML),
            (&Method::GET, "/page.css") => file("text/css; charset=utf-8", CSS),
            (&Method::GET, "/page.js") => file("text/javascript; charset=utf-8", SCRIPT),
            (&Method::GET, "/icon.svg") => file("image/svg+xml", ICON),
            (&Method::GET, "/facts") => reply(StatusCode::OK, &self.facts()),
            (&Method::GET, "/events") => self.events(),
            (&Method::POST, "/send") => {
                if head.headers.get(header::CONTENT_TYPE).is_none_or(|value| value != "application/json") {
                    return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected `application/json`");
                }
                let body = match read_at_most(body, BODY_BYTES_MAX).await {
                    Ok(body) => body,
                    Err(error) => return text(error.status(), &error.to_string()),
                };
                match requested(&body) {
                    Ok(request) => self.send(request).await,
                    Err(error) => text(StatusCode::BAD_REQUEST, &error.to_string()),
                }
            }
            (_, "/" | "/page.css" | "/page.js" | "/icon.svg" | "/facts" | "/events" | "/send") => {
                text(StatusCode::METHOD_NOT_ALLOWED, "not this way")
            }
            (_, _) => text(StatusCode::NOT_FOUND, "no such page"),
        }
    }

    async fn send(&self, request: DemoRequest) -> Response<PageBody> {
        match (self.sender)(request).await {
            Ok(outcome) => {
                let outcome = json!(outcome);
                self.events.announce(&outcome);
                reply(StatusCode::OK, &outcome)
            }
            Err(error) => text(StatusCode::BAD_GATEWAY, &error.to_string()),
        }
    }

    fn facts(&self) -> Value {
        let scenarios: Vec<Value> = scenarios()
            .iter()
            .map(|scenario| json!({ "id": scenario.id, "title": scenario.request.title, "story": scenario.story }))
            .collect();
        let mut facts = json!(self.facts);
        if let Some(facts) = facts.as_object_mut() {
            facts.insert("scenarios".into(), scenarios.into());
        }
        facts
    }

    fn events(&self) -> Response<PageBody> {
        let Some(events) = self.events.open(self.stopping.clone()) else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open");
        };
        let mut response = Response::new(events.boxed_unsync());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        response
    }

    fn is_own_host(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        match (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) {
            (Some(host), None) => self.is_own(host),
            (_, _) => false,
        }
    }

    /// Browsers send `Origin` with every POST; what is no browser need not.
    fn is_own_origin(&self, headers: &HeaderMap) -> bool {
        headers.get_all(header::ORIGIN).iter().all(|origin| {
            origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://")).is_some_and(|host| self.is_own(host))
        })
    }

    fn is_own(&self, authority: &str) -> bool {
        let uri: Result<Uri, _> = format!("http://{authority}/").parse();
        uri.is_ok_and(|uri| {
            matches!(uri.host(), Some("127.0.0.1" | "localhost"))
                && uri.port_u16().unwrap_or(80) == self.own_port
                && !authority.contains('@')
        })
    }
}

fn file(content_type: &'static str, content: &'static str) -> Response<PageBody> {
    respond(StatusCode::OK, content_type, Bytes::from_static(content.as_bytes()))
}

fn reply(status: StatusCode, body: &Value) -> Response<PageBody> {
    respond(status, "application/json", Bytes::from(body.to_string()))
}

fn text(status: StatusCode, words: &str) -> Response<PageBody> {
    reply(status, &json!({ "error": words }))
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<PageBody> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Nothing inline, nothing from elsewhere, nobody around it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// A page of forms needs none of them.
const PERMISSIONS_POLICY: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), midi=(), payment=(), \
     publickey-credentials-get=(), serial=(), usb=()";

const SECURITY_HEADERS: [(&str, &str); 8] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("permissions-policy", PERMISSIONS_POLICY),
    ("cache-control", "no-store"),
];

fn with_security_headers(mut response: Response<PageBody>) -> Response<PageBody> {
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::clock::UnixSeconds;
    use crate::decision::{Code, Force};
    use crate::demo::scenario::{Answer, DemoVerdict, FOREIGN_ORIGIN, TRUSTED_ORIGIN};
    use crate::demo::wire::DemoSigner;
    use crate::demo::wire::testing::send;

    /// A sender that sends nothing.
    fn fake() -> Sender {
        Arc::new(|request: DemoRequest| {
            Box::pin(async move {
                let sent = request.on_the_wire(&DemoSigner::new(b"secret"), UnixSeconds(0));
                let answer = Answer { status: 200, refusal: None };
                let verdict = DemoVerdict { name: "plan".into(), code: Code::Locked, force: Force::Applied };
                Ok(DemoOutcome::new(&request, &sent, answer, None, &[verdict]))
            })
        })
    }

    async fn page() -> DemoPage {
        let facts = Facts {
            gateway: "https://127.0.0.1:8443".into(),
            api: "127.0.0.1:9000".into(),
            trusted_origin: TRUSTED_ORIGIN.into(),
            foreign_origin: FOREIGN_ORIGIN.into(),
            attributes: vec![FactAttribute::new("plan", Lock::Enforce), FactAttribute::new("nickname", Lock::Off)],
        };
        DemoPage::start(0, facts, fake()).await.unwrap()
    }

    const JSON: (&str, &str) = ("Content-Type", "application/json");

    #[tokio::test]
    async fn everything_is_its_own_file_and_every_answer_carries_the_policy() {
        let page = page().await;
        for (path, status) in [("/", 200), ("/page.css", 200), ("/page.js", 200), ("/icon.svg", 200), ("/other", 404)] {
            let answer = send(page.address, "GET", path, &[], "").await;
            assert_eq!(answer.status, status, "{path}");
            assert!(answer.head.contains("content-security-policy: default-src 'none'"), "{path}");
            assert!(!answer.head.contains("unsafe-"), "{path}");
            for (name, value) in SECURITY_HEADERS {
                assert!(answer.head.contains(&format!("{name}: {value}")), "{path}: {name}");
            }
            assert!(!answer.head.contains("server:"), "{path}");
        }
        assert!(!HTML.contains("style=") && !HTML.contains("onclick") && !HTML.contains("://"));
        assert!(!CSS.contains("://") && !SCRIPT.contains("innerHTML"));
        assert_eq!(send(page.address, "POST", "/", &[], "").await.status, 405);
    }

    #[tokio::test]
    async fn what_is_sent_is_answered_and_announced() {
        let page = page().await;
        let mut stream = TcpStream::connect(page.address).await.unwrap();
        let head = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", page.address);
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut events = String::new();
        read_until(&mut stream, &mut events, "retry:").await;
        let answer = send(page.address, "POST", "/send", &[JSON], r#"{"scenario":"unsigned"}"#).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains(r#""code":"locked""#));
        read_until(&mut stream, &mut events, r#""code":"locked""#).await;
        assert!(events.contains("event: outcome"));
        page.stop().await;
    }

    async fn read_until(stream: &mut TcpStream, text: &mut String, wanted: &str) {
        let mut piece = [0; 4096];
        while !text.contains(wanted) {
            let read = stream.read(&mut piece).await.unwrap();
            assert_ne!(read, 0, "the stream ended before `{wanted}`");
            text.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
    }

    #[tokio::test]
    async fn a_foreign_page_gets_nothing() {
        let page = page().await;
        let own = format!("http://{}", page.address);
        let port = page.address.port();
        for (headers, status) in [
            (vec![JSON, ("Origin", own.as_str())], 200),
            (vec![JSON, ("Origin", "https://evil.example")], 403),
            (vec![JSON, ("Origin", "null")], 403),
            (vec![JSON, ("Host", "evil.example")], 403),
            (vec![JSON, ("Host", format!("evil.example:{port}").as_str())], 403),
            (vec![JSON, ("Host", format!("localhost:{port}").as_str())], 200),
            (vec![("Content-Type", "text/plain")], 415),
        ] {
            let answer = send(page.address, "POST", "/send", &headers, r#"{"scenario":"signed"}"#).await;
            assert_eq!(answer.status, status, "{headers:?}");
        }
    }
}
