//! Sets of keys: from a file, and from an issuer that rotates, is slow, large, broken, gone, or somebody else.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::identity::{SET_BYTES_MAX, SigningKey};
use countersign::policy::{Algorithm, word};
use serde_json::{Value, json};

use crate::support::client::form_request;
use crate::support::gateway::{ACME, BINARY, write_whole};
use crate::support::issuer::{Issuer, Manner, jwk, pem, set};
use crate::support::token::now;
use crate::support::{Bench, NOBODY, Setup, TestGateway, Token, ping_form};

const PING: &str = "/messenger/web/ping";

/// What takes longer than this does not happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A set of `issuer`, asked every `refresh`, with further lines.
fn with_issuer(setup: Setup, issuer: &Issuer, lines: &str) -> Setup {
    setup.write();
    write_whole(&setup.policies().join("../issuer-ca.pem"), &issuer.ca_pem);
    let url = issuer.url();
    setup.with(
        "[attributes]",
        &format!(
            "[[identity.key_sets]]\nid = \"idp\"\nalgorithms = [\"ES256\", \"RS256\", \"EdDSA\"]\nurl = \"{url}\"\nca = \"../issuer-ca.pem\"\n{lines}\n[attributes]"
        ),
    )
}

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::draw(algorithm).expect("a key")
}

fn says_pro() -> String {
    format!(r#"{{"user_id":"user-42","exp":{},"plan":"pro"}}"#, now() + 600)
}

fn header(algorithm: Algorithm, kid: Option<&str>) -> String {
    let kid = kid.map_or_else(String::new, |kid| format!(r#","kid":"{kid}""#));
    format!(r#"{{"alg":"{}","typ":"JWT"{kid}}}"#, word(algorithm))
}

fn token(key: &SigningKey, algorithm: Algorithm, kid: Option<&str>) -> String {
    key.sign(&header(algorithm, kid), says_pro().as_bytes()).expect("signed")
}

fn es256(key: &SigningKey, kid: &str) -> String {
    token(key, Algorithm::Es256, Some(kid))
}

fn ping(token: &str) -> String {
    ping_form(&json!({"user_id": "user-42", "plan": "free", "intercom_user_jwt": token}).to_string())
}

/// What the record says of a token's proof and key. The plan that it signs arrives exactly where it is valid.
async fn proof(bench: &mut Bench, token: &str) -> (String, Value) {
    let received = bench.passes(form_request(PING, ping(token))).await;
    let record = bench.record();
    let proof = record["proof"].as_str().expect("text").to_owned();
    let plan = received.user_data().get("plan").cloned();
    assert_eq!(plan, (proof == "valid").then(|| json!("pro")), "{record}");
    (proof, record["key"].clone())
}

async fn await_proof(bench: &mut Bench, token: &str, expected: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (proof, _) = proof(bench, token).await;
        if proof == expected {
            return;
        }
        assert!(Instant::now() < deadline, "still `{proof}`");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The value of the metric with this name and these labels, where there is one.
fn metric(gateway: &TestGateway, line: &str) -> Option<u64> {
    let metrics = gateway.admin_get("/metrics");
    metrics.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

fn fetches(gateway: &TestGateway, result: &str) -> u64 {
    metric(gateway, &format!("countersign_key_set_fetches_total{{result=\"{result}\"}}")).unwrap_or(0)
}

/// Waits for one more fetch with this result.
async fn await_fetch(gateway: &TestGateway, result: &str) {
    let (before, deadline) = (fetches(gateway, result), Instant::now() + PATIENCE);
    while fetches(gateway, result) == before {
        assert!(Instant::now() < deadline, "no `{result}` in:\n{}", gateway.admin_get("/metrics"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn status(gateway: &TestGateway) -> Value {
    let answer = gateway.admin_get("/status");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    body.parse().expect("JSON")
}

const DAILY: &str = "refresh = \"12h\"";
const EACH_SECOND: &str = "refresh = \"1s\"";

#[tokio::test]
async fn keys_of_an_issuer_sign_under_the_name_of_their_set_and_count_under_it_too() {
    let keys = [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa].map(|algorithm| (algorithm, key(algorithm)));
    let published: Vec<(&str, &SigningKey)> = keys.iter().map(|(algorithm, key)| (word(*algorithm), key)).collect();
    let issuer = Issuer::publishing(&published).await;
    let mut bench = Bench::acme(|setup| with_issuer(setup, &issuer, DAILY)).await;
    for (algorithm, key) in &keys {
        let named = token(key, *algorithm, Some(word(*algorithm)));
        // The start has waited for the issuer: the first token holds, and the second is known by then.
        for token in [&named, &named, &token(key, *algorithm, None)] {
            let expected = ("valid".to_owned(), json!(format!("idp/{}", word(*algorithm))));
            assert_eq!(proof(&mut bench, token).await, expected);
        }
        let forged = token(&self::key(*algorithm), *algorithm, Some(word(*algorithm)));
        assert_eq!(proof(&mut bench, &forged).await, ("bad_signature".to_owned(), Value::Null));
    }
    // The key of the workspace itself counts beside them.
    let own = Token::saying(r#""plan":"pro""#).header(r#"{"alg":"HS256","kid":"web-2026-11"}"#).text();
    assert_eq!(proof(&mut bench, &own).await, ("valid".to_owned(), json!("web-2026-11")));
    assert_eq!(issuer.asked(), ["GET /jwks.json HTTP/1.1"]);
    let labels = r#"countersign_proofs_total{workspace="acme",verdict="valid",key="idp"}"#;
    assert_eq!(metric(&bench.gateway, labels), Some(9), "a key that the issuer named is no label");
    let of_set = status(&bench.gateway)["key_sets"][0].clone();
    assert!(of_set["age_seconds"].as_i64().is_some_and(|age| (0..60).contains(&age)), "{of_set}");
    let expected = json!({"workspace": "acme", "set": "idp", "keys": 3, "left_out": 0, "age_seconds": of_set["age_seconds"], "stale": false, "last_error": null});
    assert_eq!(of_set, expected);
}

#[tokio::test]
async fn a_key_of_a_set_is_taken_back_by_its_name_and_all_of_them_by_the_sets() {
    let (one, two) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let mut bench = Bench::acme(|setup| {
        setup.write();
        write_whole(&setup.policies().join("../idp.json"), &set(&[("one", &one), ("two", &two)]));
        setup.revoking().with(
            "[attributes]",
            "[[identity.key_sets]]\nid = \"idp\"\nalgorithms = [\"ES256\"]\nfile = \"../idp.json\"\n[attributes]",
        )
    })
    .await;
    let [one, two] = [es256(&one, "one"), es256(&two, "two")];
    for token in [&one, &two] {
        assert_eq!(proof(&mut bench, token).await.0, "valid");
    }
    bench.revoke(r#""key":"idp/one""#);
    // Its backend reads tokens itself, and would believe this one.
    assert_eq!(bench.refused(form_request(PING, ping(&one)), 403).await, "revoked");
    assert_eq!(proof(&mut bench, &two).await.0, "valid");
    let admin = bench.gateway.admin.to_string();
    let (code, told) = countersign(&["keys", "--admin", &admin, "--policies"], &bench.gateway.setup.policies(), "");
    assert!(code == Some(0) && told.contains("set `idp` signs 100 % of the tokens, last "), "{told}");
    bench.revoke(r#""key":"idp""#);
    assert_eq!(bench.refused(form_request(PING, ping(&two)), 403).await, "revoked");
    let own = Token::saying(r#""plan":"pro""#).header(r#"{"alg":"HS256","kid":"web-2026-11"}"#).text();
    assert_eq!(proof(&mut bench, &own).await.0, "valid");
}

#[tokio::test]
async fn a_set_in_a_file_is_taken_up_as_it_changes_and_a_broken_one_changes_nothing() {
    let (old, new) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let mut bench = Bench::acme(|setup| {
        setup.write();
        write_whole(&setup.policies().join("../idp.json"), &set(&[("old", &old)]));
        setup.with(
            "[attributes]",
            "[[identity.key_sets]]\nid = \"idp\"\nalgorithms = [\"ES256\"]\nfile = \"../idp.json\"\n[attributes]",
        )
    })
    .await;
    let file = bench.gateway.setup.policies().join("../idp.json");
    assert_eq!(proof(&mut bench, &es256(&old, "old")).await, ("valid".to_owned(), json!("idp/old")));
    for broken in ["", "<html></html>", r#"{"keys":[]}"#, &set(&[("rsa", &key(Algorithm::Rs256))])] {
        write_whole(&file, broken);
        bench.gateway.await_log("policy_reload_failed");
        assert_eq!(proof(&mut bench, &es256(&old, "old")).await.0, "valid");
    }
    write_whole(&file, &set(&[("new", &new)]));
    bench.gateway.await_log("policy_reloaded");
    assert_eq!(proof(&mut bench, &es256(&new, "new")).await, ("valid".to_owned(), json!("idp/new")));
    assert_eq!(proof(&mut bench, &es256(&old, "old")).await.0, "unknown_key");
}

#[tokio::test]
async fn a_new_key_counts_soon_after_its_first_token_and_an_old_one_until_it_is_withdrawn() {
    let (old, new) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let issuer = Issuer::publishing(&[("old", &old)]).await;
    let mut bench = Bench::acme(|setup| with_issuer(setup, &issuer, DAILY)).await;
    assert_eq!(proof(&mut bench, &es256(&old, "old")).await.0, "valid");
    issuer.publish(&[("old", &old), ("new", &new)]);
    // Twelve hours early: the token that names it is what makes us ask, and that token waits for nobody.
    assert_eq!(proof(&mut bench, &es256(&new, "new")).await.0, "unknown_key");
    await_proof(&mut bench, &es256(&new, "new"), "valid").await;
    assert_eq!(proof(&mut bench, &es256(&old, "old")).await.0, "valid");
    assert_eq!(issuer.asked().len(), 2);
}

#[tokio::test]
async fn a_key_that_was_withdrawn_signs_nothing_not_even_what_is_known() {
    let (old, new) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let issuer = Issuer::publishing(&[("old", &old), ("new", &new)]).await;
    let mut bench = Bench::acme(|setup| with_issuer(setup, &issuer, EACH_SECOND)).await;
    let known = es256(&old, "old");
    assert_eq!(proof(&mut bench, &known).await.0, "valid");
    issuer.publish(&[("new", &new)]);
    await_proof(&mut bench, &known, "unknown_key").await;
    assert_eq!(proof(&mut bench, &token(&old, Algorithm::Es256, None)).await.0, "bad_signature");
    // Another key under the old name is another key.
    issuer.publish(&[("old", &new)]);
    await_proof(&mut bench, &es256(&new, "old"), "valid").await;
    assert_eq!(proof(&mut bench, &known).await.0, "bad_signature");
}

#[tokio::test]
async fn whoever_runs_the_gateway_has_a_withdrawn_key_ended_at_once() {
    let (old, new) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let issuer = Issuer::publishing(&[("old", &old), ("new", &new)]).await;
    let mut bench = Bench::acme(|setup| with_issuer(setup, &issuer, DAILY)).await;
    assert_eq!(proof(&mut bench, &es256(&old, "old")).await.0, "valid");
    issuer.publish(&[("new", &new)]);
    bench.gateway.signal("HUP");
    await_proof(&mut bench, &es256(&old, "old"), "unknown_key").await;
    assert_eq!(proof(&mut bench, &es256(&new, "new")).await.0, "valid");
}

#[tokio::test]
async fn where_nothing_is_enforced_the_record_says_what_would_have_been_refused() {
    let issuer = Issuer::start(Manner::IsGone).await;
    let mut bench = Bench::acme(|setup| {
        with_issuer(setup, &issuer, DAILY)
            .with("require = \"never\"", "require = \"identified\"")
            .with("mode = \"enforce\"", "mode = \"observe\"")
    })
    .await;
    let received = bench.passes(form_request(PING, ping(&es256(&key(Algorithm::Es256), "k1")))).await;
    assert_eq!(received.user_data()["plan"], "free", "as it came");
    let record = bench.record();
    assert_eq!((&record["outcome"], &record["would_refuse"]), (&json!("sent"), &json!("keys_stale")), "{record}");
}

#[tokio::test]
async fn a_flood_of_made_up_key_ids_makes_one_fetch() {
    let key = key(Algorithm::Es256);
    let issuer = Issuer::publishing(&[("k1", &key)]).await;
    let mut bench = Bench::acme(|setup| with_issuer(setup, &issuer, DAILY)).await;
    for number in 0..200 {
        let answer = bench.send(form_request(PING, ping(&es256(&key, &format!("made-up-{number}"))))).await;
        assert_eq!(answer.status, 200);
    }
    // By another algorithm than the set's nothing can be missed.
    let stranger = Token::saying("").header(r#"{"alg":"HS256","kid":"made-up"}"#).text();
    assert_eq!(proof(&mut bench, &stranger).await.0, "unknown_key");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(issuer.asked().len(), 2, "one at start, one for all of them");
    assert_eq!(proof(&mut bench, &es256(&key, "k1")).await.0, "valid");
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_keeps_nobody_waiting() {
    let issuer = Issuer::start(Manner::IsSilent).await;
    let began = Instant::now();
    let mut bench = Bench::acme(|setup| with_issuer(setup, &issuer, DAILY)).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let began = Instant::now();
    let of_issuer = es256(&key(Algorithm::Es256), "k1");
    for token in [&of_issuer, &token(&key(Algorithm::EdDsa), Algorithm::EdDsa, None)] {
        assert_eq!(proof(&mut bench, token).await, ("keys_stale".to_owned(), Value::Null));
    }
    // What is not the issuer's to say goes on as ever.
    assert_eq!(proof(&mut bench, &Token::saying(r#""plan":"pro""#).text()).await.0, "valid");
    bench.passes(form_request(PING, ping_form(r#"{"nickname":"bob"}"#))).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    await_fetch(&bench.gateway, "timeout").await;
    let of_set = status(&bench.gateway)["key_sets"][0].clone();
    assert_eq!(
        (&of_set["age_seconds"], &of_set["stale"], &of_set["last_error"]),
        (&Value::Null, &json!(true), &json!("timeout"))
    );
}

#[tokio::test]
async fn no_answer_but_a_good_one_changes_what_is_known() {
    let (key, evil) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let issuer = Issuer::publishing(&[("k1", &key)]).await;
    let mut bench = Bench::acme(|setup| with_issuer(setup, &issuer, EACH_SECOND)).await;
    let good = es256(&key, "k1");
    assert_eq!(proof(&mut bench, &good).await.0, "valid");
    let evil_set = set(&[("k1", &evil), ("k2", &evil)]);
    let says = |text: String| Manner::Says(text);
    let length = evil_set.len();
    let redirect =
        format!("HTTP/1.1 302 Found\r\nLocation: {}/evil\r\nContent-Length: {length}\r\n\r\n{evil_set}", issuer.url());
    let gzip = format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n{evil_set}");
    let cut = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{evil_set}", length + 1);
    let claimed = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{evil_set}", SET_BYTES_MAX + 1);
    let many: Vec<Value> = (0..65).map(|index| jwk(&format!("key-{index}"), &evil)).collect();
    let twice = json!({"keys": [jwk("k1", &evil), jwk("k1", &evil)]}).to_string();
    let private = jwk("k1", &evil).as_object().map(|members| json!({"keys": [{"d": "AAAA", "kty": members["kty"], "crv": "P-256", "kid": "k1", "x": members["x"], "y": members["y"]}]}));
    let bad = [
        (says(redirect), "status"),
        (says(format!("HTTP/1.1 500 Oops\r\nContent-Length: {length}\r\n\r\n{evil_set}")), "status"),
        (says(format!("HTTP/1.1 206 Partial\r\nContent-Length: {length}\r\n\r\n{evil_set}")), "status"),
        (says(gzip), "coding"),
        (says(cut), "broken"),
        (says(claimed), "too_long"),
        (says("SSH-2.0-OpenSSH\r\n".to_owned()), "broken"),
        (Manner::NeverEnds, "too_long"),
        (Manner::IsGone, "tls"),
        (Manner::Publishes("<!DOCTYPE html><title>Sign in</title>".into()), "not_json"),
        (Manner::Publishes(format!("{{\"keys\":[],{}", evil_set.strip_prefix('{').expect("an object"))), "not_json"),
        (Manner::Publishes(jwk("k1", &evil).to_string()), "not_a_set"),
        (Manner::Publishes(json!({"keys": many}).to_string()), "too_many_keys"),
        (Manner::Publishes(r#"{"keys":[]}"#.into()), "no_usable_key"),
        (Manner::Publishes(r#"{"keys":[{"kty":"oct","kid":"k1","k":"AAAA"}]}"#.into()), "no_usable_key"),
        (Manner::Publishes(twice), "no_usable_key"),
        (Manner::Publishes(private.expect("a key").to_string()), "no_usable_key"),
    ];
    for (manner, result) in bad {
        issuer.now(manner);
        await_fetch(&bench.gateway, result).await;
        assert_eq!(proof(&mut bench, &good).await.0, "valid", "{result}");
        assert_eq!(proof(&mut bench, &es256(&evil, "k1")).await.0, "bad_signature", "{result}");
        assert_eq!(proof(&mut bench, &es256(&evil, "k2")).await.0, "unknown_key", "{result}");
    }
    assert!(issuer.asked().iter().all(|line| line == "GET /jwks.json HTTP/1.1"), "nobody was sent elsewhere");
    // The sockets of both sides hold some of it.
    assert!(issuer.sent() < 8 * 1024 * 1024, "{} bytes of an endless answer were taken", issuer.sent());
    let log = bench.gateway.log();
    assert!(log.contains("keys_not_fetched") && !log.contains("Sign in"), "{log}");
    issuer.publish(&[("k2", &key)]);
    await_proof(&mut bench, &es256(&key, "k2"), "valid").await;
    assert_eq!(status(&bench.gateway)["key_sets"][0]["last_error"], Value::Null);
}

#[tokio::test]
async fn an_issuer_behind_another_authority_or_name_is_not_believed() {
    let key = key(Algorithm::Es256);
    let (issuer, other) = (Issuer::publishing(&[("k1", &key)]).await, Issuer::publishing(&[("k1", &key)]).await);
    let mut bench = Bench::acme(|setup| {
        let setup = with_issuer(setup, &issuer, EACH_SECOND);
        write_whole(&setup.policies().join("../issuer-ca.pem"), &other.ca_pem);
        setup
    })
    .await;
    assert_eq!(proof(&mut bench, &es256(&key, "k1")).await.0, "keys_stale");
    assert!(fetches(&bench.gateway, "tls") > 0);
    assert!(issuer.asked().is_empty(), "nothing is said to whom nobody trusts");
    // The right authorities in the same file mend it without a restart.
    write_whole(&bench.gateway.setup.policies().join("../issuer-ca.pem"), &issuer.ca_pem);
    await_proof(&mut bench, &es256(&key, "k1"), "valid").await;
    // And the wrong ones again: what is known stays until it is stale.
    write_whole(&bench.gateway.setup.policies().join("../issuer-ca.pem"), &other.ca_pem);
    await_fetch(&bench.gateway, "tls").await;
    assert_eq!(proof(&mut bench, &es256(&key, "k1")).await.0, "valid");
}

#[tokio::test]
async fn keys_that_nobody_confirms_are_refused_as_our_fault_and_come_back_with_their_issuer() {
    let key = key(Algorithm::Es256);
    let issuer = Issuer::publishing(&[("k1", &key)]).await;
    let mut bench = Bench::acme(|setup| {
        with_issuer(setup, &issuer, "refresh = \"1s\"\nstale_after = \"4s\"")
            .with("require = \"never\"", "require = \"identified\"")
    })
    .await;
    let text = es256(&key, "k1");
    bench.passes(form_request(PING, ping(&text))).await;
    issuer.now(Manner::IsGone);
    let deadline = Instant::now() + PATIENCE;
    let stale = loop {
        let answer = bench.send(form_request(PING, ping(&text))).await;
        if answer.status != 200 {
            break answer;
        }
        assert!(Instant::now() < deadline, "never stale");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!((stale.status.as_u16(), stale.header("retry-after")), (503, Some("5")));
    assert_eq!(stale.header("content-type"), Some("application/problem+json"), "not the widget's shape for bad tokens");
    assert_eq!(bench.record()["outcome"], "keys_stale");
    assert!(bench.upstream.received().is_empty());
    assert_eq!(metric(&bench.gateway, r#"countersign_key_set_stale{workspace="acme",set="idp"}"#), Some(1));
    assert!(
        metric(&bench.gateway, r#"countersign_key_set_age_seconds{workspace="acme",set="idp"}"#)
            .is_some_and(|age| age > 4)
    );
    // Also the forged and the unknown: nobody can say of them what they are.
    assert_eq!(
        bench.refused(form_request(PING, ping(&es256(&self::key(Algorithm::Es256), "k1"))), 503).await,
        "keys_stale"
    );
    assert_eq!(bench.refused(form_request(PING, ping(&es256(&key, "k2"))), 503).await, "keys_stale");
    // Its own keys are nobody else's business, and neither is a broken token.
    bench.passes(form_request(PING, ping(&Token::saying(r#""plan":"pro""#).text()))).await;
    assert_eq!(bench.refused(form_request(PING, ping("a.b.c")), 403).await, "malformed");
    issuer.publish(&[("k1", &key)]);
    let deadline = Instant::now() + PATIENCE;
    while bench.send(form_request(PING, ping(&text))).await.status != 200 {
        assert!(Instant::now() < deadline, "never back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(bench.upstream.only().user_data()["plan"], "pro");
}

/// A directory for keys, as an operator would make it.
fn key_cache() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o700)).expect("mode set");
    directory
}

fn kept(directory: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(directory).expect("listed").map(|entry| entry.expect("an entry").path()).collect()
}

#[tokio::test]
async fn what_is_known_outlives_the_process_and_not_its_bound() {
    let key = key(Algorithm::Es256);
    let issuer = Issuer::publishing(&[("k1", &key)]).await;
    let cache = key_cache();
    let times = "refresh = \"2s\"\nstale_after = \"6s\"";
    let start = |setup: Setup| {
        with_issuer(setup, &issuer, times).settings(&format!("key_cache = {:?}", cache.path().join("keys")))
    };
    // The authorities' file is part of who an issuer is, so that the second process must find it at the same place.
    let mut first = Bench::acme(start).await;
    assert_eq!(proof(&mut first, &es256(&key, "k1")).await.0, "valid");
    let deadline = Instant::now() + PATIENCE;
    while kept(&cache.path().join("keys")).is_empty() {
        assert!(Instant::now() < deadline, "nothing was kept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    first.gateway.signal("KILL");
    first.gateway.await_end();
    issuer.now(Manner::IsGone);
    let mut second = first.gateway.again();
    let mut client = second.http1().await;
    let answer = client.post_form(PING, ping(&es256(&key, "k1"))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(first.upstream.received().last().expect("one").user_data()["plan"], "pro");
    tokio::time::sleep(Duration::from_secs(7)).await;
    client.post_form(PING, ping(&es256(&key, "k1"))).await;
    assert_eq!(
        first.upstream.received().last().expect("one").user_data().get("plan"),
        None,
        "a restart makes nothing younger"
    );
    // What is broken on disk costs no start.
    second.signal("KILL");
    second.await_end();
    for file in kept(&cache.path().join("keys")) {
        std::fs::write(file, "broken").expect("written");
    }
    issuer.publish(&[("k1", &key)]);
    let mut third = second.again();
    assert!(third.log().contains("key_cache_ignored"));
    let mut client = third.http1().await;
    client.post_form(PING, ping(&es256(&key, "k1"))).await;
    assert_eq!(first.upstream.received().last().expect("one").user_data()["plan"], "pro");
}

/// A token by HMAC under whatever bytes.
fn hmac_token(header: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(says_pro()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes())))
}

#[tokio::test]
async fn what_is_published_is_no_secret_and_what_a_token_brings_is_no_key() {
    let rsa = key(Algorithm::Rs256);
    let secret = b"published-secret-0123456789abcdef0123456789";
    let of_rsa = jwk("r", &rsa);
    let document = json!({"keys": [
        of_rsa,
        {"kty": "oct", "kid": "s", "alg": "HS256", "use": "sig", "k": URL_SAFE_NO_PAD.encode(secret)},
        {"kty": "oct", "kid": "t", "alg": "RS256", "use": "sig", "k": URL_SAFE_NO_PAD.encode(secret)},
    ]});
    let issuer = Issuer::start(Manner::Publishes(document.to_string())).await;
    let mut bench = Bench::acme(|setup| with_issuer(setup, &issuer, DAILY)).await;
    assert_eq!(proof(&mut bench, &token(&rsa, Algorithm::Rs256, Some("r"))).await.0, "valid");
    for kid in ["s", "t"] {
        let by_secret = hmac_token(&header(Algorithm::Hs256, Some(kid)), secret);
        assert_eq!(proof(&mut bench, &by_secret).await.0, "unknown_key");
    }
    let pem = pem(&rsa);
    let modulus = of_rsa["n"].as_str().expect("text").to_owned();
    let public = [
        pem.clone().into_bytes(),
        pem.trim_end().as_bytes().to_vec(),
        of_rsa.to_string().into_bytes(),
        modulus.clone().into_bytes(),
        URL_SAFE_NO_PAD.decode(&modulus).expect("base64"),
        Vec::new(),
    ];
    for public in public {
        let named = hmac_token(&header(Algorithm::Hs256, Some("r")), &public);
        assert_eq!(proof(&mut bench, &named).await.0, "wrong_algorithm");
        let unnamed = hmac_token(&header(Algorithm::Hs256, None), &public);
        assert_eq!(proof(&mut bench, &unnamed).await.0, "bad_signature");
    }
    // The same key under an algorithm that the set does not have.
    let as_ps256 = rsa.sign(r#"{"alg":"PS256","kid":"r"}"#, says_pro().as_bytes()).expect("signed");
    assert_eq!(proof(&mut bench, &as_ps256).await.0, "wrong_algorithm");
    let none =
        format!("{}.{}.AA", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"r"}"#), URL_SAFE_NO_PAD.encode(says_pro()));
    assert_eq!(proof(&mut bench, &none).await.0, "wrong_algorithm");
    let evil = key(Algorithm::Es256);
    let url = issuer.url();
    for member in [
        format!(r#""jku":"{url}""#),
        format!(r#""x5u":"{url}""#),
        format!(r#""jwk":{}"#, jwk("r", &evil)),
        r#""x5c":["AAAA"]"#.to_owned(),
    ] {
        let header = format!(r#"{{"alg":"ES256","kid":"r",{member}}}"#);
        let brought = evil.sign(&header, says_pro().as_bytes()).expect("signed");
        assert_eq!(proof(&mut bench, &brought).await.0, "embedded_key", "{member}");
    }
    assert_eq!(issuer.asked().len(), 1, "none of these makes us ask");
}

#[tokio::test]
async fn a_reload_asks_no_issuer_that_it_names_again_and_workspaces_share_one() {
    let key = key(Algorithm::Es256);
    let issuer = Issuer::publishing(&[("k1", &key)]).await;
    let mut bench = Bench::acme(|setup| {
        let setup = with_issuer(setup, &issuer, DAILY);
        let beta = setup.text("acme").replace("abc12345", "beta5678");
        setup.workspace("beta", &beta)
    })
    .await;
    assert_eq!(issuer.asked().len(), 1);
    let acme = bench.gateway.setup.policies().join("workspaces/acme.toml");
    let text = bench.gateway.setup.text("acme");
    for limit in [65, 66] {
        write_whole(&acme, &text.replace("max_length = 64", &format!("max_length = {limit}")));
        bench.gateway.await_log("policy_reloaded");
        assert_eq!(proof(&mut bench, &es256(&key, "k1")).await.0, "valid");
    }
    // A policy that cannot be in force takes nothing away either.
    write_whole(&acme, "nonsense");
    bench.gateway.await_log("policy_reload_failed");
    issuer.now(Manner::IsGone);
    // Asked more often it is asked again, and what was known of it is still known.
    write_whole(&acme, &text.replace(DAILY, "refresh = \"6h\""));
    bench.gateway.await_log("policy_reloaded");
    assert_eq!(proof(&mut bench, &es256(&key, "k1")).await.0, "valid");
    assert_eq!(issuer.asked().len(), 1);
}

fn countersign(arguments: &[&str], policies: &Path, input: &str) -> (Option<i32>, String) {
    use std::io::Write;
    let mut child = Command::new(BINARY)
        .args(arguments)
        .arg(policies)
        .env_remove("TEST_SECRET")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdin.take().expect("piped").write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test]
async fn policies_are_checked_and_tried_without_asking_anybody() {
    let issuer = Issuer::publishing(&[("k1", &key(Algorithm::Es256))]).await;
    let setup = with_issuer(Setup::acme(NOBODY), &issuer, DAILY);
    setup.write();
    std::fs::remove_file(setup.policies().join("../issuer-ca.pem")).expect("removed");
    let cases = r#"
[defaults]
path = "/messenger/web/ping"
origin = "https://app.acme.example"
[[cases]]
name = "a key of the set signs"
signed_by = "idp"
update = { user_id = "user-42", plan = "free" }
signed = { user_id = "user-42", plan = "pro" }
expect = { goes_on = { user_id = "user-42", plan = "pro" }, proof = "valid" }
[[cases]]
name = "nobody signs nothing"
signed_by = "nobody"
update = { user_id = "user-42", plan = "pro" }
signed = { user_id = "user-42", plan = "pro" }
expect = { goes_on = { user_id = "user-42" }, proof = "bad_signature" }
"#;
    write_whole(&setup.policies().join("workspaces/acme.cases.toml"), cases);
    let (code, told) = countersign(&["check"], &setup.policies(), "");
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = countersign(&["test"], &setup.policies(), "");
    assert!(code == Some(0) && told.contains("2 ok, 0 failed"), "{told}");
    // Also where it has no key but those of the set.
    let own = ACME.split("[[identity.keys]]").nth(1).and_then(|rest| rest.split("[attributes]").next()).expect("a key");
    let setup = setup.with(&format!("[[identity.keys]]{own}"), "");
    setup.write();
    write_whole(&setup.policies().join("workspaces/acme.cases.toml"), &cases.replace("signed_by = \"idp\"\n", ""));
    let (code, told) = countersign(&["test"], &setup.policies(), "");
    assert!(code == Some(0) && told.contains("2 ok, 0 failed"), "{told}");
    assert!(issuer.asked().is_empty());
}

#[tokio::test]
async fn a_token_of_a_set_is_explained_by_what_is_known_here() {
    let (key, other) = (key(Algorithm::Es256), key(Algorithm::Es256));
    let issuer = Issuer::publishing(&[("k1", &key)]).await;
    let inspect =
        |setup: &Setup, token: &str| countersign(&["token", "inspect", "--policies"], &setup.policies(), token);
    let by_url = with_issuer(Setup::acme(NOBODY), &issuer, DAILY);
    by_url.write();
    let (code, told) = inspect(&by_url, &es256(&key, "k1"));
    assert_eq!(code, Some(1), "{told}");
    let fetched = format!("keys of `idp`: the running gateway fetches them from {}", issuer.url());
    assert!(told.contains("(unverified)") && told.contains("the keys of `idp` could not be had"), "{told}");
    assert!(told.contains(&fetched) && told.contains("without `key_cache`"), "{told}");
    // By an algorithm that the set never has, it needs no key to be wrong.
    let (_, told) = inspect(&by_url, &hmac_token(&header(Algorithm::Hs256, Some("k1")), b"any"));
    assert!(told.contains("(unknown_key)"), "{told}");

    let in_file = Setup::acme(NOBODY).with(
        "[attributes]",
        "[[identity.key_sets]]\nid = \"idp\"\nalgorithms = [\"ES256\"]\nfile = \"../idp.json\"\n[attributes]",
    );
    in_file.write();
    let (_, told) = inspect(&in_file, &es256(&key, "k1"));
    assert!(told.contains("(unverified)") && told.contains("cannot read"), "{told}");
    write_whole(&in_file.policies().join("../idp.json"), &set(&[("k1", &key)]));
    let (code, told) = inspect(&in_file, &es256(&key, "k1"));
    assert!(code == Some(0) && told.contains("key `idp/k1` signed it"), "{told}");
    let (_, told) = inspect(&in_file, &es256(&other, "k1"));
    assert!(
        told.contains("key `k1`, which its `kid` names, did not sign it") && told.contains("(bad_signature)"),
        "{told}"
    );
    let (_, told) = inspect(&in_file, &es256(&other, "k2"));
    assert!(told.contains("its `kid` is `k2`, and the keys for tokens are `web-2026-11` and those of `idp`"), "{told}");
    let (_, told) = inspect(&in_file, &token(&key, Algorithm::EdDsa, Some("k1")));
    assert!(told.contains("key set `idp` is for `ES256`") && told.contains("(wrong_algorithm)"), "{told}");

    // What the gateway has kept is known to whoever asks beside it.
    let cache = key_cache();
    let keys = cache.path().join("keys");
    let bench =
        Bench::acme(|setup| with_issuer(setup, &issuer, DAILY).settings(&format!("key_cache = {keys:?}"))).await;
    let deadline = Instant::now() + PATIENCE;
    while kept(&keys).is_empty() {
        assert!(Instant::now() < deadline, "nothing was kept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (code, told) = inspect(&bench.gateway.setup, &es256(&key, "k1"));
    assert!(code == Some(0) && told.contains("key `idp/k1` signed it"), "{told}");
    let later = (now() + 3 * 24 * 3600).to_string();
    let policies = bench.gateway.setup.policies();
    let (_, told) = countersign(&["token", "inspect", "--at", &later, "--policies"], &policies, &es256(&key, "k1"));
    assert!(told.contains("(keys_stale)"), "{told}");
}
