//! What `src/lib.rs`, `CONTRIBUTING.md` and the module documents say about the sources, kept true by reading them.
//!
//! A rule takes one file and gives what it found there. Each has a test over the whole tree, and one over a few lines that shows that the rule
//! can fail at all.

// Tests may index and unwrap (`clippy.toml`): this says that all of it is tests, the helpers too.
#![cfg(test)]
#![expect(clippy::string_slice, reason = "a test may panic, and reads only the sources beside it")]

mod calls;
mod purity;
mod rooms;
mod rust;
mod tree;
mod words;

/// Fails with all that was found, one line each.
#[track_caller]
fn nothing(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}
