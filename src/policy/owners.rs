//! Who owns a host: the Public Suffix List (publicsuffix.org) knows below which names everybody gets one, from `co.uk` to `github.io`.
//!
//! The list is inside the binary, as of its build. A host that is younger than the list looks like its owner's, so nothing is trusted for it:
//! it is for words to operators, and for entries that are too wide.

use psl::{List, Psl, Type};

/// Who gives names below a public suffix to whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Giver {
    /// A registry, as of `com` and `co.uk`: nobody else can own it.
    Registry,
    /// A host of other people's pages, as of `github.io`: it may be the operator's own.
    Hoster,
}

/// Who gives away the names right below `host`; `None` where whoever owns it decides.
pub(super) fn giver(host: &str) -> Option<Giver> {
    let suffix = List.suffix(host.as_bytes()).filter(|suffix| suffix.as_bytes().len() == host.len())?;
    match suffix.typ() {
        Some(Type::Private) => Some(Giver::Hoster),
        // One label that the list has not: there is no owner below the root.
        Some(Type::Icann) | None => Some(Giver::Registry),
    }
}

/// What of `host` one owner holds: a label and the public suffix; an address and a suffix whole.
pub(super) fn owned_domain(host: &str) -> &str {
    let is_address = host.starts_with('[') || host.rsplit('.').next().is_some_and(|last| last.parse::<u8>().is_ok());
    let owned = List.domain(host.as_bytes()).filter(|_| !is_address);
    owned.and_then(|domain| host.get(host.len() - domain.as_bytes().len()..)).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_gets_a_name_below_is_known() {
        for (host, expected) in [
            ("com", Some(Giver::Registry)),
            ("co.uk", Some(Giver::Registry)),
            ("in.ua", Some(Giver::Registry)),
            ("example", Some(Giver::Registry)),
            ("xn--55qx5d.cn", Some(Giver::Registry)),
            ("github.io", Some(Giver::Hoster)),
            ("vercel.app", Some(Giver::Hoster)),
            ("s3.amazonaws.com", Some(Giver::Hoster)),
            ("acme.com", None),
            ("acme.co.uk", None),
            ("acme.github.io", None),
        ] {
            assert_eq!(giver(host), expected, "{host}");
        }
    }

    #[test]
    fn an_owner_holds_one_label_and_the_suffix() {
        for (host, expected) in [
            ("a.b.acme.com", "acme.com"),
            ("a.acme.co.uk", "acme.co.uk"),
            ("acme.co.uk", "acme.co.uk"),
            ("co.uk", "co.uk"),
            ("a.acme.github.io", "acme.github.io"),
            ("github.io", "github.io"),
            ("a.acme.example", "acme.example"),
            ("localhost", "localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(owned_domain(host), expected, "{host}");
        }
    }
}
