//! The demo: an attribute API, a page with a widget, and the requests that an attacker would send, on one machine.
//!
//! It shows what the gateway does by really doing it. Values appear on its page and in its table because they are its own inventions;
//! nothing here may be used by the gateway itself, which shows no value anywhere.

pub mod api;
pub mod loopback;
pub mod page;
pub mod scenario;
pub mod stage;

pub mod table;
pub mod wire;
