//! `[upstreams.NAME]` of `gateway.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use url::{Host, Url};

use super::finding::Findings;
use super::gateway::{HostHeader, HttpVersion, Upstream};
use super::limits_file::positive_duration;
use super::reader::{Placed, Table, Value};
use super::schemas::{Count, DurationText};
use super::source::Source;
use super::trusted_domains::is_loopback;

/// One backend.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawUpstream {
    /// `https` or `http`, a host and perhaps a port; no path.
    #[schemars(required, with = "Option<String>", extend("pattern" = "^https?://[^/?#@]+/?$"))]
    url: Option<Placed<Url>>,
    /// PEM certificates of the authorities to trust. Default: the system's.
    ca: Option<Placed<PathBuf>>,
    /// Default: 1.1.
    http: Option<Placed<HttpVersion>>,
    /// Which `Host` the backend sees: the client's (`preserve`), its own (`upstream`, the default), or the one named here.
    #[schemars(with = "Option<String>")]
    host: Option<Placed<HostHeader>>,
    /// Default: 5s.
    #[schemars(with = "Option<DurationText>")]
    connect_timeout: Option<Placed<Duration>>,
    /// From the last byte of the request to the answer's head. Default: 30s.
    #[schemars(with = "Option<DurationText>")]
    response_timeout: Option<Placed<Duration>>,
    /// Between two pieces of an answer, and before an unused connection is closed. Default: 60s.
    #[schemars(with = "Option<DurationText>")]
    idle_timeout: Option<Placed<Duration>>,
    /// Requests in flight at once. Default: 1000.
    #[schemars(with = "Option<Count>")]
    connections_max: Option<Placed<usize>>,
}

/// More is more than one machine has ports for.
const CONNECTIONS_MAX: usize = 60_000;

impl RawUpstream {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            url: table.required("url", |value| without_user(value, parse_url)),
            ca: table.optional("ca", Value::path),
            http: table.optional("http", Value::keyword),
            host: table.optional("host", |value| value.parsed(parse_host)),
            connect_timeout: table.optional("connect_timeout", positive_duration),
            response_timeout: table.optional("response_timeout", positive_duration),
            idle_timeout: table.optional("idle_timeout", positive_duration),
            connections_max: table.optional("connections_max", |value| value.integer(1..=CONNECTIONS_MAX)),
        }
    }

    pub(super) fn resolve(
        self,
        name: Placed<String>,
        source: &Source,
        base: &Path,
        findings: &mut Findings,
    ) -> Option<Upstream> {
        let Self { url, ca, http, host, connect_timeout, response_timeout, idle_timeout, connections_max } = self;
        let url = url?;
        if url.value.scheme() == "http" && !is_loopback(&url.value) {
            findings
                .warning(
                    source,
                    url.span,
                    format!("upstream `{}`: `url`: attributes and tokens go over the network in the clear", name.value),
                )
                .help("use `https://`, and `ca` where the backend's certificate is your own");
        }
        let seconds = |duration: Option<Placed<Duration>>, default| {
            duration.map_or(Duration::from_secs(default), |duration| duration.value)
        };
        Some(Upstream {
            name: name.value,
            url: url.value,
            ca: ca.map(|ca| base.join(ca.value)),
            http_version: http.map_or(HttpVersion::Http1, |http| http.value),
            host_header: host.map_or(HostHeader::Upstream, |host| host.value),
            connect_timeout: seconds(connect_timeout, 5),
            response_timeout: seconds(response_timeout, 30),
            idle_timeout: seconds(idle_timeout, 60),
            connections_max: connections_max.map_or(1_000, |count| count.value),
        })
    }
}

/// A URL that says nothing secret.
pub(super) fn without_user(value: &Value<'_>, parse: fn(&str) -> Result<Url, &'static str>) -> Option<Placed<Url>> {
    if value.text()?.value.contains('@') {
        // What stands before it may be a password, so nobody repeats it.
        value.conceal();
        value.error("expected no user and password");
        return None;
    }
    value.parsed(parse)
}

fn parse_url(text: &str) -> Result<Url, &'static str> {
    const EXPECTED: &str = "expected `https://` or `http://`, a host and perhaps a port";
    let url = Url::parse(text).map_err(|_| EXPECTED)?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(EXPECTED);
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("expected no path: requests keep their own");
    }
    Ok(url)
}

fn parse_host(text: &str) -> Result<HostHeader, &'static str> {
    match text {
        "preserve" => Ok(HostHeader::Preserve),
        "upstream" => Ok(HostHeader::Upstream),
        // A bare word is a slip rather than a host.
        name if name.contains(['.', ':']) && is_authority(name) => Ok(HostHeader::Named(name.to_owned())),
        _ => Err("expected `preserve`, `upstream` or a host name such as `api.example.com`"),
    }
}

fn is_authority(name: &str) -> bool {
    name.parse::<http::uri::Authority>().is_ok_and(|authority| !authority.as_str().contains('@'))
        && Host::parse(name.split(':').next().unwrap_or(name)).is_ok()
}
