//! A table of keys that never grows, and from which a flood of new keys pushes out nobody who matters.
//!
//! A key is a keyed hash that nobody outside can foretell. It has [`PLACES`] places, all in one group, where another hash function would have one.
//! What a place keeps ends at some moment; from then on it says nothing, and whoever needs the place takes it: to forget it changes no answer.
//! So a table is full only where all that its places hold is still owed, and for a rate that means: its places hold more keys than can ask
//! at that rate, each of them, all the time. For 500 requests a second and 65,536 places that is more than thirty million requests a second.
//!
//! What happens then is *space saving* (Metwally, Agrawal and El Abbadi 2005): a new key takes the place of the one in its group that owes
//! least, **and takes over what that one owed**. Nobody gains by it: a key that was pushed out and comes back takes over at least what it
//! owed itself, since what is least in a group only grows; so nobody is forgiven anything. Whoever is at their limit owes most, and is
//! pushed out last. And a new honest key is refused only where every place of its group is at its limit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Places of one key.
pub(super) const PLACES: usize = 8;

/// What a place keeps.
pub(super) trait Kept: Copy + Default {
    /// From which moment on it says nothing, in nanoseconds.
    fn until(&self) -> u64;
}

/// What becomes of a new key where all its places are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenFull {
    /// It takes the place that ends first, and what stood there.
    Inherit,
    /// It takes the place that ends first, and nothing else.
    Replace,
    /// It is not kept.
    TurnAway,
}

/// The table. It takes no memory before its first key.
pub(super) struct Table<V> {
    groups_count: usize,
    when_full: WhenFull,
    groups: OnceLock<Box<[Group<V>]>>,
    keys: AtomicU64,
    shared: AtomicU64,
}

type Group<V> = Mutex<[Place<V>; PLACES]>;

#[derive(Clone, Copy, Default)]
struct Place<V> {
    key: u64,
    kept: V,
}

impl<V: Kept> Table<V> {
    /// An empty one with places for so many keys, rounded up to whole groups.
    pub(super) fn new(keys_max: usize, when_full: WhenFull) -> Self {
        let groups_count = keys_max.div_ceil(PLACES).max(1);
        Self { groups_count, when_full, groups: OnceLock::new(), keys: AtomicU64::new(0), shared: AtomicU64::new(0) }
    }

    /// What is kept for `key` at `now`.
    pub(super) fn get(&self, key: u64, now: u64) -> Option<V> {
        let group = self.group(self.groups.get()?, key)?;
        let places = group.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().find(|place| place.key == key && place.kept.until() > now).map(|place| place.kept)
    }

    /// Lets `decide` see what is kept for `key` at `now`, and keeps what it says; `None`: all stays as it is.
    pub(super) fn update<R>(&self, key: u64, now: u64, decide: impl FnOnce(Option<V>) -> (Option<V>, R)) -> R {
        let groups = self.groups.get_or_init(|| (0..self.groups_count).map(|_| Mutex::default()).collect());
        let Some(group) = self.group(groups, key) else { return decide(None).1 };
        // Whoever panicked meanwhile left whole places: each is written at once.
        let mut places = group.lock().unwrap_or_else(PoisonError::into_inner);
        let mut first: Option<&mut Place<V>> = None;
        let mut own = None;
        for place in places.iter_mut() {
            if place.key == key && place.kept.until() > now {
                own = Some(place);
                break;
            }
            if first.as_ref().is_none_or(|first| place.kept.until() < first.kept.until()) {
                first = Some(place);
            }
        }
        if let Some(own) = own {
            let (keep, outcome) = decide(Some(own.kept));
            if let Some(kept) = keep {
                own.kept = kept;
            }
            return outcome;
        }
        // A group is never without places.
        let Some(place) = first else { return decide(None).1 };
        let is_held = place.kept.until() > now;
        let inherited = (is_held && self.when_full == WhenFull::Inherit).then_some(place.kept);
        let (keep, outcome) = decide(inherited);
        if is_held {
            self.shared.fetch_add(1, Ordering::Relaxed);
        }
        match keep {
            Some(kept) if !is_held || self.when_full != WhenFull::TurnAway => {
                if place.kept.until() == 0 {
                    self.keys.fetch_add(1, Ordering::Relaxed);
                }
                *place = Place { key, kept };
            }
            Some(_) | None => {}
        }
        outcome
    }

    /// Places that were ever taken.
    pub(super) fn keys(&self) -> u64 {
        self.keys.load(Ordering::Relaxed)
    }

    /// How often a key found all its places held.
    pub(super) fn shared(&self) -> u64 {
        self.shared.load(Ordering::Relaxed)
    }

    fn group<'g>(&self, groups: &'g [Group<V>], key: u64) -> Option<&'g Group<V>> {
        // The high bits, by multiplication: no division, and any number of groups.
        let index = (u128::from(key) * self.groups_count as u128) >> 64;
        groups.get(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Until(u64);

    impl Kept for Until {
        fn until(&self) -> u64 {
            self.0
        }
    }

    /// What `key` sees, and leaves to stand until `until`.
    fn put(table: &Table<Until>, key: u64, now: u64, until: u64) -> Option<u64> {
        table.update(key, now, |there| (Some(Until(until)), there.map(|Until(until)| until)))
    }

    /// One group, with a key in each place; key `n` ends at `100 + n`.
    fn full(when_full: WhenFull) -> Table<Until> {
        let table = Table::new(PLACES, when_full);
        for key in 1..=PLACES as u64 {
            assert_eq!(put(&table, key, 0, 100 + key), None);
        }
        table
    }

    #[test]
    fn what_has_ended_says_nothing_and_its_place_is_free() {
        let table = full(WhenFull::Inherit);
        assert_eq!(put(&table, 3, 102, 103), Some(103));
        assert_eq!(put(&table, 3, 103, 200), None);
        // The places of 1 and 2.
        assert_eq!((put(&table, 77, 103, 300), put(&table, 78, 103, 300)), (None, None));
        assert_eq!((table.keys(), table.shared()), (8, 0));
        // All others are where they were.
        for key in 4..=8 {
            assert_eq!(table.get(key, 103), Some(Until(100 + key)), "{key}");
        }
    }

    #[test]
    fn in_a_full_group_the_one_that_owes_least_makes_room_and_leaves_its_debt() {
        let table = full(WhenFull::Inherit);
        assert_eq!(put(&table, 77, 0, 150), Some(101));
        assert_eq!(table.get(1, 0), None);
        // Back again, it owes no less than before.
        assert_eq!(put(&table, 1, 0, 151), Some(102));
        assert_eq!(table.shared(), 2);
        // Who was told no takes nobody's place.
        assert_eq!(table.update(99, 0, |there| (None, there)), Some(Until(103)));
        assert_eq!((table.get(99, 0), table.get(3, 0)), (None, Some(Until(103))));
    }

    #[test]
    fn where_nothing_is_inherited_the_first_to_end_goes_or_the_new_one() {
        let table = full(WhenFull::Replace);
        assert_eq!(put(&table, 77, 0, 150), None);
        assert_eq!((table.get(1, 0), table.get(77, 0)), (None, Some(Until(150))));
        let table = full(WhenFull::TurnAway);
        assert_eq!(put(&table, 77, 0, 150), None);
        assert_eq!((table.get(1, 0), table.get(77, 0)), (Some(Until(101)), None));
    }
}
