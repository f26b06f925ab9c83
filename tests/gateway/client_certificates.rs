//! Client certificates: who is served with one, what a workspace's own servers may do, and what they may not.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use http::Request;
use serde_json::json;

use crate::support::gateway::{BINARY, write_whole};
use crate::support::tls_client::{Authority, Identity, TLS12, TLS13, TlsClient};
use crate::support::token::now;
use crate::support::{Client, Received, Setup, TestGateway, TestUpstream, Token};

/// A messenger with a call for servers, and an update that pages make.
pub const PROFILE: &str = r#"
title = "With a server's API"
token_reader = "gateway"
workspace_at = []
claims = "user"
[identity]
user_id = ["path:id"]
email = []
session = []
user_id_claims = ["sub"]
email_claims = []
[tokens]
jwt = ["bearer:authorization"]
user_hash = []
[shapes.user]
kind = "object"
rest = "attributes"
[operations.update]
on = "PATCH /users/{id}"
class = "update"
body = "json"
documents = { body = "user" }
[operations.contacts]
on = "PUT /contacts/{id}"
class = "server_api"
body = "stream"
[operations.export]
on = "GET /contacts"
class = "server_api"
body = "none"
"#;

pub const WORKSPACE: &str = r#"
profile = "server"
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"
[identity]
require = "always"
max_lifetime = "2h"
[[identity.keys]]
id = "one"
algorithm = "HS256"
secret = { env = "TEST_SECRET" }
use = ["jwt"]
[attributes]
plan = { lock = "enforce", one_of = ["free", "pro"] }
nickname = { lock = "off" }
[server]
client_certificates = ["spiffe://acme/backend", "billing.acme.example"]
"#;

const LIFTED: &str = "billing.acme.example\"]\nlocks = \"lift\"";

struct World {
    upstream: TestUpstream,
    gateway: TestGateway,
    authority: Authority,
}

pub fn beside(setup: &Setup, name: &str) -> PathBuf {
    setup.policies().with_file_name(name)
}

impl World {
    async fn start(mode: &str, workspace: &str) -> Self {
        Self::start_with(mode, workspace, "").await
    }

    async fn start_with(mode: &str, workspace: &str, more: &str) -> Self {
        let upstream = TestUpstream::start().await;
        let authority = Authority::new("Acme's servers");
        let listener = format!("client_certificates = {{ mode = \"{mode}\", ca = [\"../clients.pem\"] }}");
        let setup = Setup::new(upstream.address)
            .profile("server", PROFILE)
            .workspace("acme", workspace)
            .listener(&listener)
            .gateway(more);
        std::fs::create_dir_all(setup.policies()).expect("made");
        write_whole(&beside(&setup, "clients.pem"), &authority.ca_pem);
        Self { upstream, gateway: setup.start(), authority }
    }

    async fn connect(&self, identity: Option<&Identity>) -> Client {
        let client = TlsClient::new(&self.gateway.ca_pem, &TLS13, identity);
        client.connect(self.gateway.address).await.expect("a connection").0
    }

    /// The code with which the last request ended.
    fn outcome(&self, count: usize) -> String {
        let records = self.gateway.records(count);
        records.last().expect("a record")["outcome"].as_str().expect("a code").to_owned()
    }

    fn received(&self) -> Vec<Received> {
        self.upstream.received()
    }
}

pub fn contact() -> Request<String> {
    let request = Request::put("/contacts/7").header("content-type", "application/json");
    request.body(r#"{"plan":"pro"}"#.to_owned()).expect("a request")
}

pub fn update(body: &serde_json::Value) -> Request<String> {
    let request = Request::patch("/users/user-42").header("content-type", "application/json");
    request.body(body.to_string()).expect("a request")
}

pub fn with(mut request: Request<String>, name: &'static str, value: &str) -> Request<String> {
    request.headers_mut().insert(name, value.parse().expect("a header"));
    request
}

#[tokio::test]
async fn a_servers_operation_is_for_the_servers_that_the_workspace_names() {
    for mode in ["enforce", "observe"] {
        let world = World::start("optional", &WORKSPACE.replace("\"enforce\"\n", &format!("\"{mode}\"\n"))).await;
        let issue = |serial, names: &[&str]| world.authority.issue(serial, names);
        let served = [
            issue(1, &["spiffe://acme/backend"]),
            issue(2, &["other.example", "billing.acme.example"]),
            issue(3, &["spiffe://acme/other", "spiffe://acme/backend"]),
        ];
        for identity in &served {
            let mut client = world.connect(Some(identity)).await;
            assert_eq!(client.send(contact()).await.status, 200);
            assert_eq!(client.send(Request::get("/contacts").body("").expect("a request")).await.status, 200);
        }
        assert_eq!(world.received().len(), 6);
        let records = world.gateway.records(6);
        let named = |index: usize| records[index]["client_certificate"].as_str().expect("a name").to_owned();
        assert_eq!([named(0), named(2)], ["spiffe://acme/backend", "other.example"]);
        let strangers = [
            None,
            Some(issue(4, &[])),
            Some(issue(5, &["spiffe://acme/backend/x"])),
            Some(issue(6, &["*.acme.example"])),
            Some(issue(7, &["acme.example"])),
            Some(issue(8, &["spiffe://billing.acme.example"])),
            Some(issue(9, &["billing.acme.example.evil.test"])),
        ];
        for (count, identity) in (7..).zip(&strangers) {
            let mut client = world.connect(identity.as_ref()).await;
            let answer = client.send(contact()).await;
            assert_eq!(answer.status, 403);
            assert!(!answer.text().contains("acme"), "{}", answer.text());
            let expected =
                if identity.is_some() { "client_certificate_unlisted" } else { "client_certificate_missing" };
            assert_eq!(world.outcome(count), expected);
        }
        assert_eq!(world.received().len(), 6, "nothing of the strangers");
        let last = world.gateway.records(13).pop().expect("a record");
        assert_eq!(last["client_certificate"], "billing.acme.example.evil.test");
    }
}

#[tokio::test]
async fn a_page_is_no_server_whatever_its_browser_shows() {
    let world = World::start("optional", &WORKSPACE.replace("billing.acme.example\"]", LIFTED)).await;
    let mut client = world.connect(Some(&world.authority.issue(1, &["spiffe://acme/backend"]))).await;
    for (count, (request, outcome)) in (1..).zip([
        (with(contact(), "origin", "https://app.acme.example"), "server_only"),
        (with(contact(), "origin", "null"), "server_only"),
        (with(contact(), "sec-fetch-site", "cross-site"), "client_certificate_unlisted"),
        (with(update(&json!({"plan": "pro"})), "sec-fetch-site", "none"), "origin_missing"),
        (with(update(&json!({"plan": "pro"})), "origin", "https://evil.example"), "origin_untrusted"),
        // The workspace's own page is a page: it proves its user like any other.
        (with(update(&json!({"plan": "pro"})), "origin", "https://app.acme.example"), "identity_missing"),
    ]) {
        let answer = client.send(request).await;
        assert!(answer.status.is_client_error(), "{outcome}");
        assert_eq!(world.outcome(count), outcome);
    }
    assert!(world.received().is_empty());
}

#[tokio::test]
async fn only_where_the_policy_lifts_locks_a_server_writes_what_is_locked() {
    let body = json!({"plan": "pro", "nickname": "bob", "other": 1});
    let token = Token::of(&json!({"sub": "user-42", "exp": now() + 600}).to_string()).text();
    let bearer = format!("Bearer {token}");
    for (lifted, expected, verdict) in
        [(false, json!({"nickname": "bob"}), "locked"), (true, json!({"plan": "pro", "nickname": "bob"}), "server")]
    {
        let workspace =
            if lifted { WORKSPACE.replace("billing.acme.example\"]", LIFTED) } else { WORKSPACE.to_owned() };
        let world = World::start("required", &workspace).await;
        let mut client = world.connect(Some(&world.authority.issue(1, &["billing.acme.example"]))).await;
        // No origin, which nobody else here may leave away.
        assert_eq!(client.send(with(update(&body), "authorization", &bearer)).await.status, 200);
        assert_eq!(world.received()[0].json(), expected);
        let record = world.gateway.only_record();
        let plan = record["attributes"].as_array().expect("verdicts").iter().find(|found| found["name"] == "plan");
        assert_eq!(plan.expect("a verdict")["verdict"], verdict);
        // Without a token only a server that is trusted so far is known.
        let answer = client.send(update(&body)).await;
        assert_eq!(answer.status, if lifted { 200 } else { 401 });
        // Its type holds, its spelling holds, and a token says who it is about.
        if lifted {
            assert_eq!(
                client.send(update(&json!({"plan": "gold", "Plan": "pro", "nickname": "eve"}))).await.status,
                200
            );
            assert_eq!(world.received().last().expect("an update").json(), json!({"nickname": "eve"}));
            assert_eq!(client.send(update(&json!({"plan": null}))).await.status, 200);
            assert_eq!(world.received().last().expect("an update").json(), json!({"plan": null}));
            let other = Token::of(&json!({"sub": "user-43", "exp": now() + 600}).to_string()).text();
            let request = with(update(&body), "authorization", &format!("Bearer {other}"));
            assert_eq!(client.send(request).await.status, 401);
        }
        // Somebody else with a certificate of the same authority is anybody.
        let mut stranger = world.connect(Some(&world.authority.issue(2, &["reports.acme.example"]))).await;
        assert_eq!(stranger.send(with(update(&body), "authorization", &bearer)).await.status, 403);
        let page = with(with(update(&body), "authorization", &bearer), "origin", "https://app.acme.example");
        assert_eq!(stranger.send(page).await.status, 200);
        assert_eq!(world.received().last().expect("an update").json(), json!({"nickname": "bob"}));
    }
}

#[tokio::test]
async fn what_is_never_opened_must_be_let_in_by_every_workspace_that_it_may_be_for() {
    // Without a name in the request, either workspace may be meant.
    let other = WORKSPACE
        .replace("trusted_domains", "hosts = [\"localhost\"]\ntrusted_domains")
        .replace("\"spiffe://acme/backend\", \"billing.acme.example\"", "\"spiffe://other/backend\"");
    let upstream = TestUpstream::start().await;
    let authority = Authority::new("Acme's servers");
    let profile = PROFILE.replace("workspace_at = []", "workspace_at = [\"query:app\"]");
    let setup = Setup::new(upstream.address)
        .profile("server", &profile)
        .workspace("acme", &WORKSPACE.replace("upstream =", "app_ids = [\"a\"]\nupstream ="))
        .workspace("other", &other.replace("hosts = [\"localhost\"]", "app_ids = [\"b\"]"))
        .listener("client_certificates = { mode = \"required\", ca = [\"../clients.pem\"] }");
    std::fs::create_dir_all(setup.policies()).expect("made");
    write_whole(&beside(&setup, "clients.pem"), &authority.ca_pem);
    let world = World { upstream, gateway: setup.start(), authority };
    let mut client = world.connect(Some(&world.authority.issue(1, &["spiffe://acme/backend"]))).await;
    let to = |target: &str| Request::get(target).body("").expect("a request");
    assert_eq!(client.send(to("/contacts?app=a")).await.status, 200);
    assert_eq!(client.send(to("/contacts?app=b")).await.status, 403);
    assert_eq!(client.send(to("/contacts")).await.status, 403);
    let mut both =
        world.connect(Some(&world.authority.issue(2, &["spiffe://acme/backend", "spiffe://other/backend"]))).await;
    assert_eq!(both.send(to("/contacts")).await.status, 200);
    assert_eq!(world.received().len(), 2);
}

#[tokio::test]
async fn a_listener_that_demands_certificates_serves_nobody_without_one_that_holds() {
    let world = World::start("required", WORKSPACE).await;
    let (own, other) = (world.authority.issue(1, &["spiffe://acme/backend"]), Authority::new("Acme's servers"));
    let forged = other.issue(1, &["spiffe://acme/backend"]);
    let ended = world.authority.issue_until(2, &["spiffe://acme/backend"], now() - 60);
    for version in [&TLS12, &TLS13] {
        for identity in [None, Some(&forged), Some(&ended)] {
            let client = TlsClient::new(&world.gateway.ca_pem, version, identity);
            if let Ok((mut connection, _)) = client.connect(world.gateway.address).await {
                assert!(connection.try_send(contact()).await.is_err());
            }
        }
        let client = TlsClient::new(&world.gateway.ca_pem, version, Some(&own));
        let (mut connection, _) = client.connect(world.gateway.address).await.expect("a connection");
        assert_eq!(connection.send(contact()).await.status, 200);
    }
    assert_eq!(world.received().len(), 2);
    world.gateway.await_metric(r#"countersign_handshakes_failed_total{reason="failed"} 6"#);
}

#[tokio::test]
async fn a_ticket_of_another_listener_brings_nobody_in() {
    let open = r#"
[[listeners]]
name = "open"
address = "127.0.0.1:0"
certificates = [{ certificate = "../certs/dev.pem", key = "../certs/dev-key.pem" }]
tickets = { file = "../tickets.keys" }
"#;
    let upstream = TestUpstream::start().await;
    let authority = Authority::new("Acme's servers");
    let setup = Setup::new(upstream.address)
        .profile("server", PROFILE)
        .workspace("acme", WORKSPACE)
        .listener("client_certificates = { mode = \"required\", ca = [\"../clients.pem\"] }")
        .listener("tickets = { file = \"../tickets.keys\" }")
        .gateway(open);
    std::fs::create_dir_all(setup.policies()).expect("made");
    write_whole(&beside(&setup, "clients.pem"), &authority.ca_pem);
    let secret = Command::new("openssl").args(["rand", "-base64", "48"]).output().expect("openssl is installed");
    write_whole(&beside(&setup, "tickets.keys"), std::str::from_utf8(&secret.stdout).expect("text"));
    let gateway = setup.start();
    let open = gateway.listening("open").expect("a listener");
    for version in [&TLS12, &TLS13] {
        let client = TlsClient::new(&gateway.ca_pem, version, None);
        for resumes in [false, true] {
            let (mut connection, resumed) = client.connect(open).await.expect("a connection");
            assert_eq!(connection.send(contact()).await.status, 403, "no certificate");
            assert_eq!(resumed, resumes);
        }
        if let Ok((mut connection, resumed)) = client.connect(gateway.address).await {
            assert!(!resumed);
            assert!(connection.try_send(contact()).await.is_err());
        }
    }
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn no_request_outlives_the_certificate_of_its_connection() {
    const LIFE: i64 = 9;
    let world = World::start("required", WORKSPACE).await;
    let ends = now() + LIFE;
    let identity = world.authority.issue_until(1, &["spiffe://acme/backend"], ends);
    let clients = [&TLS12, &TLS13].map(|version| TlsClient::new(&world.gateway.ca_pem, version, Some(&identity)));
    let mut connections = Vec::new();
    for client in &clients {
        let (mut connection, _) = client.connect(world.gateway.address).await.expect("a connection");
        assert_eq!(connection.send(contact()).await.status, 200);
        connections.push(connection);
    }
    let left = u64::try_from(ends + 2 - now()).unwrap_or(0);
    tokio::time::sleep(Duration::from_secs(left)).await;
    for (client, connection) in clients.iter().zip(&mut connections) {
        assert_eq!(connection.send(contact()).await.status, 403, "a connection of before");
        let (mut again, resumed) = client.connect(world.gateway.address).await.expect("a connection");
        assert!(resumed);
        assert_eq!(again.send(contact()).await.status, 403, "a session of before");
    }
    assert_eq!(world.outcome(6), "client_certificate_expired");
    assert_eq!(world.received().len(), 2);
}

#[tokio::test]
async fn what_is_taken_back_counts_on_open_connections_too() {
    let upstream = TestUpstream::start().await;
    let (authority, other) = (Authority::new("Acme's servers"), Authority::new("another"));
    let asked = |mode: &str| {
        format!("client_certificates = {{ mode = \"{mode}\", ca = [\"../clients.pem\"], crl = [\"../clients.crl\"] }}")
    };
    let setup = Setup::new(upstream.address)
        .profile("server", PROFILE)
        .workspace("acme", WORKSPACE)
        .listener(&asked("optional"));
    std::fs::create_dir_all(setup.policies()).expect("made");
    let (ca, crl) = (beside(&setup, "clients.pem"), beside(&setup, "clients.crl"));
    write_whole(&ca, &authority.ca_pem);
    write_whole(&crl, &authority.revoked(1, &[]));
    let mut world = World { upstream, gateway: setup.start(), authority };
    let identities = [1, 2].map(|serial| world.authority.issue(serial, &["spiffe://acme/backend"]));
    let (mut lost, mut kept) = (world.connect(Some(&identities[0])).await, world.connect(Some(&identities[1])).await);
    for client in [&mut lost, &mut kept] {
        assert_eq!(client.send(contact()).await.status, 200);
    }
    write_whole(&crl, &world.authority.revoked(2, &[&identities[0]]));
    world.gateway.await_log("policy_reloaded");
    assert_eq!(kept.send(contact()).await.status, 200);
    assert_eq!(lost.send(contact()).await.status, 403);
    assert_eq!(world.outcome(4), "client_certificate_withdrawn");
    // What was taken back may be given back, and an authority that goes takes all of its own along.
    write_whole(&crl, &world.authority.revoked(3, &[]));
    world.gateway.await_log("policy_reloaded");
    assert_eq!(lost.send(contact()).await.status, 200);
    write_whole(&ca, &other.ca_pem);
    world.gateway.await_log("policy_reloaded");
    for client in [&mut lost, &mut kept] {
        assert_eq!(client.send(contact()).await.status, 403);
    }
    // Where nobody is asked any longer, nobody is a server.
    let text = std::fs::read_to_string(world.gateway.setup.policies().join("gateway.toml")).expect("text");
    let off = text.replace(&asked("optional"), "client_certificates = { mode = \"off\" }");
    write_whole(&world.gateway.setup.policies().join("gateway.toml"), &off);
    world.gateway.await_log("policy_reloaded");
    assert_eq!(kept.send(contact()).await.status, 403);
    assert_eq!(world.outcome(8), "client_certificate_missing");
    assert_eq!(world.received().len(), 4);
}

#[tokio::test]
async fn a_session_that_is_resumed_keeps_its_certificate() {
    let world = World::start("optional", WORKSPACE).await;
    let identity = world.authority.issue(1, &["spiffe://acme/backend"]);
    for version in [&TLS12, &TLS13] {
        let client = TlsClient::new(&world.gateway.ca_pem, version, Some(&identity));
        for resumes in [false, true, true] {
            let (mut connection, resumed) = client.connect(world.gateway.address).await.expect("a connection");
            assert_eq!(connection.send(contact()).await.status, 200);
            assert_eq!(resumed, resumes);
        }
    }
    let records = world.gateway.records(6);
    assert!(records.iter().all(|record| record["client_certificate"] == "spiffe://acme/backend"), "{records:?}");
}

#[tokio::test]
async fn cases_say_who_the_client_is() {
    let world = World::start("optional", &WORKSPACE.replace("billing.acme.example\"]", LIFTED)).await;
    let cases = r#"
[[cases]]
name = "a server's call"
method = "PUT"
path = "/contacts/7"
client_certificate = "spiffe://acme/backend"
expect = { status = "passed" }

[[cases]]
name = "nobody's call"
method = "PUT"
path = "/contacts/7"
expect = { refused = "client_certificate_missing" }

[[cases]]
name = "another server's call"
method = "PUT"
path = "/contacts/7"
client_certificate = "reports.acme.example"
expect = { refused = "client_certificate_unlisted" }

[[cases]]
name = "a server's update"
method = "PATCH"
path = "/users/user-42"
client_certificate = "billing.acme.example"
update = { plan = "pro" }
expect = { goes_on = { plan = "pro" }, verdicts = { plan = "server" } }
"#;
    let policies = world.gateway.setup.policies();
    write_whole(&policies.join("workspaces/acme.cases.toml"), cases);
    for command in ["check", "test"] {
        let output = Command::new(BINARY).arg(command).arg(&policies).output().expect("started");
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {text}");
    }
}
