//! Starting, reloading, draining: what breaks, and what must not.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use http_body_util::Full;
use serde_json::json;

use crate::support::client::form_request;
use crate::support::gateway::{ACME, BINARY, WORKERS, write_whole};
use crate::support::{NOBODY, SECRET, Setup, TestUpstream, ping_form};

const PING: &str = "/messenger/web/ping";

fn run(setup: &Setup, arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .arg("--policies")
        .arg(setup.policies())
        .env("TEST_SECRET", SECRET)
        .output()
        .expect("the binary starts")
}

#[track_caller]
fn does_not_start(setup: &Setup, words: &[&str]) {
    let output = run(setup, &["serve"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    for word in words {
        assert!(told.contains(word), "no `{word}` in:\n{told}");
    }
    assert!(!told.contains("panicked") && !told.contains(SECRET), "{told}");
}

#[test]
fn a_broken_policy_does_not_start_and_every_mistake_is_told() {
    let setup = Setup::acme(NOBODY)
        .with("lock = \"off\", max_length = 64", "lokc = \"off\"")
        .with("mode = \"enforce\"", "mode = \"enforced\"");
    setup.write();
    does_not_start(&setup, &["acme.toml", "lokc", "lock", "enforced", "enforce"]);
}

#[test]
fn a_missing_secret_a_readable_one_and_a_weak_one_are_told() {
    let setup = Setup::acme(NOBODY).with("TEST_SECRET", "NO_SUCH_SECRET");
    setup.write();
    does_not_start(&setup, &["NO_SUCH_SECRET", "acme", "web-2026-11"]);
    let setup = Setup::acme(NOBODY).with(r#"{ env = "TEST_SECRET" }"#, r#"{ file = "../open.secret" }"#);
    setup.write();
    let secret = setup.policies().join("../open.secret");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef").expect("written");
    std::os::unix::fs::PermissionsExt::set_mode(&mut std::fs::metadata(&secret).expect("there").permissions(), 0o644);
    does_not_start(&setup, &["open.secret", "chmod 600"]);
    write_whole(&secret, "short");
    does_not_start(&setup, &["web-2026-11", "32"]);
}

#[test]
fn a_port_in_use_and_a_missing_certificate_are_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let setup = Setup::acme(NOBODY);
    setup.write();
    let gateway = setup.policies().join("gateway.toml");
    let text = std::fs::read_to_string(&gateway).expect("there");
    write_whole(&gateway, &text.replacen("127.0.0.1:0", &address, 1));
    does_not_start(&setup, &[&address, "in use"]);
    write_whole(&gateway, &text.replace("dev.pem", "gone.pem"));
    does_not_start(&setup, &["gone.pem", "certs dev"]);
    write_whole(&gateway, &text.replace("dev-key.pem", "dev-ca.pem"));
    does_not_start(&setup, &["dev-ca.pem"]);
}

#[test]
fn check_says_what_serve_would() {
    let setup = Setup::acme(NOBODY);
    setup.write();
    let good = Command::new(BINARY).arg("check").arg(setup.policies()).output().expect("started");
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stderr));
    let setup = setup.with("lock = \"observe\"", "lock = \"observes\"");
    setup.write();
    let bad = Command::new(BINARY).arg("check").arg(setup.policies()).output().expect("started");
    let told = String::from_utf8_lossy(&bad.stdout).into_owned() + &String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(2), "{told}");
    assert!(told.contains("observes") && told.contains("trial"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_is_whole_or_not_at_all_and_fails_no_request() {
    let upstream = TestUpstream::start().await;
    let mut gateway = Setup::acme(upstream.address).start();
    let acme = gateway.setup.policies().join("workspaces/acme.toml");
    let (address, ca_pem) = (gateway.address, gateway.ca_pem.clone());
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut load = Vec::new();
    for protocol in [crate::support::Protocol::Http1, crate::support::Protocol::Http2] {
        let (stop, ca_pem) = (stop.clone(), ca_pem.clone());
        load.push(tokio::spawn(async move {
            let mut client = crate::support::Client::connect(address, &ca_pem, protocol).await;
            let mut sent = 0_usize;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let answer = client.post_form(PING, ping_form(r#"{"plan":"pro","nickname":"bob"}"#)).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                sent += 1;
            }
            sent
        }));
    }
    // By file change, by signal, and a broken file in between.
    for round in 0..4 {
        let lock = if round % 2 == 0 { "off" } else { "enforce" };
        write_whole(
            &acme,
            &ACME.replace("plan = { lock = \"enforce\", one_of", &format!("plan = {{ lock = \"{lock}\", one_of")),
        );
        gateway.await_log("policy_reloaded");
        write_whole(&acme, "mode = \"enf");
        gateway.signal("HUP");
        gateway.await_log("policy_reload_failed");
        let mistake = gateway.await_log("policy_mistake");
        assert!(mistake.contains("acme.toml:1:"), "{mistake}");
    }
    assert!(gateway.admin_get("/metrics").contains("countersign_policy_reload_failed 1"));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for task in load {
        assert!(task.await.expect("no request failed") > 0);
    }
    // The last good one stays: `plan` is locked.
    let mut client = gateway.http1().await;
    upstream.forget();
    client.post_form(PING, ping_form(r#"{"plan":"pro","nickname":"bob"}"#)).await;
    assert_eq!(upstream.only().user_data(), json!({"nickname": "bob"}));
}

/// What `check --strict` ends with, and says.
fn check_strictly(setup: &Setup) -> (Option<i32>, String) {
    let output = Command::new(BINARY).args(["check", "--strict"]).arg(setup.policies()).output().expect("started");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn policies_without_a_workspace_start_nothing_and_the_slip_is_told() {
    let setup = Setup::acme(NOBODY);
    setup.write();
    let policies = setup.policies();
    std::fs::rename(policies.join("workspaces"), policies.join("workspace")).expect("renamed");
    does_not_start(&setup, &["policies/workspaces", "there is no workspace", "did you mean `workspaces`?"]);
    let (code, told) = check_strictly(&setup);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("there is no workspace") && told.contains("did you mean `workspaces`?"), "{told}");
}

#[test]
fn a_workspace_that_nobody_reads_beside_one_that_is_read_is_warned_of() {
    let setup = Setup::acme(NOBODY);
    setup.write();
    let workspaces = setup.policies().join("workspaces");
    std::fs::copy(workspaces.join("acme.toml"), workspaces.join(".acme.toml.swp")).expect("copied");
    assert_eq!(check_strictly(&setup).0, Some(0));
    std::fs::copy(workspaces.join("acme.toml"), workspaces.join("other.tml")).expect("copied");
    let (code, told) = check_strictly(&setup);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("other.tml") && told.contains("did you mean `other.toml`?"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_are_gone_leave_those_of_before_in_force() {
    let upstream = TestUpstream::start().await;
    let mut gateway = Setup::acme(upstream.address).start();
    let workspaces = gateway.setup.policies().join("workspaces");
    let acme = workspaces.join("acme.toml");
    let elsewhere = workspaces.with_file_name("workspace");
    let mut client = gateway.http1().await;
    let remove: [&dyn Fn(); 3] = [
        &|| std::fs::rename(&acme, workspaces.join("acme.tml")).expect("renamed"),
        &|| std::fs::rename(&workspaces, &elsewhere).expect("renamed"),
        &|| std::fs::remove_file(&acme).expect("removed"),
    ];
    let restore: [&dyn Fn(); 3] = [
        &|| std::fs::rename(workspaces.join("acme.tml"), &acme).expect("renamed"),
        &|| std::fs::rename(&elsewhere, &workspaces).expect("renamed"),
        &|| write_whole(&acme, ACME),
    ];
    for ((remove, restore), slip) in remove.iter().zip(restore).zip([Some("acme.toml"), Some("workspaces"), None]) {
        remove();
        if let Some(meant) = slip {
            gateway.await_log(&format!("did you mean `{meant}`?"));
        }
        let mistake = gateway.await_log("policy_mistake");
        assert!(mistake.contains("policies/workspaces") && mistake.contains("there is no workspace"), "{mistake}");
        upstream.forget();
        let answer = client.post_form(PING, ping_form(r#"{"plan":"pro","nickname":"bob"}"#)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(upstream.only().user_data(), json!({"nickname": "bob"}));
        assert!(gateway.admin_get("/status").contains("reload_failed"));
        restore();
        gateway.await_log("policy_reloaded");
        assert!(!gateway.admin_get("/status").contains("reload_failed"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_of_several_that_is_taken_away_is_gone_and_everybody_can_see_that() {
    let upstream = TestUpstream::start().await;
    let other = ACME.replace("abc12345", "def67890").replace("acme.example", "other.example");
    let mut gateway = Setup::acme(upstream.address).workspace("other", &other).start();
    let file = gateway.setup.policies().join("workspaces/other.toml");
    std::fs::remove_file(&file).expect("removed");
    let line = gateway.await_log("workspace_gone");
    assert!(line.contains("WARN") && line.contains(r#""workspace":"other""#), "{line}");
    let words = "the last change of the policies took 1 workspace away: `other`";
    assert!(gateway.admin_get("/status").contains(words));
    let mut client = gateway.http1().await;
    assert_eq!(client.post_form(PING, ping_form("{}")).await.status, 200);
    // Whoever asks for a reload has seen it.
    gateway.signal("HUP");
    gateway.await_log("policy_reloaded");
    assert!(!gateway.admin_get("/status").contains(words));
    write_whole(&file, &other);
    gateway.await_log("policy_reloaded");
    assert_eq!(gateway.log().matches("workspace_gone").count(), 1, "one that comes is not gone");
}

fn slow_answer(
    delay: Duration,
) -> impl Fn(&crate::support::Received) -> (Duration, http::Response<Full<bytes::Bytes>>) {
    move |_| (delay, http::Response::new("{}".into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_workers_serve_as_were_asked_for() {
    let upstream = TestUpstream::answering(slow_answer(Duration::from_millis(20))).await;
    let gateway = Setup::acme(upstream.address).start();
    let workers = || gateway.threads().into_iter().filter(|name| name.starts_with("worker-")).count();
    let patience = Instant::now() + Duration::from_secs(10);
    // A thread gives itself its name when it begins to run.
    while workers() < WORKERS && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(workers(), WORKERS);
    let mut requests = Vec::new();
    for number in 0..4 * WORKERS {
        let mut client = if number % 2 == 0 { gateway.http1().await } else { gateway.http2().await };
        requests.push(tokio::spawn(async move {
            for _ in 0..3 {
                assert_eq!(client.post_form(PING, ping_form("{}")).await.status, 200);
            }
        }));
    }
    for request in requests {
        request.await.expect("answered");
    }
    assert_eq!(upstream.received().len(), 3 * 4 * WORKERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_was_begun_and_then_ends() {
    let upstream = TestUpstream::answering(slow_answer(Duration::from_millis(600))).await;
    let mut gateway = Setup::acme(upstream.address).start();
    assert!(gateway.admin_get("/readyz").starts_with("HTTP/1.1 200"));
    let mut http1 = gateway.http1().await;
    let mut http2 = gateway.http2().await;
    let mut idle = gateway.http1().await;
    let first = tokio::spawn(async move { http1.post_form(PING, ping_form("{}")).await });
    let second = tokio::spawn(async move { http2.post_form(PING, ping_form("{}")).await });
    let patience = Instant::now() + Duration::from_secs(10);
    while upstream.received().len() < 2 {
        assert!(Instant::now() < patience, "the requests did not arrive");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    gateway.signal("TERM");
    let first = first.await.expect("answered");
    assert_eq!(first.status, 200);
    assert_eq!(first.header("connection"), Some("close"));
    assert_eq!(second.await.expect("answered").status, 200);
    assert!(gateway.await_end().success());
    assert!(idle.try_send(form_request(PING, ping_form("{}"))).await.is_err());
    assert!(tokio::net::TcpStream::connect(gateway.address).await.is_err());
    assert_eq!(gateway.records(2).len(), 2, "records are written before the end");
}

#[tokio::test]
async fn an_upstream_that_fails_is_told_apart() {
    let silent = TestUpstream::answering(slow_answer(Duration::from_secs(60))).await;
    let gateway = Setup::acme(silent.address).upstream("response_timeout = \"200ms\"").start();
    let answer = gateway.http1().await.post_form(PING, ping_form("{}")).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("5"));
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    };
    let gateway = Setup::acme(gone).start();
    let answer = gateway.http1().await.post_form(PING, ping_form("{}")).await;
    assert!(matches!(answer.status.as_u16(), 502 | 503), "{}", answer.text());
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert!(answer.header("proxy-status").expect("whose error it is").contains("countersign"));
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.acme.example"),
        "the widget may read it"
    );
    assert_eq!(gateway.only_record()["outcome"], "upstream_connect");
}
