//! `countersign revoke`, against a process that runs.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::client::form_request;
use crate::support::gateway::{ADMIN_TOKEN, BINARY};
use crate::support::token::now;
use crate::support::{Bench, Setup, TestGateway, Token, ping_form};

fn revoke(gateway: &TestGateway, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(BINARY)
        .arg("revoke")
        .args(arguments)
        .arg("--policies")
        .arg(gateway.setup.policies())
        .args(["--admin", &gateway.admin.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A command that knows already that it cannot do its work does not read.
    drop(child.stdin.take().expect("piped").write_all(input.as_bytes()));
    child.wait_with_output().expect("it ends")
}

#[track_caller]
fn told(output: &Output, code: i32) -> String {
    let told = String::from_utf8([&*output.stdout, &*output.stderr].concat()).expect("text");
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(!told.contains(ADMIN_TOKEN) && !told.contains("canary"), "{told}");
    told
}

fn ping(token: &str) -> http::Request<String> {
    let data = json!({"user_id": "canary-42", "intercom_user_jwt": token}).to_string();
    form_request("/messenger/web/ping", ping_form(&data))
}

fn token(id: &str) -> String {
    Token::of(&format!(r#"{{"user_id":"canary-42","jti":"{id}","iat":{},"exp":{}}}"#, now() - 9, now() + 600)).text()
}

#[tokio::test]
async fn each_kind_is_taken_back_listed_and_given_again() {
    let mut bench = Bench::acme(Setup::revoking).await;
    let text = format!("{}\n", token("canary-1"));
    for (arguments, input) in [
        (&["--jti", "canary-1"][..], ""),
        (&["--jti", "-"], "canary-1\n"),
        (&["--token", "-"], &text),
        (&["--subject", "canary-42"], ""),
        (&["--subject", "-"], "canary-42"),
        (&["--key", "web-2026-11"], ""),
        (&["--issued-before", "now"], ""),
        (&["--issued-before", "now", "--subject", "canary-42"], ""),
        (&["--issued-before", "2030-01-01T00:00:00+00:00"], ""),
    ] {
        assert_eq!(bench.client.send(ping(&token("canary-1"))).await.status, 200, "{arguments:?}");
        let arguments =
            [&["--workspace", "acme", "--for", "7d", "--reason", "ticket 4711", "--json"], arguments].concat();
        let output = revoke(&bench.gateway, &arguments, input);
        if arguments.contains(&"2030-01-01T00:00:00+00:00") {
            assert!(told(&output, 2).contains("in the past"));
            continue;
        }
        let made: Value = told(&output, 0).parse().expect("JSON");
        assert_eq!(bench.client.send(ping(&token("canary-1"))).await.status, 403, "{arguments:?}");
        let listed = told(&revoke(&bench.gateway, &["list"], ""), 0);
        let id = made["id"].as_str().expect("an id");
        assert!(listed.contains(id) && listed.contains("acme") && listed.contains("ticket 4711"), "{listed}");
        assert_eq!(made["until"].as_i64().expect("a time") - made["made"].as_i64().expect("a time"), 7 * 86_400);
        assert!(told(&revoke(&bench.gateway, &["undo", id], ""), 0).contains(id));
        assert!(told(&revoke(&bench.gateway, &["undo", id], ""), 1).contains("no revocation"));
    }
    assert!(told(&revoke(&bench.gateway, &["list"], ""), 0).contains("nothing is revoked"));
    assert!(told(&revoke(&bench.gateway, &["undo", "../status"], ""), 1).contains("no revocation"));
}

#[tokio::test]
async fn where_nothing_is_enforced_it_says_so() {
    for (mode, says_so) in [("enforce", false), ("observe", true), ("off", true)] {
        let bench =
            Bench::acme(|setup| setup.revoking().with("mode = \"enforce\"", &format!("mode = \"{mode}\""))).await;
        let told = told(&revoke(&bench.gateway, &["--workspace", "acme", "--subject", "canary-42"], ""), 0);
        assert_eq!(told.contains("does not enforce"), says_so, "{mode}: {told}");
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_ends_with_2() {
    let mut bench = Bench::acme(Setup::revoking).await;
    let without_id = Token::saying("").text();
    for (arguments, input, words) in [
        (&["--workspace", "acme"][..], "", "--issued-before"),
        (&["--workspace", "acme", "--jti", "1", "--key", "k"], "", "--issued-before"),
        (&["--workspace", "acme", "--jti", "1", "--subject", "s"], "", "--issued-before"),
        (&["--workspace", "acme", "--token", &without_id], "", "--token -"),
        (&["--workspace", "acme", "--token", "-"], &without_id, "--subject"),
        (&["--workspace", "acme", "--token", "-"], "no token", "--subject"),
        (&["--workspace", "acme", "--jti", "-"], "", "standard input"),
        (&["--jti", "1"], "", "--workspace"),
        (&["--workspace", "acm", "--jti", "1"], "", "`acme`"),
        (&["--workspace", "acme", "--key", "web"], "", "`web-2026-11`"),
        (&["--workspace", "acme", "--jti", "1", "--for", "7"], "", "7d"),
        (&["--workspace", "acme", "--jti", "1", "--for", "7d", "--forever"], "", "--forever"),
        (&["--workspace", "acme", "--issued-before", "yesterday"], "", "`now`"),
        (&["--workspace", "acme", "--jti", "1", "--reason", "a\nb"], "", "one line"),
    ] {
        let told = told(&revoke(&bench.gateway, arguments, input), 2);
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
    let elsewhere = Command::new(BINARY)
        .args(["revoke", "list", "--admin", "192.0.2.1:9443", "--policies"])
        .arg(bench.gateway.setup.policies())
        .output()
        .expect("started");
    assert!(told(&elsewhere, 2).contains("loopback"));
    // A mistake in a workspace keeps nobody from taking something back.
    std::fs::write(bench.gateway.setup.policies().join("workspaces/acme.toml"), "mode =").expect("written");
    told(&revoke(&bench.gateway, &["--workspace", "acme", "--jti", "1", "--forever"], ""), 0);
    bench.gateway.signal("TERM");
    bench.gateway.await_end();
    let down = told(&revoke(&bench.gateway, &["list"], ""), 2);
    assert!(down.contains("nobody answers"), "{down}");

    let closed = Bench::acme(|setup| setup).await;
    let off = told(&revoke(&closed.gateway, &["list"], ""), 2);
    assert!(off.contains("openssl rand"), "{off}");
}
