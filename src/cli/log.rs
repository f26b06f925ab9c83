//! The process's own log, on standard error. What peers send never stands in a message, only in fields that are ours.

use std::io::{IsTerminal, stderr};
use std::panic;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log. `COUNTERSIGN_LOG` takes the directives of `tracing-subscriber`'s filter; `info` is the default.
pub fn start(format: LogFormat) {
    start_at("info", format);
}

/// Starts the log for a command whose own output is what matters: warnings only.
pub fn start_quiet(format: LogFormat) {
    start_at("warn", format);
}

fn start_at(level: &str, format: LogFormat) {
    let filter = EnvFilter::try_from_env("COUNTERSIGN_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    match format {
        LogFormat::Text => lines.with_ansi(stderr().is_terminal()).with_target(false).init(),
        LogFormat::Json => lines.json().init(),
    }
    // The default hook prints the panic's message, which may hold what a peer sent. The place is enough to find the bug.
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a bug: a request's task panicked");
    }));
}
