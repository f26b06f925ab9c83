//! HTTP/1.1 byte by byte, over real TLS: what is taken, in which order it is answered, and how slow a client may be. The table in docs/http.md
//! says the same in words.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::client::connect_tls;
use crate::support::{Setup, TestGateway, TestUpstream, form, ping_form};

const PING: &str = "/messenger/web/ping";
const ORIGIN: &str = "Host: localhost\r\nOrigin: https://app.acme.example\r\n";
/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(20);

async fn start(change: impl FnOnce(Setup) -> Setup) -> (TestUpstream, TestGateway) {
    let upstream = TestUpstream::start().await;
    let gateway = change(Setup::acme(upstream.address)).start();
    (upstream, gateway)
}

async fn connect(gateway: &TestGateway) -> TlsStream<TcpStream> {
    connect_tls(gateway.address, &gateway.ca_pem, "localhost", &[b"http/1.1"]).await.expect("TLS")
}

/// A request with a form, and further lines of its head.
fn request(line: &str, more: &str, body: &str) -> String {
    let kind = "Content-Type: application/x-www-form-urlencoded";
    format!("{line}\r\n{ORIGIN}{kind}\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn ping(more: &str) -> String {
    request(&format!("POST {PING} HTTP/1.1"), more, &ping_form("{}"))
}

/// Reads until the other end closes, or has said `text`.
async fn read_until(stream: &mut TlsStream<TcpStream>, text: &str) -> String {
    let (mut answer, mut buffer) = (String::new(), [0; 4096]);
    while !answer.contains(text) {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.expect("in time");
        let Ok(count @ 1..) = read else { break };
        answer.push_str(std::str::from_utf8(&buffer[..count]).expect("text"));
    }
    answer
}

/// Sends a request, after which the gateway closes; gives all that it said.
async fn ask(gateway: &TestGateway, bytes: &str) -> String {
    let mut stream = connect(gateway).await;
    drop(stream.write_all(bytes.as_bytes()).await);
    read_until(&mut stream, "never said").await
}

fn statuses(answer: &str) -> Vec<&str> {
    answer.match_indices("HTTP/1.").filter_map(|(at, _)| answer.get(at + 9..at + 12)).collect()
}

#[tokio::test]
async fn targets_and_methods_are_taken_as_documented() {
    let (upstream, gateway) = start(|setup| setup).await;
    let form_with = |field: (&'static str, &'static str)| form(&[("app_id", "abc12345"), ("user_data", "{}"), field]);
    let close = "Connection: close\r\n";
    let line = |line: &str| request(line, close, &ping_form("{}"));
    let table = [
        ("a path", line(&format!("POST {PING} HTTP/1.1")), "200"),
        ("an absolute form of this host", line(&format!("POST https://localhost{PING} HTTP/1.1")), "200"),
        ("an absolute form with capitals", line(&format!("POST HTTPS://LOCALHOST{PING} HTTP/1.1")), "200"),
        ("an absolute form in the clear", line(&format!("POST http://localhost{PING} HTTP/1.1")), "400"),
        ("an absolute form of another port", line(&format!("POST https://localhost:444{PING} HTTP/1.1")), "400"),
        ("an absolute form of another host", line(&format!("POST https://evil.test{PING} HTTP/1.1")), "400"),
        ("an absolute form of another scheme", line(&format!("POST ftp://localhost{PING} HTTP/1.1")), "400"),
        ("an absolute form with a user", line(&format!("POST https://a@localhost{PING} HTTP/1.1")), "400"),
        ("a path with a fragment", line(&format!("POST {PING}#x HTTP/1.1")), "400"),
        ("the asterisk form", format!("OPTIONS * HTTP/1.1\r\n{ORIGIN}{close}\r\n"), "400"),
        ("another method with an asterisk", line("POST * HTTP/1.1"), "400"),
        ("the authority form", format!("CONNECT localhost:443 HTTP/1.1\r\n{ORIGIN}{close}\r\n"), "405"),
        (
            "the authority form of another",
            format!("CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n{close}\r\n"),
            "405",
        ),
        ("CONNECT with a path", line(&format!("CONNECT {PING} HTTP/1.1")), "405"),
        ("TRACE", format!("TRACE {PING} HTTP/1.1\r\n{ORIGIN}{close}\r\n"), "405"),
        ("TRACK", format!("TRACK {PING} HTTP/1.1\r\n{ORIGIN}{close}\r\n"), "405"),
        ("DEBUG", format!("DEBUG {PING} HTTP/1.1\r\n{ORIGIN}{close}\r\n"), "405"),
        ("a method in small letters", line(&format!("post {PING} HTTP/1.1")), "405"),
        (
            "a method override in a header",
            request(
                &format!("POST {PING} HTTP/1.1"),
                "X-HTTP-Method-Override: DELETE\r\nConnection: close\r\n",
                &ping_form("{}"),
            ),
            "200",
        ),
        ("a method override in the query", line(&format!("POST {PING}?_method=DELETE HTTP/1.1")), "400"),
        (
            "a method override in the form",
            request(&format!("POST {PING} HTTP/1.1"), close, &form_with(("_method", "DELETE"))),
            "400",
        ),
        (
            "a method override as PHP reads it",
            request(&format!("POST {PING} HTTP/1.1"), close, &form_with((" .method", "DELETE"))),
            "400",
        ),
        ("HTTP/1.0", line(&format!("POST {PING} HTTP/1.0")), "200"),
        ("an empty line in front", format!("\r\n{}", ping(close)), "200"),
        (
            "an upgrade that nobody makes",
            ping("Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
            "200",
        ),
        ("an expectation that nobody knows", ping("Connection: close\r\nExpect: 200-ok\r\n"), "417"),
    ];
    let mut sent = 0;
    for (name, request, status) in table {
        let answer = ask(&gateway, &request).await;
        assert_eq!(statuses(&answer), [status], "{name}\n{answer}");
        let lower = answer.to_ascii_lowercase();
        for header in ["strict-transport-security: max-age=", "x-content-type-options: nosniff"] {
            assert!(lower.contains(header), "{name}\n{answer}");
        }
        assert!(status == "200" || lower.contains("content-type: application/problem+json"), "{name}\n{answer}");
        assert!(!lower.contains("\r\nserver:") && !answer.contains("DELETE"), "{name}\n{answer}");
        sent += usize::from(status == "200");
    }
    let received = upstream.received();
    assert_eq!(received.len(), sent);
    for request in received {
        assert_eq!((request.method.as_str(), &*request.target), ("POST", PING));
        assert_eq!(request.header("upgrade"), None);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order_and_each_once() {
    let upstream = TestUpstream::answering(|received| {
        // The first takes longest.
        let number = received.field("number").remove(0);
        let delay = if number == "1" { Duration::from_millis(300) } else { Duration::ZERO };
        (delay, http::Response::new(format!("this is {number}").into()))
    })
    .await;
    let gateway = Setup::acme(upstream.address).start();
    let numbered = |number: &'static str| {
        let body = form(&[("app_id", "abc12345"), ("user_data", "{}"), ("number", number)]);
        request(&format!("POST {PING} HTTP/1.1"), "", &body)
    };
    let order = |answer: &str| {
        answer.match_indices("this is ").filter_map(|(at, _)| answer.get(at + 8..=at + 8)).collect::<String>()
    };
    let mut stream = connect(&gateway).await;
    let four = ["1", "2", "3", "4"].map(numbered).concat();
    stream.write_all(four.as_bytes()).await.expect("sent");
    assert_eq!(order(&read_until(&mut stream, "this is 4").await), "1234");

    // What is wrong with the second is told after the first answer, and the third is nobody's.
    for bad in [
        "\0",
        "GET / HTTP/1.1\n\n",
        "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "x y z w\r\n\r\n",
    ] {
        for pause in [Duration::ZERO, Duration::from_millis(100)] {
            upstream.forget();
            let mut stream = connect(&gateway).await;
            stream.write_all(numbered("1").as_bytes()).await.expect("sent");
            stream.flush().await.expect("sent");
            tokio::time::sleep(pause).await;
            stream.write_all(format!("{bad}{}", numbered("3")).as_bytes()).await.expect("sent");
            let answer = read_until(&mut stream, "never said").await;
            assert_eq!(order(&answer), "1", "{bad:?} {answer}");
            assert_eq!(statuses(&answer), ["200", "400"], "{bad:?} {answer}");
            assert_eq!(upstream.only().field("number"), ["1"]);
        }
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_in_our_words_and_counted() {
    let (upstream, gateway) = start(|setup| setup.gateway("[limits]\nhead_bytes_max = \"256KiB\"\n")).await;
    let long = "a".repeat(70_000);
    // Every byte that can be seen, in a path and in a query, and targets of other forms.
    let visible = (b'!'..=b'~').map(char::from);
    let targets = visible.flat_map(|byte| [format!("{PING}{byte}"), format!("{PING}?a={byte}")]);
    let others = ["?x", "@", "a:b:c", "://x", "https:", "https:/x", "https:///x", "https://[::1/x", "http://%5b/"];
    let targets = targets.chain(others.map(str::to_owned)).chain([format!("{PING}?{long}")]);
    let close = "Connection: close\r\n";
    let requests = targets.map(|target| request(&format!("POST {target} HTTP/1.1"), close, &ping_form("{}")));
    let heads = ["Content-Length: 18446744073709551615", "Content-Length: 18446744073709551614", &format!("{long}: x")]
        .map(|line| format!("POST {PING} HTTP/1.1\r\n{ORIGIN}{close}{line}\r\n\r\n"));
    let mut asked = 0;
    for request in requests.chain(heads) {
        let answer = ask(&gateway, &request).await;
        let lower = answer.to_ascii_lowercase();
        assert_eq!(statuses(&answer).len(), 1, "{request:.200} {answer}");
        for header in ["strict-transport-security: max-age=", "x-content-type-options: nosniff"] {
            assert!(lower.contains(header), "{request:.200} {answer}");
        }
        asked += 1;
    }
    // Each has a record or is counted as what never became a request.
    let metrics = gateway.admin_get("/metrics");
    let malformed = metrics.lines().find_map(|line| line.strip_prefix("countersign_connections_malformed_total "));
    let malformed: usize = malformed.and_then(|count| count.parse().ok()).expect("a count");
    assert!(malformed > 9, "{malformed}");
    assert_eq!(gateway.records(asked - malformed).len(), asked - malformed);
    drop(upstream);
}

#[tokio::test]
async fn a_body_that_goes_wrong_has_one_answer() {
    let (upstream, gateway) = start(|setup| setup).await;
    let body = ping_form("{}");
    let begun = |path: &str| {
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let head = format!("POST {path} HTTP/1.1\r\n{ORIGIN}{kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
        format!("{head}{:x}\r\n{body}\r\n", body.len())
    };
    let long = format!("0\r\nX: {}\r\n\r\n", "a".repeat(5_000));
    for (path, status) in [(PING, "400"), ("/elsewhere", "404")] {
        for bad in ["zz\r\n", "0\n\n", &long] {
            for pause in [Duration::ZERO, Duration::from_millis(200)] {
                let mut stream = connect(&gateway).await;
                stream.write_all(begun(path).as_bytes()).await.expect("sent");
                stream.flush().await.expect("sent");
                tokio::time::sleep(pause).await;
                drop(stream.write_all(bad.as_bytes()).await);
                let answer = read_until(&mut stream, "never said").await;
                let statuses = statuses(&answer);
                // Where all of it came at once nobody has looked at the head.
                let expected = if pause.is_zero() { ["400", status] } else { [status; 2] };
                assert!(statuses.len() == 1 && expected.contains(&statuses[0]), "{path} {bad:?} {answer}");
            }
        }
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_request_behind_a_refused_body_is_read_where_it_begins_or_not_at_all() {
    let (upstream, gateway) = start(|setup| setup.gateway("[limits]\nbody_bytes_max = \"1 KiB\"\n")).await;
    let long = "x".repeat(2_000);
    // Of these the body is not read to its end: the connection closes, whatever comes behind.
    for (first, status) in [
        (request(&format!("POST {PING} HTTP/1.1"), "", &long), "413"),
        (
            request(&format!("POST {PING} HTTP/1.1"), "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", &long),
            "400",
        ),
        (
            format!("POST {PING} HTTP/1.1\r\n{ORIGIN}Transfer-Encoding: chunked\r\n\r\n7d0\r\n{long}\r\n0\r\n\r\n"),
            "413",
        ),
    ] {
        let answer = ask(&gateway, &format!("{first}{}", ping(""))).await;
        assert_eq!(statuses(&answer), [status], "{answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
        assert!(upstream.received().is_empty());
    }
    // A body that holds a request and is refused as a whole is never read as one.
    let hidden = ping("");
    for (path, status) in [("/elsewhere", "404"), ("/messenger/web//ping", "400")] {
        let answer = ask(&gateway, &request(&format!("POST {path} HTTP/1.1"), "Connection: close\r\n", &hidden)).await;
        assert_eq!(statuses(&answer), [status], "{answer}");
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn a_body_is_asked_for_only_when_its_head_is_admitted() {
    let (upstream, gateway) = start(|setup| setup.gateway("[limits]\nbody_bytes_max = \"1 KiB\"\n")).await;
    let body = ping_form("{}");
    let head = |path: &str, origin: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nContent-Type: application/x-www-form-urlencoded\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let ours = "https://app.acme.example";
    for (head, status) in [
        (head("/elsewhere", ours, 10), "404"),
        (head(PING, "https://evil.example", 10), "403"),
        (head(PING, ours, 5_000), "413"),
        (head(PING, ours, 10).replace("POST", "PATCH"), "405"),
        (head(PING, ours, 10).replace("Host: localhost", "Host: elsewhere.test"), "421"),
        (head(PING, ours, 10).replace("100-continue", "101-continue"), "417"),
        (head(PING, ours, 10).replace("Expect", "Transfer-Encoding: chunked\r\nExpect"), "400"),
    ] {
        let answer = ask(&gateway, &head).await;
        assert_eq!(statuses(&answer), [status], "{head}\n{answer}");
    }
    assert!(upstream.received().is_empty());
    let mut stream = connect(&gateway).await;
    stream.write_all(head(PING, ours, body.len()).as_bytes()).await.expect("sent");
    assert_eq!(statuses(&read_until(&mut stream, "\r\n\r\n").await), ["100"]);
    stream.write_all(body.as_bytes()).await.expect("sent");
    assert_eq!(statuses(&read_until(&mut stream, "never said").await), ["200"]);
    assert_eq!(upstream.only().header("expect"), None);
}

/// Sends a byte each 20 ms for as long as the gateway listens; gives its answer and how long that took.
async fn trickle(gateway: &TestGateway, head: &str) -> (String, Duration) {
    let mut stream = connect(gateway).await;
    stream.write_all(head.as_bytes()).await.expect("sent");
    let began = Instant::now();
    let (mut read, mut write) = tokio::io::split(stream);
    let trickle = async {
        // Bounded, should nobody ever stop it.
        for _ in 0..1_500 {
            if write.write_all(b"a").await.is_err() || write.flush().await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = trickle => {}
        // An end without a goodbye is an end.
        _ = read.read_to_end(&mut answer) => {}
    }
    (String::from_utf8(answer).expect("text"), began.elapsed())
}

#[tokio::test]
async fn a_body_or_head_that_trickles_is_cut_long_before_it_ends() {
    let limits = "[limits]\nbody_timeout = \"10m\"\nhead_timeout = \"1s\"\nbody_bytes_per_second_min = 1000\nrate_grace = \"1s\"\n";
    let (upstream, gateway) = start(|setup| setup.gateway(limits)).await;
    let head = format!("POST {PING} HTTP/1.1\r\n{ORIGIN}Content-Type: application/x-www-form-urlencoded\r\n");
    let (answer, took) = trickle(&gateway, &format!("{head}Content-Length: 100000\r\n\r\n")).await;
    assert_eq!(statuses(&answer), ["408"], "{answer}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    let (answer, took) = trickle(&gateway, &format!("{head}X: ")).await;
    assert!(answer.is_empty() && took < Duration::from_secs(15), "{took:?} {answer}");
    assert!(upstream.received().is_empty());
    // A body that comes in pieces, but not too slowly, is as good as any.
    let body = form(&[("app_id", "abc12345"), ("user_data", &format!(r#"{{"nickname":"{}"}}"#, "x".repeat(50)))]);
    let mut stream = connect(&gateway).await;
    let head = format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.expect("sent");
    for piece in body.as_bytes().chunks(40) {
        stream.write_all(piece).await.expect("sent");
        stream.flush().await.expect("sent");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(statuses(&read_until(&mut stream, "never said").await), ["200"]);
}

#[tokio::test]
async fn a_connection_of_http_1_0_stays_only_where_it_asks_for_that() {
    let (_upstream, gateway) = start(|setup| setup).await;
    let old = ping("").replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(statuses(&ask(&gateway, &old).await), ["200"]);
    let mut stream = connect(&gateway).await;
    let stays = old.replace("Host:", "Connection: keep-alive\r\nHost:");
    for _ in 0..2 {
        stream.write_all(stays.as_bytes()).await.expect("sent");
        assert_eq!(statuses(&read_until(&mut stream, "anonymous_session").await), ["200"]);
    }
}
