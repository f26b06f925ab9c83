//! Proofs that an operator takes back: what counts no longer, from when on, and who may say so.

use std::time::{Duration, Instant};

use countersign::identity::SigningKey;
use countersign::policy::Algorithm;
use http::Request;
use serde_json::json;

use crate::support::client::form_request;
use crate::support::gateway::{ADMIN_TOKEN, status_of, write_whole};
use crate::support::token::{now, user_hash};
use crate::support::{Bench, Setup, TestUpstream, Token, form, ping_form};

const PING: &str = "/messenger/web/ping";

/// A revocation counts within a second.
const AT_MOST: Duration = Duration::from_secs(1);

fn ping(token: &str) -> Request<String> {
    form_request(
        PING,
        ping_form(&json!({"user_id": "user-42", "plan": "free", "intercom_user_jwt": token}).to_string()),
    )
}

/// A token of `user-42` with an id and a time.
fn token(id: &str, issued: i64) -> String {
    Token::saying(&format!(r#""plan":"pro","jti":"{id}","iat":{issued}"#)).text()
}

async fn bench() -> Bench {
    Bench::acme(Setup::revoking).await
}

#[tokio::test]
async fn a_revocation_counts_within_a_second_on_connections_that_are_open() {
    let upstream = TestUpstream::start().await;
    let gateway = Setup::acme(upstream.address).revoking().start();
    let issued = now() - 60;
    let (mut http1, mut http2) = (gateway.http1().await, gateway.http2().await);
    let before = format!(r#""issued_before":{}"#, issued + 1);
    let before_of_user = format!(r#"{before},"subject":"user-42""#);
    for (index, members) in
        [r#""jti":"x""#, r#""subject":"user-42""#, r#""key":"web-2026-11""#, &before, &before_of_user]
            .iter()
            .enumerate()
    {
        // The id is this round's, so that nothing is known of it.
        let id = format!("round-{index}");
        let members = members.replace("\"x\"", &format!("\"{id}\""));
        let request = || ping(&token(&id, issued));
        assert_eq!(http1.send(request()).await.status, 200, "{members}");
        assert_eq!(http2.send(request()).await.status, 200, "{members}");
        let asked = Instant::now();
        let revocation = gateway.revoke(&members);
        upstream.forget();
        assert_eq!(http1.send(request()).await.status, 403, "{members}");
        assert_eq!(http2.send(request()).await.status, 403, "{members}");
        assert!(asked.elapsed() < AT_MOST, "{:?}", asked.elapsed());
        assert!(upstream.received().is_empty());
        let (status, ended) = gateway.operate(&format!("DELETE /revocations/{revocation}"), "");
        assert_eq!((status, &ended["id"]), (200, &json!(revocation)));
        assert_eq!(http1.send(request()).await.status, 200, "{members}");
        assert_eq!(http2.send(request()).await.status, 200, "{members}");
    }
}

#[tokio::test]
async fn what_is_near_to_what_was_taken_back_still_counts() {
    let mut bench = bench().await;
    let issued = now() - 60;
    for members in [
        r#""jti":"2""#.to_owned(),
        r#""jti":"user-42""#.to_owned(),
        r#""subject":"user-4""#.to_owned(),
        r#""subject":"1""#.to_owned(),
        format!(r#""issued_before":{issued}"#),
        format!(r#""issued_before":{},"subject":"user-43""#, now()),
    ] {
        bench.revoke(&members);
        assert_eq!(bench.passes(ping(&token("1", issued))).await.user_data()["plan"], "pro", "{members}");
    }
    // A number in the id's place is taken back by its digits.
    let numbered = Token::saying(&format!(r#""plan":"pro","jti":4711,"iat":{issued}"#)).text();
    bench.passes(ping(&numbered)).await;
    bench.revoke(r#""jti":"4711""#);
    assert_eq!(bench.refused(ping(&numbered), 403).await, "revoked");
    // One that ends counts no longer.
    bench.revoke(r#""jti":"1","for_seconds":1"#);
    assert_eq!(bench.refused(ping(&token("1", issued)), 403).await, "revoked");
    let deadline = Instant::now() + Duration::from_secs(5);
    while bench.send(ping(&token("1", issued))).await.status != 200 {
        assert!(Instant::now() < deadline, "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_token_that_does_not_say_when_it_was_issued_may_have_been_issued_before() {
    let mut bench = Bench::acme(|setup| setup.revoking().with("max_lifetime = \"2h\"\n", "")).await;
    let silent = Token::saying(r#""plan":"pro""#).text();
    bench.passes(ping(&silent)).await;
    bench.revoke(r#""issued_before":1000"#);
    assert_eq!(bench.refused(ping(&silent), 403).await, "revoked");
    bench.passes(ping(&token("1", 1_000))).await;
    assert_eq!(bench.refused(ping(&token("1", 999)), 403).await, "revoked");
}

#[tokio::test]
async fn a_hash_ends_with_its_user_or_its_key() {
    for members in [r#""subject":"user-42""#, r#""key":"web-2026-11""#] {
        let mut bench = bench().await;
        let hashed = |user: &str| {
            let data = json!({"user_id": user, "user_hash": user_hash(user), "nickname": "bob"}).to_string();
            form_request(PING, ping_form(&data))
        };
        bench.passes(hashed("user-42")).await;
        bench.revoke(&format!(r#""issued_before":{}"#, now()));
        bench.passes(hashed("user-42")).await;
        bench.revoke(members);
        // Nobody asks for a proof here, but the backend would believe this one.
        assert_eq!(bench.refused(hashed("user-42"), 403).await, "revoked");
        let visitor = form_request(PING, ping_form(r#"{"nickname":"bob"}"#));
        bench.passes(visitor).await;
    }
}

#[tokio::test]
async fn encrypted_settings_end_with_their_user_or_their_key() {
    // The vector of the reference: `{"user_id":"user-42","plan":"pro"}`.
    let sealed = "AAAAAAAAAAAAAAAAtcBVpVKbrUti9qHBV7sNU0YaoV8TYcNGTaiXvZas+u4zcw/h+TjicJnEGZqawM29RdE=";
    for members in [r#""subject":"user-42""#, r#""key":"web-2026-11""#] {
        let mut bench = Bench::acme(|setup| {
            setup
                .revoking()
                .with("leeway = \"30s\"", "leeway = \"30s\"\nencrypted_payload = \"open\"")
                .with(r#"use = ["jwt", "user_hash"]"#, r#"use = ["jwt", "user_hash", "encrypted_payload"]"#)
        })
        .await;
        let request = || {
            let plain = ping_form(r#"{"nickname":"bob"}"#);
            form_request(PING, format!("{plain}&{}", form(&[("_intercomEncryptedPayload", sealed)])))
        };
        bench.send(request()).await;
        assert_eq!(bench.record()["proof"], "sealed_valid");
        bench.revoke(members);
        bench.refused(request(), 403).await;
        assert_eq!(bench.record()["proof"], "revoked");
    }
}

#[tokio::test]
async fn that_its_signature_is_remembered_keeps_no_token_in_force() {
    let key = SigningKey::draw(Algorithm::EdDsa).expect("a key");
    let countersign::identity::KeyMaterial::PublicKey(pem) = key.material().expect("material") else {
        panic!("a public key")
    };
    let mut bench = Bench::acme(|setup| {
        setup.write();
        write_whole(&setup.policies().join("../ed.pem"), std::str::from_utf8(&pem).expect("PEM"));
        let lines = "algorithm = \"EdDSA\"\npublic_key = \"../ed.pem\"";
        setup
            .revoking()
            .with("algorithm = \"HS256\"\nsecret = { env = \"TEST_SECRET\" }", lines)
            .with("use = [\"jwt\", \"user_hash\"]", "use = [\"jwt\"]")
    })
    .await;
    let claims = format!(r#"{{"user_id":"user-42","exp":{},"plan":"pro","jti":"1"}}"#, now() + 600);
    let token = key.token(claims.as_bytes()).expect("signed");
    for _ in 0..3 {
        bench.passes(ping(&token)).await;
    }
    bench.revoke(r#""jti":"1""#);
    assert_eq!(bench.refused(ping(&token), 403).await, "revoked");
}

#[tokio::test]
async fn where_nothing_is_enforced_it_is_counted_and_nothing_is_refused() {
    let mut bench = Bench::acme(|setup| setup.revoking().with("\"enforce\"\ntrusted", "\"observe\"\ntrusted")).await;
    bench.revoke(r#""subject":"user-42""#);
    bench.passes(ping(&token("1", now()))).await;
    let record = &bench.gateway.records(2)[1];
    assert_eq!((&record["proof"], &record["would_refuse"]), (&json!("revoked"), &json!("revoked")));
}

#[tokio::test]
async fn a_change_is_recorded_and_nobody_is_named() {
    let bench = bench().await;
    let canary = "canary-user-4711";
    let id = bench.gateway.revoke(&format!(r#""subject":"{canary}","reason":"ticket 4711","forever":true"#));
    bench.gateway.revoke(r#""key":"web-2026-11","for_seconds":60"#);
    let (status, listed) = bench.gateway.operate("GET /revocations", "");
    assert_eq!(status, 200);
    let listed_first = &listed["revocations"][0];
    assert_eq!((&listed_first["id"], &listed_first["reason"]), (&json!(id), &json!("ticket 4711")));
    assert!(listed_first["until"].is_null());
    let second = &listed["revocations"][1];
    assert_eq!((&second["kind"], &second["key"]), (&json!("key"), &json!("web-2026-11")));
    assert_eq!(second["until"].as_i64().expect("a time") - second["made"].as_i64().expect("a time"), 60);
    assert!(bench.gateway.admin_get("/metrics").contains("countersign_state_revocations 2\n"));
    bench.gateway.operate(&format!("DELETE /revocations/{id}"), "");
    assert!(bench.gateway.admin_get("/metrics").contains("countersign_state_revocations 1\n"));
    let records = bench.gateway.records(3);
    let changes: Vec<_> = records.iter().map(|record| (&record["change"], &record["kind"])).collect();
    let (made, ended) = (json!("revocation_made"), json!("revocation_ended"));
    assert_eq!(changes, [(&made, &json!("subject")), (&made, &json!("key")), (&ended, &json!("subject"))]);
    assert_eq!((&records[0]["workspace"], &records[0]["revocation"]), (&json!("acme"), &json!(id)));
    let mut gateway = bench.gateway;
    let told = format!("{listed}{records:?}{}", gateway.log());
    assert!(told.contains("revocation_made") && !told.contains(canary), "{told}");
}

#[tokio::test]
async fn nobody_revokes_but_the_operator() {
    let bench = bench().await;
    let gateway = &bench.gateway;
    let host = format!("Host: {}", gateway.admin);
    let bearer = format!("Authorization: Bearer {ADMIN_TOKEN}");
    let json_type = "Content-Type: application/json";
    let body = r#"{"workspace":"acme","key":"web-2026-11"}"#;
    let length = format!("Content-Length: {}", body.len());
    let send = |request: &str, lines: &[&str]| status_of(&gateway.admin_send(request, &lines.join("\r\n"), body));
    for (status, lines) in [
        (401, vec![&*host, json_type, &length]),
        (401, vec![&host, "Authorization: Bearer wrong-0123456789abcdef0123456789abcdef", json_type, &length]),
        (401, vec![&host, &bearer, &bearer, json_type, &length]),
        (403, vec![&host, &bearer, "Origin: https://evil.example", json_type, &length]),
        (403, vec![&host, &bearer, "Origin: null", json_type, &length]),
        (403, vec![&host, &bearer, "Sec-Fetch-Site: same-origin", json_type, &length]),
        (403, vec![&host, &bearer, "Sec-Fetch-Mode: no-cors", json_type, &length]),
        (421, vec!["Host: evil.example", &bearer, json_type, &length]),
        (415, vec![&host, &bearer, &length]),
        (415, vec![&host, &bearer, "Content-Type: text/plain", &length]),
        (415, vec![&host, &bearer, "Content-Type: application/x-www-form-urlencoded", &length]),
    ] {
        assert_eq!(send("POST /revocations", &lines), status, "{lines:?}");
    }
    for request in ["GET /revocations", "DELETE /revocations/019aa1c2-5d3e-7c41-9a57-0d9be2f1a6c4"] {
        assert_eq!(send(request, &[&host]), 401);
        assert_eq!(send(request, &[&host, &bearer, "Origin: https://evil.example"]), 403);
    }
    assert_eq!(send("PUT /revocations", &[&host, &bearer, json_type, &length]), 405);
    assert_eq!(gateway.operate("GET /revocations", "").1, json!({"revocations": []}));

    // Without a token in the policy nobody may, and the answer says what to do.
    let closed = Bench::acme(|setup| setup).await;
    let (status, told) = closed.gateway.operate("POST /revocations", body);
    assert_eq!(status, 403);
    assert!(told["error"].as_str().expect("words").contains("[admin]"), "{told}");
    assert!(closed.gateway.admin_get("/livez").starts_with("HTTP/1.1 200 "), "health needs no token");
}

#[tokio::test]
async fn what_is_no_revocation_is_refused_and_repeats_nothing() {
    let bench = bench().await;
    let canary = "canary-4711";
    let long = "a".repeat(8 * 1024 + 1);
    let long_id = "a".repeat(257);
    let reason = "a".repeat(201);
    let ahead = now() + 1_000;
    for (status, body) in [
        (400, String::new()),
        (400, "{".into()),
        (400, "[]".into()),
        (400, "{}".into()),
        (400, format!(r#"{{"workspace":"acme","jti":7,"reason":"{canary}"}}"#)),
        (400, format!(r#"{{"workspace":"acme","jti":"{canary}","jti":"{canary}"}}"#)),
        (400, format!(r#"{{"workspace":"acme","jti":"{canary}","{canary}":1}}"#)),
        (400, format!(r#"{{"workspace":"acme","jti":"{canary}"}} {{}}"#)),
        (422, format!(r#"{{"workspace":"acm","jti":"{canary}"}}"#)),
        (422, r#"{"workspace":"acme"}"#.into()),
        (422, format!(r#"{{"workspace":"acme","jti":"{canary}","subject":"{canary}"}}"#)),
        (422, format!(r#"{{"workspace":"acme","key":"web-2026-11","issued_before":1,"jti":"{canary}"}}"#)),
        (422, r#"{"workspace":"acme","key":"web-2026-12"}"#.into()),
        (422, r#"{"workspace":"acme","jti":""}"#.into()),
        (422, format!(r#"{{"workspace":"acme","subject":"{long}"}}"#)),
        (422, format!(r#"{{"workspace":"acme","jti":"{long_id}"}}"#)),
        (422, r#"{"workspace":"acme","issued_before":-1}"#.into()),
        (422, format!(r#"{{"workspace":"acme","issued_before":{ahead}}}"#)),
        (422, format!(r#"{{"workspace":"acme","issued_before":{}000}}"#, now())),
        (422, r#"{"workspace":"acme","jti":"1","for_seconds":0}"#.into()),
        (422, r#"{"workspace":"acme","jti":"1","for_seconds":9223372036854775807}"#.into()),
        (422, r#"{"workspace":"acme","jti":"1","for_seconds":1,"forever":true}"#.into()),
        (422, format!(r#"{{"workspace":"acme","jti":"1","reason":"{reason}"}}"#)),
        (422, r#"{"workspace":"acme","jti":"1","reason":"a\nb"}"#.into()),
        (413, format!(r#"{{"workspace":"acme","jti":"{}"}}"#, "a".repeat(20_000))),
    ] {
        let (found, told) = bench.gateway.operate("POST /revocations", &body);
        assert_eq!(found, status, "{body}: {told}");
        assert!(told["error"].is_string() && !told.to_string().contains("canary"), "{told}");
    }
    for id in ["x", "019aa1c2-5d3e-7c41-9a57-0d9be2f1a6c4", "..", "%2e%2e"] {
        assert_eq!(bench.gateway.operate(&format!("DELETE /revocations/{id}"), "").0, 404, "{id}");
    }
    let (_, told) = bench.gateway.operate("POST /revocations", r#"{"workspace":"acm","jti":"1"}"#);
    assert!(told["error"].as_str().expect("words").contains("`acme`"), "{told}");
    assert_eq!(bench.gateway.operate("GET /revocations", "").1, json!({"revocations": []}));
}
