//! The headers that every answer has.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::relayed;
use crate::policy::Hsts;

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
        relayed::remove_banners(headers);
        headers.insert(header::STRICT_TRANSPORT_SECURITY, self.hsts.clone());
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        relayed::keep_strict_referrer_policy(headers);
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
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
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
