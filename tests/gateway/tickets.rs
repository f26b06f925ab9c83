//! Collector tickets: what a bot's own server asked for may be answered, and nothing else.

use std::io::Write;
use std::process::{Command, Stdio};

use http::Request;
use serde_json::json;

use crate::support::client::form_request;
use crate::support::gateway::BINARY;
use crate::support::token::now;
use crate::support::{Bench, Received, SECRET, Setup, Token, form};

const FORM: &str = "/messenger/web/conversations/7/form";
/// The key of tickets.
const BOT: &str = "another-secret-0123456789abcdef01234567";
const TICKET: &str = "ticket";

fn setup(setup: Setup) -> Setup {
    let leeway = "leeway = \"30s\"";
    let places = "ticket_at = [\"field:ticket\", \"header:x-bot-ticket\"]";
    let key = "[[identity.keys]]\nid = \"bot\"\nalgorithm = \"HS256\"\nsecret = { env = \"OTHER_SECRET\" }\nuse = [\"collector_ticket\"]";
    setup.with(leeway, &format!("{leeway}\n{places}")).with("[attributes]", &format!("{key}\n\n[attributes]"))
}

/// A ticket for the session `s`, with these members instead of the usual ones.
fn ticket(members: &serde_json::Value) -> Token {
    let mut claims = json!({"session": "s", "attributes": ["phone", "plan"], "exp": now() + 600});
    for (name, value) in members.as_object().expect("members") {
        claims[name] = value.clone();
    }
    Token::of(&claims.to_string()).secret(BOT)
}

fn question(identifier: &str) -> String {
    json!({"identifier": identifier, "value": "pro", "conversation_part_id": "9"}).to_string()
}

fn answer(identifier: &str, pairs: &[(&str, &str)]) -> Request<String> {
    let question = question(identifier);
    let all = [&[("app_id", "abc12345"), ("form_params", &question), ("user_data", "{}")], pairs].concat();
    form_request(FORM, form(&all))
}

const SESSION: (&str, &str) = ("anonymous_session", "s");

/// The answer passes, and the ticket goes no further.
async fn passes(bench: &mut Bench, request: Request<String>) {
    let received: Received = bench.passes(request).await;
    assert_eq!(received.field("form_params"), [question("phone")]);
    assert!(received.field(TICKET).is_empty() && received.header("x-bot-ticket").is_none(), "{received:?}");
    assert_eq!((bench.verdict("phone").as_str(), &bench.record()["ticket"]), ("lead", &json!("valid")));
}

/// The answer is judged like any other unsigned write; gives what the record says of the ticket.
async fn is_left_out(bench: &mut Bench, request: Request<String>) -> serde_json::Value {
    assert_eq!(bench.refused(request, 403).await, "nothing_left");
    bench.record()["ticket"].clone()
}

#[tokio::test]
async fn a_ticket_lets_answer_what_it_names() {
    let mut bench = Bench::acme(setup).await;
    let good = ticket(&json!({})).text();
    passes(&mut bench, answer("phone", &[SESSION, (TICKET, &good)])).await;
    let mut in_header = answer("phone", &[SESSION]);
    in_header.headers_mut().insert("x-bot-ticket", good.parse().expect("a value"));
    passes(&mut bench, in_header).await;
    let of_conversation = ticket(&json!({"conversation": "7"})).text();
    passes(&mut bench, answer("phone", &[SESSION, (TICKET, &of_conversation)])).await;
    // Not what no lead is asked for, nor what the ticket does not name.
    assert_eq!(is_left_out(&mut bench, answer("custom_data.plan", &[SESSION, (TICKET, &good)])).await, "valid");
    let of_plan = ticket(&json!({"attributes": ["plan"]})).text();
    assert_eq!(is_left_out(&mut bench, answer("phone", &[SESSION, (TICKET, &of_plan)])).await, "valid");
    // It belongs to an answer: elsewhere it is taken out and opens nothing.
    let data = r#"{"phone":"123","nickname":"bob"}"#;
    let ping = form(&[("app_id", "abc12345"), ("user_data", data), SESSION, (TICKET, &good)]);
    let received = bench.passes(form_request("/messenger/web/ping", ping)).await;
    assert_eq!((received.user_data(), received.field(TICKET).len()), (json!({"nickname": "bob"}), 0));
    let without_part = json!({"identifier": "phone", "value": "1"}).to_string();
    let all = [("app_id", "abc12345"), ("form_params", &without_part), SESSION, (TICKET, &good)];
    assert_eq!(is_left_out(&mut bench, form_request(FORM, form(&all))).await, "valid");
}

#[tokio::test]
async fn a_ticket_that_does_not_hold_is_none() {
    let mut bench = Bench::acme(setup).await;
    let header = r#"{"alg":"none","typ":"JWT"}"#;
    for (token, session, code) in [
        (ticket(&json!({})).secret(SECRET), "s", "bad_signature"),
        (ticket(&json!({})).header(header), "s", "wrong_algorithm"),
        (ticket(&json!({"exp": now() - 60})), "s", "expired"),
        (ticket(&json!({"exp": now() + 1000})), "s", "lifetime_too_long"),
        (ticket(&json!({"exp": null})), "s", "exp_not_integer"),
        (ticket(&json!({"session": "t"})), "s", "other_session"),
        (ticket(&json!({})), "t", "other_session"),
        (ticket(&json!({"conversation": "8"})), "s", "other_conversation"),
        (ticket(&json!({"attributes": []})), "s", "ticket_claims"),
        (ticket(&json!({"attributes": "phone"})), "s", "ticket_claims"),
        (ticket(&json!({"session": 7})), "s", "ticket_claims"),
        (Token::saying(r#""session":"s","attributes":["phone"]"#), "s", "bad_signature"),
    ] {
        let pairs = [("anonymous_session", session), (TICKET, &token.text())];
        assert_eq!(is_left_out(&mut bench, answer("phone", &pairs)).await, code);
    }
    let good = ticket(&json!({})).text();
    assert_eq!(is_left_out(&mut bench, answer("phone", &[(TICKET, &good)])).await, "other_session");
    assert_eq!(is_left_out(&mut bench, answer("phone", &[SESSION, (TICKET, "x")])).await, "malformed");
    assert_eq!(is_left_out(&mut bench, answer("phone", &[SESSION, (TICKET, "undefined")])).await, json!(null));
    // In a token's place it is a token that does not hold, and names a user.
    let as_token = answer("phone", &[SESSION, ("intercom_user_jwt", &good)]);
    assert_eq!(is_left_out(&mut bench, as_token).await, json!(null));
    assert_eq!(bench.record()["proof"], "bad_signature");
    // Two of them: which is meant is not known.
    let other = ticket(&json!({"attributes": ["phone"]})).text();
    let mut two = answer("phone", &[SESSION, (TICKET, &good)]);
    two.headers_mut().insert("x-bot-ticket", other.parse().expect("a value"));
    assert_eq!(bench.refused(two, 403).await, "two_tickets");
    bench.refused(answer("phone", &[SESSION, (TICKET, &good), (TICKET, &good)]), 400).await;
}

#[tokio::test]
async fn a_ticket_makes_no_lead_of_a_user() {
    let mut bench = Bench::acme(setup).await;
    let good = ticket(&json!({})).text();
    for pair in [("user_data", r#"{"user_id":"user-42"}"#), ("user_data", r#"{"email":"ada@example.com"}"#)] {
        let question = question("phone");
        let named = [("app_id", "abc12345"), ("form_params", &question), pair, SESSION, (TICKET, &good)];
        assert_eq!(is_left_out(&mut bench, form_request(FORM, form(&named))).await, "valid");
    }
    passes(&mut bench, answer("phone", &[SESSION, (TICKET, &good)])).await;
    let ping = form(&[("app_id", "abc12345"), ("user_data", r#"{"user_id":"user-42"}"#), SESSION]);
    bench.passes(form_request("/messenger/web/ping", ping)).await;
    assert_eq!(is_left_out(&mut bench, answer("phone", &[SESSION, (TICKET, &good)])).await, "valid");
}

/// A messenger whose answers never say whose a session is.
const SHOP: &str = r#"
profile = "chatwoot"
app_ids = ["site-token"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"

[identity]
require = "never"
ticket_at = ["header:x-bot-ticket"]

[[identity.keys]]
id = "bot"
algorithm = "HS256"
secret = { env = "OTHER_SECRET" }
use = ["collector_ticket"]

[attributes]
email = { lock = "enforce", type = "email", collect = "leads" }
nickname = { lock = "off" }
"#;

#[tokio::test]
async fn where_no_answer_says_whose_a_session_is_a_ticket_lets_answer_until_somebody_names_a_user() {
    let mut bench = Bench::start(|upstream| Setup::new(upstream).workspace("shop", SHOP)).await;
    let origin = bench.own_origin();
    let send = |call: &str, body: serde_json::Value, session: &str, ticket: Option<&Token>| {
        let (method, path) = call.split_once(' ').expect("a method and a path");
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/widget/{path}?website_token=site-token"))
            .header("origin", &origin)
            .header("content-type", "application/json")
            .header("x-auth-token", session);
        if let Some(ticket) = ticket {
            request = request.header("x-bot-ticket", ticket.text());
        }
        request.body(body.to_string()).expect("a request")
    };
    let filled = |name: &str| json!({"message": {"submitted_values": [{"name": name, "title": "Q", "value": "ada@example.com"}]}});
    let answer = |session, ticket| send("PATCH messages/7", filled("email"), session, ticket);
    let good = ticket(&json!({"attributes": ["email"], "conversation": "7"}));
    bench.passes(answer("s", None)).await;
    assert_eq!(bench.verdict("email"), "not_lead");
    let received = bench.passes(answer("s", Some(&good))).await;
    assert_eq!((received.json(), received.header("x-bot-ticket")), (filled("email"), None));
    assert_eq!(bench.verdict("email"), "lead");
    bench.passes(answer("t", Some(&good))).await;
    assert_eq!(bench.verdict("email"), "not_lead");
    // Another session's user is nobody here; this one's is.
    let user = json!({"identifier": "user-42", "nickname": "bob"});
    bench.passes(send("PATCH contact/set_user", user.clone(), "t", None)).await;
    bench.passes(answer("s", Some(&good))).await;
    assert_eq!(bench.verdict("email"), "lead");
    bench.passes(send("PATCH contact/set_user", user, "s", None)).await;
    bench.passes(answer("s", Some(&good))).await;
    assert_eq!(bench.verdict("email"), "not_lead");
}

#[tokio::test]
async fn one_that_the_command_makes_is_one() {
    let mut bench = Bench::acme(setup).await;
    let mut child = Command::new(BINARY)
        .args(["token", "mint", "--workspace", "acme", "--key", "bot", "--policies"])
        .arg(bench.gateway.setup.policies())
        .envs([("TEST_SECRET", SECRET), ("OTHER_SECRET", BOT)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("piped").write_all(br#"{"session":"s","attributes":["phone"]}"#).expect("written");
    let output = child.wait_with_output().expect("it ends");
    let (minted, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("a collector ticket"), "{told}");
    passes(&mut bench, answer("phone", &[SESSION, (TICKET, minted.trim())])).await;
}
