//! Whom to believe about where a request comes from.

use super::networks::Networks;
use super::workspace::Admission;

/// `[client_address]`: proxies whose word about their clients counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedProxies {
    pub networks: Networks,
    /// In which header they say it. The other one is nobody's word.
    pub header: ProxyHeader,
}

/// A header in which a proxy names whom it speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    XForwardedFor,
    /// RFC 7239.
    Forwarded,
}

/// `proxy_protocol` of a listener: balancers that say, before the first byte, whom a connection is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// Whatever comes from there must begin with a header.
    pub from: Networks,
    /// Connections from elsewhere, which bring none.
    pub others: Admission,
}
