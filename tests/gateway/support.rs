//! A gateway of its own for each test: made in a temporary directory, on ports that the system gives, stopped on drop.

pub mod acme_front;
pub mod bench;
pub mod chromium;
pub mod client;
pub mod forms;
pub mod frames;
pub mod gateway;
pub mod issuer;
pub mod pebble;
pub mod place;
pub mod proxies;
pub mod raw_upstream;
pub mod site;
pub mod tls_client;
pub mod tls_server;
pub mod token;
pub mod upstream;

pub use bench::{Bench, LEAD};
pub use client::{Answer, Client, Protocol};
pub use forms::{form, ping_form};
pub use gateway::{Setup, TestGateway};
pub use place::NOBODY;
pub use token::{SECRET, Token};
pub use upstream::{Received, Streamed, TestUpstream};
