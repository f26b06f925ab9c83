//! The admin listener: health, metrics, status, to everybody on this machine; and revocations, to whoever has the operator's token.
//!
//! It owns what an operator may ask of the running process, and the loopback listener that answers. It must not know how a request is
//! served: whoever loads policies and drains tells it so.

mod fairness;
mod listener;
mod orders;
mod overview;
mod revocations;
mod routes;
mod state;
mod writing;

pub use listener::{AdminError, bind, serve};
pub use revocations::{REVOCATION_SECONDS, Revoking};
pub use state::{AdminState, EpochFacts, MISTAKES_TOLD_MAX, Readiness, ReloadFacts, WorkspaceFacts};
pub use writing::{ADMIN_TOKEN_BYTES_MIN, AdminToken, AdminTokenError};
