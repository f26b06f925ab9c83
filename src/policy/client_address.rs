//! Whom to believe about where a request comes from.

use super::networks::Networks;

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
