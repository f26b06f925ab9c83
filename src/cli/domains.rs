//! `countersign domains`: the trusted domains of all workspaces, as browsers meet them.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Failure;
use crate::clock;
use crate::demo::table::Screen;
use crate::epoch::{LoadError, PolicyDirectory};
use crate::policy::{parse, parse_duration};
use crate::survey::{DomainReport, HstsFacts, Looking, Resolve, trusted_domains, visits};

#[derive(Args)]
#[command(after_help = "Example:\n  countersign domains check --policies policies")]
pub struct Arguments {
    #[command(subcommand)]
    command: Domains,
}

#[derive(Subcommand)]
enum Domains {
    /// Ask each trusted domain whether it serves HSTS, for how long, and when its certificate ends.
    Check(Check),
}

#[derive(Args)]
#[command(
    after_help = "Example:\n  countersign domains check --policies policies\n\nOnly names that a policy names are asked, one connection each, and redirects are not followed. Of a wildcard its base is asked: which names there are below it, nobody knows. Exit code 0: fine, perhaps with advice; 1: a finding; 2: broken input."
)]
struct Check {
    /// The directory with `gateway.toml`, `profiles/` and `workspaces/`.
    #[arg(long, env = "COUNTERSIGN_POLICIES", default_value = "policies")]
    policies: PathBuf,
    /// This workspace alone; all of them by default.
    #[arg(long, value_name = "ID")]
    workspace: Option<String>,
    /// PEM of the authorities to believe; the system's by default.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Where a name is found, for this run: may be given more than once.
    #[arg(long, value_name = "HOST=ADDRESS[:PORT]")]
    resolve: Vec<Resolve>,
    /// A certificate that ends sooner is a finding.
    #[arg(long, default_value = "14d", value_parser = parse_duration)]
    expires_within: Duration,
    /// For each step of a domain: its name, the handshake, the answer.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
    /// For programs: one JSON object.
    #[arg(long)]
    json: bool,
}

/// Somebody has to do something.
const FOUND: u8 = 1;

#[derive(Debug, thiserror::Error)]
enum DomainsCommandError {
    #[error("there is no workspace `{id}`: the workspaces are {known}")]
    UnknownWorkspace { id: String, known: String },
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Domains::Check(check) = &arguments.command;
    let files = PolicyDirectory::read(&check.policies)?;
    let (set, findings) = parse(files.policy_files());
    let set = set.ok_or(LoadError::Policy(findings))?;
    let wanted = |id: &String| check.workspace.as_ref().is_none_or(|wanted| wanted == id);
    if let Some(id) = check.workspace.as_ref().filter(|id| !set.workspaces.iter().any(|workspace| workspace.id == **id))
    {
        let known: Vec<String> = set.workspaces.iter().map(|workspace| format!("`{}`", workspace.id)).collect();
        return Err(DomainsCommandError::UnknownWorkspace { id: id.clone(), known: known.join(", ") }.into());
    }
    let (visits, beyond) = visits(set.workspaces.iter().filter(|workspace| wanted(&workspace.id)));
    let authorities = super::tls::authorities(check.ca.as_ref())?;
    let looking = Looking {
        resolve: &check.resolve,
        authorities: &authorities,
        timeout: check.timeout,
        expires_within: check.expires_within,
        now: clock::now_seconds().0,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut asked, is_watched) = (0_usize, stderr().is_terminal());
    let reports = runtime.block_on(trusted_domains(&visits, looking, || {
        asked += 1;
        if is_watched {
            anstream::eprint!("\r{asked} of {} domains", visits.len());
        }
    }));
    if is_watched && asked > 0 {
        anstream::eprintln!();
    }
    // A name that is being looked up holds nobody up.
    runtime.shutdown_background();
    if check.json {
        anstream::println!("{}", serde_json::to_string_pretty(&to_json(&reports, beyond, looking.now))?);
    } else {
        anstream::print!("{}", render(&reports, beyond, looking.now, Screen::of_stdout()));
    }
    let found = beyond > 0 || reports.iter().any(DomainReport::has_findings);
    Ok(if found { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

fn render(reports: &[DomainReport], beyond: usize, now: i64, screen: Screen) -> String {
    let mut table = screen.table();
    table.set_header(["domain", "trusted by", "HSTS", "certificate", "findings"]);
    for report in reports {
        let base = if report.visit.is_base_of_wildcard { "\n(the base of a wildcard alone)" } else { "" };
        let base = if screen == Screen::Plain { base.replace('\n', " ") } else { base.to_owned() };
        let (one, more) = (report.visit.workspaces.first().map_or("", String::as_str), report.visit.workspaces.len());
        let workspaces = if more > 1 { format!("{one} and {} more", more - 1) } else { one.to_owned() };
        let told: Vec<&str> = report.findings.iter().map(|finding| finding.told).collect();
        table.add_row([
            format!("{}{base}", report.visit.origin),
            workspaces,
            report.facts.as_ref().map_or_else(
                || "-".to_owned(),
                |facts| if facts.is_address { "an address has none".to_owned() } else { hsts(&facts.hsts) },
            ),
            report.days_left(now).map_or_else(|| "-".to_owned(), |days| format!("{days} days left")),
            if told.is_empty() { "fine".to_owned() } else { told.join("; ") },
        ]);
    }
    let mut text = format!("{table}\n");
    for report in reports {
        for finding in &report.findings {
            let kind = if finding.finding { "finding" } else { "advice" };
            text.push_str(&format!(
                "{kind}: {}: {} ({}): {}\n",
                report.visit.origin, finding.told, finding.code, finding.advice
            ));
        }
    }
    if beyond > 0 {
        text.push_str(&format!("finding: {beyond} more domains were not asked: ask for each `--workspace`\n"));
    }
    let fine = reports.iter().filter(|report| !report.has_findings()).count();
    text.push_str(&format!("{fine} of {} domains are fine\n", reports.len()));
    text
}

fn hsts(hsts: &HstsFacts) -> String {
    match hsts {
        HstsFacts::Unknown => "not known".to_owned(),
        HstsFacts::Absent => "none".to_owned(),
        HstsFacts::Malformed => "malformed".to_owned(),
        HstsFacts::Says { max_age_seconds, include_subdomains, preload } => {
            let subdomains = if *include_subdomains { ", subdomains" } else { "" };
            let preload = if *preload { ", preload" } else { "" };
            format!("{} days{subdomains}{preload}", max_age_seconds / 86_400)
        }
    }
}

/// Times in Unix seconds.
fn to_json(reports: &[DomainReport], beyond: usize, now: i64) -> Value {
    let domains: Vec<Value> = reports
        .iter()
        .map(|report| {
            let hsts = match report.facts.as_ref().map(|facts| &facts.hsts) {
                Some(HstsFacts::Says { max_age_seconds, include_subdomains, preload }) => {
                    json!({ "max_age": max_age_seconds, "include_subdomains": include_subdomains, "preload": preload })
                }
                Some(HstsFacts::Unknown | HstsFacts::Absent | HstsFacts::Malformed) | None => Value::Null,
            };
            json!({
                "domain": report.visit.origin,
                "base_of_wildcard": report.visit.is_base_of_wildcard,
                "workspaces": report.visit.workspaces,
                "hsts": hsts,
                "certificate_ends": report.facts.as_ref().map(|facts| facts.ends),
                "days_left": report.days_left(now),
                "fine": !report.has_findings(),
                "findings": report.findings,
            })
        })
        .collect();
    json!({ "at": now, "domains": domains, "not_asked": beyond })
}
