//! The command line: one file a command. Exit code 0: fine; 1: a finding; 2: broken input, or wrong usage.

mod admin_client;
mod certs;
mod check;
mod demo;
mod domains;
mod keys;
mod log;
mod revoke;
mod schema;
mod serve;
mod status;
mod test;
mod tls;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A TLS gateway in front of a messenger's attribute API: verifies signed attributes, leaves out unsigned updates of locked ones.
#[derive(Parser)]
#[command(name = "countersign", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the listeners of `gateway.toml`, in front of its upstreams.
    Serve(serve::Arguments),
    /// Try it on this machine: an attribute API, the gateway in front of it, and a handful of real requests.
    Demo(demo::Arguments),
    /// Say what is wrong with the policy files: every mistake of all files, with its place.
    Check(check::Arguments),
    /// Try the cases of every workspace on its policy.
    Test(test::Arguments),
    /// Write the JSON Schemas of the policy files, for editors.
    Schema(schema::Arguments),
    /// Make certificates for trying things out.
    Certs(certs::Arguments),
    /// Say what is wrong with a token, or make one to try an installation with.
    Token(token::Arguments),
    /// Say how the running gateway is doing, and what needs a look.
    Status(status::Arguments),
    /// Say what each key signs in the running gateway, tokens or webhooks, when last, and which ones can go.
    Keys(keys::Arguments),
    /// Take proofs back: a token, a user, a key, or all that was issued before a moment.
    Revoke(Box<revoke::Arguments>),
    /// Grade TLS listeners as SSL Labs does, and say what would lower the grade.
    Tls(tls::Arguments),
    /// Look at the trusted domains: HSTS, and when their certificates end.
    Domains(domains::Arguments),
}

/// A command that could not do its work.
#[derive(Debug)]
struct Failure {
    code: u8,
    /// What to tell the operator: what is wrong, and what to do.
    told: String,
}

/// Broken input.
const BROKEN: u8 = 2;

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut told = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_told = cause.to_string();
            // A transparent error says what its cause says.
            if !told.contains(&cause_told) {
                told.push_str(": ");
                told.push_str(&cause_told);
            }
            source = cause.source();
        }
        Self { code: BROKEN, told }
    }
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let done = match command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Certs(arguments) => certs::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Keys(arguments) => keys::run(&arguments),
        Command::Revoke(arguments) => revoke::run(&arguments),
        Command::Tls(arguments) => tls::run(&arguments),
        Command::Domains(arguments) => domains::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(Failure { code, told }) => {
            anstream::eprintln!("{}", told.trim_end());
            ExitCode::from(code)
        }
    }
}
