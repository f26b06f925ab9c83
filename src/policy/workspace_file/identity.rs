//! `[identity]` of a workspace: how its users are proven.

use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;

use super::super::finding::Findings;
use super::super::limits_file::positive_duration;
use super::super::reader::{Placed, Table, Value, quoted};
use super::super::schemas::DurationText;
use super::super::source::Source;
use super::super::workspace::{
    EncryptedPayload, Expiry, IdentityPolicy, KeyPolicy, KeySetPolicy, KeyUse, OnSessionEnd, Replay, Require,
};
use super::key_sets::{KEY_SETS_MAX, RawKeySet};
use super::keys::RawKey;
use super::plain;
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
    /// Places of a collector ticket, such as `header:x-bot-ticket`. It is taken out before sending.
    #[schemars(with = "Option<Vec<String>>")]
    ticket_at: Option<Placed<Vec<Placed<Place>>>>,
    /// How long a session that was given for a token stands for it, at most 24h and never longer than the token. Default: 24h.
    #[schemars(with = "Option<DurationText>")]
    exchange_lifetime: Option<Placed<Duration>>,
    /// Settings that came encrypted: refuse the request, open them with a key of that use, or send the request without them. Default: refuse.
    encrypted_payload: Option<Placed<EncryptedPayload>>,
    /// How often a token may be used: as often as it is sent (`allow`), once, or only from the origin or with the session with which it came
    /// first. All but the first ask for a `jti` and an end. Default: allow.
    replay: Option<Placed<Replay>>,
    /// What becomes of the tokens of a session that a request ends: they stay (`keep`), or count no longer (`revoke`; then a token needs a
    /// `jti` and an end). Default: keep.
    session_end: Option<Placed<OnSessionEnd>>,
    /// Who must have issued a token (`iss`): one of these. Default: not asked.
    issuers: Option<Placed<Vec<Placed<String>>>>,
    /// For whom a token must be (`aud`): one of these. Default: not asked.
    audiences: Option<Placed<Vec<Placed<String>>>>,
    /// Claims that a token must have, beside those that it must have anyway.
    required_claims: Option<Placed<Vec<Placed<String>>>>,
    /// The keys in force; during a rotation there are two.
    keys: Option<Placed<Vec<Placed<RawKey>>>>,
    /// Sets of public keys that somebody else publishes, such as an identity provider.
    key_sets: Option<Placed<Vec<Placed<RawKeySet>>>>,
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
            ticket_at: table.optional("ticket_at", |value| value.list(|value| value.parsed(token_place))),
            exchange_lifetime: table.optional("exchange_lifetime", exchange_lifetime),
            encrypted_payload: table.optional("encrypted_payload", Value::keyword),
            replay: table.optional("replay", Value::keyword),
            session_end: table.optional("session_end", Value::keyword),
            issuers: table.optional("issuers", names),
            audiences: table.optional("audiences", names),
            required_claims: table.optional("required_claims", names),
            keys: table.optional("keys", |value| value.list(|value| value.table(RawKey::read))),
            key_sets: table.optional("key_sets", |value| value.list(|value| value.table(RawKeySet::read))),
        }
    }

    pub(super) fn resolve(self, source: &Source, base: &Path, findings: &mut Findings) -> Option<IdentityPolicy> {
        let Self {
            require,
            max_lifetime,
            leeway,
            exp,
            token_at,
            ticket_at,
            exchange_lifetime,
            encrypted_payload,
            replay,
            session_end,
            issuers,
            audiences,
            required_claims,
            keys,
            key_sets,
        } = self;
        let keys = keys.map(|keys| keys.value).unwrap_or_default();
        let mut ids: Vec<String> = Vec::new();
        for id in keys.iter().filter_map(|key| key.value.id.as_ref()) {
            if ids.contains(&id.value) {
                findings.error(source, id.span.clone(), format!("two keys are called {}", quoted(&id.value)));
            }
            ids.push(id.value.clone());
        }
        let key_sets = key_sets.map(|sets| sets.value).unwrap_or_default();
        if let Some(surplus) = key_sets.get(KEY_SETS_MAX) {
            let message = format!("`identity.key_sets`: expected at most {KEY_SETS_MAX}");
            findings.error(source, surplus.span.clone(), message);
        }
        for id in key_sets.iter().filter_map(|set| set.value.id.as_ref()) {
            // A key of a set is `id/kid` in records: no other key may read like one.
            let below = |other: &String| other.strip_prefix(&id.value).is_some_and(|rest| rest.starts_with('/'));
            if ids.iter().any(|other| *other == id.value || below(other)) {
                let message = format!("a key or another set is called {} as well", quoted(&id.value));
                findings.error(source, id.span.clone(), message);
            }
            ids.push(id.value.clone());
        }
        // All of them, so that no mistake hides behind the first.
        let keys: Vec<Option<KeyPolicy>> =
            keys.into_iter().map(|key| key.value.resolve(source, base, findings)).collect();
        let key_sets: Vec<Option<KeySetPolicy>> =
            key_sets.into_iter().map(|set| set.value.resolve(source, base, findings)).collect();
        if let Some(word) = &encrypted_payload
            && word.value == EncryptedPayload::Open
            && !keys.iter().flatten().any(|key| key.uses.contains(&KeyUse::EncryptedPayload))
        {
            let message = "`identity.encrypted_payload`: no key has `use = [\"encrypted_payload\"]`";
            findings.error(source, word.span.clone(), message);
            return None;
        }
        if !admit_tickets(ticket_at.as_ref(), token_at.as_ref(), &keys, source, findings) {
            return None;
        }
        Some(IdentityPolicy {
            require: require?.value,
            expiry: exp.map_or(Expiry::Required, |word| word.value),
            max_lifetime: max_lifetime.map(|lifetime| lifetime.value),
            exchange_lifetime: exchange_lifetime.map(|lifetime| lifetime.value),
            leeway: leeway.map_or(LEEWAY, |leeway| leeway.value),
            encrypted_payload: encrypted_payload.map_or(EncryptedPayload::Refuse, |word| word.value),
            replay: replay.map_or(Replay::Allow, |word| word.value),
            session_end: session_end.map_or(OnSessionEnd::Keep, |word| word.value),
            issuers: plain(issuers),
            audiences: plain(audiences),
            required_claims: plain(required_claims),
            keys: keys.into_iter().collect::<Option<_>>()?,
            key_sets: key_sets.into_iter().collect::<Option<_>>()?,
            token_at: token_at
                .map(|places| places.value.into_iter().map(|place| place.value).collect())
                .unwrap_or_default(),
            ticket_at: ticket_at
                .map(|places| places.value.into_iter().map(|place| place.value).collect())
                .unwrap_or_default(),
        })
    }
}

/// Whether tickets have a place of their own, and keys.
fn admit_tickets(
    ticket_at: Option<&Placed<Vec<Placed<Place>>>>,
    token_at: Option<&Placed<Vec<Placed<Place>>>>,
    keys: &[Option<KeyPolicy>],
    source: &Source,
    findings: &mut Findings,
) -> bool {
    let Some(ticket_at) = ticket_at else { return true };
    let of_tokens = token_at.into_iter().flat_map(|places| &places.value);
    let shared =
        of_tokens.map(|place| &place.value).find(|place| ticket_at.value.iter().any(|own| own.value == **place));
    if let Some(shared) = shared {
        let message = format!("`identity.ticket_at`: {} is the token's place", quoted(&shared.to_string()));
        findings.error(source, ticket_at.span.clone(), message);
        return false;
    }
    // Of a key that is mistaken its own mistake is told.
    let is_for_tickets =
        |key: &Option<KeyPolicy>| key.as_ref().is_none_or(|key| key.uses.contains(&KeyUse::CollectorTicket));
    if !keys.iter().any(is_for_tickets) {
        let message = "`identity.ticket_at`: no key has `use = [\"collector_ticket\"]`";
        findings.error(source, ticket_at.span.clone(), message);
        return false;
    }
    true
}

/// Names, at least one: an empty list would ask for what no token has.
fn names(value: &Value<'_>) -> Option<Placed<Vec<Placed<String>>>> {
    let names = value.list(Value::text)?;
    if value.is_empty_list() {
        value.error("an empty list asks for nothing: leave it out");
        return None;
    }
    Some(names)
}

/// A session that stood for its token for longer would outlive a removed user by as much.
const EXCHANGE_LIFETIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

fn exchange_lifetime(value: &Value<'_>) -> Option<Placed<Duration>> {
    let lifetime = positive_duration(value)?;
    if lifetime.value > EXCHANGE_LIFETIME_MAX {
        value.error("expected at most `24h`");
        return None;
    }
    Some(lifetime)
}

fn leeway(value: &Value<'_>) -> Option<Placed<Duration>> {
    let leeway = value.duration()?;
    if leeway.value > LEEWAY_MAX {
        value.error("expected at most `5m`: a token lives that much longer than it says");
        return None;
    }
    Some(leeway)
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
