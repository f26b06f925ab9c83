//! Times and spans as people say them.

/// Units of a span, the longest first, with their seconds.
const UNITS: [(i128, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];

/// `3 hours 12 minutes`: the longest unit that it fills, and the next one where that is not nothing. Whoever wants to know more has the numbers.
#[must_use]
pub fn span(seconds: i128) -> String {
    let first = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let mut left = seconds;
    let mut words = Vec::new();
    for (unit, noun) in UNITS.iter().skip(first).take(2) {
        let number = left / unit;
        left %= unit;
        if number > 0 || words.is_empty() {
            words.push(counted(number, noun));
        }
    }
    // `1 day` and no hour: the minutes would say a precision that the words do not have.
    words.join(" ")
}

/// `1 key`, `2 keys`.
#[must_use]
pub fn counted(number: i128, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// `2026-11-18T12:26:40Z`; beyond the calendar, the number alone.
#[must_use]
pub fn moment(seconds: i128) -> String {
    let timestamp = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    timestamp.map_or_else(|| format!("second {seconds}"), |timestamp| timestamp.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: i128, expected: &str) {
        assert_eq!(span(seconds), expected);
    }

    #[test]
    fn a_span_is_its_two_longest_units() {
        check(0, "0 seconds");
        check(1, "1 second");
        check(59, "59 seconds");
        check(60, "1 minute");
        check(61, "1 minute 1 second");
        check(11_520, "3 hours 12 minutes");
        check(11_579, "3 hours 12 minutes");
        check(3_601, "1 hour");
        check(86_399, "23 hours 59 minutes");
        check(86_400, "1 day");
        check(90_000, "1 day 1 hour");
        check(i128::from(i64::MAX), "106751991167300 days 15 hours");
    }

    #[test]
    fn a_moment_is_a_date_where_there_is_one() {
        assert_eq!(moment(0), "1970-01-01T00:00:00Z");
        assert_eq!(moment(4_102_444_800), "2100-01-01T00:00:00Z");
        assert_eq!(moment(-1), "1969-12-31T23:59:59Z");
        assert_eq!(moment(i128::from(i64::MIN)), "second -9223372036854775808");
        assert_eq!(moment(i128::MAX), format!("second {}", i128::MAX));
    }
}
