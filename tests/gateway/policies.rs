//! The policies that we ship, and what `check` and `test` say of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::gateway::{BINARY, write_whole};

/// Without a secret in the environment, as on a machine that builds.
fn run(command: &str, directory: &Path, options: &[&str]) -> Output {
    Command::new(BINARY)
        .arg(command)
        .arg(directory)
        .args(options)
        .env_remove("ACME_MESSENGER_SECRET")
        .output()
        .expect("the binary starts")
}

#[track_caller]
fn check(output: &Output, code: i32, words: &[&str]) -> String {
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}{errors}");
    for word in words {
        assert!(told.contains(word), "no `{word}` in:\n{told}{errors}");
    }
    assert!(!told.contains('\u{1b}'), "colours are for terminals: {told}");
    told
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

/// A copy of `policies/` whose `acme.cases.toml` has `instead` in place of `line`.
fn with(line: &str, instead: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("workspaces")).expect("made");
    for file in ["gateway.toml", "workspaces/acme.toml", "workspaces/acme.cases.toml"] {
        let text = fs::read_to_string(shipped().join(file)).expect("read");
        let text = if file.ends_with(".cases.toml") {
            assert!(text.contains(line), "{line}");
            text.replacen(line, instead, 1)
        } else {
            text
        };
        fs::write(directory.path().join(file), text).expect("written");
    }
    directory
}

#[test]
fn every_policy_that_we_ship_is_good_and_its_cases_hold() {
    let examples = fs::read_dir(shipped().join("examples")).expect("a folder");
    let examples: Vec<PathBuf> = examples.map(|entry| entry.expect("an entry").path()).collect();
    assert!(examples.len() >= 2);
    for directory in [shipped()].iter().chain(&examples) {
        // A list of addresses is for whoever uses it to verify: that stays a warning until they have.
        if directory.ends_with("webhooks") {
            let told = check(&run("check", directory, &["--strict"]), 1, &["list `intercom-eu` was verified"]);
            assert_eq!(told.matches("warning: ").count(), 1, "{told}");
        } else {
            check(&run("check", directory, &["--strict"]), 0, &[]);
        }
        let told = check(&run("test", directory, &[]), 0, &["0 failed"]);
        assert!(!told.contains("warning") && !told.lines().any(|line| line.starts_with("0 ok")), "{told}");
    }
}

#[test]
fn a_case_that_does_not_hold_names_what_was_expected_and_what_was_found() {
    let wrong = with(
        r#"goes_on = { user_id = "user-42", nickname = "bob" }, verdicts = { plan = "locked""#,
        r#"goes_on = { user_id = "user-42", plan = "enterprise" }, verdicts = { plan = "open""#,
    );
    let told = check(
        &run("test", wrong.path(), &[]),
        1,
        &[
            "FAILED  an unsigned plan is left out",
            "acme.cases.toml:10",
            r#"expected  {"user_id":"user-42","plan":"enterprise"}"#,
            r#"found     {"user_id":"user-42","nickname":"bob"}"#,
            "verdicts.plan",
            "expected  open",
            "found     locked",
            "1 failed",
        ],
    );
    assert!(told.contains("ok      a signed plan goes on"), "the others still hold: {told}");
    let json: serde_json::Value =
        String::from_utf8_lossy(&run("test", wrong.path(), &["--json"]).stdout).parse().expect("one JSON value");
    assert_eq!(json["failed"], 1);
    let first = &json["workspaces"][0]["cases"][0];
    assert_eq!(first["differences"][0]["what"], "verdicts.plan");
    assert_eq!(first["found"]["outcome"], "sent");
}

#[test]
fn a_refusal_where_none_was_expected_and_none_where_one_was() {
    let wrong = with(r#"expect = { refused = "origin_missing" }"#, r#"expect = { status = "sent" }"#);
    check(&run("test", wrong.path(), &[]), 1, &["expected  sent", "found     refused: origin_missing (403)"]);
    let wrong = with(r#"expect = { status = "sent" }"#, r#"expect = { refused = "origin_untrusted" }"#);
    check(&run("test", wrong.path(), &[]), 1, &["expected  origin_untrusted", "found     sent"]);
}

#[test]
fn what_a_browser_says_is_rehearsed_and_only_recorded_where_it_is_observed() {
    let observed = with("", "");
    let file = observed.path().join("workspaces/acme.toml");
    let text = fs::read_to_string(&file).expect("a file");
    write_whole(&file, &text.replacen("missing_origin", "fetch_metadata = \"observe\"\nmissing_origin", 1));
    let told = check(&run("test", observed.path(), &[]), 1, &["found     sent", "1 failed"]);
    assert!(told.contains("FAILED  a form of a page is no call of its script"), "{told}");
    let cases = observed.path().join("workspaces/acme.cases.toml");
    let text = fs::read_to_string(&cases).expect("a file");
    let expected = r#"expect  = { refused = "fetch_mode" }"#;
    write_whole(&cases, &text.replace(expected, r#"expect  = { status = "sent", would_refuse = "fetch_mode" }"#));
    check(&run("test", observed.path(), &[]), 0, &["0 failed"]);
}

#[test]
fn the_last_digit_counts() {
    let goes_on = r#"goes_on = { user_id = "user-42", seats = 9007199254740993 }"#;
    let wrong = with(goes_on, &goes_on.replace("993", "992"));
    check(&run("test", wrong.path(), &[]), 1, &["9007199254740992", "9007199254740993", "1 failed"]);
}

#[test]
fn a_case_says_nothing_of_this_workspace_when_another_answers() {
    let two = with("[defaults]", "[defaults]");
    let acme = fs::read_to_string(two.path().join("workspaces/acme.toml")).expect("read");
    fs::write(two.path().join("workspaces/other.toml"), acme.replace("abc12345", "zzz99999")).expect("written");
    check(
        &run("test", two.path(), &[]),
        1,
        &[
            "workspace\n            expected  acme\n            found     other",
            "warning: workspace `other` has no cases",
        ],
    );
}

#[test]
fn broken_case_files_are_told_with_their_place_by_both_commands() {
    for (line, instead, words) in [
        ("signed = {", "singed = {", ["unknown key `cases[0].singed`", "did you mean `signed`?"]),
        ("[defaults]", "[defaults", ["acme.cases.toml:4", "error"]),
    ] {
        let broken = with(line, instead);
        for command in ["check", "test"] {
            check(&run(command, broken.path(), &[]), 2, &words);
        }
    }
    let orphan = with("[defaults]", "[defaults]");
    let workspaces = orphan.path().join("workspaces");
    fs::rename(workspaces.join("acme.cases.toml"), workspaces.join("acem.cases.toml")).expect("renamed");
    check(&run("test", orphan.path(), &[]), 2, &["there is no workspace `acem`"]);
}

#[test]
fn a_case_that_cannot_be_signed_does_not_hold() {
    let wrong = with(r#"signed_by = "nobody""#, r#"signed_by = "web-2025-11""#);
    check(&run("test", wrong.path(), &[]), 1, &["the workspace has no key `web-2025-11`"]);
}

#[test]
fn a_token_is_rehearsed_where_the_workspace_has_it_also_under_a_name_that_others_may_not_use() {
    let example = shipped().join("examples/chatwoot");
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("workspaces")).expect("made");
    for file in ["gateway.toml", "workspaces/shop.toml", "workspaces/shop.cases.toml"] {
        let text = fs::read_to_string(example.join(file)).expect("read").replace("x-shop-token", "x_shop_token");
        fs::write(directory.path().join(file), text).expect("written");
    }
    check(&run("test", directory.path(), &[]), 0, &["ok      what the token signs is written in", "0 failed"]);
}

#[test]
fn tickets_and_sessions_are_rehearsed() {
    let cases = r#"
[[cases]]
name = "a ticket lets answer what it names"
path = "/messenger/web/conversations/7/form"
ticket = { attributes = ["phone"] }
form = { form_params = { identifier = "phone", value = "123", conversation_part_id = "9" } }
expect = { verdicts = { phone = "lead" }, form = { form_params = { identifier = "phone", value = "123", conversation_part_id = "9" } } }

[[cases]]
name = "not in a user's session"
session_role = "user"
path = "/messenger/web/conversations/7/form"
ticket = { attributes = ["phone"] }
form = { form_params = { identifier = "phone", value = "123", conversation_part_id = "9" } }
expect = { refused = "nothing_left" }

[[cases]]
name = "nor an hour later"
path = "/messenger/web/conversations/7/form"
ticket = { attributes = ["phone"], exp = 1794996400 }
form = { form_params = { identifier = "phone", value = "123", conversation_part_id = "9" } }
expect = { refused = "nothing_left" }

# ---- Locks ----"#;
    let directory = with("# ---- Locks ----", cases);
    let workspace = directory.path().join("workspaces/acme.toml");
    let text = fs::read_to_string(&workspace).expect("read");
    let key = "[[identity.keys]]\nid = \"bot\"\nalgorithm = \"HS256\"\nsecret = { env = \"BOT_SECRET\" }\nuse = [\"collector_ticket\"]\n\n[attributes]";
    let text =
        text.replace("[identity]\n", "[identity]\nticket_at = [\"field:ticket\"]\n").replace("[attributes]", key);
    fs::write(&workspace, text).expect("written");
    check(&run("check", directory.path(), &["--strict"]), 0, &[]);
    check(&run("test", directory.path(), &[]), 0, &["ok      a ticket lets answer what it names", "0 failed"]);
    // Without a place for it no ticket can be tried.
    let directory = with("# ---- Locks ----", cases);
    check(&run("test", directory.path(), &[]), 1, &["no key of the workspace is for that"]);
}

#[test]
fn exchanged_sessions_are_rehearsed() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("workspaces")).expect("made");
    let example = fs::read_to_string(shipped().join("examples/chatwoot/gateway.toml")).expect("read");
    fs::write(directory.path().join("gateway.toml"), example).expect("written");
    let workspace = r#"
profile = "libredesk"
app_ids = ["inbox-1"]
upstream = "chatwoot"
mode = "enforce"
trusted_domains = ["https://shop.example"]
missing_origin = "refuse"
[identity]
require = "never"
max_lifetime = "2h"
[[identity.keys]]
id = "web"
algorithm = "HS256"
secret = { env = "DESK_SECRET" }
use = ["jwt"]
[attributes]
plan = { lock = "enforce" }
"#;
    fs::write(directory.path().join("workspaces/desk.toml"), workspace).expect("written");
    let cases = r#"
[defaults]
path = "/api/v1/widget/chat/conversations/init"
origin = "https://gateway.example"
[[cases]]
name = "a session stands for the token that it was given for"
exchanged = { external_user_id = "user-42", contact_custom_attributes = { plan = "pro" } }
body = { message = "hello", form_data = { plan = "free" } }
expect = { proof = "exchanged", verdicts = { plan = "overridden" }, goes_on = { plan = "pro" } }
[[cases]]
name = "nobody's session for nothing"
body = { message = "hello", form_data = { plan = "free" } }
expect = { proof = "absent", verdicts = { plan = "locked" } }
"#;
    fs::write(directory.path().join("workspaces/desk.cases.toml"), cases).expect("written");
    check(&run("test", directory.path(), &[]), 0, &["2 ok, 0 failed"]);
    let expired = cases.replace("external_user_id =", "exp = 1, external_user_id =");
    fs::write(directory.path().join("workspaces/desk.cases.toml"), expired).expect("written");
    check(&run("test", directory.path(), &[]), 1, &["does not hold, and no session is given for it"]);
}
