//! How slow a peer may be.

use std::time::Duration;

/// How fast bytes must move: so many a second, on average over all of the time beyond a grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    pub bytes_per_second_min: u32,
    pub grace: Duration,
}

impl Pace {
    /// How long so many bytes may take.
    #[must_use]
    pub fn time_for(self, bytes: u64) -> Duration {
        let millis = bytes.saturating_mul(1000) / u64::from(self.bytes_per_second_min.max(1));
        self.grace.saturating_add(Duration::from_millis(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_their_time_and_a_grace() {
        let pace = Pace { bytes_per_second_min: 100, grace: Duration::from_secs(5) };
        assert_eq!(pace.time_for(0), Duration::from_secs(5));
        assert_eq!(pace.time_for(250), Duration::from_millis(7500));
        assert!(pace.time_for(u64::MAX) > Duration::from_secs(1 << 40));
    }
}
