//! Kin of the trusted domains: origins that belong to the same owner by their looks. For words to operators; nothing is trusted for it.

use super::trusted_domains::{Origin, TrustedDomains};

/// Second labels below which a registry of a country gives names to everybody, as in `acme.co.uk`.
const REGISTRY_LABELS: [&str; 10] = ["ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"];

impl TrustedDomains {
    /// Whether the origin's host has the same domain as one of the entries.
    #[must_use]
    pub fn have_kin(&self, origin: &Origin) -> bool {
        self.entries().iter().any(|entry| {
            let domain = owned_domain(entry.origin().host());
            let below = origin.host().strip_suffix(domain);
            below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
        })
    }
}

/// The last two labels of a host, or three below a registry's; an address whole.
fn owned_domain(host: &str) -> &str {
    let is_address = host.starts_with('[') || host.rsplit('.').next().is_some_and(|last| last.parse::<u8>().is_ok());
    let mut labels = host.rsplit('.');
    let (top, second) = (labels.next().unwrap_or_default(), labels.next().unwrap_or_default());
    let kept = if top.len() == 2 && REGISTRY_LABELS.contains(&second) { 3 } else { 2 };
    match host.rmatch_indices('.').nth(kept - 1) {
        Some((dot, _)) if !is_address => host.get(dot + 1..).unwrap_or(host),
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::super::trusted_domains::TrustedDomain;
    use super::*;

    #[track_caller]
    fn check(entry: &str, origin: &str, expected: bool) {
        let domains = TrustedDomains::new(vec![TrustedDomain::try_from(entry).expect("an entry")]);
        assert_eq!(domains.have_kin(&Origin::try_from(origin).expect("an origin")), expected, "{entry} {origin}");
    }

    #[test]
    fn kin_share_a_domain_that_somebody_owns() {
        check("https://app.acme.example", "https://new.acme.example", true);
        check("https://app.acme.example", "https://acme.example:8443", true);
        check("https://*.acme.example", "https://a.b.acme.example", true);
        check("https://acme.example", "https://new.acme.example", true);
        check("https://app.acme.example", "https://evil-acme.example", false);
        check("https://app.acme.example", "https://app.acme.example.evil.test", false);
        check("https://acme.co.uk", "https://evil.co.uk", false);
        check("https://app.acme.co.uk", "https://new.acme.co.uk", true);
        check("https://app.acme.de", "https://new.acme.de", true);
        check("http://localhost:3000", "http://localhost:4000", true);
        check("https://192.0.2.1", "https://198.51.2.1", false);
        check("https://[::1]", "https://[::2]", false);
    }
}
