//! A TLS client that asserts on every answer what always holds.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// One connection to the gateway.
pub struct Client {
    sender: Sender,
    connection: tokio::task::JoinHandle<()>,
    host: String,
}

enum Sender {
    Http1(hyper::client::conn::http1::SendRequest<Full<Bytes>>),
    Http2(hyper::client::conn::http2::SendRequest<Full<Bytes>>),
}

/// Connects with TLS, trusting the CA in `ca_pem` alone.
pub async fn connect_tls(
    address: SocketAddr,
    ca_pem: &str,
    name: &str,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    over_tls(TcpStream::connect(address).await?, ca_pem, name, protocols).await
}

/// TLS over a connection that is there.
pub async fn over_tls(
    stream: TcpStream,
    ca_pem: &str,
    name: &str,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate.expect("a certificate")).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn alpn_of(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Http1 => b"http/1.1",
        Protocol::Http2 => b"h2",
    }
}

impl Client {
    pub async fn connect(address: SocketAddr, ca_pem: &str, protocol: Protocol) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        Self::over(stream, ca_pem, protocol).await
    }

    /// To another name than `localhost`; fails where the handshake does.
    pub async fn connect_to(
        name: &str,
        address: SocketAddr,
        ca_pem: &str,
        protocol: Protocol,
    ) -> std::io::Result<Self> {
        let stream = over_tls(TcpStream::connect(address).await?, ca_pem, name, &[alpn_of(protocol)]).await?;
        Ok(Self::speak(stream, format!("{name}:{}", address.port()), protocol).await)
    }

    /// From another address of this machine: all of 127.0.0.0/8 are its own.
    pub async fn connect_from(source: [u8; 4], address: SocketAddr, ca_pem: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((source, 0))).expect("an address of this machine");
        let stream = socket.connect(address).await.expect("a connection");
        Self::over(stream, ca_pem, Protocol::Http1).await
    }

    /// Over a connection that is there, and on which something was said already.
    pub async fn over(stream: TcpStream, ca_pem: &str, protocol: Protocol) -> Self {
        let stream = over_tls(stream, ca_pem, "localhost", &[alpn_of(protocol)]).await.expect("a TLS connection");
        Self::over_tls(stream, protocol).await
    }

    /// Over a TLS connection that is there.
    pub async fn over_tls(stream: TlsStream<TcpStream>, protocol: Protocol) -> Self {
        let port = stream.get_ref().0.peer_addr().expect("a peer").port();
        Self::speak(stream, format!("localhost:{port}"), protocol).await
    }

    async fn speak(stream: TlsStream<TcpStream>, host: String, protocol: Protocol) -> Self {
        let io = TokioIo::new(stream);
        let (sender, connection) = match protocol {
            Protocol::Http1 => {
                let (sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("http/1.1");
                (Sender::Http1(sender), tokio::spawn(async { drop(connection.await) }))
            }
            Protocol::Http2 => {
                let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
                let (sender, connection) = handshake.await.expect("http/2");
                (Sender::Http2(sender), tokio::spawn(async { drop(connection.await) }))
            }
        };
        Self { sender, connection, host }
    }

    /// Sends a request; its target is a path. `Host` or `:authority` are set here.
    pub async fn send(&mut self, request: Request<impl Into<Bytes>>) -> Answer {
        self.try_send(request).await.expect("an answer")
    }

    pub async fn try_send(&mut self, request: Request<impl Into<Bytes>>) -> Result<Answer, hyper::Error> {
        let (mut parts, body) = request.into_parts();
        let body = Full::new(body.into());
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                parts.headers.entry(http::header::HOST).or_insert(self.host.parse().expect("a host"));
                sender.ready().await?;
                sender.send_request(Request::from_parts(parts, body)).await?
            }
            Sender::Http2(sender) => {
                let target = format!("https://{}{}", self.host, parts.uri);
                parts.uri = target.parse().expect("a URI");
                sender.ready().await?;
                sender.send_request(Request::from_parts(parts, body)).await?
            }
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        always(&answer);
        Ok(answer)
    }

    /// Goes away at once, whatever is under way.
    pub async fn leave(self) {
        self.connection.abort();
        drop(self.connection.await);
    }

    /// A form from the workspace's own page.
    pub async fn post_form(&mut self, path: &str, body: String) -> Answer {
        self.send(form_request(path, body)).await
    }
}

/// A form as the frame sends it from the workspace's own page.
pub fn form_request(path: &str, body: String) -> Request<String> {
    Request::post(path)
        .header("origin", "https://app.acme.example")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .expect("a request")
}

/// What holds for every answer there is.
fn always(answer: &Answer) {
    let hsts = answer.header("strict-transport-security").expect("HSTS on every answer");
    assert!(hsts.starts_with("max-age="), "{hsts}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    for banner in ["server", "x-powered-by"] {
        assert_eq!(answer.header(banner), None);
    }
    if let Some(origin) = answer.header("access-control-allow-origin") {
        assert_ne!(origin, "*");
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert!(
            answer
                .headers
                .get_all("vary")
                .iter()
                .any(|vary| vary.to_str().is_ok_and(|vary| vary.to_ascii_lowercase().contains("origin")))
        );
    }
}
