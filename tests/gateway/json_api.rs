//! Any API that takes attributes as JSON under a bearer token: a workspace that names its own routes.

use std::net::SocketAddr;

use http::Request;
use serde_json::json;

use crate::support::token::now;
use crate::support::{Bench, Received, Setup, Token};

const API: &str = r#"
profile = "json"
hosts = ["localhost"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"

[identity]
require = "never"
max_lifetime = "2h"

[[identity.keys]]
id = "api-2026-11"
algorithm = "HS256"
secret = { env = "TEST_SECRET" }
use = ["jwt"]

[attributes]
user_id = { lock = "off" }
plan = { lock = "enforce", one_of = ["free", "pro", "enterprise"] }
seats = { lock = "enforce" }
nickname = { lock = "off" }
score = { lock = "off" }

[[routes]]
path = "/users/{id}"
methods = ["PATCH"]
attributes = "/user/attributes"
subject = "path:id"

[[routes]]
path = "/users"
methods = ["POST"]
attributes = ""
subject = "body:/user_id"

[[routes]]
path = "/users/{id}"
methods = ["PUT"]
attributes = ""
subject = "path:id"
replaces = true

[[routes]]
path = "/inner"
methods = ["POST"]
attributes = "/attributes"
subject = "body:/user/id"
"#;

fn setup(upstream: SocketAddr) -> Setup {
    let other = API
        .replace(r#"["localhost"]"#, r#"["127.0.0.1"]"#)
        .replace("TEST_SECRET", "OTHER_SECRET")
        .replace(r#"plan = { lock = "enforce""#, r#"plan = { lock = "off""#);
    Setup::new(upstream).workspace("acme", API).workspace("other", &other)
}

async fn bench(change: impl FnOnce(Setup) -> Setup) -> Bench {
    Bench::start(|upstream| change(setup(upstream))).await
}

/// A request with a bearer token, if `token` is not empty.
fn request(call: &str, token: &str, body: &str) -> Request<String> {
    let (method, target) = call.split_once(' ').expect("a method and a target");
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("origin", "https://app.acme.example")
        .header("content-type", "application/json");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(body.to_owned()).expect("a request")
}

/// A token about a user, by the claim of this profile.
fn token(user: &str, members: &str) -> String {
    Token::of(&format!(r#"{{"sub":"{user}","exp":{},{members}}}"#, now() + 600)).text()
}

fn text(received: &Received) -> &str {
    std::str::from_utf8(&received.body).expect("text")
}

const PATCH: &str = "PATCH /users/user-42";

#[tokio::test]
async fn attributes_at_a_pointer_are_judged_and_the_rest_stands_as_it_came() {
    let mut bench = bench(|setup| setup).await;
    let body = r#"{"z":1.10,"user":{"attributes":{"plan":"pro","nickname":"bob"},"b":[{"plan":"pro"}]},"a":null}"#;
    let received = bench.passes(request(PATCH, "", body)).await;
    assert_eq!(text(&received), r#"{"z":1.10,"user":{"attributes":{"nickname":"bob"},"b":[{"plan":"pro"}]},"a":null}"#);
    let signed = token("user-42", r#""plan":"pro","seats":5,"attributes":{"is_admin":true}"#);
    let received = bench.passes(request(PATCH, &signed, body)).await;
    assert_eq!(
        text(&received),
        r#"{"z":1.10,"user":{"attributes":{"plan":"pro","nickname":"bob","seats":5},"b":[{"plan":"pro"}]},"a":null}"#
    );
    assert_eq!(received.header("authorization"), Some(format!("Bearer {signed}").as_str()), "the API wants it as well");
    // Where there is no document one is made for what is signed, and only for that.
    let received = bench.passes(request(PATCH, &signed, r#"{"user":{"b":1}}"#)).await;
    assert_eq!(received.json(), json!({"user": {"b": 1, "attributes": {"plan": "pro", "seats": 5}}}));
    assert_eq!(text(&bench.passes(request(PATCH, "", r#"{"user":{}}"#)).await), r#"{"user":{}}"#);
    for beside in [
        r#"{"User":{"attributes":{"plan":"pro"}}}"#,
        r#"{"user":{"attributes":{}},"USER":{"attributes":{"plan":"pro"}}}"#,
        r#"{"user":{"Attributes":{"plan":"pro"}}}"#,
        r#"{"user":{"attributes[plan]":"pro"}}"#,
        r#"{"user.attributes":{"plan":"pro"}}"#,
        r#"{"user[attributes][plan]":"pro"}"#,
        r#"{"user":[{"attributes":{"plan":"pro"}}]}"#,
        r#"{"user":"plan"}"#,
        r#"{"user":{"attributes":[{"plan":"pro"}]}}"#,
        r#"{"user":{"attributes":null}}"#,
        r#"[{"user":{"attributes":{"plan":"pro"}}}]"#,
        r#""plan""#,
        "null",
    ] {
        bench.refused(request(PATCH, "", beside), 400).await;
    }
}

#[tokio::test]
async fn the_subject_is_in_the_path_or_in_the_body_and_is_the_tokens() {
    let mut bench = bench(|setup| setup).await;
    let signed = token("user-42", r#""plan":"pro""#);
    let body = r#"{"user":{"attributes":{}}}"#;
    assert_eq!(
        bench.passes(request(PATCH, &signed, body)).await.json(),
        json!({"user": {"attributes": {"plan": "pro"}}})
    );
    for path in ["user-43", "User-42", "user-4", "undefined", "null", "%FF"] {
        let call = format!("PATCH /users/{path}");
        let answer = bench.send(request(&call, &signed, body)).await;
        assert!([400, 401].contains(&answer.status.as_u16()), "{path}: {}", answer.status);
        assert!(bench.upstream.received().is_empty(), "{path}");
    }
    let post = "POST /users";
    let read = bench.passes(request(post, &signed, r#"{"user_id":"user-42","plan":"free"}"#)).await.json();
    assert_eq!(read, json!({"user_id": "user-42", "plan": "pro"}));
    let numeric = token("9007199254740993", r#""plan":"pro""#);
    let received = bench.passes(request(post, &numeric, r#"{"user_id":9007199254740993}"#)).await;
    assert_eq!(text(&received), r#"{"user_id":9007199254740993,"plan":"pro"}"#);
    for (token, id) in [
        (&signed, r#""user-43""#),
        (&signed, r#""USER-42""#),
        (&signed, r#""user-42 ""#),
        (&signed, r#""""#),
        (&signed, r#""undefined""#),
        (&signed, r#""null""#),
        (&numeric, "9007199254740992"),
        (&numeric, "9007199254740993.0"),
        (&numeric, "9.007199254740993e15"),
    ] {
        let body = format!(r#"{{"user_id":{id},"nickname":"bob"}}"#);
        assert_eq!(bench.refused(request(post, token, &body), 401).await, "subject_mismatch", "{id}");
    }
    for id in ["true", "false", "[]", r#"["user-42"]"#, "{}", r#"{"$ne":1}"#] {
        let body = format!(r#"{{"user_id":{id},"nickname":"bob"}}"#);
        assert_eq!(bench.refused(request(post, &signed, &body), 400).await, "place_not_text", "{id}");
    }
}

/// A backend that compares names without case, as those in Go and .NET do, would write what is signed for one user to another.
#[tokio::test]
async fn another_spelling_of_the_subject_is_refused_wherever_it_stands() {
    let mut bench = bench(|setup| setup.with(r#"mode = "enforce""#, "mode = \"enforce\"\nunlisted = \"keep\"")).await;
    let signed = token("user-42", r#""plan":"pro""#);
    let inner = r#"{"user":{"id":"user-42","name":"ID"},"attributes":{"id":"ID"}}"#;
    let received = bench.passes(request("POST /inner", &signed, inner)).await;
    assert_eq!(text(&received), r#"{"user":{"id":"user-42","name":"ID"},"attributes":{"id":"ID","plan":"pro"}}"#);
    for body in [
        r#"{"user":{"id":"user-42","ID":"user-43"},"attributes":{}}"#,
        r#"{"user":{"Id":"user-43","id":"user-42"},"attributes":{}}"#,
        r#"{"user":{"ID":"user-43"},"attributes":{}}"#,
        r#"{"user":{"id":"user-42","id ":"user-43"},"attributes":{}}"#,
        r#"{"user":{"id":"user-42"},"USER":{"id":"user-43"},"attributes":{}}"#,
        r#"{"user":{"id":"user-42"},"attributes":{"user_id":"user-42","USER_ID":"user-43"}}"#,
    ] {
        assert_eq!(bench.refused(request("POST /inner", &signed, body), 400).await, "disguised_field", "{body}");
    }
    for name in ["USER_ID", "User_Id", "user_id ", "user_\u{200b}id", "\u{ff55}ser_id"] {
        for body in [json!({"user_id": "user-42", name: "user-43"}), json!({name: "user-43"})] {
            let request = request("POST /users", &signed, &body.to_string());
            assert_eq!(bench.refused(request, 400).await, "disguised_field", "{body}");
        }
    }
    let received = bench.passes(request("POST /users", &signed, r#"{"user_id":"user-42","user_ids":"a"}"#)).await;
    assert_eq!(text(&received), r#"{"user_id":"user-42","user_ids":"a","plan":"pro"}"#);
}

/// Frameworks read a parameter's name up to a bracket, past brackets in front, and lay the query over the body.
#[tokio::test]
async fn brackets_and_dots_around_a_name_in_the_query_hide_no_attribute() {
    let more =
        "seats = { lock = \"enforce\" }\nis_admin = { lock = \"enforce\" }\n\"company.plan\" = { lock = \"enforce\" }";
    let mut bench = bench(|setup| setup.with("seats = { lock = \"enforce\" }", more)).await;
    for query in [
        "plan=pro",
        "[plan]=pro",
        "%5Bplan%5D=pro",
        "[[plan]]=pro",
        "]plan=pro",
        "plan]=pro",
        "plan[=pro",
        "plan[]=pro",
        "plan[x]=pro",
        "PLAN[]=pro",
        "+[Plan]=pro",
        "plan%255B%255D=pro",
        "plan.x=pro",
        "x=1;[plan]=pro",
        "is.admin=1",
        "is+admin=1",
        "is[admin=1",
        "is.admin[]=1",
        "company[plan]=pro",
        "[company][plan]=pro",
        "company[][plan]=pro",
        "nickname[]=bob",
    ] {
        for call in [format!("POST /users?{query}"), format!("{PATCH}?{query}")] {
            let body = if call.starts_with("POST") { r#"{"nickname":"bob"}"# } else { r#"{"user":{}}"# };
            assert_eq!(bench.refused(request(&call, "", body), 400).await, "document_in_query", "{call}");
        }
    }
    let kept =
        "include[]=plan&page[size]=2&filter[plan]=pro&x.y=1&%5Bfields%5D=plan&nickname=bob&nickname]=bob&plans[]=a";
    let received = bench.passes(request(&format!("POST /users?{kept}"), "", r#"{"nickname":"bob"}"#)).await;
    assert_eq!(received.target, format!("/users?{kept}"));
}

#[tokio::test]
async fn where_users_must_be_proven_nobody_is_called_undefined() {
    let mut bench = bench(|setup| setup.with(r#"require = "never""#, r#"require = "identified""#)).await;
    for id in [r#""undefined""#, r#""null""#, r#""""#, r#"" ""#, "0", r#""user-42""#] {
        let body = format!(r#"{{"user_id":{id},"nickname":"bob"}}"#);
        assert_eq!(bench.refused(request("POST /users", "", &body), 401).await, "identity_missing", "{id}");
    }
    for path in ["undefined", "null", "user-42"] {
        let call = format!("PATCH /users/{path}");
        assert_eq!(bench.refused(request(&call, "", r#"{"user":{}}"#), 401).await, "identity_missing");
    }
    for broken in ["", "undefined", "null", "x.y.z"] {
        let mut request = request(PATCH, "", r#"{"user":{}}"#);
        request.headers_mut().insert("authorization", format!("Bearer {broken}").parse().expect("a header"));
        bench.refused(request, 401).await;
    }
    for value in [json!(null), json!("bob")] {
        let body = json!({"nickname": value}).to_string();
        assert_eq!(bench.passes(request("POST /users", "", &body)).await.json(), json!({"nickname": value}));
    }
}

#[tokio::test]
async fn a_put_that_would_clear_what_is_locked_is_refused() {
    let mut bench = bench(|setup| setup).await;
    let put = "PUT /users/user-42";
    for body in [r#"{"nickname":"bob"}"#, "{}", r#"{"plan":"pro","seats":5}"#, r#"{"plan":null,"seats":null}"#] {
        bench.refused(request(put, "", body), 403).await;
    }
    let part = token("user-42", r#""plan":"pro""#);
    assert_eq!(bench.refused(request(put, &part, r#"{"nickname":"bob"}"#), 403).await, "erases_locked");
    let all = token("user-42", r#""plan":"pro","seats":5"#);
    let read = bench.passes(request(put, &all, r#"{"nickname":"bob","seats":7}"#)).await.json();
    assert_eq!(read, json!({"nickname": "bob", "plan": "pro", "seats": 5}));
    // The same path with another method is another operation.
    assert_eq!(bench.passes(request(PATCH, "", r#"{"user":{}}"#)).await.method, "PATCH");
    for call in
        ["POST /users/user-42", "DELETE /users/user-42", "GET /users/user-42", "HEAD /users/user-42", "GET /users"]
    {
        let mut request = request(call, "", "");
        request.headers_mut().remove("content-type");
        bench.refused(request, 405).await;
    }
    for override_ in ["POST /users?_method=PUT", "POST /users?_method[]=PUT"] {
        assert_eq!(bench.refused(request(override_, "", r#"{"nickname":"bob"}"#), 400).await, "method_override");
    }
    assert_eq!(
        bench.refused(request("POST /users", "", r#"{"nickname":"bob","_method":"PUT"}"#), 400).await,
        "method_override"
    );
}

#[tokio::test]
async fn what_is_kept_is_kept_to_the_digit_and_in_order() {
    let mut bench = bench(|setup| setup.with(r#"mode = "enforce""#, "mode = \"enforce\"\nunlisted = \"keep\"")).await;
    let kept = "{\"z\":9007199254740993,\"y\":1.10,\"x\":-0,\"w\":1E400,\"v\":12345678901234567890123,\"nickname\":\"\u{e9}\u{1f600}\\\"\\\\\\n\u{2028}\",\"\u{e9}\":true,\"\":\"\"}"
        .replace("1E400", "1E300");
    let sent = kept.replacen('{', r#"{"plan":"pro","#, 1);
    assert_eq!(text(&bench.passes(request("POST /users", "", &sent)).await), kept);
    let around = format!(r#"{{"b":{kept},"user":{{"attributes":{sent}}},"a":[{kept},[]]}}"#);
    let expected = format!(r#"{{"b":{kept},"user":{{"attributes":{kept}}},"a":[{kept},[]]}}"#);
    assert_eq!(text(&bench.passes(request(PATCH, "", &around)).await), expected);
    // The same in other spellings arrives in ours.
    let spelled = r#" { "nickname" : "\u00e9\ud83d\ude00\/" , "score" :	1e2 } "#;
    assert_eq!(
        text(&bench.passes(request("POST /users", "", spelled)).await),
        "{\"nickname\":\"\u{e9}\u{1f600}/\",\"score\":1e2}"
    );
}

#[tokio::test]
async fn names_twice_and_other_kinds_of_json_are_refused() {
    let mut bench = bench(|setup| setup).await;
    for body in [
        r#"{"plan":"free","plan":"pro"}"#,
        r#"{"nickname":"a","nick\u006eame":"b"}"#,
        r#"{"user":{"attributes":{}},"user":{"attributes":{"plan":"pro"}}}"#,
        r#"{"user":{"attributes":{},"attributes":{"plan":"pro"}}}"#,
        r#"{"user":{"b":{"c":1,"c":2}}}"#,
        r#"{"b":[[{"c":1,"c":2}]],"user":{}}"#,
        "{} {}",
        "{\"score\":1e400}",
        "{\"score\":NaN}",
        "\u{feff}{}",
        "{\"nickname\":\"\\ud800\"}",
    ] {
        for call in [PATCH, "POST /users"] {
            bench.refused(request(call, "", body), 400).await;
        }
    }
    for content_type in [
        "application/merge-patch+json",
        "application/json-patch+json",
        "application/vnd.api+json",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json, text/plain",
        "",
    ] {
        let mut request = request(PATCH, "", r#"{"user":{"attributes":{"plan":"pro"}}}"#);
        request.headers_mut().remove("content-type");
        if !content_type.is_empty() {
            request.headers_mut().insert("content-type", content_type.parse().expect("a header"));
        }
        assert_eq!(bench.refused(request, 415).await, "content_type", "{content_type}");
    }
    for length in [None, Some("0")] {
        let mut request = request(&format!("{PATCH}?plan=pro"), "", "");
        if let Some(length) = length {
            request.headers_mut().insert("content-length", length.parse().expect("a header"));
        }
        bench.refused(request, 411).await;
    }
    for query in ["plan=pro", "user[attributes][plan]=pro", "PLAN=pro", "user_id=user-43", "x;plan=pro"] {
        let answer = bench.send(request(&format!("{PATCH}?{query}"), "", r#"{"user":{}}"#)).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(bench.upstream.received().is_empty(), "{query}");
    }
}

#[tokio::test]
async fn each_host_is_its_own_workspace() {
    let mut bench = bench(|setup| setup).await;
    let port = bench.gateway.address.port();
    let to = |host: &str, token: &str, body: &str| {
        let mut request = request("POST /users", token, body);
        request.headers_mut().insert("host", format!("{host}:{port}").parse().expect("a header"));
        request
    };
    let body = r#"{"plan":"pro","seats":5}"#;
    assert_eq!(bench.passes(to("localhost", "", body)).await.json(), json!({}));
    assert_eq!(bench.record()["workspace"], "acme");
    assert_eq!(bench.passes(to("127.0.0.1", "", body)).await.json(), json!({"plan": "pro"}));
    assert_eq!(bench.record()["workspace"], "other");
    // A key of one signs nothing for the other.
    let signed = token("user-42", r#""seats":7"#);
    assert_eq!(bench.passes(to("localhost", &signed, body)).await.json(), json!({"seats": 7}));
    assert_eq!(bench.passes(to("127.0.0.1", &signed, body)).await.json(), json!({"plan": "pro"}));
    assert_eq!(bench.record()["proof"], "bad_signature");
    for (host, status) in [("a.localhost", 404), ("localhost.", 404), ("evil.test", 421), ("[::1]", 404)] {
        let answer = bench.send(to(host, "", body)).await;
        assert!([status, 400].contains(&answer.status.as_u16()), "{host}: {}", answer.status);
        assert!(bench.upstream.received().is_empty() || host == "localhost.", "{host}");
    }
}
