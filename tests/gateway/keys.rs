//! Keys: every algorithm, their files, their terms, and how one follows another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use countersign::identity::{KeyMaterial, SigningKey};
use countersign::policy::{Algorithm, word};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::support::client::form_request;
use crate::support::gateway::{ACME, write_whole};
use crate::support::token::now;
use crate::support::{Bench, Client, NOBODY, Protocol, SECRET, Setup, TestUpstream, Token, ping_form};

const PING: &str = "/messenger/web/ping";

/// The key of [`ACME`].
const ACME_KEY: &str = r#"[[identity.keys]]
id = "web-2026-11"
algorithm = "HS256"
secret = { env = "TEST_SECRET" }
use = ["jwt", "user_hash"]
"#;

const ALGORITHMS: [Algorithm; 13] = [
    Algorithm::Hs256,
    Algorithm::Hs384,
    Algorithm::Hs512,
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::EdDsa,
];

/// Writes what verifies the key beside the policies, as an operator would keep it, and gives its lines in the policy.
fn publish(setup: &Setup, id: &str, algorithm: Algorithm, key: &SigningKey) -> String {
    let path = setup.policies().join(format!("../{id}.key"));
    let source = match key.material().expect("material") {
        KeyMaterial::Secret(secret) => {
            let digits: String = secret.expose_secret().iter().map(|byte| format!("{byte:02x}")).collect();
            write_whole(&path, &digits);
            format!("secret = {{ file = \"../{id}.key\" }}\nencoding = \"hex\"")
        }
        KeyMaterial::PublicKey(pem) => {
            write_whole(&path, std::str::from_utf8(&pem).expect("PEM"));
            format!("public_key = \"../{id}.key\"")
        }
    };
    format!("[[identity.keys]]\nid = \"{id}\"\nalgorithm = \"{}\"\n{source}\nuse = [\"jwt\"]\n", word(algorithm))
}

fn ping(token: &str) -> String {
    ping_form(&json!({"user_id": "user-42", "plan": "free", "intercom_user_jwt": token}).to_string())
}

fn says_pro() -> String {
    format!(r#"{{"user_id":"user-42","exp":{},"plan":"pro"}}"#, now() + 600)
}

#[tokio::test]
async fn tokens_of_every_algorithm_sign_by_their_own_key_and_by_no_other() {
    let keys = ALGORITHMS.map(|algorithm| (algorithm, SigningKey::draw(algorithm).expect("a key")));
    let mut bench = Bench::acme(|setup| {
        setup.write();
        let lines: Vec<String> =
            keys.iter().map(|(algorithm, key)| publish(&setup, word(*algorithm), *algorithm, key)).collect();
        setup.with(ACME_KEY, &lines.join("\n"))
    })
    .await;
    for (algorithm, key) in &keys {
        let token = key.token(says_pro().as_bytes()).expect("signed");
        let received = bench.passes(form_request(PING, ping(&token))).await;
        assert_eq!(received.user_data()["plan"], "pro", "{algorithm:?}");
        let record = bench.record();
        assert_eq!((&record["proof"], &record["key"]), (&json!("valid"), &json!(word(*algorithm))), "{record}");
        // One of the same kind that nobody published.
        let stranger = SigningKey::draw(*algorithm).expect("a key");
        let forged = stranger.token(says_pro().as_bytes()).expect("signed");
        let received = bench.passes(form_request(PING, ping(&forged))).await;
        assert_eq!(received.user_data().get("plan"), None, "{algorithm:?}");
        assert_eq!(bench.record()["proof"], "bad_signature");
    }
}

#[tokio::test]
async fn a_key_may_come_from_a_set_and_its_secret_stand_for_bytes() {
    // RFC 8037 appendix A: key and signature; its payload is no JSON, which is found only where the signature holds.
    let set = r#"{"keys":[{"kty":"oct","kid":"other","k":"AAAA"},
        {"kty":"OKP","crv":"Ed25519","kid":"idp-1","use":"sig","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let mut bench = Bench::acme(|setup| {
        setup.write();
        write_whole(&setup.policies().join("../keys.json"), set);
        let encoded: String = SECRET.bytes().map(|byte| format!("{byte:02X}")).collect();
        write_whole(&setup.policies().join("../secret.hex"), &format!("{encoded}\n"));
        setup.with(
            ACME_KEY,
            r#"
[[identity.keys]]
id = "idp-1"
algorithm = "EdDSA"
public_key = "../keys.json"
use = ["jwt"]

[[identity.keys]]
id = "hex"
algorithm = "HS256"
secret = { file = "../secret.hex" }
encoding = "hex"
use = ["jwt", "user_hash"]
"#,
        )
    })
    .await;
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    bench.passes(form_request(PING, ping(token))).await;
    let record = bench.record();
    assert_eq!((&record["proof"], &record["key"]), (&json!("malformed"), &json!("idp-1")), "{record}");
    let received = bench.passes(form_request(PING, ping(&Token::saying(r#""plan":"pro""#).text()))).await;
    assert_eq!(received.user_data()["plan"], "pro");
    assert_eq!(bench.record()["key"], "hex");
}

#[tokio::test]
async fn a_key_counts_until_its_last_second() {
    // Time for a slow machine to start.
    let end = now() + 6;
    let mut bench = Bench::acme(|setup| {
        let moment = jiff::Timestamp::from_second(end).expect("a moment");
        setup.with("use = [\"jwt\", \"user_hash\"]", &format!("use = [\"jwt\"]\nnot_after = {moment}"))
    })
    .await;
    let token = Token::saying(r#""plan":"pro""#).header(r#"{"alg":"HS256","kid":"web-2026-11"}"#).text();
    let received = bench.passes(form_request(PING, ping(&token))).await;
    assert!(now() < end, "the machine took too long to say anything");
    assert_eq!(received.user_data()["plan"], "pro");
    while now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let received = bench.passes(form_request(PING, ping(&token))).await;
    assert_eq!(received.user_data().get("plan"), None);
    assert_eq!(bench.record()["proof"], "key_not_in_force");
}

#[tokio::test]
async fn issuer_audience_and_further_claims_are_those_of_the_policy() {
    let asks = "require = \"never\"\nissuers = [\"acme\"]\naudiences = [\"messenger\"]\nrequired_claims = [\"jti\"]";
    let mut bench = Bench::acme(|setup| setup.with("require = \"never\"", asks)).await;
    for (claims, verdict) in [
        (r#""iss":"acme","aud":["shop","messenger"],"jti":"1""#, "valid"),
        (r#""iss":"acme","aud":"messenger","jti":"1""#, "valid"),
        (r#""aud":"messenger","jti":"1""#, "wrong_issuer"),
        (r#""iss":"evil","aud":"messenger","jti":"1""#, "wrong_issuer"),
        (r#""iss":"acme","aud":"shop","jti":"1""#, "wrong_audience"),
        (r#""iss":"acme","jti":"1""#, "wrong_audience"),
        (r#""iss":"acme","aud":"messenger","jti":null"#, "claim_missing"),
    ] {
        let token = Token::saying(&format!(r#""plan":"pro",{claims}"#)).text();
        let received = bench.passes(form_request(PING, ping(&token))).await;
        assert_eq!(bench.record()["proof"], verdict, "{claims}");
        let plan = received.user_data().get("plan").cloned();
        assert_eq!(plan, (verdict == "valid").then(|| json!("pro")), "{claims}");
    }
}

#[test]
fn a_file_that_holds_no_public_key_does_not_start() {
    let key = SigningKey::draw(Algorithm::Es256).expect("a key");
    let setup = Setup::acme(NOBODY);
    setup.write();
    let lines = publish(&setup, "idp", Algorithm::Es256, &key);
    let path = setup.policies().join("../idp.key");
    let pem = std::fs::read_to_string(&path).expect("there");
    let told = |lines: &str, content: Option<&str>| {
        let setup = setup_with(NOBODY, lines);
        if let Some(content) = content {
            write_whole(&setup.policies().join("../idp.key"), content);
        }
        let output = std::process::Command::new(crate::support::gateway::BINARY)
            .args(["serve", "--policies"])
            .arg(setup.policies())
            .output()
            .expect("started");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        told
    };
    assert!(
        told(&lines, Some(&pem.replace("PUBLIC", "PRIVATE")))
            .contains("workspace `acme`: key `idp`: this is a private key")
    );
    assert!(
        told(&lines, Some("nothing")).contains("key `idp`: expected PEM with one `PUBLIC KEY`, a JWK or a JWK Set")
    );
    assert!(told(&lines, None).contains("key `idp`: cannot read the public key"));
    assert!(told(&lines.replace("ES256", "RS256"), Some(&pem)).contains("key `idp`: not a key of `RS256`"));
    let as_secret = lines.replace("ES256", "HS256");
    assert!(
        told(&as_secret, Some(&pem))
            .contains("`HS256` takes a `secret`: a public key as its secret is one that everybody has")
    );
}

/// [`ACME`] with these keys, written.
fn setup_with(upstream: std::net::SocketAddr, keys: &str) -> Setup {
    let setup = Setup::acme(upstream).with(ACME_KEY, keys);
    setup.write();
    setup
}

/// The steps of `docs/operating.md`, under load, with a proof asked of every request.
#[tokio::test(flavor = "multi_thread")]
async fn one_key_follows_another_and_no_request_is_lost() {
    let upstream = TestUpstream::start().await;
    let required = ACME.replace("require = \"never\"", "require = \"always\"");
    // All requests are one user's.
    let rates = "[rates]\nrequests_per_subject = { mode = \"off\" }\n";
    let mut gateway = Setup::new(upstream.address).workspace("acme", &required).gateway(rates).start();
    let acme = gateway.setup.policies().join("workspaces/acme.toml");
    let new = Arc::new(SigningKey::draw(Algorithm::Es256).expect("a key"));
    let (signs_new, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut load = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let (new, signs_new, stop) = (new.clone(), signs_new.clone(), stop.clone());
        let (address, ca_pem) = (gateway.address, gateway.ca_pem.clone());
        load.push(tokio::spawn(async move {
            let mut client = Client::connect(address, &ca_pem, protocol).await;
            let mut sent = [0_usize; 2];
            while !stop.load(Ordering::SeqCst) {
                let is_new = signs_new.load(Ordering::SeqCst);
                let token = if is_new {
                    new.token(says_pro().as_bytes()).expect("signed")
                } else {
                    Token::of(&says_pro()).text()
                };
                let answer = client.post_form(PING, ping(&token)).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                sent[usize::from(is_new)] += 1;
            }
            sent
        }));
    }
    let pause = || tokio::time::sleep(Duration::from_millis(300));
    pause().await;
    // 1. Both are in force.
    let lines = publish(&gateway.setup, "web-2026-12", Algorithm::Es256, &new);
    write_whole(&acme, &required.replace(ACME_KEY, &format!("{ACME_KEY}\n{lines}")));
    gateway.await_log("policy_reloaded");
    pause().await;
    // 2. The server signs with the new one.
    signs_new.store(true, Ordering::SeqCst);
    pause().await;
    // 3. The old one stands still.
    let uses = |id: &str| {
        let metrics = gateway.admin_get("/metrics");
        let line = metrics.lines().find(|line| {
            line.starts_with("countersign_proofs_total")
                && line.contains(&format!("key=\"{id}\""))
                && line.contains("\"valid\"")
        });
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or_default()
    };
    let (old_before, new_before) = (uses("web-2026-11"), uses("web-2026-12"));
    pause().await;
    assert_eq!(uses("web-2026-11"), old_before);
    assert!(uses("web-2026-12") > new_before);
    // 4. It goes.
    write_whole(&acme, &required.replace(ACME_KEY, &lines));
    gateway.await_log("policy_reloaded");
    pause().await;
    stop.store(true, Ordering::SeqCst);
    let mut sent = 0;
    for task in load {
        let [by_old, by_new] = task.await.expect("no request failed");
        assert!(by_old > 0 && by_new > 0, "{by_old} {by_new}");
        sent += by_old + by_new;
    }
    let received = upstream.received();
    assert_eq!(received.len(), sent);
    assert!(received.iter().all(|received| received.user_data()["plan"] == "pro"));
    // What the old one signs is nobody's word any more.
    let mut client = gateway.http1().await;
    assert_eq!(client.post_form(PING, ping(&Token::of(&says_pro()).text())).await.status, 403);
}
