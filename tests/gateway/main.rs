//! End to end: the real binary, real TLS, real sockets, an upstream that records what it got.

// Tests may index and unwrap (`clippy.toml`): this says that all of it is tests, the helpers too.
#![cfg(test)]

mod support;

mod attacks;
mod attributes;
mod bodies;
mod carriers;
mod chatwoot;
mod demo;
mod edge;
mod encrypted;
mod json_api;
mod keys;
mod leaks;
mod lifecycle;
mod policies;
mod readers;
mod realtime;
mod record;
mod renewal;
mod replay;
mod restart;
mod revocation;
mod revoke_command;
mod session_end;
mod token_command;
mod tokens;
