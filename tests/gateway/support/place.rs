//! Where things of a test listen whose port must be known before they do.
//!
//! A port that is free now may be somebody else's in the next moment, so none is looked for: all of 127.0.0.0/8 is this machine's, and each
//! test has an address of its own there.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};

/// Where nobody listens: the port of `discard` (RFC 863), which the system gives to nobody.
pub const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// An address of a test's own.
#[derive(Clone, Copy, Debug)]
pub struct Place(Ipv4Addr);

impl Place {
    /// One that no other test has, of this process or another.
    pub fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [.., high, low] = std::process::id().to_be_bytes();
        Self(Ipv4Addr::new(127, 64 | high >> 2, low, NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// The address alone.
    pub fn ip(self) -> Ipv4Addr {
        self.0
    }

    /// A port of it, below those that the system gives to others.
    pub fn at(self, port: u16) -> SocketAddr {
        (self.0, port).into()
    }
}
