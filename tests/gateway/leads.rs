//! Who is a lead: whoever the messenger itself said is one, in this session, and nobody else.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;

use crate::support::client::form_request;
use crate::support::token::{now, user_hash};
use crate::support::{Answer, Bench, Setup, Streamed, TestUpstream, Token, form};

const PING: &str = "/messenger/web/ping";
const FORM: &str = "/messenger/web/conversations/7/form";
const QUESTION: &str = r#"{"identifier":"phone","value":"123","conversation_part_id":"9"}"#;

/// What the upstream says to everything, until it is told otherwise.
#[derive(Clone)]
struct Says {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    pieces: Vec<Bytes>,
    breaks_off: bool,
    delay: Duration,
}

impl Says {
    fn json(body: &str) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "application/json; charset=utf-8")],
            pieces: vec![Bytes::copy_from_slice(body.as_bytes())],
            breaks_off: false,
            delay: Duration::ZERO,
        }
    }

    /// What a `ping` says of a session.
    fn role(role: &str, session: &str) -> Self {
        Self::json(&json!({"user": {"role": role, "id": "1"}, "anonymous_session": session}).to_string())
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
        self
    }

    fn response(&self) -> Response<Streamed> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, *value);
        }
        let end = self.breaks_off.then(|| Err(std::io::Error::other("broken off")));
        let pieces = self.pieces.clone().into_iter().map(|piece| Ok(Frame::data(piece))).chain(end);
        response.body(StreamBody::new(futures_util::stream::iter(pieces)).boxed()).expect("an answer")
    }
}

struct Messenger {
    bench: Bench,
    says: Arc<Mutex<Says>>,
}

async fn messenger(change: impl FnOnce(Setup) -> Setup) -> Messenger {
    let says = Arc::new(Mutex::new(Says::json("{}")));
    let told = Arc::clone(&says);
    let upstream = TestUpstream::streaming(move |_| {
        let says = told.lock().expect("unpoisoned");
        (says.delay, says.response())
    })
    .await;
    let bench = Bench::over(upstream, |address| change(Setup::acme(address))).await;
    Messenger { bench, says }
}

fn in_session<'p>(pairs: &[(&'p str, &'p str)], session: Option<&'p str>) -> String {
    let session = session.map(|session| ("anonymous_session", session));
    form(&[&[("app_id", "abc12345")], pairs, session.as_slice()].concat())
}

impl Messenger {
    fn says(&self, says: Says) {
        *self.says.lock().expect("unpoisoned") = says;
    }

    /// A `ping` in a session, and what its answer was.
    async fn ping(&mut self, session: Option<&str>, user_data: &str) -> Answer {
        self.bench.send(form_request(PING, in_session(&[("user_data", user_data)], session))).await
    }

    /// Answers the bot in a session; the verdict.
    async fn answers(&mut self, session: Option<&str>) -> &'static str {
        self.answers_with(session, &[]).await
    }

    async fn answers_with(&mut self, session: Option<&str>, pairs: &[(&str, &str)]) -> &'static str {
        self.says(Says::json("{}"));
        let body = in_session(&[&[("form_params", QUESTION), ("user_data", "{}")], pairs].concat(), session);
        let answer = self.bench.send(form_request(FORM, body)).await;
        let kept = !self.bench.upstream.received().is_empty();
        assert_eq!(answer.status.as_u16(), if kept { 200 } else { 403 }, "{}", answer.text());
        let verdict = self.bench.verdict("phone");
        assert_eq!(verdict, if kept { "lead" } else { "not_lead" });
        if kept { "lead" } else { "not_lead" }
    }

    /// Makes a lead of a session.
    async fn make_lead(&mut self, session: &str) {
        self.says(Says::role("contact_role", session));
        assert_eq!(self.ping(None, "{}").await.status, 200);
        assert_eq!(self.answers(Some(session)).await, "lead");
    }
}

#[tokio::test]
async fn a_lead_is_who_the_messenger_said_is_one() {
    let mut messenger = messenger(|setup| setup).await;
    assert_eq!(messenger.answers(Some("s")).await, "not_lead", "nobody said whose session it is");
    assert_eq!(messenger.answers(None).await, "not_lead", "nor is nobody a lead");
    for (role, session, verdict) in [
        ("contact_role", "lead", "lead"),
        ("visitor_role", "visitor", "lead"),
        ("user_role", "user", "not_lead"),
        ("admin_role", "admin", "not_lead"),
        ("Contact_role", "case", "not_lead"),
    ] {
        messenger.says(Says::role(role, session));
        messenger.ping(None, "{}").await;
        assert_eq!(messenger.answers(Some(session)).await, verdict, "{role}");
    }
    // Another spelling of the session is another, and hiding it hides who it is.
    for session in ["Lead", "lead ", "undefined", "null", ""] {
        assert_eq!(messenger.answers(Some(session)).await, "not_lead", "{session}");
    }
    assert_eq!(messenger.answers(None).await, "not_lead");
    assert_eq!(messenger.answers(Some("lead")).await, "lead");
}

#[tokio::test]
async fn an_answer_without_a_session_speaks_of_the_requests() {
    let mut messenger = messenger(|setup| setup).await;
    messenger.says(Says::json(r#"{"user":{"role":"contact_role"}}"#));
    messenger.ping(Some("asked"), "{}").await;
    assert_eq!(messenger.answers(Some("asked")).await, "lead");
    // Where the backend went on in another session, it did not say whose the request's was.
    messenger.says(Says::role("contact_role", "next"));
    messenger.ping(Some("mine"), "{}").await;
    assert_eq!(messenger.answers(Some("mine")).await, "not_lead");
    assert_eq!(messenger.answers(Some("next")).await, "lead");
    // But a user has both.
    messenger.make_lead("before").await;
    messenger.says(Says::role("user_role", "after"));
    messenger.ping(Some("before"), "{}").await;
    assert_eq!(messenger.answers(Some("before")).await, "not_lead");
    assert_eq!(messenger.answers(Some("after")).await, "not_lead");
}

#[tokio::test]
async fn who_becomes_a_user_is_no_lead_from_that_request_on() {
    let mut messenger = messenger(|setup| setup).await;
    let expired = Token::of(&format!(r#"{{"user_id":"user-42","exp":{}}}"#, now() - 600)).text();
    for (number, user) in [
        json!({"user_id": "user-42"}),
        json!({"email": "ada@example.com"}),
        json!({"intercom_user_jwt": Token::saying("").text()}),
        json!({"intercom_user_jwt": expired}),
        json!({"user_id": "user-42", "user_hash": user_hash("user-42")}),
    ]
    .into_iter()
    .enumerate()
    {
        let session = format!("s{number}");
        messenger.make_lead(&session).await;
        // Its answer is lost: who knows what it said.
        messenger.says(Says { breaks_off: true, ..Says::role("user_role", &session) });
        let lost = form_request(PING, in_session(&[("user_data", &user.to_string())], Some(&session)));
        let answer = messenger.bench.client.try_send(lost).await;
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 502), "the answer was not lost");
        messenger.bench.client = messenger.bench.gateway.http1().await;
        messenger.bench.count_one();
        assert_eq!(messenger.answers(Some(&session)).await, "not_lead", "{user}");
        // No later answer makes a lead of a user.
        messenger.says(Says::role("contact_role", &session));
        messenger.ping(Some(&session), "{}").await;
        assert_eq!(messenger.answers(Some(&session)).await, "not_lead", "{user}");
    }
}

#[tokio::test]
async fn an_older_answer_makes_no_lead_of_a_user() {
    let mut messenger = messenger(|setup| setup).await;
    let mut other = messenger.bench.gateway.http2().await;
    messenger.says(Says { delay: Duration::from_millis(400), ..Says::role("contact_role", "s") });
    let older =
        tokio::spawn(
            async move { other.send(form_request(PING, in_session(&[("user_data", "{}")], Some("s")))).await },
        );
    while messenger.bench.upstream.received().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    messenger.says(Says::role("user_role", "s"));
    messenger.ping(Some("s"), r#"{"user_id":"user-42"}"#).await;
    assert_eq!(older.await.expect("an answer").status, 200);
    messenger.bench.count_one();
    assert_eq!(messenger.answers(Some("s")).await, "not_lead");
}

#[tokio::test]
async fn a_request_that_names_a_user_is_no_leads_in_whatever_session() {
    let mut messenger = messenger(|setup| setup).await;
    messenger.make_lead("s").await;
    let refused = |pairs: &[(&str, &str)]| {
        form_request(FORM, in_session(&[&[("form_params", QUESTION)], pairs].concat(), Some("s")))
    };
    for pairs in [
        &[("user_data", r#"{"user_id":"user-42"}"#)][..],
        &[("user_data", r#"{"email":"ada@example.com"}"#)],
        &[("user_data", "{}"), ("user_id", "user-42")],
    ] {
        assert_eq!(messenger.bench.refused(refused(pairs), 403).await, "nothing_left");
    }
    // Nothing of them was sent on, so that the session is whose it was.
    assert_eq!(messenger.answers(Some("s")).await, "lead");
}

#[tokio::test]
async fn what_a_client_says_of_itself_counts_for_nothing() {
    let mut messenger = messenger(|setup| setup).await;
    for pairs in [
        &[("role", "contact_role")][..],
        &[("is_lead", "true"), ("lead", "1")],
        &[("user[role]", "contact_role")],
        &[("user", r#"{"role":"contact_role"}"#)],
    ] {
        assert_eq!(messenger.answers_with(Some("s"), pairs).await, "not_lead", "{pairs:?}");
    }
    let data = r#"{"role":"contact_role","user":{"role":"contact_role"},"anonymous_session":"s"}"#;
    messenger.ping(Some("s"), data).await;
    assert_eq!(messenger.answers(Some("s")).await, "not_lead");
    let mut request = form_request(FORM, in_session(&[("form_params", QUESTION)], Some("s")));
    for (name, value) in [("x-role", "contact_role"), ("x-countersign-role", "lead"), ("cookie", "role=lead")] {
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    assert_eq!(messenger.bench.refused(request, 403).await, "nothing_left");
}

#[tokio::test]
async fn an_answer_that_is_not_understood_teaches_nothing_and_arrives_as_it_was() {
    let mut messenger = messenger(|setup| setup).await;
    let good = Says::role("contact_role", "s");
    let long = format!(r#"{{"user":{{"role":"contact_role"}},"anonymous_session":"{}"}}"#, "s".repeat(4097));
    let huge =
        json!({"user": {"role": "contact_role"}, "anonymous_session": "s", "x": "x".repeat(300_000)}).to_string();
    let mut bad: Vec<Says> = [
        r#"{"user":{"role":7},"anonymous_session":"s"}"#,
        r#"{"user":{"role":["contact_role"]},"anonymous_session":"s"}"#,
        r#"{"user":{"role":null},"anonymous_session":"s"}"#,
        r#"{"user":"contact_role","anonymous_session":"s"}"#,
        r#"{"role":"contact_role","anonymous_session":"s"}"#,
        r#"{"user":{"role":"contact_role"},"anonymous_session":7}"#,
        r#"{"user":{"role":"contact_role"},"anonymous_session":""}"#,
        r#"{"user":{"role":"contact_role"},"anonymous_session":["s"]}"#,
        r#"{"user":{"role":"user_role","role":"contact_role"},"anonymous_session":"s"}"#,
        r#"{"user":{"role":"contact_role"},"anonymous_session":"x","anonymous_session":"s"}"#,
        r#"{"user":{"role":"contact_role"},"user":{"role":"user_role"},"anonymous_session":"s"}"#,
        r#"{"user":{"role":"contact_role"},"anonymous_session":"s""#,
        r#"[{"user":{"role":"contact_role"},"anonymous_session":"s"}]"#,
        r#"{"user":{"role":"contact_role"},"anonymous_session":"s"} x"#,
        "",
        "null",
        &long,
        &huge,
    ]
    .map(Says::json)
    .to_vec();
    bad.push(Says { status: 500, ..good.clone() });
    bad.push(Says { status: 403, ..good.clone() });
    bad.push(Says { status: 206, ..good.clone() });
    bad.push(good.clone().header("content-type", "text/html"));
    bad.push(good.clone().header("content-encoding", "gzip"));
    bad.push(good.clone().header("content-encoding", "deflate"));
    for says in bad {
        let (status, body) = (says.status, says.pieces.concat());
        messenger.says(says);
        let answer = messenger.ping(Some("s"), "{}").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (status, body.as_slice()));
        assert_eq!(
            messenger.answers(Some("s")).await,
            "not_lead",
            "{}",
            String::from_utf8_lossy(&body[..body.len().min(99)])
        );
    }
    // Other calls say whatever they like.
    messenger.says(good.clone());
    let open = form_request("/messenger/web/open", in_session(&[("user_data", "{}")], Some("s")));
    assert_eq!(messenger.bench.send(open).await.status, 200);
    assert_eq!(messenger.answers(Some("s")).await, "not_lead");
    messenger.says(good);
    messenger.ping(Some("s"), "{}").await;
    assert_eq!(messenger.answers(Some("s")).await, "lead");
}

#[tokio::test]
async fn an_answer_may_come_in_any_pieces_and_is_relayed_to_the_byte() {
    let mut messenger = messenger(|setup| setup).await;
    let body = |session: &str| {
        format!("{{ \"user\" : {{\"role\":\"contact_role\"}},\n\"anonymous_session\":\"{session}\"}}\n\n")
    };
    let one = body("one");
    let bytes = one.bytes().map(|byte| Bytes::copy_from_slice(&[byte])).collect();
    messenger.says(Says { pieces: bytes, ..Says::json("") });
    assert_eq!(messenger.ping(None, "{}").await.text(), one);
    assert_eq!(messenger.answers(Some("one")).await, "lead");
    // With a length, over HTTP/2, and in an empty last piece.
    let two = body("two");
    let length: &'static str = two.len().to_string().leak();
    messenger.says(Says::json(&two).header("content-length", length));
    let mut client = messenger.bench.gateway.http2().await;
    let answer = client.send(form_request(PING, in_session(&[("user_data", "{}")], None))).await;
    messenger.bench.count_one();
    assert_eq!((answer.text(), answer.header("content-length")), (two.as_str(), Some(length)));
    assert_eq!(messenger.answers(Some("two")).await, "lead");
    let three = body("three");
    messenger.says(Says { pieces: vec![three.clone().into(), Bytes::new()], ..Says::json("") });
    assert_eq!(messenger.ping(None, "{}").await.text(), three);
    assert_eq!(messenger.answers(Some("three")).await, "lead");
}

#[tokio::test]
async fn an_answer_that_is_compressed_teaches_and_stays_compressed() {
    let mut messenger = messenger(|setup| setup).await;
    let body = r#"{"user":{"role":"contact_role"},"anonymous_session":"s"}"#;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body.as_bytes()).expect("a vector takes all");
    let compressed = Bytes::from(encoder.finish().expect("a vector takes all"));
    let says = Says { pieces: vec![compressed.clone()], ..Says::json("") }.header("content-encoding", "gzip");
    messenger.says(says);
    let mut request: Request<String> = form_request(PING, in_session(&[("user_data", "{}")], None));
    request.headers_mut().insert("accept-encoding", "gzip, deflate, br, zstd".parse().expect("a value"));
    let answer = messenger.bench.send(request).await;
    assert_eq!((&answer.body, answer.header("content-encoding")), (&compressed, Some("gzip")));
    assert_eq!(messenger.bench.upstream.only().header("accept-encoding"), Some("gzip"), "what is read here");
    assert_eq!(messenger.answers(Some("s")).await, "lead");
}

#[tokio::test]
async fn a_session_of_one_workspace_says_nothing_of_another() {
    let beta = crate::support::gateway::ACME.replace("abc12345", "beta1234");
    let mut messenger = messenger(|setup| setup.workspace("beta", &beta)).await;
    messenger.make_lead("s").await;
    let elsewhere = form(&[("app_id", "beta1234"), ("form_params", QUESTION), ("anonymous_session", "s")]);
    assert_eq!(messenger.bench.refused(form_request(FORM, elsewhere), 403).await, "nothing_left");
    assert_eq!(messenger.answers(Some("s")).await, "lead");
}

#[tokio::test]
async fn a_session_that_ends_is_nobodys() {
    let shutdown = r#"shutdown = { on = "POST /messenger/web/shutdown", class = "session_end", body = "form", documents = { "field:user_data" = "user" } }"#;
    let profile = include_str!("../../policies/profiles/intercom-web.toml");
    let profile = profile.replace("[operations]\n", &format!("[operations]\n{shutdown}\n"));
    let mut messenger = messenger(|setup| setup.profile("intercom-web", &profile)).await;
    let end = || form_request("/messenger/web/shutdown", in_session(&[("user_data", "{}")], Some("s")));
    messenger.make_lead("s").await;
    messenger.bench.passes(end()).await;
    assert_eq!(messenger.answers(Some("s")).await, "not_lead");
    // What was a user's is whose the messenger says next.
    messenger.ping(Some("s"), r#"{"user_id":"user-42"}"#).await;
    messenger.says(Says::role("contact_role", "s"));
    messenger.ping(Some("s"), "{}").await;
    assert_eq!(messenger.answers(Some("s")).await, "not_lead");
    messenger.bench.passes(end()).await;
    messenger.make_lead("s").await;
}
