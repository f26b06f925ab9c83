//! Upstreams over real sockets: what an upstream receives, and what becomes of what it answers.

mod failures;
mod relay;
mod tls_and_http2;
mod websockets;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::profile::{Body, Class, Upgrade};
use outbound::tests::operation;

pub(super) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Runs `serve` for each connection, with its number, and gives the port.
pub(super) async fn listen<F, S>(serve: S) -> u16
where
    F: Future<Output = ()> + Send,
    S: Fn(TcpStream, usize) -> F + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let serve = Arc::clone(&serve);
            tokio::spawn(async move { serve(stream, number).await });
        }
    });
    port
}

/// One request as it came: head and, by `Content-Length`, body. Empty at the end of the connection.
pub(super) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => text.push(byte),
            Err(_) => return String::new(),
        }
    }
    let head = String::from_utf8(text).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    head + &String::from_utf8(body).unwrap()
}

/// Answers every request of a connection with the same bytes.
pub(super) async fn answer_all(mut stream: TcpStream, answer: &[u8]) {
    while !read_request(&mut stream).await.is_empty() {
        stream.write_all(answer).await.unwrap();
    }
}

pub(super) fn upstream(scheme: &str, port: u16) -> policy::Upstream {
    policy::Upstream {
        name: "api".to_owned(),
        url: format!("{scheme}://127.0.0.1:{port}").parse().unwrap(),
        ca: None,
        http_version: HttpVersion::Http1,
        host_header: HostHeader::Preserve,
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(5),
        connections_max: 8,
    }
}

pub(super) fn upstreams(upstream: policy::Upstream) -> Upstreams {
    limited(upstream, &Limits::default())
}

pub(super) fn limited(upstream: policy::Upstream, limits: &Limits) -> Upstreams {
    Upstreams::new(&[upstream], &|_| None, limits).unwrap()
}

pub(super) fn head(method: Method, path: &str, headers: HeaderMap) -> ForwardHead {
    let facts = ForwardFacts {
        client: "192.0.2.7".parse().unwrap(),
        host: "api.acme.example".parse().unwrap(),
        request_id: "request-1".to_owned(),
        traceparent: Traceparent::of_request(&HeaderMap::new(), uuid::Uuid::max()),
    };
    ForwardHead { method, path_and_query: path.parse().unwrap(), headers, facts }
}

pub(super) fn post(json: &str) -> Outbound {
    let head = head(Method::POST, "/users?a=1", HeaderMap::new());
    let body = JudgedBody::new(Bytes::copy_from_slice(json.as_bytes()), Some("application/json"));
    Outbound::Judged { head, body }
}

pub(super) async fn text(body: UpstreamBody) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Sends a POST and gives the error.
pub(super) async fn fails(upstreams: &Upstreams) -> UpstreamError {
    upstreams.send("api", post("{}")).await.map(|response| response.status()).unwrap_err()
}

/// A gateway that passes everything, streamed. An error is answered with 502 and its words.
pub(super) async fn gateway(upstreams: Arc<Upstreams>, body: Body) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let permit = PassPermit::of(&operation(Class::Pass, body, Upgrade::Never)).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let upstreams = Arc::clone(&upstreams);
            let service = service_fn(move |request: Request<Incoming>| {
                let upstreams = Arc::clone(&upstreams);
                async move {
                    let (parts, body) = request.into_parts();
                    let head = head(parts.method, parts.uri.path(), parts.headers);
                    let sent = upstreams.send("api", Outbound::Passed { head, body, permit }).await;
                    Ok::<_, Infallible>(sent.map_or_else(
                        |error| {
                            let words = http_body_util::Full::new(Bytes::from(error.to_string()));
                            Response::builder().status(502).body(http_body_util::Either::Right(words)).unwrap()
                        },
                        |response| response.map(http_body_util::Either::Left),
                    ))
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// Reads until the text is there.
pub(super) async fn read_until(stream: &mut (impl AsyncRead + Unpin), needle: &str) -> String {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(needle) {
        text.push(stream.read_u8().await.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&text))));
    }
    String::from_utf8_lossy(&text).into_owned()
}
