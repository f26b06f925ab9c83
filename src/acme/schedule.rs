//! When a certificate is renewed: by the authority's advice (ARI, RFC 9773), else by its age; and when again after a failure. It reads no clock.

use std::time::Duration;

/// From when to when something is, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) begins: i64,
    pub(super) ends: i64,
}

impl Span {
    pub(super) fn seconds(self) -> i64 {
        self.ends.saturating_sub(self.begins).max(0)
    }

    /// The moment after this part of it, in thousandths.
    fn at(self, thousandths: i64) -> i64 {
        let part = i128::from(self.seconds()) * i128::from(thousandths) / 1000;
        self.begins.saturating_add(i64::try_from(part).unwrap_or(0))
    }
}

/// Without advice a certificate is renewed after two thirds of its life, and earlier by up to a twentieth of it: whole fleets were issued
/// together.
const RENEW_AT_THOUSANDTHS: i64 = 667;
const JITTER_THOUSANDTHS: i64 = 50;

/// No advice puts a renewal off beyond this part of the life: there must be time for failures.
const RENEW_BY_THOUSANDTHS: i64 = 917;

/// However urgent the advice is, a certificate that was just issued is not replaced at once: an authority that says "now" each time would
/// have us order without end. At most this, and for short lives a part of them.
const RENEWAL_INTERVAL_MIN: i64 = 6 * 60 * 60;
const RENEWAL_INTERVAL_PART: i64 = 4;

/// When to renew a certificate that lives this long. `drawn`: 0 to 65535.
pub(super) fn by_age(life: Span, drawn: u16) -> i64 {
    life.at(RENEW_AT_THOUSANDTHS - JITTER_THOUSANDTHS * i64::from(drawn) / i64::from(u16::MAX))
}

/// When to renew by the authority's advice: any moment of the window, within what we allow. `None`: the window is none.
pub(super) fn by_advice(life: Span, window: Span, drawn: u16) -> Option<i64> {
    if window.ends <= window.begins {
        return None;
    }
    let moment = i128::from(window.begins)
        + (i128::from(window.ends) - i128::from(window.begins)) * i128::from(drawn) / i128::from(u16::MAX);
    let earliest = life.begins.saturating_add(interval(life));
    Some(i64::try_from(moment).ok()?.clamp(earliest, life.at(RENEW_BY_THOUSANDTHS).max(earliest)))
}

/// From one certificate to the next, in seconds, for certificates of this life.
pub(super) fn interval(life: Span) -> i64 {
    RENEWAL_INTERVAL_MIN.min(life.seconds() / RENEWAL_INTERVAL_PART)
}

/// How long the authority's advice holds, whatever it says (RFC 9773 §4.3.2).
const ADVICE_MIN: i64 = 60;
const ADVICE_MAX: i64 = 24 * 60 * 60;

/// When to ask for advice again, for a certificate of this life: one that lives for hours shall not sleep over a day.
pub(super) fn ask_again(now: i64, retry_after: Duration, life: Span) -> i64 {
    let seconds = i64::try_from(retry_after.as_secs()).unwrap_or(ADVICE_MAX).clamp(ADVICE_MIN, ADVICE_MAX);
    now.saturating_add(seconds.min((life.seconds() / 8).max(1)))
}

/// After a failure of an order, which authorities count (Let's Encrypt: five failed validations an hour): 5 minutes, doubled each time.
const ORDER_BACKOFF_FIRST: i64 = 5 * 60;
const ORDER_BACKOFF_MAX: i64 = 12 * 60 * 60;

/// After a failure that never reached the authority.
const REACH_BACKOFF_FIRST: i64 = 30;
const REACH_BACKOFF_MAX: i64 = 60 * 60;

/// What an authority asks us to wait at most.
const HELD_MAX: i64 = 24 * 60 * 60;

/// When to try again after this many failures in a row, this one included.
pub(super) fn after_failure(now: i64, failures: u32, is_cheap: bool, held_until: Option<i64>, drawn: u16) -> i64 {
    let (first, most) =
        if is_cheap { (REACH_BACKOFF_FIRST, REACH_BACKOFF_MAX) } else { (ORDER_BACKOFF_FIRST, ORDER_BACKOFF_MAX) };
    let doubled = first.saturating_mul(1_i64.checked_shl(failures.saturating_sub(1).min(40)).unwrap_or(i64::MAX));
    // Never earlier, since the limits of authorities are to the minute.
    let wait = doubled.min(most);
    let wait = wait + wait / 10 * i64::from(drawn) / i64::from(u16::MAX);
    let held = held_until.map_or(0, |until| until.saturating_sub(now).clamp(0, HELD_MAX));
    now.saturating_add(wait.max(held))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 24 * 60 * 60;
    const NOW: i64 = 1_795_000_000;
    const LIFE: Span = Span { begins: NOW, ends: NOW + 90 * DAY };

    fn window(from: i64, to: i64) -> Span {
        Span { begins: from, ends: to }
    }

    #[test]
    fn without_advice_at_two_thirds_and_not_all_at_once() {
        assert_eq!((by_age(LIFE, 0) - NOW) / DAY, 60);
        assert_eq!((by_age(LIFE, u16::MAX) - NOW) / DAY, 55);
        let six_days = Span { begins: NOW, ends: NOW + 6 * DAY };
        assert_eq!((by_age(six_days, 0) - NOW) / DAY, 4);
        let none = Span { begins: NOW, ends: NOW };
        assert_eq!(by_age(none, 0), NOW);
    }

    #[test]
    fn advice_is_taken_within_bounds() {
        let advised = window(NOW + 50 * DAY, NOW + 52 * DAY);
        assert_eq!(by_advice(LIFE, advised, 0), Some(NOW + 50 * DAY));
        assert_eq!(by_advice(LIFE, advised, u16::MAX), Some(NOW + 52 * DAY));
        assert_eq!(
            by_advice(LIFE, window(NOW - 9 * DAY, NOW - DAY), 7),
            Some(NOW + 6 * 60 * 60),
            "now, but not without end"
        );
        let late = by_advice(LIFE, window(NOW + 200 * DAY, NOW + 300 * DAY), 7).expect("a moment");
        assert!(late < LIFE.ends - 7 * DAY, "whatever it says, not when it is too late");
        for bad in [window(NOW, NOW), window(NOW + 1, NOW), window(i64::MAX, i64::MIN)] {
            assert_eq!(by_advice(LIFE, bad, 7), None);
        }
        let minute = Span { begins: NOW, ends: NOW + 60 };
        assert_eq!(by_advice(minute, window(0, 1), 0), Some(NOW + 15));
    }

    #[test]
    fn advice_holds_for_a_while_whatever_it_says() {
        assert_eq!(ask_again(NOW, Duration::ZERO, LIFE), NOW + 60);
        assert_eq!(ask_again(NOW, Duration::from_secs(6 * 60 * 60), LIFE), NOW + 6 * 60 * 60);
        assert_eq!(ask_again(NOW, Duration::from_secs(u64::MAX), LIFE), NOW + DAY);
        assert_eq!(ask_again(NOW, Duration::from_secs(DAY.unsigned_abs()), window(NOW, NOW + 80)), NOW + 10);
    }

    #[test]
    fn failures_are_further_and_further_apart_and_fewer_than_authorities_count() {
        let waits =
            |is_cheap| (1..12).map(|failures| after_failure(0, failures, is_cheap, None, 0)).collect::<Vec<_>>();
        assert_eq!(waits(false)[..6], [300, 600, 1200, 2400, 4800, 9600]);
        assert_eq!(waits(false)[10], 12 * 60 * 60);
        assert_eq!(waits(true)[..4], [30, 60, 120, 240]);
        assert_eq!(waits(true)[10], 60 * 60);
        let in_the_first_hour = waits(false)
            .iter()
            .scan(0, |at, wait| {
                *at += wait;
                Some(*at)
            })
            .filter(|at| *at < 3600)
            .count();
        assert!(in_the_first_hour < 4, "with the first try less than five");
        assert_eq!(after_failure(0, 1, false, Some(5000), 0), 5000, "who says when is heard");
        assert_eq!(after_failure(0, 1, false, Some(i64::MAX), 0), DAY, "within reason");
        assert_eq!(after_failure(NOW, u32::MAX, false, Some(0), 0), NOW + 12 * 60 * 60);
    }

    proptest! {
        #[test]
        fn nothing_overflows_and_advice_stays_inside_the_life(
            begins in any::<i64>(), ends in any::<i64>(), from in any::<i64>(), to in any::<i64>(), drawn: u16,
        ) {
            let life = Span { begins, ends };
            by_age(life, drawn);
            ask_again(from, Duration::from_secs(to.unsigned_abs()), life);
            after_failure(from, drawn.into(), drawn % 2 == 0, Some(to), drawn);
            if let Some(moment) = by_advice(life, window(from, to), drawn) && ends > begins {
                prop_assert!(moment >= begins && moment <= ends);
            }
        }
    }
}
