//! `countersign revoke`: takes proofs back in the process that runs on this machine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use super::Failure;
use super::admin_client::{AdminClient, AdminClientError, gateway};
use super::token::read_input;
use crate::clock;
use crate::identity::claimed_token_id;
use crate::policy::parse_duration;

#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  countersign revoke --workspace acme --subject user-42 --reason 'laptop stolen'\n  countersign revoke --workspace acme --key web-2026-11 --forever\n  countersign revoke --workspace acme --issued-before now\n  countersign revoke --workspace acme --token - < token.txt\n  countersign revoke list\n\nIt counts within a second, on connections that are open too. Exit code 0: done; 1: `undo` found no such revocation; 2: it could not be done."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Revoke>,
    #[command(flatten)]
    make: Make,
}

#[derive(Subcommand)]
enum Revoke {
    /// Show the revocations in force. Whom they are about is not kept, and not shown.
    #[command(after_help = "Example:\n  countersign revoke list --json")]
    List(Whom),
    /// End a revocation.
    #[command(after_help = "Example:\n  countersign revoke undo 01939b1e-6f3a-7c54-9f6e-2f6a0d0c9a11")]
    Undo {
        /// As `list` shows it.
        id: String,
        #[command(flatten)]
        whom: Whom,
    },
}

/// The process to ask.
#[derive(Args)]
struct Whom {
    /// The directory whose `gateway.toml` names the admin listener and its token.
    #[arg(long, env = "COUNTERSIGN_POLICIES", default_value = "policies")]
    policies: PathBuf,
    /// Another address of the admin listener, on this machine.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// For programs: one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Make {
    /// The workspace whose proofs are taken back.
    #[arg(long, value_name = "ID", required = true)]
    workspace: Option<String>,
    /// Tokens of this `jti`; `-` reads it from standard input.
    #[arg(long, value_name = "ID")]
    jti: Option<String>,
    /// All proofs of this user, or beside `--issued-before` the tokens; `-` reads the id from standard input.
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// All that this key made, by its id in the policy.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Tokens with an `iat` before this, or with none: `now`, Unix seconds, or a time such as 2026-11-27T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    issued_before: Option<i64>,
    /// This very token, by its `jti`; it comes on standard input, so only `-` is taken.
    #[arg(long, value_name = "-")]
    token: Option<String>,
    /// How long it counts, such as `7d`; 30 days by default. No shorter than the tokens live that it is about.
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration, conflicts_with = "forever")]
    period: Option<Duration>,
    /// Until it is undone.
    #[arg(long)]
    forever: bool,
    /// Why, on one line; shown by `list`. No place for a user's data.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    whom: Whom,
}

/// Why there is nothing to ask for.
#[derive(Debug, thiserror::Error)]
enum RevokeCommandError {
    #[error(
        "expected one of `--jti`, `--subject`, `--key`, `--issued-before` and `--token`; `--subject` may stand beside `--issued-before`"
    )]
    Kind,
    #[error("expected `--token -`: a token in an argument stands in the list of processes and in the shell's history")]
    TokenArgument,
    #[error(
        "the token has no `jti` by which it could be taken back: use `--subject`, or `--subject` with `--issued-before now`"
    )]
    NoTokenId,
}

/// `undo` found nothing.
const NOT_THERE: u8 = 1;

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        None => make(&arguments.make),
        Some(Revoke::List(whom)) => list(whom),
        Some(Revoke::Undo { id, whom }) => undo(id, whom),
    }
}

fn make(arguments: &Make) -> Result<ExitCode, Failure> {
    let Make { workspace, jti, subject, key, issued_before, token, period, forever, reason, whom } = arguments;
    let named = [jti.is_some(), key.is_some(), issued_before.is_some(), token.is_some()];
    let named = named.into_iter().filter(|is_named| *is_named).count();
    let is_one = if subject.is_some() { named == 0 || (named == 1 && issued_before.is_some()) } else { named == 1 };
    if !is_one {
        return Err(RevokeCommandError::Kind.into());
    }
    let gateway = gateway(&whom.policies)?;
    let client = AdminClient::writing(whom.admin, gateway.admin.as_ref())?;
    let mut asked = Map::new();
    asked.insert("workspace".into(), json!(workspace));
    if let Some(token) = token {
        if token != "-" {
            return Err(RevokeCommandError::TokenArgument.into());
        }
        let text = read_input("a token")?;
        let id = claimed_token_id(text.trim(), &gateway.limits).ok_or(RevokeCommandError::NoTokenId)?;
        asked.insert("jti".into(), json!(id));
    }
    for (name, given) in [("jti", jti), ("subject", subject)] {
        if let Some(given) = given {
            asked.insert(name.into(), json!(text_or_input(given)?));
        }
    }
    if let Some(key) = key {
        asked.insert("key".into(), json!(key));
    }
    if let Some(before) = issued_before {
        asked.insert("issued_before".into(), json!(before));
    }
    if let Some(period) = period {
        asked.insert("for_seconds".into(), json!(period.as_secs()));
    }
    asked.insert("forever".into(), json!(forever));
    asked.insert("reason".into(), json!(reason));
    let made = client.hope(Method::POST, "/revocations", Some(&Value::Object(asked)))?;
    show(whom, &made, || format!("revoked: {}", line(&made)));
    if let Some(note) = made.get("note").and_then(Value::as_str) {
        anstream::eprintln!("{note}");
    }
    Ok(ExitCode::SUCCESS)
}

fn list(whom: &Whom) -> Result<ExitCode, Failure> {
    let client = AdminClient::writing(whom.admin, gateway(&whom.policies)?.admin.as_ref())?;
    let answer = client.hope(Method::GET, "/revocations", None)?;
    show(whom, &answer, || {
        let revocations = answer.get("revocations").and_then(Value::as_array);
        let lines: Vec<String> = revocations.into_iter().flatten().map(line).collect();
        if lines.is_empty() { "nothing is revoked".to_owned() } else { lines.join("\n") }
    });
    Ok(ExitCode::SUCCESS)
}

fn undo(id: &str, whom: &Whom) -> Result<ExitCode, Failure> {
    let client = AdminClient::writing(whom.admin, gateway(&whom.policies)?.admin.as_ref())?;
    let not_there = || Failure { code: NOT_THERE, told: "there is no revocation of this id".to_owned() };
    // Whatever else it is, it is no path.
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        return Err(not_there());
    }
    let ended = match client.hope(Method::DELETE, &format!("/revocations/{id}"), None) {
        Err(AdminClientError::NotThere) => return Err(not_there()),
        ended => ended?,
    };
    show(whom, &ended, || format!("undone: {}", line(&ended)));
    Ok(ExitCode::SUCCESS)
}

fn show(whom: &Whom, answer: &Value, words: impl FnOnce() -> String) {
    if whom.json {
        anstream::println!("{answer:#}");
    } else {
        anstream::println!("{}", words());
    }
}

/// A revocation on one line.
fn line(revocation: &Value) -> String {
    let member = |name: &str| revocation.get(name).unwrap_or(&Value::Null);
    let text = |name: &str| member(name).as_str().unwrap_or_default();
    let what = match text("kind") {
        "key" => format!("key `{}`", text("key")),
        "issued_before" => {
            let of = if member("of_subject") == true { "one user's tokens" } else { "tokens" };
            format!("{of} issued before {}", time(member("issued_before")))
        }
        "subject" => "one user".to_owned(),
        kind => format!("one {kind}"),
    };
    let until =
        if member("until").is_null() { "for ever".to_owned() } else { format!("until {}", time(member("until"))) };
    let reason = if text("reason").is_empty() { String::new() } else { format!("  {}", text("reason")) };
    format!("{}  {}  {what}  {until}{reason}", text("id"), text("workspace"))
}

fn time(seconds: &Value) -> String {
    let time = seconds.as_i64().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| seconds.to_string(), |time| time.to_string())
}

/// What an argument says, or what comes on standard input, less the line break at its end.
fn text_or_input(given: &str) -> Result<String, Failure> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    let text = read_input("an id")?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn moment(text: &str) -> Result<i64, String> {
    if text == "now" {
        return Ok(clock::now_seconds().0);
    }
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let time: Result<jiff::Timestamp, _> = text.parse();
    time.map(jiff::Timestamp::as_second)
        .map_err(|_| "expected `now`, Unix seconds, or a time such as `2026-11-27T08:00:00Z`".to_owned())
}
