//! `countersign token mint`: a token signed with a key of the policy.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{At, TokenCommandError, examiner, load, materials, read_input, workspace};
use crate::cli::Failure;
use crate::identity::{
    Diagnosis, Examined, Minting, Question, TICKET_LIFETIME_MAX, diagnose, is_for_tickets, mint, signing_key,
};
use crate::policy::parse_duration;

#[derive(Args)]
#[command(
    after_help = "Example:\n  echo '{\"user_id\":\"user-42\",\"plan\":\"pro\"}' | countersign token mint --workspace acme\n\nFor tests of an installation: whoever has such a token is that user until it ends. A company's own server signs its users' tokens."
)]
pub struct Arguments {
    #[command(flatten)]
    at: At,
    /// The workspace whose key signs.
    #[arg(long, value_name = "ID")]
    workspace: String,
    /// The key that signs; the first for tokens by default. One for collector tickets makes a ticket.
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// How long it lives, where the claims have no `exp`.
    #[arg(long, default_value = "1h", value_parser = parse_duration)]
    lifetime: Duration,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let set = load(&arguments.at.policies)?;
    let limits = &set.gateway.limits;
    let workspace = workspace(&set, &arguments.workspace)?;
    let key = signing_key(&workspace.identity, arguments.key.as_deref())?;
    let material = workspace.identity.keys.iter().zip(materials(workspace)).find(|(other, _)| other.id == key.id);
    let missing = |why: String| TokenCommandError::Secret { workspace: workspace.id.clone(), key: key.id.clone(), why };
    let material =
        material.map_or_else(|| Err(missing("no secret".to_owned())), |(_, material)| material.map_err(missing))?;
    let claims = read_input("claims, a JSON object")?;
    let now = arguments.at.now();
    let is_ticket = is_for_tickets(key);
    let lifetime = if is_ticket { arguments.lifetime.min(TICKET_LIFETIME_MAX) } else { arguments.lifetime };
    let token = mint(&claims, &Minting { key, material: &material, lifetime, now }, limits)?;
    anstream::println!("{token}");
    if is_ticket {
        anstream::eprintln!(
            "a collector ticket: it counts in the places of `ticket_at`, for its `session` and `attributes`"
        );
        return Ok(ExitCode::SUCCESS);
    }
    // Such a token is what some tests want. Others should not have to guess why the gateway takes it for none.
    let question = Question { token: &token, user_id: None, platform: key.platforms.iter().next(), now };
    for Diagnosis { workspace, verdict, sentence, .. } in
        diagnose(&question, &[examiner(workspace, &set.gateway)?], None)
    {
        if verdict != Examined::Valid {
            anstream::eprintln!("workspace `{workspace}` will not take it: {sentence} ({})", verdict.code());
        }
    }
    Ok(ExitCode::SUCCESS)
}
