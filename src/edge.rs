//! The edge: everything between an open socket and a request that may be routed.
//!
//! Listeners, TLS, certificates, the strict reading of HTTP heads, origins and CORS, the plain listener, connection limits, drain.
//! It knows no route, no token and no attribute, and decides nothing about them: it calls a [`Handle`] and sends what that answers.

pub mod allowance;
pub mod at_once;
pub mod body;
mod certificate_error;
pub mod certificate_fault;
pub mod certificate_names;
pub mod certificates;
mod chain;
pub mod challenges;
pub mod client_address;
pub mod client_authorities;
pub mod client_authority;
pub mod client_certificate;
pub mod client_lists;
mod client_verifier;
mod connection;
pub mod connections;
pub mod cors;
pub mod dev_certificates;
pub mod drain;
pub mod fetch_metadata;
pub mod frame_ancestors;
pub mod frames;
pub mod framing;
pub mod handshakes;
pub mod headers;
pub mod hygiene;
pub mod listener;
mod metered;
pub mod ocsp;
pub mod origin;
pub mod peer;
pub mod pem_blocks;
mod pem_file;
mod per_address;
pub mod plain;
pub mod private_file;
pub mod proxy_protocol;
pub mod rates;
pub mod read_body;
pub mod regular_file;
pub mod relayed;
pub mod room;
pub mod runtimes;
pub mod shown_certificate;
mod signatures;
mod stalls;
pub mod tickets;
pub mod tls;
mod turns;
mod wire;

pub use body::{Body, BoxError};
pub use certificate_fault::CertificateFault;
pub use client_address::{AddressSource, ClientAddress};
pub use client_certificate::{ClientCertificate, ClientCertificateRefusal};
pub use connections::Connections;
pub use drain::Drain;
pub use listener::{TlsEdge, serve_tls};
pub use peer::{Handle, Peer, TlsFacts};
pub use plain::{PlainEdge, serve_plain};
pub use rates::Rates;
pub use shown_certificate::ShownCertificate;
pub use tls::ReloadableTls;

#[cfg(test)]
mod socket_tests;
#[cfg(test)]
mod test_support;
