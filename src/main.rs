//! The process: everything else is in the library.

use std::process::ExitCode;

/// Measured against the system's allocator: `docs/performance.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    countersign::cli::main()
}
