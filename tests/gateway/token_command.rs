//! `countersign token` as somebody types it: the real binary, a token on standard input, policies in a directory.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::gateway::{ACME, BINARY};
use crate::support::{NOBODY, SECRET, Setup, Token};

const OTHER_SECRET: &str = "another-secret-0123456789abcdef01234567";
/// When these tests ask; the tokens end ten minutes later.
const AT: &str = "1795000000";
const CLAIMS: &str = r#"{"user_id":"canary-user","exp":1795000600,"plan":"canary-plan"}"#;
const TEN_MINUTES: &str = "for another 10 minutes, until 2026-11-18T11:16:40Z";

/// Workspace `acme` with one key, and `beta` with another.
fn policies() -> Setup {
    let beta =
        ACME.replace("abc12345", "beta5678").replace("TEST_SECRET", "OTHER_SECRET").replace("web-2026", "beta-2026");
    let setup = Setup::acme(NOBODY).workspace("beta", &beta);
    setup.write();
    setup
}

/// Runs a command of `countersign token` and gives `input` to it.
fn token(policies: &Path, arguments: &[&str], input: impl AsRef<[u8]>, secrets: &[(&str, &str)]) -> Output {
    let mut child = Command::new(BINARY)
        .arg("token")
        .args(arguments)
        .arg("--policies")
        .arg(policies)
        .env_remove("TEST_SECRET")
        .env_remove("OTHER_SECRET")
        .envs(secrets.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A command that knows already that it cannot do its work does not read.
    drop(child.stdin.take().expect("piped").write_all(input.as_ref()));
    child.wait_with_output().expect("it ends")
}

const SECRETS: [(&str, &str); 2] = [("TEST_SECRET", SECRET), ("OTHER_SECRET", OTHER_SECRET)];

/// What was told on both outputs. However it ends, it tells no value, no secret, and no part of the token that came, in whatever coding.
#[track_caller]
fn told(output: &Output, code: i32, came: &str) -> String {
    let told = [&*output.stdout, &*output.stderr].concat();
    let told = String::from_utf8(told).expect("text");
    assert_eq!(output.status.code(), Some(code), "{told}");
    for hidden in ["canary", SECRET, OTHER_SECRET, "test-secret", "another-secret"] {
        assert!(!told.contains(hidden), "`{hidden}` in:\n{told}");
    }
    for part in came.split(['.', ' ', '\n']).filter(|part| part.len() > "Bearer".len()) {
        assert!(!told.contains(part), "`{part}` in:\n{told}");
    }
    assert!(!told.contains('\u{1b}'), "colours are for terminals: {told}");
    told
}

#[track_caller]
fn inspect(text: &str, options: &[&str], secrets: &[(&str, &str)], code: i32, sentences: &[&str]) -> String {
    let setup = policies();
    let arguments = [&["inspect", "--at", AT], options].concat();
    let told = told(&token(&setup.policies(), &arguments, text, secrets), code, text);
    for sentence in sentences {
        assert!(told.contains(sentence), "no `{sentence}` in:\n{told}");
    }
    told
}

#[test]
fn a_good_token_is_valid_for_its_workspace_and_for_no_other() {
    let text = Token::of(CLAIMS).text();
    let told = inspect(&text, &[], &SECRETS, 0, &[]);
    let expected = "token   165 bytes, parts: 3
header  alg `HS256`, typ `JWT`
claims  user_id, exp, plan
exp     1795000600, 2026-11-18T11:16:40Z

acme: valid for another 10 minutes, until 2026-11-18T11:16:40Z; key `web-2026-11` signed it
beta: not valid: it was signed by none of `beta-2026-11`; it matches key `web-2026-11` of workspace `acme` (bad_signature)
  but for its signature it would be valid for another 10 minutes, until 2026-11-18T11:16:40Z
";
    assert_eq!(told, expected);
    let only = inspect(&text, &["--workspace", "beta"], &SECRETS, 1, &["beta: not valid", "of workspace `acme`"]);
    assert!(!only.contains("acme: valid"), "{only}");
}

#[test]
fn what_was_copied_along_is_taken_off_and_said() {
    let text = Token::of(CLAIMS).text();
    let without = "without white space around it and `Bearer ` in front of it, which is no part of a token";
    inspect(&format!("  Bearer {text}  \n"), &[], &SECRETS, 0, &["acme: valid", without]);
    let quiet = inspect(&format!("{text}\n"), &[], &SECRETS, 0, &["acme: valid"]);
    assert!(!quiet.contains("without"), "{quiet}");
    // What stands inside is the verifier's to judge.
    let (head, tail) = text.split_at(50);
    let broken =
        "its payload is not base64url: a line break at offset 13; was it pasted from several lines? (malformed)";
    inspect(&format!("{head}\n{tail}"), &[], &SECRETS, 1, &["acme, beta: not valid: ", broken]);
}

#[test]
fn each_failure_says_by_how_much_and_what_was_expected() {
    let with = |members: &str| Token::of(&format!(r#"{{"user_id":"canary-user",{members}}}"#)).text();
    for (text, sentence) in [
        (with(r#""exp":1794988480"#), "it ended 3 hours 12 minutes ago, at 2026-11-18T07:54:40Z (expired)"),
        (
            with(r#""exp":1795000600000"#),
            "its `exp` is 1795000600000, which looks like milliseconds; did you mean 1795000600 (2026-11-18T11:16:40Z)? (exp_in_milliseconds)",
        ),
        (with(r#""exp":"canary""#), "its `exp` is a text: expected whole seconds since 1970, without quotation marks"),
        (with(r#""a":1"#), "it has no `exp`: it must say when it ends (expiry_missing)"),
        (
            with(r#""exp":1795010800"#),
            "it lives for 3 hours from now, 1 hour longer than the `max_lifetime` of 2 hours (lifetime_too_long)",
        ),
        (
            with(r#""exp":1795000600,"nbf":1795000300"#),
            "its `nbf` is 5 minutes ahead, and the leeway is 30 seconds (not_yet_valid)",
        ),
        (Token::of(r#"{"userId":"canary-user","exp":1795000600}"#).text(), "it has `userId`: did you mean `user_id`?"),
        (
            Token::of(CLAIMS).header(r#"{"alg":"HS512"}"#).text(),
            "its header says `HS512`, and key `web-2026-11` is for `HS256` (wrong_algorithm)",
        ),
        (
            Token::of(CLAIMS).header(r#"{"alg":"HS256","kid":"web-2025-11"}"#).text(),
            "its `kid` is `web-2025-11`, and the keys for tokens are `web-2026-11`; it matches key `web-2026-11` of workspace `acme` (unknown_key)",
        ),
    ] {
        inspect(&text, &["--workspace", "acme"], &SECRETS, 1, &[sentence]);
    }
    let told = inspect("canary", &[], &SECRETS, 1, &["acme, beta: not valid: it has one part, expected three"]);
    assert_eq!(told.matches("not valid").count(), 1, "what all say is told once: {told}");
}

#[test]
fn the_user_of_the_request_is_the_tokens_or_another() {
    let text = Token::of(CLAIMS.replace("canary-user", "user-42").as_str()).text();
    inspect(&text, &["--user-id", "user-42"], &SECRETS, 0, &["acme: valid"]);
    let mismatch = "acme: not valid: its `user_id` is not the user id that was given (subject_mismatch)";
    inspect(&text, &["--user-id", "user-43"], &SECRETS, 1, &[mismatch]);
    let letters = "the two are the same but for the case of letters";
    inspect(&text, &["--user-id", "USER-42"], &SECRETS, 1, &[mismatch, letters]);
}

#[test]
fn without_secrets_it_says_all_that_needs_none() {
    let unverified =
        "acme: not known: whether it is signed cannot be said, for key `web-2026-11` could not be had (unverified)";
    let why = "key `web-2026-11`: the environment variable `TEST_SECRET` is not set";
    let would = format!("but for its signature it would be valid {TEN_MINUTES}");
    inspect(&Token::of(CLAIMS).text(), &[], &[], 1, &[unverified, &would, why]);
    let late = "besides, it ended 10 minutes ago, at 2026-11-18T10:56:40Z (`expired`)";
    let text = Token::of(r#"{"user_id":"canary-user","exp":1794999400}"#).text();
    inspect(&text, &[], &[], 1, &[unverified, late, why]);
    inspect("e30.e30.AA", &[], &[], 1, &["not valid: its header has no `alg` (malformed)"]);
    // One of two is enough to say yes.
    inspect(&Token::of(CLAIMS).text(), &[], &SECRETS[..1], 0, &["acme: valid", "beta: not known"]);
    let beta = Token::of(CLAIMS).secret(OTHER_SECRET).text();
    inspect(&beta, &["--workspace", "acme"], &SECRETS[1..], 1, &["it matches key `beta-2026-11` of workspace `beta`"]);
}

#[test]
fn two_workspaces_that_share_a_key_are_told_so() {
    let shared = [("TEST_SECRET", SECRET), ("OTHER_SECRET", SECRET)];
    let hint = "`acme`, `beta` share a key: a token for one is good in the others too";
    inspect(&Token::of(CLAIMS).text(), &[], &shared, 0, &[hint]);
}

#[test]
fn for_programs_it_is_one_object() {
    let header = r#"{"alg":"HS256","kid":"web-2026-11","jku":"canary"}"#;
    let json = |text: &str, code| -> Value { inspect(text, &["--json"], &SECRETS, code, &[]).parse().expect("JSON") };
    let refused = json(&Token::of(CLAIMS).header(header).text(), 1);
    assert_eq!(refused["valid"], false);
    assert_eq!(refused["token"]["header"], serde_json::json!({"alg": "HS256", "kid": "web-2026-11"}));
    assert_eq!(refused["token"]["header_others"], serde_json::json!(["jku"]));
    assert_eq!(refused["workspaces"][0]["verdict"], "embedded_key");
    let valid = json(&format!("Bearer {}", Token::of(CLAIMS).text()), 0);
    assert_eq!((&valid["valid"], &valid["at"]), (&true.into(), &1_795_000_000_i64.into()));
    assert_eq!(valid["token"]["claims"], serde_json::json!(["user_id", "exp", "plan"]));
    assert_eq!(valid["taken_off"], serde_json::json!(["`Bearer ` in front of it"]));
    let of_acme = &valid["workspaces"][0];
    assert_eq!((&of_acme["verdict"], &of_acme["key"]), (&"valid".into(), &"web-2026-11".into()));
    assert_eq!(valid["workspaces"][1]["verdict"], "bad_signature");
}

#[track_caller]
fn check_broken(policies: &Path, options: &[&str], input: &[u8], words: &str) {
    let arguments = [&["inspect"], options].concat();
    let told = told(&token(policies, &arguments, input, &SECRETS), 2, "");
    assert!(told.contains(words), "no `{words}` in:\n{told}");
}

#[test]
fn broken_input_is_no_verdict() {
    let setup = policies();
    let policies = setup.policies();
    check_broken(&policies, &[], b"", "nothing on standard input: expected a token");
    check_broken(&policies, &[], b" \n", "nothing on standard input: expected a token");
    check_broken(&policies, &[], b"\xff", "standard input is not text: expected a token");
    check_broken(&policies, &[], &vec![b'.'; 65_537], "more than 65536 bytes on standard input: expected a token");
    let unknown = "there is no workspace `acem`: the workspaces are `acme`, `beta`";
    check_broken(&policies, &["--workspace", "acem"], b"e30.e30.AA", unknown);
    check_broken(&policies.join("nowhere"), &[], b"e30.e30.AA", "nowhere");
    // A token is no argument, where others can read it.
    check_broken(&policies, &["e30.e30.AA"], b"", "unexpected argument");
    // As long as may be read, and judged.
    let longest = token(&policies, &["inspect"], vec![b'.'; 65_536], &SECRETS);
    assert!(told(&longest, 1, "").contains("more than the 4096 of `token_bytes_max`"));
    std::fs::write(policies.join("workspaces/broken.toml"), "profile = \"canary\"\n").expect("written");
    let output = token(&policies, &["inspect"], "e30.e30.AA", &SECRETS);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("broken.toml"));
}

/// Mints, and gives standard output.
#[track_caller]
fn mint(setup: &Setup, options: &[&str], claims: &str, code: i32, words: &str) -> String {
    let arguments = [&["mint", "--at", AT], options].concat();
    let output = token(&setup.policies(), &arguments, claims, &SECRETS);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert!(errors.contains(words), "no `{words}` in:\n{errors}");
    assert!(words.is_empty() == errors.is_empty(), "{errors}");
    for hidden in ["canary", "test-secret", "another-secret"] {
        assert!(!errors.contains(hidden), "`{hidden}` in:\n{errors}");
    }
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

#[test]
fn what_is_minted_is_signed_and_says_when_it_ends() {
    let setup = policies();
    let acme = &["--workspace", "acme"];
    let minted = mint(&setup, acme, r#"{"user_id":"canary-user","plan":"canary"}"#, 0, "");
    let same = r#"{"user_id":"canary-user","plan":"canary","iat":1795000000,"exp":1795003600}"#;
    assert_eq!(minted, Token::of(same).text());
    inspect(&minted, &[], &SECRETS, 0, &["acme: valid for another 1 hour, until 2026-11-18T12:06:40Z"]);
    let short = mint(&setup, &["--workspace", "acme", "--lifetime", "90s"], r#"{"user_id":"canary-user"}"#, 0, "");
    inspect(&short, &[], &SECRETS, 0, &["acme: valid for another 1 minute 30 seconds"]);
    let own = r#"{"user_id":"canary-user","exp":1795000600,"iat":1795000000}"#;
    assert_eq!(mint(&setup, acme, own, 0, ""), Token::of(own).text(), "what the claims say stays");
    let by_beta = &["--workspace", "beta", "--key", "beta-2026-11"];
    assert_eq!(mint(&setup, by_beta, own, 0, ""), Token::of(own).secret(OTHER_SECRET).text());
}

#[test]
fn a_token_that_the_gateway_will_not_take_is_minted_and_told() {
    let setup = policies();
    let claims = r#"{"plan":"canary","exp":1794999400}"#;
    let words = "workspace `acme` will not take it: it ended 10 minutes ago, at 2026-11-18T10:56:40Z (expired)";
    let minted = mint(&setup, &["--workspace", "acme"], claims, 0, words);
    inspect(&minted, &[], &SECRETS, 1, &["(expired)"]);
}

#[test]
fn what_cannot_be_minted_says_why() {
    let setup = policies();
    let acme = &["--workspace", "acme"];
    let refused = |options: &[&str], claims: &str, words: &str| assert_eq!(mint(&setup, options, claims, 2, words), "");
    refused(acme, "[]", "the text of the claims is a list, expected a JSON object");
    refused(
        acme,
        r#"{"plan":"canary",}"#,
        "the text of the claims cannot be read: the text is no JSON, line 1, column 18",
    );
    refused(acme, "", "nothing on standard input: expected claims, a JSON object");
    refused(&["--workspace", "acem"], "{}", "there is no workspace `acem`");
    let unknown = "the workspace has no key `web-2025`: its keys are `web-2026-11`";
    refused(&["--workspace", "acme", "--key", "web-2025"], "{}", unknown);
    refused(&[], "{}", "--workspace");
    refused(&["--workspace", "acme", "--lifetime", "1 hour"], "{}", "expected a duration");
    let output = token(&setup.policies(), &["mint", "--workspace", "acme"], "{}", &[]);
    let missing = "workspace `acme`, key `web-2026-11`: the environment variable `TEST_SECRET` is not set";
    assert!(told(&output, 2, "").contains(missing));
    let weak = token(&setup.policies(), &["mint", "--workspace", "acme"], "{}", &[("TEST_SECRET", "canary")]);
    assert!(told(&weak, 2, "").contains("key `web-2026-11`: expected a secret of at least 32 bytes for tokens"));
}

#[test]
fn a_key_for_hashes_alone_signs_no_token() {
    let setup = policies();
    let hashes = ACME.replace(r#"use = ["jwt", "user_hash"]"#, r#"use = ["user_hash"]"#);
    let setup = setup.workspace("acme", &hashes);
    setup.write();
    let no_key = "no key of the workspace both verifies tokens (`use = [\"jwt\"]`) and can sign them";
    mint(&setup, &["--workspace", "acme"], "{}", 2, no_key);
    let not_for_tokens = "key `web-2026-11` verifies neither tokens nor tickets: its `use` has no `jwt`";
    mint(&setup, &["--workspace", "acme", "--key", "web-2026-11"], "{}", 2, not_for_tokens);
}

#[test]
fn the_help_ends_with_an_example() {
    for (command, example) in [
        ("inspect", "countersign token inspect --workspace acme --user-id user-42 < token.txt"),
        ("mint", "| countersign token mint --workspace acme"),
    ] {
        let output = Command::new(BINARY).args(["token", command, "--help"]).output().expect("the binary starts");
        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        let (_, after) = help.split_once("Example:\n").expect("an example");
        assert!(after.contains(example), "{after}");
    }
}
