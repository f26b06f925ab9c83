//! A gateway of its own for each test: made in a temporary directory, on ports that the system gives, stopped on drop.

pub mod bench;
pub mod client;
pub mod forms;
pub mod gateway;
pub mod issuer;
pub mod site;
pub mod token;
pub mod upstream;

pub use bench::{Bench, LEAD};
pub use client::{Answer, Client, Protocol};
pub use forms::{form, ping_form};
pub use gateway::{Setup, TestGateway};
pub use token::{SECRET, Token};
pub use upstream::{Received, Streamed, TestUpstream};
