//! Countersign: a TLS gateway between browsers and the API where a messenger keeps its users' attributes.
//!
//! The rooms, in reading order. A request's life is [`gateway`]; what it decides is [`decision`].
//!
//! ```text
//! accept ─ TLS ─ hygiene ─ route ─ origin ─ rate ─ body ─ envelope ─ workspace ─ proofs ─ judge ─ rewrite ─ send ─ relay ─ record
//! ```

pub mod acme;
pub mod admin;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod decision;
pub mod demo;
pub mod edge;
pub mod envelope;
pub mod epoch;
pub mod gateway;
pub mod identity;
pub mod issuers;
pub mod observe;
pub mod policy;
pub mod profile;
pub mod rehearse;
pub mod rejection;
pub mod server;
pub mod stapling;
pub mod state;
pub mod survey;
pub mod upstream;
