//! Attacks that belong to no single area; docs/attacks.md says which test shows which.

use http::Request;
use serde_json::json;

use crate::support::client::form_request;
use crate::support::gateway::{ACME, write_whole};
use crate::support::token::{now, user_hash};
use crate::support::{Bench, LEAD, Setup, Token, form, ping_form};

const PING: &str = "/messenger/web/ping";

async fn bench(change: impl FnOnce(Setup) -> Setup) -> Bench {
    Bench::start(|upstream| change(Setup::acme(upstream))).await
}

fn ping(user_data: &str) -> Request<String> {
    form_request(PING, ping_form(user_data))
}

#[tokio::test]
async fn names_that_the_backend_folds_into_a_locked_one_are_that_one() {
    let locked = "plan_tier = { lock = \"enforce\" }\nplan = {";
    let keep = "mode = \"enforce\"\nunlisted = \"keep\"";
    let mut bench =
        bench(|setup| setup.with("\nplan = {", &format!("\n{locked}")).with(r#"mode = "enforce""#, keep)).await;
    for name in [
        "plan_tier",
        "plan.tier",
        "plan$tier",
        "plan tier",
        "plan@tier",
        "plan'tier",
        "plan|tier",
        "PLAN_TIER",
        "Plan.Tier",
        " plan_tier",
        "plan_tier ",
        "plan_tier\t",
        "\u{ff50}lan_tier",
        "plan\u{ff3f}tier",
        "plan\u{ff0e}tier",
        "plan_\u{200b}tier",
        "plan_tier\u{feff}",
        "\u{ad}plan_tier",
        "p\u{2060}lan_tier",
        "custom_attributes.plan_tier",
    ] {
        let data = json!({name: "pro", "nickname": "bob"}).to_string();
        assert_eq!(bench.passes(ping(&data)).await.user_data(), json!({"nickname": "bob"}), "{name:?}");
    }
    for name in ["plan_tiers", "plantier", "my_plan_tier", "plan-tier", "pl\u{e0}n_tier"] {
        let data = json!({name: "pro"});
        assert_eq!(bench.passes(ping(&data.to_string())).await.user_data(), data, "{name:?} is another name");
    }
    assert_eq!(bench.refused(ping(r#"{"plan\u0000_tier":"pro"}"#), 400).await, "json_nul");
}

#[tokio::test]
async fn an_alias_is_the_attribute_that_it_stands_for() {
    let id = r#""company.company_id" = { lock = "enforce" }"#;
    let mut bench = bench(|setup| setup.with(r#""company.company_id" = { lock = "off" }"#, id)).await;
    for name in ["company_id", "id", "companyId", "ID"] {
        // A company without its id would be another one.
        let data = json!({"company": {name: "victim", "name": "A", "size": 3}, "nickname": "bob"}).to_string();
        let read = bench.passes(ping(&data)).await.user_data();
        assert!(!read.to_string().contains("victim"), "{name}: {read}");
    }
    for member in [
        json!({"signed_up_at": 1}),
        json!({"signedUpAt": 1}),
        json!({"createdAt": 1}),
        json!({"phone_number": "1"}),
        json!({"phoneNumber": "1"}),
        json!({"custom_data": {"signed_up_at": 1}}),
        json!({"company": {"company_id": "1", "name": "A", "custom_attributes": {"plan": "pro"}}}),
        json!({"companies": [{"id": "1", "name": "A", "custom_data": {"Plan": "pro"}}]}),
    ] {
        let read = bench.passes(ping(&member.to_string())).await.user_data().to_string();
        for value in ["pro", ":1", "\"1\""] {
            assert!(!read.contains(value), "{member}: {read}");
        }
    }
    let data = r#"{"external_id":"user-43","userId":"user-43","nickname":"bob"}"#;
    let read = bench.passes(ping(data)).await.user_data();
    assert_eq!(read, json!({"nickname": "bob"}), "an id that nobody listed, under another name");
}

#[tokio::test]
async fn a_living_session_does_not_mend_an_expired_token() {
    let expired = Token::of(&format!(r#"{{"user_id":"user-42","exp":{},"plan":"pro"}}"#, now() - 60)).text();
    let data =
        json!({"user_id": "user-42", "plan": "pro", "nickname": "bob", "intercom_user_jwt": expired}).to_string();
    assert!(ping_form(&data).contains("anonymous_session=c2Vzc2lvbg"));
    let mut lenient = bench(|setup| setup).await;
    let read = lenient.passes(ping(&data)).await.user_data();
    assert_eq!((read.get("plan"), &read["nickname"]), (None, &json!("bob")));
    let mut strict = bench(|setup| setup.with(r#"require = "never""#, r#"require = "identified""#)).await;
    assert_eq!(strict.refused(ping(&data), 403).await, "expired");
    assert_eq!(strict.refused(ping(r#"{"user_id":"user-42"}"#), 403).await, "identity_missing");
    // The session alone names nobody here, and signs nothing.
    assert_eq!(strict.passes(ping(r#"{"plan":"pro"}"#)).await.user_data(), json!({}));
}

#[tokio::test]
async fn an_answer_without_its_question_is_no_leads_answer() {
    let mut bench = Bench::with_lead(|setup| setup).await;
    let path = "/messenger/web/conversations/7/form";
    let answer = |params: &str| form(&[("app_id", "abc12345"), LEAD, ("form_params", params), ("user_data", "{}")]);
    let part = |part: &str| format!(r#"{{"identifier":"phone","value":"123","conversation_part_id":{part}}}"#);
    bench.passes(form_request(path, answer(&part("9")))).await;
    for params in [
        r#"{"identifier":"phone","value":"123"}"#.to_owned(),
        part("null"),
        part(r#""""#),
        part(r#"" ""#),
        part(r#""undefined""#),
        part(r#""null""#),
        part("[9]"),
        part("{}"),
        part("true"),
    ] {
        assert_eq!(bench.refused(form_request(path, answer(&params)), 403).await, "nothing_left", "{params}");
    }
    for conversation in ["undefined", "null", "%20"] {
        let path = format!("/messenger/web/conversations/{conversation}/form");
        assert_eq!(bench.refused(form_request(&path, answer(&part("9"))), 403).await, "nothing_left", "{path}");
    }
    // Its value may be anything but an erasure, and its name one and a text.
    for params in [
        r#"{"identifier":"phone","value":null,"conversation_part_id":9}"#,
        r#"{"identifier":"phone","value":"","conversation_part_id":9}"#,
        r#"{"identifier":"phone","conversation_part_id":9}"#,
        r#"{"identifier":"phone","value":["1"],"conversation_part_id":9}"#,
        r#"{"identifier":"Phone","value":"1","conversation_part_id":9}"#,
        r#"{"identifier":"plan","value":"pro","conversation_part_id":9}"#,
        r#"{"identifier":"is_admin","value":true,"conversation_part_id":9}"#,
    ] {
        assert_eq!(bench.refused(form_request(path, answer(params)), 403).await, "nothing_left", "{params}");
    }
    for params in [
        r#"{"identifier":["phone"],"value":"1","conversation_part_id":9}"#,
        r#"{"value":"1","conversation_part_id":9}"#,
        r#"{"identifier":"nickname","identifier":"phone","value":"1","conversation_part_id":9}"#,
        r#"["phone"]"#,
    ] {
        bench.refused(form_request(path, answer(params)), 400).await;
    }
    // The same question at an address that collects nothing.
    bench.refused(form_request("/messenger/web/ping", answer(&part("9"))), 400).await;
}

#[tokio::test]
async fn fields_that_are_answers_themselves_are_judged_too() {
    let mut bench = Bench::with_lead(|setup| setup).await;
    let path = "/apps/abc12345/notification_channels/phone_number";
    let answer = |pairs: &[(&str, &str)]| form_request(path, form(&[&[("app_id", "abc12345"), LEAD], pairs].concat()));
    assert_eq!(bench.passes(answer(&[("phone_number", "123")])).await.field("phone_number"), ["123"]);
    let session = |session| form(&[("app_id", "abc12345"), ("phone_number", "123"), ("anonymous_session", session)]);
    bench.refused(form_request(path, session("x")), 403).await;
    bench.refused(form_request(path, session("")), 403).await;
    bench.refused(answer(&[("phone_number", "123"), ("user_id", "user-42")]), 403).await;
    bench.refused(answer(&[("phone_number", "123"), ("user_hash", &user_hash("user-42"))]), 403).await;
    bench.refused(answer(&[("phone_number", "")]), 403).await;
    for pairs in [
        &[("phone_number", "1"), ("phone_number", "2")][..],
        &[("Phone_Number", "1")],
        &[("phone_number[]", "1")],
        &[("phone.number", "1")],
    ] {
        bench.refused(answer(pairs), 400).await;
    }
    for query in ["phone_number=1", "Phone_Number=1", "phone_number[]=1"] {
        let mut request = answer(&[("phone_number", "123")]);
        *request.uri_mut() = format!("{path}?{query}").parse().expect("a target");
        bench.refused(request, 400).await;
    }
}

#[tokio::test]
async fn nothing_passes_that_cannot_be_read() {
    let mut bench = bench(|setup| setup).await;
    let sealed = "AAAAAAAAAAAAAAAAtcBVpVKbrUti9qHBV7sNU0YaoV8TYcNGTaiXvZas+u4zcw/h+TjicJnEGZqawM29RdE=";
    let with = |name: &str, value: &str| {
        form_request(PING, format!("{}&{}", ping_form(r#"{"nickname":"bob"}"#), form(&[(name, value)])))
    };
    for value in [sealed, "x", "0", " "] {
        bench.refused(with("_intercomEncryptedPayload", value), 403).await;
    }
    for name in [
        "_IntercomEncryptedPayload",
        "_intercomencryptedpayload",
        "_intercomEncryptedPayload[]",
        " _intercomEncryptedPayload",
    ] {
        let answer = bench.send(with(name, sealed)).await;
        assert!(answer.status.is_client_error(), "{name}: {}", answer.status);
        assert!(bench.upstream.received().is_empty(), "{name}");
    }
    let mut in_query = ping("{}");
    *in_query.uri_mut() = format!("{PING}?_intercomEncryptedPayload=AAAA").parse().expect("a target");
    let answer = bench.send(in_query).await;
    assert!(answer.status.is_client_error(), "{}", answer.status);
    for nothing in ["", "undefined"] {
        bench.passes(with("_intercomEncryptedPayload", nothing)).await;
    }
}

#[tokio::test]
async fn a_huge_token_costs_nothing() {
    let mut bench = bench(|setup| setup).await;
    let huge = format!("{}.{}", Token::saying(r#""plan":"pro""#).text(), "a".repeat(30_000));
    let data = json!({"user_id": "user-42", "plan": "pro", "intercom_user_jwt": huge}).to_string();
    assert_eq!(bench.passes(ping(&data)).await.user_data().get("plan"), None);
    assert_eq!(bench.record()["proof"], "too_large");
    let data = json!({"intercom_user_jwt": "a".repeat(70_000)}).to_string();
    assert_eq!(bench.refused(ping(&data), 400).await, "json_text_too_long");
    // A megabyte is not read to its end: whether its sender sees the answer or the end of the connection is a race.
    let data = json!({"intercom_user_jwt": "a".repeat(1 << 20)}).to_string();
    if let Ok(answer) = bench.client.try_send(ping(&data)).await {
        assert_eq!(answer.status, 413);
    }
    assert!(bench.upstream.received().is_empty());
}

#[tokio::test]
async fn ids_are_compared_as_text_and_to_the_last_digit() {
    let mut bench = bench(|setup| setup).await;
    let exp = now() + 600;
    let token = |id: &str| Token::of(&format!(r#"{{"user_id":{id},"exp":{exp},"plan":"pro"}}"#)).text();
    for (signed, sent, same) in [
        ("42", "42", true),
        ("42", r#""42""#, true),
        (r#""42""#, "42", true),
        ("9007199254740993", r#""9007199254740993""#, true),
        ("9007199254740993", "9007199254740992", false),
        ("42", "42.0", false),
        ("42", "4.2e1", false),
        (r#""042""#, "42", false),
        (r#""user-42""#, r#""user-42 ""#, false),
        (r#""user-42""#, r#""USER-42""#, false),
        (r#""user-42""#, r#""undefined""#, false),
        (r#""user-42""#, r#""null""#, false),
        (r#""user-42""#, r#""""#, false),
    ] {
        let data = format!(r#"{{"user_id":{sent},"plan":"free","intercom_user_jwt":"{}"}}"#, token(signed));
        if same {
            let received = bench.passes(ping(&data)).await;
            assert_eq!(received.user_data()["plan"], "pro");
            assert!(received.field("user_data")[0].contains(&format!(r#""user_id":{sent},"#)), "to the digit");
        } else {
            assert_eq!(bench.refused(ping(&data), 403).await, "subject_mismatch", "{signed} {sent}");
        }
    }
    for id in ["true", "[42]", r#"["user-42"]"#, r#"{"id":42}"#] {
        let data = format!(r#"{{"user_id":{id},"plan":"pro"}}"#);
        assert_eq!(bench.refused(ping(&data), 400).await, "place_not_text");
    }
}

#[tokio::test]
async fn a_user_called_undefined_is_not_nobody() {
    let mut bench = bench(|setup| setup.with(r#"require = "never""#, r#"require = "identified""#)).await;
    for id in ["undefined", "null", "", " ", "0"] {
        let data = json!({"user_id": id, "nickname": "bob"}).to_string();
        assert_eq!(bench.refused(ping(&data), 403).await, "identity_missing", "{id:?}");
        let data = json!({"email": id, "nickname": "bob"}).to_string();
        assert_eq!(bench.refused(ping(&data), 403).await, "identity_missing", "{id:?}");
    }
    for id in ["user-42", "null", ""] {
        let body = form(&[("app_id", "abc12345"), ("user_id", id), ("user_data", r#"{"nickname":"bob"}"#)]);
        assert_eq!(bench.refused(form_request(PING, body), 403).await, "identity_missing", "{id:?}");
    }
    for token in ["undefined", "null", ""] {
        let data = json!({"nickname": "bob", "intercom_user_jwt": token}).to_string();
        assert_eq!(bench.refused(ping(&data), 403).await, "malformed", "{token:?}");
    }
    // What scripts write into a form for nothing at all is nothing at all.
    for name in ["user_id", "intercom_user_jwt", "user_hash"] {
        let body = form(&[("app_id", "abc12345"), (name, "undefined"), ("user_data", r#"{"nickname":"bob"}"#)]);
        bench.passes(form_request(PING, body)).await;
    }
    bench.passes(ping(r#"{"user_id":null,"email":null,"nickname":"bob"}"#)).await;
}

/// A messenger that proves its users at one address and takes what they say at the next.
const TWO_DOORS: &str = r#"
profile = "json"
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"

[identity]
require = "always"

[[identity.keys]]
id = "one"
algorithm = "HS256"
secret = { env = "TEST_SECRET" }
use = ["jwt"]

[attributes]
plan = { lock = "enforce" }
nickname = { lock = "off" }

[[routes]]
path = "/sessions/identify"
methods = ["POST"]
attributes = ""
"#;

#[tokio::test]
async fn a_second_door_is_shut_or_judged() {
    let json = |path: &str, token: &str| {
        Request::post(path)
            .header("origin", "https://app.acme.example")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .body(r#"{"plan":"pro","nickname":"bob"}"#.to_owned())
            .expect("a request")
    };
    let token = Token::of(&format!(r#"{{"sub":"user-42","exp":{}}}"#, now() + 600)).text();
    let mut shut = Bench::start(|upstream| Setup::new(upstream).workspace("acme", TWO_DOORS)).await;
    assert_eq!(shut.passes(json("/sessions/identify", &token)).await.json(), json!({"nickname": "bob"}));
    assert_eq!(shut.refused(json("/sessions/partialupdate", &token), 404).await, "route_unknown");
    let second = TWO_DOORS.replace(
        "\n[[routes]]",
        "\n[[routes]]\npath = \"/sessions/partialupdate\"\nmethods = [\"POST\"]\nattributes = \"\"\n\n[[routes]]",
    );
    let mut judged = Bench::start(|upstream| Setup::new(upstream).workspace("acme", &second)).await;
    assert_eq!(judged.passes(json("/sessions/partialupdate", &token)).await.json(), json!({"nickname": "bob"}));
    assert_eq!(judged.refused(json("/sessions/partialupdate", ""), 401).await, "identity_missing");
}

/// A profile with a call for servers beside one for widgets.
const SERVER: &str = r#"
title = "With a server's API"
token_reader = "gateway"
workspace_at = []
claims = "user"
[identity]
user_id = []
email = []
session = []
user_id_claims = ["sub"]
email_claims = []
[tokens]
jwt = []
user_hash = []
[shapes.user]
kind = "object"
[operations.update]
on = "POST /update"
class = "update"
body = "json"
documents = { body = "user" }
[operations.contacts]
on = "PUT /contacts/{id}"
class = "server_api"
body = "stream"
"#;

#[tokio::test]
async fn a_servers_api_answers_no_browser() {
    let stolen = |target: &str, method: &str, origin: Option<&str>| {
        let mut request = Request::builder().method(method).uri(target);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request
            .header("authorization", "Bearer stolen")
            .header("api_access_token", "stolen")
            .header("content-type", "application/json")
            .body(r#"{"plan":"pro"}"#.to_owned())
            .expect("a request")
    };
    let app = Some("https://app.acme.example");
    // The shipped profiles have no such calls at all.
    let mut shipped = bench(|setup| setup).await;
    for (target, method) in
        [("/contacts/1", "PUT"), ("/contacts", "POST"), ("/users", "POST"), ("/api/v1/accounts/1/contacts/1", "PUT")]
    {
        shipped.refused(stolen(target, method, app), 404).await;
        shipped.refused(stolen(target, method, None), 404).await;
    }
    let workspace = ACME
        .replace("intercom-web", "server")
        .replace("app_ids = [\"abc12345\"]\n", "")
        .replace("company.", "company_");
    let mut bench = Bench::start(|upstream| {
        let setup = Setup::new(upstream).workspace("acme", &workspace);
        std::fs::create_dir_all(setup.policies().join("profiles")).expect("made");
        write_whole(&setup.policies().join("profiles/server.toml"), SERVER);
        setup
    })
    .await;
    for origin in [app, Some("https://evil.example"), Some("null"), Some("")] {
        bench.refused(stolen("/contacts/1", "PUT", origin), 403).await;
    }
    let received = bench.passes(stolen("/contacts/1", "PUT", None)).await;
    assert_eq!(received.body, br#"{"plan":"pro"}"#[..], "a server's call is streamed and not judged");
    bench.refused(stolen("/contacts/1", "POST", None), 405).await;
    bench.refused(stolen("/update", "POST", None), 403).await;
}

#[tokio::test]
async fn another_method_in_a_form_is_refused() {
    let mut bench = bench(|setup| setup).await;
    for name in ["_method", "_METHOD", ".method", "_method[]"] {
        let body = format!("{}&{}", ping_form("{}"), form(&[(name, "DELETE")]));
        assert_eq!(bench.refused(form_request(PING, body), 400).await, "method_override", "{name}");
        let mut request = ping("{}");
        *request.uri_mut() = format!("{PING}?{}", form(&[(name, "DELETE")])).parse().expect("a target");
        assert_eq!(bench.refused(request, 400).await, "method_override", "{name}");
    }
    // As a name within the document it is an attribute that nobody listed.
    assert_eq!(bench.passes(ping(r#"{"_method":"DELETE"}"#)).await.user_data(), json!({}));
}

#[tokio::test]
async fn another_spelling_of_a_known_path_is_no_unknown_path() {
    let mut bench = bench(|setup| setup).await;
    let address = form(&[("app_id", "abc12345"), ("email", "canary@example.com")]);
    let answer =
        "app_id=abc12345&form_params[identifier]=phone&form_params[value]=1&form_params[conversation_part_id]=9";
    for path in [
        "banners/3/collect_email.json",
        "banners/3/Collect_Email",
        "BANNERS/3/collect_email",
        "banners/3/collect_email.",
        "conversations/7/form.json",
        "conversations/7/FORM",
        "surveys/7/submit.xml",
    ] {
        for body in [address.as_str(), answer, "app_id=abc12345"] {
            let request = form_request(&format!("/messenger/web/{path}"), body.to_owned());
            assert_eq!(bench.refused(request, 404).await, "route_unknown", "{path}");
        }
    }
    // What only looks a little like a known path is an unknown one, and judged.
    for path in ["banners/3/collect_emails", "banners/3/collect_email.v2/x", "form.json", "anything.json"] {
        let received = bench.passes(form_request(&format!("/messenger/web/{path}"), address.clone())).await;
        assert_eq!(received.field("email"), Vec::<String>::new(), "{path}");
    }
}

#[tokio::test]
async fn an_address_typed_in_front_of_a_message_is_judged() {
    let mut bench = bench(|setup| setup).await;
    for path in ["messages", "conversations/7/reply", "whatever/comes/next"] {
        let typed =
            form(&[("app_id", "abc12345"), ("body", "hi"), ("email", "canary@example.com"), ("phone_number", "555")]);
        let received = bench.passes(form_request(&format!("/messenger/web/{path}"), typed)).await;
        assert_eq!((received.field("email"), received.field("phone_number")), (vec![], vec![]), "{path}");
        assert_eq!(received.field("body"), ["hi"]);
        assert_eq!((bench.verdict("email"), bench.verdict("phone")), ("locked".into(), "locked".into()), "{path}");
    }
    let mut open = Bench::acme(|setup| {
        setup.with(r#"email = { lock = "enforce", type = "email" }"#, r#"email = { lock = "off", type = "email" }"#)
    })
    .await;
    let typed = form(&[("app_id", "abc12345"), ("email", "ada@example.com")]);
    let received = open.passes(form_request("/messenger/web/messages", typed)).await;
    assert_eq!(received.field("email"), ["ada@example.com"]);
}

#[tokio::test]
async fn a_request_without_its_body_changes_nothing() {
    let mut bench = bench(|setup| setup).await;
    let data = form(&[("user_data", r#"{"plan":"pro"}"#)]);
    for query in [data.as_str(), "user_data[plan]=pro", "user_data%5Bplan%5D=pro", "x=1;user_data[plan]=pro"] {
        for body in ["", "app_id=abc12345"] {
            let request = form_request(&format!("{PING}?app_id=abc12345&{query}"), body.to_owned());
            let answer = bench.send(request).await;
            assert!(answer.status.is_client_error(), "{query} {body}: {}", answer.status);
            assert!(bench.upstream.received().is_empty(), "{query} {body}");
        }
    }
    for method in ["HEAD", "GET"] {
        let mut request = form_request(&format!("{PING}?plan=pro"), String::new());
        *request.method_mut() = method.parse().expect("a method");
        bench.refused(request, 405).await;
    }
}

#[test]
fn every_attack_of_the_document_names_tests_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/attacks.md")).expect("the document");
    let mut numbers = Vec::new();
    for row in document.lines() {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let Some(number) = cells.first().and_then(|cell| cell.trim().parse::<u32>().ok()) else { continue };
        numbers.push(number);
        let tests = cells.last().expect("a cell").split('`').filter_map(|name| name.split_once("::"));
        let mut count = 0;
        for (module, test) in tests {
            let file = if module.starts_with("src/") || module.starts_with("tests/") {
                format!("{module}.rs")
            } else {
                format!("tests/gateway/{module}.rs")
            };
            let text = std::fs::read_to_string(root.join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(text.contains(&format!("fn {test}()")), "attack {number}: no `{test}` in {file}");
            count += 1;
        }
        assert!(count > 0, "attack {number} has no test");
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=77).collect::<Vec<_>>());
}
