//! Who may put the widget's page into a frame: `frame-ancestors` (Content Security Policy Level 3 §6.4.2), from the trusted domains.
//!
//! The calls of a widget that lives in a frame of ours name our own host as their origin, so that no list of origins tells whose page it is
//! on. The browser asks this header before it shows the frame.

use http::header::{self, HeaderMap, HeaderValue};

use crate::policy::{TrustedDomain, TrustedDomains};

/// Whether pages of this very host may frame the page too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnPages {
    MayFrame,
    MayNot,
}

/// The directive, ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameAncestors(HeaderValue);

const NOBODY: HeaderValue = HeaderValue::from_static("frame-ancestors 'none'");

impl FrameAncestors {
    /// Pages of these domains.
    #[must_use]
    pub fn of(domains: &TrustedDomains, own: OwnPages) -> Self {
        let mut sources: Vec<String> = match own {
            OwnPages::MayFrame => vec!["'self'".to_owned()],
            OwnPages::MayNot => Vec::new(),
        };
        for source in domains.entries().iter().flat_map(TrustedDomain::csp_sources) {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        if sources.is_empty() {
            return Self::nobody();
        }
        // Origins are ASCII without spaces. Were one ever not, nobody is the safe reading.
        Self(HeaderValue::try_from(format!("frame-ancestors {}", sources.join(" "))).unwrap_or(NOBODY))
    }

    /// No page at all.
    #[must_use]
    pub fn nobody() -> Self {
        Self(NOBODY)
    }

    /// Writes it into the head of the widget's page. What else the upstream's own policies say stays; what they and `X-Frame-Options` say
    /// about frames is replaced, for the browser would hold to the strictest of all.
    pub fn apply(&self, headers: &mut HeaderMap) {
        headers.remove(header::X_FRAME_OPTIONS);
        let policies: Vec<HeaderValue> = headers
            .get_all(header::CONTENT_SECURITY_POLICY)
            .into_iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
            .filter_map(without_frame_ancestors)
            .collect();
        headers.insert(header::CONTENT_SECURITY_POLICY, self.0.clone());
        for policy in policies {
            headers.append(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
}

/// One serialized policy less its `frame-ancestors`; `None` where nothing is left.
fn without_frame_ancestors(policy: &[u8]) -> Option<HeaderValue> {
    let is_about_frames = |directive: &&[u8]| {
        let name = directive.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        name.eq_ignore_ascii_case(b"frame-ancestors")
    };
    let kept: Vec<&[u8]> = policy
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|directive| !directive.is_empty() && !is_about_frames(directive))
        .collect();
    // Pieces of a header's value.
    (!kept.is_empty()).then(|| HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::test_support::workspace;

    #[track_caller]
    fn check(domains: &[&str], own: OwnPages, expected: &str) {
        assert_eq!(FrameAncestors::of(&workspace(domains).trusted_domains, own).0, expected);
    }

    #[test]
    fn each_entry_is_written_as_a_browser_reads_it() {
        check(&[], OwnPages::MayNot, "frame-ancestors 'none'");
        check(&[], OwnPages::MayFrame, "frame-ancestors 'self'");
        check(
            &["https://app.acme.example", "https://shop.acme.example:8443", "https://app.acme.example/"],
            OwnPages::MayNot,
            "frame-ancestors https://app.acme.example https://shop.acme.example:8443",
        );
        // Here `*.` covers the domain itself, there it does not.
        check(
            &["https://*.acme.example", "https://*.b.example:8443"],
            OwnPages::MayFrame,
            "frame-ancestors 'self' https://*.acme.example https://acme.example https://*.b.example:8443 https://b.example:8443",
        );
        // A source has no form for an IPv6 address.
        check(
            &["https://[::1]:3000", "http://localhost:3000"],
            OwnPages::MayNot,
            "frame-ancestors http://localhost:3000",
        );
        check(&["https://b\u{fc}cher.example"], OwnPages::MayNot, "frame-ancestors https://xn--bcher-kva.example");
    }

    /// What browsers read of all policies: the names of their directives.
    fn directives(headers: &HeaderMap) -> Vec<Vec<String>> {
        let values = headers.get_all(header::CONTENT_SECURITY_POLICY).iter();
        let joined =
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect::<Vec<_>>().join(",");
        let name = |directive: &str| directive.split_ascii_whitespace().next().map(str::to_ascii_lowercase);
        joined.split(',').map(|policy| policy.split(';').filter_map(name).collect()).collect()
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_upstream_says_one_word_about_frames_is_left_and_all_others(
            policies in proptest::collection::vec("(frame-ancestors|Frame-Ancestors|img-src|[ -~]){0,6}([;, \t](frame-ancestors|img-src)?[ a-z*';,]{0,8}){0,6}", 0..4),
        ) {
            let mut headers = HeaderMap::new();
            for policy in &policies {
                headers.append(header::CONTENT_SECURITY_POLICY, HeaderValue::from_str(policy).expect("a value"));
            }
            let names = |headers: &HeaderMap| directives(headers).concat();
            let mut expected: Vec<String> = names(&headers);
            expected.retain(|name| name != "frame-ancestors");
            FrameAncestors::nobody().apply(&mut headers);
            let mut found = names(&headers);
            proptest::prop_assert_eq!(found.remove(0), "frame-ancestors");
            proptest::prop_assert_eq!(found, expected);
        }
    }

    #[track_caller]
    fn merged(policies: &[&str], expected: &[&str]) {
        let mut headers = HeaderMap::new();
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        for policy in policies {
            headers.append(header::CONTENT_SECURITY_POLICY, HeaderValue::from_str(policy).expect("a value"));
        }
        FrameAncestors::nobody().apply(&mut headers);
        assert!(!headers.contains_key(header::X_FRAME_OPTIONS));
        let found: Vec<_> = headers.get_all(header::CONTENT_SECURITY_POLICY).into_iter().collect();
        assert_eq!(found[0], "frame-ancestors 'none'");
        assert_eq!(found[1..], *expected);
    }

    #[test]
    fn only_what_the_upstream_says_about_frames_is_replaced() {
        merged(&[], &[]);
        merged(&["frame-ancestors *"], &[]);
        merged(&["default-src 'self'; frame-ancestors *; img-src *"], &["default-src 'self'; img-src *"]);
        merged(&["script-src 'self';FRAME-ANCESTORS\t'none';"], &["script-src 'self'"]);
        merged(
            &["frame-ancestors https://a.example, default-src 'none'", "object-src 'none'; frame-ancestors"],
            &["default-src 'none'", "object-src 'none'"],
        );
        // A directive whose name only begins so is another.
        merged(&["frame-ancestors-x *; frame-src *"], &["frame-ancestors-x *; frame-src *"]);
    }
}
