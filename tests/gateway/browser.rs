//! Chromium before the gateway: what it says of each kind of request by itself, whose frames it shows, and that a widget works in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::Response;
use serde_json::{Value, json};

use crate::support::chromium::{CHAT, HOSTS, report_of};
use crate::support::gateway::ACME;
use crate::support::{Setup, TestGateway, TestUpstream};

const SITE: &str = r#"
profile = "chatwoot"
app_ids = ["site-token"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example", "https://*.other.example"]
missing_origin = "refuse"
[identity]
require = "never"
[attributes]
name = { lock = "off" }
"#;

/// It calls the API from within its frame, where its origin is the gateway's own.
const WIDGET: &str = r#"<!doctype html><script>
fetch("/api/v1/widget/labels" + location.search, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" })
  .then(answer => parent.postMessage("framed " + answer.status, "*"));
</script>"#;

/// A backend whose widget says to the page around it that it is there, and whose own words would let nobody frame it.
async fn backend() -> TestUpstream {
    TestUpstream::answering(|received| {
        let path = received.target.split('?').next().unwrap_or_default();
        let (kind, body) = match path {
            "/widget" => ("text/html", WIDGET),
            "/packs/js/sdk.js" => ("text/javascript", "globalThis.loaded = true"),
            _ => ("application/json", "{}"),
        };
        let response = Response::builder()
            .header("content-type", kind)
            .header("x-frame-options", "DENY")
            .header("content-security-policy", "default-src 'self' 'unsafe-inline'; frame-ancestors 'none'");
        (Duration::ZERO, response.body(body.into()).expect("an answer"))
    })
    .await
}

async fn start() -> (TestUpstream, TestGateway) {
    let upstream = backend().await;
    let acme = ACME.replace("\"https://*.acme.example\"", "\"https://*.other.example\"");
    let inner = SITE.replace("site-token", "inner-token").replace("\"https://app.acme.example\", ", "");
    let setup = Setup::new(upstream.address).named(&HOSTS).workspace("acme", &acme);
    let gateway = setup.workspace("site", SITE).workspace("inner", &inner).start();
    (upstream, gateway)
}

/// Each call is another operation, so that the record tells them apart.
const CALLS: &str = r#"<!doctype html><title>Calls</title><body><script>
const chat = "https://chat.acme.example";
const web = name => chat + "/messenger/web/" + name;
const site = path => chat + path + "?website_token=site-token";
const form = () => new URLSearchParams({ app_id: "abc12345", user_data: '{"nickname":"Ada"}' });
const type = "application/x-www-form-urlencoded";
const soon = () => new Promise(done => setTimeout(done, 20000));
const add = (name, members) => document.body.appendChild(Object.assign(document.createElement(name), members));
const said = {};
const call = async (name, start) => { said[name] = await Promise.race([start().catch(error => String(error.name)), soon()]) ?? null; };
const framed = src => new Promise(done => {
  const heard = ({ data }) => done(data);
  addEventListener("message", heard);
  add("iframe", { src, onload: () => setTimeout(() => { removeEventListener("message", heard); done("nothing"); }, 2000) });
});
(async () => {
  await call("fetch", async () => (await fetch(web("ping"), { method: "POST", body: form() })).status);
  await call("no-cors", async () => (await fetch(web("open"), { method: "POST", mode: "no-cors", body: form() })).type);
  await call("xhr", () => new Promise(done => {
    const request = new XMLHttpRequest();
    request.open("POST", web("home"));
    request.onloadend = () => done(request.status);
    request.send(form());
  }));
  await call("beacon", async () => navigator.sendBeacon(web("metrics"), new Blob([form().toString()], { type })));
  await call("json", async () => (await fetch(site("/api/v1/widget/contact"), {
    method: "PATCH", headers: { "content-type": "application/json" }, body: '{"name":"Ada"}' })).status);
  await call("no-cors json", async () => (await fetch(site("/api/v1/widget/events"), {
    method: "POST", mode: "no-cors", body: '{"name":"x"}' })).type);
  await call("form", () => new Promise(done => {
    // The empty page that it begins with loads as it is added.
    add("iframe", { name: "target" }).onload = () => done("loaded");
    const element = add("form", { method: "POST", action: web("conversations"), target: "target" });
    for (const [name, value] of form()) { element.append(Object.assign(document.createElement("input"), { name, value })); }
    element.submit();
  }));
  await call("image", () => new Promise(done => add("img", { src: web("gifs"), onload: () => done("shown"), onerror: () => done("broken") })));
  await call("script", () => new Promise(done => add("script", {
    src: chat + "/packs/js/sdk.js", onload: () => done(globalThis.loaded), onerror: () => done("broken") })));
  await call("socket", () => new Promise(done => {
    const socket = new WebSocket(site("/cable").replace("https", "wss"));
    socket.onopen = () => done("open");
    socket.onerror = () => done("failed");
  }));
  await call("sandbox", () => new Promise(done => {
    onmessage = ({ data }) => done(data);
    const script = `fetch("${web("messages")}", { method: "POST", body: new URLSearchParams({ app_id: "abc12345" }) })` +
      `.then(answer => answer.status, error => error.name).then(said => parent.postMessage(said, "*"))`;
    add("iframe", { sandbox: "allow-scripts", srcdoc: "<script>" + script + "</" + "script>" });
  }));
  onmessage = null;
  await call("frame", () => framed(site("/widget")));
  await call("inner frame", () => framed(chat + "/widget?website_token=inner-token"));
  await call("nobody's frame", () => framed(chat + "/widget"));
  await fetch("/report", { method: "POST", body: JSON.stringify(said) });
})();
</script>"#;

/// The operations of [`CALLS`] that leave a record on every page; a beacon may come late.
const RECORDED: [&str; 8] = ["ping", "open", "home", "metrics", "contact", "event", "conversations", "realtime"];

/// The outcomes of each operation, in the record's order.
fn outcomes(gateway: &TestGateway) -> BTreeMap<String, Vec<String>> {
    let path = gateway.setup.policies().join("../audit.jsonl");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in text.lines().filter_map(|line| line.parse::<Value>().ok()) {
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            outcomes.entry(text("operation")).or_default().push(text("outcome"));
        }
        if RECORDED.iter().all(|operation| outcomes.contains_key(*operation)) {
            return outcomes;
        }
        assert!(Instant::now() < deadline, "{outcomes:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn check(outcomes: &BTreeMap<String, Vec<String>>, operation: &str, expected: &[&str]) {
    assert_eq!(outcomes.get(operation).map_or(&[][..], Vec::as_slice), expected, "{operation}: {outcomes:?}");
}

#[tokio::test]
async fn a_trusted_pages_calls_and_frames_work_and_a_form_does_not() {
    // Of one site with the gateway, and of another.
    for (host, of_inner) in [("app.acme.example", "nothing"), ("shop.other.example", "framed 200")] {
        let (_upstream, gateway) = start().await;
        let said = report_of(&gateway, host, &[], CALLS.to_owned()).await;
        let expected = json!({
            "fetch": 200, "no-cors": "opaque", "xhr": 200, "beacon": true, "json": 200, "no-cors json": "TypeError",
            "form": "loaded", "image": "broken", "script": true, "socket": "failed", "sandbox": "TypeError",
            "frame": "framed 200", "inner frame": of_inner, "nobody's frame": "nothing",
        });
        assert_eq!(said, expected, "{host}");
        let outcomes = outcomes(&gateway);
        for operation in ["ping", "open", "home", "metrics"] {
            check(&outcomes, operation, &["sent"]);
        }
        check(&outcomes, "contact", &["answered", "sent"]);
        check(&outcomes, "event", &["fetch_mode"]);
        let frames = if of_inner == "nothing" { 1 } else { 2 };
        check(&outcomes, "label", &["sent"; 2][..frames]);
        check(&outcomes, "conversations", &["fetch_mode"]);
        check(&outcomes, "messages", &["origin_null"]);
        // Admitted; this backend speaks no WebSocket.
        check(&outcomes, "realtime", &["sent"]);
    }
}

#[tokio::test]
async fn a_foreign_page_gets_neither_calls_nor_frames() {
    let (upstream, gateway) = start().await;
    let said = report_of(&gateway, "evil.foreign.example", &[], CALLS.to_owned()).await;
    for (call, expected) in [("fetch", "TypeError"), ("xhr", ""), ("json", "TypeError"), ("socket", "failed")] {
        let found = &said[call];
        assert!(found == expected || found == 0, "{call}: {said}");
    }
    for frame in ["frame", "inner frame", "nobody's frame"] {
        assert_eq!(said[frame], "nothing", "{said}");
    }
    let outcomes = outcomes(&gateway);
    for operation in RECORDED {
        check(&outcomes, operation, &["origin_untrusted"]);
    }
    // Frames and scripts alone reached the backend: they name no origin, and the browser asks their heads.
    for received in upstream.received() {
        assert_eq!(received.method, http::Method::GET, "{}", received.target);
    }
}

#[tokio::test]
async fn a_page_that_isolates_itself_loads_the_widgets_script() {
    const ISOLATED: &[(&str, &str)] =
        &[("cross-origin-opener-policy", "same-origin"), ("cross-origin-embedder-policy", "require-corp")];
    let (_upstream, gateway) = start().await;
    let html = format!(
        r#"<!doctype html><body><script>
const report = loaded => fetch("/report", {{ method: "POST", body: JSON.stringify({{ loaded, isolated: crossOriginIsolated }}) }});
document.body.append(Object.assign(document.createElement("script"), {{
  src: "https://{CHAT}/packs/js/sdk.js", onload: () => report(globalThis.loaded), onerror: () => report(false) }}));
</script>"#
    );
    let said = report_of(&gateway, "app.acme.example", ISOLATED, html).await;
    assert_eq!(said, json!({ "loaded": true, "isolated": true }));
}
