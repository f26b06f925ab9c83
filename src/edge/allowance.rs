//! How often a peer may do something that costs us more than it: so many times at once, and so many a second.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A peer may do something `at_once` times, and then `per_second` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub at_once: u32,
    pub per_second: u32,
}

/// What one peer has spent of an [`Allowance`]. It knows no clock: times are given, counted from any fixed moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// In thousandths, so that a millisecond gives back `per_second` of them.
    thousandths: u64,
    seen: Duration,
}

/// The peer did it more often than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overspent;

impl Spent {
    /// The peer does it once more, at `now`.
    ///
    /// # Errors
    ///
    /// [`Overspent`]; it is counted all the same, but no further than one above the allowance, so that whoever stops is forgiven.
    pub fn spend(&mut self, allowance: Allowance, now: Duration) -> Result<(), Overspent> {
        let passed = u64::try_from(now.saturating_sub(self.seen).as_millis()).unwrap_or(u64::MAX);
        self.seen = self.seen.max(now);
        let given_back = passed.saturating_mul(u64::from(allowance.per_second));
        let most = u64::from(allowance.at_once) * 1000;
        let spent = self.thousandths.saturating_sub(given_back) + 1000;
        self.thousandths = spent.min(most + 1000);
        if spent > most { Err(Overspent) } else { Ok(()) }
    }

    /// Whether the peer has nothing left at `now`.
    #[must_use]
    pub fn is_spent(&self, allowance: Allowance, now: Duration) -> bool {
        let mut next = *self;
        next.spend(allowance, now).is_err()
    }

    /// The peer did something useful, which gives it so many times back.
    pub fn give_back(&mut self, times: u64) {
        self.thousandths = self.thousandths.saturating_sub(times.saturating_mul(1000));
    }
}

/// What the peers of all connections have spent of an allowance, by address, in a table that never grows.
///
/// Each address has a place in each of two rows, found by keys that nobody else knows. Others may share one of them; only who has overspent in
/// both is over, so that sharing one with a flood hurts nobody.
#[derive(Debug)]
pub struct SpentByAddress {
    rows: [(RandomState, Box<[Mutex<Spent>]>); 2],
}

/// In each row; a place is 24 bytes.
const PLACES: usize = 4096;

impl Default for SpentByAddress {
    /// Nobody has spent anything.
    fn default() -> Self {
        let row = || (RandomState::new(), (0..PLACES).map(|_| Mutex::default()).collect());
        Self { rows: [row(), row()] }
    }
}

impl SpentByAddress {
    /// Whoever is at `address`, and has this allowance, does it once more, at `now`.
    ///
    /// # Errors
    ///
    /// [`Overspent`].
    pub fn spend(&self, address: IpAddr, allowance: Allowance, now: Duration) -> Result<(), Overspent> {
        let mut result = Err(Overspent);
        for place in self.places(address) {
            let mut spent = place.lock().unwrap_or_else(PoisonError::into_inner);
            if spent.spend(allowance, now).is_ok() {
                result = Ok(());
            }
        }
        result
    }

    /// Whether whoever is at `address` has nothing left at `now`.
    #[must_use]
    pub fn is_spent(&self, address: IpAddr, allowance: Allowance, now: Duration) -> bool {
        self.places(address).all(|place| place.lock().unwrap_or_else(PoisonError::into_inner).is_spent(allowance, now))
    }

    fn places(&self, address: IpAddr) -> impl Iterator<Item = &Mutex<Spent>> {
        self.rows.iter().filter_map(move |(keys, places)| {
            places.get(usize::try_from(keys.hash_one(address) % PLACES as u64).unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWANCE: Allowance = Allowance { at_once: 3, per_second: 2 };

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn so_many_at_once_and_then_so_many_a_second() {
        let mut spent = Spent::default();
        for _ in 0..3 {
            assert_eq!(spent.spend(ALLOWANCE, seconds(9.0)), Ok(()));
        }
        assert_eq!(spent.spend(ALLOWANCE, seconds(9.0)), Err(Overspent));
        assert_eq!(spent.spend(ALLOWANCE, seconds(9.4)), Err(Overspent));
        // Whoever went on all the same owes one time, not all of them.
        for _ in 0..1000 {
            assert_eq!(spent.spend(ALLOWANCE, seconds(9.4)), Err(Overspent));
        }
        assert_eq!(spent.spend(ALLOWANCE, seconds(10.4)), Ok(()));
        assert_eq!(spent.spend(ALLOWANCE, seconds(10.5)), Err(Overspent));
        // A clock that goes back gives nothing.
        assert_eq!(spent.spend(ALLOWANCE, seconds(1.0)), Err(Overspent));
        spent.give_back(2);
        assert_eq!(spent.spend(ALLOWANCE, seconds(10.5)), Ok(()));
    }

    #[test]
    fn an_address_is_over_by_itself_alone() {
        let table = SpentByAddress::default();
        let flood: IpAddr = "192.0.2.1".parse().expect("an address");
        let spend = |address| table.spend(address, ALLOWANCE, Duration::ZERO);
        assert_eq!([spend(flood), spend(flood), spend(flood)], [Ok(()); 3]);
        assert!(
            table.is_spent(flood, ALLOWANCE, Duration::ZERO)
                && !table.is_spent(flood, ALLOWANCE, Duration::from_secs(1))
        );
        assert_eq!(spend(flood), Err(Overspent));
        // Of some thousand others hardly any shares both its places with the one.
        let others =
            (0..2000_u32).map(|number| IpAddr::from(((0x2001_0db8_u128 << 96) | u128::from(number)).to_be_bytes()));
        assert!(others.filter(|other| spend(*other).is_err()).count() < 20);
        assert_eq!(table.spend(flood, ALLOWANCE, Duration::from_secs(2)), Ok(()));
    }
}
