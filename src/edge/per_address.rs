//! What each address has of something at the moment: a map that forgets who has nothing, so that it is never larger than what there is.

use std::net::{IpAddr, Ipv6Addr};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

/// How much each address has. Every use is short and takes one key, so that nobody waits for another address.
#[derive(Debug, Default)]
pub(super) struct PerAddress(DashMap<IpAddr, usize>);

impl PerAddress {
    /// Gives `address` so much more; `false`, and nothing, where it would then have more than `most`.
    #[must_use]
    pub(super) fn give(&self, address: IpAddr, amount: usize, most: usize) -> bool {
        match self.0.entry(address) {
            Entry::Occupied(mut entry) => {
                let sum = entry.get().saturating_add(amount);
                if sum > most {
                    return false;
                }
                entry.insert(sum);
            }
            Entry::Vacant(_) if amount > most => return false,
            Entry::Vacant(entry) => {
                entry.insert(amount);
            }
        }
        true
    }

    /// Takes so much back.
    pub(super) fn take_back(&self, address: IpAddr, amount: usize) {
        match self.0.entry(address) {
            Entry::Occupied(mut entry) if *entry.get() > amount => *entry.get_mut() -= amount,
            Entry::Occupied(entry) => {
                entry.remove();
            }
            Entry::Vacant(_) => {}
        }
    }

    /// What it has.
    pub(super) fn of(&self, address: IpAddr) -> usize {
        self.0.get(&address).map_or(0, |has| *has)
    }

    /// How many have something.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What counts as one address: a host has a whole /64 of IPv6 to itself.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_nothing_leaves_nothing_behind() {
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let has = PerAddress::default();
        assert!(has.give(one, 2, 3) && !has.give(one, 2, 3) && has.give(one, 1, 3) && has.give(other, 3, 3));
        assert!(!has.give(IpAddr::from([192, 0, 2, 3]), 4, 3));
        assert_eq!((has.of(one), has.of(other), has.len()), (3, 3, 2));
        has.take_back(one, 2);
        assert_eq!(has.of(one), 1);
        has.take_back(one, 1);
        has.take_back(other, 9);
        has.take_back(other, 1);
        assert_eq!((has.of(one), has.len()), (0, 0));
    }
}
