//! Trusted domains: the web origins from which a workspace's widget may speak.
//!
//! They keep honest browsers honest: whoever speaks without a browser can claim any origin. That is why they come before the proofs and
//! never instead of them.

use std::fmt;
use std::sync::Arc;

use url::{Host, Url};

use super::owners::{Giver, giver};

/// A web origin in its one spelling: scheme, host, port (RFC 6454 §4). Its host is an address or a name that DNS can have, so it is the same
/// name wherever it is pasted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Shared, because a request's origin goes into its record, its judgement and its answer.
    text: Arc<str>,
    scheme: Scheme,
    host_end: usize,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scheme {
    Http,
    Https,
}

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    #[error("is not a web origin in the spelling that browsers send")]
    Malformed,
}

/// Origins are short.
const ORIGIN_BYTES_MAX: usize = 512;

impl TryFrom<&str> for Origin {
    type Error = OriginError;

    /// Takes only the one spelling that browsers send (RFC 6454 §6.2): lower case, punycode, no default port, no path, no trailing dot.
    fn try_from(text: &str) -> Result<Self, Self::Error> {
        if text.len() > ORIGIN_BYTES_MAX {
            return Err(OriginError::Malformed);
        }
        if !is_spelled_once(text) {
            let url = Url::parse(text).map_err(|_| OriginError::Malformed)?;
            if url.origin().ascii_serialization() != text {
                return Err(OriginError::Malformed);
            }
        }
        Self::of_canonical(text).ok_or(OriginError::Malformed)
    }
}

impl Origin {
    /// Takes an origin apart that is in its one spelling.
    fn of_canonical(text: &str) -> Option<Self> {
        let (scheme, rest) = Scheme::ALL
            .into_iter()
            .find_map(|scheme| Some((scheme, text.strip_prefix(scheme.prefix())?)))
            .filter(|(_, rest)| !rest.is_empty())?;
        let (host, port) = match rest.rsplit_once(':') {
            // The last colon of an IPv6 address has its bracket behind it.
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            Some(_) | None => (rest, scheme.default_port()),
        };
        if !is_name(host) && !host.starts_with('[') {
            return None;
        }
        Some(Self { text: text.into(), scheme, host_end: scheme.prefix().len() + host.len(), port })
    }

    pub(super) fn host(&self) -> &str {
        self.text.get(self.scheme.prefix().len()..self.host_end).unwrap_or_default()
    }

    /// Whether it is that of pages which this host serves over TLS; `authority` leaves the default port out.
    #[must_use]
    pub fn is_of_host(&self, authority: &str) -> bool {
        self.text.strip_prefix(Scheme::Https.prefix()) == Some(authority)
    }

    /// The spelling, as browsers send it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Scheme {
    const ALL: [Self; 2] = [Self::Https, Self::Http];

    fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Of a host, and of one label of it (RFC 1035 §2.3.4).
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// Whether DNS can have such a name, or it is an IPv4 address. Parsers of URLs take more for one, commas and stars among it; the underscore
/// is in names that browsers do send.
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(is_plain)
    };
    host.len() <= HOST_BYTES_MAX && host.split('.').all(is_label)
}

/// Whether an origin has but one spelling, and this is it: most have, and need no parser of URLs to find out. A host of lower-case labels that
/// is no address and no punycode, and at most a port that is not the scheme's own.
fn is_spelled_once(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(Scheme::Https.prefix()) else { return false };
    let (host, port) = match rest.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    };
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_plain) && !label.starts_with("xn--")
    };
    // A last label that begins with a digit may be a number, and the host an IPv4 address.
    let last_is_name =
        host.rsplit('.').next().is_some_and(|label| label.starts_with(|char: char| char.is_ascii_lowercase()));
    // Of four digits, none of them a zero in front: neither the scheme's own port nor one that is too great.
    let is_port =
        |port: &str| port.len() == 4 && port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    last_is_name && host.split('.').all(is_label) && port.is_none_or(is_port)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One entry of the list: an origin, or all hosts below one (`https://*.acme.example`, which covers `https://acme.example` too).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedDomain {
    origin: Origin,
    subdomains: bool,
}

/// Why an entry is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustedDomainError {
    #[error("expected an origin such as `https://app.example.com`")]
    Malformed,
    #[error("expected `https://`; `http://` only for a loopback host")]
    Insecure,
    #[error("expected nothing behind the host and port")]
    Path,
    #[error("the host is no name: expected one origin each, such as `https://app.example.com`")]
    Host,
    #[error("`*` stands only for whole labels on the left: `https://*.example.com`")]
    Wildcard,
    #[error("`{0}` is a public suffix: anybody can get a name below it")]
    PublicSuffix(String),
}

impl TryFrom<&str> for TrustedDomain {
    type Error = TrustedDomainError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let (scheme, rest) = text.split_once("://").ok_or(TrustedDomainError::Malformed)?;
        let (subdomains, host) = match rest.strip_prefix("*.") {
            Some(host) => (true, host),
            None => (false, rest),
        };
        if host.contains('*') {
            return Err(TrustedDomainError::Wildcard);
        }
        if host.trim_end_matches('/').contains(['/', '?', '#', '@', '\\']) {
            return Err(TrustedDomainError::Path);
        }
        let url = Url::parse(&format!("{scheme}://{host}")).map_err(|_| TrustedDomainError::Malformed)?;
        if matches!(url.host(), Some(Host::Domain(name)) if !is_name(name)) {
            return Err(TrustedDomainError::Host);
        }
        let origin = url.origin().ascii_serialization();
        let origin = Origin::of_canonical(&origin).ok_or(TrustedDomainError::Malformed)?;
        let is_name = matches!(url.host(), Some(Host::Domain(_)));
        if origin.scheme == Scheme::Http && !is_loopback(&url) {
            return Err(TrustedDomainError::Insecure);
        }
        if subdomains && !is_name {
            return Err(TrustedDomainError::Wildcard);
        }
        // Everybody is below it: `https://*.com`, `https://*.co.uk`.
        if subdomains && giver(origin.host()) == Some(Giver::Registry) && origin.host() != "localhost" {
            return Err(TrustedDomainError::PublicSuffix(origin.host().to_owned()));
        }
        Ok(Self { origin, subdomains })
    }
}

/// Whether a host is this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl TrustedDomain {
    /// Whether `origin` is this one, or below it where the entry says so. Labels are compared whole: `evil-example.com` is not below
    /// `example.com`.
    #[must_use]
    pub fn covers(&self, origin: &Origin) -> bool {
        let same_host = self.origin.host() == origin.host();
        let below = self.subdomains
            && origin
                .host()
                .strip_suffix(self.origin.host())
                .is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'));
        self.origin.scheme == origin.scheme && self.origin.port == origin.port && (same_host || below)
    }
}

impl TrustedDomain {
    /// The entry as sources of a Content Security Policy (Level 3 §2.3.1), where `*.` does not cover the domain itself. There are none for
    /// an IPv6 address: the grammar has no form for it.
    pub fn csp_sources(&self) -> impl Iterator<Item = String> {
        let has_form = !self.origin.host().starts_with('[');
        let below = self.subdomains.then(|| self.to_string());
        below.into_iter().chain([self.origin.to_string()]).filter(move |_| has_form)
    }

    /// The hoster of other people's pages below whom it trusts everybody, as with `https://*.github.io`.
    pub(super) fn hoster(&self) -> Option<&str> {
        let host = self.origin.host();
        (self.subdomains && giver(host) == Some(Giver::Hoster)).then_some(host)
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl fmt::Display for TrustedDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.origin.to_string();
        if self.subdomains { f.write_str(&text.replacen("://", "://*.", 1)) } else { f.write_str(&text) }
    }
}

/// The list. An empty one trusts nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedDomains(Vec<TrustedDomain>);

impl TrustedDomains {
    /// The list of these entries.
    #[must_use]
    pub fn new(domains: Vec<TrustedDomain>) -> Self {
        Self(domains)
    }

    /// Whether an entry covers `origin`.
    #[must_use]
    pub fn trust(&self, origin: &Origin) -> bool {
        self.0.iter().any(|domain| domain.covers(origin))
    }

    /// The entries, in the order of the file.
    #[must_use]
    pub fn entries(&self) -> &[TrustedDomain] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(entry: &str, origin: &str, trusted: bool) {
        let entry = TrustedDomain::try_from(entry).expect("an entry");
        let covered = Origin::try_from(origin).is_ok_and(|origin| entry.covers(&origin));
        assert_eq!(covered, trusted, "{entry} {origin}");
    }

    #[test]
    fn entries_and_their_look_alikes() {
        check("https://app.example.com", "https://app.example.com", true);
        check("https://app.example.com/", "https://app.example.com", true);
        check("HTTPS://App.Example.com:443", "https://app.example.com", true);
        check("https://app.example.com", "http://app.example.com", false);
        check("https://app.example.com", "https://app.example.com:8443", false);
        check("https://app.example.com:8443", "https://app.example.com:8443", true);
        check("https://app.example.com", "https://app.example.com.evil.test", false);
        check("https://app.example.com", "https://evil-app.example.com", false);
        check("https://app.example.com", "https://app.example.com.", false);
        check("https://app.example.com", "https://APP.example.com", false);
        check("https://app.example.com", "https://app.example.com/", false);
        check("https://app.example.com", "https://app.example.com:443", false);
        check("https://app.example.com", "null", false);
        check("https://app.example.com", "https://user@app.example.com", false);
        check("https://*.example.com", "https://example.com", true);
        check("https://*.example.com", "https://a.b.example.com", true);
        check("https://*.example.com", "https://evilexample.com", false);
        check("https://*.example.com", "https://evil-example.com", false);
        check("https://*.example.com", "https://.example.com", false);
        check("https://*.example.com", "https://a_b.example.com", true);
        check("https://*.example.com", "https://-.example.com", true);
        check("https://*.example.com", "https://..example.com", false);
        check("https://*.example.com", "https://a..example.com", false);
        check("https://*.example.com", "https://*.example.com", false);
        for strange in [",", ";", "'", "$", "!", "(", "%2e"] {
            check("https://*.example.com", &format!("https://a{strange}b.example.com"), false);
        }
        let label = |bytes: usize| format!("https://{}.example.com", "a".repeat(bytes));
        check("https://*.example.com", &label(63), true);
        check("https://*.example.com", &label(64), false);
        let host = |labels: usize| format!("https://{}xx.example.com", "a.".repeat(labels));
        check("https://*.example.com", &host(119), true);
        check("https://*.example.com", &host(120), false);
        check("https://b\u{fc}cher.example", "https://xn--bcher-kva.example", true);
        check("http://localhost:3000", "http://localhost:3000", true);
        check("http://127.0.0.1:3000", "http://127.0.0.1:3000", true);
        check("https://[::1]:3000", "https://[::1]:3000", true);
    }

    proptest::proptest! {
        #[test]
        fn what_is_taken_at_sight_a_parser_takes_too(text in "https://[a-cxn0-9.:-]{0,12}(:[0-9]{1,5})?") {
            if is_spelled_once(&text) {
                let url = Url::parse(&text).expect("a URL");
                proptest::prop_assert_eq!(url.origin().ascii_serialization(), text.clone());
                let origin = Origin::try_from(text.as_str()).expect("an origin");
                proptest::prop_assert_eq!(Some(origin.host()), url.host_str());
                proptest::prop_assert_eq!(Some(origin.port), url.port_or_known_default());
            }
        }
    }

    #[track_caller]
    fn refused(entry: &str, error: TrustedDomainError) {
        assert_eq!(TrustedDomain::try_from(entry), Err(error), "{entry}");
    }

    #[test]
    fn unsafe_entries_are_refused() {
        refused("*", TrustedDomainError::Malformed);
        refused("app.example.com", TrustedDomainError::Malformed);
        refused("http://app.example.com", TrustedDomainError::Insecure);
        refused("http://localhost.evil.test", TrustedDomainError::Insecure);
        refused("https://*", TrustedDomainError::Wildcard);
        refused("https://app.acme.example,b.acme.example", TrustedDomainError::Host);
        refused("https://app.acme.example;b.acme.example", TrustedDomainError::Host);
        refused("https://*.acme.example,b.acme.example", TrustedDomainError::Host);
        refused("https://app..example.com", TrustedDomainError::Host);
        refused("https://app.example.com.", TrustedDomainError::Host);
        refused(&format!("https://{}.example.com", "a".repeat(64)), TrustedDomainError::Host);
        refused(&format!("https://{}com", "a.".repeat(126)), TrustedDomainError::Host);
        refused("https://a*.example.com", TrustedDomainError::Wildcard);
        refused("https://a.*.example.com", TrustedDomainError::Wildcard);
        refused("https://*.com", TrustedDomainError::PublicSuffix("com".into()));
        refused("https://*.co.uk", TrustedDomainError::PublicSuffix("co.uk".into()));
        refused("https://*.xn--55qx5d.cn", TrustedDomainError::PublicSuffix("xn--55qx5d.cn".into()));
        refused("https://*.127.0.0.1", TrustedDomainError::Wildcard);
        refused("https://app.example.com/path", TrustedDomainError::Path);
        refused("https://app.example.com@evil.test", TrustedDomainError::Path);
        refused("ftp://app.example.com", TrustedDomainError::Malformed);
    }
}
