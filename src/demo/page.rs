//! The demo's page: a small widget to try the gateway with, and the verdicts as they come.
//!
//! It serves plain HTTP on loopback and loads nothing from elsewhere. It knows no gateway: what it is asked to send it hands to a
//! [`Sender`].

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use super::loopback::{Loopback, read_at_most};
use super::scenario::{Call, DemoAttribute, DemoOutcome, DemoRequest, Proof, Site, Spelling, scenarios};
use crate::decision::Lock;

const BODY_BYTES_MAX: usize = 16 * 1024;
const ATTRIBUTES_MAX: usize = 32;
const EVENT_STREAMS_MAX: usize = 16;
/// Outcomes that wait for one slow reader; then it misses some.
const EVENTS_QUEUED_MAX: usize = 32;
/// A comment line, so that a dead connection is noticed.
const EVENTS_HEARTBEAT: Duration = Duration::from_secs(15);

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
    room: Arc<Room>,
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
            news: broadcast::channel(EVENTS_QUEUED_MAX).0,
            streams: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)),
            stopping: stopping.clone(),
        });
        let server = {
            let room = Arc::clone(&room);
            Loopback::serve(listener, stopping, move |request| {
                let room = Arc::clone(&room);
                async move { with_security_headers(room.answer(request).await) }
            })?
        };
        Ok(Self { address: server.address(), room, server })
    }

    /// Shows an outcome on every open page.
    pub fn announce(&self, outcome: &DemoOutcome) {
        self.room.announce(&json!(outcome));
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
    news: broadcast::Sender<Arc<str>>,
    streams: Arc<Semaphore>,
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
                self.announce(&outcome);
                reply(StatusCode::OK, &outcome)
            }
            Err(error) => text(StatusCode::BAD_GATEWAY, &error.to_string()),
        }
    }

    fn announce(&self, outcome: &Value) {
        // Nobody need be looking.
        let _ = self.news.send(Arc::from(format!("event: outcome\ndata: {outcome}\n\n")));
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
        let Ok(place) = Arc::clone(&self.streams).try_acquire_owned() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open");
        };
        let (queue, lines) = mpsc::channel(EVENTS_QUEUED_MAX);
        tokio::spawn(pass_on(self.news.subscribe(), queue, self.stopping.clone(), place));
        let mut response = Response::new(Events { lines }.boxed_unsync());
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

/// From the broadcast to one page, until either end is gone.
async fn pass_on(
    mut news: broadcast::Receiver<Arc<str>>,
    queue: mpsc::Sender<Bytes>,
    stopping: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    let mut line = Bytes::from_static(b"retry: 2000\n\n");
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            sent = queue.send(line) => if sent.is_err() { return },
        }
        line = tokio::select! {
            () = stopping.cancelled() => return,
            () = queue.closed() => return,
            () = tokio::time::sleep(EVENTS_HEARTBEAT) => Bytes::from_static(b": still here\n\n"),
            received = news.recv() => match received {
                Ok(text) => Bytes::copy_from_slice(text.as_bytes()),
                Err(broadcast::error::RecvError::Lagged(_)) => Bytes::from_static(b"event: missed\ndata: {}\n\n"),
                Err(broadcast::error::RecvError::Closed) => return,
            },
        };
    }
}

/// Server-sent events as a body.
struct Events {
    lines: mpsc::Receiver<Bytes>,
}

impl Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.lines.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

/// What the page posts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum RawSend {
    Scenario(String),
    Widget(RawWidget),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWidget {
    attributes: Vec<RawAttribute>,
    /// The names that the site's server signs.
    signed: Vec<String>,
    tamper: RawTamper,
    origin: RawOrigin,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAttribute {
    name: String,
    value: Value,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawTamper {
    None,
    /// The plain value, beside the token.
    Beside,
    /// The token's payload.
    Inside,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawOrigin {
    Trusted,
    Foreign,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum SendRequestError {
    #[error("not what this page sends")]
    Malformed,
    #[error("no such scenario")]
    NoSuchScenario,
    #[error("more than {ATTRIBUTES_MAX} attributes")]
    TooMany,
    #[error("sign the plan first: there is no signature to tamper with")]
    NothingSigned,
}

fn requested(body: &[u8]) -> Result<DemoRequest, SendRequestError> {
    let text = std::str::from_utf8(body).map_err(|_| SendRequestError::Malformed)?;
    match serde_json::from_str(text).map_err(|_| SendRequestError::Malformed)? {
        RawSend::Scenario(id) => scenarios()
            .into_iter()
            .find(|scenario| scenario.id == id)
            .map(|scenario| scenario.request)
            .ok_or(SendRequestError::NoSuchScenario),
        RawSend::Widget(raw) => DemoRequest::try_from(raw),
    }
}

const TAMPERED: &str = "plan";

impl TryFrom<RawWidget> for DemoRequest {
    type Error = SendRequestError;

    fn try_from(raw: RawWidget) -> Result<Self, SendRequestError> {
        let RawWidget { attributes, signed, tamper, origin } = raw;
        if attributes.len() > ATTRIBUTES_MAX {
            return Err(SendRequestError::TooMany);
        }
        let mut attributes: Vec<DemoAttribute> = attributes
            .into_iter()
            .map(|RawAttribute { name, value }| {
                let signed = signed.contains(&name).then(|| value.clone());
                DemoAttribute { name, plain: Some(value), signed }
            })
            .collect();
        let any_signed = attributes.iter().any(|attribute| attribute.signed.is_some());
        let plan = attributes.iter_mut().find(|attribute| attribute.name == TAMPERED && attribute.signed.is_some());
        let (proof, tampered) = match (tamper, plan) {
            (RawTamper::None, _) if any_signed => (Proof::Token, ""),
            (RawTamper::None, _) => (Proof::UserHash, ""),
            (RawTamper::Beside, Some(plan)) => {
                plan.plain = plan.signed.as_ref().map(another);
                (Proof::Token, ", changed beside the token")
            }
            (RawTamper::Inside, Some(plan)) => {
                let value = plan.signed.as_ref().map_or(Value::Null, another);
                plan.plain = Some(value.clone());
                (Proof::AlteredToken { name: TAMPERED.to_owned(), value }, ", changed inside the token")
            }
            (RawTamper::Beside | RawTamper::Inside, None) => return Err(SendRequestError::NothingSigned),
        };
        let (site, from) = match origin {
            RawOrigin::Trusted => (Site::Trusted, ""),
            RawOrigin::Foreign => (Site::Foreign, ", from a foreign origin"),
        };
        let title = format!("From the widget{tampered}{from}");
        Ok(Self { title, call: Call::Ping, spelling: Spelling::UserData, site, proof, attributes })
    }
}

/// A plan that was not signed.
fn another(plan: &Value) -> Value {
    if *plan == "enterprise" { "pro".into() } else { "enterprise".into() }
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

const SECURITY_HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
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
    use crate::decision::Code;
    use crate::demo::scenario::{Answer, FOREIGN_ORIGIN, TRUSTED_ORIGIN};
    use crate::demo::wire::DemoSigner;
    use crate::demo::wire::testing::send;

    /// A sender that sends nothing.
    fn fake() -> Sender {
        Arc::new(|request: DemoRequest| {
            Box::pin(async move {
                let sent = request.on_the_wire(&DemoSigner::new(b"secret"), UnixSeconds(0));
                let answer = Answer { status: 200, refusal: None };
                Ok(DemoOutcome::new(&request, &sent, answer, None, &[("plan".into(), Code::Locked)]))
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
            assert!(!answer.head.contains("unsafe-inline"), "{path}");
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

    #[tokio::test]
    async fn open_pages_are_bounded() {
        let page = page().await;
        let mut open = Vec::new();
        for _ in 0..EVENT_STREAMS_MAX {
            open.push(page.room.events());
        }
        assert_eq!(page.room.events().status(), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[track_caller]
    fn check(attributes: &str, signed: &str, tamper: &str, expected: Result<&str, SendRequestError>) {
        let body = format!(
            r#"{{"widget":{{"attributes":{attributes},"signed":{signed},"tamper":"{tamper}","origin":"trusted"}}}}"#
        );
        let shape = requested(body.as_bytes()).map(|request| {
            let proof = match request.proof {
                Proof::UserHash => "hash",
                Proof::Token => "token",
                Proof::AlteredToken { .. } => "altered",
            };
            let attributes: Vec<String> = request
                .attributes
                .iter()
                .map(|attribute| format!("{} {:?} {:?}", attribute.name, attribute.plain, attribute.signed.is_some()))
                .collect();
            format!("{proof}: {}", attributes.join(", "))
        });
        assert_eq!(shape.as_deref().map_err(ToString::to_string), expected.as_deref().map_err(ToString::to_string));
    }

    const PLAN: &str = r#"[{"name":"plan","value":"pro"}]"#;

    #[test]
    fn switches_and_buttons_become_proofs() {
        check(PLAN, "[]", "none", Ok(r#"hash: plan Some(String("pro")) false"#));
        check(PLAN, r#"["plan"]"#, "none", Ok(r#"token: plan Some(String("pro")) true"#));
        check(PLAN, r#"["plan"]"#, "beside", Ok(r#"token: plan Some(String("enterprise")) true"#));
        check(PLAN, r#"["plan"]"#, "inside", Ok(r#"altered: plan Some(String("enterprise")) true"#));
        check(PLAN, "[]", "inside", Err(SendRequestError::NothingSigned));
        check(PLAN, "[]", "elsewhere", Err(SendRequestError::Malformed));
        let many = format!("[{}]", vec![r#"{"name":"a","value":1}"#; ATTRIBUTES_MAX + 1].join(","));
        check(&many, "[]", "none", Err(SendRequestError::TooMany));
    }

    #[test]
    fn only_known_scenarios_are_sent() {
        assert!(requested(br#"{"scenario":"unsigned"}"#).is_ok());
        assert_eq!(requested(br#"{"scenario":"other"}"#).err(), Some(SendRequestError::NoSuchScenario));
    }
}
