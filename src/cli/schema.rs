//! `countersign schema`: the JSON Schemas of the policy files.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use crate::policy::schemas;

#[derive(Args)]
#[command(after_help = "Example:\n  countersign schema policies/schema")]
pub struct Arguments {
    /// The directory to write them to.
    #[arg(default_value = "policies/schema")]
    directory: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    std::fs::create_dir_all(&arguments.directory)?;
    for (name, schema) in schemas() {
        let path = arguments.directory.join(name);
        std::fs::write(&path, schema)?;
        anstream::println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
