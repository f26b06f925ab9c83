//! Why an upstream could not be asked, or did not answer.

use std::io;

/// Why a request got no answer from its upstream. The variants are the leaves: code, status and words are the rejection's.
///
/// `Display` says nothing that a peer or a library said; the cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("no upstream of this name")]
    Unknown,
    /// As many requests as allowed were in flight for as long as a connection may take.
    #[error("as many requests are in flight as the upstream may have")]
    Saturated,
    #[error("could not connect to the upstream")]
    Connect(#[source] io::Error),
    /// Name, TCP and TLS together took too long.
    #[error("connecting to the upstream took too long")]
    ConnectTimeout,
    #[error("no trusted tls connection to the upstream")]
    Tls(#[source] io::Error),
    /// The client's target and the upstream's address make no URI: `*` over HTTP/2.
    #[error("the request's target cannot be sent to the upstream")]
    Target(#[source] http::Error),
    #[error("the upstream took too long to answer")]
    ResponseTimeout,
    /// The connection, or the stream on it, ended before the answer's head.
    #[error("the upstream closed or reset before it answered")]
    Closed(#[source] hyper::Error),
    #[error("the upstream's answer is not http")]
    Garbage(#[source] hyper::Error),
    /// Two lengths, or none that is a number.
    #[error("the upstream's answer has no clear length")]
    Framing,
    /// It switched protocols unasked, or not to the one asked for.
    #[error("the upstream switched protocols wrongly")]
    Switched,
    /// A streamed body is longer than allowed.
    #[error("the request's body is longer than the limit")]
    RequestBodyTooLong,
    /// The client went away, or broke the framing, in the middle of a streamed body.
    #[error("the client's body ended early")]
    ClientBody,
    #[error("the client took too long to send its body")]
    ClientBodyTimeout,
}

/// Why the upstreams of a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamSetupError {
    #[error("upstream `{name}`: {reason}")]
    Url { name: String, reason: &'static str },
    #[error("upstream `{name}`: the named host is not a host")]
    Host { name: String },
    #[error("upstream `{name}`: its certificate authorities were not read")]
    AuthoritiesMissing { name: String },
    #[error("upstream `{name}`: its certificate authorities are not certificates in pem")]
    Authorities { name: String },
    #[error("the system's certificate authorities cannot be read")]
    SystemAuthorities,
    #[error("upstream `{name}`: tls cannot be set up")]
    Tls { name: String, source: rustls::Error },
    #[error("two upstreams are named `{name}`")]
    Twice { name: String },
}

/// Why a response's body ended early. The client's connection is then cut, so that nobody takes the part for the whole.
#[derive(Debug, thiserror::Error)]
pub enum ResponseBodyError {
    #[error("the upstream sent nothing for too long")]
    Idle,
    #[error("the upstream's response broke off")]
    Broken(#[source] hyper::Error),
}
