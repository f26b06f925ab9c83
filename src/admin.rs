//! The admin listener: health, metrics, status. It only tells; it changes nothing.
//!
//! It owns what an operator may ask of the running process, and the loopback listener that answers. It must not know how a request is
//! served: whoever loads policies and drains tells it so.

mod listener;
mod routes;
mod state;

pub use listener::{AdminError, bind, serve};
pub use state::{AdminState, EpochFacts, Readiness, ReloadFacts};
