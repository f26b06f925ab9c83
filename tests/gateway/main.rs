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
mod exchange;
mod json_api;
mod key_sets;
mod keys;
mod keys_command;
mod leads;
mod leaks;
mod lifecycle;
mod platforms;
mod policies;
mod rates;
mod readers;
mod realtime;
mod reasons;
mod record;
mod renewal;
mod replay;
mod restart;
mod revocation;
mod revoke_command;
mod room;
mod session_end;
mod tickets;
mod token_command;
mod token_places;
mod tokens;
