//! A request that ends a session, and what ends with it.

use http::Request;
use serde_json::json;

use crate::support::client::form_request;
use crate::support::gateway::write_whole;
use crate::support::token::now;
use crate::support::{Bench, Setup, Token, form};

/// Intercom's wire with a call that ends a session.
fn with_shutdown(setup: Setup, session_end: &str) -> Setup {
    setup.write();
    let profiles = setup.policies().join("profiles");
    std::fs::create_dir_all(&profiles).expect("made");
    let shutdown = r#"shutdown = { on = "POST /messenger/web/shutdown", class = "session_end", body = "form", documents = { "field:user_data" = "user" } }"#;
    let wire = include_str!("../../policies/profiles/intercom-web.toml");
    assert!(wire.contains("\n[operations]\n"));
    write_whole(
        &profiles.join("intercom-web.toml"),
        &wire.replace("\n[operations]\n", &format!("\n[operations]\n{shutdown}\n")),
    );
    setup.with("leeway = \"30s\"", &format!("leeway = \"30s\"\nsession_end = \"{session_end}\""))
}

fn token(user: &str, id: &str) -> String {
    Token::of(&format!(r#"{{"user_id":"{user}","jti":"{id}","exp":{}}}"#, now() + 600)).text()
}

fn call(path: &str, user: &str, id: &str, session: &str) -> Request<String> {
    let mut data = json!({"user_id": user});
    if !id.is_empty() {
        data["intercom_user_jwt"] = json!(token(user, id));
    }
    let body = form(&[("app_id", "abc12345"), ("user_data", &data.to_string()), ("anonymous_session", session)]);
    form_request(&format!("/messenger/web/{path}"), body)
}

#[tokio::test]
async fn what_a_session_carried_ends_with_it_and_nothing_else_does() {
    let mut bench = Bench::acme(|setup| with_shutdown(setup, "revoke")).await;
    for (user, id, session) in [
        ("ada", "1", "a"),
        ("ada", "2", "a"),
        ("ada", "1", "a"),
        ("ada", "3", "b"),
        ("bob", "4", "c"),
        ("ada", "6", ""),
    ] {
        bench.passes(call("ping", user, id, session)).await;
    }
    // Somebody else's session, and a token of one's own: neither ends more than itself.
    bench.passes(call("shutdown", "eve", "5", "nobody's")).await;
    for (user, id) in [("ada", "1"), ("ada", "2"), ("ada", "3"), ("bob", "4"), ("ada", "6")] {
        bench.passes(call("ping", user, id, "x")).await;
    }
    assert_eq!(bench.refused(call("ping", "eve", "5", "x"), 403).await, "revoked");

    bench.passes(call("shutdown", "ada", "3", "a")).await;
    for id in ["1", "2", "3"] {
        assert_eq!(bench.refused(call("ping", "ada", id, "a"), 403).await, "revoked", "{id}");
        assert_eq!(bench.refused(call("ping", "ada", id, "other"), 403).await, "revoked", "{id}");
    }
    bench.passes(call("ping", "bob", "4", "c")).await;
    bench.passes(call("ping", "ada", "6", "")).await;
    bench.passes(call("ping", "ada", "7", "a")).await;
    // Without a token: what came with the session.
    bench.passes(call("shutdown", "ada", "", "c")).await;
    assert_eq!(bench.refused(call("ping", "bob", "4", "c"), 403).await, "revoked");
    bench.passes(call("ping", "ada", "7", "a")).await;
    bench.passes(call("shutdown", "ada", "", "")).await;
    bench.passes(call("ping", "ada", "6", "")).await;
}

#[tokio::test]
async fn a_logout_that_goes_nowhere_ends_nothing() {
    let mut bench = Bench::acme(|setup| with_shutdown(setup, "revoke")).await;
    bench.passes(call("ping", "ada", "1", "a")).await;
    let mut foreign = call("shutdown", "ada", "1", "a");
    foreign.headers_mut().insert("origin", "https://evil.test".parse().expect("a value"));
    bench.refused(foreign, 403).await;
    let broken = call("shutdown", "ada", "1", "a").map(|body| format!("{body}&user_data=%7B%7D"));
    bench.refused(broken, 400).await;
    let mismatch = call("shutdown", "ada", "1", "a").map(|body| body.replace("ada", "bob"));
    bench.refused(mismatch, 403).await;
    bench.passes(call("ping", "ada", "1", "a")).await;
}

#[tokio::test]
async fn a_session_that_carried_many_tokens_ends_those_that_end_last() {
    let mut bench = Bench::acme(|setup| with_shutdown(setup, "revoke")).await;
    let with_end = |id: i64| {
        let token = Token::of(&format!(r#"{{"user_id":"ada","jti":"{id}","exp":{}}}"#, now() + 600 + id)).text();
        let data = json!({"user_id": "ada", "intercom_user_jwt": token}).to_string();
        form_request(
            "/messenger/web/ping",
            form(&[("app_id", "abc12345"), ("user_data", &data), ("anonymous_session", "a")]),
        )
    };
    for id in 0..20 {
        bench.passes(with_end(id * 10)).await;
    }
    bench.passes(call("shutdown", "ada", "", "a")).await;
    for id in 12..20 {
        assert_eq!(bench.refused(with_end(id * 10), 403).await, "revoked", "{id}");
    }
    bench.passes(with_end(0)).await;
}

#[tokio::test]
async fn where_sessions_end_nothing_tokens_stay_and_need_no_id() {
    let mut bench = Bench::acme(|setup| with_shutdown(setup, "keep")).await;
    bench.passes(call("ping", "ada", "1", "a")).await;
    bench.passes(call("shutdown", "ada", "1", "a")).await;
    bench.passes(call("ping", "ada", "1", "a")).await;
    let mut strict = Bench::acme(|setup| with_shutdown(setup, "revoke").with("\"never\"", "\"identified\"")).await;
    let without = Token::of(&format!(r#"{{"user_id":"ada","exp":{}}}"#, now() + 600)).text();
    let data = json!({"user_id": "ada", "intercom_user_jwt": without}).to_string();
    let request = form_request("/messenger/web/ping", form(&[("app_id", "abc12345"), ("user_data", &data)]));
    assert_eq!(strict.refused(request, 403).await, "jti_missing");
}
