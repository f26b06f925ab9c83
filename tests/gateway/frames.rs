//! The heads of the upstream's answers as browsers get them: who may frame the widget, what runs behind, and whose word is the stricter.
//! That Chromium does as they say is in `browser.rs`.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};

use crate::support::client::form_request;
use crate::support::{Answer, Bench, Setup, TestUpstream, ping_form};

const A: &str = r#"
profile = "chatwoot"
app_ids = ["a-token"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.a.example", "https://*.shop.a.example:8443"]
missing_origin = "refuse"
[identity]
require = "never"
[attributes]
nickname = { lock = "off" }
"#;

fn b() -> String {
    A.replace("a-token", "b-token").replace(r#"["https://app.a.example", "https://*.shop.a.example:8443"]"#, "[]")
}

const OF_A: &str =
    "frame-ancestors 'self' https://app.a.example https://*.shop.a.example:8443 https://shop.a.example:8443";

/// Two inboxes on one path, in front of a backend that answers with these headers.
async fn bench(headers: &'static [(&'static str, &'static str)]) -> Bench {
    in_front_of(headers, |upstream| Setup::new(upstream).workspace("a", A).workspace("b", &b())).await
}

async fn in_front_of(
    headers: &'static [(&'static str, &'static str)],
    setup: impl FnOnce(SocketAddr) -> Setup,
) -> Bench {
    let upstream = TestUpstream::answering(move |received| {
        let mut response = Response::builder().status(if received.target.contains("gone") { 404 } else { 200 });
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        (Duration::ZERO, response.body("<!doctype html>".into()).expect("an answer"))
    });
    Bench::over(upstream.await, setup).await
}

async fn get(bench: &mut Bench, target: &str) -> Answer {
    bench.send(Request::get(target).body("").expect("a request")).await
}

fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    answer.headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
}

#[tokio::test]
async fn who_may_frame_the_widget_says_the_workspace_that_it_is_of() {
    let mut bench = bench(&[
        ("content-type", "text/html"),
        ("x-frame-options", "SAMEORIGIN"),
        ("content-security-policy", "default-src 'self'; frame-ancestors *, img-src data:"),
    ])
    .await;
    for (target, frames) in [
        ("/widget?website_token=a-token", OF_A),
        ("/widget?website_token=a-token&gone=1", OF_A),
        ("/widget?website_token=a%2Dtoken", OF_A),
        ("/widget?website_token=b-token", "frame-ancestors 'self'"),
        // Nobody said whose it is, or not so that every backend reads it.
        ("/widget", "frame-ancestors 'none'"),
        ("/widget?Website_token=a-token", "frame-ancestors 'none'"),
        ("/widget?website_token[]=a-token", "frame-ancestors 'none'"),
    ] {
        let answer = get(&mut bench, target).await;
        assert_eq!(
            all(&answer, "content-security-policy"),
            [frames, "default-src 'self'", "img-src data:"],
            "{target}"
        );
        assert_eq!(answer.header("x-frame-options"), None, "{target}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"), "{target}");
        assert_eq!(answer.header("cross-origin-opener-policy"), None, "{target}");
    }
    // Refused: nothing to frame.
    for target in ["/widget?website_token=c-token", "/widget?website_token=a-token&website_token=b-token"] {
        let answer = get(&mut bench, target).await;
        assert!(answer.status.is_client_error(), "{target}");
        let ours = "default-src 'none'; frame-ancestors 'none'";
        assert_eq!(all(&answer, "content-security-policy"), [ours], "{target}");
    }
    // Elsewhere the upstream's word stays.
    let answer = get(&mut bench, "/hc/help?website_token=a-token").await;
    let own = "default-src 'self'; frame-ancestors *, img-src data:";
    assert_eq!(all(&answer, "content-security-policy"), [own]);
    assert_eq!(answer.header("x-frame-options"), Some("SAMEORIGIN"));
}

#[tokio::test]
async fn one_workspace_needs_no_name_and_a_page_with_no_policy_gets_one() {
    let alone = |upstream| Setup::new(upstream).workspace("a", A);
    let mut bench = in_front_of(&[("content-type", "text/html")], alone).await;
    assert_eq!(all(&get(&mut bench, "/widget").await, "content-security-policy"), [OF_A]);
    assert_eq!(all(&get(&mut bench, "/packs/js/sdk.js").await, "content-security-policy"), [""; 0]);
    let libredesk = A.replace("\"chatwoot\"", "\"libredesk\"");
    let mut bench = in_front_of(&[("x-frame-options", "DENY")], |upstream| {
        Setup::new(upstream).workspace("a", &libredesk).workspace("b", &libredesk.replace("a-token", "b-token"))
    })
    .await;
    let answer = get(&mut bench, "/widget?inbox_id=a-token").await;
    assert_eq!((all(&answer, "content-security-policy"), answer.header("x-frame-options")), (vec![OF_A], None));
    assert_eq!(all(&get(&mut bench, "/widget").await, "content-security-policy"), ["frame-ancestors 'none'"]);
    // The page is one of its own files too.
    let answer = get(&mut bench, "/widget/index.html?inbox_id=a-token").await;
    assert_eq!((all(&answer, "content-security-policy"), answer.header("x-frame-options")), (vec![OF_A], None));
}

#[tokio::test]
async fn of_two_words_about_safety_the_stricter_stays_and_no_banner_does() {
    let mut bench = bench(&[
        ("content-type", "text/html; charset=utf-8"),
        ("strict-transport-security", "max-age=0"),
        ("x-content-type-options", "sniff"),
        ("referrer-policy", "unsafe-url"),
        ("x-frame-options", "DENY"),
        ("content-security-policy", "default-src *"),
        ("content-security-policy-report-only", "frame-ancestors 'none'"),
        ("permissions-policy", "microphone=(self)"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("server", "nginx/1.0"),
        ("x-powered-by", "PHP/5"),
        ("via", "1.1 inner.acme.internal"),
        ("x-runtime", "0.1"),
        ("alt-svc", "h3=\":8443\""),
    ])
    .await;
    let answer = get(&mut bench, "/hc/help").await;
    for (name, expected) in [
        ("strict-transport-security", Some("max-age=63072000")),
        ("x-content-type-options", Some("nosniff")),
        ("referrer-policy", Some("strict-origin-when-cross-origin")),
        ("x-frame-options", Some("DENY")),
        ("content-security-policy", Some("default-src *")),
        ("content-security-policy-report-only", Some("frame-ancestors 'none'")),
        ("permissions-policy", Some("microphone=(self)")),
        ("cross-origin-embedder-policy", Some("require-corp")),
        ("cross-origin-resource-policy", Some("same-origin")),
        ("cross-origin-opener-policy", Some("same-origin-allow-popups")),
        ("server", None),
        ("x-powered-by", None),
        ("via", None),
        ("x-runtime", None),
        ("alt-svc", None),
    ] {
        assert_eq!(all(&answer, name), expected.into_iter().collect::<Vec<_>>(), "{name}");
    }
}

#[tokio::test]
async fn a_script_may_be_loaded_by_any_page_and_an_answer_by_those_that_were_admitted() {
    let mut bench = bench(&[("content-type", "text/javascript"), ("referrer-policy", "no-referrer")]).await;
    let script = get(&mut bench, "/packs/js/sdk.js").await;
    assert_eq!(script.header("cross-origin-resource-policy"), Some("cross-origin"));
    assert_eq!(script.header("referrer-policy"), Some("no-referrer"));
    let mut bench = Bench::acme(|setup| setup).await;
    let answer = bench.send(form_request("/messenger/web/ping", ping_form("{}"))).await;
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"));
    let refused = bench.send(form_request("/messenger/web/ping", ping_form("{"))).await;
    assert_eq!(refused.header("cross-origin-resource-policy"), Some("same-origin"));
}
