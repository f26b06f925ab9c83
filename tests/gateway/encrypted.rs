//! Settings that the company's server encrypted: opened, left out or refused, and never passed unread.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use serde_json::json;

use crate::support::client::form_request;
use crate::support::{Bench, SECRET, Setup, Token, form, ping_form};

const PING: &str = "/messenger/web/ping";
const FIELD: &str = "_intercomEncryptedPayload";

/// As the vendor's own server library makes it.
pub fn seal(secret: &str, settings: &str) -> String {
    let key = digest::digest(&digest::SHA256, secret.as_bytes());
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("a key"));
    let nonce = *b"twelve bytes";
    let mut bytes = settings.as_bytes().to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut bytes).expect("sealed");
    STANDARD.encode([&nonce[..], &bytes].concat())
}

fn opening(setup: Setup) -> Setup {
    setup
        .with("use = [\"jwt\", \"user_hash\"]", "use = [\"jwt\", \"user_hash\", \"encrypted_payload\"]")
        .with("require = \"never\"", "require = \"never\"\nencrypted_payload = \"open\"")
}

fn ping(sealed: &str, user_data: &str) -> Request<String> {
    form_request(PING, format!("{}&{}", ping_form(user_data), form(&[(FIELD, sealed)])))
}

#[tokio::test]
async fn what_is_opened_counts_as_signed_and_outranks_the_plain_value() {
    let mut bench = Bench::acme(opening).await;
    let sealed = seal(SECRET, r#"{"user_id":"user-42","plan":"pro","nickname":"ada"}"#);
    let plain = r#"{"user_id":"user-42","plan":"enterprise","seats":99,"nickname":"ada"}"#;
    let received = bench.passes(ping(&sealed, plain)).await;
    assert_eq!(received.user_data(), json!({"user_id": "user-42", "plan": "pro", "nickname": "ada"}));
    // The backend opens it too.
    assert_eq!(received.field(FIELD), [sealed]);
    let record = bench.record();
    assert_eq!((&record["proof"], &record["key"]), (&json!("sealed_valid"), &json!("web-2026-11")), "{record}");
    assert_eq!(bench.verdict("plan"), "overridden");
    assert_eq!(bench.verdict("seats"), "locked");
    // The published vector.
    let vector = "AAAAAAAAAAAAAAAAtcBVpVKbrUti9qHBV7sNU0YaoV8TYcNGTaiXvZas+u4zcw/h+TjicJnEGZqawM29RdE=";
    assert_eq!(bench.passes(ping(vector, r#"{"plan":"free"}"#)).await.user_data(), json!({"plan": "pro"}));
}

#[tokio::test]
async fn what_cannot_be_opened_goes_nowhere_whatever_is_required() {
    let mut bench = Bench::acme(opening).await;
    let settings = r#"{"user_id":"user-42","plan":"pro"}"#;
    let good = seal(SECRET, settings);
    let mut flipped = STANDARD.decode(&good).expect("base64");
    flipped[20] ^= 1;
    let token = Token::saying(r#""plan":"pro""#).text();
    let beside = json!({"plan": "pro", "intercom_user_jwt": token}).to_string();
    for (sealed, plain, verdict) in [
        (seal("another-secret-0123456789abcdef01234567", settings), "{}", "bad_sealed"),
        (STANDARD.encode(flipped), "{}", "bad_sealed"),
        (good.replace('A', "-"), "{}", "sealed_malformed"),
        ("x".into(), "{}", "sealed_malformed"),
        (" ".into(), "{}", "sealed_malformed"),
        ("A".repeat(64 * 1024 + 4), "{}", "sealed_too_large"),
        (good.clone(), beside.as_str(), "sealed_beside_token"),
        (good.clone(), r#"{"user_id":"user-43"}"#, "subject_mismatch"),
        (seal(SECRET, r#"{"email":"ada@example.com","plan":"pro"}"#), "{}", "missing_subject"),
        (seal(SECRET, r#"{"user_id":"user-42","plan":"pro","plan":"free"}"#), "{}", "malformed"),
        (seal(SECRET, r#"{"user_id":"user-42","plan":"pro","exp":1}"#), "{}", "expired"),
        (seal(SECRET, "[]"), "{}", "malformed"),
        (seal(SECRET, ""), "{}", "malformed"),
    ] {
        bench.refused(ping(&sealed, plain), 403).await;
        assert_eq!(bench.record()["proof"], verdict, "{sealed} {plain}");
    }
    // Twice in one form, and in the query.
    let twice = format!("{}&{}", ping_form("{}"), form(&[(FIELD, &good), (FIELD, &good)]));
    let answer = bench.send(form_request(PING, twice)).await;
    assert!(answer.status.is_client_error() && bench.upstream.received().is_empty(), "{}", answer.status);
    let mut in_query = form_request(PING, ping_form("{}"));
    *in_query.uri_mut() = format!("{PING}?{}", form(&[(FIELD, &good)])).parse().expect("a target");
    let answer = bench.send(in_query).await;
    assert!(answer.status.is_client_error() && bench.upstream.received().is_empty(), "{}", answer.status);
}

#[tokio::test]
async fn dropped_means_that_the_rest_goes_on_without_them() {
    let mut bench =
        Bench::acme(|setup| setup.with("require = \"never\"", "require = \"never\"\nencrypted_payload = \"drop\""))
            .await;
    for sealed in [seal(SECRET, r#"{"user_id":"user-42","plan":"pro"}"#), "anything".into()] {
        let received = bench.passes(ping(&sealed, r#"{"plan":"pro","nickname":"bob"}"#)).await;
        assert_eq!(received.user_data(), json!({"nickname": "bob"}));
        let body = String::from_utf8_lossy(&received.body);
        assert!(!body.contains("Encrypted"), "{body}");
        assert_eq!(bench.record()["proof"], "absent");
    }
}

#[tokio::test]
async fn a_user_who_is_required_to_be_proven_may_be_so_by_them() {
    let mut bench = Bench::acme(|setup| opening(setup).with("require = \"never\"", "require = \"always\"")).await;
    bench.refused(ping("", r#"{"nickname":"bob"}"#), 403).await;
    let sealed = seal(SECRET, r#"{"user_id":"user-42"}"#);
    assert_eq!(bench.passes(ping(&sealed, r#"{"nickname":"bob"}"#)).await.user_data(), json!({"nickname": "bob"}));
}
