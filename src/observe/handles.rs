//! Counters of one family that were used before, found without hashing or allocating.

use std::fmt;
use std::sync::OnceLock;

use prometheus_client::metrics::counter::Counter;

/// A short list of counters by a small key, which only grows. Lock-free: each place is filled once, and the first free one ends a search.
///
/// Nothing is allocated before the first use: of ten thousand workspaces most are quiet.
pub(super) struct Handles<K>(OnceLock<Box<[Place<K>]>>);

type Place<K> = OnceLock<(K, Counter)>;

/// The places of a list. Whoever finds it full looks its counter up in the family.
const PLACES: usize = 32;

impl<K> Default for Handles<K> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<K: PartialEq + Copy> Handles<K> {
    /// Adds one to the counter of `key`; `find` gives the family's, and is asked once for each key.
    pub(super) fn count(&self, key: K, find: impl Fn() -> Counter) {
        let places = self.0.get_or_init(|| (0..PLACES).map(|_| Place::new()).collect());
        for place in places {
            let (here, counter) = place.get_or_init(|| (key, find()));
            if *here == key {
                counter.inc();
                return;
            }
        }
        find().inc();
    }
}

impl<K> fmt::Debug for Handles<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handles(..)")
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::family::Family;

    use super::*;

    #[test]
    fn every_key_has_its_counter_also_when_the_list_is_full() {
        let family = Family::<Vec<(String, usize)>, Counter>::default();
        let labels = |key: usize| vec![("key".to_owned(), key)];
        let handles = Handles::default();
        for _ in 0..3 {
            for key in 0..PLACES + 5 {
                handles.count(key, || family.get_or_create_owned(&labels(key)));
            }
        }
        for key in 0..PLACES + 5 {
            assert_eq!(family.get_or_create_owned(&labels(key)).get(), 3, "{key}");
        }
    }

    #[test]
    fn nothing_is_counted_twice_or_lost_when_many_count_at_once() {
        let counters = [Counter::default(), Counter::default()];
        let handles = Handles::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|n| handles.count(n % 2, || counters[n % 2].clone())));
            }
        });
        assert_eq!(counters.map(|counter| counter.get()), [2000, 2000]);
    }
}
