//! Request smuggling over raw TLS: for each probe the upstream gets nothing, or exactly the one request that everybody reads alike. The upstream
//! here is no HTTP library but keeps the bytes, so that nothing is mended behind our back.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::connect_tls;
use crate::support::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM, block, frame, post,
};
use crate::support::raw_upstream::RawUpstream;
use crate::support::{Setup, TestGateway, form, ping_form};

const PING: &str = "/messenger/web/ping";
/// What a probe hides. It would be answered, were it read as a request, and would show at the upstream.
const HIDDEN: &str = "POST /messenger/web/open HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.acme.example\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 40\r\n\r\napp_id=abc12345&user_data=%7B%7D&smuggle";

/// What becomes of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nothing of it reaches the upstream.
    Refused,
    /// The one request of it reaches the upstream, framed anew.
    Framed,
}
use Fate::{Framed, Refused};

async fn start() -> (RawUpstream, TestGateway) {
    let upstream = RawUpstream::start().await;
    // What waits for more must not keep the test waiting.
    let limits = "[limits]\nbody_timeout = \"1s\"\nhead_timeout = \"1s\"\nidle_timeout = \"2s\"\n";
    let gateway = Setup::acme(upstream.address).gateway(limits).start();
    (upstream, gateway)
}

/// The probe's number, where the upstream sees it.
fn body(number: usize) -> String {
    form(&[("app_id", "abc12345"), ("user_data", "{}"), ("probe", &format!("no{number}."))])
}

fn head(rest: &str) -> String {
    format!(
        "POST {PING} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.acme.example\r\nContent-Type: application/x-www-form-urlencoded\r\n{rest}"
    )
}

/// Sends bytes, and reads until the gateway closes, has answered and is silent, or lets go.
async fn exchange(gateway: &TestGateway, bytes: &[u8]) -> String {
    let mut stream = connect_tls(gateway.address, &gateway.ca_pem, "localhost", &[b"http/1.1"]).await.expect("TLS");
    // The gateway may have heard enough before the end.
    drop(stream.write_all(bytes).await);
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let patience = if answer.is_empty() { Duration::from_secs(20) } else { Duration::from_millis(100) };
        match tokio::time::timeout(patience, stream.read(&mut buffer)).await {
            Ok(Ok(count @ 1..)) => answer.extend_from_slice(&buffer[..count]),
            Ok(_) => break,
            Err(_) => {
                assert!(!answer.is_empty(), "neither an answer nor an end");
                break;
            }
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The probes that only differ in how the body's end is said: a name, the head's end, the body, and what becomes of it.
fn framings(body: &str) -> Vec<(&'static str, String, String, Fate)> {
    let length = body.len();
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let content = format!("Content-Length: {length}");
    let te = "Transfer-Encoding";
    // The body in chunks, whose first line is this.
    let chunk = |line: &str| format!("{line}\r\n{body}\r\n0\r\n\r\n");
    let by_length = |head: &str| (format!("{head}\r\n\r\n"), body.to_owned());
    let in_chunks = |head: &str| (format!("{head}\r\n\r\n"), chunked.clone());
    let plain_chunks = |text: String| (format!("{te}: chunked\r\n\r\n"), text);
    let (first, others) = body.split_at(1);
    let mut probes = Vec::new();
    let mut add = |name, (head, body): (String, String), fate| probes.push((name, head, body, fate));

    add("as it should be", by_length(&content), Framed);
    add("as it should be, in chunks", in_chunks("Transfer-Encoding: chunked"), Framed);
    add("CL.TE", in_chunks(&format!("{content}\r\n{te}: chunked")), Refused);
    add("CL.TE, length of all", in_chunks(&format!("Content-Length: {}\r\n{te}: chunked", chunked.len())), Refused);
    add("TE.CL", in_chunks(&format!("{te}: chunked\r\nContent-Length: 4")), Refused);
    add("TE.CL with a length of zero", in_chunks(&format!("{te}: chunked\r\nContent-Length: 0")), Refused);
    for (name, line) in [
        ("TE.TE: xchunked", "Transfer-Encoding: xchunked"),
        ("TE.TE: identity before", "Transfer-Encoding: identity, chunked"),
        ("TE.TE: identity behind", "Transfer-Encoding: chunked, identity"),
        ("TE.TE: gzip before", "Transfer-Encoding: gzip, chunked"),
        ("TE.TE: twice in one line", "Transfer-Encoding: chunked, chunked"),
        ("TE.TE: twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        ("TE.TE: another behind", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x"),
        ("TE.TE: another before", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked"),
        ("TE.TE: space before the colon", "Transfer-Encoding : chunked"),
        ("TE.TE: tab before the colon", "Transfer-Encoding\t: chunked"),
        ("TE.TE: vertical tab", "Transfer-Encoding: \x0bchunked"),
        ("TE.TE: form feed", "Transfer-Encoding: chunked\x0c"),
        ("TE.TE: NUL", "Transfer-Encoding: chunked\0"),
        ("TE.TE: quotes", "Transfer-Encoding: \"chunked\""),
        ("TE.TE: comma before", "Transfer-Encoding: , chunked"),
        ("TE.TE: comma behind", "Transfer-Encoding: chunked,"),
        ("TE.TE: parameter", "Transfer-Encoding: chunked;q=1"),
        ("TE.TE: folded", "Transfer-Encoding:\r\n chunked"),
        ("TE.TE: folded by a tab", "Transfer-Encoding:\r\n\tchunked"),
        ("TE.TE: behind a bare line feed", "X: a\nTransfer-Encoding: chunked"),
        ("TE.TE: behind a bare carriage return", "X: a\rTransfer-Encoding: chunked"),
        ("TE.TE: non-breaking space", "Transfer-Encoding:\u{a0}chunked"),
        ("TE.TE: a space in front of the line", " Transfer-Encoding: chunked"),
        ("TE.TE: empty", "Transfer-Encoding:"),
        ("TE.TE: identity alone", "Transfer-Encoding: identity"),
        ("a first line that is folded", " X: a"),
        ("a line without a colon", "Transfer-Encoding chunked"),
        ("a line without a name", ": chunked"),
    ] {
        add(name, in_chunks(line), Refused);
        add(name, in_chunks(&format!("{content}\r\n{line}")), Refused);
    }
    add("TE: another case", in_chunks("tRANSFER-eNCODING: CHUNKED"), Framed);
    add("TE: an underscore is another header, without a body", in_chunks("Transfer_Encoding: chunked"), Refused);
    add("TE: an underscore beside a length", by_length(&format!("{content}\r\nTransfer_Encoding: chunked")), Framed);
    for (name, line) in [
        ("CL.CL: two that differ", format!("{content}\r\nContent-Length: 5")),
        ("CL.CL: two alike", format!("{content}\r\n{content}")),
        ("CL.CL: a list", format!("{content}, {length}")),
        ("CL.CL: a list of two", format!("{content}, 5")),
        ("CL: plus", format!("Content-Length: +{length}")),
        ("CL: minus", format!("Content-Length: -{length}")),
        ("CL: hexadecimal", format!("Content-Length: 0x{length:x}")),
        ("CL: a fraction", format!("Content-Length: {length}.0")),
        ("CL: an exponent", format!("Content-Length: {length}e0")),
        ("CL: a space inside", "Content-Length: 5 5".to_owned()),
        ("CL: underscores", "Content-Length: 5_5".to_owned()),
        ("CL: space before the colon", format!("Content-Length : {length}")),
        ("CL: folded", format!("Content-Length:\r\n {length}")),
        ("CL: empty", "Content-Length:".to_owned()),
        ("CL: beyond all numbers", "Content-Length: 18446744073709551616".to_owned()),
        ("CL: beyond all numbers, around the corner", format!("Content-Length: {}", (1_u128 << 64) + length as u128)),
        ("CL: digits of another script", "Content-Length: \u{661}\u{662}".to_owned()),
    ] {
        add(name, by_length(&line), Refused);
    }
    add("CL: zeros in front", by_length(&format!("Content-Length: 000{length}")), Framed);
    add("CL: spaces around", by_length(&format!("Content-Length: \t {length}  ")), Framed);

    add("chunk: 0x", plain_chunks(chunk(&format!("0x{length:x}"))), Refused);
    add("chunk: plus", plain_chunks(chunk(&format!("+{length:x}"))), Refused);
    add("chunk: minus", plain_chunks(chunk(&format!("-{length:x}"))), Refused);
    add("chunk: a space in front", plain_chunks(chunk(&format!(" {length:x}"))), Refused);
    add("chunk: a space behind", plain_chunks(chunk(&format!("{length:x} "))), Refused);
    add("chunk: zeros in front", plain_chunks(chunk(&format!("000{length:x}"))), Framed);
    add("chunk: capitals", plain_chunks(chunk(&format!("{length:X}"))), Framed);
    add("chunk: too large", plain_chunks(chunk("fffffffffffffffff")), Refused);
    add("chunk: around the corner", plain_chunks(chunk(&format!("1{length:016x}"))), Refused);
    add("chunk: no size", plain_chunks(chunk("")), Refused);
    add("chunk: only an extension", plain_chunks(chunk(";a=b")), Refused);
    add("chunk: an extension", plain_chunks(chunk(&format!("{length:x};a=b"))), Framed);
    add("chunk: an extension with a carriage return", plain_chunks(chunk(&format!("{length:x};a\rb"))), Refused);
    add("chunk: an extension with a line feed", plain_chunks(chunk(&format!("{length:x};a\nb"))), Refused);
    add("chunk: an extension with NUL", plain_chunks(chunk(&format!("{length:x};a\0b"))), Refused);
    add("chunk: an extension without end", plain_chunks(chunk(&format!("{length:x};{}", "a".repeat(300)))), Refused);
    add("chunk: line feed only", plain_chunks(format!("{length:x}\n{body}\r\n0\r\n\r\n")), Refused);
    add("chunk: line feed behind the data", plain_chunks(format!("{length:x}\r\n{body}\n0\r\n\r\n")), Refused);
    add("chunk: nothing behind the data", plain_chunks(format!("{length:x}\r\n{body}0\r\n\r\n")), Refused);
    add("chunk: more data than its size", plain_chunks(format!("{length:x}\r\n{body}xx\r\n0\r\n\r\n")), Refused);
    add("chunk: less data than its size", plain_chunks(format!("{:x}\r\n{body}\r\n0\r\n\r\n", length + 9)), Refused);
    add("chunk: carriage return only", plain_chunks(format!("{length:x}\r{body}\r\n0\r\n\r\n")), Refused);
    add(
        "chunk: two of them",
        plain_chunks(format!("1\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", first, length - 1, others)),
        Framed,
    );
    add("chunk: the last as 00", plain_chunks(format!("{length:x}\r\n{body}\r\n00\r\n\r\n")), Framed);
    add("trailers", plain_chunks(format!("{length:x}\r\n{body}\r\n0\r\nX-Trailer: a\r\n\r\n")), Framed);
    add(
        "trailers that frame",
        plain_chunks(format!("{length:x}\r\n{body}\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")),
        Framed,
    );
    add("trailers with a line feed", plain_chunks(format!("{length:x}\r\n{body}\r\n0\r\nX: a\n\r\n\r\n")), Refused);
    add("trailers that are folded", plain_chunks(format!("{length:x}\r\n{body}\r\n0\r\n X: a\r\n\r\n")), Refused);
    probes
}

#[tokio::test]
async fn no_framing_hides_a_request() {
    let (upstream, gateway) = start().await;
    let (mut number, mut framed) = (0, Vec::new());
    // The same number of probes, whatever the body.
    for at in 0..framings("a=b").len() {
        let body = body(number);
        let (name, rest, content, fate) = framings(&body).swap_remove(at);
        let answer = exchange(&gateway, format!("{}{content}", head(&rest)).as_bytes()).await;
        let statuses: Vec<&str> =
            answer.match_indices("HTTP/1.1 ").filter_map(|(at, _)| answer.get(at + 9..at + 12)).collect();
        match fate {
            // A refusal in our words, or none; and another of what follows the end that all agree on.
            Refused => assert!(statuses.iter().all(|status| status.starts_with('4')), "{name}\n{answer}"),
            Framed => {
                assert_eq!(statuses, ["200"], "{name}\n{answer}");
                framed.push(number);
            }
        }
        if let Some(status) = statuses.first().filter(|status| status.starts_with('4')) {
            assert!(answer.contains("strict-transport-security: "), "{name} {status}\n{answer}");
            assert!(answer.contains("content-type: application/problem+json"), "{name} {status}\n{answer}");
        }
        number += 1;
    }
    assert!(number >= 60, "only {number} probes");
    seen(&upstream, &framed);
}

/// The upstream has seen exactly these probes, each once.
#[track_caller]
fn seen(upstream: &RawUpstream, framed: &[usize]) {
    let requests = upstream.requests();
    let mut numbers: Vec<usize> = requests
        .iter()
        .map(|request| {
            assert!(request.starts_with(&format!("POST {PING} HTTP/1.1\r\n")), "{request}");
            let (_, number) = request.split_once("probe=no").expect("a probe");
            number.split_once('.').expect("a number").0.parse().expect("a number")
        })
        .collect();
    // Connections come in no order.
    numbers.sort_unstable();
    assert_eq!(numbers, framed);
}

#[tokio::test]
async fn what_is_hidden_in_or_behind_a_body_is_no_request() {
    let (upstream, gateway) = start().await;
    let hidden = HIDDEN;
    let body = |number: usize| body(number);
    let length = |text: &str| text.len();
    let chunked = |text: &str| format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    let zero = body(0);
    let probes: Vec<(&str, String, Fate)> = vec![
        // What follows is the body's, up to its end.
        (
            "within the body",
            head(&format!("Content-Length: {}\r\n\r\n{zero}&x={hidden}", length(&zero) + 3 + hidden.len())),
            Refused,
        ),
        ("CL.TE", head(&format!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}")), Refused),
        (
            "TE.CL",
            head(&format!("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunked(hidden))),
            Refused,
        ),
        (
            "TE.TE",
            head(&format!("Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n\r\n0\r\n\r\n{hidden}")),
            Refused,
        ),
        (
            "0.CL: a length that comes too late",
            head(&format!("\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len())),
            Refused,
        ),
        (
            "0.CL on a method without a body",
            format!("GET {PING} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len()),
            Refused,
        ),
        (
            "CL.0 on a refused path",
            format!("POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len()),
            Refused,
        ),
        (
            "CL.0 with a refused origin",
            format!(
                "POST {PING} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nContent-Length: {}\r\n\r\n{hidden}",
                hidden.len()
            ),
            Refused,
        ),
        (
            "CL.0 with an expectation",
            format!(
                "POST {PING} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n{hidden}",
                hidden.len()
            ),
            Refused,
        ),
        (
            "chunks with a refused origin",
            format!(
                "POST {PING} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                chunked(hidden)
            ),
            Refused,
        ),
        (
            "a body that is too long",
            format!(
                "POST {PING} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.acme.example\r\nContent-Length: 99999999\r\n\r\n{hidden}"
            ),
            Refused,
        ),
        (
            "an upgrade that nobody makes",
            format!(
                "POST {PING} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: {}\r\n\r\n{hidden}",
                hidden.len()
            ),
            Refused,
        ),
        (
            "an upgrade to a WebSocket",
            format!(
                "GET {PING} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 99\r\nContent-Length: {}\r\n\r\n{hidden}",
                hidden.len()
            ),
            Refused,
        ),
        ("HTTP/2 by prior knowledge", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}"), Refused),
        ("HTTP/0.9", format!("GET {PING}\r\n{hidden}"), Refused),
        (
            "HTTP/1.0 with chunks",
            format!("POST {PING} HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
            Refused,
        ),
        ("HTTP/1.2", head("").replace("HTTP/1.1", "HTTP/1.2") + "\r\n" + hidden, Refused),
        ("http/1.1 in small letters", head("").replace("HTTP/1.1", "http/1.1") + "\r\n" + hidden, Refused),
        ("a tab in the request line", head("").replacen(' ', "\t", 1) + "\r\n" + hidden, Refused),
        ("two spaces in the request line", head("").replacen(' ', "  ", 1) + "\r\n" + hidden, Refused),
        ("a space in the target", format!("POST {PING} x HTTP/1.1\r\nHost: localhost\r\n\r\n{hidden}"), Refused),
        ("a request line behind a line feed", format!("\n{hidden}"), Refused),
        ("a request line behind a space", format!(" {hidden}"), Refused),
        ("a request line behind NUL", format!("\0{hidden}"), Refused),
        (
            "a line feed in the target",
            format!("POST {PING}\nX: y HTTP/1.1\r\nHost: localhost\r\n\r\n{hidden}"),
            Refused,
        ),
        ("a head that ends with line feeds", head("").replace("\r\n", "\n") + "\n" + hidden, Refused),
        (
            "a host that is two",
            format!("POST {PING} HTTP/1.1\r\nHost: localhost\r\nHost: evil.test\r\n\r\n{hidden}"),
            Refused,
        ),
        (
            "a target of another host",
            format!("POST https://evil.test{PING} HTTP/1.1\r\nHost: localhost\r\n\r\n{hidden}"),
            Refused,
        ),
        (
            "a target with a user",
            format!("POST https://localhost@evil.test{PING} HTTP/1.1\r\nHost: localhost\r\n\r\n{hidden}"),
            Refused,
        ),
    ];
    assert!(probes.len() >= 29);
    for (name, bytes, fate) in probes {
        assert_eq!(fate, Refused);
        let answer = exchange(&gateway, bytes.as_bytes()).await;
        let first = answer.get(..12).unwrap_or_default();
        assert!(answer.is_empty() || first.starts_with("HTTP/1.1 4"), "{name}\n{answer}");
    }
    // The hidden request is a good one, where it stands for itself: what the probes that are framed well had behind their end is answered
    // as a second request, and says so at the upstream. None of these had.
    assert_eq!(upstream.requests(), Vec::<String>::new());
    let answer = exchange(&gateway, hidden.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Names and values of a head.
type Fields = Vec<(String, String)>;

#[tokio::test]
async fn nothing_of_http2_becomes_a_line_of_http1() {
    let (upstream, gateway) = start().await;
    let (mut number, mut framed) = (0, Vec::new());
    let with = |more: &[(&'static str, String)]| {
        let more: Fields = more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let fields = post(PING).into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        fields.chain(more).collect::<Vec<_>>()
    };
    let one = |name: &'static str, value: &str| with(&[(name, value.to_owned())]);
    let instead = |name: &str, value: &str| -> Fields {
        let fields = post(PING).into_iter();
        fields
            .map(|(old, text)| (old.to_owned(), if old == name { value.to_owned() } else { text.to_owned() }))
            .collect()
    };
    let without = |name: &str| -> Fields {
        let fields = post(PING).into_iter().filter(|(old, _)| *old != name);
        fields.map(|(old, text)| (old.to_owned(), text.to_owned())).collect()
    };
    let moved = |name: &str| -> Fields {
        let (mut first, last): (Vec<_>, Vec<_>) = post(PING).into_iter().partition(|(old, _)| *old != name);
        first.extend(last);
        first.into_iter().map(|(old, text)| (old.to_owned(), text.to_owned())).collect()
    };
    let probes: Vec<(&str, Fields, Fate)> = vec![
        ("as it should be", with(&[]), Framed),
        ("H2.CL: shorter than the data", one("content-length", "5"), Refused),
        ("H2.CL: none", one("content-length", "0"), Refused),
        ("H2.CL: longer than the data", one("content-length", "500"), Refused),
        ("H2.CL: plus", one("content-length", "+54"), Refused),
        ("H2.CL: two", with(&[("content-length", "5".to_owned()), ("content-length", "6".to_owned())]), Refused),
        ("H2.CL: a list", one("content-length", "5, 5"), Refused),
        ("H2.TE", one("transfer-encoding", "chunked"), Refused),
        ("H2.TE: identity", one("transfer-encoding", "identity"), Refused),
        ("connection", one("connection", "close"), Refused),
        ("keep-alive", one("keep-alive", "timeout=5"), Refused),
        ("proxy-connection", one("proxy-connection", "keep-alive"), Refused),
        ("upgrade", one("upgrade", "h2c"), Refused),
        ("te: gzip", one("te", "gzip"), Refused),
        ("te: trailers", one("te", "trailers"), Framed),
        ("a line in a value", one("x", "a\r\nTransfer-Encoding: chunked"), Refused),
        ("a request in a value", one("x", &format!("a\r\n\r\n{HIDDEN}")), Refused),
        ("a line feed in a value", one("x", "a\nContent-Length: 0"), Refused),
        ("a carriage return in a value", one("x", "a\rb"), Refused),
        ("NUL in a value", one("x", "a\0b"), Refused),
        ("a line in a name", one("x: a\r\ny", "b"), Refused),
        ("a colon in a name", one("x: a", "b"), Refused),
        ("a colon behind a name", one("host:", "b"), Refused),
        ("a space in a name", one("transfer-encoding ", "chunked"), Refused),
        ("capitals in a name", one("X-Capital", "b"), Refused),
        ("an empty name", one("", "b"), Refused),
        ("another host", one("host", "evil.test"), Refused),
        ("the same host", one("host", "localhost"), Framed),
        ("two hosts", with(&[("host", "localhost".to_owned()), ("host", "localhost".to_owned())]), Refused),
        ("the method twice", one(":method", "GET"), Refused),
        ("the path twice", one(":path", "/"), Refused),
        ("the authority twice", one(":authority", "evil.test"), Refused),
        ("a pseudo-header that nobody knows", one(":x", "b"), Refused),
        ("a pseudo-header of answers", one(":status", "200"), Refused),
        ("a pseudo-header behind a header", moved(":path"), Refused),
        ("no method", without(":method"), Refused),
        ("no scheme", without(":scheme"), Refused),
        ("no path", without(":path"), Refused),
        ("no authority", without(":authority"), Refused),
        ("an empty path", instead(":path", ""), Refused),
        ("a path without a slash", instead(":path", "messenger/web/ping"), Refused),
        ("a path that is a star", instead(":path", "*"), Refused),
        ("a path that is an address", instead(":path", "https://evil.test/messenger/web/ping"), Refused),
        ("a path with a request line", instead(":path", "/messenger/web/ping HTTP/1.1\r\nX: y"), Refused),
        ("a path with a space", instead(":path", "/messenger/web/ping x"), Refused),
        // Cut off before anything is judged: what is judged is what goes on.
        ("a path with a fragment", instead(":path", "/messenger/web/ping#x"), Framed),
        ("a method with a request line", instead(":method", "POST / HTTP/1.1\r\nX: y\r\n\r\nPOST"), Refused),
        ("a method with a space", instead(":method", "POST /"), Refused),
        ("a method in small letters", instead(":method", "post"), Refused),
        ("an authority with a user", instead(":authority", "user@localhost"), Refused),
        ("an authority with a line", instead(":authority", "localhost\r\nX: y"), Refused),
        ("an authority with a path", instead(":authority", "localhost/x"), Refused),
        ("another authority", instead(":authority", "evil.test"), Refused),
        ("another scheme", instead(":scheme", "http"), Refused),
        ("a scheme with a line", instead(":scheme", "https\r\nX: y"), Refused),
        ("CONNECT", instead(":method", "CONNECT"), Refused),
        (
            "a WebSocket by CONNECT (RFC 8441)",
            [instead(":method", "CONNECT"), vec![(":protocol".to_owned(), "websocket".to_owned())]].concat(),
            Refused,
        ),
        ("an underscore", one("transfer_encoding", "chunked"), Framed),
        ("a singleton twice", one("content-type", "text/plain"), Refused),
    ];
    assert!(probes.len() >= 50);
    for (name, fields, fate) in probes {
        let body = body(number);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        let stream = connect_tls(gateway.address, &gateway.ca_pem, "localhost", &[b"h2"]).await.expect("TLS");
        let mut client = Frames::begin(stream, &[]).await;
        // In two frames, so that lines could also come together where they meet.
        let block = block(&fields);
        let (first, second) = block.split_at(block.len() / 2);
        let head = [frame(HEADERS, 0, 1, first), frame(CONTINUATION, END_HEADERS, 1, second)].concat();
        client.send(&[head, frame(DATA, END_STREAM, 1, body.as_bytes())].concat()).await;
        let refused = loop {
            let Some(got) = client.next().await else { break true };
            match got.kind {
                // `:status: 200` by its index; other statuses are spelled, or have other indices.
                HEADERS => break got.payload[0] != 0x88,
                RST_STREAM | GOAWAY => break true,
                _ => {}
            }
        };
        assert_eq!(refused, fate == Refused, "{name}");
        if fate == Framed {
            framed.push(number);
        }
        number += 1;
    }
    seen(&upstream, &framed);
}

#[tokio::test]
async fn what_is_of_one_hop_or_nobodys_never_reaches_the_upstream() {
    let (upstream, gateway) = start().await;
    let body = ping_form("{}");
    let rest = format!(
        "Connection: close, te\r\nTE: trailers\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTrailer: X-T\r\nUpgrade: h2c\r\nProxy-Authorization: x\r\nProxy-Authenticate: x\r\nHTTP2-Settings: x\r\nX_Under_Score: x\r\nX-Forwarded_For: 6.6.6.6\r\nContent_Length: 5\r\nX-HTTP-Method: DELETE\r\nX-HTTP-Method-Override: DELETE\r\nX-Method-Override: DELETE\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(&gateway, head(&rest).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let [request] = &upstream.requests()[..] else { panic!("one request") };
    let lower = request.to_ascii_lowercase();
    for name in [
        "te",
        "keep-alive",
        "proxy-connection",
        "trailer",
        "upgrade",
        "proxy-authorization",
        "proxy-authenticate",
        "http2-settings",
        "x_under_score",
        "x-forwarded_for",
        "content_length",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "expect",
    ] {
        assert!(!lower.contains(&format!("\r\n{name}:")), "{name}: {request}");
    }
    assert!(!lower.contains("6.6.6.6") && !lower.contains("delete"), "{request}");
    assert!(!lower.contains("\r\nconnection: close"), "{request}");

    // What `Connection` names beside what is known is somebody's header, to be taken away behind our back.
    for option in ["authorization", "x-forwarded-for", "cookie", "content-length", "close, origin", "x y", ""] {
        let length = body.len();
        let request =
            head(&format!("Connection: {option}\r\nAuthorization: x\r\nContent-Length: {length}\r\n\r\n{body}"));
        let answer = exchange(&gateway, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{option:?}: {answer}");
    }
    // What may come once comes once.
    for (name, value) in [
        ("Host", "localhost"),
        ("Content-Type", "text/plain"),
        ("Origin", "https://app.acme.example"),
        ("Cookie", "b=c"),
        ("Authorization", "y"),
        ("Expect", "100-continue"),
        ("Referer", "https://app.acme.example/"),
        ("Content-Encoding", "gzip"),
    ] {
        let length = body.len();
        let twice = format!("{name}: {value}\r\n{name}: {value}\r\n");
        let answer =
            exchange(&gateway, head(&format!("{twice}Content-Length: {length}\r\n\r\n{body}")).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{name}: {answer}");
    }
    assert_eq!(upstream.requests().len(), 1);
}
