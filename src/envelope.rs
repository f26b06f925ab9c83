//! Envelopes: the body of one request in its codec, opened once and rewritten once.

pub mod json;
