//! Every reason for which a proof is none, each by a request that ends with it: what it signs never arrives, and no value of a locked
//! attribute does.

use std::collections::BTreeSet;

use countersign::identity::{ProofError, SEALED_CHARS_MAX};
use serde_json::{Value, json};

use crate::encrypted::seal;
use crate::support::client::form_request;
use crate::support::gateway::write_whole;
use crate::support::token::{now, user_hash};
use crate::support::{Bench, SECRET, Setup, Token, form, ping_form};

const PING: &str = "/messenger/web/ping";
const SEALED: &str = "_intercomEncryptedPayload";
const PHONE_SECRET: &str = "telephone-0123456789abcdef0123456789abcdef";

/// Intercom's wire, with a second place for encrypted settings.
fn wire() -> String {
    let web = include_str!("../../policies/profiles/intercom-web.toml");
    let place = r#"sealed    = ["field:_intercomEncryptedPayload"]"#;
    assert!(web.contains(place));
    web.replace(place, r#"sealed    = ["field:_intercomEncryptedPayload", "field:sealed_too"]"#)
}

/// A workspace that asks for all that can be asked for, and whose keys are of every kind.
fn strict(setup: Setup, identity: &str, uses: &str) -> Setup {
    setup.write();
    write_whole(&setup.policies().join("../phone.secret"), PHONE_SECRET);
    let keys = format!(
        r#"{uses}

[[identity.keys]]
id = "old"
algorithm = "HS256"
secret = {{ env = "OTHER_SECRET" }}
use = ["jwt"]
not_after = 2020-01-01T00:00:00Z

[[identity.keys]]
id = "phone"
algorithm = "HS256"
secret = {{ file = "../phone.secret" }}
use = ["jwt", "user_hash", "encrypted_payload"]
platforms = ["ios"]
"#
    );
    setup
        .profile("wire", &wire())
        .with("profile = \"intercom-web\"", "profile = \"wire\"")
        .with("require = \"never\"", &format!("require = \"never\"\nencrypted_payload = \"open\"\n{identity}"))
        .with("use = [\"jwt\", \"user_hash\"]", &keys)
}

const ALL_USES: &str = r#"use = ["jwt", "user_hash", "encrypted_payload"]"#;
const ISSUE: &str = "issuers = [\"us\"]\naudiences = [\"messenger\"]\nrequired_claims = [\"tenant\"]";

/// What is presented in one request: members of `user_data`, and form fields.
#[derive(Default)]
struct Sent {
    data: Vec<(&'static str, Value)>,
    fields: Vec<(&'static str, String)>,
    origin: Option<&'static str>,
}

fn token(token: &Token) -> Sent {
    text(&token.text())
}

fn text(token: &str) -> Sent {
    Sent { data: vec![("intercom_user_jwt", json!(token))], ..Sent::default() }
}

fn hash(hash: &str) -> Sent {
    Sent { data: vec![("user_hash", json!(hash))], ..Sent::default() }
}

fn sealed(sealed: &str) -> Sent {
    Sent { fields: vec![(SEALED, sealed.to_owned())], ..Sent::default() }
}

impl Sent {
    fn and(mut self, name: &'static str, value: &str) -> Self {
        self.fields.push((name, value.to_owned()));
        self
    }

    fn without_user(mut self) -> Self {
        self.data.push(("user_id", Value::Null));
        self
    }
}

/// Claims that ask for nothing more, with these in place of theirs or beside them; `null`: without.
fn claims(changes: &[(&str, &str)]) -> Token {
    let exp = (now() + 600).to_string();
    let mut all = vec![
        ("user_id", r#""user-42""#),
        ("exp", exp.as_str()),
        ("iss", r#""us""#),
        ("aud", r#""messenger""#),
        ("tenant", "1"),
        ("plan", r#""pro""#),
    ];
    for (name, value) in changes {
        all.retain(|(other, _)| other != name);
        if *value != "-" {
            all.push((name, value));
        }
    }
    let members: Vec<String> = all.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    Token::of(&format!("{{{}}}", members.join(",")))
}

/// Sends it, with an unsigned value of a locked attribute beside it, and says what the record says of the proof.
async fn reason(bench: &mut Bench, sent: Sent) -> String {
    let mut data = json!({"user_id": "user-42", "plan": "enterprise", "nickname": "ada"});
    for (name, value) in &sent.data {
        data[name] = value.clone();
        if value.is_null() {
            data.as_object_mut().expect("an object").remove(*name);
        }
    }
    let fields: Vec<(&str, &str)> = sent.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = format!("{}&{}", ping_form(&data.to_string()), form(&fields));
    let mut request = form_request(PING, body);
    if let Some(origin) = sent.origin {
        request.headers_mut().insert("origin", origin.parse().expect("a value"));
    }
    let answer = bench.send(request).await;
    let (record, arrived) = (bench.record(), bench.upstream.received());
    assert_eq!(arrived.len(), usize::from(answer.status == 200), "{record}");
    for received in arrived {
        assert_eq!(received.user_data().get("plan"), None, "{record}");
        assert_eq!(received.user_data()["nickname"], "ada", "{record}");
    }
    record["proof"].as_str().unwrap_or_else(|| panic!("no finding in {record}")).to_owned()
}

#[tokio::test]
async fn every_reason_has_a_request_that_ends_with_it_and_signs_nothing() {
    let seconds = |from_now: i64| (now() + from_now).to_string();
    let milliseconds = format!("{}000", now() + 600);
    let huge = "99999999999999999999";
    let header = |header: &str| token(&claims(&[]).header(header));
    let changed = |name: &str, value: &str| token(&claims(&[(name, value)]));
    let good = claims(&[]).text();
    let settings = r#"{"user_id":"user-42","plan":"pro"}"#;
    let opened = seal(SECRET, settings);
    let mut reached = BTreeSet::new();

    let mut bench = Bench::acme(|setup| strict(setup, ISSUE, ALL_USES)).await;
    for (code, sent) in [
        ("two_tokens", text(&good).and("intercom_user_jwt", &claims(&[("seats", "5")]).text())),
        ("too_large", text(&format!("{good}.{}", "a".repeat(30_000)))),
        ("malformed", text("abc")),
        ("critical_header", header(r#"{"alg":"HS256","crit":["exp"],"exp":1}"#)),
        ("unencoded_payload", header(r#"{"alg":"HS256","b64":false}"#)),
        ("embedded_key", header(r#"{"alg":"HS256","jku":"https://evil.example/"}"#)),
        ("nested", header(r#"{"alg":"HS256","cty":"JWT"}"#)),
        ("wrong_type", header(r#"{"alg":"HS256","typ":"at+jwt"}"#)),
        ("wrong_algorithm", header(r#"{"alg":"none"}"#)),
        ("unknown_key", header(r#"{"alg":"HS256","kid":"nobody"}"#)),
        ("key_not_in_force", header(r#"{"alg":"HS256","kid":"old"}"#)),
        ("key_for_other_platform", token(&claims(&[]).secret(PHONE_SECRET))),
        ("bad_signature", token(&claims(&[]).secret("nobodys-0123456789abcdef0123456789abcdef"))),
        ("exp_not_integer", changed("exp", &format!("\"{}\"", seconds(600)))),
        ("exp_in_milliseconds", changed("exp", &milliseconds)),
        ("exp_out_of_range", changed("exp", huge)),
        ("nbf_not_integer", changed("nbf", "1.5")),
        ("nbf_in_milliseconds", changed("nbf", &milliseconds)),
        ("nbf_out_of_range", changed("nbf", huge)),
        ("iat_not_integer", changed("iat", "null")),
        ("iat_in_milliseconds", changed("iat", &milliseconds)),
        ("iat_out_of_range", changed("iat", huge)),
        ("expiry_missing", changed("exp", "-")),
        ("expired", changed("exp", &seconds(-31))),
        ("not_yet_valid", changed("nbf", &seconds(60))),
        ("lifetime_too_long", changed("exp", &seconds(3 * 3600))),
        ("wrong_issuer", changed("iss", r#""others""#)),
        ("wrong_audience", changed("aud", r#""others""#)),
        ("claim_missing", changed("tenant", "-")),
        ("missing_subject", changed("user_id", "-")),
        ("subject_mismatch", changed("user_id", r#""user-43""#)),
        ("two_hashes", hash(&user_hash("user-42")).and("user_hash", &user_hash("user-43"))),
        ("hash_without_subject", hash(&user_hash("user-42")).without_user()),
        ("hash_two_subjects", hash(&user_hash("user-42")).and("user_id", "user-43")),
        ("hash_key_for_other_platform", hash(&hash_by(PHONE_SECRET, "user-42"))),
        ("bad_hash", hash(&user_hash("user-43"))),
        ("two_sealed", sealed(&opened).and("sealed_too", &seal(SECRET, r#"{"user_id":"user-42","plan":"free"}"#))),
        ("sealed_beside_token", Sent { fields: vec![(SEALED, opened.clone())], ..text(&good) }),
        ("sealed_too_large", sealed(&"A".repeat(SEALED_CHARS_MAX + 4))),
        ("sealed_malformed", sealed("%%%")),
        ("sealed_key_for_other_platform", sealed(&seal(PHONE_SECRET, settings))),
        ("bad_sealed", sealed(&seal("nobodys-0123456789abcdef0123456789abcdef", settings))),
    ] {
        assert_eq!(reason(&mut bench, sent).await, code);
        reached.insert(code);
    }
    assert_eq!(reason(&mut bench, Sent::default()).await, "absent");

    let only_tokens = |setup: Setup| {
        setup
            .with(
                "use = [\"jwt\", \"user_hash\"]",
                "use = [\"jwt\", \"encrypted_payload\"]\nnot_before = 2100-01-01T00:00:00Z",
            )
            .with("require = \"never\"", "require = \"never\"\nencrypted_payload = \"open\"")
    };
    let mut bench = Bench::acme(only_tokens).await;
    for (code, sent) in [("hash_without_key", hash(&user_hash("user-42"))), ("sealed_without_key", sealed(&opened))] {
        assert_eq!(reason(&mut bench, sent).await, code);
        reached.insert(code);
    }

    let gone =
        "[[identity.key_sets]]\nid = \"idp\"\nalgorithms = [\"HSET\"]\nurl = \"https://127.0.0.1:9/\"\n[attributes]";
    let mut bench = Bench::acme(|setup| setup.with("[attributes]", &gone.replace("HSET", "ES256"))).await;
    let theirs = header(r#"{"alg":"ES256","kid":"theirs"}"#);
    assert_eq!(reason(&mut bench, theirs).await, "keys_stale");
    reached.insert("keys_stale");

    let once =
        |setup: Setup| setup.revoking().with("require = \"never\"", "require = \"never\"\nreplay = \"single_use\"");
    let mut bench = Bench::acme(once).await;
    assert_eq!(reason(&mut bench, token(&claims(&[]))).await, "jti_missing");
    let named = |id: &str| Token::saying(&format!(r#""jti":"{id}""#));
    assert_eq!(reason(&mut bench, token(&named("one"))).await, "valid");
    assert_eq!(reason(&mut bench, token(&named("one"))).await, "replayed");
    bench.revoke(r#""jti":"two""#);
    assert_eq!(reason(&mut bench, token(&named("two"))).await, "revoked");
    reached.extend(["jti_missing", "replayed", "revoked"]);

    let bound = |setup: Setup| setup.with("require = \"never\"", "require = \"never\"\nreplay = \"first_origin\"");
    let mut bench = Bench::acme(bound).await;
    let from = |origin| Sent { origin: Some(origin), ..token(&named("one")) };
    assert_eq!(reason(&mut bench, from("https://app.acme.example")).await, "valid");
    assert_eq!(reason(&mut bench, from("https://shop.acme.example")).await, "bound_elsewhere");
    reached.insert("bound_elsewhere");

    assert_eq!(reached, ProofError::all().map(ProofError::code).collect::<BTreeSet<_>>());
}

fn hash_by(secret: &str, subject: &str) -> String {
    use aws_lc_rs::hmac;
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), subject.as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
