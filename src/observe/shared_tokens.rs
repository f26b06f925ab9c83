//! Tokens that come from many addresses: somebody may have passed one on.
//!
//! What is kept is keyed hashes, with keys drawn when the process starts, in a table that never grows. Wherever it cannot tell it says
//! nothing: a token that finds its slot held is not watched, and two addresses with the same hash count as one.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, OnceLock, TryLockError};

use crate::clock::UnixSeconds;

/// So many addresses one token may come from: a telephone changes from one network to another and back, and carriers change addresses too.
pub const ADDRESSES_MAX: usize = 4;

/// Tokens that are watched at a time, in the whole process: less than a megabyte.
pub const TOKENS_WATCHED_MAX: usize = 16 * 1024;

/// A token that was seen from one address alone gives its slot up after so many seconds, if another wants it.
pub const ALONE_SECONDS: i64 = 10 * 60;

/// No token is watched for longer, also one without end: then it counts as new.
pub const WATCHED_SECONDS_MAX: i64 = 24 * 60 * 60;

/// From which addresses tokens came.
pub(super) struct SharedTokens {
    hasher: RandomState,
    /// Made when the first token comes.
    slots: OnceLock<Box<[Mutex<Option<Sighted>>]>>,
}

/// One token.
struct Sighted {
    token: u64,
    /// The first of them are filled.
    addresses: [u32; ADDRESSES_MAX],
    count: usize,
    /// It has been told that it is shared.
    told: bool,
    first: i64,
    end: i64,
}

/// Whether a token was found to be shared just now; it is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    Shared,
    Nothing,
}

impl SharedTokens {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), slots: OnceLock::new() }
    }

    /// By what tokens are hashed.
    pub(super) fn hasher(&self) -> &RandomState {
        &self.hasher
    }

    /// A token that holds until `end` came from `address`; `token` is its hash.
    pub(super) fn sight(&self, token: u64, address: IpAddr, now: UnixSeconds, end: Option<i64>) -> Sighting {
        let slots = self.slots.get_or_init(|| (0..TOKENS_WATCHED_MAX).map(|_| Mutex::new(None)).collect());
        let index = usize::try_from(token % TOKENS_WATCHED_MAX as u64).unwrap_or_default();
        let Some(slot) = slots.get(index) else { return Sighting::Nothing };
        let mut slot = match slot.try_lock() {
            Ok(slot) => slot,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another request is at it, most likely with the same token from the same page. Nobody waits for a statistic.
            Err(TryLockError::WouldBlock) => return Sighting::Nothing,
        };
        let address = self.address(address);
        match &mut *slot {
            Some(seen) if seen.token == token && now.0 < seen.end => seen.add(address),
            Some(seen) if seen.is_held(now) => Sighting::Nothing,
            Some(_) | None => {
                let longest = now.0.saturating_add(WATCHED_SECONDS_MAX);
                let end = end.map_or(longest, |end| end.min(longest));
                let mut addresses = [0; ADDRESSES_MAX];
                addresses[0] = address;
                *slot = Some(Sighted { token, addresses, count: 1, told: false, first: now.0, end });
                Sighting::Nothing
            }
        }
    }

    /// A host has a whole /64 of IPv6 to itself.
    fn address(&self, address: IpAddr) -> u32 {
        let network = match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        };
        u32::try_from(self.hasher.hash_one(network) >> u32::BITS).unwrap_or_default()
    }
}

impl Sighted {
    fn add(&mut self, address: u32) -> Sighting {
        if self.told || self.addresses.iter().take(self.count).any(|known| *known == address) {
            return Sighting::Nothing;
        }
        if let Some(place) = self.addresses.get_mut(self.count) {
            *place = address;
            self.count += 1;
            return Sighting::Nothing;
        }
        self.told = true;
        Sighting::Shared
    }

    fn is_held(&self, now: UnixSeconds) -> bool {
        now.0 < self.end && (self.count > 1 || now.0 < self.first.saturating_add(ALONE_SECONDS))
    }
}

/// Says nothing of whose tokens they are.
impl fmt::Debug for SharedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedTokens(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: u64 = 7;
    /// Another token, in the same slot.
    const NEIGHBOUR: u64 = TOKEN + TOKENS_WATCHED_MAX as u64;
    const END: Option<i64> = Some(7200);

    struct Table(SharedTokens);

    impl Table {
        fn sight(&self, token: u64, address: &str, now: i64) -> Sighting {
            self.0.sight(token, address.parse().expect("an address"), UnixSeconds(now), END)
        }

        /// How often `token` is told to be shared when it comes from so many addresses.
        fn told(&self, token: u64, addresses: usize, now: i64) -> usize {
            let sightings = (0..addresses).map(|last| self.sight(token, &format!("192.0.2.{last}"), now));
            sightings.filter(|sighting| *sighting == Sighting::Shared).count()
        }
    }

    fn table() -> Table {
        Table(SharedTokens::new())
    }

    #[test]
    fn a_token_is_shared_from_the_fifth_address_on_and_told_once() {
        assert_eq!(table().told(TOKEN, ADDRESSES_MAX, 0), 0);
        assert_eq!(table().told(TOKEN, ADDRESSES_MAX + 1, 0), 1);
        assert_eq!(table().told(TOKEN, 200, 0), 1);
        let table = table();
        for _ in 0..10 {
            assert_eq!(table.told(TOKEN, ADDRESSES_MAX, 0), 0, "the same addresses again are no others");
        }
    }

    #[test]
    fn a_host_of_ipv6_is_one_address_and_one_of_ipv4_is_the_same_in_ipv6() {
        let one = table();
        for host in 0..50 {
            assert_eq!(one.sight(TOKEN, &format!("2001:db8:0:1::{host}"), 0), Sighting::Nothing);
        }
        let mapped = table();
        for last in 0..ADDRESSES_MAX {
            assert_eq!(mapped.sight(TOKEN, &format!("192.0.2.{last}"), 0), Sighting::Nothing);
            assert_eq!(mapped.sight(TOKEN, &format!("::ffff:192.0.2.{last}"), 0), Sighting::Nothing);
        }
        // With the one above.
        let networks: Vec<_> =
            (0..ADDRESSES_MAX).map(|network| one.sight(TOKEN, &format!("2001:db8:0:f{network}::1"), 0)).collect();
        assert_eq!(networks.last(), Some(&Sighting::Shared), "{networks:?}");
    }

    #[test]
    fn whoever_holds_a_slot_keeps_it_while_there_is_something_to_learn() {
        let table = table();
        table.sight(TOKEN, "192.0.2.1", 0);
        assert_eq!(table.told(NEIGHBOUR, 10, ALONE_SECONDS - 1), 0, "another token is watched there");
        assert_eq!(table.told(NEIGHBOUR, 10, ALONE_SECONDS), 1, "it came from one address alone");
        assert_eq!(table.told(TOKEN, 10, 7199), 0, "what came from several stays to its end");
        assert_eq!(table.told(TOKEN, 10, 7200), 0, "its own end has come too");
    }

    #[test]
    fn addresses_before_a_token_s_end_do_not_count_after_it() {
        let table = table();
        assert_eq!(table.told(TOKEN, ADDRESSES_MAX, 0), 0);
        let late = UnixSeconds(7200);
        let sight = |address: &str| table.0.sight(TOKEN, address.parse().expect("an address"), late, None);
        for last in 100..100 + ADDRESSES_MAX {
            assert_eq!(sight(&format!("192.0.2.{last}")), Sighting::Nothing);
        }
        assert_eq!(sight("192.0.2.99"), Sighting::Shared);
    }

    #[test]
    fn however_many_come_the_table_stays_as_it_is() {
        let table = table();
        for token in 0..100_000 {
            table.sight(token, "192.0.2.1", 0);
        }
        assert_eq!(table.0.slots.get().map(|slots| slots.len()), Some(TOKENS_WATCHED_MAX));
        assert!(size_of::<Mutex<Option<Sighted>>>() * TOKENS_WATCHED_MAX < 1_100_000);
    }
}
