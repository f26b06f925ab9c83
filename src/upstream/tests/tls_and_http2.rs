//! Whom we trust, and HTTP/2.

use std::sync::atomic::{AtomicUsize, Ordering};

use hyper_util::rt::TokioExecutor;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn acceptor(&self, subject: &str, alpn: &[&[u8]]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([subject.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

fn trusting(upstream: policy::Upstream, authority: &Authority) -> Upstreams {
    let pem = authority.0.pem();
    let upstream = policy::Upstream { ca: Some("ca.pem".into()), ..upstream };
    Upstreams::new(&[upstream], &|_| Some(pem.clone().into_bytes()), &Limits::default()).unwrap()
}

async fn listen_tls(acceptor: TlsAcceptor) -> u16 {
    listen(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut tls) = acceptor.accept(stream).await else { return };
            while !read_request(&mut tls).await.is_empty() {
                tls.write_all(OK).await.unwrap();
            }
        }
    })
    .await
}

#[tokio::test]
async fn only_the_upstreams_own_authority_and_name_are_trusted() {
    let (own, foreign) = (Authority::new(), Authority::new());
    let port = listen_tls(own.acceptor("127.0.0.1", &[])).await;
    let upstreams = trusting(upstream("https", port), &own);
    for _ in 0..2 {
        let response = upstreams.send("api", post("{}")).await.unwrap();
        assert_eq!(text(response.into_body()).await, "ok");
    }
    assert!(matches!(fails(&trusting(upstream("https", port), &foreign)).await, UpstreamError::Tls(_)));
    let port = listen_tls(own.acceptor("other.example", &[])).await;
    assert!(matches!(fails(&trusting(upstream("https", port), &own)).await, UpstreamError::Tls(_)));
}

#[tokio::test]
async fn an_upstream_that_speaks_no_tls_or_never_answers_is_told_apart() {
    let authority = Authority::new();
    let port = listen(|mut stream, _| async move { drop(stream.write_all(b"220 ready\r\n").await) }).await;
    assert!(matches!(fails(&trusting(upstream("https", port), &authority)).await, UpstreamError::Tls(_)));
    let port = listen(|mut stream, _| async move { drop(stream.read_to_end(&mut Vec::new()).await) }).await;
    let quick = policy::Upstream { connect_timeout: Duration::from_millis(100), ..upstream("https", port) };
    assert!(matches!(fails(&trusting(quick, &authority)).await, UpstreamError::ConnectTimeout));
}

#[test]
fn authorities_that_are_missing_or_none_are_refused() {
    let upstream = policy::Upstream { ca: Some("ca.pem".into()), ..upstream("https", 1) };
    let setup = |pem: Option<&[u8]>| {
        let read = |_: &str| pem.map(<[u8]>::to_vec);
        Upstreams::new(std::slice::from_ref(&upstream), &read, &Limits::default()).map(|_| ()).unwrap_err()
    };
    assert!(matches!(setup(None), UpstreamSetupError::AuthoritiesMissing { .. }));
    assert!(matches!(setup(Some(b"")), UpstreamSetupError::Authorities { .. }));
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(setup(Some(broken)), UpstreamSetupError::Authorities { .. }));
}

/// Answers with what it saw.
async fn http2_echo(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let mut seen = format!("{} {}", request.method(), request.uri());
    let fields = ["host", "cookie", "connection", "x-hop", "x-forwarded-for"];
    for (name, value) in fields.into_iter().filter_map(|name| Some((name, request.headers().get(name)?))) {
        seen.extend([" ", name, "=", value.to_str().unwrap()]);
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Ok(Response::new(format!("{seen} {}", String::from_utf8(body.to_vec()).unwrap())))
}

async fn listen_http2(streams_max: u32) -> (u16, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let port = listen(move |stream, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            server.max_concurrent_streams(streams_max);
            drop(server.serve_connection(TokioIo::new(stream), service_fn(http2_echo)).await);
        }
    })
    .await;
    (port, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_with_prior_knowledge_shares_one_connection() {
    let (port, connections) = listen_http2(100).await;
    let upstreams = upstreams(policy::Upstream { http_version: HttpVersion::Http2, ..upstream("http", port) });
    let mut headers = HeaderMap::new();
    headers.append("cookie", "a=1".parse().unwrap());
    headers.append("cookie", "b=2".parse().unwrap());
    headers.append("connection", "x-hop".parse().unwrap());
    headers.append("x-hop", "1".parse().unwrap());
    headers.append("host", "evil.example".parse().unwrap());
    let ask = || async {
        let head = head(Method::POST, "/users?a=1", headers.clone());
        let body = JudgedBody::new(Bytes::from_static(b"{}"), None);
        text(upstreams.send("api", Outbound::Judged { head, body }).await.unwrap().into_body()).await
    };
    let (first, second) = tokio::join!(ask(), ask());
    let third = ask().await;
    for seen in [first, second, third] {
        assert_eq!(seen, "POST http://api.acme.example/users?a=1 cookie=a=1; b=2 x-forwarded-for=192.0.2.7 {}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_passed_body_over_the_limit_is_refused_over_http2_too() {
    let (port, _) = listen_http2(100).await;
    let upstream = policy::Upstream { http_version: HttpVersion::Http2, ..upstream("http", port) };
    let limits = Limits { stream_bytes_max: 5, ..Limits::default() };
    let gateway = gateway(Arc::new(limited(upstream, &limits)), Body::Stream).await;
    let mut client = TcpStream::connect(gateway).await.unwrap();
    let chunked = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
    client.write_all(chunked).await.unwrap();
    read_until(&mut client, "longer than the limit").await;
}

#[tokio::test]
async fn http2_over_tls_must_be_agreed_on() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("127.0.0.1", &[b"h2", b"http/1.1"]);
    let port = listen(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(tls) = acceptor.accept(stream).await else { return };
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            drop(server.serve_connection(TokioIo::new(tls), service_fn(http2_echo)).await);
        }
    })
    .await;
    let http2 = |port| policy::Upstream { http_version: HttpVersion::Http2, ..upstream("https", port) };
    let response = trusting(http2(port), &authority).send("api", post("{}")).await.unwrap();
    let seen = text(response.into_body()).await;
    assert!(seen.starts_with("POST https://api.acme.example/users?a=1 "), "{seen}");

    let port = listen_tls(authority.acceptor("127.0.0.1", &[])).await;
    assert!(matches!(fails(&trusting(http2(port), &authority)).await, UpstreamError::Tls(_)));
}

#[tokio::test]
async fn what_is_not_http2_is_no_answer_to_it() {
    let port = listen(|stream, _| answer_all(stream, OK)).await;
    let upstreams = upstreams(policy::Upstream { http_version: HttpVersion::Http2, ..upstream("http", port) });
    assert!(matches!(fails(&upstreams).await, UpstreamError::Closed(_)));
}

#[tokio::test]
async fn another_http2_connection_is_opened_where_one_has_no_stream_left() {
    let (port, connections) = listen_http2(1).await;
    let upstreams = upstreams(policy::Upstream { http_version: HttpVersion::Http2, ..upstream("http", port) });
    // The first request learns the upstream's limit; an answer that is not yet read holds its stream.
    text(upstreams.send("api", post("{}")).await.unwrap().into_body()).await;
    let held = upstreams.send("api", post("{}")).await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    text(upstreams.send("api", post("{}")).await.unwrap().into_body()).await;
    assert_eq!(connections.load(Ordering::SeqCst), 2);
    drop(held);
}

#[tokio::test]
async fn an_http2_connection_that_ended_is_replaced() {
    let port = listen(|stream, _| async move {
        let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        server.timer(hyper_util::rt::TokioTimer::new());
        let connection = server.serve_connection(TokioIo::new(stream), service_fn(http2_echo));
        drop(tokio::time::timeout(Duration::from_millis(100), connection).await);
    })
    .await;
    let upstreams = upstreams(policy::Upstream { http_version: HttpVersion::Http2, ..upstream("http", port) });
    for _ in 0..2 {
        text(upstreams.send("api", post("{}")).await.unwrap().into_body()).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
