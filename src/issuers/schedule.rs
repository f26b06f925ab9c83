//! When an issuer is asked: on time, after a failure, and for a key that was missing. It reads no clock.

use std::time::{Duration, Instant};

/// From one fetch for a key that was missing to the next, in whatever number such tokens come: anybody can make up a `kid`, and nobody
/// shall make us flood an issuer.
const MISSED_COOLDOWN: Duration = Duration::from_secs(30);

/// After the first failure; doubled with each, and never longer than `refresh`.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(5 * 60);

/// The part of `refresh` by which a fetch may come early: many gateways that started together shall not ask together.
const JITTER_PART: u32 = 8;

/// When one issuer is asked.
#[derive(Debug)]
pub(super) struct Schedule {
    refresh: Duration,
    /// By the clock alone.
    next: Instant,
    /// `Some` while a key is missing that nobody has asked for yet.
    missed_since: Option<Instant>,
    /// When the issuer was asked for a missing key the last time.
    asked_for_missed: Option<Instant>,
    failures: u32,
    is_asking: bool,
    /// Somebody wants it asked once more than is being done: the answer under way may be of before.
    is_hastened: bool,
}

impl Schedule {
    /// Due at once.
    pub(super) fn new(refresh: Duration, now: Instant) -> Self {
        Self {
            refresh,
            next: now,
            missed_since: None,
            asked_for_missed: None,
            failures: 0,
            is_asking: false,
            is_hastened: false,
        }
    }

    /// A key was missing, by what is known at `now`.
    pub(super) fn missed(&mut self, now: Instant) {
        self.missed_since.get_or_insert(now);
    }

    /// Somebody wants it asked, whatever the times say.
    pub(super) fn hasten(&mut self, now: Instant) {
        self.is_hastened = self.is_asking;
        self.next = self.next.min(now);
    }

    /// When to ask; `None` while somebody does.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.is_asking {
            return None;
        }
        let for_missed = self.missed_since.map(|since| {
            let cooled = self.asked_for_missed.map(|asked| asked + MISSED_COOLDOWN);
            cooled.map_or(since, |cooled| cooled.max(since))
        });
        Some(for_missed.map_or(self.next, |for_missed| for_missed.min(self.next)))
    }

    /// Whether to ask now. Who is told so asks, and says how it went.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        if self.due().is_none_or(|due| due > now) {
            return false;
        }
        self.is_asking = true;
        // Whatever the reason was, the answer is to both.
        if self.missed_since.take().is_some() && self.next > now {
            self.asked_for_missed = Some(now);
        }
        true
    }

    /// The issuer has answered. `jitter` is drawn.
    pub(super) fn confirmed(&mut self, now: Instant, jitter: u8) {
        self.failures = 0;
        self.answered(now, shortened(self.refresh, jitter));
    }

    /// It has not, or not well.
    pub(super) fn failed(&mut self, now: Instant, jitter: u8) {
        let doubled = BACKOFF_FIRST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        let wait = doubled.min(BACKOFF_MAX).min(self.refresh);
        self.failures = self.failures.saturating_add(1);
        self.answered(now, shortened(wait, jitter));
    }

    fn answered(&mut self, now: Instant, wait: Duration) {
        self.is_asking = false;
        self.next = if std::mem::take(&mut self.is_hastened) { now } else { now + wait };
    }
}

fn shortened(wait: Duration, jitter: u8) -> Duration {
    wait.saturating_sub(wait / JITTER_PART * u32::from(jitter) / u32::from(u8::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REFRESH: Duration = Duration::from_secs(600);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn it_is_asked_at_once_and_then_on_time() {
        let start = Instant::now();
        let mut schedule = Schedule::new(REFRESH, start);
        assert!(schedule.begin(start));
        assert!(!schedule.begin(start + seconds(9000)), "somebody asks already");
        assert_eq!(schedule.due(), None);
        schedule.confirmed(start + seconds(2), 0);
        assert!(!schedule.begin(start + seconds(601)));
        assert!(schedule.begin(start + seconds(602)));
        schedule.confirmed(start, u8::MAX);
        assert_eq!(schedule.due(), Some(start + seconds(525)), "an eighth early at most");
    }

    #[test]
    fn failures_are_further_and_further_apart_and_never_further_than_a_fetch_on_time() {
        let start = Instant::now();
        let waits = |refresh: Duration| {
            let mut schedule = Schedule::new(refresh, start);
            (0..12)
                .map(|_| {
                    let now = schedule.due().expect("due");
                    assert!(schedule.begin(now));
                    schedule.failed(now, 0);
                    schedule.due().expect("due").duration_since(now).as_secs()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(waits(REFRESH), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(waits(seconds(5)), [1, 2, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5]);
        let mut schedule = Schedule::new(REFRESH, start);
        for _ in 0..100 {
            schedule.begin(schedule.due().expect("due"));
            schedule.failed(start, 0);
        }
        schedule.confirmed(start, 0);
        schedule.failed(start, 0);
        assert_eq!(schedule.due(), Some(start + seconds(1)), "an answer ends it");
    }

    #[test]
    fn a_missing_key_is_asked_for_at_once_and_then_not_again_for_a_while() {
        let start = Instant::now();
        let mut schedule = Schedule::new(REFRESH, start);
        assert!(schedule.begin(start));
        schedule.confirmed(start, 0);
        let missed = start + seconds(10);
        schedule.missed(missed);
        assert!(schedule.begin(missed));
        // Whoever floods meanwhile is answered by one more fetch, after the cooldown.
        for at in 10..40 {
            schedule.missed(start + seconds(at));
        }
        schedule.confirmed(missed + seconds(1), 0);
        assert!(!schedule.begin(missed + seconds(29)));
        assert!(schedule.begin(missed + MISSED_COOLDOWN));
        schedule.confirmed(missed + MISSED_COOLDOWN, 0);
        assert_eq!(schedule.due(), Some(missed + MISSED_COOLDOWN + REFRESH));
    }

    #[test]
    fn who_runs_the_gateway_may_ask_at_any_time() {
        let start = Instant::now();
        let mut schedule = Schedule::new(REFRESH, start);
        assert!(schedule.begin(start));
        schedule.confirmed(start, 0);
        let now = start + seconds(5);
        schedule.hasten(now);
        assert!(schedule.begin(now));
        schedule.hasten(now);
        assert_eq!(schedule.due(), None, "somebody asks already");
        schedule.confirmed(now, 0);
        assert!(schedule.begin(now), "what was under way may be of before");
        schedule.failed(now, 0);
        assert_eq!(schedule.due(), Some(now + seconds(1)));
    }

    #[test]
    fn a_fetch_that_was_due_anyway_answers_for_a_missing_key_and_costs_no_cooldown() {
        let start = Instant::now();
        let mut schedule = Schedule::new(REFRESH, start);
        schedule.missed(start);
        assert!(schedule.begin(start));
        schedule.confirmed(start, 0);
        assert_eq!(schedule.due(), Some(start + REFRESH));
        schedule.missed(start + seconds(1));
        assert!(schedule.begin(start + seconds(1)));
    }

    proptest! {
        /// However many tokens come, and whatever the issuer does: no more fetches than the times allow.
        #[test]
        fn nobody_can_make_us_ask_more_often(events in prop::collection::vec((0_u64..5, 0_u8..4), 0..600)) {
            let start = Instant::now();
            let mut schedule = Schedule::new(REFRESH, start);
            let (mut now, mut fetches) = (start, 0_u32);
            for (pause, event) in events {
                now += seconds(pause);
                match event {
                    0 | 1 => schedule.missed(now),
                    2 if schedule.begin(now) => {
                        fetches += 1;
                        schedule.confirmed(now, 255);
                    }
                    _ => {}
                }
            }
            let elapsed = now.duration_since(start).as_secs();
            let most = 2 + elapsed / MISSED_COOLDOWN.as_secs() + elapsed / 525;
            prop_assert!(u64::from(fetches) <= most, "{fetches} in {elapsed} s");
        }
    }
}
