//! `[webhooks]` of a workspace: what the file says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;

use super::super::finding::Findings;
use super::super::limits_file::positive_duration;
use super::super::reader::{Placed, Table, Value, quoted};
use super::super::schemas::{DurationText, Moment};
use super::super::secret::RawSecret;
use super::super::source::Source;
use super::super::webhook::{WEBHOOK_KEYS_MAX, WebhookKey, WebhookPolicy};
use super::super::workspace::{KeyTerm, SecretEncoding};
use crate::profile::{Class, Operation};

/// By what webhooks are verified, for profiles that have some.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawWebhooks {
    /// By how much the time of a webhook may differ from ours, where its vendor signs one. Default: 5m; at most 1h.
    #[schemars(with = "Option<DurationText>")]
    tolerance: Option<Placed<Duration>>,
    /// The secrets that the vendor signs with; several while one follows another.
    #[schemars(required, length(min = 1))]
    keys: Option<Placed<Vec<Placed<RawWebhookKey>>>>,
}

/// A secret that the vendor signs webhooks with.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RawWebhookKey {
    /// Its name in records.
    #[schemars(required)]
    id: Option<Placed<String>>,
    #[schemars(required)]
    secret: Option<RawSecret>,
    /// How the secret is written down. Default: the text itself is the key.
    encoding: Option<Placed<SecretEncoding>>,
    /// The moment from which the key counts.
    #[schemars(with = "Option<Moment>")]
    not_before: Option<Placed<i64>>,
    /// The moment from which it does no longer.
    #[schemars(with = "Option<Moment>")]
    not_after: Option<Placed<i64>>,
}

/// A longer window is none.
const TOLERANCE_MAX: Duration = Duration::from_secs(3600);

impl RawWebhooks {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            tolerance: table.optional("tolerance", tolerance),
            keys: table.required("keys", |value| {
                if value.is_empty_list() {
                    value.error("expected at least one");
                }
                value.list(|value| value.table(RawWebhookKey::read))
            }),
        }
    }

    fn resolve(self, source: &Source, base: &Path, findings: &mut Findings) -> Option<WebhookPolicy> {
        let Self { tolerance, keys } = self;
        let keys = keys?;
        if keys.value.len() > WEBHOOK_KEYS_MAX {
            findings.error(source, keys.span, format!("`webhooks.keys`: expected {WEBHOOK_KEYS_MAX} at most"));
            return None;
        }
        let mut read: Vec<WebhookKey> = Vec::with_capacity(keys.value.len());
        for Placed { value, span } in keys.value {
            let key = value.resolve(source, base, findings)?;
            if read.iter().any(|other| other.id == key.id) {
                findings.error(source, span, format!("two keys for webhooks are called {}", quoted(&key.id)));
                return None;
            }
            read.push(key);
        }
        let standard = WebhookPolicy::default();
        Some(WebhookPolicy { tolerance: tolerance.map_or(standard.tolerance, |value| value.value), keys: read })
    }
}

fn tolerance(value: &Value<'_>) -> Option<Placed<Duration>> {
    let tolerance = positive_duration(value)?;
    if tolerance.value > TOLERANCE_MAX || tolerance.value.subsec_nanos() != 0 {
        value.error("expected whole seconds, an hour at most");
        return None;
    }
    Some(tolerance)
}

impl RawWebhookKey {
    fn read(table: &mut Table<'_>) -> Self {
        let key = Self {
            id: table.required("id", Value::text),
            secret: table.required("secret", RawSecret::read),
            encoding: table.optional("encoding", Value::keyword),
            not_before: table.optional("not_before", Value::moment),
            not_after: table.optional("not_after", Value::moment),
        };
        // A secret under a wrong name is still a secret.
        table.conceal_unknown();
        key
    }

    fn resolve(self, source: &Source, base: &Path, findings: &mut Findings) -> Option<WebhookKey> {
        let Self { id, secret, encoding, not_before, not_after } = self;
        if let (Some(begin), Some(end)) = (&not_before, &not_after)
            && begin.value >= end.value
        {
            let message = "`not_after` is not after `not_before`: the key would never count";
            findings.error(source, end.span.clone(), message);
            return None;
        }
        Some(WebhookKey {
            id: id?.value,
            secret: secret?.resolve(base)?,
            encoding: encoding.map_or(SecretEncoding::Text, |encoding| encoding.value),
            term: KeyTerm {
                not_before: not_before.map(|moment| moment.value),
                not_after: not_after.map(|moment| moment.value),
            },
        })
    }
}

/// What the table means beside the operations of the workspace. `None` after a mistake that is already among the findings.
pub(super) fn resolve(
    raw: Option<Placed<RawWebhooks>>,
    operations: &[Arc<Operation>],
    source: &Source,
    base: &Path,
    findings: &mut Findings,
) -> Option<WebhookPolicy> {
    let has_webhooks = operations.iter().any(|operation| operation.class == Class::Webhook);
    let Some(Placed { value, span }) = raw else {
        if has_webhooks {
            findings
                .warning(source, source.line_at(0), "`webhooks` is missing: every webhook is refused")
                .help("name the secret that the vendor signs with: `[[webhooks.keys]]`");
        }
        return Some(WebhookPolicy::default());
    };
    if !has_webhooks && !operations.is_empty() {
        findings.warning(source, span, "`webhooks`: its keys verify nothing: the profile has no webhooks");
    }
    value.resolve(source, base, findings)
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::{GATEWAY, WORKSPACE, lines, read};

    #[track_caller]
    fn check(table: &str, expected: &[&str]) {
        let (set, findings) = read(GATEWAY, &[&format!("{WORKSPACE}[webhooks]\n{table}")]);
        let found: Vec<_> = lines(&findings).into_iter().filter(|line| !line.contains("verify nothing")).collect();
        assert_eq!(found, expected);
        assert_eq!(set.is_some(), expected.is_empty());
    }

    const KEY: &str = "[[webhooks.keys]]\nid = \"one\"\nsecret = { env = \"S\" }\n";

    #[test]
    fn keys_for_webhooks_are_named_and_have_a_term() {
        check(
            &format!("tolerance = \"1h\"\n{KEY}not_before = 2026-01-01T00:00:00Z\nnot_after = 2027-01-01T00:00:00Z\n"),
            &[],
        );
        check("", &["error: a.toml:18:1: `webhooks.keys` is missing"]);
        check(
            &format!("tolerance = \"61m\"\n{KEY}"),
            &["error: a.toml:19:13: `webhooks.tolerance`: expected whole seconds, an hour at most"],
        );
        check(&format!("{KEY}{KEY}"), &["error: a.toml:22:1: two keys for webhooks are called `one`"]);
        let keys: String = (0..9).map(|index| KEY.replace("one", &format!("k{index}"))).collect();
        check(&keys, &["error: a.toml:19:1: `webhooks.keys`: expected 8 at most"]);
        check(
            "[[webhooks.keys]]\nid = \"one\"\nsecret = \"shhh\"\n",
            &[
                "error: a.toml:21:10: `webhooks.keys[0].secret`: a secret does not belong in a policy file: say where it is, \
                 with `{ env = \"NAME\" }` or `{ file = \"path\" }`",
            ],
        );
    }

    #[test]
    fn keys_that_verify_nothing_are_warned_of() {
        let (_, findings) = read(GATEWAY, &[&format!("{WORKSPACE}[webhooks]\n{KEY}")]);
        assert_eq!(
            lines(&findings),
            ["warning: a.toml:18:1: `webhooks`: its keys verify nothing: the profile has no webhooks"]
        );
    }
}
