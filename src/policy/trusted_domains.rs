//! Trusted domains: the web origins from which a workspace's widget may speak.
//!
//! They keep honest browsers honest: whoever speaks without a browser can claim any origin. That is why they come before the proofs and
//! never instead of them.

use std::fmt;

use url::{Host, Url};

/// A web origin in its one spelling: scheme, host, port (RFC 6454 §4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    host: String,
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
        let url = Url::parse(text).map_err(|_| OriginError::Malformed)?;
        if url.origin().ascii_serialization() != text {
            return Err(OriginError::Malformed);
        }
        Self::of_url(&url).ok_or(OriginError::Malformed)
    }
}

impl Origin {
    fn of_url(url: &Url) -> Option<Self> {
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return None,
        };
        let host = url.host_str()?.to_owned();
        if host.ends_with('.') {
            return None;
        }
        Some(Self { scheme, host, port: url.port_or_known_default()? })
    }

    fn default_port(&self) -> u16 {
        match self.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == self.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
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
        let origin = Origin::of_url(&url).ok_or(TrustedDomainError::Malformed)?;
        let is_name = matches!(url.host(), Some(Host::Domain(_)));
        if origin.scheme == Scheme::Http && !is_loopback(&url) {
            return Err(TrustedDomainError::Insecure);
        }
        if subdomains && !is_name {
            return Err(TrustedDomainError::Wildcard);
        }
        // One label has everybody below it: `https://*.com`.
        if subdomains && !origin.host.contains('.') && origin.host != "localhost" {
            return Err(TrustedDomainError::PublicSuffix(origin.host));
        }
        Ok(Self { origin, subdomains })
    }
}

fn is_loopback(url: &Url) -> bool {
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
        let same_host = self.origin.host == origin.host;
        let below = self.subdomains
            && origin
                .host
                .strip_suffix(&self.origin.host)
                .is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'));
        self.origin.scheme == origin.scheme && self.origin.port == origin.port && (same_host || below)
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
        check("https://b\u{fc}cher.example", "https://xn--bcher-kva.example", true);
        check("http://localhost:3000", "http://localhost:3000", true);
        check("http://127.0.0.1:3000", "http://127.0.0.1:3000", true);
        check("https://[::1]:3000", "https://[::1]:3000", true);
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
        refused("https://a*.example.com", TrustedDomainError::Wildcard);
        refused("https://a.*.example.com", TrustedDomainError::Wildcard);
        refused("https://*.com", TrustedDomainError::PublicSuffix("com".into()));
        refused("https://*.127.0.0.1", TrustedDomainError::Wildcard);
        refused("https://app.example.com/path", TrustedDomainError::Path);
        refused("https://app.example.com@evil.test", TrustedDomainError::Path);
        refused("ftp://app.example.com", TrustedDomainError::Malformed);
    }
}
