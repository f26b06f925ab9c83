//! Headers that belong to one hop, and those that every answer has.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::policy::Hsts;

/// Headers of one connection (RFC 9110 §7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Takes away what belongs to the hop on which the message came, in either direction. A WebSocket's `Upgrade` is for whoever sends on to
/// write anew.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| HeaderName::from_bytes(name.trim_matches([' ', '\t']).as_bytes()).ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// What an upstream's answer says about the upstream rather than about us: banners, and alternative services (RFC 7838) that would lead
/// around the gateway.
const UPSTREAM_ONLY: [HeaderName; 4] = [
    header::SERVER,
    HeaderName::from_static("x-powered-by"),
    header::ALT_SVC,
    HeaderName::from_static("public-key-pins"),
];

/// The headers of every answer, whoever made it.
#[derive(Clone, Debug)]
pub struct SecurityHeaders {
    hsts: HeaderValue,
}

impl From<&Hsts> for SecurityHeaders {
    fn from(hsts: &Hsts) -> Self {
        // `Hsts` writes numbers and fixed words. Were that ever wrong, browsers keep what they remember rather than forget.
        let hsts =
            HeaderValue::try_from(hsts.header_value()).unwrap_or_else(|_| HeaderValue::from_static("max-age=63072000"));
        Self { hsts }
    }
}

impl SecurityHeaders {
    /// Writes them over whatever the upstream said.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &UPSTREAM_ONLY {
            headers.remove(name);
        }
        headers.insert(header::STRICT_TRANSPORT_SECURITY, self.hsts.clone());
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers
            .entry(header::REFERRER_POLICY)
            .or_insert_with(|| HeaderValue::from_static("strict-origin-when-cross-origin"));
    }

    /// The value of `Strict-Transport-Security`.
    #[must_use]
    pub fn strict_transport_security(&self) -> &HeaderValue {
        &self.hsts
    }
}

/// Headers of the answers that are our own words: no page, nothing to frame, nothing to keep.
pub fn apply_to_own_answer(headers: &mut HeaderMap) {
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_belongs_to_one_hop_stays_there() {
        let mut headers = headers(&[
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "trailers"),
            ("x-hop-not", "1"),
            ("content-type", "text/plain"),
        ]);
        remove_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-type", "x-hop-not"]);
    }

    #[test]
    fn every_answer_is_ours_in_what_concerns_safety() {
        let hsts = Hsts::new(Duration::from_secs(31_536_000), true, true).expect("a header");
        let mut headers = headers(&[
            ("strict-transport-security", "max-age=0"),
            ("server", "upstream/1.0"),
            ("x-powered-by", "x"),
            ("alt-svc", "h3=\":443\""),
            ("referrer-policy", "no-referrer"),
        ]);
        SecurityHeaders::from(&hsts).apply(&mut headers);
        assert_eq!(headers["strict-transport-security"], "max-age=31536000; includeSubDomains; preload");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers.len(), 3);
    }
}
