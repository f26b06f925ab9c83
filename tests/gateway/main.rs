//! End to end: the real binary, real TLS, real sockets, an upstream that records what it got.

// Tests may index and unwrap (`clippy.toml`): this says that all of it is tests, the helpers too.
#![cfg(test)]

mod support;

mod acme;
mod addresses;
mod attacks;
mod attributes;
mod bodies;
mod browser;
mod carriers;
mod chatwoot;
mod client_address;
mod client_authorities;
mod client_certificates;
mod demo;
mod domains_command;
mod edge;
mod encrypted;
mod exchange;
mod fetch_metadata;
mod floods;
mod frames;
mod handshake;
mod http1;
mod json_api;
mod key_sets;
mod keys;
mod keys_command;
mod leads;
mod leaks;
mod lifecycle;
mod ocsp;
mod platforms;
mod policies;
mod proxy_protocol;
mod rates;
mod readers;
mod realtime;
mod reasons;
mod record;
mod renewal;
mod renewal_under_load;
mod replay;
mod restart;
mod resumption;
mod revocation;
mod revoke_command;
mod room;
mod session_end;
mod smuggling;
mod status_command;
mod tickets;
mod tls_command;
mod token_command;
mod token_places;
mod tokens;
mod webhooks;
