//! Webhooks: what a vendor's own server sends and signs goes on to the byte, and nothing else. The signatures are openssl's.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::connect_tls;
use crate::support::token::now;
use crate::support::{Bench, Client, NOBODY, Protocol, SECRET, Setup, TestUpstream};

pub const INTERCOM: &str = r#"
profile = "intercom-webhooks"
upstream = "attributes"
mode = "enforce"
trusted_domains = []
missing_origin = "refuse"
[identity]
require = "never"
[[webhooks.keys]]
id = "client-secret"
secret = { env = "TEST_SECRET" }
"#;

const OTHER_SECRET: &str = "another-secret-0123456789abcdef01234567";

/// Not tidy, so that whoever writes it anew changes it.
pub const BODY: &str = "{ \"topic\":\"contact.created\",\"n\":1.10, \"n\":2,\"\\u0041\":9007199254740993 }\n";

/// The digits of an HMAC, by openssl.
pub fn hmac(digest: &str, secret: &str, message: &[u8]) -> String {
    let mut child = Command::new("openssl")
        .args(["dgst", digest, "-hmac", secret, "-r"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl");
    child.stdin.take().expect("piped").write_all(message).expect("written");
    let output = child.wait_with_output().expect("ended").stdout;
    String::from_utf8(output).expect("text").split(' ').next().expect("digits").to_owned()
}

fn sha1(message: &[u8]) -> String {
    format!("sha1={}", hmac("-sha1", SECRET, message))
}

async fn intercom(change: impl FnOnce(Setup) -> Setup) -> Bench {
    Bench::start(|upstream| change(Setup::new(upstream).workspace("hooks", INTERCOM))).await
}

pub fn request(path: &str, headers: &[(&'static str, &str)], body: &[u8]) -> Request<Vec<u8>> {
    let mut request = Request::post(path).body(body.to_vec()).expect("a request");
    let mut map = HeaderMap::new();
    map.insert("content-type", "application/json".parse().expect("a header"));
    for (name, value) in headers {
        map.append(*name, value.parse().expect("a header"));
    }
    *request.headers_mut() = map;
    request
}

pub const HOOKS: &str = "/intercom/webhooks";

#[tokio::test]
async fn what_the_vendor_signed_goes_on_to_the_byte() {
    let mut bench = intercom(|setup| setup).await;
    for body in [BODY.as_bytes(), b"", b"\xff\x00 no text", &vec![b'x'; 300_000]] {
        let received = bench.passes(request(HOOKS, &[("x-hub-signature", &sha1(body))], body)).await;
        assert_eq!((received.method.as_str(), received.target.as_str()), ("POST", HOOKS));
        assert!(received.body == body, "{} bytes of {}", received.body.len(), body.len());
        assert_eq!(received.header("x-hub-signature"), Some(sha1(body).as_str()));
        assert_eq!(received.header("content-type"), Some("application/json"));
        let record = bench.record();
        assert_eq!((&record["class"], &record["operation"]), (&"webhook".into(), &"webhook".into()));
        assert_eq!((&record["proof"], &record["key"]), (&"webhook_valid".into(), &"client-secret".into()));
        assert_eq!(record["bytes_in"], body.len());
    }
    let sha256 = hmac("-sha256", SECRET, BODY.as_bytes());
    for path in [
        "/intercom/canvas/initialize",
        "/intercom/canvas/submit",
        "/intercom/canvas/configure",
        "/intercom/canvas/content",
        "/intercom/canvas/sheet-submit",
        "/intercom/actions/refund",
    ] {
        let received = bench.passes(request(path, &[("x-body-signature", &sha256)], BODY.as_bytes())).await;
        assert!(received.body == BODY.as_bytes());
    }
    // Over HTTP/2 as well.
    bench.client = bench.gateway.http2().await;
    bench.passes(request(HOOKS, &[("x-hub-signature", &sha1(BODY.as_bytes()))], BODY.as_bytes())).await;
}

#[tokio::test]
async fn what_nobody_signed_so_goes_nowhere() {
    let mut bench = intercom(|setup| setup).await;
    let good = sha1(BODY.as_bytes());
    let sha256 = hmac("-sha256", SECRET, BODY.as_bytes());
    let strangers = format!("sha1={}", hmac("-sha1", OTHER_SECRET, BODY.as_bytes()));
    let upper = good.to_uppercase();
    let digits = good.strip_prefix("sha1=").expect("a prefix");
    let cut = |count: usize| good.chars().take(good.len() - count).collect::<String>();
    let upper_digits = format!("sha1={}", digits.to_uppercase());
    let begin: String = sha256.chars().take(40).collect();
    for (headers, expected) in [
        (&[][..], "webhook_missing"),
        (&[("x-hub-signature", "")], "webhook_missing"),
        (&[("x-body-signature", &sha256)], "webhook_missing"),
        (&[("x_hub_signature", &good)], "webhook_missing"),
        (&[("x-hub-signature", &good), ("x-hub-signature", &good)], "webhook_malformed"),
        (&[("x-hub-signature", &good), ("x-hub-signature", "sha1=00")], "webhook_malformed"),
        (&[("x-hub-signature", &cut(1))], "webhook_malformed"),
        (&[("x-hub-signature", &cut(2))], "webhook_malformed"),
        (&[("x-hub-signature", digits)], "webhook_malformed"),
        (&[("x-hub-signature", "sha1=")], "webhook_malformed"),
        (&[("x-hub-signature", &upper)], "webhook_malformed"),
        (&[("x-hub-signature", &upper_digits)], "webhook_malformed"),
        (&[("x-hub-signature", &format!("{good}, {good}"))], "webhook_malformed"),
        (&[("x-hub-signature", &format!("{good}00"))], "webhook_malformed"),
        (&[("x-hub-signature", &format!("sha256={sha256}"))], "webhook_malformed"),
        (&[("x-hub-signature", &format!("sha1={sha256}"))], "webhook_malformed"),
        (&[("x-hub-signature", &format!("sha1={begin}"))], "webhook_bad"),
        (&[("x-hub-signature", &strangers)], "webhook_bad"),
        (&[("x-hub-signature", "sha1=0000000000000000000000000000000000000000")], "webhook_bad"),
    ] {
        assert_eq!(bench.refused(request(HOOKS, headers, BODY.as_bytes()), 401).await, expected, "{headers:?}");
        let record = bench.record();
        assert_eq!((&record["workspace"], &record["proof"]), (&"hooks".into(), &serde_json::Value::Null));
    }
    for body in [BODY.trim_end().to_owned(), BODY.replace("1.10", "1.1"), format!("{BODY} "), String::new()] {
        assert_eq!(
            bench.refused(request(HOOKS, &[("x-hub-signature", &good)], body.as_bytes()), 401).await,
            "webhook_bad"
        );
    }
    let other_class = request("/intercom/canvas/submit", &[("x-body-signature", &good)], BODY.as_bytes());
    assert_eq!(bench.refused(other_class, 401).await, "webhook_malformed");
    let answer = bench.send(request(HOOKS, &[("x-hub-signature", &strangers)], BODY.as_bytes())).await;
    assert!(!answer.text().contains("sha1") && !answer.text().contains("webhook_bad"), "{}", answer.text());
}

#[tokio::test]
async fn neither_a_browser_nor_a_coding_nor_another_method_comes_in() {
    let mut bench = intercom(|setup| setup).await;
    let good = sha1(BODY.as_bytes());
    for origin in ["https://app.acme.example", "null", "https://localhost", ""] {
        let sent = request(HOOKS, &[("x-hub-signature", &good), ("origin", origin)], BODY.as_bytes());
        let answer = bench.send(sent).await;
        assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (403, None), "{origin}");
        assert!(bench.upstream.received().is_empty());
    }
    for coding in ["gzip", "br", "identity, gzip", "x"] {
        let sent = request(HOOKS, &[("x-hub-signature", &good), ("content-encoding", coding)], BODY.as_bytes());
        assert_eq!(bench.refused(sent, 415).await, "content_coding", "{coding}");
    }
    bench
        .passes(request(HOOKS, &[("x-hub-signature", &good), ("content-encoding", "identity")], BODY.as_bytes()))
        .await;
    for method in ["GET", "PUT", "DELETE"] {
        let mut sent = request(HOOKS, &[("x-hub-signature", &good)], BODY.as_bytes());
        *sent.method_mut() = method.parse().expect("a method");
        assert_eq!(bench.refused(sent, 405).await, "method_not_allowed");
    }
    let mut probe = request(HOOKS, &[], b"");
    *probe.method_mut() = http::Method::HEAD;
    probe.headers_mut().remove("content-type");
    assert_eq!(bench.send(probe).await.status, 200);
}

#[tokio::test]
async fn chunks_are_one_body() {
    let bench = intercom(|setup| setup).await;
    let mut stream =
        connect_tls(bench.gateway.address, &bench.gateway.ca_pem, "localhost", &[b"http/1.1"]).await.expect("TLS");
    let (first, second) = BODY.split_at(10);
    let head = format!(
        "POST {HOOKS} HTTP/1.1\r\nHost: localhost\r\nX-Hub-Signature: {}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        sha1(BODY.as_bytes())
    );
    let body = format!("{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // A close without the end of TLS is a close as well.
    drop(stream.read_to_end(&mut answer).await);
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let received = bench.upstream.only();
    assert!(received.body == BODY.as_bytes());
    assert_eq!(received.header("transfer-encoding"), None);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_not_held() {
    let mut bench = intercom(|setup| setup.gateway("[limits]\nbody_bytes_max = \"1 KiB\"\n")).await;
    let body = vec![b'x'; 1025];
    assert_eq!(bench.refused(request(HOOKS, &[("x-hub-signature", &sha1(&body))], &body), 413).await, "body_too_large");
    bench.passes(request(HOOKS, &[("x-hub-signature", &sha1(&body[1..]))], &body[1..])).await;
}

#[tokio::test]
async fn one_secret_follows_another() {
    let rotation = INTERCOM.to_owned()
        + "not_after = 2026-01-01T00:00:00Z\n[[webhooks.keys]]\nid = \"next\"\nsecret = { env = \"OTHER_SECRET\" }\n";
    let mut bench = Bench::start(|upstream| Setup::new(upstream).workspace("hooks", &rotation)).await;
    let next = format!("sha1={}", hmac("-sha1", OTHER_SECRET, BODY.as_bytes()));
    bench.passes(request(HOOKS, &[("x-hub-signature", &next)], BODY.as_bytes())).await;
    assert_eq!(bench.record()["key"], "next");
    let ended = request(HOOKS, &[("x-hub-signature", &sha1(BODY.as_bytes()))], BODY.as_bytes());
    assert_eq!(bench.refused(ended, 401).await, "webhook_bad");
}

#[tokio::test]
async fn of_two_workspaces_on_one_host_each_has_its_own_secret() {
    let named = |id: &str, secret: &str| {
        INTERCOM.replace("upstream =", &format!("app_ids = [\"{id}\"]\nupstream =")).replace("TEST_SECRET", secret)
    };
    let both = |upstream| {
        Setup::new(upstream).workspace("a", &named("a1", "TEST_SECRET")).workspace("b", &named("b1", "OTHER_SECRET"))
    };
    let mut bench = Bench::start(both).await;
    let signed = sha1(BODY.as_bytes());
    let to = |query: &str| request(&format!("{HOOKS}{query}"), &[("x-hub-signature", &signed)], BODY.as_bytes());
    bench.passes(to("?app_id=a1")).await;
    assert_eq!(bench.refused(to("?app_id=b1"), 401).await, "webhook_bad");
    assert_eq!(bench.refused(to(""), 404).await, "workspace_unknown");
    assert_eq!(bench.refused(to("?app_id=a1&app_id=b1"), 400).await, "workspace_twice");
}

pub const CHATWOOT: &str = "/chatwoot/webhooks";

/// The headers of a webhook that was sent so many seconds from now.
fn chatwoot(from_now: i64, body: &str) -> Vec<(&'static str, String)> {
    let time = (now() + from_now).to_string();
    let signature = hmac("-sha256", SECRET, format!("{time}.{body}").as_bytes());
    vec![("x-chatwoot-timestamp", time), ("x-chatwoot-signature", format!("sha256={signature}"))]
}

fn chatwoot_request(headers: &[(&'static str, String)]) -> Request<Vec<u8>> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    request(CHATWOOT, &headers, BODY.as_bytes())
}

#[tokio::test]
async fn where_a_time_is_signed_a_webhook_counts_near_it_and_once() {
    let policy = INTERCOM.replace("intercom-", "chatwoot-");
    let mut bench = Bench::start(|upstream| Setup::new(upstream).workspace("hooks", &policy)).await;
    let headers = chatwoot(0, BODY);
    assert!(bench.passes(chatwoot_request(&headers)).await.body == BODY.as_bytes());
    assert_eq!(bench.refused(chatwoot_request(&headers), 401).await, "webhook_replayed");
    // With room for a slow machine; the second is looked at by the unit's own test.
    for from_now in [-270, 270] {
        bench.passes(chatwoot_request(&chatwoot(from_now, BODY))).await;
    }
    for from_now in [-301, 400, -3_000_000] {
        assert_eq!(bench.refused(chatwoot_request(&chatwoot(from_now, BODY)), 401).await, "webhook_stale");
        let record = bench.record();
        assert_eq!((&record["proof"], &record["key"]), (&"webhook_valid".into(), &"client-secret".into()));
    }
    let mut later = chatwoot(-400, BODY);
    later[0].1 = now().to_string();
    assert_eq!(bench.refused(chatwoot_request(&later), 401).await, "webhook_bad");
    let mut without = chatwoot(1, BODY);
    without.remove(0);
    assert_eq!(bench.refused(chatwoot_request(&without), 401).await, "webhook_missing");
    let mut twice = chatwoot(2, BODY);
    twice.push(("x-chatwoot-timestamp", now().to_string()));
    assert_eq!(bench.refused(chatwoot_request(&twice), 401).await, "webhook_malformed");
    let body_alone = vec![
        ("x-chatwoot-timestamp", now().to_string()),
        ("x-chatwoot-signature", format!("sha256={}", hmac("-sha256", SECRET, BODY.as_bytes()))),
    ];
    assert_eq!(bench.refused(chatwoot_request(&body_alone), 401).await, "webhook_bad");
}

#[tokio::test]
async fn a_webhook_that_was_used_up_stays_so_over_a_restart() {
    let policy = INTERCOM.replace("intercom-", "chatwoot-");
    let kept = "[state]\ndirectory = \"../state\"\n";
    let mut bench = Bench::start(|upstream| Setup::new(upstream).workspace("hooks", &policy).gateway(kept)).await;
    let headers = chatwoot(0, BODY);
    bench.passes(chatwoot_request(&headers)).await;
    bench.gateway.signal("TERM");
    assert!(bench.gateway.await_end().success());
    bench.gateway.start_again();
    bench.client = bench.gateway.http1().await;
    assert_eq!(bench.refused(chatwoot_request(&headers), 401).await, "webhook_replayed");
}

/// A backend that fails has not got it: what its vendor sends again is not refused for that.
#[tokio::test]
async fn what_the_backend_failed_to_take_may_come_again() {
    let policy = INTERCOM.replace("intercom-", "chatwoot-");
    let statuses = Mutex::new(vec![422, 503, 500]);
    let upstream = TestUpstream::answering(move |_| {
        let status = statuses.lock().expect("unpoisoned").pop().unwrap_or(200);
        let status = StatusCode::from_u16(status).expect("a status");
        (Duration::ZERO, Response::builder().status(status).body(Full::default()).expect("an answer"))
    })
    .await;
    let gateway = Setup::new(upstream.address).workspace("hooks", &policy).start();
    let mut client = gateway.http1().await;
    let headers = chatwoot(0, BODY);
    for (status, came) in [(500, 1), (503, 2), (422, 3), (401, 3)] {
        assert_eq!(client.send(chatwoot_request(&headers)).await.status, status);
        assert_eq!(upstream.received().len(), came);
    }
    let code = |record: &serde_json::Value| record["outcome"].as_str().expect("a code").to_owned();
    let codes: Vec<_> = gateway.records(4).iter().map(code).collect();
    assert_eq!(codes, ["sent", "sent", "sent", "webhook_replayed"]);

    // Nor is it used up where nobody listens.
    let gateway = Setup::new(NOBODY).workspace("hooks", &policy).start();
    let mut client = gateway.http1().await;
    let headers = chatwoot(1, BODY);
    for _ in 0..2 {
        assert_eq!(client.send(chatwoot_request(&headers)).await.status, 502);
    }
}

#[tokio::test]
async fn what_its_vendor_did_not_wait_for_may_come_again() {
    let policy = INTERCOM.replace("intercom-", "chatwoot-");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let delays = Mutex::new(vec![Duration::from_secs(600)]);
        let upstream = TestUpstream::answering(move |_| {
            let delay = delays.lock().expect("unpoisoned").pop().unwrap_or_default();
            (delay, Response::new(Full::default()))
        })
        .await;
        let gateway = Setup::new(upstream.address).workspace("hooks", &policy).start();
        let connect = || Client::connect(gateway.address, &gateway.ca_pem, protocol);
        let headers = chatwoot(0, BODY);
        let mut hasty = connect().await;
        let arrives = async {
            while upstream.received().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            answer = hasty.try_send(chatwoot_request(&headers)) => panic!("{protocol:?}: answered {answer:?}"),
            () = arrives => {}
        }
        hasty.leave().await;
        assert_eq!(gateway.records(1)[0]["outcome"], "client_gone");
        let mut patient = connect().await;
        for (status, came) in [(200, 2), (401, 2)] {
            assert_eq!(patient.send(chatwoot_request(&headers)).await.status, status, "{protocol:?}");
            assert_eq!(upstream.received().len(), came, "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn what_nobody_signed_uses_up_nothing_of_the_workspaces_rate() {
    let rate = "[rates]\nrequests = { rate = \"1/h\", burst = 1 }\n[identity]";
    let policy = INTERCOM.replace("[identity]", rate);
    let mut bench = Bench::start(|upstream| Setup::new(upstream).workspace("hooks", &policy)).await;
    let guess = "sha1=0000000000000000000000000000000000000000";
    for _ in 0..3 {
        let sent = request(HOOKS, &[("x-hub-signature", guess)], BODY.as_bytes());
        assert_eq!(bench.refused(sent, 401).await, "webhook_bad");
    }
    let genuine = || request(HOOKS, &[("x-hub-signature", &sha1(BODY.as_bytes()))], BODY.as_bytes());
    bench.passes(genuine()).await;
    assert_eq!(bench.refused(genuine(), 429).await, "rate_workspace");

    // What comes too often has not been here.
    let policy = policy.replace("intercom-", "chatwoot-");
    let mut bench = Bench::start(|upstream| Setup::new(upstream).workspace("hooks", &policy)).await;
    let (first, second) = (chatwoot(0, BODY), chatwoot(1, BODY));
    bench.passes(chatwoot_request(&first)).await;
    for _ in 0..2 {
        assert_eq!(bench.refused(chatwoot_request(&first), 401).await, "webhook_replayed");
        assert_eq!(bench.refused(chatwoot_request(&second), 429).await, "rate_workspace");
    }
}

#[tokio::test]
async fn no_query_makes_another_method_of_a_webhooks() {
    let mut bench = intercom(|setup| setup).await;
    let sha256 = hmac("-sha256", SECRET, BODY.as_bytes());
    let headers = [("x-body-signature", sha256.as_str())];
    for query in ["_method=DELETE", "a=b&_method=PUT", "a=b;_method=PUT", "%5Fmethod=DELETE", "_METHOD=delete"] {
        let sent = request(&format!("/intercom/actions/refund?{query}"), &headers, BODY.as_bytes());
        assert_eq!(bench.refused(sent, 400).await, "method_override", "{query}");
    }
    bench.passes(request("/intercom/actions/refund?method=DELETE", &headers, BODY.as_bytes())).await;
}
