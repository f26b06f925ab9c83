//! `countersign serve`: the real thing.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::Failure;
use super::log::{self, LogFormat};
use tokio_util::sync::CancellationToken;

use crate::server::Server;

#[derive(Args)]
#[command(after_help = "Example:\n  countersign serve --policies policies")]
pub struct Arguments {
    /// The directory with `gateway.toml`, `profiles/` and `workspaces/`.
    #[arg(long, env = "COUNTERSIGN_POLICIES", default_value = "policies")]
    policies: PathBuf,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t)]
    log: LogFormat,
    /// Threads that serve requests; as many as there are cores by default.
    #[arg(long, env = "COUNTERSIGN_WORKERS")]
    workers: Option<NonZeroUsize>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    log::start(arguments.log);
    let server = Server::bind(&arguments.policies)?;
    let workers = match arguments.workers {
        Some(workers) => workers,
        None => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    // Requests have the workers' runtimes; this one has signals, reloads, metrics and the plain listener.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(server.run(workers, CancellationToken::new()));
    // The name of an issuer that is still being looked up holds nobody up.
    runtime.shutdown_background();
    served?;
    Ok(ExitCode::SUCCESS)
}
