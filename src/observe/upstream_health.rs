//! Whether an upstream answers, as the requests to it find out. Nobody asks it for this alone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::UnixSeconds;

/// How one upstream is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamReading {
    pub upstream: String,
    /// When it answered last, whatever it said. `None`: never since the start.
    pub answered: Option<UnixSeconds>,
    /// What is wrong, where the last request to it got no answer.
    pub failing: Option<Failing>,
}

/// A row of requests without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    pub since: UnixSeconds,
    /// How many, without one that was answered in between.
    pub requests: u64,
    /// The code with which the last of them ended.
    pub code: &'static str,
}

/// What is known of one upstream.
#[derive(Debug, Default)]
pub struct UpstreamHealth {
    /// In seconds since 1970; 0: never.
    answered: AtomicI64,
    failing: Mutex<Option<Failing>>,
    /// Whether there is something in `failing`: 1 or 0. Whoever answers every request must not take a lock for each.
    is_failing: AtomicI64,
}

impl UpstreamHealth {
    /// It answered.
    pub fn answered(&self, now: UnixSeconds) {
        // Once a second at most is written what all workers share.
        if self.answered.load(Ordering::Relaxed) != now.0 {
            self.answered.store(now.0, Ordering::Relaxed);
        }
        if self.is_failing.load(Ordering::Acquire) != 0 {
            *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.is_failing.store(0, Ordering::Release);
        }
    }

    /// It did not, and the request ended with this code.
    pub fn failed(&self, code: &'static str, now: UnixSeconds) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, requests) = failing.map_or((now, 0), |failing| (failing.since, failing.requests));
        *failing = Some(Failing { since, requests: requests.saturating_add(1), code });
        self.is_failing.store(1, Ordering::Release);
    }

    fn reading(&self, upstream: &str) -> UpstreamReading {
        let answered = self.answered.load(Ordering::Relaxed);
        UpstreamReading {
            upstream: upstream.to_owned(),
            answered: (answered != 0).then_some(UnixSeconds(answered)),
            failing: *self.failing.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// All upstreams that were ever in force.
#[derive(Debug, Default)]
pub(super) struct UpstreamHealths(Mutex<BTreeMap<String, Arc<UpstreamHealth>>>);

impl UpstreamHealths {
    pub(super) fn of(&self, upstream: &str) -> Arc<UpstreamHealth> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(upstream.to_owned()).or_default())
    }

    pub(super) fn report(&self) -> Vec<UpstreamReading> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(upstream, health)| health.reading(upstream)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_failures_ends_with_an_answer() {
        let all = UpstreamHealths::default();
        let health = all.of("attributes");
        let reading = || all.report().remove(0);
        assert_eq!((reading().answered, reading().failing), (None, None));
        health.failed("upstream_connect", UnixSeconds(10));
        health.failed("upstream_timeout", UnixSeconds(20));
        let failing = Failing { since: UnixSeconds(10), requests: 2, code: "upstream_timeout" };
        assert_eq!((reading().answered, reading().failing), (None, Some(failing)));
        health.answered(UnixSeconds(30));
        assert_eq!((reading().answered, reading().failing), (Some(UnixSeconds(30)), None));
    }
}
