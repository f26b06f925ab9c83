//! `countersign token`: what is wrong with a token, and tokens to try an installation with.
//!
//! Tokens and claims come on standard input alone: what stands in an argument stands in the list of processes and in the shell's history.

mod inspect;
mod mint;

use std::io::{self, IsTerminal, Read, stdin};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::Failure;
use crate::clock::{self, UnixSeconds};
use crate::epoch::{LoadError, PolicyDirectory, fetch_key, read_key_set};
use crate::identity::{Examiner, KeyError, KeyMaterial, PublishedKeys};
use crate::issuers::{LastGood, last_good_of};
use crate::policy::{Algorithm, Gateway, IssuerPolicy, KeySetSource, PolicySet, Workspace, parse};

#[derive(Args)]
#[command(after_help = "Example:\n  countersign token inspect --workspace acme < token.txt")]
pub struct Arguments {
    #[command(subcommand)]
    command: Token,
}

#[derive(Subcommand)]
enum Token {
    /// Say what the verifier of each workspace says of a token, and why; the token comes on standard input.
    Inspect(inspect::Arguments),
    /// Sign claims with a key of a workspace, to try an installation; the claims come on standard input.
    Mint(mint::Arguments),
}

/// What both look at.
#[derive(Args)]
struct At {
    /// The directory with `gateway.toml`, `profiles/` and `workspaces/`.
    #[arg(long, env = "COUNTERSIGN_POLICIES", default_value = "policies")]
    policies: PathBuf,
    /// The time to take for now, in seconds since 1970.
    #[arg(long, value_name = "UNIX_SECONDS")]
    at: Option<i64>,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenCommandError {
    #[error("cannot read standard input")]
    Input(#[source] io::Error),
    #[error("more than {INPUT_BYTES_MAX} bytes on standard input: expected {0}")]
    TooLong(&'static str),
    #[error("nothing on standard input: expected {0}")]
    Nothing(&'static str),
    #[error("standard input is not text: expected {0}")]
    NotText(&'static str),
    #[error("there is no workspace `{id}`: the workspaces are {known}")]
    UnknownWorkspace { id: String, known: String },
    #[error("workspace `{workspace}`")]
    Keys { workspace: String, source: KeyError },
    #[error("workspace `{workspace}`, key `{key}`: {why}")]
    Secret { workspace: String, key: String, why: String },
}

/// No token and no claims are as long; the policy's own `token_bytes_max` is less.
const INPUT_BYTES_MAX: u64 = 64 * 1024;

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Token::Inspect(arguments) => inspect::run(arguments),
        Token::Mint(arguments) => mint::run(arguments),
    }
}

impl At {
    fn now(&self) -> UnixSeconds {
        self.at.map_or_else(clock::now_seconds, UnixSeconds)
    }
}

/// All of standard input; `expected` is what should come.
pub(super) fn read_input(expected: &'static str) -> Result<String, TokenCommandError> {
    if stdin().is_terminal() {
        anstream::eprintln!("waiting for {expected}; end it with Enter and Ctrl-D");
    }
    let mut bytes = Vec::new();
    stdin().take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(TokenCommandError::Input)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > INPUT_BYTES_MAX) {
        return Err(TokenCommandError::TooLong(expected));
    }
    let text = String::from_utf8(bytes).map_err(|_| TokenCommandError::NotText(expected))?;
    if text.trim().is_empty() { Err(TokenCommandError::Nothing(expected)) } else { Ok(text) }
}

fn load(policies: &Path) -> Result<PolicySet, LoadError> {
    let files = PolicyDirectory::read(policies)?;
    let (set, findings) = parse(files.policy_files());
    set.ok_or(LoadError::Policy(findings))
}

fn workspace<'s>(set: &'s PolicySet, id: &str) -> Result<&'s Workspace, TokenCommandError> {
    set.workspaces.iter().find(|workspace| workspace.id == id).ok_or_else(|| {
        let known: Vec<String> = set.workspaces.iter().map(|workspace| format!("`{}`", workspace.id)).collect();
        TokenCommandError::UnknownWorkspace { id: id.to_owned(), known: known.join(", ") }
    })
}

/// What a workspace's keys are made of, or why it could not be had: on the machine of somebody who only looks it need not be.
fn materials(workspace: &Workspace) -> Vec<Result<KeyMaterial, String>> {
    let keys = workspace.identity.keys.iter();
    keys.map(|key| fetch_key(&key.source).map_err(|error| Failure::from(error).told)).collect()
}

/// What is known of a workspace's sets of keys, or why nothing is. Nobody is asked: that is the gateway's to do.
fn published(workspace: &Workspace, key_cache: Option<&Path>) -> Vec<Result<Arc<PublishedKeys>, String>> {
    let of_issuer = |issuer: &IssuerPolicy, algorithms: &[Algorithm]| {
        let fetched = format!("the running gateway fetches them from {}", issuer.url);
        let Some(directory) = key_cache else {
            return Err(format!("{fetched}, and without `key_cache` in `gateway.toml` they are nowhere else"));
        };
        match last_good_of(directory, issuer, algorithms) {
            Ok(Some(LastGood { keys, at })) => {
                let published = PublishedKeys::new(|| ());
                published.confirm(Arc::new(keys), at);
                Ok(Arc::new(published))
            }
            Ok(None) => Err(format!("{fetched}, and `key_cache` has none yet")),
            Err(error) => Err(format!("{fetched}, and `key_cache` has none to be believed: {error}")),
        }
    };
    let sets = workspace.identity.key_sets.iter();
    sets.map(|set| match &set.source {
        KeySetSource::File(path) => {
            let keys = read_key_set(path, &set.algorithms).map_err(|error| Failure::from(error).told)?;
            Ok(Arc::new(PublishedKeys::fixed(keys)))
        }
        KeySetSource::Issuer(issuer) => of_issuer(issuer, &set.algorithms),
    })
    .collect()
}

fn examiner<'s>(workspace: &'s Workspace, gateway: &'s Gateway) -> Result<Examiner<'s>, TokenCommandError> {
    Examiner::new(&workspace.id, &workspace.identity, &workspace.profile, &gateway.limits, materials(workspace))
        .and_then(|examiner| examiner.with_key_sets(published(workspace, gateway.key_cache.as_deref())))
        .map_err(|source| TokenCommandError::Keys { workspace: workspace.id.clone(), source })
}
