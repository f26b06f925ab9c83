//! Durations and sizes as operators write them.

use std::time::Duration;

/// What no duration is.
pub(super) const DURATION_EXPECTED: &str = "expected a duration such as `500ms`, `30s`, `5m`, `2h` or `7d`";
/// What no size is.
pub(super) const SIZE_EXPECTED: &str = "expected a size such as `512 B`, `256 KiB`, `1 MiB` or `2 GiB`";

/// Durations beyond a hundred years are slips.
const DURATION_DAYS_MAX: u64 = 36_500;

/// Reads a whole number and one of `ms`, `s`, `m`, `h`, `d`.
///
/// # Errors
///
/// What was expected.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    let (number, unit) = number_and_unit(text).ok_or(DURATION_EXPECTED)?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3_600),
        "d" => Duration::from_secs(86_400),
        _ => return Err(DURATION_EXPECTED),
    };
    let number = u32::try_from(number).map_err(|_| DURATION_EXPECTED)?;
    let duration = unit.checked_mul(number).ok_or(DURATION_EXPECTED)?;
    if duration > Duration::from_secs(DURATION_DAYS_MAX * 86_400) { Err(DURATION_EXPECTED) } else { Ok(duration) }
}

/// Reads a whole number and one of `B`, `KiB`, `MiB`, `GiB`. `KB` is refused: some take it for 1000 bytes and some for 1024.
pub(super) fn bytes(text: &str) -> Result<u64, &'static str> {
    let (number, unit) = number_and_unit(text).ok_or(SIZE_EXPECTED)?;
    let unit: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(SIZE_EXPECTED),
    };
    number.checked_mul(unit).ok_or(SIZE_EXPECTED)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.strip_prefix(' ').unwrap_or(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_their_near_misses() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5 m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in
            ["", "30", "s", "-1s", "1.5s", "30S", "30  s", "30s ", "1h30m", "99999999999s", "40000d", "3\u{fc}"]
        {
            assert_eq!(duration(wrong), Err(DURATION_EXPECTED), "{wrong}");
        }
    }

    #[test]
    fn sizes_and_their_near_misses() {
        assert_eq!(bytes("512B"), Ok(512));
        assert_eq!(bytes("256 KiB"), Ok(262_144));
        assert_eq!(bytes("1 MiB"), Ok(1_048_576));
        assert_eq!(bytes("2 GiB"), Ok(2_147_483_648));
        for wrong in
            ["", "1", "1 KB", "1 kib", "1 M", "KiB", "-1 B", "99999999999999999999 B", "18446744073709551615 KiB"]
        {
            assert_eq!(bytes(wrong), Err(SIZE_EXPECTED), "{wrong}");
        }
    }
}
