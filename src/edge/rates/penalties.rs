//! Penalties for proofs that do not hold, and the proofs that did.

use std::mem;
use std::time::Duration;

use super::table::{Kept, Table, WhenFull};
use crate::policy::Penalty;

/// For how long a proof that held is looked at again in spite of a penalty.
const KNOWN_FOR: Duration = Duration::from_secs(3_600);

/// How many proofs of one subject are known at once: its pages, devices and tabs.
const KNOWN_PER_SUBJECT_MAX: usize = 8;

/// Of whose new proofs hardly any is looked at, and for how long.
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

impl Term {
    /// The same, where no penalty is longer than `longest`: one that was meant too long is taken back by a reload.
    fn under(self, longest: u64) -> Self {
        let ends = self.ends.min(self.began.saturating_add(longest));
        Self { ends, forgotten: self.forgotten.min(ends.saturating_add(longest)), ..self }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Penalties {
    pub(super) fn new(keys_max: usize) -> Self {
        Self { table: Table::new(keys_max, WhenFull::TurnAway) }
    }

    /// How long the penalty of `key` still lasts, under what is the policy now.
    pub(super) fn ends(&self, key: u64, penalty: Penalty, now: u64) -> Option<Duration> {
        let left = self.table.get(key, now)?.under(nanoseconds(penalty.longest)).ends.saturating_sub(now);
        (left > 0).then(|| Duration::from_nanos(left))
    }

    /// Begins one: twice as long as the last one that is not forgotten. One that lasts goes on as it is, so that whoever has many requests on
    /// the way is punished once. Gives how long it lasts.
    pub(super) fn begin(&self, key: u64, penalty: Penalty, now: u64) -> Duration {
        let (first, longest) = (nanoseconds(penalty.first), nanoseconds(penalty.longest));
        let left = self.table.update(key, now, |last| {
            let length = match last.map(|term| term.under(longest)) {
                Some(Term { ends, .. }) if ends > now => return (None, ends - now),
                Some(Term { began, ends, forgotten }) if forgotten > now => {
                    ends.saturating_sub(began).saturating_mul(2).clamp(first, longest)
                }
                Some(_) | None => first,
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

/// Proofs that held a while ago, by their hashes: the last few of each subject, so that nobody fills the table with proofs of their own.
pub(super) struct KnownProofs {
    table: Table<Until>,
    subjects: Table<Recent>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Until(u64);

impl Kept for Until {
    fn until(&self) -> u64 {
        self.0
    }
}

/// Which proofs of a subject held last, the newest first. Zero is none: no hash is, but for one in 2⁶⁴.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    proofs: [u64; KNOWN_PER_SUBJECT_MAX],
    until: u64,
}

impl Kept for Recent {
    fn until(&self) -> u64 {
        self.until
    }
}

impl KnownProofs {
    pub(super) fn new(keys_max: usize) -> Self {
        Self { table: Table::new(keys_max, WhenFull::Replace), subjects: Table::new(keys_max, WhenFull::Replace) }
    }

    pub(super) fn has(&self, key: u64, now: u64) -> bool {
        self.table.get(key, now).is_some()
    }

    /// Remembers that a proof of `subject` held. Where it is one too many, the subject's oldest makes room and nobody else's.
    pub(super) fn remember(&self, subject: u64, key: u64, now: u64) {
        let until = now.saturating_add(nanoseconds(KNOWN_FOR));
        let gone = self.subjects.update(subject, now, |last| {
            let mut proofs = last.unwrap_or_default().proofs;
            let place = proofs.iter().position(|proof| *proof == key).unwrap_or(KNOWN_PER_SUBJECT_MAX - 1);
            if let Some(newer) = proofs.get_mut(..=place) {
                newer.rotate_right(1);
            }
            let [newest, ..] = &mut proofs;
            let gone = mem::replace(newest, key);
            (Some(Recent { proofs, until }), gone)
        });
        if gone != key {
            self.table.update(gone, now, |there| (there.map(|_| Until(now)), ()));
        }
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
        assert_eq!(penalties.ends(1, PENALTY, now), None);
        for seconds in [10, 20, 40, 60, 60] {
            assert_eq!(penalties.begin(1, PENALTY, now), Duration::from_secs(seconds));
            // Another request that was on the way does not make it longer.
            assert_eq!(penalties.begin(1, PENALTY, now + SECOND), Duration::from_secs(seconds - 1));
            assert_eq!(penalties.ends(1, PENALTY, now + seconds * SECOND - 1), Some(Duration::from_nanos(1)));
            assert_eq!(penalties.ends(2, PENALTY, now + 1), None, "nobody else's");
            now += seconds * SECOND;
            assert_eq!(penalties.ends(1, PENALTY, now), None);
        }
        now += 60 * SECOND - 1;
        assert_eq!(penalties.begin(1, PENALTY, now), Duration::from_secs(60));
        now += 120 * SECOND;
        assert_eq!(penalties.begin(1, PENALTY, now), Duration::from_secs(10));
    }

    #[test]
    fn a_penalty_that_was_meant_too_long_is_taken_back_by_a_shorter_one() {
        let penalties = Penalties::new(100);
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        penalties.begin(1, Penalty { first: hours(1), longest: hours(24) }, SECOND);
        assert_eq!(penalties.ends(1, PENALTY, 3 * SECOND), Some(Duration::from_secs(58)));
        assert_eq!(penalties.begin(1, PENALTY, 3 * SECOND), Duration::from_secs(58), "it goes on");
        assert_eq!(penalties.ends(1, PENALTY, 61 * SECOND), None);
        // It was as long as any is now, and is forgotten as soon.
        assert_eq!(penalties.begin(1, PENALTY, 61 * SECOND), PENALTY.longest);
        penalties.begin(2, Penalty { first: hours(1), longest: hours(24) }, SECOND);
        assert_eq!(penalties.begin(2, PENALTY, 121 * SECOND), PENALTY.first);
    }

    #[test]
    fn whoever_comes_late_inherits_no_penalty_and_frees_nobody() {
        let penalties = Penalties::new(8);
        for key in 0..1_000 {
            penalties.begin(key, PENALTY, SECOND);
        }
        let held = (0..1_000).filter(|key| penalties.ends(*key, PENALTY, SECOND + 1).is_some()).collect::<Vec<_>>();
        assert_eq!(held, (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn a_proof_that_held_is_known_for_an_hour() {
        let known = KnownProofs::new(100);
        known.remember(1, 7, SECOND);
        assert!(known.has(7, 3_600 * SECOND));
        assert!(!known.has(7, 3_601 * SECOND));
        assert!(!known.has(8, SECOND));
    }

    #[test]
    fn whoever_has_many_proofs_pushes_out_their_own_oldest_and_nobody_elses() {
        let known = KnownProofs::new(64);
        // Over all groups, as hashes are.
        let hash = |proof: u64| proof.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        known.remember(1, hash(7), SECOND);
        for proof in 100..1_000 {
            known.remember(2, hash(proof), 2 * SECOND);
            // One that is used all the time stays.
            known.remember(2, hash(99), 2 * SECOND);
        }
        let held = (0..1_000).filter(|proof| known.has(hash(*proof), 2 * SECOND)).collect::<Vec<_>>();
        assert_eq!(held, [7, 99, 993, 994, 995, 996, 997, 998, 999]);
    }
}
