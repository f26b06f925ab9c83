//! What browsers say of a request by themselves (`Sec-Fetch-…`): what it stops, and what it must not. Chromium's own words are in
//! `browser.rs`.

use http::Request;

use crate::support::client::form_request;
use crate::support::{Bench, Setup, ping_form};

const PING: &str = "/messenger/web/ping";

/// A call from the workspace's own page, with site, mode and destination; `-` is not said.
fn said(words: &str) -> Request<String> {
    with(form_request(PING, ping_form(r#"{"nickname":"Ada"}"#)), words)
}

fn with(mut request: Request<String>, words: &str) -> Request<String> {
    for (name, word) in ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"].into_iter().zip(words.split(' ')) {
        if word != "-" {
            request.headers_mut().insert(name, word.parse().expect("a value"));
        }
    }
    request
}

const REFUSED: [(&str, &str); 6] = [
    ("cross-site navigate document", "fetch_mode"),
    ("cross-site navigate iframe", "fetch_mode"),
    ("same-origin cors empty", "fetch_site"),
    ("none cors empty", "fetch_site"),
    ("cross-site no-cors image", "fetch_dest"),
    ("cross-site,none cors empty", "fetch_malformed"),
];

#[tokio::test]
async fn what_a_browser_contradicts_is_refused_before_its_body_is_read() {
    let mut bench = Bench::acme(|setup| setup).await;
    for (words, code) in REFUSED {
        assert_eq!(bench.refused(said(words), 403).await, code, "{words}");
    }
    for passing in
        ["cross-site cors empty", "same-site cors empty", "cross-site no-cors empty", "- - -", "x-new y-new z"]
    {
        bench.passes(said(passing)).await;
    }
    // Twice is once too often, whatever it says.
    let mut twice = said("cross-site cors empty");
    twice.headers_mut().append("sec-fetch-site", "cross-site".parse().expect("a value"));
    assert_eq!(bench.refused(twice, 403).await, "fetch_malformed");
    // A foreign origin is that, whatever the browser says beside it.
    let mut foreign = said("none navigate document");
    foreign.headers_mut().insert("origin", "https://evil.example".parse().expect("a value"));
    assert_eq!(bench.refused(foreign, 403).await, "origin_untrusted");
}

#[tokio::test]
async fn a_browser_without_an_origin_is_no_native_application() {
    let mut bench =
        Bench::acme(|setup| setup.with(r#"missing_origin = "refuse""#, r#"missing_origin = "allow""#)).await;
    let native = |words: &str| {
        let mut request = said(words);
        request.headers_mut().remove("origin");
        request
    };
    bench.passes(native("- - -")).await;
    // `fetch` of Node.js says so much.
    bench.passes(native("- cors -")).await;
    for words in ["cross-site cors empty", "none cors empty", "same-origin - -"] {
        assert_eq!(bench.refused(native(words), 403).await, "fetch_site", "{words}");
    }
}

#[tokio::test]
async fn json_is_never_called_without_a_question() {
    let mut bench = Bench::start(|upstream| Setup::new(upstream).workspace("api", JSON)).await;
    let call = |words: &str| {
        let request = Request::patch("/api/users/42")
            .header("origin", "https://app.acme.example")
            .header("content-type", "application/json")
            .body(r#"{"nickname":"Ada"}"#.to_owned());
        with(request.expect("a request"), words)
    };
    bench.passes(call("same-site cors empty")).await;
    assert_eq!(bench.refused(call("same-site no-cors empty"), 403).await, "fetch_mode");
    let preflight = |words: &str| {
        let request = Request::options("/api/users/42")
            .header("origin", "https://app.acme.example")
            .header("access-control-request-method", "PATCH")
            .body(String::new());
        with(request.expect("a request"), words)
    };
    assert_eq!(bench.send(preflight("same-site cors empty")).await.status, 204);
    assert_eq!(bench.refused(preflight("same-site navigate document"), 403).await, "fetch_mode");
}

const JSON: &str = r#"
profile = "json"
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"
[identity]
require = "never"
[[routes]]
path = "/api/users/{id}"
methods = ["PATCH"]
attributes = ""
[attributes]
nickname = { lock = "off" }
"#;

#[tokio::test]
async fn to_observe_is_to_record_and_off_is_to_be_silent() {
    for (rule, recorded) in [("observe", true), ("off", false)] {
        let line = format!("missing_origin = \"refuse\"\nfetch_metadata = \"{rule}\"");
        let mut bench = Bench::acme(|setup| setup.with(r#"missing_origin = "refuse""#, &line)).await;
        bench.passes(said("cross-site navigate iframe")).await;
        let expected = if recorded { "fetch_mode".into() } else { serde_json::Value::Null };
        assert_eq!(bench.record()["would_refuse"], expected, "{rule}");
        bench.passes(said("cross-site cors empty")).await;
        assert_eq!(bench.record()["would_refuse"], serde_json::Value::Null);
    }
}

#[tokio::test]
async fn an_operation_for_servers_is_for_no_browser() {
    let web = include_str!("../../policies/profiles/intercom-web.toml");
    let wire =
        format!("{web}\n[operations.contacts]\non = \"POST /contacts\"\nclass = \"server_api\"\nbody = \"stream\"\n");
    let change = |setup: Setup| setup.profile("wire", &wire).with("profile = \"intercom-web\"", "profile = \"wire\"");
    let mut bench = Bench::acme(change).await;
    let call = |words: &str| with(Request::post("/contacts").body("{}".to_owned()).expect("a request"), words);
    bench.passes(call("- - -")).await;
    bench.passes(call("- cors -")).await;
    for words in ["cross-site cors empty", "none - -", "- - empty", "whatever - -"] {
        assert_eq!(bench.refused(call(words), 403).await, "server_only", "{words}");
    }
}
