//! Chatwoot's widget and public API: what the backend received of calls that it would have obeyed unsigned.

use std::net::SocketAddr;

use http::Request;
use serde_json::{Value, json};

use crate::support::token::user_hash;
use crate::support::{Answer, Bench, Received, Setup, Token};

/// One inbox with the token in a header, and one with the token in a custom attribute.
const SITE: &str = r#"
profile = "chatwoot"
app_ids = ["site-token", "inbox-1"]
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"

[identity]
require = "never"
max_lifetime = "2h"
token_at = ["header:x-countersign-token"]

[[identity.keys]]
id = "inbox-2026-11"
algorithm = "HS256"
secret = { env = "TEST_SECRET" }
use = ["jwt", "user_hash"]

[attributes]
name = { lock = "off" }
avatar_url = { lock = "off" }
email = { lock = "enforce", type = "email", collect = "leads" }
phone_number = { lock = "enforce" }
plan = { lock = "enforce", one_of = ["free", "pro", "enterprise"] }
seats = { lock = "enforce" }
nickname = { lock = "off" }
"additional_attributes.company_name" = { lock = "enforce" }
"additional_attributes.city" = { lock = "off" }
"additional_attributes.social_profiles.github" = { lock = "enforce" }
"conversation.priority" = { lock = "enforce" }
"conversation.topic" = { lock = "off" }
"#;

fn setup(upstream: SocketAddr) -> Setup {
    let other = SITE
        .replace(r#"["site-token", "inbox-1"]"#, r#"["other-token"]"#)
        .replace("header:x-countersign-token", "document:/custom_attributes/countersign_token");
    Setup::new(upstream).workspace("acme", SITE).workspace("other", &other)
}

/// A widget's call, as its frame sends it.
struct Widget {
    bench: Bench,
    /// The value of `X-Countersign-Token`; none if empty.
    token: String,
    /// The value of `X-Auth-Token`; none if empty.
    session: String,
    website_token: &'static str,
}

async fn widget(change: impl FnOnce(Setup) -> Setup) -> Widget {
    let bench = Bench::start(|upstream| change(setup(upstream))).await;
    Widget { bench, token: String::new(), session: "session".into(), website_token: "site-token" }
}

impl Widget {
    /// `call` is a method and what stands behind `/api/v1/widget/`, or a whole path.
    fn request(&self, call: &str, body: &str) -> Request<String> {
        let (method, path) = call.split_once(' ').expect("a method and a path");
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/api/v1/widget/{path}") };
        let mark = if path.contains('?') { '&' } else { '?' };
        let target = if path.starts_with("/public") {
            path
        } else {
            format!("{path}{mark}website_token={}", self.website_token)
        };
        let mut request = Request::builder().method(method).uri(target).header("origin", self.bench.own_origin());
        for (name, value) in [("x-countersign-token", &self.token), ("x-auth-token", &self.session)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        request.body(body.to_owned()).expect("a request")
    }

    async fn send(&mut self, call: &str, body: &str) -> Answer {
        self.bench.send(self.request(call, body)).await
    }

    async fn passes(&mut self, call: &str, body: &str) -> Received {
        self.bench.passes(self.request(call, body)).await
    }

    /// The call is sent on, and the backend reads `expected` in its body.
    async fn reads(&mut self, call: &str, body: &str, expected: Value) {
        assert_eq!(self.passes(call, body).await.json(), expected, "{call} {body}");
    }

    async fn refused(&mut self, call: &str, body: &str, status: u16) -> String {
        self.bench.refused(self.request(call, body), status).await
    }
}

const SET_USER: &str = "PATCH contact/set_user";
const CONTACT: &str = "PATCH contact";
const FORGET: &str = "POST contact/destroy_custom_attributes";
const CONVERSATION: &str = "POST conversations";
const SET_CONVERSATION: &str = "POST conversations/set_custom_attributes";
const FORGET_CONVERSATION: &str = "POST conversations/destroy_custom_attributes";

#[tokio::test]
async fn set_user_arrives_without_what_nobody_signed() {
    let mut widget = widget(|setup| setup).await;
    let body = json!({
        "identifier": "user-42", "identifier_hash": user_hash("user-42"), "email": "victim@example.com", "name": "Ada",
        "avatar_url": "https://app.acme.example/a.png", "phone_number": "+3210000000",
        "custom_attributes": {"plan": "pro", "nickname": "bob", "Plan": "pro", "is_admin": true},
        "additional_attributes": {"company_name": "Acme", "city": "Ghent", "country_code": "BE",
            "social_profiles": {"github": "victim"}},
    });
    let received = widget.passes(SET_USER, &body.to_string()).await;
    assert_eq!(
        received.json(),
        json!({
            "identifier": "user-42", "identifier_hash": user_hash("user-42"), "name": "Ada",
            "avatar_url": "https://app.acme.example/a.png", "custom_attributes": {"nickname": "bob"},
            "additional_attributes": {"city": "Ghent"},
        })
    );
    assert_eq!(received.method, "PATCH");
    assert_eq!(received.target, "/api/v1/widget/contact/set_user?website_token=site-token");
    assert_eq!(received.header("x-auth-token"), Some("session"), "the session is the backend's business");
    assert_eq!(widget.bench.record()["proof"], "hash_valid");
}

#[tokio::test]
async fn an_email_that_would_merge_two_contacts_needs_a_signature() {
    let mut widget = widget(|setup| setup).await;
    for email in [json!("victim@example.com"), json!("VICTIM@example.com"), json!(["victim@example.com"]), json!(null)]
    {
        let body = json!({"email": email, "name": "Ada"}).to_string();
        widget.reads(CONTACT, &body, json!({"name": "Ada"})).await;
    }
    for name in ["Email", "email ", "\u{ff45}mail", "phone_number", "Phone_Number"] {
        let body = json!({name: "victim@example.com", "name": "Ada"}).to_string();
        widget.reads(CONTACT, &body, json!({"name": "Ada"})).await;
    }
    widget.token = Token::saying(r#""email":"ada@example.com""#).text();
    let body = json!({"email": "victim@example.com", "name": "Ada"}).to_string();
    widget.reads(CONTACT, &body, json!({"email": "ada@example.com", "name": "Ada"})).await;
    assert_eq!(widget.bench.verdict("email"), "overridden");
}

#[tokio::test]
async fn a_token_in_the_header_signs_and_goes_no_further() {
    let mut widget = widget(|setup| setup).await;
    let body = r#"{"custom_attributes":{"nickname":"bob","plan":"enterprise"}}"#;
    widget.token = Token::saying(r#""plan":"pro","seats":9007199254740993"#).text();
    let received = widget.passes(CONTACT, body).await;
    assert_eq!(received.body, br#"{"custom_attributes":{"nickname":"bob","plan":"pro","seats":9007199254740993}}"#[..]);
    assert!(received.headers.values().all(|value| value.as_bytes() != widget.token.as_bytes()), "{received:?}");
    assert_eq!(received.header("x-countersign-token"), None);
    assert_eq!(
        (widget.bench.verdict("plan"), widget.bench.verdict("seats")),
        ("overridden".into(), "signed_added".into())
    );
    // Where there is no object yet, one is made.
    widget
        .reads(
            CONTACT,
            r#"{"name":"Ada"}"#,
            json!({"name": "Ada", "custom_attributes": {"plan": "pro", "seats": 9_007_199_254_740_993_u64}}),
        )
        .await;
    // A call that only reads passes it on no more than one that writes.
    let received = widget.passes("GET contact", "").await;
    assert_eq!(received.header("x-countersign-token"), None);
    // One that proves nothing is as absent behind us as one that does.
    widget.token = Token::saying(r#""plan":"pro""#).secret("another-secret-0123456789abcdef01234567").text();
    let received = widget.passes(CONTACT, body).await;
    assert_eq!(received.json(), json!({"custom_attributes": {"nickname": "bob"}}));
    assert_eq!(received.header("x-countersign-token"), None);
    assert_eq!(widget.bench.record()["proof"], "bad_signature");
}

#[tokio::test]
async fn a_token_that_signs_more_than_a_call_can_hold_signs_what_it_can() {
    let mut widget = widget(|setup| setup).await;
    widget.token = Token::saying(
        r#""plan":"pro","email":"ada@example.com","conversation":{"priority":"high"},"additional_attributes":{"company_name":"Acme"}"#,
    )
    .text();
    let contact = json!({"name": "Ada", "email": "ada@example.com", "custom_attributes": {"plan": "pro"}});
    let read = widget.passes(CONTACT, r#"{"name":"Ada"}"#).await.json();
    assert_eq!(
        (&read["name"], &read["email"], &read["custom_attributes"]),
        (&contact["name"], &contact["email"], &contact["custom_attributes"])
    );
    let read = widget.passes(CONVERSATION, r#"{"message":{"content":"hi"}}"#).await.json();
    assert_eq!(read["custom_attributes"], json!({"priority": "high"}));
    assert!(!read.to_string().contains("pro"), "an attribute of the contact is none of a conversation: {read}");
    let read = widget.passes(SET_CONVERSATION, r#"{"custom_attributes":{"priority":"low","topic":"a"}}"#).await.json();
    assert_eq!(read["custom_attributes"], json!({"priority": "high", "topic": "a"}));
    // Nothing is added to calls that are for something else.
    widget.reads("POST labels", r#"{"label":"vip"}"#, json!({"label": "vip"})).await;
    widget.reads("POST events", r#"{"name":"webwidget.triggered"}"#, json!({"name": "webwidget.triggered"})).await;
    for (call, body) in [
        ("POST conversations/transcript", json!({"email": "ada@example.com"})),
        ("POST integrations/dyte/add_participant_to_meeting", json!({"message_id": 7})),
    ] {
        widget.reads(call, &body.to_string(), body.clone()).await;
    }
}

#[tokio::test]
async fn a_token_in_a_custom_attribute_is_taken_out() {
    let mut widget = widget(|setup| setup).await;
    widget.website_token = "other-token";
    let token = Token::saying(r#""plan":"pro""#).text();
    let body = json!({"custom_attributes": {"countersign_token": token, "nickname": "bob", "plan": "free"}});
    let received = widget.passes(CONTACT, &body.to_string()).await;
    assert_eq!(received.json(), json!({"custom_attributes": {"nickname": "bob", "plan": "pro"}}));
    // Alone, it leaves what it signs and nothing of itself.
    let body = json!({"custom_attributes": {"countersign_token": token}}).to_string();
    widget.reads(CONTACT, &body, json!({"custom_attributes": {"plan": "pro"}})).await;
    // One that proves nothing does not stay behind as a value.
    let body =
        json!({"custom_attributes": {"countersign_token": format!("{token}x"), "nickname": "bob", "plan": "pro"}});
    widget.reads(CONTACT, &body.to_string(), json!({"custom_attributes": {"nickname": "bob"}})).await;
    // Another workspace's place is not this one's.
    let body = json!({"custom_attributes": {"plan": "pro"}}).to_string();
    widget.token.clone_from(&token);
    assert!(!widget.passes(CONTACT, &body).await.json().to_string().contains("pro"));
    for value in [json!(true), json!([token]), json!({"a": token})] {
        let body = json!({"custom_attributes": {"countersign_token": value, "plan": "pro"}}).to_string();
        widget.refused(CONTACT, &body, 400).await;
    }
}

#[tokio::test]
async fn nested_objects_that_the_backend_merges_are_no_way_around() {
    let mut widget = widget(|setup| setup).await;
    for (attributes, expected) in [
        (json!({"plan": {"a": "pro"}, "nickname": "bob"}), json!({"nickname": "bob"})),
        (json!({"nickname": {"plan": "pro"}, "seats": [5]}), json!({})),
        (json!({"custom_attributes": {"plan": "pro"}, "nickname": "bob"}), json!({"nickname": "bob"})),
        (json!({"custom_attributes.plan": "pro", "nickname": "bob"}), json!({"nickname": "bob"})),
    ] {
        let read = widget.passes(CONTACT, &json!({"custom_attributes": attributes}).to_string()).await.json();
        let read = read.get("custom_attributes").cloned().unwrap_or_else(|| json!({}));
        assert_eq!(read, expected, "{attributes}");
    }
    assert_eq!(widget.bench.verdict("plan"), "alias");
    for (attributes, expected) in [
        (json!({"company_name": "Acme", "city": "Ghent"}), json!({"city": "Ghent"})),
        (json!({"Company_Name": "Acme", "city": "Ghent"}), json!({"city": "Ghent"})),
        (json!({"city": {"company_name": "Acme"}}), json!({})),
        (json!({"social_profiles": {"github": "victim"}, "city": "Ghent"}), json!({"city": "Ghent"})),
        (json!({"social_profiles": null, "city": "Ghent"}), json!({"city": "Ghent"})),
        (json!({"social_profiles.github": "victim", "city": "Ghent"}), json!({"city": "Ghent"})),
    ] {
        let read = widget.passes(SET_USER, &json!({"additional_attributes": attributes}).to_string()).await.json();
        let read = read.get("additional_attributes").cloned().unwrap_or_else(|| json!({}));
        assert_eq!(read, expected, "{attributes}");
    }
    for whole in [json!(null), json!([]), json!("plan"), json!([["plan", "pro"]])] {
        for name in ["custom_attributes", "additional_attributes"] {
            let body = json!({name: whole, "name": "Ada"}).to_string();
            widget.reads(CONTACT, &body, json!({"name": "Ada"})).await;
        }
    }
}

#[tokio::test]
async fn of_a_list_of_names_to_delete_the_locked_ones_go() {
    let mut widget = widget(|setup| setup).await;
    widget
        .reads(FORGET, r#"{"custom_attributes":["plan","nickname"]}"#, json!({"custom_attributes": ["nickname"]}))
        .await;
    assert_eq!(widget.bench.verdict("plan"), "erase_locked");
    for list in [r#"["plan"]"#, r#"["Plan"]"#, r#"["plan","seats","plan "]"#] {
        let code = widget.refused(FORGET, &format!(r#"{{"custom_attributes":{list}}}"#), 403).await;
        assert_eq!(code, "nothing_left", "an emptied list might mean all");
    }
    for broken in [r#""plan""#, r#"{"0":"plan"}"#, "null", "[null]", r#"[["plan"]]"#, r#"[{"name":"plan"}]"#] {
        widget.refused(FORGET, &format!(r#"{{"custom_attributes":{broken}}}"#), 400).await;
    }
    // A token that says what the plan is does not say that it may go.
    widget.token = Token::saying(r#""plan":"pro""#).text();
    let read = widget.send(FORGET, r#"{"custom_attributes":["plan","nickname"]}"#).await;
    assert_eq!(read.status, 200);
    assert_eq!(widget.bench.upstream.only().json(), json!({"custom_attributes": ["nickname"]}));
    widget.token.clear();
    // Those of a conversation are other attributes, under another name.
    let list = r#"{"custom_attribute":["priority","topic"]}"#;
    widget.reads(FORGET_CONVERSATION, list, json!({"custom_attribute": ["topic"]})).await;
    widget.refused(FORGET_CONVERSATION, r#"{"custom_attribute":["priority"]}"#, 403).await;
}

#[tokio::test]
async fn replacing_all_attributes_of_a_conversation_must_not_erase_a_locked_one() {
    let mut widget = widget(|setup| setup).await;
    let signed = Token::saying(r#""conversation":{"priority":"high"}"#).text();
    for body in [
        r#"{"custom_attributes":{"topic":"a"}}"#,
        r#"{"custom_attributes":{}}"#,
        r#"{"custom_attributes":{"priority":"high"}}"#,
    ] {
        assert_eq!(widget.refused(SET_CONVERSATION, body, 403).await, "erases_locked", "{body}");
    }
    widget.token = signed;
    widget
        .reads(
            SET_CONVERSATION,
            r#"{"custom_attributes":{"topic":"a"}}"#,
            json!({"custom_attributes": {"topic": "a", "priority": "high"}}),
        )
        .await;
    for body in [r#"{"custom_attributes":null}"#, r#"{"custom_attributes":[]}"#] {
        widget.refused(SET_CONVERSATION, body, 400).await;
    }
    // Without the document nothing is said of what is cleared.
    widget.token.clear();
    assert_eq!(widget.refused(SET_CONVERSATION, "{}", 403).await, "erases_locked");
}

#[tokio::test]
async fn a_workspace_may_accept_that_replacing_erases() {
    let mut widget =
        widget(|setup| setup.with(r#"mode = "enforce""#, "mode = \"enforce\"\non_replace = \"allow\"")).await;
    let body = r#"{"custom_attributes":{"topic":"a","priority":"high"}}"#;
    widget.reads(SET_CONVERSATION, body, json!({"custom_attributes": {"topic": "a"}})).await;
}

#[tokio::test]
async fn a_conversation_brings_neither_a_contacts_nor_its_own_locked_attributes() {
    let mut widget = widget(|setup| setup).await;
    let body = json!({
        "contact": {"name": "Ada", "email": "victim@example.com", "phone_number": "+3210000000"},
        "message": {"content": "hi", "timestamp": "now", "referer_url": "https://app.acme.example/"},
        "custom_attributes": {"priority": "high", "topic": "a", "plan": "pro"},
    });
    widget
        .reads(
            CONVERSATION,
            &body.to_string(),
            json!({"contact": {"name": "Ada"}, "message": body["message"], "custom_attributes": {"topic": "a"}}),
        )
        .await;
    for contact in [json!([{"email": "victim@example.com"}]), json!(null), json!("victim@example.com")] {
        let read = widget.passes(CONVERSATION, &json!({"contact": contact, "message": {}}).to_string()).await.json();
        assert_eq!(read, json!({"message": {}}), "{contact}");
    }
}

#[tokio::test]
async fn a_form_of_a_bot_is_believed_of_a_lead_alone() {
    let mut widget = widget(|setup| setup).await;
    let form = |name: &str, value: &str| {
        json!({"message": {"submitted_values": [
            {"name": name, "title": "Q", "value": value}, {"name": "nickname", "title": "N", "value": "bob"}]}})
        .to_string()
    };
    let values = |received: Received| received.json()["message"]["submitted_values"].clone();
    let bob = json!({"name": "nickname", "title": "N", "value": "bob"});
    // Whoever brings a session may be a user.
    let call = "PATCH messages/7";
    assert_eq!(values(widget.passes(call, &form("email", "ada@example.com")).await), json!([bob]));
    assert_eq!(widget.bench.verdict("email"), "not_lead");
    let body = json!({"contact": {"email": "ada@example.com", "name": "Ada"}}).to_string();
    widget.reads(call, &body, json!({"contact": {"name": "Ada"}})).await;
    widget.session.clear();
    let lead = json!([{"name": "email", "title": "Q", "value": "ada@example.com"}, bob]);
    assert_eq!(values(widget.passes(call, &form("email", "ada@example.com")).await), lead);
    assert_eq!(widget.bench.verdict("email"), "lead");
    widget.reads(call, &body, json!({"contact": {"email": "ada@example.com", "name": "Ada"}})).await;
    // What no bot asks of leads, it does not collect from them.
    assert_eq!(values(widget.passes(call, &form("plan", "pro")).await), json!([bob]));
    assert_eq!(values(widget.passes(call, &form("Plan", "pro")).await), json!([bob]));
    for broken in [
        r#"{"0":{"name":"plan","value":"pro"}}"#,
        r#""plan""#,
        r#"["plan"]"#,
        r#"[{"value":"pro"}]"#,
        r#"[{"name":["plan"],"value":"pro"}]"#,
        r#"[{"name":"nickname","Name":"plan","value":"pro"}]"#,
        r#"[{"name":"nickname","value":"bob","VALUE":"pro"}]"#,
    ] {
        widget.refused(call, &format!(r#"{{"message":{{"submitted_values":{broken}}}}}"#), 400).await;
    }
}

#[tokio::test]
async fn events_and_labels_carry_no_way_around() {
    let mut widget = widget(|setup| setup).await;
    let event = json!({"name": "campaign.triggered", "event_info": {"campaign_id": 7, "custom_attributes": {"priority": "high", "topic": "a"}}});
    widget
        .reads(
            "POST events",
            &event.to_string(),
            json!({"name": "campaign.triggered", "event_info": {"campaign_id": 7, "custom_attributes": {"topic": "a"}}}),
        )
        .await;
    widget.reads("POST labels", r#"{"label":"vip"}"#, json!({"label": "vip"})).await;
    assert_eq!(widget.passes("DELETE labels/vip", "").await.method, "DELETE");
    widget.reads("POST messages", r#"{"message":{"content":"hi"}}"#, json!({"message": {"content": "hi"}})).await;
    widget.refused("DELETE labels/vip", r#"{"label":"vip"}"#, 400).await;
}

#[tokio::test]
async fn the_public_api_is_judged_like_the_widget() {
    let mut widget = widget(|setup| setup).await;
    let body = json!({"identifier": "user-42", "email": "victim@example.com", "name": "Ada", "custom_attributes": {"plan": "pro", "nickname": "bob"}});
    let expected = json!({"identifier": "user-42", "name": "Ada", "custom_attributes": {"nickname": "bob"}});
    for call in
        ["POST /public/api/v1/inboxes/inbox-1/contacts", "PATCH /public/api/v1/inboxes/inbox-1/contacts/source-1"]
    {
        widget.reads(call, &body.to_string(), expected.clone()).await;
    }
    let two = "POST /public/api/v1/inboxes/inbox-1/contacts?website_token=other-token";
    assert_eq!(widget.refused(two, &body.to_string(), 400).await, "workspace_twice");
    for call in [
        "POST /public/api/v1/inboxes/inbox-2/contacts",
        "POST /public/api/v1/inboxes/Inbox-1/contacts",
        "POST /public/api/v1/inboxes/inbox-1/contacts/source-1/conversations",
        "PATCH /api/v1/accounts/1/contacts/1",
    ] {
        widget.refused(call, &body.to_string(), 404).await;
    }
    // Below the widget's own path there is more to read, and nothing more to write.
    for call in ["PATCH contacts", "PATCH contact.json", "PUT contact"] {
        widget.refused(call, &body.to_string(), 405).await;
    }
}

#[tokio::test]
async fn where_users_must_be_proven_a_bad_hash_reads_as_chatwoots_own_refusal() {
    let mut widget = widget(|setup| setup.with(r#"require = "never""#, r#"require = "identified""#)).await;
    for body in [
        json!({"identifier": "user-42"}),
        json!({"identifier": "user-42", "identifier_hash": user_hash("user-43")}),
        json!({"identifier": "user-42", "identifier_hash": ""}),
        json!({"identifier": "user-42", "identifier_hash": user_hash("user-42").to_uppercase()}),
        json!({"identifier_hash": user_hash("user-42")}),
        json!({"identifier": "", "identifier_hash": user_hash("user-42")}),
        json!({"identifier": 42}),
        // Texts like any other: a backend that takes them as they stand has a user of that name.
        json!({"identifier": "undefined"}),
        json!({"identifier": "null"}),
        json!({"identifier": " "}),
    ] {
        let request = widget.request(SET_USER, &body.to_string());
        let answer = widget.bench.send(request).await;
        assert_eq!(answer.status, 401, "{body}");
        assert_eq!(answer.text(), r#"{"error":"HMAC failed: Invalid Identifier Hash Provided"}"#, "{body}");
        assert!(widget.bench.upstream.received().is_empty(), "{body}");
    }
    for identifier in [json!(true), json!(["user-42"]), json!({"a": 1})] {
        let body = json!({"identifier": identifier, "name": "Ada"}).to_string();
        assert_eq!(widget.refused(SET_USER, &body, 400).await, "place_not_text");
    }
    let good = json!({"identifier": "user-42", "identifier_hash": user_hash("user-42"), "name": "Ada"});
    widget.reads(SET_USER, &good.to_string(), good).await;
    // A visitor is nobody who must be proven.
    widget.reads(CONTACT, r#"{"name":"Ada"}"#, json!({"name": "Ada"})).await;
    widget.token = Token::saying(r#""plan":"pro""#).text();
    widget
        .reads(
            SET_USER,
            r#"{"identifier":"user-42"}"#,
            json!({"identifier": "user-42", "custom_attributes": {"plan": "pro"}}),
        )
        .await;
    assert_eq!(widget.refused(SET_USER, r#"{"identifier":"user-43"}"#, 401).await, "subject_mismatch");
}

#[tokio::test]
async fn only_the_widgets_own_frame_and_trusted_pages_may_call() {
    let mut widget = widget(|setup| setup).await;
    let port = widget.bench.gateway.address.port();
    let from = |widget: &Widget, origin: Option<&str>| {
        let mut request = widget.request(CONTACT, r#"{"name":"Ada"}"#);
        request.headers_mut().remove("origin");
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().expect("a header"));
        }
        request
    };
    for origin in [format!("https://localhost:{port}"), "https://app.acme.example".into()] {
        let request = from(&widget, Some(&origin));
        let answer = widget.bench.send(request).await;
        assert_eq!(answer.status, 200, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin.as_str()));
    }
    for origin in [
        "https://localhost".to_owned(),
        format!("http://localhost:{port}"),
        format!("https://localhost:{}", port - 1),
        format!("https://127.0.0.1:{port}"),
        format!("https://localhost.evil.test:{port}"),
        format!("https://LOCALHOST:{port}"),
        "https://evil.example".into(),
        "null".into(),
    ] {
        let request = from(&widget, Some(&origin));
        widget.bench.refused(request, 403).await;
    }
    let request = from(&widget, None);
    widget.bench.refused(request, 403).await;
    let mut request = from(&widget, Some("https://evil.example"));
    request.headers_mut().insert("host", "evil.example".parse().expect("a header"));
    widget.bench.refused(request, 421).await;
}

#[tokio::test]
async fn the_widgets_page_and_its_assets_pass_as_they_are() {
    let mut widget = widget(|setup| setup).await;
    for path in [
        "/widget?website_token=site-token",
        "/packs/js/sdk.js",
        "/vite/assets/a.css",
        "/api/v1/widget/messages?website_token=site-token&after=1",
    ] {
        let received = widget.bench.passes(Request::get(path).body(String::new()).expect("a request")).await;
        assert_eq!(received.target, path);
        assert_eq!(received.method, "GET");
    }
    let request = |path: &str| Request::head(path).body(String::new()).expect("a request");
    assert_eq!(widget.bench.passes(request("/widget?website_token=site-token")).await.method, "HEAD");
    widget.bench.refused(request("/api/v1/widget/contact?website_token=site-token"), 405).await;
    for path in ["/packs/../api/v1/accounts", "/packs", "/app", "/super_admin", "/packs/%2e%2e/app"] {
        let answer = widget.bench.send(Request::get(path).body(String::new()).expect("a request")).await;
        assert!(answer.status.is_client_error(), "{path}");
        assert!(widget.bench.upstream.received().is_empty(), "{path}");
    }
    // Somebody else's page does not get it by script, and nobody puts a body where none belongs.
    let foreign = Request::get("/packs/js/sdk.js").header("origin", "https://evil.example");
    widget.bench.refused(foreign.body(String::new()).expect("a request"), 403).await;
}

#[tokio::test]
async fn the_query_carries_no_attribute_beside_a_json_body() {
    let mut widget = widget(|setup| setup).await;
    for query in [
        "email=victim@example.com",
        "custom_attributes[plan]=pro",
        "custom_attributes%5Bplan%5D=pro",
        "Custom_Attributes[plan]=pro",
        "custom_attributes=pro",
        "contact[email]=victim@example.com",
        "plan=pro",
        "PLAN=pro",
        "identifier=user-43",
        "identifier_hash=0",
        "phone_number=1",
        "additional_attributes[company_name]=Acme",
        "x=1;email=victim@example.com",
    ] {
        if query.starts_with("contact[") {
            widget.refused(&format!("{CONVERSATION}?{query}"), "{}", 400).await;
        } else {
            widget.refused(&format!("{CONTACT}?{query}"), r#"{"name":"Ada"}"#, 400).await;
        }
    }
    widget.refused(&format!("{FORGET}?custom_attributes[]=plan"), r#"{"custom_attributes":["nickname"]}"#, 400).await;
    widget
        .refused(&format!("{SET_CONVERSATION}?custom_attributes[priority]=1"), r#"{"custom_attributes":{}}"#, 400)
        .await;
    widget.refused("PATCH messages/7?message[submitted_values][][name]=plan", "{}", 400).await;
    let received = widget.passes(&format!("{CONTACT}?locale=nl&page=2"), r#"{"name":"Ada"}"#).await;
    assert_eq!(received.target, "/api/v1/widget/contact?locale=nl&page=2&website_token=site-token");
    // A query alone is no body.
    widget.refused(CONTACT, "", 411).await;
    let mut chunked = widget.request(CONTACT, "");
    chunked.headers_mut().insert("content-type", "application/json".parse().expect("a header"));
    chunked.headers_mut().insert("content-length", "0".parse().expect("a header"));
    widget.bench.refused(chunked, 411).await;
}

#[tokio::test]
async fn the_inbox_is_named_once_and_is_one_of_ours() {
    let mut widget = widget(|setup| setup).await;
    let target = |query: &str| format!("PATCH /api/v1/widget/contact{query}");
    for (query, status) in [
        ("?website_token=nobody", 404),
        ("?website_token=", 404),
        ("?website_token=SITE-TOKEN", 404),
        ("?website_token=site-token&website_token=other-token", 400),
        ("?website_token=site-token&website_token=site-token", 400),
        ("?website_token=site-token&Website_Token=other-token", 400),
        ("?website_token=site-token&website_token[]=other-token", 400),
        ("?website_token=site-token&x=1;website_token=other-token", 400),
        ("", 404),
    ] {
        let mut request = widget.request(&target(""), r#"{"custom_attributes":{"plan":"pro"}}"#);
        *request.uri_mut() = format!("/api/v1/widget/contact{query}").parse().expect("a target");
        widget.bench.refused(request, status).await;
    }
    widget.refused(CONTACT, r#"{"website_token":"other-token","name":"Ada"}"#, 400).await;
    // What is streamed is for one inbox as well.
    for query in ["website_token=site-token&website_token=nobody", "website_token=nobody"] {
        let request = Request::get(format!("/widget?{query}")).body(String::new()).expect("a request");
        let answer = widget.bench.send(request).await;
        assert!(answer.status.is_client_error(), "{query}");
        assert!(widget.bench.upstream.received().is_empty(), "{query}");
    }
}

#[tokio::test]
async fn another_method_in_disguise_is_none() {
    let mut widget = widget(|setup| setup).await;
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let mut request = widget.request("POST labels", r#"{"label":"vip"}"#);
        request.headers_mut().insert(name, "PATCH".parse().expect("a header"));
        let received = widget.bench.passes(request).await;
        assert_eq!((received.method.as_str(), received.header(name)), ("POST", None));
    }
    widget.refused("POST labels?_method=DELETE", r#"{"label":"vip"}"#, 400).await;
    widget.refused("POST labels?_Method=DELETE", r#"{"label":"vip"}"#, 400).await;
    widget.refused("POST labels", r#"{"label":"vip","_method":"DELETE"}"#, 400).await;
}

#[tokio::test]
async fn another_tenants_page_is_no_page_of_this_one() {
    let other = SITE
        .replace(r#"["site-token", "inbox-1"]"#, r#"["other-token"]"#)
        .replace("https://app.acme.example", "https://app.globex.example");
    let mut widget = widget(|setup| setup.workspace("other", &other)).await;
    let get = |query: &str, origin: &str| {
        let request = Request::get(format!("/widget?{query}")).header("origin", origin);
        request.body(String::new()).expect("a request")
    };
    let named = "website_token=site-token";
    // Its origin is one of somebody's here, and not of whom the request names.
    assert_eq!(widget.bench.refused(get(named, "https://app.globex.example"), 403).await, "origin_untrusted");
    widget.bench.passes(get(named, "https://app.acme.example")).await;
    // Rack divides a query at semicolons too, up to version 2.
    let hidden = "locale=en;website_token=site-token";
    assert_eq!(widget.bench.refused(get(hidden, "https://app.globex.example"), 403).await, "origin_untrusted");
    for two in
        ["website_token=site-token&a;website_token=other-token", "website_token=other-token;website_token=site-token"]
    {
        assert_eq!(widget.bench.refused(get(two, "https://app.globex.example"), 400).await, "workspace_twice", "{two}");
    }
}

#[tokio::test]
async fn a_list_whose_names_the_token_all_sets_is_not_sent_empty() {
    let mut widget = widget(|setup| setup).await;
    widget.token = Token::saying(r#""plan":"pro""#).text();
    // What the token sets is not deleted, and an empty list may mean all of them.
    let code = widget.refused("POST contact/destroy_custom_attributes", r#"{"custom_attributes":["plan"]}"#, 403).await;
    assert_eq!(code, "nothing_left");
}
