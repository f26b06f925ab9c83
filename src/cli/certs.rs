//! `countersign certs`: certificates for trying things out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Failure;
use crate::clock;
use crate::edge::dev_certificates::make_dev;

#[derive(Args)]
#[command(after_help = "Example:\n  countersign certs dev --name gateway.test")]
pub struct Arguments {
    #[command(subcommand)]
    command: Certs,
}

#[derive(Subcommand)]
enum Certs {
    /// Make a certificate authority and a certificate for `localhost`, for this machine alone.
    Dev(Dev),
}

#[derive(Args)]
#[command(after_help = "Example:\n  countersign certs dev --name gateway.test")]
struct Dev {
    /// The directory to write them to.
    #[arg(long, default_value = "certs")]
    out: PathBuf,
    /// A further host name or address; may be given more than once.
    #[arg(long = "name")]
    names: Vec<String>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Certs::Dev(Dev { out, names }) = &arguments.command;
    let paths = make_dev(names, clock::now_seconds())?.write(out)?;
    for path in [&paths.ca, &paths.chain, &paths.key] {
        anstream::println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
