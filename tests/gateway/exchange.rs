//! Exchanged tokens: a token is shown once, and the session that the messenger gives for it stands for what it says, for as long as it would.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::support::gateway::write_whole;
use crate::support::token::now;
use crate::support::{Bench, Received, Setup, TestUpstream, Token, form};

const LIBREDESK: &str = r#"
profile = "libredesk"
app_ids = ["inbox-1"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"

[identity]
require = "never"
max_lifetime = "2h"
token_at = ["header:x-user-token"]

[[identity.keys]]
id = "web"
algorithm = "HS256"
secret = { env = "TEST_SECRET" }
use = ["jwt"]

[attributes]
email = { lock = "enforce", type = "email" }
plan = { lock = "enforce" }
seats = { lock = "enforce" }
nickname = { lock = "off" }
"#;

const EXCHANGE: &str = "/api/v1/widget/chat/auth/exchange";
const INIT: &str = "/api/v1/widget/chat/conversations/init";

type Says = (u16, &'static str, String);

struct Desk {
    bench: Bench,
    says: Arc<Mutex<Says>>,
}

async fn over(setup: impl FnOnce(Setup) -> Setup) -> Desk {
    let says = Arc::new(Mutex::new((200, "application/json", "{}".to_owned())));
    let told = Arc::clone(&says);
    let upstream = TestUpstream::answering(move |_| {
        let (status, content_type, body) = told.lock().expect("unpoisoned").clone();
        let response = Response::builder().status(status).header("content-type", content_type);
        (Duration::ZERO, response.body(Full::new(Bytes::from(body))).expect("an answer"))
    })
    .await;
    Desk { bench: Bench::over(upstream, |upstream| setup(Setup::new(upstream))).await, says }
}

async fn desk() -> Desk {
    over(|setup| setup.workspace("desk", LIBREDESK)).await
}

/// A token about `user-42` for so many seconds.
fn token_for(seconds: i64, members: &Value) -> Token {
    let mut claims = json!({"external_user_id": "user-42", "email": "ada@example.com", "exp": now() + seconds,
        "contact_custom_attributes": {"plan": "pro"}});
    for (name, value) in members.as_object().expect("members") {
        claims[name] = value.clone();
    }
    Token::of(&claims.to_string())
}

fn given(session: &str) -> String {
    json!({"status": "success", "data": {"session_token": session, "user": {"id": 1}}}).to_string()
}

impl Desk {
    fn says(&self, status: u16, body: &str) {
        *self.says.lock().expect("unpoisoned") = (status, "application/json", body.to_owned());
    }

    fn post(&self, path: &str, body: &Value, session: Option<&str>) -> Request<String> {
        let mut request = Request::post(path)
            .header("origin", self.bench.own_origin())
            .header("content-type", "application/json")
            .header("x-libredesk-inbox-id", "inbox-1");
        if let Some(session) = session {
            request = request.header("authorization", format!("Bearer {session}"));
        }
        request.body(body.to_string()).expect("a request")
    }

    /// Shows a token; the upstream answers with `status` and this body.
    async fn shows(&mut self, token: &str, status: u16, body: &str) -> Received {
        self.says(status, body);
        let request = self.post(EXCHANGE, &json!({"jwt": token}), None);
        let answer = self.bench.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, body));
        self.bench.upstream.only()
    }

    /// What goes on of a form in a session, and the finding about the proof.
    async fn fills_in(&mut self, session: Option<&str>, form_data: &Value) -> (Value, Value) {
        self.says(200, "{}");
        let body = json!({"message": "hello", "form_data": form_data});
        let received = self.bench.passes(self.post(INIT, &body, session)).await;
        (received.json()["form_data"].clone(), self.bench.record()["proof"].clone())
    }

    /// The form that everybody fills in here, and what of it goes on where the session stands for the token or not.
    async fn check(&mut self, session: &str, proof: &str) {
        let form = json!({"email": "eve@example.com", "plan": "pro", "seats": 7, "nickname": "bob"});
        let goes_on = match proof {
            "exchanged" => json!({"email": "ada@example.com", "plan": "pro", "nickname": "bob"}),
            _ => json!({"nickname": "bob"}),
        };
        assert_eq!(self.fills_in(Some(session), &form).await, (goes_on, json!(proof)), "{session}");
    }
}

#[tokio::test]
async fn a_session_stands_for_the_token_that_it_was_given_for() {
    let mut desk = desk().await;
    // A session that nobody gave stands for nothing.
    desk.check("s1", "absent").await;
    let token = token_for(600, &json!({})).text();
    let shown = desk.shows(&token, 200, &given("s1")).await;
    assert_eq!(shown.json(), json!({"jwt": token}));
    assert_eq!(desk.bench.record()["proof"], "valid");
    desk.check("s1", "exchanged").await;
    assert_eq!(desk.bench.record()["key"], "web");
    assert!(desk.bench.record()["subject"].is_string());
    for other in ["s2", "S1", "s1 x", "s1s1"] {
        desk.check(other, "absent").await;
    }
    // Over another connection and under HTTP/2 it is the same.
    let mut client = desk.bench.gateway.http2().await;
    let answer = client.send(desk.post(INIT, &json!({"form_data": {"plan": "pro"}}), Some("s1"))).await;
    desk.bench.count_one();
    assert_eq!((answer.status.as_u16(), desk.bench.record()["proof"].as_str()), (200, Some("exchanged")));
    // Go reads a member of another case as well.
    for name in ["Form_Data", "FORM_DATA", "form_Data"] {
        let request = desk.post(INIT, &json!({"message": "hello", name: {"plan": "pro"}}), None);
        assert_eq!(desk.bench.refused(request, 400).await, "disguised_field", "{name}");
    }
    // What is nested under the name of the claims is the same attribute.
    let (goes_on, _) =
        desk.fills_in(Some("s1"), &json!({"contact_custom_attributes": {"plan": "free", "seats": 1}})).await;
    assert_eq!(goes_on, json!({"contact_custom_attributes": {"plan": "pro"}}));
}

#[tokio::test]
async fn only_the_upstreams_own_answer_to_a_verified_token_gives_a_session() {
    let mut desk = desk().await;
    let good = token_for(600, &json!({})).text();
    let two = json!({"session_token": "s", "data": {"session_token": "s"}}).to_string();
    for (status, body) in [
        (401, given("s").as_str()),
        (500, &given("s")),
        (206, &given("s")),
        (200, r#"{"data":{"session_token":7}}"#),
        (200, r#"{"data":{"session_token":""}}"#),
        (200, r#"{"data":{"session_token":["s"]}}"#),
        (200, r#"{"data":{"session_token":"t","session_token":"s"}}"#),
        (200, r#"{"data":{"session_token":"s"}"#),
        (200, r#"{"token":"s"}"#),
        (200, &two),
    ] {
        desk.shows(&good, status, body).await;
        desk.check("s", "absent").await;
    }
    *desk.says.lock().expect("unpoisoned") = (200, "text/html", given("s"));
    desk.bench.passes(desk.post(EXCHANGE, &json!({"jwt": good}), None)).await;
    desk.check("s", "absent").await;
    // Another call that answers alike gives none.
    desk.says(200, &given("s"));
    desk.bench.passes(desk.post(INIT, &json!({"message": "hello"}), None)).await;
    desk.check("s", "absent").await;
    // The other shape of the answer does.
    desk.shows(&good, 200, r#"{"session_token":"s","user":{}}"#).await;
    desk.check("s", "exchanged").await;
}

#[tokio::test]
async fn a_token_that_does_not_hold_is_exchanged_for_nothing() {
    let mut desk = desk().await;
    let good = token_for(600, &json!({})).text();
    let forged = token_for(600, &json!({})).secret("another-secret-0123456789abcdef01234567").text();
    let expired = token_for(-60, &json!({})).text();
    let nobody = token_for(600, &json!({"external_user_id": null})).text();
    for bad in [&forged, &expired, &nobody, "x"] {
        desk.shows(&good, 200, &given("s")).await;
        desk.check("s", "exchanged").await;
        // The backend gave the session anew, for what nobody here verified.
        desk.shows(bad, 200, &given("s")).await;
        desk.check("s", "absent").await;
    }
    // A token that only the gateway saw is none that the backend gave a session for.
    desk.says(200, &given("s"));
    for body in [json!({}), json!({"jwt": null}), json!({"refresh": "x"})] {
        let mut request = desk.post(EXCHANGE, &body, None);
        request.headers_mut().insert("x-user-token", good.parse().expect("a value"));
        desk.bench.passes(request).await;
        assert_eq!(desk.bench.record()["proof"], "valid");
        desk.check("s", "absent").await;
        desk.says(200, &given("s"));
    }
    // Go compares names without case: it would read the other one.
    for name in ["JWT", "Jwt", "jwt ", " jwt"] {
        let twice = desk.post(EXCHANGE, &json!({"jwt": good, name: forged}), None);
        assert_eq!(desk.bench.refused(twice, 400).await, "disguised_field", "{name:?}");
    }
    let mut in_query = desk.post(EXCHANGE, &json!({"jwt": good}), None);
    *in_query.uri_mut() = format!("{EXCHANGE}?jwt={forged}").parse().expect("a target");
    desk.bench.refused(in_query, 400).await;
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_with_the_policys_patience() {
    let mut desk = desk().await;
    desk.shows(&token_for(5, &json!({})).text(), 200, &given("short")).await;
    desk.shows(&token_for(600, &json!({})).text(), 200, &given("long")).await;
    desk.check("short", "exchanged").await;
    // The leeway of a token is none of the session's.
    tokio::time::sleep(Duration::from_millis(5100)).await;
    desk.check("short", "absent").await;
    desk.check("long", "exchanged").await;
    let impatient = LIBREDESK.replace("require = \"never\"", "require = \"always\"\nexchange_lifetime = \"1s\"");
    let mut desk = over(|setup| setup.workspace("desk", &impatient)).await;
    desk.shows(&token_for(600, &json!({})).text(), 200, &given("s")).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let late = desk.post(INIT, &json!({"message": "hello"}), Some("s"));
    assert_eq!(desk.bench.refused(late, 401).await, "identity_missing");
    let unknown = desk.post(INIT, &json!({"message": "hello"}), Some("t"));
    assert_eq!(desk.bench.refused(unknown, 401).await, "identity_missing");
}

#[tokio::test]
async fn a_token_beside_the_session_decides_and_is_about_the_same_user() {
    let mut desk = desk().await;
    desk.shows(&token_for(600, &json!({})).text(), 200, &given("s")).await;
    let beside = |desk: &Desk, token: &Token| {
        let body = json!({"form_data": {"plan": "free", "seats": 3}});
        let mut request = desk.post(INIT, &body, Some("s"));
        request.headers_mut().insert("x-user-token", token.text().parse().expect("a value"));
        request
    };
    desk.says(200, "{}");
    let newer = token_for(600, &json!({"contact_custom_attributes": {"plan": "free", "seats": 3}}));
    let received = desk.bench.passes(beside(&desk, &newer)).await;
    assert_eq!(received.json()["form_data"], json!({"plan": "free", "seats": 3}));
    assert_eq!(desk.bench.record()["proof"], "valid");
    let of_another = token_for(600, &json!({"external_user_id": "user-43"}));
    assert_eq!(desk.bench.refused(beside(&desk, &of_another), 401).await, "subject_mismatch");
    // A bad token is not none: the session does not mend it.
    let expired = token_for(-600, &json!({}));
    let received = desk.bench.passes(beside(&desk, &expired)).await;
    assert_eq!((received.json(), desk.bench.record()["proof"].clone()), (json!({"form_data": {}}), json!("expired")));
}

#[tokio::test]
async fn a_session_is_one_workspaces_and_ends_with_its_key() {
    let other = LIBREDESK.replace("inbox-1", "inbox-2");
    let mut desk = over(|setup| setup.workspace("desk", LIBREDESK).workspace("other", &other)).await;
    desk.shows(&token_for(600, &json!({})).text(), 200, &given("s")).await;
    desk.says(200, "{}");
    let mut elsewhere = desk.post(INIT, &json!({"form_data": {"plan": "pro"}}), Some("s"));
    elsewhere.headers_mut().insert("x-libredesk-inbox-id", "inbox-2".parse().expect("a value"));
    assert_eq!(desk.bench.passes(elsewhere).await.json(), json!({"form_data": {}}));
    assert_eq!(desk.bench.record()["proof"], "absent");
    desk.check("s", "exchanged").await;
    // Its key is taken out of force: what it signed does not count any more.
    let renamed = LIBREDESK.replace("id = \"web\"", "id = \"web-2\"");
    write_whole(&desk.bench.gateway.setup.policies().join("workspaces/desk.toml"), &renamed);
    desk.bench.gateway.signal("HUP");
    desk.bench.gateway.await_log("policy_reloaded");
    desk.check("s", "unknown_key").await;
}

/// A wire of another kind: forms, the token in a field, the session token in a header of its own, and a call that ends it.
const SWAP: &str = r#"
title = "A messenger that exchanges tokens by forms"
token_reader = "gateway"
workspace_at = ["field:app"]
claims = "claims"
claim_names = { tier = "plan" }
[identity]
user_id = ["document:external_id"]
email = []
session = ["header:x-session-token"]
user_id_claims = ["external_id"]
email_claims = []
[tokens]
jwt = []
user_hash = []
session = ["header:x-session-token"]
[operations.login]
on = "POST /login"
class = "identify"
body = "form"
exchange = { token = ["field:jwt"], session = ["/session/token"] }
[operations.logout]
on = "POST /logout"
class = "session_end"
body = "form"
[operations.user]
on = "POST /user"
class = "update"
body = "form"
documents = { "field:user" = "user" }
[shapes.user]
kind = "object"
settings = ["external_id"]
accepts = "any"
[shapes.claims]
kind = "object"
settings = ["exp", "external_id", "scope"]
"#;

#[tokio::test]
async fn another_wire_exchanges_by_the_same_data_and_a_session_that_ends_stands_for_nothing() {
    let workspace = LIBREDESK
        .replace("\"libredesk\"", "\"swap\"")
        .replace("inbox-1", "swap-1")
        .replace("token_at = [\"header:x-user-token\"]\n", "");
    let mut desk = over(|setup| setup.profile("swap", SWAP).workspace("swap", &workspace)).await;
    let post = |path: &str, pairs: &[(&str, &str)], session: &str| {
        Request::post(path)
            .header("origin", "https://app.acme.example")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-session-token", session)
            .body(form(&[&[("app", "swap-1")], pairs].concat()))
            .expect("a request")
    };
    let claims = json!({"external_id": "user-42", "scope": "user", "tier": "pro", "exp": now() + 600});
    let token = Token::of(&claims.to_string()).text();
    let update = |user_data: Value| user_data.to_string();
    for round in 0..2 {
        desk.says(200, r#"{"session":{"token":"s"}}"#);
        desk.bench.passes(post("/login", &[("jwt", &token)], "")).await;
        assert_eq!(desk.bench.record()["proof"], "valid", "{round}");
        let user = update(json!({"external_id": "user-42", "plan": "free", "nickname": "bob"}));
        let received = desk.bench.passes(post("/user", &[("user", &user)], "s")).await;
        let goes_on: Value = received.field("user")[0].parse().expect("JSON");
        assert_eq!(goes_on, json!({"external_id": "user-42", "plan": "pro", "nickname": "bob"}));
        assert_eq!(desk.bench.record()["proof"], "exchanged");
        // Only we read tokens here: what the session signs is written in.
        let user = update(json!({"nickname": "bob"}));
        let received = desk.bench.passes(post("/user", &[("user", &user)], "s")).await;
        let goes_on: Value = received.field("user")[0].parse().expect("JSON");
        assert_eq!(goes_on, json!({"nickname": "bob", "plan": "pro"}));
        let of_another = update(json!({"external_id": "user-43", "plan": "pro"}));
        assert_eq!(desk.bench.refused(post("/user", &[("user", &of_another)], "s"), 401).await, "subject_mismatch");
        // Whatever the backend says to it, the session is over here.
        desk.says(500, "{}");
        assert_eq!(desk.bench.send(post("/logout", &[], "s")).await.status, 500);
        desk.says(200, "{}");
        let user = update(json!({"plan": "pro", "nickname": "bob"}));
        let received = desk.bench.passes(post("/user", &[("user", &user)], "s")).await;
        let goes_on: Value = received.field("user")[0].parse().expect("JSON");
        assert_eq!((goes_on, desk.bench.record()["proof"].clone()), (json!({"nickname": "bob"}), json!("absent")));
    }
}

/// One more wire: the token in a member of the body, which must be fresh (`iat`), and the session token under a header that is no bearer's.
const TRACKED: &str = r#"
title = "A messenger that tracks sessions in a header of its own"
token_reader = "upstream"
workspace_at = ["query:org"]
claims = "claims"
[identity]
user_id = ["body:/customer/externalId"]
email = []
session = ["header:x-tracking-token"]
user_id_claims = ["externalId"]
email_claims = ["email"]
[tokens]
jwt = []
user_hash = []
session = ["header:x-tracking-token"]
[operations.login]
on = "POST /v1/chat/auth"
class = "identify"
body = "json"
documents = { body = "login" }
exchange = { token = ["body:/jwtToken"], session = ["/tracking/token"] }
[operations.customer]
on = "PUT /v1/chat/customer"
class = "update"
body = "json"
documents = { "body:/customer" = "customer" }
[shapes.login]
kind = "object"
rest = "settings"
credentials = ["jwtToken"]
[shapes.customer]
kind = "object"
settings = ["externalId"]
nested = { custom = "custom" }
[shapes.custom]
kind = "object"
[shapes.claims]
kind = "object"
settings = ["iat", "exp", "externalId"]
nested = { custom = "custom" }
"#;

#[tokio::test]
async fn a_wire_whose_tokens_must_be_fresh_exchanges_them_too() {
    let workspace = LIBREDESK
        .replace("\"libredesk\"", "\"tracked\"")
        .replace("inbox-1", "org-1")
        .replace("token_at = [\"header:x-user-token\"]", "required_claims = [\"iat\"]")
        .replace("max_lifetime = \"2h\"", "max_lifetime = \"15m\"");
    let mut desk = over(|setup| setup.profile("tracked", TRACKED).workspace("tracked", &workspace)).await;
    let send = |method: &str, path: &str, body: &Value, session: &str| {
        Request::builder()
            .method(method)
            .uri(format!("{path}?org=org-1"))
            .header("origin", "https://app.acme.example")
            .header("content-type", "application/json")
            .header("x-tracking-token", session)
            .body(body.to_string())
            .expect("a request")
    };
    let token = |iat: Value| {
        let claims = json!({"externalId": "user-42", "iat": iat, "exp": now() + 300, "custom": {"plan": "pro"}});
        Token::of(&claims.to_string()).text()
    };
    let customer =
        json!({"customer": {"externalId": "user-42", "custom": {"plan": "pro", "seats": 7}, "nickname": "bob"}});
    let signed = json!({"externalId": "user-42", "custom": {"plan": "pro"}, "nickname": "bob"});
    let unsigned = json!({"externalId": "user-42", "nickname": "bob"});
    for (iat, proof, goes_on) in [
        (json!(now() - 100), "exchanged", &signed),
        // It was signed too long ago, or does not say when.
        (json!(now() - 900), "absent", &unsigned),
        (json!(null), "absent", &unsigned),
    ] {
        desk.says(200, r#"{"tracking":{"token":"s"}}"#);
        desk.bench.passes(send("POST", "/v1/chat/auth", &json!({"jwtToken": token(iat)}), "")).await;
        let received = desk.bench.passes(send("PUT", "/v1/chat/customer", &customer, "s")).await;
        assert_eq!((&received.json()["customer"], desk.bench.record()["proof"].as_str()), (goes_on, Some(proof)));
    }
}

#[tokio::test]
async fn what_takes_a_token_back_takes_its_sessions_back_too() {
    let mut desk = over(|setup| setup.revoking().workspace("desk", LIBREDESK)).await;
    let issued = now() - 5;
    let before = format!(r#""issued_before":{}"#, issued + 1);
    for (index, members) in [r#""jti":"one""#, r#""subject":"user-42""#, r#""key":"web""#, &before].iter().enumerate() {
        let session = format!("s{index}");
        let token = token_for(600, &json!({"jti": "one", "iat": issued})).text();
        desk.shows(&token, 200, &given(&session)).await;
        desk.check(&session, "exchanged").await;
        let (status, made) =
            desk.bench.gateway.operate("POST /revocations", &format!(r#"{{"workspace":"desk",{members}}}"#));
        assert_eq!(status, 201, "{made}");
        desk.bench.count_one();
        // The backend goes by its own session whatever we say, so that nothing may be said in it.
        desk.says(200, "{}");
        let body = json!({"message": "hello", "form_data": {"nickname": "bob"}});
        let request = desk.post(INIT, &body, Some(&session));
        assert_eq!(desk.bench.refused(request, 401).await, "revoked", "{members}");
        // Nor is the token exchanged again.
        let again = desk.post(EXCHANGE, &json!({"jwt": token}), None);
        assert_eq!(desk.bench.refused(again, 401).await, "revoked", "{members}");
        let id = made["id"].as_str().expect("an id");
        assert_eq!(desk.bench.gateway.operate(&format!("DELETE /revocations/{id}"), "").0, 200);
        desk.bench.count_one();
        desk.check(&session, "exchanged").await;
    }
}

#[tokio::test]
async fn a_token_that_counts_once_is_exchanged_once_and_its_session_goes_on() {
    let once = LIBREDESK.replace("require = \"never\"", "require = \"never\"\nreplay = \"single_use\"");
    let mut desk = over(|setup| setup.workspace("desk", &once)).await;
    let token = token_for(600, &json!({"jti": "one"})).text();
    desk.shows(&token, 200, &given("s1")).await;
    for _ in 0..3 {
        desk.check("s1", "exchanged").await;
    }
    let again = desk.post(EXCHANGE, &json!({"jwt": token}), None);
    assert_eq!(desk.bench.refused(again, 401).await, "replayed");
    desk.check("s1", "exchanged").await;
}
