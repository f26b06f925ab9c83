//! `countersign keys` as somebody types it: the real binary asks a real gateway that has seen real tokens.

mod for_webhooks;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::client::form_request;
use crate::support::gateway::{ACME, BINARY, TestGateway, write_whole};
use crate::support::token::{now, user_hash};
use crate::support::{Bench, Client, NOBODY, SECRET, Setup, Token, ping_form};

const PING: &str = "/messenger/web/ping";
const OTHER_SECRET: &str = "another-secret-0123456789abcdef01234567";

/// A second key for tokens, with the other secret.
fn second_key(lines: &str) -> String {
    format!(
        "[[identity.keys]]\nid = \"web-2026-05\"\nalgorithm = \"HS256\"\nsecret = {{ env = \"OTHER_SECRET\" }}\nuse = [\"jwt\"]\n{lines}\n[attributes]"
    )
}

fn ping(token: &str) -> String {
    ping_form(&json!({"user_id": "user-42", "intercom_user_jwt": token}).to_string())
}

fn old_token() -> String {
    Token::saying(r#""plan":"pro""#).secret(OTHER_SECRET).text()
}

async fn send(bench: &mut Bench, token: &str) {
    bench.passes(form_request(PING, ping(token))).await;
}

fn keys(policies: &Path, admin: Option<SocketAddr>, options: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(["keys", "--policies"]).arg(policies).args(options);
    if let Some(admin) = admin {
        command.arg("--admin").arg(admin.to_string());
    }
    // It needs none of them.
    command.env_remove("TEST_SECRET").env_remove("OTHER_SECRET").output().expect("the binary starts")
}

/// What it tells of a running gateway. No secret, no token and no value is among it.
#[track_caller]
fn told(gateway: &TestGateway, options: &[&str], code: i32) -> String {
    let output = keys(&gateway.setup.policies(), Some(gateway.admin), options);
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8(told).expect("text");
    assert_eq!(output.status.code(), Some(code), "{told}");
    for hidden in [SECRET, OTHER_SECRET, "user-42", "eyJ", "pro\""] {
        assert!(!told.contains(hidden), "`{hidden}` in:\n{told}");
    }
    told
}

#[track_caller]
fn answer(gateway: &TestGateway, code: i32) -> Value {
    let told = told(gateway, &["--json"], code);
    told.parse().unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// The row of a key, its cells.
#[track_caller]
fn row(told: &str, key: &str) -> Vec<String> {
    let line = told.lines().find(|line| line.starts_with(&format!("| {key} "))).unwrap_or_else(|| panic!("{told}"));
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[tokio::test]
async fn each_key_says_what_it_signed_and_the_share_of_it() {
    let mut bench = Bench::acme(|setup| setup.with("[attributes]", &second_key(""))).await;
    for _ in 0..3 {
        send(&mut bench, &Token::saying(r#""plan":"pro""#).text()).await;
    }
    send(&mut bench, &old_token()).await;
    // Well signed and late, signed by nobody, a hash, and no proof at all.
    let late = Token::of(&format!(r#"{{"user_id":"user-42","exp":{}}}"#, now() - 600));
    send(&mut bench, &late.secret(OTHER_SECRET).text()).await;
    send(&mut bench, &Token::saying("").secret("a-strangers-secret-0123456789abcdef01").text()).await;
    let hashed = json!({"user_id": "user-42", "user_hash": user_hash("user-42")}).to_string();
    bench.passes(form_request(PING, ping_form(&hashed))).await;
    bench.passes(form_request(PING, ping_form(r#"{"nickname":"Ada"}"#))).await;

    let gateway = &bench.gateway;
    let plain = told(gateway, &[], 0);
    assert!(plain.contains("its keys signed 6 proofs, and 1 came that no key in force for them signed"), "{plain}");
    assert_eq!(row(&plain, "web-2026-11")[1..7], ["HS256", "jwt, user_hash", "in force", "4", "0", "66 %"], "{plain}");
    assert_eq!(row(&plain, "web-2026-05")[1..7], ["HS256", "jwt", "in force", "1", "1", "33 %"], "{plain}");
    assert!(row(&plain, "web-2026-05")[7].ends_with(" ago"), "{plain}");
    assert!(plain.contains("key `web-2026-05` signs 33 % of the proofs, last "), "{plain}");
    assert!(!plain.contains("other policies") && !plain.contains("unwise") && !plain.contains('\u{1b}'), "{plain}");

    let answer = answer(gateway, 0);
    let acme = &answer["workspaces"][0];
    assert_eq!(
        (&acme["signed"], &acme["unsigned"]["jwt"], &answer["same_policies"]),
        (&json!(6), &json!(1), &json!(true))
    );
    let old = &acme["keys"][1];
    assert_eq!(
        (&old["key"], &old["verified"]["jwt"], &old["refused"]["jwt"]),
        (&json!("web-2026-05"), &json!(1), &json!(1))
    );
    assert!((now() - 60..=now()).contains(&old["last_use"].as_i64().expect("a time")), "{old}");
    let metrics = gateway.admin_get("/metrics");
    let gauge = "countersign_key_last_use_timestamp_seconds{workspace=\"acme\",key=\"web-2026-05\"} ";
    assert!(metrics.contains(gauge), "{metrics}");
}

#[tokio::test]
async fn a_key_that_stays_is_counted_on_over_a_reload_and_a_new_one_from_then() {
    let mut bench = Bench::acme(|setup| setup).await;
    send(&mut bench, &Token::saying("").text()).await;
    let elsewhere = Setup::acme(bench.upstream.address).with("[attributes]", &second_key(""));
    elsewhere.write();
    let output = keys(&elsewhere.policies(), Some(bench.gateway.admin), &[]);
    let plain = String::from_utf8(output.stdout).expect("text");
    for sentence in [
        "It has other policies in force than those that were read here.",
        "key `web-2026-05` is not in the running gateway: was the policy reloaded?",
    ] {
        assert!(plain.contains(sentence), "{plain}");
    }
    write_whole(
        &bench.gateway.setup.policies().join("workspaces/acme.toml"),
        &ACME.replace("[attributes]", &second_key("")),
    );
    bench.gateway.await_log("policy_reloaded");
    send(&mut bench, &Token::saying("").text()).await;
    let answer = answer(&bench.gateway, 0);
    let [new, old] = [0, 1].map(|index| &answer["workspaces"][0]["keys"][index]);
    assert_eq!((&new["verified"]["jwt"], &new["signed_since"]), (&json!(2), &json!(2)), "{answer}");
    assert_eq!((&old["verified"]["jwt"], &old["signed_since"]), (&json!(0), &json!(1)), "{answer}");
    let advice = old["advice"].as_str().expect("text");
    let (begin, end) = ("key `web-2026-05` signed nothing yet, counted for ", " only: ask again when it is 7 days");
    assert!(advice.starts_with(begin) && advice.ends_with(end), "{advice}");
}

#[tokio::test]
async fn a_key_that_ends_soon_is_a_finding_only_while_it_signs() {
    let end = jiff::Timestamp::from_second(now() + 3 * 24 * 3600 + 600).expect("a moment");
    let mut bench = Bench::acme(|setup| setup.with("[attributes]", &second_key(&format!("not_after = {end}")))).await;
    let plain = told(&bench.gateway, &[], 0);
    assert!(plain.contains("key `web-2026-05` signed nothing yet, counted for "), "{plain}");
    send(&mut bench, &old_token()).await;
    let plain = told(&bench.gateway, &[], 1);
    assert!(
        plain.contains("key `web-2026-05` ends in 3 days")
            && plain.contains(", and still signs 100 % of the tokens, last "),
        "{plain}"
    );
    assert_eq!(answer(&bench.gateway, 1)["workspaces"][0]["keys"][1]["finding"], true);
}

#[tokio::test]
async fn tokens_without_end_or_with_a_long_life_are_counted() {
    let mut bench = Bench::acme(|setup| setup.with("max_lifetime = \"2h\"", "exp = \"optional\"")).await;
    let of = |claims: &str| Token::of(&format!(r#"{{"user_id":"user-42"{claims}}}"#)).text();
    let day = 24 * 3600;
    send(&mut bench, &of("")).await;
    send(&mut bench, &of(&format!(r#","exp":{}"#, now() + day + 60))).await;
    send(&mut bench, &of(&format!(r#","exp":{},"iat":{}"#, now() + 600, now() - day))).await;
    send(&mut bench, &of(&format!(r#","exp":{},"iat":{}"#, now() + 600, now() - 60))).await;
    // Not signed by a key: nothing is said of what it says.
    send(&mut bench, &Token::of(r#"{"user_id":"user-42"}"#).secret(OTHER_SECRET).text()).await;
    let plain = told(&bench.gateway, &[], 0);
    let sentence =
        "unwise: 1 request with a token without `exp`; 2 requests with a token that lives longer than 1 day\n";
    assert!(plain.contains(sentence), "{plain}");
    let risks = &answer(&bench.gateway, 0)["workspaces"][0]["risks"];
    assert_eq!(*risks, json!({"no_expiry": 1, "long_life": 2, "shared": 0}));
    let metrics = bench.gateway.admin_get("/metrics");
    assert!(metrics.contains("countersign_token_risks_total{workspace=\"acme\",risk=\"long_life\"} 2"), "{metrics}");
}

#[tokio::test]
async fn what_the_policy_refuses_is_counted_too() {
    let mut bench = Bench::acme(|setup| setup).await;
    send(&mut bench, &Token::of(r#"{"user_id":"user-42"}"#).text()).await;
    send(&mut bench, &Token::of(&format!(r#"{{"user_id":"user-42","exp":{}}}"#, now() + 3 * 3600)).text()).await;
    let plain = told(&bench.gateway, &[], 0);
    let sentence =
        "unwise: 1 request with a token without `exp`; 1 request with a token that lives longer than `max_lifetime`\n";
    assert!(plain.contains(sentence), "{plain}");
    assert_eq!(row(&plain, "web-2026-11")[4..6], ["0", "2"], "{plain}");
}

#[tokio::test]
async fn a_token_from_many_addresses_counts_once_and_goes_on_all_the_same() {
    let bench = Bench::acme(|setup| setup).await;
    let (shared, of_one_page) = (Token::saying("").text(), Token::saying(r#""plan":"pro""#).text());
    for last in 1..=7 {
        let from = [127, 0, 0, last];
        let mut client = Client::connect_from(from, bench.gateway.address, &bench.gateway.ca_pem).await;
        for token in [&shared, &shared] {
            assert_eq!(client.post_form(PING, ping(token)).await.status, 200);
        }
        // Four addresses are as many as one user may have.
        if last <= 4 {
            assert_eq!(client.post_form(PING, ping(&of_one_page)).await.status, 200);
        }
    }
    assert_eq!(answer(&bench.gateway, 0)["workspaces"][0]["risks"]["shared"], 1);
    let plain = told(&bench.gateway, &[], 0);
    assert!(plain.contains("unwise: 1 token from more than 4 addresses each\n"), "{plain}");
}

/// One line of error, and nothing else.
#[track_caller]
fn is_refused(output: Output, sentences: &[&str]) {
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), b"".as_slice()), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    for sentence in sentences {
        assert!(told.contains(sentence), "no `{sentence}` in:\n{told}");
    }
}

#[test]
fn a_gateway_that_cannot_be_asked_is_one_clear_error() {
    let setup = Setup::acme(NOBODY);
    setup.write();
    let policies = setup.policies();
    is_refused(keys(&policies, None, &[]), &["`[admin] address` has port 0", "`--admin`"]);
    is_refused(
        keys(&policies, Some(NOBODY), &["--json"]),
        &[&format!("nobody answers on `{NOBODY}`"), "does the gateway run", "efused"],
    );
    is_refused(keys(&policies, Some(SocketAddr::from(([192, 0, 2, 1], 9100))), &[]), &["expected a loopback address"]);
    is_refused(keys(&policies, Some(NOBODY), &["--workspace", "acmee"]), &["there is no workspace `acmee`", "`acme`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_no_gateway_is_said_to_be_none() {
    let bench = Bench::acme(|setup| setup).await;
    // The upstream answers everything, and is plain HTTP.
    let output = keys(&bench.gateway.setup.policies(), Some(bench.upstream.address), &[]);
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("is not what a gateway of this version says"), "{told}");
}
