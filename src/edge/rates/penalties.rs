//! Penalties for proofs that do not hold, and the proofs that did.

use std::time::Duration;

use super::table::{Kept, Table, WhenFull};
use crate::policy::Penalty;

/// For how long a proof that held is looked at again in spite of a penalty.
const KNOWN_FOR: Duration = Duration::from_secs(3_600);

/// Who may present no new proof at the moment, and for how long.
pub(super) struct Penalties {
    /// Nobody inherits a penalty: who finds the table full goes without one, and is still counted.
    table: Table<Term>,
}

/// From when to when, and by when it is forgotten.
#[derive(Clone, Copy, Debug, Default)]
struct Term {
    began: u64,
    ends: u64,
    forgotten: u64,
}

impl Kept for Term {
    fn until(&self) -> u64 {
        self.forgotten
    }
}

impl Penalties {
    pub(super) fn new(keys_max: usize) -> Self {
        Self { table: Table::new(keys_max, WhenFull::TurnAway) }
    }

    /// How long the penalty of `key` still lasts.
    pub(super) fn ends(&self, key: u64, now: u64) -> Option<Duration> {
        let left = self.table.get(key, now)?.ends.saturating_sub(now);
        (left > 0).then(|| Duration::from_nanos(left))
    }

    /// Begins one: twice as long as the last one that is not forgotten. One that lasts goes on as it is, so that whoever has many requests on
    /// the way is punished once. Gives how long it lasts.
    pub(super) fn begin(&self, key: u64, penalty: Penalty, now: u64) -> Duration {
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (first, longest) = (nanoseconds(penalty.first), nanoseconds(penalty.longest));
        let left = self.table.update(key, now, |last| {
            let length = match last {
                Some(Term { ends, .. }) if ends > now => return (None, ends - now),
                Some(Term { began, ends, .. }) => ends.saturating_sub(began).saturating_mul(2).clamp(first, longest),
                None => first,
            };
            let ends = now.saturating_add(length);
            (Some(Term { began: now, ends, forgotten: ends.saturating_add(longest) }), length)
        });
        Duration::from_nanos(left)
    }

    pub(super) fn keys(&self) -> u64 {
        self.table.keys()
    }
}

/// Proofs that held a while ago, by their hashes.
pub(super) struct KnownProofs {
    /// Only whoever can sign fills it.
    table: Table<Until>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Until(u64);

impl Kept for Until {
    fn until(&self) -> u64 {
        self.0
    }
}

impl KnownProofs {
    pub(super) fn new(keys_max: usize) -> Self {
        Self { table: Table::new(keys_max, WhenFull::Replace) }
    }

    pub(super) fn has(&self, key: u64, now: u64) -> bool {
        self.table.get(key, now).is_some()
    }

    pub(super) fn remember(&self, key: u64, now: u64) {
        let until = now.saturating_add(u64::try_from(KNOWN_FOR.as_nanos()).unwrap_or(u64::MAX));
        self.table.update(key, now, |_| (Some(Until(until)), ()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const PENALTY: Penalty = Penalty { first: Duration::from_secs(10), longest: Duration::from_secs(60) };

    #[test]
    fn a_penalty_grows_each_time_up_to_its_bound_and_is_forgotten() {
        let penalties = Penalties::new(100);
        let mut now = SECOND;
        assert_eq!(penalties.ends(1, now), None);
        for seconds in [10, 20, 40, 60, 60] {
            assert_eq!(penalties.begin(1, PENALTY, now), Duration::from_secs(seconds));
            // Another request that was on the way does not make it longer.
            assert_eq!(penalties.begin(1, PENALTY, now + SECOND), Duration::from_secs(seconds - 1));
            assert_eq!(penalties.ends(1, now + seconds * SECOND - 1), Some(Duration::from_nanos(1)));
            assert_eq!(penalties.ends(2, now + 1), None, "nobody else's");
            now += seconds * SECOND;
            assert_eq!(penalties.ends(1, now), None);
        }
        now += 60 * SECOND - 1;
        assert_eq!(penalties.begin(1, PENALTY, now), Duration::from_secs(60));
        now += 120 * SECOND;
        assert_eq!(penalties.begin(1, PENALTY, now), Duration::from_secs(10));
    }

    #[test]
    fn whoever_comes_late_inherits_no_penalty_and_frees_nobody() {
        let penalties = Penalties::new(8);
        for key in 0..1_000 {
            penalties.begin(key, PENALTY, SECOND);
        }
        let held = (0..1_000).filter(|key| penalties.ends(*key, SECOND + 1).is_some()).collect::<Vec<_>>();
        assert_eq!(held, (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn a_proof_that_held_is_known_for_an_hour() {
        let known = KnownProofs::new(100);
        known.remember(7, SECOND);
        assert!(known.has(7, 3_600 * SECOND));
        assert!(!known.has(7, 3_601 * SECOND));
        assert!(!known.has(8, SECOND));
    }
}
