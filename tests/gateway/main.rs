//! End to end: the real binary, real TLS, real sockets, an upstream that records what it got.

mod support;

mod attacks;
mod attributes;
mod bodies;
mod carriers;
mod chatwoot;
mod edge;
mod json_api;
mod lifecycle;
mod readers;
mod realtime;
mod record;
mod tokens;
