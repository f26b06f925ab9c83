//! Attacks on tokens, each with what arrived at the upstream and what the record calls it.

use serde_json::json;

use crate::support::client::form_request;
use crate::support::token::{now, user_hash};
use crate::support::{Bench, SECRET, Token, form, ping_form};

/// A token that must not sign: `plan` does not arrive, and the record names `verdict`.
async fn signs_nothing(bench: &mut Bench, token: &str, verdict: &str) {
    let data = json!({"user_id": "user-42", "plan": "pro", "nickname": "bob", "intercom_user_jwt": token}).to_string();
    let answer = bench.send(form_request("/messenger/web/ping", ping_form(&data))).await;
    let record = bench.record();
    assert_eq!(record["proof"], verdict, "{record}");
    // A well-signed token about somebody else is refused whole; the others sign nothing.
    if answer.status == 200 {
        let read = bench.upstream.only().user_data();
        assert_eq!(read.get("plan"), None, "{verdict}");
        assert_eq!(read["nickname"], "bob");
    } else {
        assert_eq!(answer.status, 403, "{verdict}");
        assert!(bench.upstream.received().is_empty());
    }
    assert!(!answer.text().contains(verdict), "the answer must not say which failure it was");
}

#[tokio::test]
async fn tokens_that_prove_nothing_sign_nothing() {
    let mut bench = Bench::acme(|setup| setup).await;
    let exp = now() + 600;
    let plan = r#""plan":"pro""#;
    let good = Token::saying(plan).text();
    let claims = |members: &str| Token::of(&format!(r#"{{"user_id":"user-42",{members},"plan":"pro"}}"#)).text();
    let header = |header: &str| Token::saying(plan).header(header).text();
    let unsigned = good.rsplit_once('.').expect("three parts").0.to_owned();
    let flipped = {
        let mut text = good.clone().into_bytes();
        let at = text.len() - 10;
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(text).expect("text")
    };
    for (token, verdict) in [
        (Token::saying(plan).secret("another-secret-0123456789abcdef01234567").text(), "bad_signature"),
        (flipped, "bad_signature"),
        (header(r#"{"alg":"none"}"#), "wrong_algorithm"),
        (header(r#"{"alg":"None"}"#), "wrong_algorithm"),
        (header(r#"{"alg":"HS512"}"#), "wrong_algorithm"),
        (header(r#"{"alg":"RS256"}"#), "wrong_algorithm"),
        (header(r#"{"alg":"hs256"}"#), "wrong_algorithm"),
        (header(r#"{"alg":"HS256","kid":"../../dev/null"}"#), "unknown_key"),
        (header(r#"{"alg":"HS256","kid":""}"#), "unknown_key"),
        (header(r#"{"alg":"HS256","kid":7}"#), "malformed"),
        (header(r#"{"alg":"HS256","crit":["exp"]}"#), "critical_header"),
        (header(r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}"#), "embedded_key"),
        (header(r#"{"alg":"HS256","jku":"https://evil.test/k"}"#), "embedded_key"),
        (header(r#"{"alg":"HS256","x5u":"https://evil.test/k"}"#), "embedded_key"),
        (header(r#"{"alg":"HS256","b64":false}"#), "unencoded_payload"),
        (header(r#"{"alg":"RS256","alg":"HS256"}"#), "malformed"),
        (claims(&format!(r#""exp":{exp},"plan":"free""#)), "malformed"),
        (claims(&format!(r#""exp":{}"#, now() - 31)), "expired"),
        (claims(&format!(r#""exp":"{exp}""#)), "exp_not_integer"),
        (claims(&format!(r#""exp":{exp}.5"#)), "exp_not_integer"),
        (claims(&format!(r#""exp":{exp}000"#)), "exp_in_milliseconds"),
        (claims(r#""exp":-1"#), "expired"),
        (claims(r#""exp":null"#), "exp_not_integer"),
        (claims(r#""a":1"#), "expiry_missing"),
        (claims(&format!(r#""exp":{},"iat":{}"#, exp, now() + 60)), "not_yet_valid"),
        (claims(&format!(r#""exp":{},"nbf":{}"#, exp, now() + 60)), "not_yet_valid"),
        (claims(&format!(r#""exp":{}"#, now() + 3 * 3600)), "lifetime_too_long"),
        (Token::of(&format!(r#"{{"exp":{exp},"plan":"pro"}}"#)).text(), "missing_subject"),
        (Token::of(&format!(r#"{{"user_id":{{}},"exp":{exp},"plan":"pro"}}"#)).text(), "missing_subject"),
        (Token::of(&format!(r#"{{"user_id":"user-43","exp":{exp},"plan":"pro"}}"#)).text(), "subject_mismatch"),
        (Token::of(r#"["user-42"]"#).text(), "malformed"),
        (unsigned.clone(), "malformed"),
        (format!("{unsigned}."), "malformed"),
        (format!("{good}="), "malformed"),
        (format!(" {good}"), "malformed"),
        (format!("{good}.x"), "malformed"),
        ("a".repeat(4097), "too_large"),
        (String::new(), "malformed"),
    ] {
        signs_nothing(&mut bench, &token, verdict).await;
    }
}

#[tokio::test]
async fn the_published_vectors_hold() {
    let mut bench = Bench::acme(|setup| setup.with("max_lifetime = \"2h\"\n", "")).await;
    let jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoidXNlci00MiIsImVtYWlsIjoiYWRhQGV4YW1wbGUuY29tIiwicGxhbiI6InBybyIsInNlYXRzIjo1LCJleHAiOjQxMDI0NDQ4MDB9.5GCB-fVWkgpWF_rknHcIoILv33LxkjWwScK0NQCA-PU";
    let data = json!({"user_id": "user-42", "plan": "enterprise", "intercom_user_jwt": jwt}).to_string();
    assert_eq!(bench.client.post_form("/messenger/web/ping", ping_form(&data)).await.status, 200);
    assert_eq!(bench.upstream.only().user_data()["plan"], "pro");
    assert_eq!(user_hash("user-42"), "14255644703afde09642fd12b8e9d2f3727b47a90950fde862ce8fca029cbb34");
    assert_eq!(user_hash("ada@example.com"), "e09f3eabc1770196ee60fb456d6eea62acca6b1f7b7c4a2849059fe5215efe49");
}

#[tokio::test]
async fn the_token_is_read_at_each_of_its_places_and_two_are_too_many() {
    let mut bench = Bench::acme(|setup| setup).await;
    let token = Token::saying(r#""plan":"pro""#).text();
    let other = Token::saying(r#""plan":"enterprise""#).text();
    let data = r#"{"user_id":"user-42","plan":"enterprise"}"#;
    let field = form(&[("app_id", "abc12345"), ("intercom_user_jwt", &token), ("user_data", data)]);
    assert_eq!(bench.client.post_form("/messenger/web/ping", field.clone()).await.status, 200);
    assert_eq!(bench.upstream.only().user_data()["plan"], "pro");
    bench.upstream.forget();
    let target = format!("/messenger/web/ping?intercom_user_jwt={token}");
    assert_eq!(bench.client.post_form(&target, ping_form(data)).await.status, 200);
    assert_eq!(bench.upstream.only().user_data()["plan"], "pro");
    bench.upstream.forget();
    let target = format!("/messenger/web/ping?intercom_user_jwt={other}");
    assert_eq!(bench.client.post_form(&target, field).await.status, 200);
    assert_eq!(bench.upstream.only().user_data().get("plan"), None);
    assert_eq!(bench.gateway.records(3).pop().expect("a record")["proof"], "two_tokens");
}

#[tokio::test]
async fn where_identity_is_required_every_failure_reads_alike() {
    let mut bench = Bench::acme(|setup| setup.with(r#"require = "never""#, r#"require = "identified""#)).await;
    let exp = now() + 600;
    let mut answers = Vec::new();
    let mut codes = Vec::new();
    for data in [
        json!({"user_id": "user-42"}),
        json!({"email": "ada@example.com"}),
        json!({"user_id": "user-42", "user_hash": user_hash("user-43")}),
        json!({"user_id": "user-42", "email": "ada@example.com", "user_hash": user_hash("ada@example.com")}),
        json!({"user_id": "user-42", "intercom_user_jwt": Token::saying("").secret(&SECRET.replace('t', "T")).text()}),
        json!({"user_id": "user-42", "intercom_user_jwt": Token::of(&format!(r#"{{"user_id":"user-41","exp":{exp}}}"#)).text()}),
        json!({"intercom_user_jwt": "x"}),
    ] {
        let answer = bench.client.post_form("/messenger/web/ping", ping_form(&data.to_string())).await;
        answers.push((answer.status.as_u16(), answer.body));
        codes.push(
            bench.gateway.records(answers.len()).pop().expect("a record")["outcome"].as_str().expect("text").to_owned(),
        );
    }
    assert!(bench.upstream.received().is_empty());
    assert!(answers.iter().all(|answer| answer == &answers[0] && answer.0 == 403), "{answers:?}");
    codes.dedup();
    assert_eq!(codes.len(), 5, "each failure is itself inside: {codes:?}");
    // What holds passes: a hash of the id, a hash of the e-mail where there is no id, a token, and a visitor.
    for data in [
        json!({"user_id": "user-42", "user_hash": user_hash("user-42")}),
        json!({"email": "ada@example.com", "user_hash": user_hash("ada@example.com")}),
        json!({"user_id": "user-42", "intercom_user_jwt": Token::saying("").text()}),
        json!({"nickname": "visitor"}),
    ] {
        let answer = bench.client.post_form("/messenger/web/ping", ping_form(&data.to_string())).await;
        assert_eq!(answer.status, 200, "{data}");
    }
}

#[tokio::test]
async fn a_user_hash_says_who_and_never_what() {
    let mut bench = Bench::acme(|setup| setup).await;
    let data =
        json!({"user_id": "user-42", "user_hash": user_hash("user-42"), "plan": "pro", "email": "ada@example.com"});
    assert_eq!(bench.client.post_form("/messenger/web/ping", ping_form(&data.to_string())).await.status, 200);
    let read = bench.upstream.only().user_data();
    assert_eq!((read.get("plan"), read.get("email")), (None, None));
    assert_eq!(read["user_hash"], user_hash("user-42"));
}

#[tokio::test]
async fn several_keys_are_in_force_with_and_without_kid() {
    let second = "[[identity.keys]]\nid = \"web-2026-12\"\nalgorithm = \"HS256\"\nsecret = { env = \"OTHER_SECRET\" }\nuse = [\"jwt\"]\n\n[attributes]";
    let mut bench = Bench::acme(|setup| setup.with("[attributes]", second)).await;
    let other = "another-secret-0123456789abcdef01234567";
    let tokens = [
        Token::saying(r#""plan":"pro""#).text(),
        Token::saying(r#""plan":"pro""#).secret(other).text(),
        Token::saying(r#""plan":"pro""#).secret(other).header(r#"{"alg":"HS256","kid":"web-2026-12"}"#).text(),
    ];
    for token in &tokens {
        let data = json!({"user_id": "user-42", "plan": "x", "intercom_user_jwt": token}).to_string();
        let received = bench.passes(form_request("/messenger/web/ping", ping_form(&data))).await;
        assert_eq!(received.user_data()["plan"], "pro");
    }
    let keys: Vec<_> = bench.gateway.records(3).iter().map(|record| record["key"].clone()).collect();
    assert_eq!(keys, [json!("web-2026-11"), json!("web-2026-12"), json!("web-2026-12")]);
    let crossed =
        Token::saying(r#""plan":"pro""#).secret(other).header(r#"{"alg":"HS256","kid":"web-2026-11"}"#).text();
    signs_nothing(&mut bench, &crossed, "bad_signature").await;
}
