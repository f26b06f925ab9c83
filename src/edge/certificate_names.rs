//! The host names for which a certificate speaks (RFC 6125 §6.4, RFC 9525 §6.3).

use std::net::IpAddr;

/// The subject alternative names of one certificate. The common name does not count (RFC 9525 §2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames(Vec<CertificateName>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum CertificateName {
    Host(String),
    /// `*.example.com`, kept as `example.com`: exactly one label stands for the star.
    OneLabelBelow(String),
    Address(IpAddr),
}

impl CertificateNames {
    /// Adds a DNS name, which may begin with `*.`. Any other star stands for nothing.
    pub fn add_dns(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        self.0.push(match name.strip_prefix("*.") {
            Some(parent) => CertificateName::OneLabelBelow(parent.to_owned()),
            None => CertificateName::Host(name),
        });
    }

    /// Adds an IP address.
    pub fn add_address(&mut self, address: IpAddr) {
        self.0.push(CertificateName::Address(address));
    }

    /// Whether the certificate speaks for `host`: a name in lower case, or an address without brackets.
    #[must_use]
    pub fn cover(&self, host: &str) -> bool {
        let address = host.parse::<IpAddr>().ok();
        self.0.iter().any(|name| match name {
            CertificateName::Host(name) => address.is_none() && name == host,
            CertificateName::OneLabelBelow(parent) => {
                address.is_none()
                    && host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
            }
            CertificateName::Address(own) => address == Some(*own),
        })
    }

    /// Whether the certificate names `host` itself, without a star.
    #[must_use]
    pub fn name(&self, host: &str) -> bool {
        self.0.iter().any(|name| match name {
            CertificateName::Host(name) => name == host,
            CertificateName::OneLabelBelow(_) | CertificateName::Address(_) => false,
        })
    }

    /// Whether the certificate speaks for everybody for whom `other` does.
    #[must_use]
    pub fn cover_all(&self, other: &Self) -> bool {
        other.0.iter().all(|name| match name {
            CertificateName::Host(host) => self.cover(host),
            CertificateName::OneLabelBelow(_) | CertificateName::Address(_) => self.0.contains(name),
        })
    }

    /// For each name, a host that a client could ask for by it. Nobody asks for an address.
    pub fn examples(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|name| match name {
            CertificateName::Host(host) => Some(host.clone()),
            CertificateName::OneLabelBelow(parent) => Some(format!("any-label.{parent}")),
            CertificateName::Address(_) => None,
        })
    }

    /// Whether the certificate names nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, covered: bool) {
        let mut names = CertificateNames::default();
        names.add_dns("API.example.com");
        names.add_dns("*.widget.example.com");
        names.add_address(IpAddr::from([192, 0, 2, 7]));
        names.add_address(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
        assert_eq!(names.cover(host), covered, "{host}");
    }

    #[test]
    fn who_speaks_for_all_of_another_may_have_a_star_for_its_hosts_but_needs_its_stars() {
        let names = |dns: &[&str]| {
            let mut names = CertificateNames::default();
            for name in dns {
                names.add_dns(name);
            }
            names
        };
        let star = names(&["*.example.com", "example.com"]);
        assert!(star.cover_all(&names(&["a.example.com", "b.example.com"])));
        assert!(star.cover_all(&star));
        assert!(!star.cover_all(&names(&["a.example.com", "a.example.org"])));
        assert!(!names(&["a.example.com"]).cover_all(&star));
        let mut address = names(&["a.example.com"]);
        address.add_address(IpAddr::from([192, 0, 2, 7]));
        assert!(!star.cover_all(&address));
    }

    #[test]
    fn names_cover_themselves_and_a_star_covers_one_label() {
        check("api.example.com", true);
        check("a.widget.example.com", true);
        check("192.0.2.7", true);
        check("::1", true);
        check("example.com", false);
        check("evil-api.example.com", false);
        check("api.example.com.evil.test", false);
        check("widget.example.com", false);
        check(".widget.example.com", false);
        check("a.b.widget.example.com", false);
        check("evilwidget.example.com", false);
        check("192.0.2.8", false);
        check("::2", false);
    }
}
