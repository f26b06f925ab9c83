//! Keys for some platforms only: what a client says of its own can narrow which of them count, and never widen it.

use std::process::Command;

use aws_lc_rs::hmac;
use http::Request;
use serde_json::json;

use crate::support::client::form_request;
use crate::support::gateway::{BINARY, write_whole};
use crate::support::{Bench, NOBODY, SECRET, Setup, Token, form};

const PING: &str = "/messenger/web/ping";
const IOS_SECRET: &str = "another-secret-0123456789abcdef01234567";

/// The shipped profile, and the line by which it is always the web.
const WEB: &str = include_str!("../../policies/profiles/intercom-web.toml");
const ALWAYS: &str = "platform     = \"web\" ";

/// The key of all tests is for the web; another is for iOS.
fn keys(setup: Setup) -> Setup {
    let ios = "[[identity.keys]]\nid = \"ios-1\"\nalgorithm = \"HS256\"\nsecret = { env = \"OTHER_SECRET\" }\nuse = [\"jwt\", \"user_hash\"]\nplatforms = [\"ios\"]\n[attributes]";
    let uses = "use = [\"jwt\", \"user_hash\"]";
    setup.with(uses, &format!("{uses}\nplatforms = [\"web\"]")).with("[attributes]", ios)
}

/// A messenger whose requests say their platform.
fn saying(setup: Setup) -> Setup {
    let said =
        "platform_at = [\"field:platform\"]\nplatform_words = { web = \"web\", mobile_web = \"web\", ios = \"ios\" } ";
    assert!(WEB.contains(ALWAYS), "the profile's own line");
    setup.write();
    std::fs::create_dir_all(setup.policies().join("profiles")).expect("made");
    write_whole(&setup.policies().join("profiles/apps.toml"), &WEB.replace(ALWAYS, said));
    keys(setup).with("intercom-web", "apps")
}

fn token(secret: &str, kid: Option<&str>) -> String {
    let token = Token::saying(r#""plan":"pro""#).secret(secret);
    match kid {
        Some(kid) => token.header(&format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#)).text(),
        None => token.text(),
    }
}

/// A request that says `platforms`, with what proves its user.
fn ping(platforms: &[&str], proof: &str, value: &str) -> Request<String> {
    let user_data = json!({"user_id": "user-42", "plan": "free", proof: value}).to_string();
    let mut fields = vec![("app_id", "abc12345"), ("user_data", user_data.as_str())];
    fields.extend(platforms.iter().map(|platform| ("platform", *platform)));
    form_request(PING, form(&fields))
}

/// The request goes on; its token counts or does not, and the record says why.
async fn check(bench: &mut Bench, platforms: &[&str], token: &str, verdict: &str) {
    let received = bench.passes(ping(platforms, "intercom_user_jwt", token)).await;
    let expected = if verdict == "valid" { json!("pro") } else { json!(null) };
    let plan = received.user_data().get("plan").cloned().unwrap_or_default();
    let record = bench.record();
    assert_eq!((&record["proof"], plan), (&json!(verdict), expected), "{platforms:?}");
    // Whose it is stands in the record also where it does not count.
    assert_eq!(record["key"].is_string(), verdict != "bad_signature", "{record}");
}

#[tokio::test]
async fn a_request_s_own_word_narrows_which_keys_count() {
    let mut bench = Bench::acme(saying).await;
    let other = "key_for_other_platform";
    for (platforms, web, ios) in [
        (&["web"][..], "valid", other),
        (&["mobile_web"], "valid", other),
        (&["ios"], other, "valid"),
        (&[], other, other),
        (&[""], other, other),
        (&["IOS"], other, other),
        (&["ios "], other, other),
        (&["android"], other, other),
        (&["undefined"], other, other),
    ] {
        for (secret, kid, verdict) in [(SECRET, "web-2026-11", web), (IOS_SECRET, "ios-1", ios)] {
            check(&mut bench, platforms, &token(secret, None), verdict).await;
            check(&mut bench, platforms, &token(secret, Some(kid)), verdict).await;
        }
    }
    // A stranger who names a key is a stranger.
    check(&mut bench, &["web"], &token("a-strangers-secret-0123456789abcdef01", Some("ios-1")), "bad_signature").await;
    check(&mut bench, &["web"], &token(SECRET, Some("ios-1")), "bad_signature").await;
    // Said twice is a request that two servers read differently, like any other place.
    let twice = ping(&["web", "ios"], "intercom_user_jwt", &token(IOS_SECRET, None));
    assert_eq!(bench.refused(twice, 400).await, "place_twice");
    // So is one that says it under a name that some frameworks read as the same.
    let user_data = json!({"user_id": "user-42", "intercom_user_jwt": token(IOS_SECRET, None)}).to_string();
    for name in ["platform[]", "Platform", " platform"] {
        let fields = [("app_id", "abc12345"), ("user_data", &*user_data), ("platform", "web"), (name, "ios")];
        assert_eq!(bench.refused(form_request(PING, form(&fields)), 400).await, "disguised_field", "{name}");
    }
}

#[tokio::test]
async fn on_a_wire_of_web_pages_a_key_for_another_platform_counts_for_nobody() {
    let mut bench = Bench::acme(keys).await;
    for platforms in [&["web"][..], &["ios"], &["android"], &[], &["ios", "web"]] {
        check(&mut bench, platforms, &token(SECRET, None), "valid").await;
        check(&mut bench, platforms, &token(IOS_SECRET, None), "key_for_other_platform").await;
        check(&mut bench, platforms, &token(IOS_SECRET, Some("ios-1")), "key_for_other_platform").await;
    }
}

#[tokio::test]
async fn hashes_and_enforced_identity_know_platforms_too() {
    let mut bench = Bench::acme(|setup| saying(setup).with("require = \"never\"", "require = \"identified\"")).await;
    let hash = |secret: &str| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hmac::sign(&key, b"user-42").as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    bench.passes(ping(&["ios"], "user_hash", &hash(IOS_SECRET))).await;
    bench.passes(ping(&["web"], "user_hash", &hash(SECRET))).await;
    for (platforms, secret) in [(&["web"][..], IOS_SECRET), (&["ios"], SECRET), (&[], SECRET)] {
        let code = bench.refused(ping(platforms, "user_hash", &hash(secret)), 403).await;
        assert_eq!(code, "hash_key_for_other_platform", "{platforms:?}");
        let code = bench.refused(ping(platforms, "intercom_user_jwt", &token(secret, None)), 403).await;
        assert_eq!(code, "key_for_other_platform", "{platforms:?}");
    }
}

#[test]
fn cases_say_a_platform_by_the_request_itself() {
    const CASES: &str = r#"
[defaults]
path   = "/messenger/web/ping"
origin = "https://app.acme.example"

[[cases]]
name   = "a page"
form   = { platform = "mobile_web" }
update = { user_id = "user-42", plan = "free" }
signed = { user_id = "user-42", plan = "pro" }
expect = { proof = "valid", verdicts = { plan = "overridden" } }

[[cases]]
name      = "an application"
form      = { platform = "ios" }
update    = { user_id = "user-42" }
signed    = { user_id = "user-42" }
signed_by = "ios-1"
expect    = { proof = "valid" }

[[cases]]
name      = "the key of an application on a page"
form      = { platform = "web" }
update    = { user_id = "user-42", plan = "pro" }
signed    = { user_id = "user-42", plan = "pro" }
signed_by = "ios-1"
expect    = { proof = "key_for_other_platform", verdicts = { plan = "locked" } }

[[cases]]
name   = "nobody says where it comes from"
update = { user_id = "user-42", plan = "pro" }
signed = { user_id = "user-42", plan = "pro" }
expect = { proof = "key_for_other_platform", verdicts = { plan = "locked" } }
"#;
    let setup = saying(Setup::acme(NOBODY));
    setup.write();
    write_whole(&setup.policies().join("workspaces/acme.cases.toml"), CASES);
    let output = Command::new(BINARY).arg("test").arg(setup.policies()).output().expect("the binary starts");
    let told = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    assert!(output.status.success() && told.contains("4 ok, 0 failed"), "{told}");
}

#[test]
fn a_case_is_signed_by_a_key_that_may_count() {
    let android_first = keys(Setup::acme(NOBODY)).with("platforms = [\"web\"]", "platforms = [\"android\"]");
    let setup = android_first.with("platforms = [\"ios\"]", "platforms = [\"ios\", \"web\"]");
    setup.write();
    let cases = "[[cases]]\nname = \"a page\"\npath = \"/messenger/web/ping\"\norigin = \"https://app.acme.example\"\nupdate = { user_id = \"user-42\" }\nsigned = { user_id = \"user-42\" }\nexpect = { proof = \"valid\" }\n";
    write_whole(&setup.policies().join("workspaces/acme.cases.toml"), cases);
    let run =
        |command: &str| Command::new(BINARY).arg(command).arg(setup.policies()).output().expect("the binary starts");
    let told = String::from_utf8(run("test").stdout).expect("text");
    assert!(told.contains("1 ok, 0 failed"), "{told}");
    let told = String::from_utf8(run("check").stdout).expect("text");
    assert!(
        told.contains("key `web-2026-11`: its `platforms` never occur: requests of profile `intercom-web` tell `web`"),
        "{told}"
    );
}
