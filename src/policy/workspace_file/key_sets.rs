//! `[[identity.key_sets]]` of a workspace: sets of public keys that somebody else publishes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use url::Url;

use super::super::algorithm::{Algorithm, KeyKind};
use super::super::finding::Findings;
use super::super::keywords::word;
use super::super::reader::{Placed, Table, Value, quoted};
use super::super::schemas::DurationText;
use super::super::source::Source;
use super::super::trusted_domains::is_loopback;
use super::super::upstream_file::without_user;
use super::super::workspace::{IssuerPolicy, KeySetPolicy, KeySetSource};

/// How many sets a workspace may have: each is looked through for a token's `kid`.
pub const KEY_SETS_MAX: usize = 8;

/// The longest name of a set, in bytes: it stands in every record of a key of the set.
const ID_BYTES_MAX: usize = 64;

const REFRESH: Duration = Duration::from_secs(10 * 60);
/// An issuer is not asked more often.
const REFRESH_MIN: Duration = Duration::from_secs(1);
/// A key that was withdrawn counts for as long.
const REFRESH_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const STALE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
const STALE_AFTER_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How many `refresh` must fit into `stale_after`, or one failed fetch would refuse tokens.
const REFRESHES_UNTIL_STALE_MIN: u32 = 2;

/// A set of public keys (JWKS): every key of it verifies tokens. Either `file` or `url`.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawKeySet {
    /// Its name in records and metrics; a key of it is shown as `id/kid`.
    #[schemars(required)]
    pub(super) id: Option<Placed<String>>,
    /// The only algorithms by which its keys may sign. None of `HS256`, `HS384`, `HS512`.
    #[schemars(required, length(min = 1))]
    algorithms: Option<Placed<Vec<Placed<Algorithm>>>>,
    /// A file with a JWK Set, relative to the directory of the policies.
    file: Option<Placed<PathBuf>>,
    /// Where the issuer publishes the set: `https`, or `http` to this machine. Redirects are not followed.
    #[schemars(with = "Option<String>", extend("pattern" = "^https?://[^#@]+$"))]
    url: Option<Placed<Url>>,
    /// PEM certificates of the authorities to trust for `url`. Default: the system's.
    ca: Option<Placed<PathBuf>>,
    /// The longest time from one fetch of `url` to the next, 1s to 1d. Default: 10m.
    #[schemars(with = "Option<DurationText>")]
    refresh: Option<Placed<Duration>>,
    /// For how long keys are trusted that the issuer has not confirmed since, at most 30d. Default: 24h.
    #[schemars(with = "Option<DurationText>")]
    stale_after: Option<Placed<Duration>>,
}

impl RawKeySet {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let set = Self {
            id: table.required("id", |value| value.parsed(parse_id)),
            algorithms: table.required("algorithms", algorithms),
            file: table.optional("file", Value::path),
            url: table.optional("url", |value| without_user(value, parse_url)),
            ca: table.optional("ca", Value::path),
            refresh: table
                .optional("refresh", |value| within(value, REFRESH_MIN, REFRESH_MAX, "expected `1s` to `1d`")),
            stale_after: table
                .optional("stale_after", |value| within(value, REFRESH_MIN, STALE_AFTER_MAX, "expected `1s` to `30d`")),
        };
        if table.has("file") == table.has("url") {
            table.error(table.span(), "expected one of `file` and `url`");
        }
        set
    }

    pub(super) fn resolve(self, source: &Source, base: &Path, findings: &mut Findings) -> Option<KeySetPolicy> {
        let Self { id, algorithms, file, url, ca, refresh, stale_after } = self;
        let (id, algorithms) = (id?.value, algorithms?.value);
        let name = quoted(&id);
        let errors_before = findings.error_count();
        let mistaken = |findings: &mut Findings, span, message: String| {
            findings.error(source, span, format!("key set {name}: {message}"));
        };
        for (index, algorithm) in algorithms.iter().enumerate() {
            let spelled = word(algorithm.value);
            if algorithm.value.key_kind() == KeyKind::Secret {
                mistaken(
                    findings,
                    algorithm.span.clone(),
                    format!("`{spelled}` takes a secret, and what is published is none"),
                );
            }
            if algorithms.iter().take(index).any(|other| other.value == algorithm.value) {
                mistaken(findings, algorithm.span.clone(), format!("`{spelled}` twice"));
            }
        }
        let same_keys: Vec<&Placed<Algorithm>> =
            algorithms.iter().filter(|algorithm| algorithm.value.key_kind() == KeyKind::Rsa).collect();
        if let [one, other, ..] = same_keys.as_slice() {
            let (one, span, other) = (word(one.value), other.span.clone(), word(other.value));
            let message =
                format!("key set {name}: `{one}` and `{other}` take the same keys: one that has no `alg` is left out");
            findings
                .warning(source, span, message)
                .help("name one of them, unless every RSA key of the set says its `alg`");
        }
        let origin = match (file, url) {
            (Some(file), None) => {
                let of_url = [
                    ("ca", ca.map(|placed| placed.span)),
                    ("refresh", refresh.map(|placed| placed.span)),
                    ("stale_after", stale_after.map(|placed| placed.span)),
                ];
                for (key, span) in of_url {
                    if let Some(span) = span {
                        mistaken(
                            findings,
                            span,
                            format!("`{key}` is for a `url`: a file is read again when it changes"),
                        );
                    }
                }
                Some(KeySetSource::File(base.join(file.value)))
            }
            (None, Some(url)) => {
                if let (Some(ca), "http") = (&ca, url.value.scheme()) {
                    mistaken(findings, ca.span.clone(), "`ca`: `http` shows no certificate".to_owned());
                }
                let least = refresh.as_ref().map_or(REFRESH, |refresh| refresh.value) * REFRESHES_UNTIL_STALE_MIN;
                let place = stale_after.as_ref().or(refresh.as_ref()).map(|placed| placed.span.clone());
                if let Some(place) = place
                    && stale_after.as_ref().map_or(STALE_AFTER, |stale_after| stale_after.value) < least
                {
                    let message = "`stale_after` is less than two `refresh`: one failed fetch would refuse tokens";
                    mistaken(findings, place, message.to_owned());
                }
                if url.value.scheme() == "http" {
                    let message = format!("key set {name}: `url`: whoever can answer on that port can sign anything");
                    findings
                        .warning(source, url.span, message)
                        .help("use `https://`, and `ca` where the certificate is your own");
                }
                Some(KeySetSource::Issuer(IssuerPolicy {
                    url: url.value,
                    ca: ca.map(|ca| base.join(ca.value)),
                    refresh: refresh.map_or(REFRESH, |refresh| refresh.value),
                    stale_after: stale_after.map_or(STALE_AFTER, |stale_after| stale_after.value),
                }))
            }
            // Both or neither: the reader has said so.
            (Some(_), Some(_)) | (None, None) => None,
        };
        let algorithms: Vec<Algorithm> = algorithms.into_iter().map(|word| word.value).collect();
        (findings.error_count() == errors_before).then_some(KeySetPolicy { id, algorithms, source: origin? })
    }
}

fn algorithms(value: &Value<'_>) -> Option<Placed<Vec<Placed<Algorithm>>>> {
    let algorithms = value.list(Value::keyword)?;
    if value.is_empty_list() {
        value.error("by no algorithm nothing is signed: expected such as `RS256` or `ES256`");
        return None;
    }
    Some(algorithms)
}

fn within(value: &Value<'_>, least: Duration, most: Duration, expected: &str) -> Option<Placed<Duration>> {
    let duration = value.duration()?;
    if !(least..=most).contains(&duration.value) {
        value.error(expected);
        return None;
    }
    Some(duration)
}

/// A name that reads well before the `/` of `id/kid`.
fn parse_id(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > ID_BYTES_MAX || !text.bytes().all(plain) {
        return Err(format!("expected 1 to {ID_BYTES_MAX} of letters, digits, `-`, `_` and `.`"));
    }
    Ok(text.to_owned())
}

fn parse_url(text: &str) -> Result<Url, &'static str> {
    const EXPECTED: &str = "expected such as `https://issuer.example/jwks.json`";
    let url = Url::parse(text).map_err(|_| EXPECTED)?;
    if url.host().is_none() || !matches!(url.scheme(), "https" | "http") {
        return Err(EXPECTED);
    }
    if url.fragment().is_some() {
        return Err("expected no fragment: it is never sent");
    }
    // Keys that anybody on the way can replace verify nothing.
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err("expected `https://`: over `http` anybody on the way can put keys of their own in");
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
