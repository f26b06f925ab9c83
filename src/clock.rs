//! The wall clock: the one place that reads it, so that everything else is told the time.

use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time as tokens know it: whole seconds since 1970 (RFC 7519 §2, NumericDate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub i64);

/// Now.
#[must_use]
pub fn now() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads the clock")]
    SystemTime::now()
}

/// Now, in whole seconds. A clock before 1970 reads as 1970, where every token has yet to begin.
#[must_use]
pub fn now_seconds() -> UnixSeconds {
    UnixSeconds::of(now())
}

impl UnixSeconds {
    /// Whole days until `end`, rounded down: what ended a second ago has not 0 days left.
    #[must_use]
    pub fn days_until(self, end: Self) -> i64 {
        const DAY_SECONDS: i64 = 24 * 60 * 60;
        end.0.saturating_sub(self.0).div_euclid(DAY_SECONDS)
    }

    /// A time in whole seconds; one before 1970 is 1970.
    #[must_use]
    pub fn of(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}
