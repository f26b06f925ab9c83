//! `[domains]` of `gateway.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;

use super::gateway::DomainsSettings;
use super::reader::{Placed, Table, Value};
use super::schemas::DurationText;

/// Looks at the trusted domains from time to time: whether they serve HSTS, and whether their certificates last. Without this table nobody
/// is asked.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawDomains {
    /// How often, `1h` to `30d`.
    #[schemars(required, with = "Option<DurationText>")]
    check: Option<Placed<Duration>>,
    /// A certificate that ends sooner is told of. Default: 14 days.
    #[schemars(with = "Option<DurationText>")]
    expires_within: Option<Placed<Duration>>,
    /// PEM of the authorities to believe. Default: the system's.
    ca: Option<Placed<PathBuf>>,
}

/// Other people's servers are asked.
const CHECK_MIN: Duration = Duration::from_secs(3_600);
const CHECK_MAX: Duration = Duration::from_secs(30 * 86_400);
const EXPIRES_WITHIN: Duration = Duration::from_secs(14 * 86_400);

fn interval(value: &Value<'_>) -> Option<Placed<Duration>> {
    let duration = value.duration()?;
    if !(CHECK_MIN..=CHECK_MAX).contains(&duration.value) {
        value.error("expected `1h` to `30d`: other people's servers are asked");
        return None;
    }
    Some(duration)
}

impl RawDomains {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            check: table.required("check", interval),
            expires_within: table.optional("expires_within", Value::duration),
            ca: table.optional("ca", Value::path),
        }
    }

    pub(super) fn resolve(self, base: &Path) -> Option<DomainsSettings> {
        let Self { check, expires_within, ca } = self;
        Some(DomainsSettings {
            check: check?.value,
            expires_within: expires_within.map_or(EXPIRES_WITHIN, |within| within.value),
            ca: ca.map(|ca| base.join(ca.value)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{GATEWAY, lines, read};
    use super::*;

    #[track_caller]
    fn check(table: &str, found: &[&str]) {
        let (set, findings) = read(&format!("{GATEWAY}[domains]\n{table}\n"), &[]);
        assert_eq!(lines(&findings), found);
        assert_eq!(set.is_some(), found.is_empty());
    }

    #[test]
    fn the_table_and_its_near_misses() {
        check("check = \"1h\"", &[]);
        check("check = \"30d\"\nexpires_within = \"0s\"\nca = \"ca.pem\"", &[]);
        let expected = "`domains.check`: expected `1h` to `30d`: other people's servers are asked";
        check("check = \"59m\"", &[&format!("error: gateway.toml:9:9: {expected}")]);
        check("check = \"31d\"", &[&format!("error: gateway.toml:9:9: {expected}")]);
        check("", &["error: gateway.toml:8:1: `domains.check` is missing"]);
        check(
            "check = \"1h\"\nchek = \"1h\"",
            &["error: gateway.toml:10:1: unknown key `domains.chek` (did you mean `check`?)"],
        );
    }

    #[test]
    fn nobody_is_asked_unless_the_file_says_so() {
        let (set, _) = read(GATEWAY, &[]);
        assert_eq!(set.expect("a set").gateway.domains, None);
        let (set, _) = read(&format!("{GATEWAY}[domains]\ncheck = \"24h\"\nca = \"ca.pem\"\n"), &[]);
        let domains = set.expect("a set").gateway.domains.expect("settings");
        assert_eq!((domains.check, domains.expires_within), (Duration::from_secs(86_400), EXPIRES_WITHIN));
        assert_eq!(domains.ca.as_deref(), Some(Path::new("policies/ca.pem")));
    }
}
