//! `countersign status`: how the running gateway is doing, on one screen, and what needs a look.

mod screen;

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use self::screen::render;
use super::Failure;
use super::admin_client::{AdminClient, gateway};
use crate::demo::table::Screen;

#[derive(Args)]
#[command(
    after_help = "Example:\n  countersign status --admin 127.0.0.1:9100\n\nAsks the gateway that runs on this machine, and needs no secret. Exit code 0: fine; 1: something needs a look, the first lines say what; 2: nobody answers, or broken input."
)]
pub struct Arguments {
    /// The directory whose `gateway.toml` names the admin listener.
    #[arg(long, env = "COUNTERSIGN_POLICIES", default_value = "policies")]
    policies: PathBuf,
    /// The gateway's admin listener; then no policies are read.
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,
    /// For programs: what `/status` answers, one JSON object.
    #[arg(long)]
    json: bool,
}

/// Something needs a look.
const FOUND: u8 = 1;

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let client = match arguments.admin {
        // Whoever wants to know why the policies are wrong must not have to mend them first.
        Some(address) => AdminClient::reading(Some(address), None)?,
        None => AdminClient::reading(None, gateway(&arguments.policies)?.admin.as_ref())?,
    };
    let mut status = client.hope(Method::GET, "/status", None)?;
    let Some(alarms) = status.get("alarms").and_then(Value::as_array).map(Vec::len) else {
        return Err(client.garbage("/status").into());
    };
    if arguments.json {
        if let Some(status) = status.as_object_mut() {
            status.insert("address".into(), json!(client.address));
        }
        anstream::println!("{status:#}");
    } else {
        without_controls(&mut status);
        let text = render(client.address, &status, Screen::of_stdout());
        anstream::stdout().lock().write_all(text.as_bytes())?;
    }
    Ok(if alarms > 0 { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

/// A policy file, or whoever answers on that port, may have written what a terminal obeys.
fn without_controls(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace(char::is_control, " "),
        Value::Array(items) => items.iter_mut().for_each(without_controls),
        Value::Object(members) => members.values_mut().for_each(without_controls),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
