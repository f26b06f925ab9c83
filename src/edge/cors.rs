//! Cross-origin resource sharing (the CORS protocol of the Fetch standard).
//!
//! We answer for the upstream: whatever it says about origins is replaced by what was admitted. Never `*`.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::body::{self, Body};
use super::origin::AdmittedOrigin;

/// Headers that a page may send to every operation.
const ALLOWED_HEADERS: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::AUTHORIZATION,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-auth-token"),
];

/// How long a browser may remember the answer to a preflight: short, since policies change.
const MAX_AGE_SECONDS: u16 = 600;

/// A question that a browser asks before the request itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    /// The method of the request to come: routes are found by it.
    pub method: Method,
    /// The headers it will carry. Names that are no header names are left out, so they are not allowed.
    headers: Vec<HeaderName>,
}

/// More header names in one preflight are no widget's; the rest is not allowed.
const PREFLIGHT_HEADERS_MAX: usize = 32;

impl Preflight {
    /// Reads a preflight. `None`: this is none, or not one that a browser sends.
    #[must_use]
    pub fn read(parts: &Parts) -> Option<Self> {
        if parts.method != Method::OPTIONS || !parts.headers.contains_key(header::ORIGIN) {
            return None;
        }
        let method = parts.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
        let method = Method::from_bytes(method.as_bytes()).ok()?;
        let names = parts.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
        let names = names.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let headers = names
            .split(',')
            .take(PREFLIGHT_HEADERS_MAX)
            .filter_map(|name| HeaderName::from_bytes(name.trim_matches([' ', '\t']).as_bytes()).ok())
            .collect();
        Some(Self { method, headers })
    }

    /// Answers it for an operation that takes `methods` and, beside the common ones, the headers `beside`.
    #[must_use]
    pub fn answer(&self, origin: &AdmittedOrigin, methods: &[Method], beside: &[HeaderName]) -> Response<Body> {
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        let allowed = self.headers.iter().filter(|name| ALLOWED_HEADERS.contains(name) || beside.contains(name));
        insert_list(headers, header::ACCESS_CONTROL_ALLOW_METHODS, methods.iter().map(Method::as_str));
        insert_list(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, allowed.map(HeaderName::as_str));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from(MAX_AGE_SECONDS));
        allow(headers, origin);
        headers.insert(
            header::VARY,
            HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        );
        response
    }
}

fn insert_list<'t>(headers: &mut HeaderMap, name: HeaderName, items: impl Iterator<Item = &'t str>) {
    let list = items.collect::<Vec<_>>().join(", ");
    // Methods and header names are tokens, so their list is a value.
    if !list.is_empty()
        && let Ok(list) = HeaderValue::try_from(list)
    {
        headers.insert(name, list);
    }
}

/// Says in a response that the page of `origin` may read it; what the upstream said about that is gone, but for the names of the headers
/// that the page may read.
pub fn apply(headers: &mut HeaderMap, origin: &AdmittedOrigin) {
    let exposed: Vec<HeaderValue> =
        headers.get_all(header::ACCESS_CONTROL_EXPOSE_HEADERS).into_iter().cloned().collect();
    withhold(headers);
    allow(headers, origin);
    for value in exposed {
        headers.append(header::ACCESS_CONTROL_EXPOSE_HEADERS, value);
    }
}

/// Says nothing about origins: for those that were not admitted. A cache still must not give their answer to others.
pub fn withhold(headers: &mut HeaderMap) {
    let ours: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
    vary_by_origin(headers);
}

fn allow(headers: &mut HeaderMap, origin: &AdmittedOrigin) {
    if let Some(origin) = origin.allow_origin()
        && let Ok(origin) = HeaderValue::try_from(origin)
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

fn vary_by_origin(headers: &mut HeaderMap) {
    let says = |value: &HeaderValue| {
        value.to_str().is_ok_and(|value| {
            value.split(',').any(|name| matches!(name.trim(), "*") || name.trim().eq_ignore_ascii_case("origin"))
        })
    };
    if !headers.get_all(header::VARY).iter().any(says) {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::edge::origin::{RequestOrigin, SameOrigin, admit};
    use crate::edge::test_support::workspace;
    use crate::policy::Origin;

    fn admitted() -> AdmittedOrigin {
        let origin = RequestOrigin::Origin(Origin::try_from("https://a.example").expect("an origin"));
        admit(&origin, SameOrigin::Untrusted, [&workspace(&["https://a.example"])]).expect("a trusted origin")
    }

    fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
        let request = headers
            .iter()
            .fold(Request::builder().method(method).uri("/x"), |request, (name, value)| request.header(*name, *value));
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn a_preflight_has_an_origin_and_a_method() {
        let origin = ("origin", "https://a.example");
        let method = ("access-control-request-method", "POST");
        assert!(Preflight::read(&parts("OPTIONS", &[origin, method])).is_some_and(|it| it.method == Method::POST));
        assert_eq!(Preflight::read(&parts("POST", &[origin, method])), None);
        assert_eq!(Preflight::read(&parts("OPTIONS", &[origin])), None);
        assert_eq!(Preflight::read(&parts("OPTIONS", &[method])), None);
        assert_eq!(Preflight::read(&parts("OPTIONS", &[origin, ("access-control-request-method", "a b")])), None);
    }

    #[test]
    fn a_preflight_allows_only_what_is_known() {
        let preflight = Preflight::read(&parts(
            "OPTIONS",
            &[
                ("origin", "https://a.example"),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "Content-Type, x-evil,x-tenant, b\u{f6}se, authorization"),
            ],
        ));
        let beside = [HeaderName::from_static("x-tenant")];
        let none = Preflight { headers: Vec::new(), method: Method::POST };
        // A value beyond ASCII allows nothing at all.
        assert_eq!(preflight, Some(none));
        let preflight = Preflight::read(&parts(
            "OPTIONS",
            &[
                ("origin", "https://a.example"),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "Content-Type, x-evil,x-tenant, a b, authorization"),
            ],
        ))
        .expect("a preflight");
        let response = preflight.answer(&admitted(), &[Method::GET, Method::POST], &beside);
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("access-control-allow-origin"), Some("https://a.example"));
        assert_eq!(header("access-control-allow-credentials"), Some("true"));
        assert_eq!(header("access-control-allow-methods"), Some("GET, POST"));
        assert_eq!(header("access-control-allow-headers"), Some("content-type, x-tenant, authorization"));
        assert_eq!(header("access-control-max-age"), Some("600"));
        assert_eq!(header("vary"), Some("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"));
    }

    fn upstream_headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-origin", "https://evil.example"),
            ("access-control-allow-private-network", "true"),
            ("access-control-expose-headers", "x-page"),
            ("vary", "Accept-Encoding"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn values<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
        headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
    }

    #[test]
    fn what_the_upstream_says_about_origins_is_replaced() {
        let mut headers = upstream_headers();
        apply(&mut headers, &admitted());
        assert_eq!(values(&headers, "access-control-allow-origin"), ["https://a.example"]);
        assert_eq!(values(&headers, "access-control-allow-credentials"), ["true"]);
        assert_eq!(values(&headers, "access-control-allow-private-network"), [""; 0]);
        assert_eq!(values(&headers, "access-control-expose-headers"), ["x-page"]);
        assert_eq!(values(&headers, "vary"), ["Accept-Encoding", "Origin"]);
    }

    #[test]
    fn an_origin_that_was_not_admitted_reads_nothing() {
        let mut headers = upstream_headers();
        withhold(&mut headers);
        assert!(headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
        assert_eq!(values(&headers, "vary"), ["Accept-Encoding", "Origin"]);
        withhold(&mut headers);
        assert_eq!(values(&headers, "vary"), ["Accept-Encoding", "Origin"]);
    }
}
