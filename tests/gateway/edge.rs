//! Origins, methods, paths and framing, over real TLS.

use http::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::{connect_tls, form_request};
use crate::support::frames::{END_HEADERS, END_STREAM, Frames, HEADERS, block, frame};
use crate::support::{Bench, Setup, TestGateway, TestUpstream, form, ping_form};

const PING: &str = "/messenger/web/ping";

async fn start(change: impl FnOnce(Setup) -> Setup) -> (TestUpstream, TestGateway) {
    let upstream = TestUpstream::start().await;
    let gateway = change(Setup::acme(upstream.address)).start();
    (upstream, gateway)
}

#[tokio::test]
async fn a_page_of_one_workspace_reads_no_answer_of_another() {
    let mut bench = Bench::acme(|setup| {
        let other = setup.text("acme").replace("abc12345", "def67890").replace("acme.example", "other.example");
        setup.workspace("other", &other)
    })
    .await;
    for (app_id, status, readable) in [("abc12345", 200, Some("https://app.acme.example")), ("def67890", 403, None)] {
        let form = form(&[("app_id", app_id), ("user_data", "{}")]);
        let answer = bench.send(form_request(PING, form)).await;
        let allowed = answer.header("access-control-allow-origin");
        assert_eq!((answer.status.as_u16(), allowed), (status, readable), "{app_id}");
        assert_eq!(answer.header("access-control-allow-credentials").is_some(), readable.is_some(), "{app_id}");
    }
    // What is refused for another reason its own page may read.
    let answer = bench.send(form_request(PING, form(&[("app_id", "abc12345"), ("user_data", "{")]))).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin").is_some()), (400, true));
}

#[tokio::test]
async fn an_origin_that_is_not_trusted_gets_a_refusal_without_cors() {
    let (upstream, gateway) = start(|setup| setup).await;
    let mut client = gateway.http1().await;
    for origin in [
        "https://evil.example",
        "https://app.acme.example.evil.test",
        "https://evil-acme.example",
        "http://app.acme.example",
        "https://app.acme.example:8443",
        "https://APP.acme.example",
        // Below the wildcard, and no name that there can be.
        "https://..acme.example",
        "https://*.acme.example",
        "https://a,b.acme.example",
        "https://abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-0123456789.acme.example",
        "null",
        "file://",
        "",
    ] {
        let mut request = form_request(PING, ping_form("{}"));
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
        let answer = client.send(request).await;
        assert_eq!(answer.status, 403, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
    }
    let mut request = form_request(PING, ping_form("{}"));
    request.headers_mut().remove("origin");
    assert_eq!(client.send(request).await.status, 403);
    let mut request = form_request(PING, ping_form("{}"));
    request.headers_mut().append("origin", "https://app.acme.example".parse().expect("a header"));
    assert!(client.send(request).await.status.is_client_error());
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_trusted_origin_gets_exact_cors_on_answers_and_refusals() {
    let (_upstream, gateway) = start(|setup| setup).await;
    let mut client = gateway.http1().await;
    for (body, status) in [(ping_form("{}"), 200), (ping_form("{"), 400)] {
        for origin in ["https://app.acme.example", "https://deep.er.acme.example", "https://acme.example"] {
            let mut request = form_request(PING, body.clone());
            request.headers_mut().insert("origin", origin.parse().expect("a header"));
            let answer = client.send(request).await;
            assert_eq!(answer.status, status);
            assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        }
    }
}

#[tokio::test]
async fn a_preflight_is_answered_here() {
    let (upstream, gateway) = start(|setup| setup).await;
    let mut client = gateway.http2().await;
    let preflight = |origin: &str, method: &str, path: &str| {
        Request::options(path)
            .header("origin", origin)
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "content-type,x-evil")
            .body("")
            .expect("a request")
    };
    let answer = client.send(preflight("https://app.acme.example", "POST", PING)).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.acme.example"));
    assert!(answer.header("access-control-allow-methods").expect("methods").contains("POST"));
    let headers = answer.header("access-control-allow-headers").expect("headers").to_ascii_lowercase();
    assert!(headers.contains("content-type") && !headers.contains("x-evil"), "{headers}");
    assert_eq!(client.send(preflight("https://evil.example", "POST", PING)).await.status, 403);
    assert_eq!(client.send(preflight("https://app.acme.example", "POST", "/elsewhere")).await.status, 404);
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn paths_and_methods_outside_the_profile_are_refused() {
    let (upstream, gateway) = start(|setup| setup).await;
    let mut client = gateway.http1().await;
    for (target, status) in [
        ("/messenger/web//ping", 400),
        ("/messenger/web/ping/", 400),
        ("/messenger/web/%70ing", 400),
        ("/messenger/web/../web/ping", 400),
        ("/messenger/web/%2e%2e/ping", 400),
        ("/messenger/web/ping;x=1", 400),
        ("/messenger%2Fweb/ping", 400),
        ("/Messenger/web/ping", 404),
        ("/", 404),
        ("/elsewhere", 404),
        ("/contacts", 404),
    ] {
        assert_eq!(client.send(form_request(target, ping_form("{}"))).await.status, status, "{target}");
    }
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE, Method::CONNECT] {
        // `CONNECT` has no path; hyper's client sends the authority, and what comes back must not be a tunnel.
        if method == Method::CONNECT {
            continue;
        }
        let mut request = form_request(PING, String::new());
        *request.method_mut() = method.clone();
        assert_eq!(client.send(request).await.status, 405, "{method}");
    }
    let mut request = form_request("/elsewhere", ping_form("{}"));
    request.headers_mut().insert("x-http-method-override", "PATCH".parse().expect("a header"));
    assert_eq!(client.send(request).await.status, 404);
    assert!(upstream.received().is_empty());
}

/// Writes raw bytes over TLS and reads until the gateway closes or answers.
async fn raw(gateway: &TestGateway, bytes: &[u8]) -> String {
    let mut stream = connect_tls(gateway.address, &gateway.ca_pem, "localhost", &[b"http/1.1"]).await.expect("TLS");
    stream.write_all(bytes).await.expect("sent");
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    let patience = std::time::Duration::from_millis(700);
    while let Ok(Ok(count)) = tokio::time::timeout(patience, stream.read(&mut buffer)).await {
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn framing_that_two_servers_read_differently_never_reaches_the_upstream() {
    let (upstream, gateway) = start(|setup| setup).await;
    let body = ping_form("{}");
    let length = body.len();
    let head = format!(
        "POST {PING} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.acme.example\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    );
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    for request in [
        format!("{head}Content-Length: {length}\r\nContent-Length: 5\r\n\r\n{body}"),
        format!("{head}Content-Length: {length}, {length}\r\n\r\n{body}"),
        format!("{head}Content-Length: +{length}\r\n\r\n{body}"),
        format!("{head}Transfer-Encoding: gzip, chunked\r\n\r\n{chunked}"),
        format!("{head}Transfer-Encoding: chunked, identity\r\n\r\n{chunked}"),
        format!("{head}Transfer-Encoding: xchunked\r\n\r\n{chunked}"),
        format!("{head}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
        format!("{head}Host: evil.test\r\nContent-Length: {length}\r\n\r\n{body}"),
        format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"),
        format!("{head}X: a\r\n b\r\nContent-Length: {length}\r\n\r\n{body}"),
        format!("{head}X : a\r\nContent-Length: {length}\r\n\r\n{body}"),
        format!("POST {PING} HTTP/1.1\r\nOrigin: https://app.acme.example\r\nContent-Length: {length}\r\n\r\n{body}"),
        format!(
            "POST http://evil.test{PING} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.acme.example\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
        format!("POST {PING} HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
    ] {
        let answer = raw(&gateway, request.as_bytes()).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{request}\n{answer}");
        assert!(upstream.received().is_empty(), "{request}");
    }
    let answer = raw(&gateway, format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunked}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(upstream.only().header("transfer-encoding"), None, "framing is ours");
}

#[tokio::test]
async fn a_length_beside_chunks_is_refused_or_framed_anew() {
    let (upstream, gateway) = start(|setup| setup).await;
    let body = ping_form("{}");
    let smuggled = "POST /messenger/web/open HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let request = format!(
        "POST {PING} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.acme.example\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n{smuggled}",
        body.len() + 9,
        body.len()
    );
    raw(&gateway, request.as_bytes()).await;
    for received in upstream.received() {
        assert_eq!(received.target, PING);
        assert_eq!(received.header("transfer-encoding"), None);
    }
}

#[tokio::test]
async fn headers_that_are_ours_never_come_from_outside() {
    let (upstream, gateway) = start(|setup| setup).await;
    let mut client = gateway.http1().await;
    let mut request = form_request(PING, ping_form("{}"));
    for (name, value) in [
        ("x-forwarded-for", "6.6.6.6"),
        ("x_forwarded_for", "6.6.6.6"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "evil.test"),
        ("forwarded", "for=6.6.6.6"),
        ("x-real-ip", "6.6.6.6"),
        ("x-countersign-decision", "forged"),
        ("x_countersign_decision", "forged"),
        ("connection", "keep-alive, te"),
        ("te", "trailers"),
        ("proxy-authorization", "x"),
        ("x-http-method-override", "DELETE"),
        ("x-request-id", "forged"),
    ] {
        request.headers_mut().append(name, value.parse().expect("a header"));
    }
    assert_eq!(client.send(request).await.status, 200);
    let received = upstream.only();
    assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(received.header("x-forwarded-proto"), Some("https"));
    assert!(received.header("x-forwarded-host").expect("a host").starts_with("localhost"));
    assert!(received.header("forwarded").expect("forwarded").contains("for=127.0.0.1"));
    assert!(received.header("traceparent").is_some());
    for name in [
        "x_forwarded_for",
        "x-real-ip",
        "x-countersign-decision",
        "x_countersign_decision",
        "te",
        "proxy-authorization",
        "x-http-method-override",
    ] {
        assert_eq!(received.header(name), None, "{name}");
    }
    let values = received.headers.values().map(|value| value.to_str().expect("text")).collect::<Vec<_>>().join("\n");
    for forged in ["6.6.6.6", "evil.test", "forged"] {
        assert!(!values.contains(forged), "{values}");
    }
}

#[tokio::test]
async fn only_modern_tls_is_spoken() {
    let (_upstream, gateway) = start(|setup| setup).await;
    let speaks = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl")
            .args(["s_client", "-connect", &gateway.address.to_string(), "-servername", "localhost"])
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .output()
            .expect("openssl");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(speaks(&["-tls1_3"]).contains("TLSv1.3"));
    assert!(speaks(&["-tls1_2"]).contains("ECDHE"));
    for old in [
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
    ] {
        let output = speaks(old);
        assert!(output.contains("Cipher is (NONE)"), "{old:?}\n{output}");
    }
}

#[tokio::test]
async fn in_the_clear_nothing_is_accepted() {
    let (upstream, gateway) =
        start(|setup| setup.gateway("[plain]\naddress = \"127.0.0.1:0\"\nredirect_port = 443\n")).await;
    let plain = gateway.plain.expect("a plain listener");
    let ask = async |request: String| {
        let mut stream = tokio::net::TcpStream::connect(plain).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        tokio::time::timeout(std::time::Duration::from_secs(5), stream.read_to_string(&mut answer))
            .await
            .expect("closed")
            .expect("read");
        answer
    };
    let redirect = ask("GET /messenger/web/ping?a=1 HTTP/1.1\r\nHost: gw.acme.example\r\n\r\n".into()).await;
    assert!(redirect.starts_with("HTTP/1.1 308"), "{redirect}");
    assert!(
        redirect.to_ascii_lowercase().contains("location: https://gw.acme.example/messenger/web/ping?a=1"),
        "{redirect}"
    );
    let body = ping_form("{}");
    let post =
        ask(format!("POST {PING} HTTP/1.1\r\nHost: gw.acme.example\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
            .await;
    assert!(post.starts_with("HTTP/1.1 403"), "{post}");
    assert!(!post.to_ascii_lowercase().contains("location:"), "{post}");
    let get = ask("GET / HTTP/1.1\r\nHost: gw.acme.example\r\nContent-Length: 3\r\n\r\nabc".into()).await;
    assert!(get.starts_with("HTTP/1.1 4"), "{get}");
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_refusal_before_the_body_is_read_arrives_over_http2_as_well() {
    let (upstream, gateway) = start(|setup| setup).await;
    for _ in 0..20 {
        let mut client = gateway.http2().await;
        let mut request = form_request(PING, ping_form(&format!(r#"{{"nickname":"{}"}}"#, "x".repeat(60_000))));
        request.headers_mut().insert("origin", "https://evil.example".parse().expect("a header"));
        assert_eq!(client.send(request).await.status, 403);
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_refused_head_is_told_without_content_and_recorded_as_what_it_was() {
    let (upstream, gateway) = start(|setup| setup).await;
    let head = || Request::head("/nope").body(String::new()).expect("a request");
    let mut http1 = gateway.http1().await;
    let answer = http1.send(head()).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (404, ""));
    let length: usize = answer.header("content-length").expect("what GET would give").parse().expect("a number");
    let got = http1.send(Request::get("/nope").body(String::new()).expect("a request")).await;
    assert_eq!(got.text().len(), length);
    // Content here would break the stream (RFC 9113 section 8.1.1).
    let stream = connect_tls(gateway.address, &gateway.ca_pem, "localhost", &[b"h2"]).await.expect("TLS");
    let mut http2 = Frames::begin(stream, &[]).await;
    let asked = [(":method", "HEAD"), (":scheme", "https"), (":authority", "localhost"), (":path", "/nope")];
    assert!(http2.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&asked))).await);
    let told = http2.next_of(HEADERS).await.expect("an answer");
    assert_eq!(told.flags & END_STREAM, END_STREAM, "and nothing follows");
    let records = gateway.records(3);
    for record in &records {
        assert_eq!((record["outcome"].as_str(), record["status"].as_u64()), (Some("route_unknown"), Some(404)));
    }
    assert!(upstream.received().is_empty());
}
