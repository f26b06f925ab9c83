//! `countersign token inspect`: what each workspace's verifier says of one token, in words.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{At, examiner, load, read_input, workspace};
use crate::cli::Failure;
use crate::identity::{Diagnosis, Examined, Examiner, Outline, Question, diagnose};
use crate::profile::Platform;

#[derive(Args)]
#[command(
    after_help = "Example:\n  countersign token inspect --workspace acme --user-id user-42 < token.txt\n\nPrints the header, the names of the claims and their times: no other value, no secret, no signature. Exit code 0: valid for a workspace; 1: for none; 2: broken input."
)]
pub struct Arguments {
    #[command(flatten)]
    at: At,
    /// Ask this workspace alone; all of them by default.
    #[arg(long, value_name = "ID")]
    workspace: Option<String>,
    /// The user id of the request that the token comes with, as the page says it.
    #[arg(long, value_name = "ID")]
    user_id: Option<String>,
    /// The platform that the request says it comes from, where its profile reads one.
    #[arg(long, value_enum)]
    platform: Option<PlatformWord>,
    /// For programs: one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum PlatformWord {
    Web,
    Ios,
    Android,
}

impl From<PlatformWord> for Platform {
    fn from(word: PlatformWord) -> Self {
        match word {
            PlatformWord::Web => Platform::Web,
            PlatformWord::Ios => Platform::Ios,
            PlatformWord::Android => Platform::Android,
        }
    }
}

/// No workspace takes the token.
const NOT_VALID: u8 = 1;

#[derive(Serialize)]
struct Answer {
    valid: bool,
    /// The time that was taken for now.
    at: i64,
    /// What stood around the token and was left out.
    taken_off: Vec<&'static str>,
    token: Outline,
    workspaces: Vec<Diagnosis>,
    /// What is worth knowing beyond one workspace.
    hints: Vec<String>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let set = load(&arguments.at.policies)?;
    let limits = &set.gateway.limits;
    if let Some(id) = &arguments.workspace {
        workspace(&set, id)?;
    }
    let text = read_input("a token")?;
    let (token, taken_off) = bare(&text);
    let question = Question {
        token,
        user_id: arguments.user_id.as_deref(),
        platform: arguments.platform.map(Into::into),
        now: arguments.at.now(),
    };
    let examiners: Vec<Examiner<'_>> =
        set.workspaces.iter().map(|workspace| examiner(workspace, &set.gateway)).collect::<Result<_, _>>()?;
    let workspaces = diagnose(&question, &examiners, arguments.workspace.as_deref());
    let valid_in: Vec<&str> = workspaces
        .iter()
        .filter(|diagnosis| diagnosis.verdict == Examined::Valid)
        .map(|diagnosis| diagnosis.workspace.as_str())
        .collect();
    let answer = Answer {
        valid: !valid_in.is_empty(),
        at: question.now.0,
        taken_off,
        token: Outline::of(token, limits),
        hints: shared_key(&valid_in).into_iter().collect(),
        workspaces,
    };
    if arguments.json {
        anstream::println!("{}", serde_json::to_string_pretty(&answer)?);
    } else {
        show(&answer);
    }
    Ok(if answer.valid { ExitCode::SUCCESS } else { ExitCode::from(NOT_VALID) })
}

/// The token without what people copy along with it. A gateway takes none of it off.
fn bare(text: &str) -> (&str, Vec<&'static str>) {
    const SCHEME: &str = "Bearer ";
    // One line break at the end is the terminal's or the editor's, and in nobody's token.
    let text = text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text);
    let mut taken_off = Vec::new();
    let mut token = text.trim();
    if token.len() != text.len() {
        taken_off.push("white space around it");
    }
    if let Some((scheme, rest)) = token.split_at_checked(SCHEME.len())
        && scheme.eq_ignore_ascii_case(SCHEME)
    {
        token = rest.trim_start();
        taken_off.push("`Bearer ` in front of it");
    }
    (token, taken_off)
}

fn shared_key(valid_in: &[&str]) -> Option<String> {
    (valid_in.len() > 1).then(|| {
        let names: Vec<String> = valid_in.iter().map(|id| format!("`{id}`")).collect();
        format!("{} share a key: a token for one is good in the others too", names.join(", "))
    })
}

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

fn show(answer: &Answer) {
    let Answer { valid: _, at: _, taken_off, token, workspaces, hints } = answer;
    let Outline { bytes, parts, header, header_others, claims, times } = token;
    anstream::println!("{DIM}token{DIM:#}   {bytes} bytes, parts: {parts}");
    if !taken_off.is_empty() {
        anstream::println!("{DIM}without{DIM:#} {}, which is no part of a token", taken_off.join(" and "));
    }
    let unreadable = || "cannot be read".to_owned();
    let with_values = header.as_ref().map(|members| {
        let members = members.iter().map(|(name, value)| format!("{name} `{value}`"));
        members.chain(header_others.iter().cloned()).collect::<Vec<_>>().join(", ")
    });
    anstream::println!("{DIM}header{DIM:#}  {}", with_values.unwrap_or_else(unreadable));
    anstream::println!("{DIM}claims{DIM:#}  {}", claims.as_ref().map_or_else(unreadable, |names| names.join(", ")));
    for time in times {
        let moment = time.moment.as_ref().map_or_else(String::new, |moment| format!(", {moment}"));
        anstream::println!("{DIM}{:<7}{DIM:#} {}{moment}", time.name, time.value);
    }
    anstream::println!();
    for (names, diagnosis) in grouped(workspaces) {
        let Diagnosis { workspace: _, verdict, key: _, sentence, hints } = diagnosis;
        let code = verdict.code();
        let names = names.join(", ");
        match verdict {
            Examined::Valid => anstream::println!("{names}: {GOOD}valid{GOOD:#} {sentence}"),
            Examined::Failed(_) => {
                anstream::println!("{names}: {BAD}not valid{BAD:#}: {sentence} {DIM}({code}){DIM:#}");
            }
            Examined::Unverified => {
                anstream::println!("{names}: {BAD}not known{BAD:#}: {sentence} {DIM}({code}){DIM:#}");
            }
        }
        for hint in hints {
            anstream::println!("  {hint}");
        }
    }
    for hint in hints {
        anstream::println!("{hint}");
    }
}

/// Workspaces that say the same are told once: a broken token is broken everywhere.
fn grouped(diagnoses: &[Diagnosis]) -> Vec<(Vec<&str>, &Diagnosis)> {
    fn said(diagnosis: &Diagnosis) -> (Examined, &str, &[String]) {
        (diagnosis.verdict, &diagnosis.sentence, &diagnosis.hints)
    }
    let mut groups: Vec<(Vec<&str>, &Diagnosis)> = Vec::new();
    for diagnosis in diagnoses {
        match groups.iter_mut().find(|(_, other)| said(other) == said(diagnosis)) {
            Some((names, _)) => names.push(&diagnosis.workspace),
            None => groups.push((vec![&diagnosis.workspace], diagnosis)),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_along_is_taken_off_and_said() {
        const SPACE: &str = "white space around it";
        const BEARER: &str = "`Bearer ` in front of it";
        for (text, token, taken_off) in [
            ("a.b.c", "a.b.c", vec![]),
            ("a.b.c\n", "a.b.c", vec![]),
            ("a.b.c\r\n", "a.b.c", vec![]),
            ("a.b.c\n\n", "a.b.c", vec![SPACE]),
            (" \ta.b.c\r\n", "a.b.c", vec![SPACE]),
            ("Bearer a.b.c", "a.b.c", vec![BEARER]),
            ("bearer  a.b.c \n", "a.b.c", vec![SPACE, BEARER]),
            ("Bearera.b.c", "Bearera.b.c", vec![]),
            ("Bearer", "Bearer", vec![]),
            ("Bearer Bearer a.b.c", "Bearer a.b.c", vec![BEARER]),
            ("a.b .c", "a.b .c", vec![]),
        ] {
            assert_eq!(bare(text), (token, taken_off), "{text:?}");
        }
    }
}
