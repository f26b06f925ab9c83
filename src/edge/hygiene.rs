//! Hygiene: a head that two servers could read differently is refused, never mended.
//!
//! hyper has parsed the head; what it lets through and RFC 9110, 9112 and 9113 do not is refused here. [`scrub`] first takes away what a
//! client has no business to say; [`inspect`] then reads what is left. Bytes that hyper would mend before we see them are the matter of
//! [`super::framing`].

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Version};

use super::frames::FIELD_OVERHEAD_BYTES;
use super::peer::TlsFacts;
use crate::policy::Limits;
use crate::profile::{Path, PathError};

/// Why a head is refused. The connection closes after each, except where noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HygieneError {
    /// We are no tunnel (405).
    #[error("the method is CONNECT")]
    Connect,
    /// Echoes a request with its credentials (405).
    #[error("the method is TRACE")]
    Trace,
    /// Asterisk form, authority form, or an absolute form of another scheme (RFC 9112 §3.2).
    #[error("the request target is not a path")]
    Target,
    #[error("the path is not one that every server reads alike")]
    Path(#[source] PathError),
    #[error("the query has a character that does not belong there")]
    Query,
    #[error("there is no host")]
    HostMissing,
    #[error("the host is named in two ways")]
    HostMismatch,
    #[error("the host is malformed")]
    HostSyntax,
    /// The certificate that the client saw does not speak for this host (421, RFC 9110 §15.5.20).
    #[error("the host belongs to another certificate")]
    Misdirected,
    #[error("the transfer encoding is not exactly `chunked`")]
    TransferEncoding,
    /// The classic of request smuggling (RFC 9112 §6.3).
    #[error("both a length and a transfer encoding are given")]
    LengthAndTransferEncoding,
    #[error("the content length is not one decimal number")]
    ContentLength,
    #[error("`{0}` is given more than once")]
    Repeated(&'static str),
    #[error("the value of `{0}` has a character that does not belong there")]
    Value(&'static str),
    /// `Connection` may not take headers away that we have judged.
    #[error("`connection` names a header that is not for one hop")]
    ConnectionOption,
    /// 417.
    #[error("the expectation is not `100-continue`")]
    Expectation,
    /// 431.
    #[error("there are too many headers")]
    TooManyHeaders,
    /// 431. Over HTTP/2 only: over HTTP/1 it is a [`Fault`](super::framing::Fault) of the bytes.
    #[error("the head is longer than the limit")]
    HeadTooLarge,
    #[error("the version of HTTP is not one that we speak")]
    Version,
}

/// A head that every server reads alike. Its one maker is [`inspect`].
///
/// ```compile_fail,E0616
/// // The fields are private, so a head cannot be put together or changed by hand.
/// fn redirect(mut head: countersign::edge::hygiene::Head<'_>) { head.port = None; }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<'r> {
    host: Cow<'r, str>,
    port: Option<u16>,
    path: Path<'r>,
    query: Option<&'r str>,
    framing: Framing,
}

/// How the end of the request's body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// `Content-Length`, in bytes.
    Length(u64),
    /// `Transfer-Encoding: chunked`, or an HTTP/2 stream without a length: it may be empty.
    Open,
}

impl<'r> Head<'r> {
    /// The host in lower case, without port; an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where the client named one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The host and port as an authority (RFC 3986 §3.2), the default port of `https` left out.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        match self.port {
            None | Some(443) => host,
            Some(port) => format!("{host}:{port}"),
        }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> Path<'r> {
        self.path
    }

    /// The query as it came, without the question mark.
    #[must_use]
    pub fn query(&self) -> Option<&'r str> {
        self.query
    }

    /// How long the body is.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// The length of the body where it is known.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        match self.framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Open => None,
        }
    }

    /// Holds the host against the certificate that the client was shown: a browser reuses a connection for another name only where the
    /// certificate speaks for both (RFC 9113 §9.1.1).
    ///
    /// # Errors
    ///
    /// [`HygieneError::Misdirected`].
    pub fn admit_host(&self, tls: &TlsFacts) -> Result<(), HygieneError> {
        if tls.certificate.cover(&self.host) { Ok(()) } else { Err(HygieneError::Misdirected) }
    }
}

/// Headers by which our own hop speaks to the upstream. Whoever is outside cannot say them. Compared with `_` read as `-`, since CGI,
/// WSGI and Rack make one name of both.
const RESERVED: &[&str] = &[
    "forwarded",
    "x-real-ip",
    "x-request-id",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    // CGI turns it into HTTP_PROXY, which HTTP clients obey ("httpoxy").
    "proxy",
    // Some frameworks route by these rather than by the request line.
    "x-host",
    "x-original-host",
    "x-original-url",
    "x-original-method",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

const RESERVED_PREFIXES: &[&str] = &["x-countersign", "x-forwarded"];

/// Takes away the headers that a client cannot say, those whose names two servers read differently, and joins HTTP/2's cookie crumbs
/// (RFC 9113 §8.2.3). `keep` are the names in which a workspace takes its token: they end here and never go on, so that one of our own
/// names, or one with an underscore, is nobody else's to misread.
///
/// # Errors
///
/// [`HygieneError::TooManyHeaders`] and [`HygieneError::HeadTooLarge`]: counted before anything is taken away, each crumb as one.
pub fn scrub(parts: &mut Parts, keep: &[HeaderName], limits: &Limits) -> Result<(), HygieneError> {
    if parts.headers.len() > limits.headers_max {
        return Err(HygieneError::TooManyHeaders);
    }
    if parts.version == Version::HTTP_2 && head_bytes(parts) > limits.head_bytes_max {
        return Err(HygieneError::HeadTooLarge);
    }
    let unsayable: Vec<HeaderName> = parts
        .headers
        .keys()
        .filter(|name| (is_reserved(name.as_str()) || name.as_str().contains('_')) && !keep.contains(name))
        .cloned()
        .collect();
    for name in unsayable {
        parts.headers.remove(name);
    }
    if parts.version == Version::HTTP_2 {
        join_cookies(&mut parts.headers);
    }
    Ok(())
}

/// How long a head is that came in HPACK, as RFC 9113 §6.5.2 counts.
fn head_bytes(parts: &Parts) -> usize {
    let authority = parts.uri.authority().map_or(0, |authority| authority.as_str().len());
    let path = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    let headers = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD_BYTES);
    parts.method.as_str().len() + authority + path + headers.sum::<usize>()
}

fn is_reserved(name: &str) -> bool {
    let begins = |prefix: &str| {
        name.len() >= prefix.len() && name.bytes().zip(prefix.bytes()).all(|(a, b)| a == b || (a == b'_' && b == b'-'))
    };
    RESERVED.iter().any(|reserved| reserved.len() == name.len() && begins(reserved))
        || RESERVED_PREFIXES.iter().any(|prefix| begins(prefix))
}

fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in [second].into_iter().chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    // The pieces were header values, and so is their sum.
    if let Ok(joined) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
        headers.insert(header::COOKIE, joined);
    }
}

/// The headers that we read: each may come once, in visible ASCII.
static SINGLE: [HeaderName; 14] = [
    header::HOST,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::ORIGIN,
    header::AUTHORIZATION,
    header::COOKIE,
    header::EXPECT,
    header::REFERER,
    header::ACCESS_CONTROL_REQUEST_METHOD,
    header::ACCESS_CONTROL_REQUEST_HEADERS,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-auth-token"),
];

/// Reads a head that [`scrub`] has been over.
///
/// # Errors
///
/// The first thing about it that another server could read differently.
pub fn inspect(parts: &Parts) -> Result<Head<'_>, HygieneError> {
    if parts.method == Method::CONNECT {
        return Err(HygieneError::Connect);
    }
    if parts.method == Method::TRACE {
        return Err(HygieneError::Trace);
    }
    // Over the headers that came, which are fewer than those that may come once.
    for name in parts.headers.keys() {
        if let Some(single) = SINGLE.iter().find(|single| *single == name) {
            admit_single(&parts.headers, single)?;
        }
    }
    let (host, port) = read_host(parts)?;
    let (path, query) = read_target(parts)?;
    admit_connection(&parts.headers)?;
    if let Some(expectation) = parts.headers.get(header::EXPECT)
        && !expectation.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(HygieneError::Expectation);
    }
    Ok(Head { host, port, path, query, framing: read_framing(parts)? })
}

fn admit_single(headers: &HeaderMap, name: &'static HeaderName) -> Result<(), HygieneError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(()) };
    if values.next().is_some() {
        return Err(if *name == header::CONTENT_LENGTH {
            HygieneError::ContentLength
        } else if *name == header::TRANSFER_ENCODING {
            HygieneError::TransferEncoding
        } else {
            HygieneError::Repeated(name.as_str())
        });
    }
    value.to_str().map(|_| ()).map_err(|_| HygieneError::Value(name.as_str()))
}

fn read_host(parts: &Parts) -> Result<(Cow<'_, str>, Option<u16>), HygieneError> {
    let header = match parts.headers.get(header::HOST) {
        Some(value) => Some(split_host(value.to_str().map_err(|_| HygieneError::HostSyntax)?)?),
        None => None,
    };
    let target = match parts.uri.authority() {
        Some(authority) => Some(split_host(authority.as_str())?),
        None => None,
    };
    match (target, header) {
        (Some(target), Some(header)) if target == header => Ok(target),
        (Some(_), Some(_)) => Err(HygieneError::HostMismatch),
        // HTTP/1.1 demands `Host` beside an absolute form too (RFC 9112 §3.2).
        (Some(target), None) if parts.version == Version::HTTP_2 => Ok(target),
        (None, Some(header)) => Ok(header),
        (Some(_) | None, None) => Err(HygieneError::HostMissing),
    }
}

/// No DNS name is longer (RFC 1035 §2.3.4).
const HOST_BYTES_MAX: usize = 253;

fn split_host(text: &str) -> Result<(Cow<'_, str>, Option<u16>), HygieneError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(HygieneError::HostSyntax)?;
        let address = address.parse::<Ipv6Addr>().map_err(|_| HygieneError::HostSyntax)?;
        (Cow::Owned(address.to_string()), port)
    } else {
        let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        (admit_name(host)?, port)
    };
    let port = match port.strip_prefix(':') {
        Some(digits) if (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse::<u16>().map_err(|_| HygieneError::HostSyntax)?)
        }
        Some(_) => return Err(HygieneError::HostSyntax),
        None if port.is_empty() => None,
        None => return Err(HygieneError::HostSyntax),
    };
    Ok((host, port))
}

/// Letters, digits and hyphens in labels; the last label of a name is not a number, since some readers would take it for an address.
fn admit_name(host: &str) -> Result<Cow<'_, str>, HygieneError> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if host.len() > HOST_BYTES_MAX || !host.split('.').all(label) {
        return Err(HygieneError::HostSyntax);
    }
    let numeric = host.rsplit('.').next().is_some_and(|last| last.starts_with(|first: char| first.is_ascii_digit()));
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return Err(HygieneError::HostSyntax);
    }
    Ok(if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    })
}

fn read_target(parts: &Parts) -> Result<(Path<'_>, Option<&str>), HygieneError> {
    // An absolute form that names the same host over the same scheme says nothing new (RFC 9112 §3.2.2); HTTP/2 always has one.
    if let Some(scheme) = parts.uri.scheme()
        && *scheme != http::uri::Scheme::HTTPS
    {
        return Err(HygieneError::Target);
    }
    if !parts.uri.path().starts_with('/') {
        return Err(HygieneError::Target);
    }
    let path = Path::try_from(parts.uri.path()).map_err(HygieneError::Path)?;
    let query = parts.uri.query();
    if query.is_some_and(|query| query.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#')) {
        return Err(HygieneError::Query);
    }
    Ok((path, query))
}

/// Options that browsers and their like send. Any other name is a header of somebody's, to be taken away behind our back.
const CONNECTION_OPTIONS: &[&str] = &["close", "keep-alive", "upgrade", "te", "http2-settings"];

fn admit_connection(headers: &HeaderMap) -> Result<(), HygieneError> {
    for value in headers.get_all(header::CONNECTION) {
        let value = value.to_str().map_err(|_| HygieneError::ConnectionOption)?;
        let known = |option: &str| CONNECTION_OPTIONS.iter().any(|known| known.eq_ignore_ascii_case(option));
        if !value.split(',').all(|option| known(option.trim_matches([' ', '\t']))) {
            return Err(HygieneError::ConnectionOption);
        }
    }
    Ok(())
}

fn read_framing(parts: &Parts) -> Result<Framing, HygieneError> {
    let length = match parts.headers.get(header::CONTENT_LENGTH) {
        Some(value) => Some(parse_length(value.as_bytes()).ok_or(HygieneError::ContentLength)?),
        None => None,
    };
    match (parts.headers.get(header::TRANSFER_ENCODING), length) {
        (Some(_), Some(_)) => Err(HygieneError::LengthAndTransferEncoding),
        // Only HTTP/1.1 has it (RFC 9112 §6.1, RFC 9113 §8.2.2).
        (Some(coding), None)
            if parts.version == Version::HTTP_11 && coding.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(Framing::Open)
        }
        (Some(_), None) => Err(HygieneError::TransferEncoding),
        (None, Some(0)) => Ok(Framing::None),
        (None, Some(length)) => Ok(Framing::Length(length)),
        (None, None) => match parts.version {
            Version::HTTP_2 => Ok(Framing::Open),
            Version::HTTP_10 | Version::HTTP_11 => Ok(Framing::None),
            _ => Err(HygieneError::Version),
        },
    }
}

/// One decimal number, nothing else: no sign, no list, no space (RFC 9110 §8.6).
pub(super) fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
