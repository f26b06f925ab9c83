//! `countersign status` as somebody types it, and the refused origins that it tells: the real binary asks a real gateway.

use std::net::SocketAddr;
use std::process::{Command, Output};

use http::Request;
use serde_json::{Value, json};

use crate::support::client::form_request;
use crate::support::gateway::{ACME, BINARY, TestGateway, write_whole};
use crate::support::{Bench, NOBODY, Setup, form, ping_form};

const PING: &str = "/messenger/web/ping";

fn status(admin: SocketAddr, options: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["status", "--policies", "/nowhere", "--admin", &admin.to_string()]).args(options);
    command.output().expect("the binary starts")
}

#[track_caller]
fn told(gateway: &TestGateway, code: i32) -> String {
    let output = status(gateway.admin, &[]);
    let told = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    assert_eq!(output.status.code(), Some(code), "{told}");
    told
}

#[track_caller]
fn answer(gateway: &TestGateway, code: i32) -> Value {
    let output = status(gateway.admin, &["--json"]);
    let told = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    assert_eq!(output.status.code(), Some(code), "{told}");
    told.parse().unwrap_or_else(|error| panic!("{error}: {told}"))
}

fn from(origin: &str) -> Request<String> {
    let mut request = form_request(PING, ping_form(r#"{"nickname":"Ada"}"#));
    request.headers_mut().insert("origin", origin.parse().expect("a value"));
    request
}

#[track_caller]
fn codes(answer: &Value) -> Vec<&str> {
    answer["alarms"].as_array().expect("a list").iter().map(|alarm| alarm["code"].as_str().expect("text")).collect()
}

#[tokio::test]
async fn a_gateway_that_is_fine_says_so_in_the_first_line() {
    let mut bench = Bench::acme(|setup| setup).await;
    bench.passes(form_request(PING, ping_form("{}"))).await;
    let told = told(&bench.gateway, 0);
    let (first, rest) = told.split_once('\n').expect("lines");
    let address = bench.gateway.admin;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(first, format!("countersign {version} on {address}: ready, nothing needs a look"));
    for expected in ["workspaces    acme (enforce)\n", "upstreams     attributes (answered ", "of 20,000 at most"] {
        assert!(rest.contains(expected), "`{expected}` in\n{told}");
    }
    assert!(!told.contains("refused origin") && told.lines().count() < 24, "{told}");
    let answer = answer(&bench.gateway, 0);
    assert_eq!(answer["address"], address.to_string());
    assert_eq!(answer["workspaces"], json!([{"workspace": "acme", "mode": "enforce"}]));
}

#[tokio::test]
async fn a_refused_origin_is_told_with_the_line_that_lets_it_in() {
    let mut bench = Bench::acme(|setup| setup.with(r#", "https://*.acme.example""#, "")).await;
    for _ in 0..3 {
        assert_eq!(bench.refused(from("https://new.acme.example"), 403).await, "origin_untrusted");
    }
    bench.refused(from("https://evil.test"), 403).await;
    // No origin as browsers spell it, and one that is more than a name where it is pasted.
    bench.refused(from("https://NEW.acme.example"), 403).await;
    assert_eq!(bench.refused(from("https://a;b.acme.example"), 403).await, "origin_malformed");
    bench.refused(from("https://a\"b.acme.example"), 403).await;
    let answer = answer(&bench.gateway, 0);
    let refused = answer["refused_origins"].as_array().expect("a list");
    let found: Vec<_> =
        refused.iter().map(|one| (&one["origin"], &one["workspace"], &one["requests"], &one["kin"])).collect();
    let (new, evil) = (json!("https://new.acme.example"), json!("https://evil.test"));
    let (acme, three, one, yes, no) = (json!("acme"), json!(3), json!(1), json!(true), json!(false));
    assert_eq!(found, [(&new, &acme, &three, &yes), (&evil, &acme, &one, &no)]);

    assert_eq!(refused[1]["add"], Value::Null, "a stranger's domain is nothing to paste");

    let told = told(&bench.gateway, 0);
    let file = bench.gateway.setup.policies().join("workspaces/acme.toml");
    let text = std::fs::read_to_string(&file).expect("a file");
    let line = text.lines().position(|line| line.starts_with("trusted_domains")).expect("a list") + 1;
    let add = r#"trusted_domains = [..., "https://new.acme.example"]"#;
    assert!(told.contains(&format!("  {}:{line}: {add}\n", file.display())), "{told}");
    assert!(told.contains("add none that you do not know"), "{told}");
    assert!(!told.contains(r#""https://evil.test""#), "{told}");

    // As it says, and it is no longer told.
    let list = text.lines().nth(line - 1).expect("a line");
    let longer = list.replace(']', r#", "https://new.acme.example"]"#);
    write_whole(&file, &text.replace(list, &longer));
    bench.gateway.await_log("policy_reloaded");
    bench.passes(from("https://new.acme.example")).await;
    assert!(!self::told(&bench.gateway, 0).contains("new.acme.example"));
}

#[tokio::test]
async fn a_strangers_page_at_the_same_hoster_is_nothing_to_paste() {
    let hosted = r#", "https://acme.github.io", "https://acme.vercel.app", "https://shop.acme.in.ua""#;
    let mut bench = Bench::acme(|setup| setup.with(r#", "https://*.acme.example""#, hosted)).await;
    for stranger in ["https://evil.github.io", "https://evil-login.vercel.app", "https://evil.in.ua"] {
        for _ in 0..9 {
            assert_eq!(bench.refused(from(stranger), 403).await, "origin_untrusted");
        }
    }
    bench.refused(from("https://new.acme.github.io"), 403).await;
    let told = told(&bench.gateway, 0);
    assert_eq!(told.matches("of a trusted one").count(), 1, "{told}");
    assert_eq!(told.matches("trusted_domains = [...").count(), 1, "{told}");
    assert!(told.contains(r#"trusted_domains = [..., "https://new.acme.github.io"]"#), "{told}");
}

#[tokio::test]
async fn invented_names_below_one_domain_hide_none_below_another() {
    let other = r#", "https://app.other.example""#;
    let mut bench = Bench::acme(|setup| setup.with(r#", "https://*.acme.example""#, other)).await;
    for round in 0..2 {
        for number in 0..30 {
            bench.refused(from(&format!("https://x{number}.acme.example")), 403).await;
        }
        if round == 0 {
            bench.refused(from("https://new.other.example"), 403).await;
            bench.refused(from("https://acme-shop.example"), 403).await;
        }
    }
    let told = told(&bench.gateway, 0);
    for shown in [r#"trusted_domains = [..., "https://new.other.example"]"#, "| https://acme-shop.example "] {
        assert!(told.contains(shown), "no `{shown}` in\n{told}");
    }
    assert!(told.contains("and 12 more, which `--json` has\n"), "{told}");
    let answer = answer(&bench.gateway, 0);
    assert_eq!(answer["refused_origins"].as_array().map(Vec::len), Some(32));
}

#[tokio::test]
async fn of_several_workspaces_the_one_is_told_that_the_request_named() {
    let other = ACME.replace("abc12345", "def67890").replace("acme.example", "other.example");
    let chat = |id: &str, domain: &str| {
        ACME.replace("intercom-web", "chatwoot")
            .replace("abc12345", id)
            .replace("acme.example", domain)
            .split("[attributes]")
            .next()
            .expect("a beginning")
            .to_owned()
            + "[attributes]\nname = { lock = \"off\" }\n"
    };
    let mut bench = Bench::acme(|setup: Setup| {
        setup
            .workspace("other", &other)
            .workspace("site", &chat("site", "s.example"))
            .workspace("page", &chat("page", "p.example"))
    })
    .await;
    // Its body names the workspace, and is not read.
    bench.refused(from("https://new.third.example"), 403).await;
    // One workspace trusts it, and the request is for another.
    let mut request = form_request(PING, form(&[("app_id", "def67890"), ("user_data", "{}")]));
    request.headers_mut().insert("origin", "https://app.acme.example".parse().expect("a value"));
    bench.refused(request, 403).await;
    let query = Request::patch("/api/v1/widget/contact?website_token=page")
        .header("origin", "https://new.p.example.evil.test")
        .header("content-type", "application/json")
        .body("{}".to_owned());
    bench.refused(query.expect("a request"), 403).await;
    let answer = answer(&bench.gateway, 0);
    let refused = answer["refused_origins"].as_array().expect("a list");
    let mut found: Vec<_> = refused.iter().map(|one| format!("{} {}", one["origin"], one["workspace"])).collect();
    found.sort();
    let expected = [
        r#""https://app.acme.example" "other""#,
        r#""https://new.p.example.evil.test" "page""#,
        r#""https://new.third.example" null"#,
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn what_is_wrong_comes_first_and_is_the_exit_code() {
    let mut bench = Bench::acme(|setup| setup).await;
    let file = bench.gateway.setup.policies().join("workspaces/acme.toml");
    let text = std::fs::read_to_string(&file).expect("a file");
    write_whole(&file, &text.replace(r#"mode = "enforce""#, r#"mode = "enforced""#));
    bench.gateway.await_log("policy_mistake");
    // The line in the log comes a moment before it is told.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while status(bench.gateway.admin, &[]).status.code() == Some(0) && std::time::Instant::now() < deadline {}
    let told = told(&bench.gateway, 1);
    let mut lines = told.lines();
    assert!(lines.next().is_some_and(|line| line.ends_with("ready, one thing needs a look:")), "{told}");
    let expected = "  ! the last reload failed with 1 mistake: the policies of before stay in force";
    assert_eq!(lines.next(), Some(expected), "{told}");
    assert!(lines.next().is_some_and(|line| line.contains("acme.toml:5:") && line.contains("enforced")), "{told}");
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_needs_a_look_until_it_does() {
    let mut gateway = Setup::acme(NOBODY).start();
    let mut client = gateway.http1().await;
    assert_eq!(codes(&answer(&gateway, 0)), [""; 0]);
    for _ in 0..2 {
        assert_eq!(client.send(form_request(PING, ping_form("{}"))).await.status, 502);
    }
    let answer = answer(&gateway, 1);
    assert_eq!(codes(&answer), ["upstream_fails"]);
    let upstream = &answer["upstream_health"][0];
    assert_eq!((&upstream["failed_requests"], &upstream["last_error"]), (&json!(2), &json!("upstream_connect")));
    assert!(gateway.log().contains("ready"));
}

#[tokio::test]
async fn who_does_not_answer_is_told_from_who_has_something_to_look_at() {
    let output = status(NOBODY, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("nobody answers on"), "{output:?}");
    let far = status(SocketAddr::from(([192, 0, 2, 1], 9100)), &[]);
    assert_eq!(far.status.code(), Some(2));
    // Without an address the policies say it.
    let output = Command::new(BINARY).args(["status", "--policies", "/nowhere"]).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
