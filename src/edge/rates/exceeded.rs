//! What a client is told of a rate: that it has been reached, or that little is left.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::policy::Rate;

static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What is limited. The numbers are those of its tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Limited {
    Handshakes,
    HandshakesPerAddress,
    Address,
    Origin,
    Workspace,
    Subject,
    FailingProofs,
    /// New proofs while too many have failed. Only a few are looked at.
    Penalty,
}

impl Limited {
    /// Every one, in the order of their numbers.
    pub const ALL: [Limited; 8] = [
        Limited::Handshakes,
        Limited::HandshakesPerAddress,
        Limited::Address,
        Limited::Origin,
        Limited::Workspace,
        Limited::Subject,
        Limited::FailingProofs,
        Limited::Penalty,
    ];

    /// The stable name in metrics, and in what clients are told.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Limited::Handshakes => "handshakes",
            Limited::HandshakesPerAddress => "handshakes_per_address",
            Limited::Address => "address",
            Limited::Origin => "origin",
            Limited::Workspace => "workspace",
            Limited::Subject => "subject",
            Limited::FailingProofs => "failing_proofs",
            Limited::Penalty => "penalty",
        }
    }
}

/// A rate that has been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rate `{}` has been reached", limited.as_str())]
pub struct Exceeded {
    pub limited: Limited,
    quota: u32,
    window_seconds: u64,
    /// Seconds, at least one, after which a request may be allowed again.
    pub retry_after_seconds: u64,
}

/// A rate of which little is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nearly {
    limited: Limited,
    quota: u32,
    window_seconds: u64,
    remaining: u32,
}

/// A client is told how much is left once that is less than this part of the burst: most answers need no bytes for it.
const TOLD_BELOW: u64 = 8;

impl Exceeded {
    pub(super) fn of(limited: Limited, rate: &Rate, wait: Duration) -> Self {
        let (quota, window_seconds) = quota_and_window(rate);
        Self { limited, quota, window_seconds, retry_after_seconds: whole_seconds(wait) }
    }

    /// The same, with at least so long to wait.
    pub(super) fn not_before(self, wait: Duration) -> Self {
        Self { retry_after_seconds: self.retry_after_seconds.max(whole_seconds(wait)), ..self }
    }

    /// Writes `Retry-After` (RFC 9110 §10.2.3), and `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).
    pub fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after_seconds));
        let Self { limited, quota, window_seconds, retry_after_seconds } = *self;
        tell(headers, limited, quota, window_seconds, 0, Some(retry_after_seconds));
    }
}

impl Nearly {
    pub(super) fn of(limited: Limited, rate: &Rate, remaining: u32) -> Option<Self> {
        // Multiplied, so that the eighth of a small burst is not rounded down to nothing.
        if u64::from(remaining) * TOLD_BELOW >= u64::from(rate.burst.get()) {
            return None;
        }
        let (quota, window_seconds) = quota_and_window(rate);
        Some(Self { limited, quota, window_seconds, remaining })
    }

    /// The one of which the smaller part is left.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        let part = |one: &Self, of: &Self| u64::from(one.remaining) * u64::from(of.quota);
        if part(&other, &self) < part(&self, &other) { other } else { self }
    }

    /// Writes `RateLimit` and `RateLimit-Policy`.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let Self { limited, quota, window_seconds, remaining } = *self;
        tell(headers, limited, quota, window_seconds, remaining, None);
    }
}

/// As many as may come at once, and in how many seconds all of them come back.
fn quota_and_window(rate: &Rate) -> (u32, u64) {
    (rate.burst.get(), whole_seconds(rate.period().saturating_mul(rate.burst.get())))
}

/// Rounded up, and never none: a client that comes back at once would be refused again.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)).max(1)
}

/// Appends: the backend may tell of its own limits. A page of another origin may read what is listed as exposed.
fn tell(headers: &mut HeaderMap, limited: Limited, quota: u32, window: u64, remaining: u32, reset: Option<u64>) {
    let name = limited.as_str();
    let reset = reset.map(|seconds| format!(";t={seconds}")).unwrap_or_default();
    let policy = HeaderValue::try_from(format!("\"{name}\";q={quota};w={window}"));
    let state = HeaderValue::try_from(format!("\"{name}\";r={remaining}{reset}"));
    // Fixed words and numbers are a value.
    if let (Ok(policy), Ok(state)) = (policy, state) {
        headers.append(&RATE_LIMIT_POLICY, policy);
        headers.append(&RATE_LIMIT, state);
    }
    headers.append(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("RateLimit, RateLimit-Policy, Retry-After"),
    );
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::decision::Mode;

    fn rate(count: u32, per_seconds: u64, burst: u32) -> Rate {
        let number = |number| NonZeroU32::new(number).expect("not zero");
        Rate { count: number(count), per: Duration::from_secs(per_seconds), burst: number(burst), mode: Mode::Enforce }
    }

    fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
        headers[name].to_str().expect("text")
    }

    #[test]
    fn a_client_learns_when_to_come_back() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("5"));
        Exceeded::of(Limited::Address, &rate(10, 60, 30), Duration::from_millis(5_001)).tell(&mut headers);
        assert_eq!(header(&headers, "retry-after"), "6");
        assert_eq!(header(&headers, "ratelimit"), "\"address\";r=0;t=6");
        assert_eq!(header(&headers, "ratelimit-policy"), "\"address\";q=30;w=180");
        assert!(header(&headers, "access-control-expose-headers").contains("Retry-After"));
        let at_once = Exceeded::of(Limited::Subject, &rate(1_000, 1, 1), Duration::from_nanos(1));
        assert_eq!((at_once.retry_after_seconds, at_once.window_seconds), (1, 1));
        assert_eq!(at_once.not_before(Duration::from_secs(9)).retry_after_seconds, 9);
    }

    #[test]
    fn a_client_is_told_when_little_is_left_and_of_the_tightest() {
        assert_eq!(Nearly::of(Limited::Address, &rate(10, 1, 80), 10), None);
        for (burst, remaining, is_told) in [(1, 0, true), (4, 0, true), (4, 1, false), (15, 1, true), (16, 2, false)] {
            let told = Nearly::of(Limited::Address, &rate(10, 1, burst), remaining);
            assert_eq!(told.is_some(), is_told, "{remaining} of {burst}");
        }
        let address = Nearly::of(Limited::Address, &rate(10, 1, 80), 9).expect("little is left");
        let subject = Nearly::of(Limited::Subject, &rate(10, 1, 800), 9).expect("little is left");
        assert_eq!(address.tighter(subject), subject);
        assert_eq!(subject.tighter(address), subject);
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit", HeaderValue::from_static("\"theirs\";r=1"));
        address.tell(&mut headers);
        let all: Vec<_> = headers.get_all("ratelimit").iter().collect();
        assert_eq!(all, ["\"theirs\";r=1", "\"address\";r=9"]);
        assert!(!headers.contains_key("retry-after"));
    }
}
