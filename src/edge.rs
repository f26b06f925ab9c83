//! The edge: everything between an open socket and a request that may be routed.
//!
//! Listeners, TLS, certificates, the strict reading of HTTP heads, origins and CORS, the plain listener, connection limits, drain.
//! It knows no route, no token and no attribute, and decides nothing about them: it calls a [`Handle`] and sends what that answers.

pub mod body;
pub mod certificate_names;
pub mod cors;
pub mod headers;
pub mod hygiene;
pub mod origin;
pub mod peer;
pub mod read_body;

pub use body::{Body, BoxError};
pub use peer::{Handle, Peer, TlsFacts};

#[cfg(test)]
mod test_support;
