//! The store of one gateway that shares nothing.

use std::fmt;
use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::kept::Kept;
use super::revocations::Ledger;
use super::{
    Answer, Claimed, Keeping, Key, Numbers, Revocation, RevocationId, Revocations, Share, StateError, Store,
    VALUE_BYTES_MAX,
};
use crate::clock::UnixSeconds;

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// How many things that stay until their end.
    pub kept_max: usize,
    /// How many bytes of things that stay while there is room, a third for each kind; each thing with [`ENTRY_BYTES`] beside its value.
    pub cached_bytes_max: u64,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { kept_max: 1_000_000, cached_bytes_max: 64 * 1024 * 1024 }
    }
}

/// What a thing costs beside its value: its key and its place.
pub const ENTRY_BYTES: u32 = 256;

/// A store in the memory of this process.
pub struct Memory {
    kept: Kept,
    cached: Shares,
    ledger: Ledger,
}

/// The kinds of things that stay while there is room, each with as much of it.
const SHARES: u64 = 3;

/// What stays while there is room.
struct Shares {
    sessions: Cache<Key, Held>,
    session_tokens: Cache<Key, Held>,
    exchanges: Cache<Key, Held>,
}

impl Shares {
    fn new(bytes_max: u64) -> Self {
        let weight =
            |_: &Key, held: &Held| u32::try_from(held.value.len()).unwrap_or(u32::MAX).saturating_add(ENTRY_BYTES);
        // The default policy turns away what is new when it is full.
        let share = bytes_max / SHARES;
        let cache =
            || Cache::builder().max_capacity(share).weigher(weight).eviction_policy(EvictionPolicy::lru()).build();
        Self { sessions: cache(), session_tokens: cache(), exchanges: cache() }
    }

    fn of(&self, share: Share) -> &Cache<Key, Held> {
        match share {
            Share::Sessions => &self.sessions,
            Share::SessionTokens => &self.session_tokens,
            Share::Exchanges => &self.exchanges,
        }
    }
}

#[derive(Clone)]
struct Held {
    value: Bytes,
    until: UnixSeconds,
}

impl Held {
    fn is_there(&self, now: UnixSeconds) -> bool {
        now < self.until
    }
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new(limits: MemoryLimits) -> Self {
        Self::with(limits, Vec::new())
    }

    /// A store in which these are revoked.
    pub(super) fn with(limits: MemoryLimits, revocations: Vec<Revocation>) -> Self {
        let cached = Shares::new(limits.cached_bytes_max);
        Self { kept: Kept::new(limits.kept_max), cached, ledger: Ledger::new(revocations) }
    }

    /// Puts something back that stays until its end.
    pub(super) fn restore(
        &self,
        key: Key,
        value: &[u8],
        until: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<(), StateError> {
        self.kept.put(key, value, until, now)
    }

    pub(super) fn claim_now(
        &self,
        key: Key,
        value: Bytes,
        until: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<Claimed, StateError> {
        let held = Held { value, until };
        admit(&held)?;
        match key.space().keeping() {
            Keeping::UntilItsEnd => self.kept.claim(key, &held.value, held.until, now),
            Keeping::WhileThereIsRoom(share) => {
                let entry = self.cached.of(share).entry(key).or_insert_with_if(|| held, |there| !there.is_there(now));
                Ok(if entry.is_fresh() { Claimed::First } else { Claimed::Already(entry.into_value().value) })
            }
        }
    }

    pub(super) fn put_now(
        &self,
        key: Key,
        value: Bytes,
        until: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<(), StateError> {
        let held = Held { value, until };
        admit(&held)?;
        match key.space().keeping() {
            Keeping::UntilItsEnd => self.kept.put(key, &held.value, held.until, now),
            Keeping::WhileThereIsRoom(share) => {
                self.cached.of(share).insert(key, held);
                Ok(())
            }
        }
    }
}

fn admit(held: &Held) -> Result<(), StateError> {
    if held.value.len() > VALUE_BYTES_MAX { Err(StateError::TooLong) } else { Ok(()) }
}

impl Store for Memory {
    fn claim(&self, key: Key, value: Bytes, until: UnixSeconds, now: UnixSeconds) -> Answer<'_, Claimed> {
        Box::pin(ready(self.claim_now(key, value, until, now)))
    }

    fn put(&self, key: Key, value: Bytes, until: UnixSeconds, now: UnixSeconds) -> Answer<'_, ()> {
        Box::pin(ready(self.put_now(key, value, until, now)))
    }

    fn get(&self, key: Key, now: UnixSeconds) -> Answer<'_, Option<Bytes>> {
        let found = match key.space().keeping() {
            Keeping::UntilItsEnd => self.kept.get(&key, now),
            Keeping::WhileThereIsRoom(share) => {
                self.cached.of(share).get(&key).filter(|held| held.is_there(now)).map(|held| held.value)
            }
        };
        Box::pin(ready(Ok(found)))
    }

    fn remove(&self, key: Key) -> Answer<'_, ()> {
        match key.space().keeping() {
            Keeping::UntilItsEnd => self.kept.remove(&key),
            Keeping::WhileThereIsRoom(share) => self.cached.of(share).invalidate(&key),
        }
        Box::pin(ready(Ok(())))
    }

    fn revoke(&self, revocation: Revocation, now: UnixSeconds) -> Answer<'_, ()> {
        Box::pin(ready(self.ledger.add(revocation, now)))
    }

    fn unrevoke(&self, id: RevocationId) -> Answer<'_, bool> {
        let was_there = self.ledger.has(id);
        self.ledger.remove(id);
        Box::pin(ready(Ok(was_there)))
    }

    fn revocations(&self) -> Arc<Revocations> {
        self.ledger.current()
    }

    fn numbers(&self) -> Numbers {
        Numbers {
            entries: self.kept.len() as u64,
            revocations: self.ledger.current().all().len() as u64,
            unwritten: 0,
            disk_errors: 0,
        }
    }
}

/// Says nothing of what it holds.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory(..)")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::state::Space;

    const SPACES: [Space; 2] = [Space::TokenId, Space::Session];

    fn at_once<T>(answer: Answer<'_, T>) -> Result<T, StateError> {
        answer.now_or_never().expect("memory never waits")
    }

    fn memory(kept_max: usize, cached_bytes_max: u64) -> Memory {
        Memory::new(MemoryLimits { kept_max, cached_bytes_max })
    }

    #[test]
    fn the_first_claim_wins_until_its_end() {
        for space in SPACES {
            let memory = memory(10, 100_000);
            let key = Key::of(space, "acme", b"1");
            let claim = |value: &'static [u8], now| {
                at_once(memory.claim(key, Bytes::from_static(value), UnixSeconds(now + 100), UnixSeconds(now)))
            };
            assert_eq!(claim(b"a", 1_000), Ok(Claimed::First));
            assert_eq!(claim(b"b", 1_001), Ok(Claimed::Already(Bytes::from_static(b"a"))));
            assert_eq!(claim(b"b", 1_099), Ok(Claimed::Already(Bytes::from_static(b"a"))));
            assert_eq!(claim(b"c", 1_100), Ok(Claimed::First));
            assert_eq!(at_once(memory.get(key, UnixSeconds(1_100))), Ok(Some(Bytes::from_static(b"c"))));
            assert_eq!(at_once(memory.get(key, UnixSeconds(1_200))), Ok(None));
            assert_eq!(at_once(memory.remove(key)), Ok(()));
            assert_eq!(claim(b"d", 1_101), Ok(Claimed::First));
        }
    }

    #[test]
    fn what_is_put_replaces_what_was_there() {
        for space in SPACES {
            let memory = memory(1, 100_000);
            let key = Key::of(space, "acme", b"1");
            for value in [&b"a"[..], b"b"] {
                let put = memory.put(key, Bytes::from_static(value), UnixSeconds(2_000), UnixSeconds(1_000));
                assert_eq!(at_once(put), Ok(()));
                assert_eq!(at_once(memory.get(key, UnixSeconds(1_000))), Ok(Some(Bytes::from_static(value))));
            }
            let long = Bytes::from(vec![0; VALUE_BYTES_MAX + 1]);
            assert_eq!(
                at_once(memory.put(key, long, UnixSeconds(2_000), UnixSeconds(1_000))),
                Err(StateError::TooLong)
            );
        }
    }

    #[test]
    fn a_token_is_never_forgotten_for_another_and_a_session_is() {
        let memory = memory(2, SHARES * 3 * u64::from(ENTRY_BYTES));
        let claim = |space, text: &[u8], until, now| {
            at_once(memory.claim(Key::of(space, "acme", text), Bytes::new(), UnixSeconds(until), UnixSeconds(now)))
        };
        assert_eq!(claim(Space::TokenId, b"1", 1_100, 1_000), Ok(Claimed::First));
        assert_eq!(claim(Space::TokenId, b"2", 1_200, 1_000), Ok(Claimed::First));
        assert_eq!(claim(Space::TokenId, b"3", 1_300, 1_000), Err(StateError::Full));
        assert_eq!(claim(Space::TokenId, b"1", 1_300, 1_099), Ok(Claimed::Already(Bytes::new())));
        assert_eq!(claim(Space::TokenId, b"3", 1_300, 1_100), Ok(Claimed::First));

        for text in 0..100_u8 {
            assert_eq!(claim(Space::Session, &[text], 2_000, 1_000), Ok(Claimed::First));
        }
        memory.cached.sessions.run_pending_tasks();
        assert!(memory.cached.sessions.entry_count() <= 3, "{}", memory.cached.sessions.entry_count());
        let last = Key::of(Space::Session, "acme", &[99]);
        assert_eq!(at_once(memory.get(last, UnixSeconds(1_000))), Ok(Some(Bytes::new())));
    }
}
