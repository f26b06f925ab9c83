//! Alarms: a line of the log that is worth waking somebody, and not more often than anybody can read it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// From one line to the next of the same kind in one workspace. What happens in between is counted and said with the next one.
pub const ALARM_INTERVAL_MIN: Duration = Duration::from_secs(60);

/// When a line was said last, and what was not said since.
#[derive(Debug, Default)]
pub(super) struct Alarm(Mutex<Raised>);

#[derive(Clone, Copy, Debug, Default)]
struct Raised {
    last: Option<Instant>,
    unsaid: u64,
}

impl Alarm {
    /// Whether a line may be said now: then it says how many were not said before.
    pub(super) fn raise(&self, now: Instant) -> Option<u64> {
        // It is whole at every moment.
        let mut raised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_soon = |last: Instant| now.saturating_duration_since(last) < ALARM_INTERVAL_MIN;
        if raised.last.is_some_and(is_soon) {
            raised.unsaid = raised.unsaid.saturating_add(1);
            return None;
        }
        let unsaid = raised.unsaid;
        *raised = Raised { last: Some(now), unsaid: 0 };
        Some(unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_the_next_after_a_while_with_the_number_between() {
        let (alarm, start) = (Alarm::default(), Instant::now());
        let raise = |millis: u64| alarm.raise(start + Duration::from_millis(millis));
        assert_eq!(raise(0), Some(0));
        assert_eq!(raise(0), None);
        assert_eq!(raise(59_999), None);
        assert_eq!(raise(60_000), Some(2));
        assert_eq!(raise(60_001), None);
        assert_eq!(raise(200_000), Some(1));
        assert_eq!(raise(400_000), Some(0));
    }
}
