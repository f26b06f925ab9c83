//! The keys that vendors sign webhooks with, beside those of tokens. The signatures are openssl's.

use serde_json::{Value, json};

use super::{OTHER_SECRET, answer, row, told};
use crate::support::token::now;
use crate::support::{Bench, SECRET, Setup};
use crate::webhooks::{BODY, CHATWOOT, HOOKS, INTERCOM, hmac, request};

const STRANGERS_SECRET: &str = "a-strangers-secret-0123456789abcdef01";

/// A second key, with the other secret.
fn second_key(id: &str, lines: &str) -> String {
    format!("[[webhooks.keys]]\nid = \"{id}\"\nsecret = {{ env = \"OTHER_SECRET\" }}\n{lines}")
}

async fn bench(policy: &str) -> Bench {
    Bench::start(|upstream| Setup::new(upstream).workspace("hooks", policy)).await
}

fn of_intercom(secret: &str) -> http::Request<Vec<u8>> {
    let signature = format!("sha1={}", hmac("-sha1", secret, BODY.as_bytes()));
    request(HOOKS, &[("x-hub-signature", &signature)], BODY.as_bytes())
}

/// A webhook that was sent so many seconds from now.
fn of_chatwoot(secret: &str, from_now: i64) -> http::Request<Vec<u8>> {
    let time = (now() + from_now).to_string();
    let digits = hmac("-sha256", secret, format!("{time}.{BODY}").as_bytes());
    let headers = [("x-chatwoot-timestamp", time.as_str()), ("x-chatwoot-signature", &format!("sha256={digits}"))];
    request(CHATWOOT, &headers, BODY.as_bytes())
}

#[track_caller]
fn key<'a>(answer: &'a Value, id: &str) -> &'a Value {
    let keys = answer["workspaces"][0]["webhooks"]["keys"].as_array().expect("keys");
    keys.iter().find(|key| key["key"] == id).unwrap_or_else(|| panic!("no `{id}` in {answer}"))
}

#[tokio::test]
async fn of_two_keys_each_says_how_many_webhooks_it_signed() {
    let policy = INTERCOM.replace("intercom-", "chatwoot-") + &second_key("next", "");
    let mut bench = bench(&policy).await;
    for seconds in [-3, -2, -1] {
        bench.passes(of_chatwoot(OTHER_SECRET, seconds)).await;
    }
    // Signed by the same key and refused all the same; signed by nobody; not signed.
    let again = of_chatwoot(OTHER_SECRET, -60);
    bench.passes(again.clone()).await;
    assert_eq!(bench.refused(again, 401).await, "webhook_replayed");
    assert_eq!(bench.refused(of_chatwoot(OTHER_SECRET, -3600), 401).await, "webhook_stale");
    assert_eq!(bench.refused(of_chatwoot(STRANGERS_SECRET, 0), 401).await, "webhook_bad");
    assert_eq!(bench.refused(request(CHATWOOT, &[], BODY.as_bytes()), 401).await, "webhook_missing");

    let gateway = &bench.gateway;
    let answer = answer(gateway, 0);
    let hooks = &answer["workspaces"][0];
    assert_eq!((&hooks["webhooks"]["signed"], &hooks["unsigned"]["webhook"]), (&json!(6), &json!(1)), "{answer}");
    let (next, old) = (key(&answer, "next"), key(&answer, "client-secret"));
    assert_eq!((&next["verified"]["webhook"], &next["refused"]["webhook"]), (&json!(4), &json!(2)), "{next}");
    assert_eq!((&next["algorithm"], &next["use"]), (&json!("HMAC-SHA256"), &json!(["webhook"])), "{next}");
    assert!((now() - 60..=now()).contains(&next["last_use"].as_i64().expect("a time")), "{next}");
    assert_eq!((&old["verified"]["webhook"], &old["last_use"]), (&json!(0), &Value::Null), "{old}");
    assert_eq!((&old["state"], &old["signed_since"]), (&json!("in_force"), &json!(6)), "{old}");

    let plain = told(gateway, &[], 0);
    assert!(plain.contains("its keys signed 6 webhooks, and 1 came that no key in force for them signed"), "{plain}");
    assert_eq!(row(&plain, "next")[1..7], ["HMAC-SHA256", "webhook", "in force", "4", "2", "100 %"], "{plain}");
    assert_eq!(
        row(&plain, "client-secret")[1..],
        ["HMAC-SHA256", "webhook", "in force", "0", "0", "0 %", "-"],
        "{plain}"
    );
    assert!(plain.contains("webhook key `next` signs 100 % of the webhooks, last "), "{plain}");
    assert!(plain.contains("webhook key `client-secret` signed nothing yet, counted for "), "{plain}");
    // Of tokens there is nothing to say.
    assert!(!plain.contains("token") && !plain.contains("proofs"), "{plain}");
    let metrics = gateway.admin_get("/metrics");
    for line in [
        "countersign_proofs_total{workspace=\"hooks\",verdict=\"webhook_valid\",key=\"next\"} 6",
        "countersign_webhook_key_last_use_timestamp_seconds{workspace=\"hooks\",key=\"next\"} ",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn a_key_that_ended_and_one_that_is_about_to() {
    let end = jiff::Timestamp::from_second(now() + 3 * 24 * 3600 + 600).expect("a moment");
    let ended = "not_after = 2026-01-01T00:00:00Z\n";
    let policy = INTERCOM.to_owned() + ended + &second_key("next", &format!("not_after = {end}\n"));
    let mut bench = bench(&policy).await;
    // What nobody uses is no finding, though it ends.
    let plain = told(&bench.gateway, &[], 0);
    assert!(plain.contains("webhook key `next` signed nothing since "), "{plain}");
    assert!(plain.contains(": no other key is for webhooks then, add one"), "{plain}");
    bench.passes(of_intercom(OTHER_SECRET)).await;
    assert_eq!(bench.refused(of_intercom(SECRET), 401).await, "webhook_bad");

    let plain = told(&bench.gateway, &[], 1);
    for sentence in [
        "its keys signed 1 webhook, and 1 came that no key in force for them signed",
        "webhook key `next` ends in 3 days",
        ", and still signs 100 % of the webhooks, last ",
        "webhook key `client-secret` ended ",
        ", at 2026-01-01T00:00:00Z, and verifies nothing: safe to remove",
    ] {
        assert!(plain.contains(sentence), "{sentence}\n{plain}");
    }
    assert_eq!(row(&plain, "client-secret")[3..6], ["ended 2026-01-01", "0", "0"], "{plain}");
    assert!(row(&plain, "next")[3].contains("3 days"), "{plain}");
    let answer = answer(&bench.gateway, 1);
    let (next, old) = (key(&answer, "next"), key(&answer, "client-secret"));
    assert_eq!((&next["finding"], &next["not_after"]), (&json!(true), &json!(end.as_second())), "{next}");
    assert_eq!((&old["finding"], &old["state"]), (&json!(false), &json!("ended")), "{old}");
}

#[tokio::test]
async fn a_key_for_tokens_of_the_same_id_is_another() {
    let same = "[[identity.keys]]\nid = \"client-secret\"\nalgorithm = \"HS256\"\nsecret = { env = \"OTHER_SECRET\" }\n\
                use = [\"jwt\"]\n[[webhooks.keys]]";
    let policy = INTERCOM.replace("[[webhooks.keys]]", same);
    let with_acme = |upstream| Setup::acme(upstream).workspace("hooks", &policy);
    let mut bench = Bench::start(with_acme).await;
    bench.passes(of_intercom(SECRET)).await;
    bench.passes(of_intercom(SECRET)).await;

    let told = told(&bench.gateway, &["--json", "--workspace", "hooks"], 0);
    let answer: Value = told.parse().expect("JSON");
    let [workspace] = answer["workspaces"].as_array().expect("workspaces").as_slice() else { panic!("{told}") };
    let (for_tokens, for_webhooks) = (&workspace["keys"][0], key(&answer, "client-secret"));
    assert_eq!((&for_tokens["key"], &for_tokens["last_use"]), (&json!("client-secret"), &Value::Null), "{told}");
    assert_eq!((&workspace["signed"], &for_tokens["signed_since"]), (&json!(0), &json!(0)), "{told}");
    assert_eq!((&for_webhooks["verified"]["webhook"], &for_webhooks["share"]), (&json!(2), &json!("100 %")), "{told}");
    assert_eq!(for_webhooks["algorithm"], "HMAC-SHA1, HMAC-SHA256");
    let metrics = bench.gateway.admin_get("/metrics");
    assert!(!metrics.contains("countersign_key_last_use_timestamp_seconds{workspace=\"hooks\""), "{metrics}");

    // Whose keys sign tokens alone says nothing of webhooks.
    let plain = super::told(&bench.gateway, &["--workspace", "acme"], 0);
    assert!(!plain.contains("webhook"), "{plain}");
    let plain = super::told(&bench.gateway, &["--workspace", "hooks"], 0);
    for sentence in
        ["\nkey `client-secret` signed nothing ", "\nwebhook key `client-secret` signs 100 % of the webhooks"]
    {
        assert!(plain.contains(sentence), "{plain}");
    }
}

#[tokio::test]
async fn a_key_that_no_webhook_can_be_signed_with_can_go() {
    let key = second_key("hooks", "[attributes]");
    let bench = Bench::acme(|setup| setup.with("[attributes]", &key)).await;
    let plain = told(&bench.gateway, &[], 0);
    let sentence = "webhook key `hooks` verifies nothing, as the profile has no webhooks: safe to remove";
    assert!(plain.contains(sentence), "{plain}");
    assert_eq!(row(&plain, "hooks")[1..4], ["", "webhook", "in force"], "{plain}");
}
