//! A secret that a browser sends goes nowhere: asserted on what the upstream received, on the record, on the metric and on the log.

use std::net::SocketAddr;

use http::Request;
use serde_json::{Value, json};

use crate::support::client::form_request;
use crate::support::{Bench, LEAD, Received, SECRET, Setup, Token, form, ping_form};

const PING: &str = "/messenger/web/ping";

/// The secret of a key of another workspace.
const OTHER_SECRET: &str = "another-secret-0123456789abcdef01234567";

const PRIVATE_KEY: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIPmhkYzbVV0Hl9x4bA\n-----END PRIVATE KEY-----\n";

/// A piece of [`PRIVATE_KEY`], by which it is known in any spelling.
const KEY_PIECE: &str = "MC4CAQAwBQYDK2VwBCIEIPmhkYzbVV0Hl9x4bA";

/// The workspace `acme` beside another one, which has a key of its own.
fn setup(upstream: SocketAddr) -> Setup {
    let other = crate::support::gateway::ACME
        .replace("abc12345", "other123")
        .replace("TEST_SECRET", "OTHER_SECRET")
        .replace("web-2026-11", "other-2026-11");
    Setup::acme(upstream).workspace("other", &other)
}

async fn bench(change: impl FnOnce(Setup) -> Setup) -> Bench {
    Bench::start(|upstream| change(setup(upstream))).await
}

/// No secret is in what the upstream received, in whatever spelling it would have come.
#[track_caller]
fn assert_clean(received: &Received) {
    let body = std::str::from_utf8(&received.body).expect("text");
    let decoded = percent_encoding::percent_decode_str(&body.replace('+', " ")).decode_utf8_lossy().into_owned();
    for text in [body, &decoded, &received.target] {
        for secret in [SECRET, OTHER_SECRET, KEY_PIECE, "PRIVATE KEY"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

/// Sends `user_data` with a `ping`; gives what the upstream read of it.
async fn ping(bench: &mut Bench, user_data: &str) -> Value {
    let received = bench.passes(form_request(PING, ping_form(user_data))).await;
    assert_clean(&received);
    received.user_data()
}

/// The names that the last record has with the verdict `secret`; all of them were carried out.
#[track_caller]
fn secret_names(bench: &Bench) -> Vec<String> {
    let record = bench.record();
    let attributes = record["attributes"].as_array().expect("a list");
    let secret = attributes.iter().filter(|one| one["verdict"] == "secret");
    secret
        .map(|one| {
            assert_eq!(one["applied"], true, "{record}");
            one["name"].as_str().expect("a name").to_owned()
        })
        .collect()
}

/// How often the metric counted.
#[track_caller]
fn leaks(bench: &Bench, kind: &str) -> u64 {
    let metrics = bench.gateway.admin_get("/metrics");
    let series = format!("countersign_leaks_total{{workspace=\"acme\",kind=\"{kind}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse().expect("a number"))
}

#[tokio::test]
async fn a_configured_secret_goes_nowhere_wherever_it_stands() {
    let mut bench = bench(|setup| setup.with(r#"mode = "enforce""#, "mode = \"enforce\"\nunlisted = \"keep\"")).await;
    let escaped = SECRET.replacen('s', r"\u0073", 1);
    let mut count = 0;
    for (member, name) in [
        (format!(r#""name":"{SECRET}""#), "name"),
        (format!(r#""name":"  {OTHER_SECRET}\n""#), "name"),
        (format!(r#""name":"{escaped}""#), "name"),
        (format!(r#""plan":"{SECRET}""#), "plan"),
        (format!(r#""trial":"{SECRET}""#), "trial"),
        (format!(r#""unlisted":"{SECRET}""#), "unlisted"),
        (format!(r#""unlisted":"Bearer {SECRET}""#), "unlisted"),
        (format!(r#""unlisted":"https://app.acme.example/?secret={SECRET}&a=1""#), "unlisted"),
        (format!(r#""unlisted":["a",["{SECRET}"]]"#), "unlisted"),
        (format!(r#""unlisted":{{"deep":{{"er":"{SECRET}"}}}}"#), "unlisted"),
        (format!(r#""unlisted":{{"{SECRET}":1}}"#), "unlisted"),
        (format!(r#""page_title":"{SECRET}""#), "page_title"),
        (format!(r#""user_hash":"{SECRET}""#), "user_hash"),
        (format!(r#""avatar":{{"image_url":"{SECRET}"}}"#), "avatar.image_url"),
        (format!(r#""custom_attributes":{{"anything":"{SECRET}"}}"#), "anything"),
        (format!(r#""company":"{SECRET}""#), "company"),
    ] {
        let read = ping(&mut bench, &format!(r#"{{"nickname":"bob",{member}}}"#)).await;
        assert_eq!(read, json!({"nickname": "bob"}), "{member}");
        assert_eq!(secret_names(&bench), [name], "{member}");
        count += 1;
        assert_eq!((leaks(&bench, "configured_secret"), leaks(&bench, "private_key")), (count, 0), "{member}");
    }
    // The near misses: a character less, another case.
    let (without_first, without_last) = (SECRET.strip_prefix('t'), SECRET.strip_suffix('9'));
    let near = [without_first.expect("a prefix"), without_last.expect("a suffix"), &SECRET.to_uppercase()];
    for near in near {
        let read = bench.passes(form_request(PING, ping_form(&json!({"nickname": near}).to_string()))).await;
        assert_eq!(read.user_data(), json!({"nickname": near}));
    }
    assert_eq!(leaks(&bench, "configured_secret"), count);
}

#[tokio::test]
async fn a_private_key_goes_nowhere_whatever_its_kind_and_its_spelling() {
    let mut bench = bench(|setup| setup.with(r#"mode = "enforce""#, "mode = \"enforce\"\nunlisted = \"keep\"")).await;
    let mut count = 0;
    for kind in ["", "ENCRYPTED ", "RSA ", "EC ", "OPENSSH "] {
        let key = PRIVATE_KEY.replace("PRIVATE KEY", &format!("{kind}PRIVATE KEY"));
        for text in [key.clone(), key.replace('\n', r"\n"), key.replace('\n', " "), format!("key: {key}")] {
            let read = ping(&mut bench, &json!({"nickname": "bob", "notes": text}).to_string()).await;
            assert_eq!(read, json!({"nickname": "bob"}), "{text}");
            assert_eq!(secret_names(&bench), ["notes"]);
            count += 1;
        }
    }
    assert_eq!((leaks(&bench, "configured_secret"), leaks(&bench, "private_key")), (0, count));
    let public = PRIVATE_KEY.replace("PRIVATE", "PUBLIC");
    let read = bench.passes(form_request(PING, ping_form(&json!({"notes": public}).to_string()))).await;
    assert_eq!(read.user_data(), json!({"notes": public}));
}

#[tokio::test]
async fn neither_observe_nor_off_lets_a_secret_through_and_nothing_else_changes() {
    for mode in ["observe", "off"] {
        let mut bench = bench(|setup| setup.with(r#"mode = "enforce""#, &format!("mode = \"{mode}\""))).await;
        let sent = json!({"plan": "pro", "is_admin": true, "notes": PRIVATE_KEY, "nickname": {"a": [SECRET]}});
        let read = ping(&mut bench, &sent.to_string()).await;
        assert_eq!(read, json!({"plan": "pro", "is_admin": true}), "{mode}");
        assert_eq!(secret_names(&bench), ["nickname", "notes"], "{mode}");
        assert_eq!((leaks(&bench, "configured_secret"), leaks(&bench, "private_key")), (1, 1), "{mode}");
        // A company without its id would be another company.
        let company = json!({"nickname": "bob", "company": {"company_id": SECRET, "name": "A", "plan": "pro"}});
        assert_eq!(ping(&mut bench, &company.to_string()).await, json!({"nickname": "bob"}), "{mode}");
        assert_eq!(bench.verdict("company.name"), "incomplete", "{mode}");
    }
}

#[tokio::test]
async fn of_a_list_of_companies_only_the_attribute_with_the_secret_goes() {
    let mut bench = bench(|setup| setup).await;
    let sent = json!({"companies": [
        {"company_id": "1", "name": "A", "size": SECRET},
        {"company_id": "2", "name": "B", "size": 3},
    ]});
    let read = ping(&mut bench, &sent.to_string()).await;
    let expected = json!([{"company_id": "1", "name": "A"}, {"company_id": "2", "name": "B", "size": 3}]);
    assert_eq!(read, json!({"companies": expected}));
    assert_eq!(secret_names(&bench), ["company.size"]);
}

#[tokio::test]
async fn a_name_that_is_a_secret_is_written_nowhere() {
    let mut bench = bench(|setup| setup.with(r#"mode = "enforce""#, r#"mode = "observe""#)).await;
    let named = |name: &str| format!(r#"{{"nickname":"bob","{name}":true}}"#);
    for name in [SECRET, &SECRET.replacen('e', r"\u0065", 1), &format!("x {SECRET}")] {
        assert_eq!(ping(&mut bench, &named(name)).await, json!({"nickname": "bob"}), "{name}");
        assert_eq!(secret_names(&bench), ["(a secret)"]);
    }
    let beside = form(&[("app_id", "abc12345"), (SECRET, "1"), ("user_data", "{}")]);
    assert_clean(&bench.passes(form_request(PING, beside)).await);
    assert_eq!(secret_names(&bench), ["(a secret)"]);
    let record = bench.record().to_string();
    let metrics = bench.gateway.admin_get("/metrics");
    let log = bench.gateway.await_log("secret_leaked");
    for text in [record, metrics, log, bench.gateway.log()] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[tokio::test]
async fn the_alarm_names_the_key_and_the_attribute_and_is_not_said_twice() {
    let mut bench = bench(|setup| setup).await;
    for _ in 0..3 {
        ping(&mut bench, &json!({"nickname": OTHER_SECRET}).to_string()).await;
    }
    ping(&mut bench, &json!({"nickname": PRIVATE_KEY}).to_string()).await;
    let alarm: Value = bench.gateway.await_log("secret_leaked").parse().expect("JSON");
    let fields = &alarm["fields"];
    assert_eq!(alarm["level"], "ERROR");
    assert_eq!((&fields["workspace"], &fields["attribute"]), (&json!("acme"), &json!("nickname")));
    assert_eq!((&fields["key_workspace"], &fields["key"]), (&json!("other"), &json!("other-2026-11")));
    assert_eq!(fields["kind"], "configured_secret");
    let second: Value = bench.gateway.await_log("secret_leaked").parse().expect("JSON");
    assert_eq!(second["fields"]["kind"], "private_key");
    assert_eq!(second["fields"].get("key"), None);
    assert_eq!((leaks(&bench, "configured_secret"), leaks(&bench, "private_key")), (3, 1));
    let log = bench.gateway.log();
    assert_eq!(log.matches("secret_leaked").count(), 2, "{log}");
    for text in [log, bench.record().to_string(), bench.gateway.admin_get("/metrics")] {
        assert!(!text.contains(OTHER_SECRET) && !text.contains(KEY_PIECE), "{text}");
    }
}

#[tokio::test]
async fn an_event_goes_on_without_the_secret_in_its_metadata() {
    let mut bench = bench(|setup| setup).await;
    let events = json!([{"event_name": "order", "metadata": {"price": 1, "config": {"key": SECRET}, "pem": [PRIVATE_KEY, "a"]}}]);
    let body =
        form(&[("app_id", "abc12345"), ("user_data", r#"{"nickname":"bob"}"#), ("event_list", &events.to_string())]);
    let received = bench.passes(form_request("/messenger/web/events", body)).await;
    assert_clean(&received);
    let left: Value = received.field("event_list")[0].parse().expect("JSON");
    assert_eq!(left, json!([{"event_name": "order", "metadata": {"price": 1, "pem": ["a"]}}]));
    assert_eq!(secret_names(&bench), ["event_list.metadata.config.key", "event_list.metadata.pem"]);
    assert_eq!((leaks(&bench, "configured_secret"), leaks(&bench, "private_key")), (1, 1));
    // As brackets; and an event that is nothing else.
    let body = form(&[
        ("app_id", "abc12345"),
        ("event_list[0][event_name]", "order"),
        ("event_list[0][metadata][key]", SECRET),
    ]);
    let received = bench.passes(form_request("/messenger/web/events", body)).await;
    assert_clean(&received);
    assert_eq!(received.field("event_list[0][event_name]"), ["order"]);
    let body = form(&[("app_id", "abc12345"), ("event_list", &json!([SECRET]).to_string())]);
    let received = bench.passes(form_request("/messenger/web/events", body)).await;
    assert_eq!(received.field("event_list"), ["[]"]);
}

#[tokio::test]
async fn every_kind_of_request_and_every_carrier_is_searched() {
    let mut bench = bench(|setup| setup).await;
    let data = json!({"nickname": SECRET}).to_string();
    for path in ["metrics", "page_view_events", "open", "conversations/7/reply", "brand_new"] {
        let received = bench.passes(form_request(&format!("/messenger/web/{path}"), ping_form(&data))).await;
        assert_clean(&received);
        assert_eq!(received.user_data(), json!({}), "{path}");
        assert_eq!(secret_names(&bench), ["nickname"], "{path}");
    }
    // Brackets, every byte percent-encoded, a field that is an attribute itself, a field beside the attributes.
    let encoded: String = SECRET.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for (path, body, name) in [
        (PING, format!("app_id=abc12345&user_data[nickname]={SECRET}&user_data[name]=A"), "nickname"),
        (PING, format!("app_id=abc12345&user_data[nickname]={encoded}&user_data[name]=A"), "nickname"),
        (PING, format!("app_id=abc12345&user_data=%7b%22nickname%22%3a%22{encoded}%22%7d"), "nickname"),
        ("/messenger/web/messages", format!("app_id=abc12345&user_data={{}}&email={encoded}"), "email"),
        (PING, format!("app_id=abc12345&user_data={{}}&page_title=a{encoded}"), "page_title"),
        (PING, format!("app_id=abc12345&user_data={{}}&user_hash={encoded}"), "user_hash"),
    ] {
        let received = bench.passes(form_request(path, body.clone())).await;
        assert_clean(&received);
        assert_eq!(received.field("app_id"), ["abc12345"], "{body}");
        assert_eq!(secret_names(&bench), [name], "{body}");
    }
}

#[tokio::test]
async fn a_bots_answer_that_is_a_secret_is_no_answer() {
    let mut bench = Bench::with_lead(|setup| setup).await;
    let answer = |identifier: &str, value: &str| {
        let params = json!({"identifier": identifier, "value": value, "conversation_part_id": "9"}).to_string();
        form_request(
            "/messenger/web/conversations/7/form",
            form(&[("app_id", "abc12345"), LEAD, ("form_params", &params), ("user_data", "{}")]),
        )
    };
    for (identifier, value) in [("phone", SECRET), ("phone", PRIVATE_KEY), (SECRET, "1"), ("custom_data.x", SECRET)] {
        assert_eq!(bench.refused(answer(identifier, value), 403).await, "nothing_left");
        assert_eq!(secret_names(&bench).len(), 1, "{identifier}");
    }
    bench.passes(answer("phone", "123")).await;
}

#[tokio::test]
async fn a_signed_secret_goes_nowhere_either() {
    // Intercom reads tokens itself, and nobody can take a claim out of one: the request goes nowhere, in no mode.
    for mode in ["enforce", "observe", "off"] {
        let mut bench = bench(|setup| setup.with(r#"mode = "enforce""#, &format!("mode = \"{mode}\""))).await;
        let token = Token::saying(&format!(r#""plan":"pro","seats":"{SECRET}""#)).text();
        for data in [
            json!({"user_id": "user-42", "intercom_user_jwt": token}),
            json!({"user_id": "user-42", "seats": SECRET, "intercom_user_jwt": token}),
            json!({"user_id": "user-42", "seats": 5, "intercom_user_jwt": token}),
        ] {
            let request = form_request(PING, ping_form(&data.to_string()));
            assert_eq!(bench.refused(request, 403).await, "secret_signed", "{mode} {data}");
            assert!(secret_names(&bench).iter().all(|name| name == "seats"), "{mode} {data}");
        }
        assert!(leaks(&bench, "configured_secret") >= 3, "{mode}");
        // A clean token, and a secret beside it: what was signed stays.
        let token = Token::saying(r#""plan":"pro""#).text();
        let sent = json!({"user_id": "user-42", "plan": SECRET, "intercom_user_jwt": token});
        let read = ping(&mut bench, &sent.to_string()).await;
        assert_eq!(read, json!({"user_id": "user-42", "intercom_user_jwt": token}), "{mode}");
    }
}

/// An API that reads no tokens: what they sign is written into the body.
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
plan = { lock = "enforce" }
seats = { lock = "enforce" }
nickname = { lock = "off" }

[[routes]]
path = "/users/{id}"
methods = ["PATCH"]
attributes = "/user/attributes"
subject = "path:id"
"#;

#[tokio::test]
async fn a_json_body_is_searched_within_the_attributes_and_beside_them() {
    let mut bench = Bench::start(|upstream| Setup::new(upstream).workspace("acme", API)).await;
    let request = |target: &str, token: &str, body: Value| {
        let request = Request::patch(target)
            .header("origin", "https://app.acme.example")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"));
        request.body(body.to_string()).expect("a request")
    };
    let body = json!({
        "note": {"a": [1, SECRET, {"b": PRIVATE_KEY, "c": 2}]}, SECRET: 1,
        "user": {"attributes": {"nickname": SECRET, "plan": "pro"}, "x": SECRET, "y": 1.10},
    });
    let received = bench.passes(request("/users/user-42", "none", body)).await;
    assert_clean(&received);
    assert_eq!(received.json(), json!({"note": {"a": [1, {"c": 2}]}, "user": {"attributes": {}, "y": 1.10}}));
    let names = ["nickname", "note.a", "note.a.b", "(a secret)", "user.x"];
    let mut found = secret_names(&bench);
    found.sort_unstable();
    let mut expected = names.map(str::to_owned).to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);

    // Signed: what is clean is written into the body, what is not is not.
    let token = Token::of(&format!(
        r#"{{"sub":"user-42","exp":{},"plan":"pro","seats":"{SECRET}"}}"#,
        crate::support::token::now() + 600
    ));
    let body = json!({"user": {"attributes": {"nickname": "bob", "plan": SECRET}}});
    let received = bench.passes(request("/users/user-42", &token.text(), body)).await;
    assert_clean(&received);
    assert_eq!(received.json(), json!({"user": {"attributes": {"nickname": "bob", "plan": "pro"}}}));
    assert_eq!(secret_names(&bench), ["plan", "seats"]);

    // A query goes on as it came, so such a request goes nowhere.
    let target = format!("/users/user-42?note={SECRET}");
    assert_eq!(bench.refused(request(&target, "none", json!({"user": {}})), 400).await, "document_in_query");
    assert!(leaks(&bench, "configured_secret") > 0);
}
