//! The realtime channel: a WebSocket through the gateway, to a server that gives back what it gets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::Request;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::handshake::server;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

use crate::support::client::connect_tls;
use crate::support::{Setup, TestGateway, TestUpstream};

/// A widget without attributes: what passes is streamed.
const SITE: &str = r#"
profile = "chatwoot"
app_ids = ["site-token"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"

[identity]
require = "never"
token_at = ["header:x-countersign-token"]
"#;

fn start(upstream: SocketAddr) -> TestGateway {
    Setup::new(upstream).workspace("acme", SITE).start()
}

/// A server of WebSockets that echoes, and remembers the heads of the handshakes.
struct Echo {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<Request<()>>>>,
    task: JoinHandle<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heads);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream, Arc::clone(&log)));
            }
        });
        Self { address, heads, task }
    }

    fn heads(&self) -> Vec<Request<()>> {
        self.heads.lock().expect("unpoisoned").clone()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn echo(stream: TcpStream, log: Arc<Mutex<Vec<Request<()>>>>) {
    #[expect(clippy::result_large_err, reason = "the callback's type is the library's")]
    let remember = |head: &server::Request, mut response: server::Response| {
        log.lock().expect("unpoisoned").push(head.clone());
        if let Some(protocol) = head.headers().get("sec-websocket-protocol") {
            response.headers_mut().insert("sec-websocket-protocol", protocol.clone());
        }
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, remember).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}

type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Opens `/cable` as a page of `origin` does.
async fn open(gateway: &TestGateway, origin: &str, headers: &[(&'static str, &str)]) -> Result<Socket, Error> {
    let stream = connect_tls(gateway.address, &gateway.ca_pem, "localhost", &[b"http/1.1"]).await.expect("TLS");
    let target = format!("wss://localhost:{}/cable", gateway.address.port());
    let mut request = target.into_client_request().expect("a request");
    if !origin.is_empty() {
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
    }
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a header"));
    }
    client_async(request, stream).await.map(|(socket, _)| socket)
}

#[track_caller]
fn refused(opened: Result<Socket, Error>, status: u16) {
    match opened {
        Err(Error::Http(answer)) => {
            assert_eq!(answer.status(), status);
            assert!(answer.headers().contains_key("strict-transport-security"));
            assert!(!answer.headers().contains_key("access-control-allow-origin") || status != 403);
        }
        Err(error) => panic!("expected an answer, got {error}"),
        Ok(_) => panic!("expected {status}, got a socket"),
    }
}

async fn next(socket: &mut Socket) -> Option<Result<Message, Error>> {
    tokio::time::timeout(Duration::from_secs(10), socket.next()).await.expect("in time")
}

#[tokio::test]
async fn what_is_said_comes_back_and_the_head_is_clean() {
    let upstream = Echo::start().await;
    let gateway = start(upstream.address);
    let own = format!("https://localhost:{}", gateway.address.port());
    for origin in [own.as_str(), "https://app.acme.example"] {
        let headers = [
            ("sec-websocket-protocol", "actioncable-v1-json"),
            ("x-countersign-token", "secret"),
            ("x-forwarded-for", "6.6.6.6"),
            ("cookie", "a=1"),
        ];
        let mut socket = open(&gateway, origin, &headers).await.expect("a socket");
        for message in [
            Message::text(r#"{"command":"subscribe"}"#),
            Message::text("\u{1f600}"),
            Message::binary(vec![0_u8, 255, 1]),
            Message::text("x".repeat(300_000)),
        ] {
            socket.send(message.clone()).await.expect("sent");
            assert_eq!(next(&mut socket).await.expect("a message").expect("whole"), message);
        }
        socket.close(None).await.expect("closed");
    }
    let heads = upstream.heads();
    assert_eq!(heads.len(), 2);
    for head in heads {
        let header = |name: &str| head.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        assert_eq!(head.uri().path(), "/cable");
        assert_eq!(header("x-countersign-token"), None);
        assert_eq!(header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
        assert_eq!(header("cookie").as_deref(), Some("a=1"));
    }
}

#[tokio::test]
async fn a_foreign_page_gets_no_socket() {
    let upstream = Echo::start().await;
    let gateway = start(upstream.address);
    for origin in ["https://evil.example", "https://app.acme.example.evil.test", "http://app.acme.example", "null", ""]
    {
        refused(open(&gateway, origin, &[]).await, 403);
    }
    assert!(upstream.heads().is_empty());
}

#[tokio::test]
async fn only_the_handshake_of_a_websocket_opens_a_tunnel() {
    let upstream = TestUpstream::start().await;
    let gateway = start(upstream.address);
    let own = format!("https://localhost:{}", gateway.address.port());
    for (name, value, status) in [
        ("upgrade", "h2c", 400),
        ("upgrade", "websocket, h2c", 400),
        ("sec-websocket-version", "8", 426),
        ("sec-websocket-key", "short", 400),
    ] {
        refused(open(&gateway, &own, &[(name, value)]).await, status);
    }
    assert!(upstream.received().is_empty());
    // A server that does not switch is answered for, and its answer is an answer.
    refused(open(&gateway, &own, &[]).await, 200);
    upstream.forget();
    // Without asking for an upgrade it is a request like any other.
    let mut client = gateway.http1().await;
    let ordinary = |path: &str| {
        Request::get(path).header("origin", &own).header("sec-websocket-version", "13").body("").expect("a request")
    };
    let answer = client.send(ordinary("/cable")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(upstream.only().header("upgrade"), None);
    upstream.forget();
    // Elsewhere nothing is upgraded: the header ends at this hop.
    let mut elsewhere = ordinary("/packs/js/sdk.js");
    elsewhere.headers_mut().insert("connection", "upgrade".parse().expect("a header"));
    elsewhere.headers_mut().insert("upgrade", "websocket".parse().expect("a header"));
    let answer = client.send(elsewhere).await;
    assert_eq!(answer.status, 200);
    assert_eq!(upstream.only().header("upgrade"), None);
    upstream.forget();
    // Over HTTP/2 there is no `Upgrade`.
    let answer = gateway.http2().await.send(ordinary("/cable")).await;
    assert_eq!(answer.status, 200);
    for method in ["POST", "PUT", "HEAD"] {
        let mut request = ordinary("/cable");
        *request.method_mut() = method.parse().expect("a method");
        assert_eq!(client.send(request).await.status, 405, "{method}");
    }
}

#[tokio::test]
async fn a_drain_ends_the_sockets() {
    let upstream = Echo::start().await;
    let mut gateway = start(upstream.address);
    let own = format!("https://localhost:{}", gateway.address.port());
    let mut socket = open(&gateway, &own, &[]).await.expect("a socket");
    socket.send(Message::text("before")).await.expect("sent");
    assert_eq!(next(&mut socket).await.expect("a message").expect("whole"), Message::text("before"));
    gateway.signal("TERM");
    loop {
        match next(&mut socket).await {
            Some(Ok(Message::Close(_))) => {}
            Some(Ok(message)) => panic!("unasked: {message}"),
            Some(Err(_)) | None => break,
        }
    }
    assert!(gateway.await_end().success());
    let record = gateway.only_record();
    assert_eq!((&record["operation"], &record["status"]), (&"realtime".into(), &101.into()), "{record}");
}
