//! Things that stay until their end: what they guard against would come back if they were forgotten sooner.
//!
//! In shards, each with a lock of its own, so that threads seldom meet. Each shard knows which of its things ends first, so that room is
//! made for a new one by what has ended, one by one, and never by a look at all of them.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Claimed, Key, StateError};
use crate::clock::UnixSeconds;

/// Enough that a thread on each of many cores seldom waits for another.
const SHARDS: usize = 64;

/// How many things that have ended go with each that comes: more than one, so that they never become more.
const FORGOTTEN_PER_CALL: usize = 4;

/// Ends of things that have another end by now, beyond the number of things: then the ends are counted anew.
const STALE_ENDS_MAX: usize = 1024;

/// A map that is this many times larger than what is in it gives room back.
const SLACK_MAX: usize = 4;

/// The things of one store.
pub(super) struct Kept {
    max: usize,
    count: AtomicUsize,
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Default)]
struct Shard {
    things: HashMap<Key, Thing>,
    /// When each ends, the first on top. Of a thing that got another end the former one stays, and counts for nothing when it comes.
    ends: BinaryHeap<Reverse<(i64, Key)>>,
    /// The latest end of anything that was forgotten. A clock that ran ahead and was set back may ask for such a thing again.
    forgotten_to: Option<i64>,
}

struct Thing {
    value: Box<[u8]>,
    until: UnixSeconds,
}

impl Kept {
    pub(super) fn new(max: usize) -> Self {
        Self { max, count: AtomicUsize::new(0), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// How many there are, those included that have ended and were not yet forgotten.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Puts a thing where none stands.
    ///
    /// What would have ended by the time of something that was forgotten may have been here: by a clock that was set back nobody is the
    /// first a second time.
    pub(super) fn claim(
        &self,
        key: Key,
        value: &[u8],
        until: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<Claimed, StateError> {
        self.with_room(&key, now, |shard, room| {
            match shard.things.get(&key) {
                Some(there) if now < there.until => return Ok(Claimed::Already(Bytes::copy_from_slice(&there.value))),
                None if shard.forgotten_to.is_some_and(|forgotten_to| until.0 <= forgotten_to) => {
                    return Ok(Claimed::Already(Bytes::new()));
                }
                Some(_) | None => {}
            }
            shard.put(key, value, until, room).map(|()| Claimed::First)
        })
    }

    /// Puts a thing, whatever stands there.
    pub(super) fn put(&self, key: Key, value: &[u8], until: UnixSeconds, now: UnixSeconds) -> Result<(), StateError> {
        self.with_room(&key, now, |shard, room| shard.put(key, value, until, room))
    }

    pub(super) fn get(&self, key: &Key, now: UnixSeconds) -> Option<Bytes> {
        let shard = self.shard(key)?;
        shard.things.get(key).filter(|thing| now < thing.until).map(|thing| Bytes::copy_from_slice(&thing.value))
    }

    pub(super) fn remove(&self, key: &Key) {
        let Some(mut shard) = self.shard(key) else { return };
        if shard.things.remove(key).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        shard.tidy();
    }

    /// Does something in the shard of a key, and again after room was made everywhere if there was none.
    fn with_room<T>(
        &self,
        key: &Key,
        now: UnixSeconds,
        act: impl Fn(&mut Shard, &dyn Fn() -> bool) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let room = || {
            let one_more = |count: usize| (count < self.max).then_some(count + 1);
            self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
        };
        let once = || {
            let mut shard = self.shard(key).ok_or(StateError::Unavailable)?;
            self.forget(&mut shard, now, FORGOTTEN_PER_CALL);
            act(&mut shard, &room)
        };
        match once() {
            Err(StateError::Full) => {
                for shard in &self.shards {
                    self.forget(&mut lock(shard), now, usize::MAX);
                }
                once()
            }
            done => done,
        }
    }

    fn forget(&self, shard: &mut Shard, now: UnixSeconds, at_most: usize) {
        let forgotten = shard.forget(now, at_most);
        self.count.fetch_sub(forgotten, Ordering::Relaxed);
    }

    fn shard(&self, key: &Key) -> Option<MutexGuard<'_, Shard>> {
        let [first, ..] = key.bytes();
        self.shards.get(usize::from(*first) % SHARDS).map(lock)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // It is whole at every moment: nothing that changes it can break off midway.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn put(&mut self, key: Key, value: &[u8], until: UnixSeconds, room: &dyn Fn() -> bool) -> Result<(), StateError> {
        match self.things.entry(key) {
            Entry::Occupied(mut there) => {
                let is_later = there.get().until != until;
                there.insert(Thing { value: value.into(), until });
                if !is_later {
                    return Ok(());
                }
            }
            Entry::Vacant(place) if room() => {
                place.insert(Thing { value: value.into(), until });
            }
            Entry::Vacant(_) => return Err(StateError::Full),
        }
        self.ends.push(Reverse((until.0, key)));
        self.tidy();
        Ok(())
    }

    /// Forgets things that have ended; says how many.
    fn forget(&mut self, now: UnixSeconds, at_most: usize) -> usize {
        let mut forgotten = 0;
        while forgotten < at_most && self.ends.peek().is_some_and(|Reverse((until, _))| *until <= now.0) {
            let Some(Reverse((until, key))) = self.ends.pop() else { break };
            if self.things.get(&key).is_some_and(|thing| thing.until.0 == until) {
                self.things.remove(&key);
                self.forgotten_to = self.forgotten_to.max(Some(until));
                forgotten += 1;
            }
        }
        if forgotten > 0 {
            self.tidy();
        }
        forgotten
    }

    /// Gives room back that nobody needs any longer.
    fn tidy(&mut self) {
        if self.ends.len() > self.things.len() * 2 + STALE_ENDS_MAX {
            self.ends = self.things.iter().map(|(key, thing)| Reverse((thing.until.0, *key))).collect();
        }
        let needed = self.things.len() * SLACK_MAX + STALE_ENDS_MAX;
        if self.things.capacity() > needed {
            self.things.shrink_to(self.things.len() * 2);
        }
        if self.ends.capacity() > needed.max(self.ends.len() * SLACK_MAX) {
            self.ends.shrink_to(self.ends.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Space;

    fn key(number: u64) -> Key {
        Key::of(Space::TokenId, "acme", &number.to_be_bytes())
    }

    fn claim(kept: &Kept, number: u64, until: i64, now: i64) -> Result<Claimed, StateError> {
        kept.claim(key(number), b"a", UnixSeconds(until), UnixSeconds(now))
    }

    #[test]
    fn what_has_ended_makes_room_wherever_it_stands() {
        let kept = Kept::new(1_000);
        for number in 0..1_000 {
            assert_eq!(claim(&kept, number, 2_000, 1_000), Ok(Claimed::First));
        }
        assert_eq!(claim(&kept, 1_000, 2_000, 1_999), Err(StateError::Full));
        assert_eq!(claim(&kept, 7, 2_000, 1_999), Ok(Claimed::Already(Bytes::from_static(b"a"))));
        assert_eq!(claim(&kept, 1_000, 3_000, 2_000), Ok(Claimed::First));
        assert!(kept.len() <= 1_000);
        for number in 1_001..2_000 {
            assert_eq!(claim(&kept, number, 3_000, 2_000), Ok(Claimed::First), "{number}");
        }
        assert_eq!(claim(&kept, 2_000, 3_000, 2_000), Err(StateError::Full));
    }

    #[test]
    fn time_that_passes_keeps_the_number_of_things_what_is_in_force() {
        let kept = Kept::new(usize::MAX);
        for number in 0..50_000_u64 {
            let now = i64::try_from(number / 10).unwrap();
            assert_eq!(claim(&kept, number, now + 100, now), Ok(Claimed::First));
            // A thousand in force, and a few that the next in their shard will sweep away.
            assert!(kept.len() < 1_500, "{}", kept.len());
        }
        let ends: usize = kept.shards.iter().map(|shard| lock(shard).ends.capacity()).sum();
        assert!(ends < 100_000, "{ends}");
    }

    #[test]
    fn a_later_end_is_the_end_and_ends_do_not_pile_up() {
        let kept = Kept::new(10);
        for until in 1_001..20_000 {
            kept.put(key(1), b"b", UnixSeconds(until), UnixSeconds(1_000)).unwrap();
        }
        assert_eq!(kept.len(), 1);
        let ends: usize = kept.shards.iter().map(|shard| lock(shard).ends.len()).sum();
        assert!(ends <= STALE_ENDS_MAX + 3, "{ends}");
        assert_eq!(kept.get(&key(1), UnixSeconds(19_998)).as_deref(), Some(&b"b"[..]));
        assert_eq!(kept.get(&key(1), UnixSeconds(19_999)), None);
        // An end that is no longer one forgets nothing.
        kept.put(key(1), b"c", UnixSeconds(30_000), UnixSeconds(1_000)).unwrap();
        kept.put(key(2), b"c", UnixSeconds(30_000), UnixSeconds(25_000)).unwrap();
        assert_eq!(kept.get(&key(1), UnixSeconds(25_000)).as_deref(), Some(&b"c"[..]));
        kept.remove(&key(1));
        kept.remove(&key(1));
        assert_eq!(kept.len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nobody_first_again() {
        let kept = Kept::new(10);
        assert_eq!(claim(&kept, 1, 1_500, 1_000), Ok(Claimed::First));
        // An hour ahead: what is forgotten there has ended.
        kept.forget(&mut kept.shard(&key(1)).unwrap(), UnixSeconds(4_600), usize::MAX);
        assert_eq!(kept.len(), 0);
        assert_eq!(claim(&kept, 1, 1_500, 1_010), Ok(Claimed::Already(Bytes::new())));
        // What ends later than anything that was forgotten cannot have been here.
        assert_eq!(claim(&kept, 1, 1_501, 1_010), Ok(Claimed::First));
    }

    #[test]
    fn of_many_threads_one_is_first() {
        let kept = Kept::new(1_000_000);
        let firsts = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for number in 0..2_000 {
                        if claim(&kept, number, 2_000, 1_000) == Ok(Claimed::First) {
                            firsts.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!((firsts.into_inner(), kept.len()), (2_000, 2_000));
    }
}
