//! Tokens that count once, or only where they came first; and what becomes of requests when that cannot be known.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Request;
use serde_json::json;

use crate::support::client::form_request;
use crate::support::gateway::{ACME, write_whole};
use crate::support::token::{now, user_hash};
use crate::support::{Bench, Client, Protocol, Setup, TestUpstream, Token, form, ping_form};

const PING: &str = "/messenger/web/ping";

/// [`ACME`] where its tokens are looked at in one way.
fn under(setup: Setup, replay: &str) -> Setup {
    setup.with("leeway = \"30s\"", &format!("leeway = \"30s\"\nreplay = \"{replay}\""))
}

fn token(id: &str) -> String {
    Token::saying(&format!(r#""plan":"pro","jti":"{id}""#)).text()
}

fn ping(token: &str) -> Request<String> {
    ping_with(token, "c2Vzc2lvbg", "https://app.acme.example")
}

fn ping_with(token: &str, session: &str, origin: &str) -> Request<String> {
    let data = json!({"user_id": "user-42", "plan": "free", "intercom_user_jwt": token}).to_string();
    let body = form(&[("app_id", "abc12345"), ("user_data", &data), ("anonymous_session", session)]);
    Request::post(PING)
        .header("origin", origin)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .expect("a request")
}

#[tokio::test]
async fn a_token_that_counts_once_signs_once() {
    let mut bench = Bench::acme(|setup| under(setup, "single_use")).await;
    let first = token("1");
    assert_eq!(bench.passes(ping(&first)).await.user_data()["plan"], "pro");
    // The backend reads tokens itself and would believe it, so that the request goes nowhere although no proof is asked for.
    assert_eq!(bench.refused(ping(&first), 403).await, "replayed");
    // Another text with the same id is the same token.
    let again = Token::saying(r#""plan":"enterprise","jti":"1""#).text();
    assert_eq!(bench.refused(ping(&again), 403).await, "replayed");
    assert_eq!(bench.passes(ping(&token("2"))).await.user_data()["plan"], "pro");
    // Whoever issued another says another.
    let other = Token::saying(r#""plan":"pro","jti":"1","iss":"id.acme.example""#).text();
    bench.passes(ping(&other)).await;
    assert_eq!(bench.refused(ping(&other), 403).await, "replayed");
    // Who has no token has none to use up.
    bench.passes(form_request(PING, ping_form(r#"{"nickname":"bob"}"#))).await;
    let hashed = json!({"user_id": "user-42", "user_hash": user_hash("user-42")}).to_string();
    for _ in 0..2 {
        bench.passes(form_request(PING, ping_form(&hashed))).await;
    }
}

#[tokio::test]
async fn a_token_without_an_id_or_an_end_does_not_count() {
    let mut bench = Bench::acme(|setup| {
        under(setup, "single_use").with("max_lifetime = \"2h\"", "exp = \"optional\"").with("\"never\"", "\"always\"")
    })
    .await;
    let long = format!(r#""jti":"{}""#, "a".repeat(257));
    for members in ["", r#""jti":null"#, r#""jti":7"#, r#""jti":"""#, r#""jti":["1"]"#, r#""JTI":"1""#, &long] {
        let token = Token::saying(members).text();
        assert_eq!(bench.refused(ping(&token), 403).await, "jti_missing", "{members}");
    }
    let endless = Token::of(r#"{"user_id":"user-42","jti":"1"}"#).text();
    assert_eq!(bench.refused(ping(&endless), 403).await, "expiry_missing");
}

#[tokio::test]
async fn a_token_that_does_not_hold_uses_up_no_id() {
    let mut bench = Bench::acme(|setup| under(setup, "single_use")).await;
    let exp = now() + 600;
    for (bad, verdict) in [
        (Token::saying(r#""jti":"1""#).secret("another-secret-0123456789abcdef01234567").text(), "bad_signature"),
        (Token::of(&format!(r#"{{"user_id":"user-42","jti":"1","exp":{}}}"#, now() - 31)).text(), "expired"),
        (
            Token::of(&format!(r#"{{"user_id":"user-42","jti":"1","exp":{}}}"#, exp + 36_000)).text(),
            "lifetime_too_long",
        ),
        (Token::of(&format!(r#"{{"jti":"1","exp":{exp}}}"#)).text(), "missing_subject"),
        (Token::of(&format!(r#"{{"user_id":"user-41","jti":"1","exp":{exp}}}"#)).text(), "subject_mismatch"),
    ] {
        bench.send(ping(&bad)).await;
        assert_eq!(bench.record()["proof"], verdict);
    }
    // A stranger's page is turned away before anybody looks at the token.
    assert_eq!(bench.refused(ping_with(&token("1"), "", "https://evil.test"), 403).await, "origin_untrusted");
    assert_eq!(bench.passes(ping(&token("1"))).await.user_data()["plan"], "pro");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_requests_at_once_one_has_the_token() {
    let upstream = TestUpstream::start().await;
    let gateway = under(Setup::acme(upstream.address), "single_use").start();
    for round in 0..5 {
        let mut sent = Vec::new();
        // Connections of their own, so that several workers have them.
        for protocol in [Protocol::Http1, Protocol::Http2].repeat(8) {
            let mut client = Client::connect(gateway.address, &gateway.ca_pem, protocol).await;
            let request = ping(&token(&round.to_string()));
            sent.push(tokio::spawn(async move { client.send(request).await.status.as_u16() }));
        }
        let mut passed = 0;
        for status in sent {
            match status.await.expect("an answer") {
                200 => passed += 1,
                status => assert_eq!(status, 403),
            }
        }
        assert_eq!((passed, upstream.received().len()), (1, 1));
        upstream.forget();
    }
}

#[tokio::test]
async fn a_signature_spelled_otherwise_is_no_other_token() {
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("a key");
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).expect("a key");
    // SubjectPublicKeyInfo of a point on P-256 (RFC 5480 §2).
    let mut spki = vec![0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8];
    spki.extend([0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 3, 0x42, 0]);
    spki.extend_from_slice(key.public_key().as_ref());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&spki));
    let mut bench = Bench::acme(|setup| {
        setup.write();
        write_whole(&setup.policies().join("../es.pem"), &pem);
        under(setup, "single_use")
            .with(
                "algorithm = \"HS256\"\nsecret = { env = \"TEST_SECRET\" }",
                "algorithm = \"ES256\"\npublic_key = \"../es.pem\"",
            )
            .with("use = [\"jwt\", \"user_hash\"]", "use = [\"jwt\"]")
    })
    .await;
    let claims = format!(r#"{{"user_id":"user-42","exp":{},"plan":"pro","jti":"1"}}"#, now() + 600);
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#), URL_SAFE_NO_PAD.encode(&claims));
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).expect("signed").as_ref().to_vec();
    let spelled = |signature: &[u8]| format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
    // `s` and the order less `s` are one signature (SEC 1 §4.1.4).
    let mut other = signature.clone();
    let mut borrow = 0_i32;
    for (digit, order) in other[32..].iter_mut().zip(P256_ORDER).rev() {
        let difference = i32::from(order) - i32::from(*digit) - borrow;
        borrow = i32::from(difference < 0);
        *digit = u8::try_from(difference.rem_euclid(256)).expect("a digit");
    }
    assert_ne!(spelled(&signature), spelled(&other));
    assert_eq!(bench.passes(ping(&spelled(&signature))).await.user_data()["plan"], "pro");
    for token in [&other, &signature] {
        assert_eq!(bench.refused(ping(&spelled(token)), 403).await, "replayed");
    }
}

/// The order of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

#[tokio::test]
async fn a_token_stays_with_the_origin_that_sent_it_first() {
    let (app, shop) = ("https://app.acme.example", "https://shop.acme.example");
    let mut bench = Bench::acme(|setup| {
        under(setup, "first_origin").with("missing_origin = \"refuse\"", "missing_origin = \"allow\"")
    })
    .await;
    for _ in 0..3 {
        bench.passes(ping_with(&token("1"), "a", app)).await;
        bench.passes(ping_with(&token("2"), "a", shop)).await;
    }
    assert_eq!(bench.refused(ping_with(&token("1"), "a", shop), 403).await, "bound_elsewhere");
    assert_eq!(bench.refused(ping_with(&token("2"), "a", app), 403).await, "bound_elsewhere");
    let mut native = ping_with(&token("1"), "a", app);
    native.headers_mut().remove("origin");
    assert_eq!(bench.refused(native, 403).await, "bound_elsewhere", "no origin is another origin");
    let mut native = ping_with(&token("3"), "a", app);
    native.headers_mut().remove("origin");
    bench.passes(native).await;
    assert_eq!(bench.refused(ping_with(&token("3"), "a", app), 403).await, "bound_elsewhere");
}

#[tokio::test]
async fn a_token_stays_with_the_session_that_brought_it_first() {
    let origin = "https://app.acme.example";
    let mut bench = Bench::acme(|setup| under(setup, "first_session")).await;
    for _ in 0..3 {
        bench.passes(ping_with(&token("1"), "a", origin)).await;
        bench.passes(ping_with(&token("2"), "", origin)).await;
    }
    for (id, session) in [("1", "b"), ("1", ""), ("1", "undefined"), ("2", "a")] {
        assert_eq!(
            bench.refused(ping_with(&token(id), session, origin), 403).await,
            "bound_elsewhere",
            "{id} {session}"
        );
    }
}

#[tokio::test]
async fn where_only_we_read_tokens_a_used_one_signs_nothing_and_the_rest_goes_on() {
    let mut bench = Bench::start(|upstream| Setup::new(upstream).workspace("api", API)).await;
    let patch = |token: &str| {
        Request::patch("/users/user-42")
            .header("origin", "https://app.acme.example")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .body(r#"{"plan":"enterprise","nickname":"bob"}"#.to_owned())
            .expect("a request")
    };
    assert_eq!(bench.passes(patch(&token("1"))).await.json(), json!({"plan": "pro", "nickname": "bob"}));
    assert_eq!(bench.passes(patch(&token("1"))).await.json(), json!({"nickname": "bob"}));
    assert_eq!(bench.record()["proof"], "replayed");
}

const API: &str = r#"
profile = "json"
upstream = "attributes"
mode = "enforce"
trusted_domains = ["https://app.acme.example"]
missing_origin = "refuse"

[identity]
require = "never"
max_lifetime = "2h"
replay = "single_use"

[[identity.keys]]
id = "api-2026-11"
algorithm = "HS256"
secret = { env = "TEST_SECRET" }
use = ["jwt"]

[attributes]
plan = { lock = "enforce" }
nickname = { lock = "off" }

[[routes]]
path = "/users/{id}"
methods = ["PATCH"]
attributes = ""
subject = "path:id"
"#;

#[tokio::test]
async fn where_nothing_is_enforced_it_is_counted_and_nothing_is_refused() {
    let mut bench =
        Bench::acme(|setup| under(setup, "single_use").with("\"enforce\"\ntrusted", "\"observe\"\ntrusted")).await;
    bench.passes(ping(&token("1"))).await;
    bench.passes(ping(&token("1"))).await;
    let record = bench.record();
    assert_eq!((&record["proof"], &record["would_refuse"]), (&json!("replayed"), &json!("replayed")));
}

#[tokio::test]
async fn one_workspace_uses_up_no_other_ones_tokens() {
    let mut bench = Bench::acme(|setup| {
        under(setup, "single_use").workspace(
            "beta",
            &ACME
                .replace("abc12345", "def67890")
                .replace("leeway = \"30s\"", "leeway = \"30s\"\nreplay = \"single_use\""),
        )
    })
    .await;
    let of_beta = |token: &str| {
        let request = ping(token);
        request.map(|body| body.replace("abc12345", "def67890"))
    };
    bench.passes(ping(&token("1"))).await;
    bench.passes(of_beta(&token("1"))).await;
    assert_eq!(bench.refused(ping(&token("1")), 403).await, "replayed");
    assert_eq!(bench.refused(of_beta(&token("1")), 403).await, "replayed");
}

#[tokio::test]
async fn a_full_state_refuses_or_believes_as_the_policy_says() {
    let full = "[state]\nentries_max = 2\n";
    let mut bench = Bench::acme(|setup| under(setup, "single_use").gateway(full)).await;
    for id in ["1", "2"] {
        bench.passes(ping(&token(id))).await;
    }
    for id in ["3", "4"] {
        let answer = bench.send(ping(&token(id))).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("5")));
        assert!(bench.upstream.received().is_empty());
        assert_eq!(bench.record()["outcome"], "state_unavailable");
    }
    assert_eq!(bench.refused(ping(&token("1")), 403).await, "replayed", "what is known is known");
    // Whoever has no token is served.
    bench.passes(form_request(PING, ping_form(r#"{"nickname":"bob"}"#))).await;
    assert!(bench.gateway.admin_get("/metrics").contains("countersign_state_failures_total{workspace=\"acme\"} 2"));
    let line = bench.gateway.await_log("state_failed");
    assert!(line.contains("acme") && !bench.gateway.log().contains("\"unsaid\":1"), "{line}");

    let open = "[state]\nentries_max = 1\non_failure = \"open\"\n";
    let mut bench = Bench::acme(|setup| under(setup, "single_use").gateway(open)).await;
    bench.passes(ping(&token("1"))).await;
    assert_eq!(bench.passes(ping(&token("2"))).await.user_data()["plan"], "pro");
    assert!(bench.gateway.admin_get("/metrics").contains("countersign_state_failures_total{workspace=\"acme\"} 1"));
}
