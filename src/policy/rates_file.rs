//! `[rates]` of `gateway.toml` and of workspaces.

use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;

use super::finding::Findings;
use super::limits_file::positive_duration;
use super::rates::{Penalty, RATE_COUNT_MAX, Rate, Rates, WorkspaceRates};
use super::reader::{Placed, Table, Value};
use super::schemas::{Count, DurationText, RateText};
use super::source::Source;
use crate::decision::Mode;

/// How often things may be asked for. What is not named keeps its default.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawRates {
    /// TLS handshakes of all clients together. Default: 5000/s, burst 20000.
    handshakes: Option<Placed<RawRate>>,
    /// TLS handshakes from one address. Default: 100/s, burst 1000.
    handshakes_per_address: Option<Placed<RawRate>>,
    /// Requests from one address (a /64 of IPv6). Default: 500/s, burst 5000.
    requests_per_address: Option<Placed<RawRate>>,
    /// Requests from the pages of one origin. Default: off.
    requests_per_origin: Option<Placed<RawRate>>,
    /// Requests to one workspace. Default: off.
    requests_per_workspace: Option<Placed<RawRate>>,
    /// Requests of one user whom a proof names. Default: 20/s, burst 500.
    requests_per_subject: Option<Placed<RawRate>>,
    /// Proofs that do not hold, from one address to one workspace. Default: 1/s, burst 100.
    failing_proofs: Option<Placed<RawRate>>,
    penalty: Option<Placed<RawPenalty>>,
}

/// What follows too many proofs that do not hold: new proofs are refused unread for a while.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RawPenalty {
    /// The first time. Default: 10s.
    #[schemars(with = "Option<DurationText>")]
    first: Option<Placed<Duration>>,
    /// Each time it begins again it is twice as long, up to this. Default: 10m.
    #[schemars(with = "Option<DurationText>")]
    longest: Option<Placed<Duration>>,
}

/// Rates of this workspace alone, in place of the gateway's.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawWorkspaceRates {
    /// Requests to this workspace. Default: as `requests_per_workspace` of the gateway.
    requests: Option<Placed<RawRate>>,
    /// Requests of one of its users whom a proof names. Default: as the gateway.
    requests_per_subject: Option<Placed<RawRate>>,
}

/// So many in a second, minute or hour, and so many at once.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RawRate {
    #[schemars(with = "Option<RateText>")]
    rate: Option<Placed<(NonZeroU32, Duration)>>,
    /// How many may come at once. Default: as many as `rate` says.
    #[schemars(with = "Option<Count>")]
    burst: Option<Placed<NonZeroU32>>,
    /// Default: enforce.
    mode: Option<Placed<Mode>>,
}

const RATE_EXPECTED: &str = "expected a rate such as `100/s`, `30/m` or `10/h`";

/// Reads a whole number, a slash, and one of `s`, `m`, `h`.
fn parse_rate(text: &str) -> Result<(NonZeroU32, Duration), &'static str> {
    let (count, unit) = text.split_once('/').ok_or(RATE_EXPECTED)?;
    let per = match unit {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3_600),
        _ => return Err(RATE_EXPECTED),
    };
    // `parse` takes a sign too.
    if !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(RATE_EXPECTED);
    }
    let count: NonZeroU32 = count.parse().map_err(|_| RATE_EXPECTED)?;
    if count.get() > RATE_COUNT_MAX { Err("expected at most 1000000 in a unit of time") } else { Ok((count, per)) }
}

fn read_rate(value: &Value<'_>) -> Option<Placed<RawRate>> {
    value.table(|table| RawRate {
        rate: table.optional("rate", |value| value.parsed(parse_rate)),
        burst: table.optional("burst", |value| {
            let count = value.integer(1..=RATE_COUNT_MAX)?;
            let burst = NonZeroU32::new(count.value)?;
            Some(count.map(|_| burst))
        }),
        mode: table.optional("mode", Value::keyword),
    })
}

impl RawRate {
    /// What is not said is as in `standard`; but where a rate is named, the burst goes with it, and whoever names a rate wants it kept.
    fn resolve(self, standard: Rate) -> Rate {
        let Self { rate, burst, mode } = self;
        let names_one = rate.is_some() || burst.is_some();
        let (count, per, usual_burst) = match rate {
            Some(Placed { value: (count, per), .. }) => (count, per, count),
            None => (standard.count, standard.per, standard.burst),
        };
        let usual_mode = if names_one { Mode::Enforce } else { standard.mode };
        Rate {
            count,
            per,
            burst: burst.map_or(usual_burst, |burst| burst.value),
            mode: mode.map_or(usual_mode, |mode| mode.value),
        }
    }
}

impl RawRates {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            handshakes: table.optional("handshakes", read_rate),
            handshakes_per_address: table.optional("handshakes_per_address", read_rate),
            requests_per_address: table.optional("requests_per_address", read_rate),
            requests_per_origin: table.optional("requests_per_origin", read_rate),
            requests_per_workspace: table.optional("requests_per_workspace", read_rate),
            requests_per_subject: table.optional("requests_per_subject", read_rate),
            failing_proofs: table.optional("failing_proofs", read_rate),
            penalty: table.optional("penalty", |value| {
                value.table(|table| RawPenalty {
                    first: table.optional("first", positive_duration),
                    longest: table.optional("longest", positive_duration),
                })
            }),
        }
    }

    /// The rates in force. `None` after a mistake that is already among the findings.
    pub(super) fn resolve(self, source: &Source, findings: &mut Findings) -> Option<Rates> {
        let Self {
            handshakes,
            handshakes_per_address,
            requests_per_address,
            requests_per_origin,
            requests_per_workspace,
            requests_per_subject,
            failing_proofs,
            penalty,
        } = self;
        let standard = Rates::default();
        let of = |raw: Option<Placed<RawRate>>, standard| raw.map_or(standard, |raw| raw.value.resolve(standard));
        let penalty = match penalty {
            Some(penalty) => penalty.value.resolve(standard.penalty, source, findings)?,
            None => standard.penalty,
        };
        Some(Rates {
            handshakes: of(handshakes, standard.handshakes),
            handshakes_per_address: of(handshakes_per_address, standard.handshakes_per_address),
            requests_per_address: of(requests_per_address, standard.requests_per_address),
            requests_per_origin: of(requests_per_origin, standard.requests_per_origin),
            requests_per_workspace: of(requests_per_workspace, standard.requests_per_workspace),
            requests_per_subject: of(requests_per_subject, standard.requests_per_subject),
            failing_proofs: of(failing_proofs, standard.failing_proofs),
            penalty,
        })
    }
}

impl RawPenalty {
    fn resolve(self, standard: Penalty, source: &Source, findings: &mut Findings) -> Option<Penalty> {
        let Self { first, longest } = self;
        let span = longest.as_ref().or(first.as_ref()).map(|place| place.span.clone());
        let first = first.map_or(standard.first, |first| first.value);
        let longest = longest.map_or(standard.longest, |longest| longest.value);
        if longest < first {
            let message = "`rates.penalty`: `longest` is shorter than `first`";
            findings.error(source, span.unwrap_or_default(), message);
            return None;
        }
        if longest > PENALTY_MAX {
            findings.error(source, span.unwrap_or_default(), "`rates.penalty`: expected at most a day");
            return None;
        }
        Some(Penalty { first, longest })
    }
}

/// Whoever shares an address with an attacker is not to be locked out for longer.
const PENALTY_MAX: Duration = Duration::from_secs(86_400);

impl RawWorkspaceRates {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            requests: table.optional("requests", read_rate),
            requests_per_subject: table.optional("requests_per_subject", read_rate),
        }
    }

    /// A workspace does not see what the gateway says, so that it says all of it: `None` after a mistake that is already among the findings.
    pub(super) fn resolve(self, source: &Source, findings: &mut Findings) -> Option<WorkspaceRates> {
        let Self { requests, requests_per_subject } = self;
        let standard = Rates::default();
        let mut of = |raw: Option<Placed<RawRate>>, standard| match raw {
            None => Some(None),
            Some(Placed { value: raw, span }) => {
                let is_off = raw.mode.as_ref().is_some_and(|mode| mode.value == Mode::Off);
                if raw.rate.is_none() && !is_off {
                    findings.error(source, span, "a workspace's own rate: `rate` is missing");
                    return None;
                }
                Some(Some(raw.resolve(standard)))
            }
        };
        let requests = of(requests, standard.requests_per_workspace);
        let requests_per_subject = of(requests_per_subject, standard.requests_per_subject);
        Some(WorkspaceRates { requests: requests?, requests_per_subject: requests_per_subject? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_their_near_misses() {
        let rate = |text: &str| parse_rate(text).map(|(count, per)| (count.get(), per.as_secs()));
        assert_eq!(rate("100/s"), Ok((100, 1)));
        assert_eq!(rate("30/m"), Ok((30, 60)));
        assert_eq!(rate("1/h"), Ok((1, 3_600)));
        for wrong in
            ["", "/", "100", "100/", "/s", "0/s", "-1/s", "+1/s", "1.5/s", "1 /s", "1/S", "1/d", "1/s/s", "\u{663}/s"]
        {
            assert_eq!(rate(wrong), Err(RATE_EXPECTED), "{wrong}");
        }
        assert!(rate("1000001/s").is_err());
        assert!(rate("99999999999/s").is_err());
    }
}
