//! What the gateway tells the upstream about a request: who asked, how, for which host, under which ids.

use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;

use super::trace::{TRACEPARENT, TRACESTATE, Traceparent};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known of a request beside itself.
#[derive(Clone, Debug)]
pub struct ForwardFacts {
    pub client: IpAddr,
    /// The host, and the port if there was one, that the client asked for; already found to be one of ours.
    pub host: Authority,
    pub request_id: String,
    pub traceparent: Traceparent,
}

impl ForwardFacts {
    /// Writes the facts into headers that have none of these fields.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        let client = self.client.to_canonical();
        let address = client.to_string();
        insert(headers, &FORWARDED, forwarded(client, &address, &self.host));
        insert(headers, &X_FORWARDED_FOR, address);
        insert(headers, &X_FORWARDED_HOST, self.host.as_str().to_owned());
        headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        insert(headers, &X_REQUEST_ID, self.request_id);
        // A state without the trace that it belongs to must not go on (W3C Trace Context §3.3).
        if !self.traceparent.continues_the_clients() {
            headers.remove(&TRACESTATE);
        }
        insert(headers, &TRACEPARENT, self.traceparent.to_text());
    }
}

/// RFC 7239 §4. An IPv6 address stands in brackets and quotes; a host with a port or brackets is no token and is quoted too.
fn forwarded(client: IpAddr, address: &str, host: &Authority) -> String {
    let host = host.as_str();
    let (before, after) = if client.is_ipv6() { ("for=\"[", "]\"") } else { ("for=", "") };
    let token = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    let quote = if token { "" } else { "\"" };
    [before, address, after, ";host=", quote, host, quote, ";proto=https"].concat()
}

/// The text becomes the value as it is, without a copy. What is no header value is left out: all of these are made by us.
fn insert(headers: &mut HeaderMap, name: &HeaderName, text: String) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(client: &str, host: &str, expected: &str) {
        let mut headers = HeaderMap::new();
        headers.insert("tracestate", "vendor=1".parse().unwrap());
        let facts = ForwardFacts {
            client: client.parse().unwrap(),
            host: host.parse().unwrap(),
            request_id: "id-1".to_owned(),
            traceparent: Traceparent::of_request(&headers, uuid::Uuid::max()),
        };
        facts.write(&mut headers);
        assert_eq!(headers["forwarded"], expected);
        assert_eq!(headers["x-forwarded-host"], host);
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-request-id"], "id-1");
        assert!(headers.contains_key("traceparent"));
        assert!(!headers.contains_key("tracestate"), "the trace is new");
    }

    #[test]
    fn addresses_and_hosts_are_quoted_where_they_are_no_tokens() {
        check("192.0.2.7", "acme.example", "for=192.0.2.7;host=acme.example;proto=https");
        check("192.0.2.7", "acme.example:8443", "for=192.0.2.7;host=\"acme.example:8443\";proto=https");
        check("2001:db8::1", "[2001:db8::2]:1", "for=\"[2001:db8::1]\";host=\"[2001:db8::2]:1\";proto=https");
        check("::ffff:192.0.2.7", "a.example", "for=192.0.2.7;host=a.example;proto=https");
    }
}
