//! The process: listeners, certificates, upstreams, limits, audit.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::acme::{AcmePolicy, OrderedCertificate};
use super::client_address::{ProxyProtocol, TrustedProxies};
use super::hsts::Hsts;
use super::limits::Limits;
use super::listener_tls::ListenerTls;
use super::rates::Rates;
use super::tls_floor::TlsGrade;
use super::workspace::SecretSource;

/// `gateway.toml`.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub listeners: Vec<Listener>,
    /// Plain HTTP: answers bodyless GET and HEAD with a redirect, refuses everything else.
    pub plain: Option<PlainListener>,
    pub admin: Option<AdminListener>,
    pub upstreams: Vec<Upstream>,
    pub hsts: Hsts,
    pub limits: Limits,
    pub rates: Rates,
    pub audit: AuditSettings,
    pub state: StateSettings,
    /// Who issues the certificates that listeners order. `None`: they bring their own.
    pub acme: Option<AcmePolicy>,
    /// Proxies before this one that speak HTTP. `None`: there are none, and what says who a client is is nobody's word.
    pub client_address: Option<TrustedProxies>,
    /// Whether what leaves is read again by the second reader.
    pub read_back: ReadBack,
    /// The directory in which the sets of keys that were fetched outlive the process. `None`: they do not.
    pub key_cache: Option<PathBuf>,
    /// The grade that every listener has at least, trust aside.
    pub tls_floor: TlsGrade,
    /// How the trusted domains are looked at. `None`: they are not.
    pub domains: Option<DomainsSettings>,
}

impl Gateway {
    /// The listener of this name.
    #[must_use]
    pub fn listener(&self, name: &str) -> Option<&Listener> {
        self.listeners.iter().find(|listener| listener.name == name)
    }

    /// The tables and keys of `gateway.toml` that differ from those with which the process `started`, and that it looks at only then: sockets are
    /// bound and connections begun with them.
    #[must_use]
    pub fn awaiting_restart(&self, started: &Self) -> Vec<&'static str> {
        let sockets = |gateway: &Self| -> Vec<(String, SocketAddr)> {
            gateway.listeners.iter().map(|listener| (listener.name.clone(), listener.address)).collect()
        };
        let balancers = |gateway: &Self| -> Vec<Option<ProxyProtocol>> {
            gateway.listeners.iter().map(|listener| listener.proxy_protocol.clone()).collect()
        };
        [
            ("listeners", sockets(self) != sockets(started)),
            ("proxy_protocol", balancers(self) != balancers(started)),
            ("plain", self.plain != started.plain),
            ("admin", self.admin != started.admin),
            ("audit", self.audit != started.audit),
            ("key_cache", self.key_cache != started.key_cache),
            ("state", self.state.opened() != started.state.opened()),
            ("limits", self.limits.of_connections() != started.limits.of_connections()),
        ]
        .into_iter()
        .filter_map(|(table, differs)| differs.then_some(table))
        .collect()
    }
}

/// Whether the body that leaves is parsed again and compared with the judgement. Debug builds always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBack {
    On,
    Off,
}

/// One TLS listener.
#[derive(Clone, Debug)]
pub struct Listener {
    pub name: String,
    pub address: SocketAddr,
    /// All of them, in their order; those that are ordered by where they will be.
    pub certificates: Vec<CertificateSource>,
    /// Those that are ordered (ACME).
    pub ordered: Vec<OrderedCertificate>,
    /// `None`: nobody stands before it who says whom a connection is from.
    pub proxy_protocol: Option<ProxyProtocol>,
    pub tls: ListenerTls,
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSource {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The plain-HTTP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainListener {
    pub address: SocketAddr,
    /// The port of the TLS listener that redirects name.
    pub redirect_port: u16,
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// The admin listener: health, metrics, revocations. Loopback only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminListener {
    pub address: SocketAddr,
    /// What whoever changes something must show. `None`: nobody may.
    pub token: Option<SecretSource>,
}

/// One backend.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub name: String,
    /// `http` or `https`, host and port; no path.
    pub url: url::Url,
    /// Certificate authorities for `https`; empty: the system's.
    pub ca: Option<PathBuf>,
    pub http_version: HttpVersion,
    pub host_header: HostHeader,
    pub connect_timeout: Duration,
    /// From the last byte of the request to the answer's head.
    pub response_timeout: Duration,
    /// Between two pieces of an answer's body, and before an unused connection is closed.
    pub idle_timeout: Duration,
    /// Requests in flight at once; more wait for `connect_timeout`, then get 503.
    pub connections_max: usize,
}

/// Which HTTP the upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    Http1,
    /// By ALPN over TLS, with prior knowledge in the clear.
    Http2,
}

/// Which `Host` the upstream sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostHeader {
    /// The client's.
    Preserve,
    /// The upstream's own.
    Upstream,
    Named(String),
}

/// What requests leave for others to find: used tokens, sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSettings {
    /// Where what is kept until its end, and what is revoked, outlives the process. `None`: it does not.
    pub directory: Option<PathBuf>,
    /// Things that are kept until their end.
    pub entries_max: usize,
    /// Bytes of things that are kept while there is room.
    pub cache_bytes_max: u64,
    pub on_failure: OnFailure,
}

impl Default for StateSettings {
    fn default() -> Self {
        Self {
            directory: None,
            entries_max: 1_000_000,
            cache_bytes_max: 64 * 1024 * 1024,
            on_failure: OnFailure::Closed,
        }
    }
}

impl StateSettings {
    /// What is looked at once, when the process starts.
    fn opened(&self) -> (Option<&Path>, usize, u64) {
        let Self { directory, entries_max, cache_bytes_max, on_failure: _ } = self;
        (directory.as_deref(), *entries_max, *cache_bytes_max)
    }
}

/// What becomes of a request whose proof the state knows nothing of, because it is full or cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused: the proof may have been taken back or used up.
    Closed,
    /// The proof counts.
    Open,
}

/// How the trusted domains are looked at, in the background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainsSettings {
    /// How often.
    pub check: Duration,
    /// A certificate that ends sooner is told of.
    pub expires_within: Duration,
    /// Whom to believe. `None`: the system's authorities.
    pub ca: Option<PathBuf>,
}

/// Where decisions are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// `None`: standard output.
    pub file: Option<PathBuf>,
    pub rotate_bytes: u64,
    /// Rotated files to keep.
    pub keep: usize,
    /// Records that wait for the disk; more are counted in a gap record.
    pub queue_records_max: usize,
    /// The key of the hashes by which subjects are recorded. `None`: made at start, so that hashes of two runs differ.
    pub subject_key: Option<SecretSource>,
}
