//! The trusted domains of the policies, as any browser meets them: do they keep it to HTTPS, and does their certificate last?
//!
//! A widget's page that comes once over plain HTTP can be made to say anything, in the user's name. Only names that a policy names are asked, one
//! connection each, and a redirect is not followed: what the first answer says of HSTS counts.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;
use url::Url;

use super::certificate::{self, Authorities};
use super::client::{self, Connecting, LookError, Resolve};
use super::facts::{HstsFacts, Trust};
use super::grade::HSTS_SECONDS_MIN;
use crate::policy::Workspace;

/// Domains of one run, and so labels of metrics; those beyond are said not to have been asked.
pub const DOMAINS_MAX: usize = 2_000;

/// Domains that are asked at once.
const AT_ONCE: usize = 16;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// One name to visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The origin; of a wildcard its base.
    pub origin: String,
    /// Whether a policy trusts the hosts below it too. Only the base can be asked: nobody knows which names there are.
    pub is_base_of_wildcard: bool,
    host: String,
    port: u16,
    is_https: bool,
    /// Who trusts it.
    pub workspaces: Vec<String>,
}

/// What all workspaces trust, each name once, in the order of the policies; and how many were beyond [`DOMAINS_MAX`].
#[must_use]
pub fn visits<'w>(workspaces: impl IntoIterator<Item = &'w Workspace>) -> (Vec<Visit>, usize) {
    let mut visits: Vec<Visit> = Vec::new();
    let mut places: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut beyond = 0;
    for workspace in workspaces {
        for domain in workspace.trusted_domains.entries() {
            let text = domain.to_string();
            let origin = text.replacen("://*.", "://", 1);
            let is_wildcard = origin != text;
            if let Some(known) = places.get(&origin).and_then(|at| visits.get_mut(*at)) {
                known.is_base_of_wildcard |= is_wildcard;
                if known.workspaces.last() != Some(&workspace.id) {
                    known.workspaces.push(workspace.id.clone());
                }
                continue;
            }
            // The policy's own reader took it, so it is a URL with a host and a port.
            let Ok(url) = Url::parse(&origin) else { continue };
            let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { continue };
            if visits.len() == DOMAINS_MAX {
                beyond += 1;
                continue;
            }
            places.insert(origin.clone(), visits.len());
            visits.push(Visit {
                host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
                port,
                is_https: url.scheme() == "https",
                is_base_of_wildcard: is_wildcard,
                workspaces: vec![workspace.id.clone()],
                origin,
            });
        }
    }
    (visits, beyond)
}

/// What is wrong with a domain, or could be better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainFindingKind {
    Plain,
    Name,
    Connect,
    Timeout,
    Tls,
    Untrusted,
    OtherName,
    NotYet,
    Expired,
    ExpiresSoon,
    HstsUnknown,
    NoHsts,
    HstsMalformed,
    HstsOff,
    HstsShort,
    /// Advice: the hosts below are trusted, and HSTS says nothing of them.
    Subdomains,
    /// Advice: it asks to be preloaded and cannot be.
    Preload,
}

/// One of them, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DomainFinding {
    pub code: &'static str,
    /// Whether somebody has to do something; else it is advice.
    pub finding: bool,
    pub told: &'static str,
    pub advice: &'static str,
}

impl DomainFindingKind {
    fn finding(self) -> DomainFinding {
        let (code, finding, told, advice) = match self {
            Self::Plain => ("plain", true, "plain HTTP", "serve it over HTTPS, and trust `https://`"),
            Self::Name => {
                ("name", true, "the name has no address", "is it still yours? else take it out of `trusted_domains`")
            }
            Self::Connect => {
                ("connect", true, "nobody listens there", "is it still yours? else take it out of `trusted_domains`")
            }
            Self::Timeout => ("timeout", true, "no answer in time", "can this machine reach it? else `--resolve`"),
            Self::Tls => ("tls", true, "no TLS 1.2 or 1.3", "update its TLS; `countersign tls check` says more"),
            Self::Untrusted => (
                "untrusted",
                true,
                "no browser believes its certificate",
                "send the whole chain; for an authority of your own `--ca`",
            ),
            Self::OtherName => {
                ("other_name", true, "its certificate is for another name", "have one issued for this name")
            }
            Self::NotYet => {
                ("not_yet", true, "its certificate has not begun", "is the clock right, here and where it was issued?")
            }
            Self::Expired => ("expired", true, "its certificate has ended", "renew it"),
            Self::ExpiresSoon => {
                ("expires_soon", true, "its certificate ends soon", "renew it; does its renewal still run?")
            }
            Self::HstsUnknown => ("hsts_unknown", true, "no answer to `GET /`", "does it speak HTTP/1.1?"),
            Self::NoHsts => ("no_hsts", true, "no HSTS", "answer with `Strict-Transport-Security: max-age=63072000`"),
            Self::HstsMalformed => {
                ("hsts_malformed", true, "HSTS that browsers do not take", "send it once, as `max-age=63072000`")
            }
            Self::HstsOff => ("hsts_off", true, "HSTS tells browsers to forget", "set `max-age` to two years"),
            Self::HstsShort => ("hsts_short", true, "HSTS for less than 180 days", "set `max-age` to two years"),
            Self::Subdomains => (
                "subdomains",
                false,
                "hosts below are trusted, and its HSTS leaves them out",
                "add `includeSubDomains`, if all of them speak HTTPS",
            ),
            Self::Preload => (
                "preload",
                false,
                "asks for the preload list, which will not take it",
                "that list asks for `includeSubDomains` and a year",
            ),
        };
        DomainFinding { code, finding, told, advice }
    }
}

/// What was seen of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainFacts {
    /// When the first certificate of its chain ends, Unix seconds.
    pub ends: i64,
    pub hsts: HstsFacts,
    /// The host is an address, to which HSTS does not apply (RFC 6797 §8.1.1).
    pub is_address: bool,
}

/// One domain with what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainReport {
    pub visit: Visit,
    /// `None`: there was nobody to look at.
    pub facts: Option<DomainFacts>,
    pub findings: Vec<DomainFinding>,
}

impl DomainReport {
    /// Whether somebody has to do something.
    #[must_use]
    pub fn has_findings(&self) -> bool {
        self.findings.iter().any(|finding| finding.finding)
    }

    /// Whether browsers will keep to HTTPS for long enough.
    #[must_use]
    pub fn has_hsts(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| {
            let is_long = |hsts: &HstsFacts| matches!(hsts, HstsFacts::Says { max_age_seconds, .. } if *max_age_seconds >= HSTS_SECONDS_MIN);
            facts.is_address || is_long(&facts.hsts)
        })
    }

    /// Whole days until its certificate ends, rounded down.
    #[must_use]
    pub fn days_left(&self, now: i64) -> Option<i64> {
        self.facts.as_ref().map(|facts| facts.ends.saturating_sub(now).div_euclid(DAY_SECONDS))
    }
}

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// How domains are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Looking<'l> {
    pub resolve: &'l [Resolve],
    pub authorities: &'l Authorities,
    /// For each step of one domain: name, handshake, answer.
    pub timeout: Duration,
    /// A certificate that ends sooner is a finding.
    pub expires_within: Duration,
    /// Unix seconds.
    pub now: i64,
}

/// Looks at all of them, some at once; `done` hears of each that is finished.
pub async fn trusted_domains(visits: &[Visit], looking: Looking<'_>, mut done: impl FnMut()) -> Vec<DomainReport> {
    let looks =
        visits.iter().cloned().enumerate().map(|(at, visit)| async move { (at, look_at(&visit, looking).await) });
    let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
    let mut reports = Vec::with_capacity(visits.len());
    while let Some(report) = looks.next().await {
        reports.push(report);
        done();
    }
    reports.sort_by_key(|(at, _)| *at);
    reports.into_iter().map(|(_, report)| report).collect()
}

/// Looks at one.
pub async fn look_at(visit: &Visit, looking: Looking<'_>) -> DomainReport {
    let alone =
        |kind: DomainFindingKind| DomainReport { visit: visit.clone(), facts: None, findings: vec![kind.finding()] };
    if !visit.is_https {
        return alone(DomainFindingKind::Plain);
    }
    let look = match look(visit, looking).await {
        Ok(look) => look,
        Err(LookError::Name) => return alone(DomainFindingKind::Name),
        Err(LookError::Connect) => return alone(DomainFindingKind::Connect),
        Err(LookError::Timeout) => return alone(DomainFindingKind::Timeout),
        Err(LookError::Tls) => return alone(DomainFindingKind::Tls),
    };
    let Some(certificate) = certificate::read(&look.chain, Some(&visit.host), looking.authorities, looking.now) else {
        return alone(DomainFindingKind::Tls);
    };
    let is_address = visit.host.parse::<std::net::IpAddr>().is_ok();
    let mut found = Vec::new();
    match certificate.trust {
        Trust::Trusted | Trust::Unasked => {}
        Trust::SelfSigned | Trust::UnknownIssuer | Trust::Broken => found.push(DomainFindingKind::Untrusted),
    }
    if certificate.covers_name == Some(false) {
        found.push(DomainFindingKind::OtherName);
    }
    let soon = looking.now.saturating_add(i64::try_from(looking.expires_within.as_secs()).unwrap_or(i64::MAX));
    if looking.now < certificate.begins {
        found.push(DomainFindingKind::NotYet);
    }
    if looking.now > certificate.ends {
        found.push(DomainFindingKind::Expired);
    } else if soon >= certificate.ends {
        found.push(DomainFindingKind::ExpiresSoon);
    }
    if !is_address {
        found.extend(of_hsts(&look.hsts, visit.is_base_of_wildcard));
    }
    DomainReport {
        visit: visit.clone(),
        facts: Some(DomainFacts { ends: certificate.ends, hsts: look.hsts, is_address }),
        findings: found.into_iter().map(DomainFindingKind::finding).collect(),
    }
}

async fn look(visit: &Visit, looking: Looking<'_>) -> Result<client::Look, LookError> {
    let connecting = Connecting { host: &visit.host, port: visit.port, resolve: looking.resolve };
    let mut last = LookError::Name;
    for address in connecting.addresses(looking.timeout).await?.into_iter().take(ADDRESSES_MAX) {
        match client::look(address, &visit.host, visit.port, looking.timeout).await {
            Ok(look) => return Ok(look),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A year, as the browsers' preload list asks for.
const PRELOAD_SECONDS_MIN: u64 = 31_536_000;

fn of_hsts(hsts: &HstsFacts, is_base_of_wildcard: bool) -> Vec<DomainFindingKind> {
    let HstsFacts::Says { max_age_seconds, include_subdomains, preload } = hsts else {
        return match hsts {
            HstsFacts::Unknown => vec![DomainFindingKind::HstsUnknown],
            HstsFacts::Absent => vec![DomainFindingKind::NoHsts],
            HstsFacts::Malformed | HstsFacts::Says { .. } => vec![DomainFindingKind::HstsMalformed],
        };
    };
    let mut found = Vec::new();
    if *max_age_seconds == 0 {
        found.push(DomainFindingKind::HstsOff);
    } else if *max_age_seconds < HSTS_SECONDS_MIN {
        found.push(DomainFindingKind::HstsShort);
    }
    if is_base_of_wildcard && !include_subdomains {
        found.push(DomainFindingKind::Subdomains);
    }
    if *preload && !(*include_subdomains && *max_age_seconds >= PRELOAD_SECONDS_MIN) {
        found.push(DomainFindingKind::Preload);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hsts_lacks_is_said() {
        let of = |max_age_seconds, include_subdomains, preload, wildcard| {
            let hsts = HstsFacts::Says { max_age_seconds, include_subdomains, preload };
            of_hsts(&hsts, wildcard).into_iter().map(|kind| kind.finding().code).collect::<Vec<_>>()
        };
        assert!(of(HSTS_SECONDS_MIN, false, false, false).is_empty());
        assert_eq!(of(HSTS_SECONDS_MIN - 1, true, false, true), ["hsts_short"]);
        assert_eq!(of(0, true, false, true), ["hsts_off"]);
        assert_eq!(of(HSTS_SECONDS_MIN, false, false, true), ["subdomains"]);
        assert_eq!(of(HSTS_SECONDS_MIN, true, true, true), ["preload"]);
        assert!(of(PRELOAD_SECONDS_MIN, true, true, true).is_empty());
    }

    #[test]
    fn a_name_that_several_trust_is_visited_once() {
        use crate::policy::{PolicyFiles, Source, parse};
        let acme = include_str!("../../policies/workspaces/acme.toml");
        let line = acme.lines().find(|line| line.starts_with("trusted_domains")).expect("the domains");
        let trusting = |name: &str, id: &str, domains: &str| {
            let text = acme.replace(line, &format!("trusted_domains = [{domains}]")).replace("abc12345", id);
            Source::new(format!("{name}.toml"), text)
        };
        let shipped = crate::profile::shipped();
        let (set, findings) = parse(&PolicyFiles {
            addresses: Vec::new(),
            gateway: Some(Source::new("gateway.toml", include_str!("../../policies/gateway.toml"))),
            profiles: shipped.iter().map(|(id, text)| Source::new(format!("{id}.toml"), *text)).collect(),
            workspaces: vec![
                trusting(
                    "a",
                    "abc12345",
                    r#""https://acme.example", "https://*.acme.example", "https://acme.example:8443""#,
                ),
                trusting(
                    "b",
                    "other123",
                    r#""https://*.acme.example", "http://[::1]:3000", "https://b\u00fccher.example""#,
                ),
            ],
            base: "base".into(),
        });
        let set = set.unwrap_or_else(|| panic!("{findings:?}"));
        let (visits, beyond) = visits(&set.workspaces);
        let seen: Vec<_> = visits
            .iter()
            .map(|visit| {
                (visit.host.as_str(), visit.port, visit.is_https, visit.is_base_of_wildcard, visit.workspaces.len())
            })
            .collect();
        let expected = [
            ("acme.example", 443, true, true, 2),
            ("acme.example", 8443, true, false, 1),
            ("::1", 3000, false, false, 1),
            ("xn--bcher-kva.example", 443, true, false, 1),
        ];
        assert_eq!((seen.as_slice(), beyond), (&expected[..], 0));
    }
}
