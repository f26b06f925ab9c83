//! How many connections there are, in all and per address, and what became of those that were never served.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::time::Instant;

use super::allowance::{Overspent, SpentByAddress};
use super::frames::{Excess, RESETS_OF_ADDRESS};
use super::handshakes::Handshakes;
use super::per_address::{PerAddress, network};
use crate::policy::Limits;

/// The connections of all listeners. One value for the process, so that several runtimes share one limit.
#[derive(Debug)]
pub struct Connections {
    open: AtomicUsize,
    open_max: usize,
    per_address: PerAddress,
    per_address_max: usize,
    started: Instant,
    /// Streams that were reset, over all connections of an address: coming back makes nobody innocent.
    resets: SpentByAddress,
    pub tally: Tally,
}

/// Counts since the start, for metrics.
#[derive(Debug, Default)]
pub struct Tally {
    pub accepted: AtomicU64,
    pub refused: AtomicU64,
    pub accept_errors: AtomicU64,
    pub handshakes_failed: AtomicU64,
    pub handshakes_timed_out: AtomicU64,
    /// Those that ended well.
    pub handshakes: Handshakes,
    /// Beyond a rate: closed before a byte of a handshake was read.
    pub handshakes_limited: AtomicU64,
    /// Heads that were refused as bytes, see [`super::framing`].
    pub malformed: AtomicU64,
    /// Connections cut because the client did not do what was its turn.
    pub timed_out: AtomicU64,
    /// From no balancer of the list, where there is one.
    pub proxy_unlisted: AtomicU64,
    /// From a balancer, without a PROXY header, with a wrong one, or with none in time.
    pub proxy_absent: AtomicU64,
    pub proxy_malformed: AtomicU64,
    pub proxy_timed_out: AtomicU64,
    /// HTTP/2 connections that ended with too much of something, in the order of [`Excess::ALL`].
    pub excesses: [AtomicU64; Excess::ALL.len()],
}

impl Tally {
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why a connection is closed as soon as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionRefusal {
    #[error("there are as many connections as the limit")]
    All,
    #[error("the address has as many connections as the limit")]
    Address,
}

/// A place among the connections. It is free again when this is dropped.
#[derive(Debug)]
pub struct Permit {
    connections: Arc<Connections>,
    /// The address that it counts for. `None`: a balancer's, which has not said whose connection it is.
    address: Option<IpAddr>,
    /// Whether it is a proxy's, whose clients are others.
    speaks_for_others: bool,
}

impl Connections {
    /// No connections yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            open_max: limits.connections_max,
            per_address: PerAddress::default(),
            per_address_max: limits.connections_per_address_max,
            started: Instant::now(),
            resets: SpentByAddress::default(),
            tally: Tally::default(),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes a place.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Permit, ConnectionRefusal> {
        let mut permit = self.admit_unnamed()?;
        permit.name(address)?;
        Ok(permit)
    }

    /// Takes a place that counts for no address until [`Permit::name`] says for which.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn admit_unnamed(self: &Arc<Self>) -> Result<Permit, ConnectionRefusal> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.open_max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(ConnectionRefusal::All);
        }
        Ok(Permit { connections: Arc::clone(self), address: None, speaks_for_others: false })
    }
}

impl Permit {
    /// Says for which address the place counts. Once is enough: the first that has room stays.
    ///
    /// # Errors
    ///
    /// That address has as many as the limit.
    pub fn name(&mut self, address: IpAddr) -> Result<(), ConnectionRefusal> {
        if self.address.is_some() {
            return Ok(());
        }
        let address = network(address);
        if !self.connections.per_address.give(address, 1, self.connections.per_address_max) {
            return Err(ConnectionRefusal::Address);
        }
        self.address = Some(address);
        Ok(())
    }

    /// Whether it counts for an address.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.address.is_some()
    }

    /// Says that it is a proxy's, whose clients are others and are counted by themselves.
    pub fn speak_for_others(&mut self) {
        self.speaks_for_others = true;
    }

    /// Whether it is.
    #[must_use]
    pub fn speaks_for_others(&self) -> bool {
        self.speaks_for_others
    }

    /// Those among which it is.
    #[must_use]
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }
}

impl Permit {
    /// The peer reset a stream, or made us reset it.
    ///
    /// # Errors
    ///
    /// Its address did so too often.
    pub fn spend_reset(&self) -> Result<(), Overspent> {
        match self.address {
            // Its other connections have clients of their own.
            Some(_) if self.speaks_for_others => Ok(()),
            Some(address) => {
                self.connections.resets.spend(address, RESETS_OF_ADDRESS, self.connections.started.elapsed())
            }
            // A balancer speaks for itself; what its connection may spend is counted there.
            None => Ok(()),
        }
    }

    /// The connection ends with too much of something.
    pub fn count_excess(&self, excess: Excess) {
        for (counter, of) in self.connections.tally.excesses.iter().zip(Excess::ALL) {
            if of == excess {
                Tally::count(counter);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            self.connections.per_address.take_back(address, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(all: usize, per_address: usize) -> Arc<Connections> {
        let limits = Limits { connections_max: all, connections_per_address_max: per_address, ..Limits::default() };
        Connections::new(&limits)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let connections = connections(3, 2);
        let first = connections.admit(address("192.0.2.1")).expect("a place");
        let second = connections.admit(address("::ffff:192.0.2.1")).expect("a place");
        assert_eq!(connections.admit(address("192.0.2.1")).err(), Some(ConnectionRefusal::Address));
        let other = connections.admit(address("192.0.2.2")).expect("a place");
        assert_eq!(connections.admit(address("192.0.2.3")).err(), Some(ConnectionRefusal::All));
        drop(first);
        let again = connections.admit(address("192.0.2.1")).expect("a place");
        drop((second, other, again));
        assert_eq!((connections.open(), connections.per_address.len()), (0, 0));
    }

    #[test]
    fn a_balancers_place_counts_for_whom_it_names() {
        let connections = connections(2, 1);
        let mut first = connections.admit_unnamed().expect("a place");
        let mut second = connections.admit_unnamed().expect("a place");
        assert_eq!(connections.admit_unnamed().err(), Some(ConnectionRefusal::All));
        assert!(first.name(address("192.0.2.1")).is_ok() && first.is_named());
        assert_eq!(second.name(address("192.0.2.1")), Err(ConnectionRefusal::Address));
        assert!(!second.is_named());
        drop(second);
        drop(first);
        assert_eq!((connections.open(), connections.per_address.len()), (0, 0));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let connections = connections(9, 1);
        let _first = connections.admit(address("2001:db8::1")).expect("a place");
        assert_eq!(connections.admit(address("2001:db8::ffff:2")).err(), Some(ConnectionRefusal::Address));
        assert!(connections.admit(address("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn a_refused_address_leaves_nothing_behind() {
        let connections = connections(9, 0);
        assert_eq!(connections.admit(address("192.0.2.1")).err(), Some(ConnectionRefusal::Address));
        assert_eq!(connections.open(), 0);
    }
}
