//! End to end: the real binary, real TLS, real sockets, an upstream that records what it got.

mod support;

mod attributes;
mod bodies;
mod edge;
mod lifecycle;
mod policies;
mod readers;
mod record;
mod tokens;
