//! Which header fields cross the gateway, in both directions.

use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};

use super::error::UpstreamError;

/// Takes out of a request what ends here, and what only a gateway may say. What the body is called stays as it came.
pub(super) fn clean_request_headers(headers: &mut HeaderMap) {
    keep_only(headers, crosses_to_upstream);
    join_cookie_crumbs(headers);
}

/// The same for a request whose body was judged: what was true of the body that came goes too, and the one that leaves is described anew.
pub(super) fn clean_judged_headers(headers: &mut HeaderMap, content_type: Option<&'static str>) {
    keep_only(headers, |name| crosses_to_upstream(name) && !describes_body(name));
    join_cookie_crumbs(headers);
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
}

fn keep_only(headers: &mut HeaderMap, crosses: impl Fn(&str) -> bool) {
    let mut gone = named_by_connection(headers);
    gone.extend(headers.keys().filter(|name| !crosses(name.as_str())).cloned());
    for name in gone {
        headers.remove(name);
    }
}

fn describes_body(name: &str) -> bool {
    matches!(name, "content-type" | "content-encoding" | "content-digest" | "repr-digest" | "digest" | "content-md5")
}

/// What such names begin with backends believe, as only a proxy of theirs says it: `X-Forwarded-*`, `X-Original-*`, where a file is sent from.
const TAKEN_FROM_PROXIES: [&str; 4] = ["x-forwarded", "x-original-", "x-accel-", "x-sendfile-"];

fn crosses_to_upstream(name: &str) -> bool {
    // CGI, WSGI and Rack fold `-` and `_` into one: with an underscore, `x_forwarded_for` would arrive there as ours.
    if name.contains('_') || is_reserved(name) || is_hop_by_hop(name) {
        return false;
    }
    !matches!(
        name,
        // Framing is ours, `host` is the policy's.
        "host" | "content-length" | "expect" | "http2-settings"
        // Who the client is and how it came is ours to say.
        | "forwarded" | "x-request-id" | "via" | "x-real-ip" | "x-client-ip" | "client-ip" | "true-client-ip"
        | "x-cluster-client-ip" | "cf-connecting-ip" | "fastly-client-ip" | "x-azure-clientip" | "x-azure-socketip"
        | "x-remote-addr" | "x-originating-ip" | "x-remote-user" | "remote-user" | "traceparent"
        | "x-scheme" | "x-url-scheme" | "front-end-https"
        // Frameworks take these for another method or path than the one that was judged.
        | "x-http-method-override" | "x-http-method" | "x-method-override" | "http-method-override" | "method-override"
        | "x-rewrite-url" | "x-host" | "x-middleware-subrequest"
    ) && !TAKEN_FROM_PROXIES.iter().any(|begin| name.starts_with(begin))
}

/// Takes out of a response what ends here, and what the gateway says itself: CORS, HSTS, how the backend is built.
pub fn clean_response_headers(headers: &mut HeaderMap) {
    // RFC 9112 §6.3: with both, the coding counts and the length may be a lie meant for the next hop.
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    keep_only(headers, crosses_to_client);
}

/// Makes the length of an answer one that everybody reads alike: once, in digits. The same one again is left out (RFC 9110 section 8.6).
///
/// # Errors
///
/// [`UpstreamError::Framing`]: two lengths, or none, or a coding beside `chunked`, whose end only the upstream knows.
pub(super) fn settle_framing(headers: &mut HeaderMap) -> Result<(), UpstreamError> {
    for coding in headers.get_all(TRANSFER_ENCODING) {
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(UpstreamError::Framing);
        }
    }
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for text in value.to_str().map_err(|_| UpstreamError::Framing)?.split(',') {
            let text = text.trim_matches([' ', '\t']);
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number: u64 = text.parse().ok().filter(|_| is_number).ok_or(UpstreamError::Framing)?;
            if length.replace(number).is_some_and(|before| before != number) {
                return Err(UpstreamError::Framing);
            }
        }
    }
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(())
}

fn crosses_to_client(name: &str) -> bool {
    !is_hop_by_hop(name)
        && !is_reserved(name)
        // `proxy-status` tells our answers from the backend's.
        && !matches!(name, "server" | "x-powered-by" | "strict-transport-security" | "alt-svc" | "proxy-status")
        && !name.starts_with("access-control-")
}

/// RFC 9110 §7.6.1, and what servers treat alike although no RFC does.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
    )
}

/// Names by which the gateway itself speaks to the upstream.
fn is_reserved(name: &str) -> bool {
    name.starts_with("x-countersign")
}

/// The fields that `Connection` names end at this hop too (RFC 9110 §7.6.1).
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok())
        .collect()
}

/// HTTP/2 clients may send a cookie in pieces, and HTTP/1.1 servers read only one field (RFC 9113 §8.2.3).
fn join_cookie_crumbs(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(_), Some(_)) = (crumbs.next(), crumbs.next()) else { return };
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[track_caller]
    fn check(clean: impl Fn(&mut HeaderMap), fields: &[(&str, &str)], expected: &[(&str, &str)]) {
        let mut headers = map(fields);
        clean(&mut headers);
        assert_eq!(headers, map(expected));
    }

    #[test]
    fn hop_by_hop_fields_and_those_that_connection_names_end_here() {
        check(
            clean_request_headers,
            &[
                ("Connection", "keep-alive, X-Secret-Hop"),
                ("connection", "x-other"),
                ("Keep-Alive", "timeout=5"),
                ("X-Secret-Hop", "1"),
                ("X-Other", "2"),
                ("TE", "trailers"),
                ("Trailer", "x"),
                ("Transfer-Encoding", "chunked"),
                ("Upgrade", "h2c"),
                ("HTTP2-Settings", "AAA"),
                ("Proxy-Authorization", "Basic x"),
                ("Expect", "100-continue"),
                ("Content-Length", "3"),
                ("Host", "acme.example"),
                ("Accept-Encoding", "gzip"),
                ("X-Auth-Token", "t"),
            ],
            &[("accept-encoding", "gzip"), ("x-auth-token", "t")],
        );
    }

    #[test]
    fn what_only_a_gateway_may_say_is_taken_out_in_every_spelling() {
        check(
            clean_request_headers,
            &[
                ("X-Forwarded-For", "10.0.0.1"),
                ("X-Forwarded-Prefix", "/admin"),
                ("X-Forwarded", "for=1"),
                ("X_Forwarded_For", "10.0.0.1"),
                ("x-forwarded_for", "10.0.0.1"),
                ("Forwarded", "for=10.0.0.1"),
                ("X-Real-IP", "10.0.0.1"),
                ("Client-IP", "10.0.0.1"),
                ("X-Request-Id", "1"),
                ("X-Countersign-Decision", "1"),
                ("X_Countersign_Decision", "1"),
                ("x-countersign_decision", "1"),
                ("X-HTTP-Method-Override", "DELETE"),
                ("X-Original-URL", "/admin"),
                ("X-Forward", "a near miss"),
                ("X-Counter", "a near miss"),
            ],
            &[("x-forward", "a near miss"), ("x-counter", "a near miss")],
        );
    }

    #[test]
    fn cookie_crumbs_are_joined_and_a_whole_cookie_is_left_alone() {
        check(clean_request_headers, &[("cookie", "a=1"), ("cookie", "b=2; c=3")], &[("cookie", "a=1; b=2; c=3")]);
        check(clean_request_headers, &[("cookie", "a=1;b=2")], &[("cookie", "a=1;b=2")]);
    }

    #[test]
    fn a_judged_body_is_described_anew() {
        let came = [
            ("content-type", "application/json; charset=latin1"),
            ("content-encoding", "gzip"),
            ("content-digest", "sha-256=:x:"),
            ("accept", "*/*"),
        ];
        check(
            |headers| clean_judged_headers(headers, Some("application/json")),
            &came,
            &[("content-type", "application/json"), ("accept", "*/*")],
        );
        check(|headers| clean_judged_headers(headers, None), &came, &[("accept", "*/*")]);
    }

    #[test]
    fn responses_lose_what_the_gateway_says_itself() {
        check(
            clean_response_headers,
            &[
                ("Connection", "close, X-Debug"),
                ("X-Debug", "1"),
                ("Transfer-Encoding", "chunked"),
                ("Content-Length", "5"),
                ("Server", "nginx"),
                ("X-Powered-By", "Rails"),
                ("Access-Control-Allow-Origin", "*"),
                ("Strict-Transport-Security", "max-age=0"),
                ("Alt-Svc", "h3=\":443\""),
                ("Set-Cookie", "a=1"),
                ("Set-Cookie", "b=2"),
                ("ETag", "x"),
            ],
            &[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("etag", "x")],
        );
        check(clean_response_headers, &[("content-length", "5")], &[("content-length", "5")]);
    }
}
