//! Keys that come and go while a policy is in force: the set that an issuer publishes, as it was last confirmed.
//!
//! Whoever fetches says here what was confirmed and when; whoever verifies reads here and says that a key was missing. It fetches nothing,
//! and its time is what it is told.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::key_set::KeySet;
use crate::clock::UnixSeconds;

/// A set of keys, the same for all workspaces that name it.
pub struct PublishedKeys {
    current: ArcSwap<Publication>,
    /// Why the issuer could not be asked the last time, by its stable name.
    failure: ArcSwapOption<&'static str>,
    /// Told that a token named a key that is not there. It is called from within a request, so it must cost nothing.
    missed: Box<dyn Fn() + Send + Sync>,
}

/// What is known at one moment.
#[derive(Clone, Debug)]
pub enum Publication {
    /// From a file: it counts until the file is another.
    Fixed(Arc<KeySet>),
    /// From an issuer, who said so at that time.
    Confirmed { keys: Arc<KeySet>, at: UnixSeconds },
    /// The issuer has not been reached yet.
    Nothing,
}

impl Publication {
    /// The keys, good or stale.
    #[must_use]
    pub fn keys(&self) -> Option<&Arc<KeySet>> {
        match self {
            Publication::Fixed(keys) | Publication::Confirmed { keys, at: _ } => Some(keys),
            Publication::Nothing => None,
        }
    }

    /// For how many seconds nobody has confirmed the keys; `None` where nobody needs to, or ever has.
    ///
    /// A time that is still to come counts as now: the clock was set back, and a token's own times suffer the same.
    #[must_use]
    pub fn age_seconds(&self, now: UnixSeconds) -> Option<i64> {
        match self {
            Publication::Fixed(_) | Publication::Nothing => None,
            Publication::Confirmed { keys: _, at } => Some(now.0.saturating_sub(at.0).max(0)),
        }
    }

    /// Whether they are beyond trust: older than the bound, or not there at all.
    #[must_use]
    pub fn is_stale(&self, stale_after_seconds: Option<i64>, now: UnixSeconds) -> bool {
        match (self, self.age_seconds(now)) {
            (Publication::Fixed(_), _) => false,
            (Publication::Nothing, _) => true,
            (Publication::Confirmed { .. }, age) => match (age, stale_after_seconds) {
                (Some(age), Some(bound)) => age > bound,
                // What has no bound is trusted for no time at all.
                (None, _) | (_, None) => true,
            },
        }
    }
}

impl PublishedKeys {
    /// Keys of which nothing is known yet; `missed` is called when a token names one that is not there.
    #[must_use]
    pub fn new(missed: impl Fn() + Send + Sync + 'static) -> Self {
        Self::beginning(Publication::Nothing, Box::new(missed))
    }

    /// Keys that stay as they are.
    #[must_use]
    pub fn fixed(keys: KeySet) -> Self {
        Self::beginning(Publication::Fixed(Arc::new(keys)), Box::new(|| ()))
    }

    fn beginning(publication: Publication, missed: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { current: ArcSwap::from_pointee(publication), failure: ArcSwapOption::empty(), missed }
    }

    /// What is known now.
    #[must_use]
    pub fn current(&self) -> Arc<Publication> {
        self.current.load_full()
    }

    /// The issuer has said at `at` that these are its keys: for every request that looks from now on.
    pub fn confirm(&self, keys: Arc<KeySet>, at: UnixSeconds) {
        self.current.store(Arc::new(Publication::Confirmed { keys, at }));
        self.failure.store(None);
    }

    /// The issuer could not be asked. What is known stays, and grows old.
    pub fn failed(&self, code: &'static str) {
        self.failure.store(Some(Arc::new(code)));
    }

    /// Why the issuer could not be asked the last time.
    #[must_use]
    pub fn failure(&self) -> Option<&'static str> {
        self.failure.load().as_deref().copied()
    }

    /// Takes over what others knew of the same keys.
    pub fn inherit(&self, publication: Arc<Publication>) {
        self.current.store(publication);
    }

    pub(super) fn missed(&self) {
        (self.missed)();
    }

    /// What a token does that names a key that is not there.
    #[cfg(test)]
    pub(crate) fn miss_one(&self) {
        self.missed();
    }
}

impl fmt::Debug for PublishedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublishedKeys").field(&self.current()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::key_set::testing::set_of;

    #[test]
    fn keys_are_trusted_to_the_last_second_of_their_bound() {
        let published = PublishedKeys::new(|| ());
        let stale = |now: i64| published.current().is_stale(Some(100), UnixSeconds(now));
        assert!(stale(0), "nothing is known");
        published.confirm(set_of(&["a"]), UnixSeconds(1000));
        for (now, expected) in [(1000, false), (1100, false), (1101, true), (i64::MAX, true)] {
            assert_eq!(stale(now), expected, "{now}");
        }
        for now in [999, 0, i64::MIN] {
            assert!(!stale(now), "a clock that was set back makes nothing old: {now}");
        }
        assert_eq!(published.current().age_seconds(UnixSeconds(1042)), Some(42));
        assert_eq!(published.current().age_seconds(UnixSeconds(0)), Some(0));
        assert!(published.current().is_stale(None, UnixSeconds(1000)), "no bound is no trust");
    }

    #[test]
    fn what_a_file_says_is_never_stale() {
        let keys = Arc::into_inner(set_of(&["a"])).expect("one");
        let published = PublishedKeys::fixed(keys);
        assert!(!published.current().is_stale(None, UnixSeconds(i64::MAX)));
        assert_eq!(published.current().age_seconds(UnixSeconds(0)), None);
    }
}
