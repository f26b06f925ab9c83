//! What outlives the process: tokens that were used, and what was taken back; also where it is killed.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;
use serde_json::json;

use crate::support::client::form_request;
use crate::support::gateway::{BINARY, write_whole};
use crate::support::token::now;
use crate::support::{Bench, SECRET, Setup, Token, ping_form};

const PING: &str = "/messenger/web/ping";

fn keeping(setup: Setup) -> Setup {
    setup
        .revoking()
        .gateway("[state]\ndirectory = \"../state\"\n")
        .with("leeway = \"30s\"", "leeway = \"30s\"\nreplay = \"single_use\"")
}

fn token(id: &str) -> String {
    Token::saying(&format!(r#""plan":"pro","jti":"{id}","iat":{}"#, now() - 60)).text()
}

fn ping(token: &str) -> Request<String> {
    form_request(PING, ping_form(&json!({"user_id": "user-42", "intercom_user_jwt": token}).to_string()))
}

#[tokio::test]
async fn what_was_used_or_taken_back_is_so_after_a_restart() {
    let mut bench = Bench::acme(keeping).await;
    bench.passes(ping(&token("1"))).await;
    bench.revoke(r#""jti":"2","forever":true"#);
    let undone = bench.gateway.revoke(r#""jti":"3""#);
    assert_eq!(bench.gateway.operate(&format!("DELETE /revocations/{undone}"), "").0, 200);
    bench.gateway.signal("TERM");
    assert!(bench.gateway.await_end().success());
    bench.gateway.start_again();
    bench.client = bench.gateway.http1().await;
    for (id, status) in [("1", 403), ("2", 403), ("3", 200), ("4", 200), ("4", 403)] {
        assert_eq!(bench.client.send(ping(&token(id))).await.status, status, "{id}");
    }
    assert!(bench.gateway.admin_get("/metrics").contains("countersign_state_entries 3\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_while_it_writes_has_lost_nothing_that_it_acknowledged() {
    let mut bench = Bench::acme(keeping).await;
    let mut taken_back = Vec::new();
    for round in 0..4_u64 {
        // Requests that write, while the operator takes things back.
        let stop = Arc::new(AtomicBool::new(false));
        let mut client = bench.gateway.http2().await;
        let load = {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut used = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    let Ok(answer) = client.try_send(ping(&token(&format!("{round}-{used}")))).await else { break };
                    assert_eq!(answer.status, 200);
                    used += 1;
                }
                used
            })
        };
        for number in 0..5 {
            let id = format!("back-{round}-{number}");
            bench.gateway.revoke(&format!(r#""jti":"{id}""#));
            taken_back.push(id);
        }
        tokio::time::sleep(Duration::from_millis(20 * round)).await;
        bench.gateway.kill_and_start();
        stop.store(true, Ordering::Relaxed);
        let used = load.await.expect("the load");
        bench.client = bench.gateway.http1().await;
        for id in &taken_back {
            assert_eq!(bench.client.send(ping(&token(id))).await.status, 403, "{id}");
        }
        let (_, listed) = bench.gateway.operate("GET /revocations", "");
        assert_eq!(listed["revocations"].as_array().expect("a list").len(), taken_back.len());
        // What nobody waited for is there but for the last moments.
        if used > 0 && round > 0 {
            let metrics = bench.gateway.admin_get("/metrics");
            assert!(!metrics.contains("countersign_state_entries 0\n"), "{used} were used");
        }
    }
}

#[tokio::test]
async fn a_state_that_cannot_be_had_does_not_start() {
    let mut bench = Bench::acme(keeping).await;
    bench.passes(ping(&token("1"))).await;
    let second = |bench: &Bench, words: &[&str]| {
        let output = Command::new(BINARY)
            .args(["serve", "--policies"])
            .arg(bench.gateway.setup.policies())
            .env("TEST_SECRET", SECRET)
            .output()
            .expect("started");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        for word in words {
            assert!(told.contains(word), "no `{word}` in:\n{told}");
        }
    };
    second(&bench, &["state.redb", "in use by another process", "directory"]);
    bench.gateway.signal("TERM");
    bench.gateway.await_end();
    let directory = bench.gateway.setup.policies().join("../state");
    let file = directory.join("state.redb");
    let good = std::fs::read(&file).expect("a file");
    std::fs::write(&file, b"something else").expect("written");
    second(&bench, &["state.redb", "broken", "move it away"]);
    std::fs::write(&file, b"").expect("written");
    second(&bench, &["state.redb", "empty"]);
    std::fs::write(&file, &good).expect("written");
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).expect("mode set");
    second(&bench, &["chmod 700"]);
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).expect("mode set");
    write_whole(&bench.gateway.setup.policies().join("../admin.token"), "short");
    second(&bench, &["[admin] token", "32"]);
}

#[tokio::test]
async fn another_directory_takes_a_restart_and_says_so() {
    let mut bench = Bench::acme(keeping).await;
    let path = bench.gateway.setup.policies().join("gateway.toml");
    let text = std::fs::read_to_string(&path).expect("there");
    write_whole(&path, &text.replace("../state", "../other"));
    let line = bench.gateway.await_log("takes a restart");
    assert!(line.contains("\"state\""), "{line}");
    write_whole(&path, &text.replace("\"../state\"", "\"../state\"\non_failure = \"open\""));
    bench.gateway.await_log("policy_reloaded");
    assert!(!bench.gateway.log().lines().last().expect("a line").contains("takes a restart"));
}

#[tokio::test]
async fn a_disk_that_fails_keeps_nothing_in_force_and_is_tried_again() {
    let mut bench = Bench::acme(|setup| keeping(setup).whose_disk_fails()).await;
    let undone = bench.gateway.revoke(r#""jti":"undone""#);
    bench.gateway.limit_files("4096");
    let (status, told) = bench.gateway.operate("POST /revocations", r#"{"workspace":"acme","jti":"1"}"#);
    assert_eq!(status, 503, "{told}");
    assert!(told["error"].as_str().expect("words").contains("in force"), "{told}");
    assert_eq!(bench.client.send(ping(&token("1"))).await.status, 403, "it counts all the same");
    assert_eq!(bench.client.send(ping(&token("2"))).await.status, 200, "no request waits for the disk");
    assert_eq!(bench.gateway.operate(&format!("DELETE /revocations/{undone}"), "").0, 503);
    assert_eq!(bench.client.send(ping(&token("undone"))).await.status, 403, "what would come back stays");
    bench.gateway.await_log("state_not_written");
    assert!(!bench.gateway.admin_get("/metrics").contains("countersign_state_disk_errors_total 0\n"));
    bench.gateway.limit_files("unlimited");
    bench.gateway.await_log("the state is written again");
    bench.gateway.kill_and_start();
    bench.client = bench.gateway.http1().await;
    for id in ["1", "2", "undone"] {
        assert_eq!(bench.client.send(ping(&token(id))).await.status, 403, "{id}");
    }
}
