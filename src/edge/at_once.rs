//! How many requests of one address are under way at once.
//!
//! A request takes a place until its answer has been read, for so long may it hold a connection to the upstream. Whoever opens many and reads
//! none of them (an HTTP/2 window of zero, for one) would otherwise take all there are. WebSockets give their place back with the switch.

use std::net::IpAddr;
use std::sync::Arc;

use super::per_address::{PerAddress, network};

/// The requests under way. One value for the process; how many an address may have the policy says, each time anew.
#[derive(Debug, Default)]
pub struct AtOnce {
    per_address: PerAddress,
}

/// The address has as many as the limit. It passes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the address has as many requests under way as the limit")]
pub struct TooManyAtOnce;

/// The place of one request. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    at_once: Arc<AtOnce>,
    address: IpAddr,
}

impl AtOnce {
    /// None yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Takes a place for a request from `address`, which may have `most`.
    ///
    /// # Errors
    ///
    /// It has.
    pub fn admit(self: &Arc<Self>, address: IpAddr, most: usize) -> Result<Place, TooManyAtOnce> {
        let address = network(address);
        let is_given = self.per_address.give(address, 1, most);
        is_given.then(|| Place { at_once: Arc::clone(self), address }).ok_or(TooManyAtOnce)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.at_once.per_address.take_back(self.address, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let at_once = AtOnce::new();
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let first = at_once.admit(address(1), 2).expect("a place");
        let second = at_once.admit(address(1), 2).expect("a place");
        assert_eq!(at_once.admit(address(1), 2).err(), Some(TooManyAtOnce));
        assert!(at_once.admit(address(2), 2).is_ok());
        // A limit that was lowered takes nothing away.
        drop(first);
        assert_eq!(at_once.admit(address(1), 1).err(), Some(TooManyAtOnce));
        drop(second);
        assert!(at_once.admit(address(1), 1).is_ok());
        assert_eq!(at_once.per_address.len(), 0);
    }
}
