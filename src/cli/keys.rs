//! `countersign keys`: what each key signs in the running gateway, tokens or webhooks, when last, and which ones can go.

mod advice;
mod screen;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde::Serialize;

pub(super) use self::advice::grouped;
use self::advice::{Advice, Asked, in_force, noun, share, signed, some_platforms, uses};
use self::screen::render;
use super::Failure;
use super::admin_client::AdminClient;
use crate::demo::table::Screen;
use crate::epoch::{LoadError, PolicyDirectory};
use crate::observe::{KeyReport, Kinds, Risks, UsageReport, WorkspaceReport};
use crate::policy::{Workspace, parse, word};

#[derive(Args)]
#[command(
    after_help = "Example:\n  countersign keys --workspace acme\n\nAsks the gateway that runs on this machine, and needs no secret. Exit code 0: fine; 1: a key ends within 7 days and still signs; 2: broken input, or nobody answers."
)]
pub struct Arguments {
    /// The directory with `gateway.toml`, `profiles/` and `workspaces/`.
    #[arg(long, env = "COUNTERSIGN_POLICIES", default_value = "policies")]
    policies: PathBuf,
    /// This workspace alone; all of them by default.
    #[arg(long, value_name = "ID")]
    workspace: Option<String>,
    /// The gateway's admin listener; `[admin] address` by default.
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,
    /// For programs: one JSON object.
    #[arg(long)]
    json: bool,
}

/// A key ends soon and still signs.
const FOUND: u8 = 1;

#[derive(Debug, thiserror::Error)]
enum KeysCommandError {
    #[error("there is no workspace `{id}`: the workspaces are {known}")]
    UnknownWorkspace { id: String, known: String },
}

/// All times are in seconds since 1970.
#[derive(Serialize)]
struct Answer {
    /// Who was asked. Other gateways count for themselves.
    address: SocketAddr,
    at: i64,
    /// When the process started, and with it all counts.
    started: i64,
    /// Whether the gateway has the policies that were read here.
    same_policies: bool,
    workspaces: Vec<OfWorkspace>,
}

#[derive(Serialize)]
struct OfWorkspace {
    workspace: String,
    /// What the gateway has counted; `null` where it does not have the workspace.
    since: Option<i64>,
    signed: u64,
    unsigned: Kinds,
    risks: Risks,
    keys: Vec<OfKey>,
    /// Sets of keys that somebody else publishes, each as one.
    sets: Vec<OfSet>,
    /// `null` where the profile has no webhooks, and the workspace no key for any.
    webhooks: Option<OfWebhooks>,
    #[serde(skip)]
    noun: &'static str,
    /// Whether the policy says which life is long.
    #[serde(skip)]
    has_lifetime_max: bool,
}

/// Keys that webhooks are signed with, apart from the others: one of them may have the same name.
#[derive(Serialize)]
struct OfWebhooks {
    signed: u64,
    keys: Vec<OfKey>,
}

#[derive(Serialize)]
struct OfKey {
    key: String,
    /// Several where a vendor signs some webhooks by one and some by another.
    algorithm: String,
    #[serde(rename = "use")]
    uses: Vec<&'static str>,
    state: &'static str,
    /// `null`: all.
    platforms: Option<Vec<&'static str>>,
    not_before: Option<i64>,
    not_after: Option<i64>,
    in_gateway: bool,
    since: Option<i64>,
    verified: Kinds,
    refused: Kinds,
    /// What all keys of its kind signed since then.
    signed_since: u64,
    /// Of that, what this one signed, as the table says it.
    share: String,
    last_use: Option<i64>,
    advice: String,
    finding: bool,
    #[serde(skip)]
    term: String,
}

#[derive(Serialize)]
struct OfSet {
    set: String,
    in_gateway: bool,
    verified: Kinds,
    refused: Kinds,
    share: String,
    last_use: Option<i64>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let files = PolicyDirectory::read(&arguments.policies)?;
    let (set, findings) = parse(files.policy_files());
    let set = set.ok_or(LoadError::Policy(findings))?;
    let wanted = |workspace: &&Workspace| arguments.workspace.as_ref().is_none_or(|id| *id == workspace.id);
    let workspaces: Vec<&Workspace> = set.workspaces.iter().filter(wanted).collect();
    if let (Some(id), true) = (&arguments.workspace, workspaces.is_empty()) {
        let known: Vec<String> = set.workspaces.iter().map(|workspace| format!("`{}`", workspace.id)).collect();
        return Err(KeysCommandError::UnknownWorkspace { id: id.clone(), known: known.join(", ") }.into());
    }
    let client = AdminClient::reading(arguments.admin, set.gateway.admin.as_ref())?;
    let report = client.hope(Method::GET, "/keys", None)?;
    let report: UsageReport = serde_json::from_value(report).map_err(|_| client.garbage("/keys"))?;
    let answer = Answer {
        address: client.address,
        at: report.at,
        started: report.started,
        same_policies: report.epoch.as_deref() == Some(files.digest()),
        workspaces: workspaces.iter().map(|workspace| of_workspace(workspace, &report)).collect(),
    };
    if arguments.json {
        anstream::println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        anstream::stdout().lock().write_all(render(&answer, Screen::of_stdout()).as_bytes())?;
    }
    let for_webhooks =
        |workspace: &OfWorkspace| workspace.webhooks.as_ref().is_some_and(|webhooks| found(&webhooks.keys));
    let is_found = answer.workspaces.iter().any(|workspace| found(&workspace.keys) || for_webhooks(workspace));
    Ok(if is_found { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

fn found(keys: &[OfKey]) -> bool {
    keys.iter().any(|key| key.finding)
}

fn of_workspace(workspace: &Workspace, report: &UsageReport) -> OfWorkspace {
    let counted = report.workspaces.iter().find(|counted| counted.workspace == workspace.id);
    let keys = &workspace.identity.keys;
    OfWorkspace {
        workspace: workspace.id.clone(),
        since: counted.map(|counted| counted.since),
        signed: counted.map_or(0, |counted| counted.signed),
        unsigned: counted.map_or_else(Kinds::default, |counted| counted.unsigned),
        risks: counted.map_or_else(Risks::default, |counted| counted.risks),
        keys: keys
            .iter()
            .map(|key| {
                let asked = Asked::of_key(key, keys, counted, report.at);
                of_key(&asked, word(key.algorithm).to_owned(), uses(key), some_platforms(key))
            })
            .collect(),
        sets: workspace.identity.key_sets.iter().map(|set| of_set(&set.id, counted)).collect(),
        webhooks: of_webhooks(workspace, counted, report.at),
        noun: counted.map_or("tokens", noun),
        has_lifetime_max: workspace.identity.max_lifetime.is_some(),
    }
}

/// Which of its keys are published is its issuer's business, so that there is nothing to advise.
fn of_set(id: &str, counted: Option<&WorkspaceReport>) -> OfSet {
    let report = counted.and_then(|counted| in_force(&counted.keys, id));
    OfSet {
        set: id.to_owned(),
        in_gateway: report.is_some(),
        verified: report.map_or_else(Kinds::default, |report| report.verified),
        refused: report.map_or_else(Kinds::default, |report| report.refused),
        share: report.map_or_else(String::new, |report| share(signed(report), report.signed_since)),
        last_use: report.and_then(|report| report.last_use),
    }
}

/// Every webhook may be signed with any of the keys, so that each is for all of the profile's algorithms.
fn of_webhooks(workspace: &Workspace, counted: Option<&WorkspaceReport>, now: i64) -> Option<OfWebhooks> {
    let signatures = workspace.operations.iter().filter_map(|operation| operation.webhook.as_ref());
    let algorithms: BTreeSet<&str> = signatures.map(|signature| signature.algorithm.name()).collect();
    let keys = &workspace.webhooks.keys;
    if algorithms.is_empty() && keys.is_empty() {
        return None;
    }
    let algorithm = algorithms.into_iter().collect::<Vec<_>>().join(", ");
    let of_key = |key| {
        let asked = Asked::of_webhook_key(key, keys, counted, now);
        let told = of_key(&asked, algorithm.clone(), vec!["webhook"], None);
        if algorithm.is_empty() {
            let advice =
                format!("webhook key `{}` verifies nothing, as the profile has no webhooks: safe to remove", key.id);
            return OfKey { advice, ..told };
        }
        told
    };
    Some(OfWebhooks {
        signed: counted.map_or(0, |counted| counted.webhooks.signed),
        keys: keys.iter().map(of_key).collect(),
    })
}

/// Of a key of either kind.
fn of_key(
    asked: &Asked<'_>,
    algorithm: String,
    uses: Vec<&'static str>,
    platforms: Option<Vec<&'static str>>,
) -> OfKey {
    let report = asked.report;
    let Advice { sentence, is_finding } = asked.advice();
    let number = |of: fn(&KeyReport) -> Kinds| report.map_or_else(Kinds::default, of);
    OfKey {
        key: asked.id.to_owned(),
        algorithm,
        uses,
        state: asked.state(),
        platforms,
        not_before: asked.term.not_before,
        not_after: asked.term.not_after,
        in_gateway: report.is_some(),
        since: report.map(|report| report.since),
        verified: number(|report| report.verified),
        refused: number(|report| report.refused),
        signed_since: report.map_or(0, |report| report.signed_since),
        share: report.map_or_else(String::new, |report| share(signed(report), report.signed_since)),
        last_use: report.and_then(|report| report.last_use),
        advice: sentence,
        finding: is_finding,
        term: asked.term(),
    }
}
