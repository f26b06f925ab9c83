//! `countersign check`: every mistake of all policy files.

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::epoch::PolicyDirectory;
use crate::policy::{Paint, parse};

#[derive(Args)]
#[command(after_help = "Example:\n  countersign check policies && git push")]
pub struct Arguments {
    /// The directory with `gateway.toml`, `profiles/` and `workspaces/`.
    #[arg(default_value = "policies")]
    path: PathBuf,
    /// For programs: one JSON object a finding.
    #[arg(long)]
    json: bool,
    /// Warnings count as findings too: exit code 1.
    #[arg(long)]
    strict: bool,
}

/// Nothing wrong, but not everything wise.
const WARNED: u8 = 1;

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let files = PolicyDirectory::read(&arguments.path)?;
    let (set, mut findings) = parse(files.policy_files());
    super::test::read_cases(&files, &mut findings)?;
    files.slips(set.as_ref(), &mut findings);
    let set = set.filter(|_| !findings.has_errors());
    if arguments.json {
        anstream::println!("{}", serde_json::to_string_pretty(&findings)?);
    } else if !findings.is_empty() {
        anstream::println!("{}", findings.render(paint()));
    }
    match set {
        None => Ok(ExitCode::from(super::BROKEN)),
        Some(_) if arguments.strict && !findings.is_empty() => Ok(ExitCode::from(WARNED)),
        Some(set) => {
            if !arguments.json {
                anstream::eprintln!(
                    "fine: {}, {}, epoch {}",
                    counted(set.workspaces.len(), "workspace"),
                    counted(set.profiles.len(), "profile"),
                    files.digest()
                );
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Colours on a terminal only.
pub(super) fn paint() -> Paint {
    if stdout().is_terminal() { Paint::Coloured } else { Paint::Plain }
}
