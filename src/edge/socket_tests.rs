//! The edge over real sockets on the loopback interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::body;
use super::certificates::{Certificate, Certificates};
use super::challenges::Challenges;
use super::connections::Connections;
use super::dev_certificates::{DevCertificates, make_dev};
use super::drain::{Drain, Finished};
use super::listener::{TlsEdge, serve_tls};
use super::peer::{Handle, Peer};
use super::plain::{PlainEdge, serve_plain};
use super::read_body::read_body;
use super::runtimes::Runtimes;
use super::tls::{ReloadableTls, provider};
use crate::policy::{CertificateSource, Limits};

/// Long enough for a loaded machine, short enough to fail by.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts the requests that reach it and answers them with what it knows.
struct Recorder {
    reached: AtomicUsize,
    limits: Limits,
    /// Requests to `/wait` wait for one of these.
    release: Semaphore,
}

impl Handle for Recorder {
    async fn handle(self: Arc<Self>, peer: Arc<Peer>, request: Request<Incoming>) -> Response<super::Body> {
        self.reached.fetch_add(1, Ordering::SeqCst);
        if request.uri().path() == "/wait" {
            drop(self.release.acquire().await);
        }
        if request.uri().path() == "/large" {
            return Response::new(body::streaming(Full::new(Bytes::from(vec![b'x'; 32 << 20]))));
        }
        if request.uri().path() == "/upgrade" {
            let upgraded = hyper::upgrade::on(request);
            tokio::spawn(async move {
                let mut tunnel = TokioIo::new(upgraded.await.expect("an upgrade"));
                let mut bytes = [0; 4];
                tunnel.read_exact(&mut bytes).await.expect("bytes");
                tunnel.write_all(&bytes).await.expect("written");
                tunnel.shutdown().await.expect("closed");
            });
            let response = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "echo");
            return response.body(body::empty()).expect("an answer");
        }
        let mut held = super::room::Room::new().admit(peer.address.ip(), None, usize::MAX).expect("room");
        match read_body(&mut request.into_body(), None, &self.limits, &mut held).await {
            Ok(read) => {
                let group = peer.tls.group.unwrap_or("none");
                Response::new(body::full(format!("{:?} {group} {}", peer.tls.alpn, read.len())))
            }
            Err(error) => {
                let mut response = Response::new(body::full(error.to_string()));
                *response.status_mut() = http::StatusCode::BAD_REQUEST;
                response
            }
        }
    }

    fn strict_transport_security(&self) -> Option<HeaderValue> {
        Some(HeaderValue::from_static("max-age=63072000"))
    }
}

struct TestEdge {
    address: SocketAddr,
    recorder: Arc<Recorder>,
    connections: Arc<Connections>,
    tls: Arc<ReloadableTls>,
    drain: Drain,
    dev: DevCertificates,
}

fn certificates(dev: &DevCertificates) -> Certificates {
    let source = CertificateSource { certificate: "test.pem".into(), key: "test.key".into() };
    let now = crate::clock::now_seconds();
    let certificate = Certificate::read(&source, dev.chain_pem.as_bytes(), dev.key_pem.as_bytes(), now);
    Certificates::new(vec![certificate.expect("a certificate")]).expect("certificates")
}

fn listen() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

impl TestEdge {
    fn start(limits: Limits) -> Self {
        let dev = make_dev(&["chat.test".to_owned()], crate::clock::now_seconds()).expect("certificates");
        let (listener, address) = listen();
        let tls = Arc::new(ReloadableTls::new(certificates(&dev)).expect("TLS"));
        let recorder =
            Arc::new(Recorder { reached: AtomicUsize::new(0), limits: limits.clone(), release: Semaphore::new(0) });
        let connections = Connections::new(&limits);
        let drain = Drain::new();
        let edge = Arc::new(TlsEdge {
            name: "public".into(),
            tls: Arc::clone(&tls),
            proxy_protocol: None,
            limits: Arc::new(limits),
            connections: Arc::clone(&connections),
            handler: Arc::clone(&recorder),
            drain: drain.clone(),
            runtimes: Runtimes::default(),
        });
        tokio::spawn(serve_tls(listener, edge));
        Self { address, recorder, connections, tls, drain, dev }
    }

    async fn connect(&self, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect_as("localhost", alpn, &[&rustls::version::TLS13, &rustls::version::TLS12]).await
    }

    async fn connect_as(
        &self,
        name: &str,
        alpn: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.dev.ca_pem.as_bytes()).expect("an authority");
        roots.add(authority).expect("a root");
        let config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        self.connect_by(config, name, alpn).await
    }

    /// As an authority does, that looks at a certificate and trusts none.
    async fn connect_trusting_all(
        &self,
        name: &str,
        alpn: &[&str],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let config = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustsAll))
            .with_no_client_auth();
        self.connect_by(config, name, alpn).await
    }

    async fn connect_by(
        &self,
        mut config: ClientConfig,
        name: &str,
        alpn: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(self.address).await?).await
    }

    /// Writes bytes over HTTP/1 and reads until the server closes.
    async fn exchange(&self, bytes: &str) -> String {
        let mut stream = self.connect(&["http/1.1"]).await.expect("a connection");
        stream.write_all(bytes.as_bytes()).await.expect("written");
        read_to_end(&mut stream).await
    }

    fn reached(&self) -> usize {
        self.recorder.reached.load(Ordering::SeqCst)
    }
}

/// Takes every certificate.
#[derive(Debug)]
struct TrustsAll;

impl ServerCertVerifier for TrustsAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    // A reset instead of an orderly end is an end too.
    drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes"));
    String::from_utf8(answer).expect("text")
}

/// Reads one answer of known length from a connection that stays open.
async fn read_answer(stream: &mut TlsStream<TcpStream>) -> String {
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            if length.is_some_and(|length| body.len() >= length.parse().expect("a length")) {
                return text;
            }
        }
        let mut piece = [0; 1024];
        let read = timeout(PATIENCE, stream.read(&mut piece)).await.expect("an answer").expect("bytes");
        assert_ne!(read, 0, "the server closed: {text}");
        answer.extend_from_slice(&piece[..read]);
    }
}

#[tokio::test]
async fn a_client_speaks_the_protocol_that_it_negotiated() {
    let edge = TestEdge::start(Limits::default());
    let answer =
        edge.exchange("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("Http1 X25519MLKEM768 2"), "{answer}");

    let stream = edge.connect(&["h2", "http/1.1"]).await.expect("a connection");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request =
        Request::post("https://localhost/x").body(Full::new(Bytes::from_static(b"hello"))).expect("a request");
    let response = timeout(PATIENCE, sender.send_request(request)).await.expect("in time").expect("an answer");
    assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "Http2 X25519MLKEM768 5");

    // Without ALPN it is HTTP/1.1; with ALPN of others the handshake ends.
    let mut stream = edge.connect(&[]).await.expect("a connection");
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("written");
    assert!(read_answer(&mut stream).await.contains("Http1"));
    assert!(edge.connect(&["h3"]).await.is_err());
    assert_eq!(edge.reached(), 3);
}

#[tokio::test]
async fn the_server_name_must_be_one_of_ours_and_old_tls_still_does() {
    let edge = TestEdge::start(Limits::default());
    assert!(edge.connect_as("other.example", &["http/1.1"], &[&rustls::version::TLS13]).await.is_err());
    let stream = edge.connect_as("chat.test", &["http/1.1"], &[&rustls::version::TLS12]).await;
    let stream = stream.expect("a connection");
    assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
    assert!(edge.connect_as("127.0.0.1", &["http/1.1"], &[&rustls::version::TLS13]).await.is_ok());
}

#[tokio::test]
async fn a_replaced_certificate_is_shown_from_the_next_handshake_on() {
    let edge = TestEdge::start(Limits::default());
    let mut before = edge.connect(&["http/1.1"]).await.expect("a connection");
    let other = make_dev(&[], crate::clock::now_seconds()).expect("certificates");
    edge.tls.replace(certificates(&other)).expect("replaced");
    // The old authority does not vouch for the new certificate; the old connection does not notice.
    assert!(edge.connect(&["http/1.1"]).await.is_err());
    before.write_all(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("written");
    assert!(read_answer(&mut before).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn malformed_requests_reach_nobody() {
    let edge = TestEdge::start(Limits { head_bytes_max: 8192, ..Limits::default() });
    let get = "GET /x HTTP/1.1\r\nHost: localhost\r\n";
    let post = "POST /x HTTP/1.1\r\nHost: localhost\r\n";
    for (bytes, status) in [
        (format!("{post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400"),
        (format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"), "400"),
        (format!("{post}Content-Length: 1\r\nContent-Length: 1\r\n\r\na"), "400"),
        (format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "400"),
        (format!("{post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), "400"),
        ("GET /x HTTP/1.1\nHost: localhost\n\n".to_owned(), "400"),
        (format!("{get}a: b\r\n c\r\n\r\n"), "400"),
        (format!("{get}a: b\rc: d\r\n\r\n"), "400"),
        ("GET /x#y HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "400"),
        (format!("{get}a: {}\r\n\r\n", "b".repeat(8192)), "431"),
        (format!("{get}{}\r\n", "a: b\r\n".repeat(101)), "431"),
    ] {
        let answer = edge.exchange(&bytes).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes:?} {answer:?}");
        assert!(answer.contains("\r\nstrict-transport-security: max-age=63072000\r\n"), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
    assert_eq!(edge.reached(), 0);
    assert_eq!(edge.connections.tally.malformed.load(Ordering::Relaxed), 12);
    // The near miss of them all.
    let answer = edge.exchange(&format!("{get}Connection: close\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn what_is_hidden_behind_a_request_is_not_answered() {
    let edge = TestEdge::start(Limits::default());
    // The first request ends where its length says; what follows it must be a request again.
    let answer = edge
        .exchange("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhiGET /y HTTP/1.1\nHost: a\n\n")
        .await;
    assert_eq!(edge.reached(), 1);
    let (first, second) = answer.split_at(answer.find("HTTP/1.1 400 ").expect("a refusal"));
    assert!(first.starts_with("HTTP/1.1 200 ") && first.ends_with(" 2") && second.ends_with('}'), "{answer}");
    // A broken chunk is an error of the body, not its end.
    let answer = edge
        .exchange("POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiX\r\n0\r\n\r\n")
        .await;
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_tunnel_carries_what_is_no_http_and_keeps_its_place() {
    let edge = TestEdge::start(Limits::default());
    let mut stream = edge.connect(&["http/1.1"]).await.expect("a connection");
    let request = "GET /upgrade HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(timeout(PATIENCE, stream.read_u8()).await.expect("in time").expect("an answer"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    assert_eq!(edge.connections.open(), 1);
    stream.write_all(b"\n\n\0\n").await.expect("written");
    assert_eq!(read_to_end(&mut stream).await, "\n\n\0\n");

    // What comes before the answer that makes it a tunnel is HTTP still.
    let answer = edge.exchange(&request.replace("\r\n\r\n", "\r\n\r\n\n\n\0\n")).await;
    assert!(answer.ends_with("\r\n\r\n"), "nobody hears it: {answer}");
}

#[tokio::test]
async fn who_does_not_finish_a_handshake_is_let_go() {
    let edge = TestEdge::start(Limits { handshake_timeout: Duration::from_millis(50), ..Limits::default() });
    let mut silent = TcpStream::connect(edge.address).await.expect("a socket");
    let read = timeout(PATIENCE, silent.read(&mut [0; 8])).await.expect("in time");
    assert!(matches!(read, Ok(0) | Err(_)));
    assert_eq!(edge.connections.tally.handshakes_timed_out.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn who_does_not_finish_a_head_is_let_go_and_who_is_idle_a_little_later() {
    let limits = Limits {
        head_timeout: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(2100),
        ..Limits::default()
    };
    let edge = TestEdge::start(limits);
    let started = tokio::time::Instant::now();
    let answer = edge.exchange("GET /x HTTP/1.1\r\nHost: loc").await;
    assert!(answer.is_empty() && started.elapsed() < Duration::from_secs(2), "{answer} {:?}", started.elapsed());

    let started = tokio::time::Instant::now();
    let answer = edge.exchange("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200") && started.elapsed() >= Duration::from_secs(2), "{answer}");

    // The same for a client of HTTP/2 that only opens its connection.
    let mut stream = edge.connect(&["h2"]).await.expect("a connection");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("written");
    let mut answer = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes"));
    assert!(edge.recorder.reached.load(Ordering::SeqCst) == 1);
}

#[tokio::test]
async fn who_does_not_read_an_answer_is_let_go() {
    let edge = TestEdge::start(Limits { idle_timeout: Duration::from_millis(100), ..Limits::default() });
    let mut stream = edge.connect(&["http/1.1"]).await.expect("a connection");
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("written");
    timeout(PATIENCE, async {
        while edge.connections.open() > 0 || edge.reached() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the server closes");
    assert_eq!(edge.connections.tally.timed_out.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn one_address_has_only_so_many_connections() {
    let edge = TestEdge::start(Limits { connections_per_address_max: 2, ..Limits::default() });
    let first = edge.connect(&["http/1.1"]).await.expect("a connection");
    let _second = edge.connect(&["http/1.1"]).await.expect("a connection");
    assert!(edge.connect(&["http/1.1"]).await.is_err());
    assert_eq!(edge.connections.tally.refused.load(Ordering::Relaxed), 1);
    drop(first);
    timeout(PATIENCE, async {
        while edge.connections.open() > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the place is free");
    assert!(edge.connect(&["http/1.1"]).await.is_ok());
}

#[tokio::test]
async fn a_drain_finishes_what_is_under_way() {
    let edge = TestEdge::start(Limits::default());
    let mut busy = edge.connect(&["http/1.1"]).await.expect("a connection");
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("written");
    let mut idle = edge.connect(&["http/1.1"]).await.expect("a connection");
    let stream = edge.connect(&["h2"]).await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let request = Request::get("https://localhost/wait").body(Empty::<Bytes>::new()).expect("a request");
    let streaming = tokio::spawn(sender.send_request(request));
    timeout(PATIENCE, async {
        while edge.reached() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("both requests arrive");

    edge.drain.begin(Duration::from_secs(30));
    // Idle connections end at once, new ones are refused.
    assert_eq!(read_to_end(&mut idle).await, "");
    timeout(PATIENCE, async {
        while TcpStream::connect(edge.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the listener closes");
    assert_eq!(edge.connections.open(), 2);

    edge.recorder.release.add_permits(2);
    let answer = read_to_end(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    let response = timeout(PATIENCE, streaming).await.expect("in time").expect("a task").expect("an answer");
    assert_eq!(response.status(), 200);
    drop(response);
    // GOAWAY ends the client's connection without an error.
    assert!(timeout(PATIENCE, connection).await.expect("in time").expect("a task").is_ok());
    assert_eq!(timeout(PATIENCE, edge.drain.finished()).await, Ok(Finished::All));
    assert_eq!(edge.connections.open(), 0);
}

#[tokio::test]
async fn a_drain_cuts_what_does_not_finish() {
    let edge = TestEdge::start(Limits::default());
    let mut busy = edge.connect(&["http/1.1"]).await.expect("a connection");
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("written");
    timeout(PATIENCE, async {
        while edge.reached() < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the request arrives");
    edge.drain.begin(Duration::from_millis(50));
    assert_eq!(read_to_end(&mut busy).await, "");
    assert_eq!(timeout(PATIENCE, edge.drain.finished()).await, Ok(Finished::All));
}

#[tokio::test]
async fn a_challenge_is_shown_to_authorities_alone_and_reaches_no_request() {
    let edge = TestEdge::start(Limits::default());
    let both = [&rustls::version::TLS13, &rustls::version::TLS12];
    assert!(
        edge.connect_as("chat.test", &["acme-tls/1"], &both).await.is_err(),
        "no listener speaks it that orders nothing"
    );

    let challenges = Arc::new(Challenges::default());
    challenges.expect_on_tls(true);
    let (listener, address) = listen();
    let tls = ReloadableTls::with_challenges(certificates(&edge.dev), Arc::clone(&challenges)).expect("TLS");
    let ordering = TlsEdge {
        proxy_protocol: None,
        name: "ordering".into(),
        tls: Arc::new(tls),
        limits: Arc::new(Limits::default()),
        connections: Arc::clone(&edge.connections),
        handler: Arc::clone(&edge.recorder),
        drain: edge.drain.clone(),
        runtimes: Runtimes::default(),
    };
    tokio::spawn(serve_tls(listener, Arc::new(ordering)));
    let edge = TestEdge { address, ..edge };
    // Nobody looks for one: strangers are refused, and so they are for names without one.
    assert!(edge.connect_as("chat.test", &["acme-tls/1"], &both).await.is_err());
    let open = challenges.show("chat.test", &[7; 32]).expect("shown");
    for (name, offered) in [
        ("localhost", &["acme-tls/1"][..]),
        ("chat.test", &["acme-tls/1", "http/1.1"]),
        ("chat.test", &["h2", "acme-tls/1"]),
        ("chat.test", &["acme-tls/1", "acme-tls/1"]),
    ] {
        assert!(edge.connect_as(name, offered, &both).await.is_err(), "{name} {offered:?}");
    }
    // Whoever comes for HTTP sees the certificate that everybody sees.
    for offered in [&["h2", "http/1.1"][..], &["http/1.1"], &[]] {
        assert!(edge.connect_as("chat.test", offered, &both).await.is_ok(), "{offered:?}");
    }
    // The authority trusts nobody, looks, and is done: what it sends then is never read.
    for version in both {
        let mut stream = edge.connect_trusting_all("chat.test", &["acme-tls/1"], &[version]).await.expect("shown");
        let shown = stream.get_ref().1.peer_certificates().expect("a certificate")[0].clone();
        assert!(shown.windows(10).any(|bytes| bytes == [6, 8, 43, 6, 1, 5, 5, 7, 1, 31]), "acmeIdentifier");
        // It may be gone already.
        drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n").await);
        assert_eq!(read_to_end(&mut stream).await, "");
    }
    assert_eq!(edge.reached(), 0);
    drop(open);
    assert!(edge.connect_as("chat.test", &["acme-tls/1"], &both).await.is_err());
}

#[tokio::test]
async fn the_plain_listener_tells_the_text_of_a_challenge_and_nothing_else_changes() {
    let (listener, address) = listen();
    let limits = Limits::default();
    let challenges = Arc::new(Challenges::default());
    let edge = PlainEdge {
        proxy_protocol: None,
        redirect_port: 443,
        connections: Connections::new(&limits),
        limits: Arc::new(limits),
        drain: Drain::new(),
        challenges: Arc::clone(&challenges),
    };
    tokio::spawn(serve_plain(listener, Arc::new(edge)));
    let ask = async |request: &str| {
        let mut stream = TcpStream::connect(address).await.expect("a socket");
        stream.write_all(request.as_bytes()).await.expect("written");
        read_to_end(&mut stream).await
    };
    let open = challenges.tell("chat.test", "to-ken", "to-ken.thumb").expect("told");
    let path = "/.well-known/acme-challenge/to-ken";
    let told = ask(&format!("GET {path} HTTP/1.1\r\nHost: chat.test\r\n\r\n")).await;
    assert!(told.starts_with("HTTP/1.1 200 ") && told.ends_with("\r\n\r\nto-ken.thumb"), "{told}");
    assert!(told.contains("content-type: application/octet-stream\r\n"), "{told}");
    for (request, expected) in [
        (format!("GET {path} HTTP/1.1\r\nHost: other.test\r\n\r\n"), "308"),
        (format!("HEAD {path} HTTP/1.1\r\nHost: chat.test\r\n\r\n"), "308"),
        (format!("POST {path} HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 0\r\n\r\n"), "403"),
        (format!("GET {path}?a=b HTTP/1.1\r\nHost: chat.test\r\n\r\n"), "308"),
        (format!("GET {path}/ HTTP/1.1\r\nHost: chat.test\r\n\r\n"), "400"),
        (format!("GET {path}x HTTP/1.1\r\nHost: chat.test\r\n\r\n"), "308"),
        (format!("GET {path} HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 2\r\n\r\nhi"), "403"),
        (format!("GET {path} HTTP/1.1\r\n\r\n"), "400"),
        ("GET /.well-known/acme-challenge/../acme-challenge/to-ken HTTP/1.1\r\nHost: chat.test\r\n\r\n".into(), "400"),
    ] {
        let answer = ask(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{request}{answer}");
        assert!(!answer.contains("thumb"), "{request}{answer}");
    }
    drop(open);
    let answer = ask(&format!("GET {path} HTTP/1.1\r\nHost: chat.test\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 308 "), "{answer}");
}

#[tokio::test]
async fn the_plain_listener_redirects_reads_and_refuses_the_rest() {
    let (listener, address) = listen();
    let limits = Limits::default();
    let edge = PlainEdge {
        proxy_protocol: None,
        redirect_port: 8443,
        connections: Connections::new(&limits),
        limits: Arc::new(limits),
        drain: Drain::new(),
        challenges: Arc::default(),
    };
    tokio::spawn(serve_plain(listener, Arc::new(edge)));
    for (request, expected) in [
        ("GET /a?b=c HTTP/1.1\r\nHost: chat.test\r\n\r\n", "308"),
        ("POST /a HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 2\r\n\r\nhi", "403"),
        ("GET /a HTTP/1.1\r\nHost: chat.test\r\nContent-Length: 2\r\n\r\nhi", "403"),
        ("GET /a HTTP/1.1\r\nHost: chat.test\r\nHost: evil.test\r\n\r\n", "400"),
        ("GET /a HTTP/1.1\nHost: chat.test\n\n", "400"),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("a socket");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        drop(timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("the server closes"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{request:?} {answer}");
        assert_eq!(answer.contains("location: https://chat.test:8443/a?b=c\r\n"), expected == "308");
        assert!(answer.contains("connection: close\r\n") && !answer.contains("strict-transport-security"), "{answer}");
    }
}
