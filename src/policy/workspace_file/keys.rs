//! `[[identity.keys]]` of a workspace: by what its proofs are verified.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;

use super::super::algorithm::{Algorithm, KeyKind};
use super::super::finding::Findings;
use super::super::keywords::word;
use super::super::reader::{Placed, Table, Value, quoted};
use super::super::schemas::Moment;
use super::super::secret::RawSecret;
use super::super::source::Source;
use super::super::workspace::{KeyPolicy, KeySource, KeyTerm, KeyUse, SecretEncoding};
use crate::profile::{Platform, Platforms};

/// One key: for `HS256`, `HS384` and `HS512` a secret, for the other algorithms the public half of a pair.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawKey {
    /// Its name in records; a token's `kid` names it by this.
    #[schemars(required)]
    pub(super) id: Option<Placed<String>>,
    /// A token's header never chooses.
    #[schemars(required)]
    algorithm: Option<Placed<Algorithm>>,
    /// The secret of `HS256`, `HS384` or `HS512`.
    secret: Option<RawSecret>,
    /// How the secret is written down. Default: the text itself is the key.
    encoding: Option<Placed<SecretEncoding>>,
    /// A file with the public key of any other algorithm: PEM, a JWK, or a JWK Set that has a key of this id. Relative to the directory of the
    /// policies.
    public_key: Option<Placed<PathBuf>>,
    /// What the key verifies.
    #[schemars(required, rename = "use", length(min = 1))]
    uses: Option<Placed<Vec<Placed<KeyUse>>>>,
    /// The platforms of the messenger's client from which a request must come for the key to count. Default: all.
    #[schemars(length(min = 1))]
    platforms: Option<Placed<Vec<Placed<Platform>>>>,
    /// The moment from which the key counts.
    #[schemars(with = "Option<Moment>")]
    not_before: Option<Placed<i64>>,
    /// The moment from which it does no longer.
    #[schemars(with = "Option<Moment>")]
    not_after: Option<Placed<i64>>,
}

impl RawKey {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let key = Self {
            id: table.required("id", Value::text),
            algorithm: table.required("algorithm", Value::keyword),
            secret: table.optional("secret", RawSecret::read),
            encoding: table.optional("encoding", Value::keyword),
            public_key: table.optional("public_key", Value::path),
            uses: table.required("use", uses),
            platforms: table.optional("platforms", platforms),
            not_before: table.optional("not_before", Value::moment),
            not_after: table.optional("not_after", Value::moment),
        };
        let (secret, public_key) = (table.has("secret"), table.has("public_key"));
        if !secret && !public_key {
            table.error(table.span(), "`secret` is missing, or `public_key`");
        }
        // A secret under a wrong name is still a secret.
        table.conceal_unknown();
        key
    }

    pub(super) fn resolve(self, source: &Source, base: &Path, findings: &mut Findings) -> Option<KeyPolicy> {
        let Self { id, algorithm, secret, encoding, public_key, uses, platforms, not_before, not_after } = self;
        let uses: Option<Vec<Placed<KeyUse>>> = uses.map(|uses| uses.value);
        if let (Some(begin), Some(end)) = (&not_before, &not_after)
            && begin.value >= end.value
        {
            findings.error(
                source,
                end.span.clone(),
                "`not_after` is not after `not_before`: the key would never count",
            );
            return None;
        }
        let (id, algorithm, uses) = (id?.value, algorithm?, uses?);
        let name = quoted(&id);
        let mut mistaken = |span, message: String| {
            findings.error(source, span, format!("key {name}: {message}"));
            None::<KeySource>
        };
        let spelled = word(algorithm.value);
        let found = match (algorithm.value.key_kind(), secret, public_key) {
            (KeyKind::Secret, Some(secret), None) => Some(KeySource::Secret {
                source: secret.resolve(base)?,
                encoding: encoding.map_or(SecretEncoding::Text, |encoding| encoding.value),
            }),
            (KeyKind::Secret, _, Some(file)) => mistaken(
                file.span,
                format!("`{spelled}` takes a `secret`: a public key as its secret is one that everybody has"),
            ),
            (KeyKind::Rsa | KeyKind::Ec | KeyKind::Ed, None, Some(file)) => match encoding {
                None => Some(KeySource::PublicKey(base.join(file.value))),
                Some(encoding) => mistaken(encoding.span, "`encoding` is that of a secret".to_owned()),
            },
            (KeyKind::Rsa | KeyKind::Ec | KeyKind::Ed, Some(_), _) => {
                mistaken(algorithm.span, format!("`{spelled}` takes a `public_key`, and no secret"))
            }
            // That both are missing, the reader has said.
            (_, None, None) => None,
        };
        // Messengers hash by SHA-256 and nothing else, and encrypt under the hash of the same secret.
        let only_by_hs256 = |uses: KeyUse| matches!(uses, KeyUse::UserHash | KeyUse::EncryptedPayload);
        if algorithm.value != Algorithm::Hs256
            && let Some(hash) = uses.iter().find(|word| only_by_hs256(word.value))
        {
            return mistaken(
                hash.span.clone(),
                format!("`{}` takes a key of `HS256`, not of `{spelled}`", word(hash.value)),
            )
            .and(None);
        }
        // Whoever may ask a lead for a number may not sign for users, and the other way round.
        if let (Some(ticket), true) = (uses.iter().find(|word| word.value == KeyUse::CollectorTicket), uses.len() > 1) {
            return mistaken(ticket.span.clone(), "`collector_ticket` takes a key of its own".to_owned()).and(None);
        }
        let is_ticket = uses.iter().any(|word| word.value == KeyUse::CollectorTicket);
        if let (Some(platforms), true) = (&platforms, is_ticket) {
            let message = "`platforms` says nothing of a ticket: a server signs it, whatever its user's client runs on";
            return mistaken(platforms.span.clone(), message.to_owned()).and(None);
        }
        Some(KeyPolicy {
            id,
            algorithm: algorithm.value,
            source: found?,
            uses: uses.into_iter().map(|word| word.value).collect(),
            platforms: platforms.map_or(Platforms::ALL, |platforms| {
                Platforms::of(&platforms.value.iter().map(|word| word.value).collect::<Vec<_>>())
            }),
            term: KeyTerm {
                not_before: not_before.map(|moment| moment.value),
                not_after: not_after.map(|moment| moment.value),
            },
        })
    }
}

fn platforms(value: &Value<'_>) -> Option<Placed<Vec<Placed<Platform>>>> {
    let platforms = value.list(Value::keyword)?;
    if value.is_empty_list() {
        value.error("a key for no platform: leave it out for all, or name `web`, `ios` or `android`");
        return None;
    }
    Some(platforms)
}

fn uses(value: &Value<'_>) -> Option<Placed<Vec<Placed<KeyUse>>>> {
    let uses = value.list(Value::keyword)?;
    if value.is_empty_list() {
        value.error(
            "a key that verifies nothing: expected `jwt`, `user_hash`, `encrypted_payload` or `collector_ticket`",
        );
        return None;
    }
    Some(uses)
}
