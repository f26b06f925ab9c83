//! The gateway, upstream and clients of the tests in `tests/gateway/`.

#[path = "../../tests/gateway/support/client.rs"]
pub mod client;
#[path = "../../tests/gateway/support/forms.rs"]
pub mod forms;
#[path = "../../tests/gateway/support/frames.rs"]
pub mod frames;
#[path = "../../tests/gateway/support/gateway.rs"]
pub mod gateway;
#[path = "../../tests/gateway/support/token.rs"]
pub mod token;
#[path = "../../tests/gateway/support/upstream.rs"]
pub mod upstream;

pub use client::{Client, Protocol};
pub use forms::form;
pub use gateway::{Setup, TestGateway};
pub use upstream::TestUpstream;
