//! Kin of the trusted domains: origins that belong to the same owner by their looks. For words to operators; nothing is trusted for it.

use super::owners::owned_domain;
use super::trusted_domains::{Origin, TrustedDomains};

impl TrustedDomains {
    /// Whether the origin's host belongs to the owner of one of the entries.
    #[must_use]
    pub fn have_kin(&self, origin: &Origin) -> bool {
        self.entries().iter().any(|entry| {
            // Names below a public suffix are given to whoever asks: `evil.github.io` is no kin of `acme.github.io`.
            owned_domain(entry.origin().host()) == origin.owned_domain()
        })
    }
}

impl Origin {
    /// What of its host one owner holds: `acme.example` of `https://new.acme.example`.
    #[must_use]
    pub fn owned_domain(&self) -> &str {
        owned_domain(self.host())
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
        check("https://acme.github.io", "https://evil.github.io", false);
        check("https://acme.github.io", "https://new.acme.github.io", true);
        check("https://acme.github.io", "https://github.io", false);
        check("https://acme.vercel.app", "https://evil-login.vercel.app", false);
        check("https://shop.acme.in.ua", "https://evil.in.ua", false);
        check("https://shop.acme.in.ua", "https://new.acme.in.ua", true);
        check("https://*.github.io", "http://evil.github.io", false);
        check("https://app.acme.de", "https://new.acme.de", true);
        check("http://localhost:3000", "http://localhost:4000", true);
        check("https://192.0.2.1", "https://198.51.2.1", false);
        check("https://[::1]", "https://[::2]", false);
    }
}
