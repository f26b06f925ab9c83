//! `countersign test`: the cases of every workspace, tried on its policy.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Args;
use serde::Serialize;

use super::Failure;
use super::check::paint;
use crate::epoch::{PolicyDirectory, RehearsalEpoch};
use crate::policy::{CaseFile, Findings, parse, parse_cases};
use crate::rehearse::{DraftError, Rehearsed, rehearse};

#[derive(Args)]
#[command(
    after_help = "Example:\n  countersign test policies && git push\n\nNeeds no secret: tokens are signed with keys made for the test."
)]
pub struct Arguments {
    /// The directory with `gateway.toml` and `workspaces/`.
    #[arg(default_value = "policies")]
    path: PathBuf,
    /// For programs: one JSON object.
    #[arg(long)]
    json: bool,
}

/// A case does not hold.
const FAILED: u8 = 1;

/// What became of all cases.
#[derive(Serialize)]
struct Answer {
    workspaces: Vec<OfWorkspace>,
    passed: usize,
    failed: usize,
    /// Workspaces that nobody tests.
    untested: Vec<String>,
}

#[derive(Serialize)]
struct OfWorkspace {
    workspace: String,
    file: String,
    cases: Vec<Tried>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Tried {
    Rehearsed(Rehearsed),
    /// It cannot be made a request.
    Unwritten {
        name: String,
        line: usize,
        error: String,
    },
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let files = PolicyDirectory::read(&arguments.path)?;
    let (set, mut findings) = parse(files.policy_files());
    let case_files = read_cases(&files, &mut findings)?;
    let Some(set) = set.filter(|_| !findings.has_errors()) else {
        if arguments.json {
            anstream::println!("{}", serde_json::to_string_pretty(&findings)?);
        } else {
            anstream::println!("{}", findings.render(paint()));
        }
        return Ok(ExitCode::from(super::BROKEN));
    };
    let stage = RehearsalEpoch::build(files.digest(), set)?;
    let answer = answer(&stage, &case_files);
    if arguments.json {
        anstream::println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        show(&answer, &arguments.path);
    }
    Ok(if answer.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Reads every case file; each belongs to a workspace.
pub(super) fn read_cases(files: &PolicyDirectory, findings: &mut Findings) -> Result<Vec<CaseFile>, Failure> {
    let mut read = Vec::new();
    for source in &files.read_cases()? {
        let Some(cases) = parse_cases(source, findings) else { continue };
        if files.policy_files().workspaces.iter().any(|workspace| workspace.stem() == cases.workspace) {
            read.push(cases);
        } else {
            findings.error(source, 0..0, format!("there is no workspace `{}`", cases.workspace));
        }
    }
    findings.sort();
    Ok(read)
}

fn answer(stage: &RehearsalEpoch, case_files: &[CaseFile]) -> Answer {
    let mut answer = Answer { workspaces: Vec::new(), passed: 0, failed: 0, untested: Vec::new() };
    for tenant in stage.epoch().tenants() {
        let id = &tenant.workspace.id;
        let Some(file) = case_files.iter().find(|file| file.workspace == *id) else {
            answer.untested.push(id.clone());
            continue;
        };
        let tried: Vec<Tried> = file
            .cases
            .iter()
            .map(|case| match rehearse(stage, tenant, case) {
                Ok(rehearsed) => Tried::Rehearsed(rehearsed),
                Err(error) => unwritten(&case.name, case.line, &error),
            })
            .collect();
        let passed = tried.iter().filter(|tried| tried.holds()).count();
        answer.passed += passed;
        answer.failed += tried.len() - passed;
        answer.workspaces.push(OfWorkspace { workspace: id.clone(), file: file.file.clone(), cases: tried });
    }
    answer
}

fn unwritten(name: &str, line: usize, error: &DraftError) -> Tried {
    Tried::Unwritten { name: name.to_owned(), line, error: error.to_string() }
}

impl Tried {
    fn holds(&self) -> bool {
        match self {
            Tried::Rehearsed(rehearsed) => rehearsed.is_as_expected(),
            Tried::Unwritten { .. } => false,
        }
    }
}

const OK: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

fn show(answer: &Answer, path: &Path) {
    for OfWorkspace { workspace, file, cases } in &answer.workspaces {
        anstream::println!("{workspace} {DIM}{file}{DIM:#}");
        for tried in cases {
            match tried {
                Tried::Rehearsed(rehearsed) if rehearsed.is_as_expected() => {
                    anstream::println!("  {OK}ok{OK:#}      {}", rehearsed.name);
                }
                Tried::Rehearsed(rehearsed) => show_failed(rehearsed, file),
                Tried::Unwritten { name, line, error } => {
                    anstream::println!("  {BAD}FAILED{BAD:#}  {name} {DIM}{file}:{line}{DIM:#}");
                    anstream::println!("          {error}");
                }
            }
        }
        anstream::println!();
    }
    for workspace in &answer.untested {
        let file = path.join("workspaces").join(format!("{workspace}.cases.toml"));
        anstream::println!("warning: workspace `{workspace}` has no cases: write `{}`", file.display());
    }
    let Answer { workspaces, passed, failed, untested: _ } = answer;
    let style = if *failed == 0 { OK } else { BAD };
    anstream::println!(
        "{style}{passed} ok, {failed} failed{style:#} {DIM}in {} of {} workspaces{DIM:#}",
        workspaces.len(),
        workspaces.len() + answer.untested.len()
    );
}

/// What was expected beside what was found; then the whole of what was found, since the next question is always why.
fn show_failed(rehearsed: &Rehearsed, file: &str) {
    let Rehearsed { name, line, differences, found } = rehearsed;
    anstream::println!("  {BAD}FAILED{BAD:#}  {name} {DIM}{file}:{line}{DIM:#}");
    for difference in differences {
        anstream::println!("          {}", difference.what);
        anstream::println!("            expected  {OK}{}{OK:#}", difference.expected);
        anstream::println!("            found     {BAD}{}{BAD:#}", difference.found);
    }
    let verdicts = found.verdicts.iter().map(crate::rehearse::NamedVerdict::words);
    let all = [Some(found.outcome.words()), found.proof.map(|proof| format!("proof {proof}"))];
    let all: Vec<String> = all.into_iter().flatten().chain(verdicts).collect();
    anstream::println!("          {DIM}in full: {}{DIM:#}", all.join(", "));
    if let Some(goes_on) = &found.goes_on {
        anstream::println!("          {DIM}goes on: {}{DIM:#}", goes_on.text());
    }
}
