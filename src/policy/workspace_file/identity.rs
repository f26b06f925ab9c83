//! `[identity]` of a workspace: how its users are proven.

use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;

use super::super::finding::Findings;
use super::super::limits_file::positive_duration;
use super::super::reader::{Placed, Table, Value, quoted};
use super::super::schemas::DurationText;
use super::super::secret::RawSecret;
use super::super::source::Source;
use super::super::workspace::{Algorithm, Expiry, IdentityPolicy, KeyPolicy, KeyUse, Require};
use crate::profile::Place;

/// How users are proven.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(in super::super) struct RawIdentity {
    /// When a request must prove who its user is: never, where it names one (`identified`), or always.
    #[schemars(required)]
    require: Option<Placed<Require>>,
    /// The longest time that a token may be valid for.
    #[schemars(with = "Option<DurationText>")]
    max_lifetime: Option<Placed<Duration>>,
    /// By how much clocks may differ, at most 5m. Default: 30s.
    #[schemars(with = "Option<DurationText>")]
    leeway: Option<Placed<Duration>>,
    /// Whether a token must say when it ends. Default: required.
    exp: Option<Placed<Expiry>>,
    /// Places of the token beside the profile's, such as `header:x-user-token`. It is taken out before sending.
    #[schemars(with = "Option<Vec<String>>")]
    token_at: Option<Placed<Vec<Placed<Place>>>>,
    /// The keys in force; during a rotation there are two.
    keys: Option<Placed<Vec<Placed<RawKey>>>>,
}

/// One key.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RawKey {
    /// Its name in records; a token's `kid` names it by this.
    #[schemars(required)]
    id: Option<Placed<String>>,
    /// A token's header never chooses.
    #[schemars(required)]
    algorithm: Option<Placed<Algorithm>>,
    #[schemars(required)]
    secret: Option<RawSecret>,
    /// What the key verifies.
    #[schemars(required, rename = "use", length(min = 1))]
    uses: Option<Placed<Vec<Placed<KeyUse>>>>,
}

/// Clocks that differ by more are broken, and each second of leeway is a second for which a dead token lives.
const LEEWAY_MAX: Duration = Duration::from_secs(5 * 60);
const LEEWAY: Duration = Duration::from_secs(30);

impl RawIdentity {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            require: table.required("require", Value::keyword),
            max_lifetime: table.optional("max_lifetime", positive_duration),
            leeway: table.optional("leeway", leeway),
            exp: table.optional("exp", Value::keyword),
            token_at: table.optional("token_at", |value| value.list(|value| value.parsed(token_place))),
            keys: table.optional("keys", |value| value.list(|value| value.table(RawKey::read))),
        }
    }

    pub(super) fn resolve(self, source: &Source, base: &Path, findings: &mut Findings) -> Option<IdentityPolicy> {
        let Self { require, max_lifetime, leeway, exp, token_at, keys } = self;
        let keys = keys.map(|keys| keys.value).unwrap_or_default();
        let mut ids: Vec<String> = Vec::new();
        for id in keys.iter().filter_map(|key| key.value.id.as_ref()) {
            if ids.contains(&id.value) {
                findings.error(source, id.span.clone(), format!("two keys are called {}", quoted(&id.value)));
            }
            ids.push(id.value.clone());
        }
        Some(IdentityPolicy {
            require: require?.value,
            expiry: exp.map_or(Expiry::Required, |word| word.value),
            max_lifetime: max_lifetime.map(|lifetime| lifetime.value),
            leeway: leeway.map_or(LEEWAY, |leeway| leeway.value),
            keys: keys.into_iter().map(|key| key.value.resolve(base)).collect::<Option<_>>()?,
            token_at: token_at
                .map(|places| places.value.into_iter().map(|place| place.value).collect())
                .unwrap_or_default(),
        })
    }
}

fn leeway(value: &Value<'_>) -> Option<Placed<Duration>> {
    let leeway = value.duration()?;
    if leeway.value > LEEWAY_MAX {
        value.error("expected at most `5m`: a token lives that much longer than it says");
        return None;
    }
    Some(leeway)
}

impl RawKey {
    fn read(table: &mut Table<'_>) -> Self {
        let key = Self {
            id: table.required("id", Value::text),
            algorithm: table.required("algorithm", Value::keyword),
            secret: table.required("secret", RawSecret::read),
            uses: table.required("use", uses),
        };
        // A secret under a wrong name is still a secret.
        table.conceal_unknown();
        key
    }

    fn resolve(self, base: &Path) -> Option<KeyPolicy> {
        let Self { id, algorithm, secret, uses } = self;
        Some(KeyPolicy {
            id: id?.value,
            algorithm: algorithm?.value,
            secret: secret?.resolve(base)?,
            uses: uses?.value.into_iter().map(|word| word.value).collect(),
        })
    }
}

fn uses(value: &Value<'_>) -> Option<Placed<Vec<Placed<KeyUse>>>> {
    let uses = value.list(Value::keyword)?;
    if value.is_empty_list() {
        value.error("a key that verifies nothing: expected `jwt`, `user_hash` or both");
        return None;
    }
    Some(uses)
}
/// Where a token for this gateway alone may sit: where it can be taken out before the request goes on.
fn token_place(text: &str) -> Result<Place, String> {
    match Place::try_from(text).map_err(|error| error.to_string())? {
        Place::Query(_) | Place::Cookie(_) | Place::Path(_) => {
            Err("expected `header:`, `bearer:`, `document:`, `body:` or `field:`: from elsewhere the token would not be taken out".to_owned())
        }
        place @ (Place::Header(_) | Place::Bearer(_) | Place::Document(_) | Place::Body(_) | Place::Field(_)) => Ok(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_ours_sits_only_where_it_can_be_taken_out() {
        for text in ["header:x-token", "bearer:authorization", "document:token", "body:/token", "field:token"] {
            assert!(token_place(text).is_ok(), "{text}");
        }
        for text in ["query:token", "cookie:token", "path:token", "token", "header:X-Token"] {
            assert!(token_place(text).is_err(), "{text}");
        }
    }
}
