//! The times of a token: when it begins and ends, by the clock we are told.

use std::time::Duration;

use super::verdict::{TimeClaim, TokenError};
use crate::clock::UnixSeconds;
use crate::decision::Value;
use crate::policy::{Expiry, IdentityPolicy};

/// What a policy says of times, in whole seconds. A fraction of a second is rounded to the strict side.
///
/// Sums are of 128 bits: no sum of the 64-bit numbers that a token or a policy can hold overflows.
pub(super) struct TimeRules {
    expiry: Expiry,
    lifetime_seconds_max: Option<i128>,
    leeway_seconds: i128,
}

/// What a token that was admitted says of its times, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub exp: Option<i64>,
    pub iat: Option<i64>,
    /// The first second in which it is refused, with the leeway. `None`: it never ends.
    pub until: Option<i64>,
}

/// When a token ends. That one never does is something the policy must have said.
enum End {
    At(i128),
    Never,
}

/// From here on a number of seconds is past the year 33658, and far more likely milliseconds: thirteen digits.
const MILLISECONDS_FROM: i64 = 1_000_000_000_000;

impl TimeRules {
    pub(super) fn new(policy: &IdentityPolicy) -> Self {
        let seconds = |duration: Duration| i128::from(duration.as_secs());
        Self {
            expiry: policy.expiry,
            lifetime_seconds_max: policy.max_lifetime.map(seconds),
            leeway_seconds: seconds(policy.leeway),
        }
    }

    /// For encrypted settings, of which none must say when it ends: those that do are held to it.
    pub(super) fn of_sealed(policy: &IdentityPolicy) -> Self {
        Self { expiry: Expiry::Optional, lifetime_seconds_max: None, ..Self::new(policy) }
    }

    /// For collector tickets, each of which says when it ends.
    pub(super) fn of_tickets(policy: &IdentityPolicy, lifetime_max: Duration) -> Self {
        let lifetime_seconds_max = Some(i128::from(lifetime_max.as_secs()));
        Self { expiry: Expiry::Required, lifetime_seconds_max, ..Self::new(policy) }
    }

    /// Admits claims that are in force at `now` and not for longer than they may be.
    pub(super) fn admit(&self, claims: &Value<'_>, now: UnixSeconds) -> Result<Times, TokenError> {
        let exp = seconds(claims, TimeClaim::Exp)?;
        let nbf = seconds(claims, TimeClaim::Nbf)?;
        let iat = seconds(claims, TimeClaim::Iat)?;
        let now = i128::from(now.0);
        let until = match self.end(exp, iat)? {
            // "On or after which it MUST NOT be accepted" (RFC 7519 §4.1.4): the second of `exp` is late.
            End::At(end) if now >= end + self.leeway_seconds => return Err(TokenError::Expired),
            End::At(end) => Some(i64::try_from(end + self.leeway_seconds).unwrap_or(i64::MAX)),
            End::Never => None,
        };
        // A token of tomorrow, also by its `iat`: signed by a clock that is wrong, or kept for later.
        if [nbf, iat].into_iter().flatten().any(|begin| begin > now + self.leeway_seconds) {
            return Err(TokenError::NotYetValid);
        }
        match (exp, self.lifetime_seconds_max) {
            (Some(exp), Some(max))
                if exp - now > max + self.leeway_seconds || iat.is_some_and(|iat| exp - iat > max) =>
            {
                Err(TokenError::LifetimeTooLong)
            }
            (Some(_) | None, Some(_) | None) => {
                // They were read as numbers of 64 bits.
                let narrow = |time: Option<i128>| time.and_then(|time| i64::try_from(time).ok());
                Ok(Times { exp: narrow(exp), iat: narrow(iat), until })
            }
        }
    }

    fn end(&self, exp: Option<i128>, iat: Option<i128>) -> Result<End, TokenError> {
        match (exp, self.expiry) {
            (Some(exp), Expiry::Required | Expiry::Optional) => Ok(End::At(exp)),
            (None, Expiry::Required) => Err(TokenError::ExpiryMissing),
            (None, Expiry::Optional) => match (self.lifetime_seconds_max, iat) {
                (None, _) => Ok(End::Never),
                (Some(max), Some(iat)) => Ok(End::At(iat + max)),
                // Neither its end nor its beginning is known, so that nobody can say that it is not too old.
                (Some(_), None) => Err(TokenError::ExpiryMissing),
            },
        }
    }
}

/// The seconds of a claim, where it is there. An integer in digits: `"1"`, `1.0` and `1e9` are other things to other readers.
fn seconds(claims: &Value<'_>, claim: TimeClaim) -> Result<Option<i128>, TokenError> {
    let digits = match claims.member(claim.name()) {
        None => return Ok(None),
        Some(Value::Number(digits)) => digits,
        Some(Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Object(_)) => {
            return Err(TokenError::NotInteger(claim));
        }
    };
    if !is_integer(digits) {
        return Err(TokenError::NotInteger(claim));
    }
    let seconds: i64 = digits.parse().map_err(|_| TokenError::OutOfRange(claim))?;
    if seconds >= MILLISECONDS_FROM {
        return Err(TokenError::InMilliseconds(claim));
    }
    Ok(Some(i128::from(seconds)))
}

/// Whether a number is written as an integer: digits, and perhaps a minus.
pub(super) fn is_integer(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use TimeClaim::{Exp, Iat, Nbf};

    use super::*;
    use crate::envelope::json;
    use crate::identity::testing;
    use crate::policy::Limits;

    // The clock of these tests stands at 1000.
    #[track_caller]
    fn check_with(policy: &IdentityPolicy, claims: &str, expected: Result<(), TokenError>) {
        let limits = Limits::default();
        let value = json::read(claims.as_bytes(), &limits).expect("claims");
        let admitted = TimeRules::new(policy).admit(&value, UnixSeconds(1000));
        assert_eq!(admitted.map(|_| ()), expected, "{claims}");
    }

    #[track_caller]
    fn check(claims: &str, expected: Result<(), TokenError>) {
        check_with(&testing::policy(), claims, expected);
    }

    fn lifetime(seconds: u64, expiry: Expiry) -> IdentityPolicy {
        IdentityPolicy { max_lifetime: Some(Duration::from_secs(seconds)), expiry, ..testing::policy() }
    }

    #[test]
    fn the_times_are_those_that_it_says() {
        let value = json::read(br#"{"exp":2000,"iat":-7,"nbf":3}"#, &Limits::default()).expect("claims");
        let times = TimeRules::new(&testing::policy()).admit(&value, UnixSeconds(1000));
        assert_eq!(times, Ok(Times { exp: Some(2000), iat: Some(-7), until: Some(2030) }));
    }

    #[test]
    fn a_second_late_is_late() {
        // The leeway is 30 seconds.
        check(r#"{"exp":1001}"#, Ok(()));
        check(r#"{"exp":971}"#, Ok(()));
        check(r#"{"exp":970}"#, Err(TokenError::Expired));
        check(r#"{"exp":0}"#, Err(TokenError::Expired));
        check(r#"{"exp":-0}"#, Err(TokenError::Expired));
        check(r#"{"exp":-1}"#, Err(TokenError::Expired));
        check(r#"{"exp":-9223372036854775808}"#, Err(TokenError::Expired));
        let strict = IdentityPolicy { leeway: Duration::ZERO, ..testing::policy() };
        check_with(&strict, r#"{"exp":1001}"#, Ok(()));
        check_with(&strict, r#"{"exp":1000}"#, Err(TokenError::Expired));
    }

    #[test]
    fn a_second_early_is_early() {
        check(r#"{"exp":2000,"nbf":1030}"#, Ok(()));
        check(r#"{"exp":2000,"nbf":1031}"#, Err(TokenError::NotYetValid));
        check(r#"{"exp":2000,"iat":1030}"#, Ok(()));
        check(r#"{"exp":2000,"iat":1031}"#, Err(TokenError::NotYetValid));
        check(r#"{"exp":2000,"nbf":-5,"iat":-5}"#, Ok(()));
    }

    #[test]
    fn a_time_is_an_integer_in_seconds() {
        for (claim, name) in [(Exp, "exp"), (Nbf, "nbf"), (Iat, "iat")] {
            // The same name twice is for the reader to refuse, so that the other two stay as they are.
            let with = |value: &str| match claim {
                Exp => format!(r#"{{"exp":{value}}}"#),
                Nbf | Iat => format!(r#"{{"exp":2000,"{name}":{value}}}"#),
            };
            for value in ["\"1001\"", "1001.0", "1001.5", "1e3", "1E3", "true", "null", "[1001]", "{\"a\":1}", "\"\""] {
                check(&with(value), Err(TokenError::NotInteger(claim)));
            }
            for value in ["1000000000000", "1700000000000", "9223372036854775807"] {
                check(&with(value), Err(TokenError::InMilliseconds(claim)));
            }
            for value in ["9223372036854775808", "-9223372036854775809", "123456789012345678901234567890"] {
                check(&with(value), Err(TokenError::OutOfRange(claim)));
            }
        }
        check(r#"{"exp":999999999999}"#, Ok(()));
    }

    #[test]
    fn a_token_without_an_end_is_one_that_the_policy_allows() {
        check("{}", Err(TokenError::ExpiryMissing));
        check(r#"{"iat":1000}"#, Err(TokenError::ExpiryMissing));
        check(r#"{"EXP":2000}"#, Err(TokenError::ExpiryMissing));
        let optional = IdentityPolicy { expiry: Expiry::Optional, ..testing::policy() };
        check_with(&optional, "{}", Ok(()));
        check_with(&optional, r#"{"exp":970}"#, Err(TokenError::Expired));
        check_with(&optional, r#"{"exp":null}"#, Err(TokenError::NotInteger(Exp)));
    }

    #[test]
    fn a_token_lives_no_longer_than_the_policy_allows() {
        let policy = lifetime(100, Expiry::Required);
        check_with(&policy, r#"{"exp":1130}"#, Ok(()));
        check_with(&policy, r#"{"exp":1131}"#, Err(TokenError::LifetimeTooLong));
        check_with(&policy, r#"{"exp":1050,"iat":950}"#, Ok(()));
        check_with(&policy, r#"{"exp":1050,"iat":949}"#, Err(TokenError::LifetimeTooLong));
        check_with(&policy, r#"{"exp":1050,"iat":-9223372036854775808}"#, Err(TokenError::LifetimeTooLong));
        check_with(&policy, r#"{"exp":999999999999}"#, Err(TokenError::LifetimeTooLong));
        check(r#"{"exp":999999999999,"iat":1}"#, Ok(()));
    }

    #[test]
    fn without_an_end_the_longest_life_counts_from_the_beginning() {
        let policy = lifetime(100, Expiry::Optional);
        check_with(&policy, r#"{"iat":871}"#, Ok(()));
        check_with(&policy, r#"{"iat":870}"#, Err(TokenError::Expired));
        check_with(&policy, "{}", Err(TokenError::ExpiryMissing));
        check_with(&policy, r#"{"nbf":900}"#, Err(TokenError::ExpiryMissing));
    }

    #[test]
    fn the_longest_durations_overflow_nothing() {
        let policy = IdentityPolicy {
            max_lifetime: Some(Duration::MAX),
            leeway: Duration::MAX,
            expiry: Expiry::Optional,
            ..testing::policy()
        };
        check_with(&policy, r#"{"exp":-9223372036854775808,"iat":999999999999}"#, Ok(()));
        check_with(&policy, r#"{"iat":-9223372036854775808}"#, Ok(()));
    }

    #[test]
    fn what_is_in_force_says_until_when() {
        let until = |policy: &IdentityPolicy, claims: &str| {
            let value = json::read(claims.as_bytes(), &Limits::default()).expect("claims");
            TimeRules::new(policy).admit(&value, UnixSeconds(1000)).map(|term| (term.iat, term.until))
        };
        assert_eq!(until(&testing::policy(), r#"{"exp":2000,"iat":900}"#), Ok((Some(900), Some(2030))));
        assert_eq!(until(&testing::policy(), r#"{"exp":2000}"#), Ok((None, Some(2030))));
        assert_eq!(until(&lifetime(100, Expiry::Optional), r#"{"iat":950}"#), Ok((Some(950), Some(1080))));
        let optional = IdentityPolicy { expiry: Expiry::Optional, ..testing::policy() };
        assert_eq!(until(&optional, "{}"), Ok((None, None)));
    }
}
