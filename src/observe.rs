//! Metrics, in the text format of OpenMetrics that Prometheus reads.
//!
//! It owns the counters and their label sets, which the policies bound: no label ever holds text that a peer chose. It must not know how
//! a request is served; whoever counts holds handles that were made when the policies were loaded, so that counting is an atomic addition.

mod alarm;
mod handles;
mod latency;
mod metrics;
mod orders;
mod outside;
mod readings;
mod refused_clients;
mod refused_origins;
mod shared_tokens;
mod tls_readings;
mod upstream_health;
mod usage;
mod usage_report;
mod workspace;

pub use latency::Latency;
pub use metrics::{InFlight, Metrics, ReloadResult};
pub use orders::OrderReading;
pub use outside::{DomainReading, GradeReading};
pub use readings::{
    AuditReading, CertificateReading, ConnectionsReading, KeySetReading, RateReading, RoomReading, StateReading,
};
pub use refused_origins::{ORIGINS_MAX, ORIGINS_PER_WORKSPACE_MAX, ORIGINS_SHOWN, RefusedOrigin, RefusedOrigins};
pub use shared_tokens::{ADDRESSES_MAX, ALONE_SECONDS, TOKENS_WATCHED_MAX, WATCHED_SECONDS_MAX};
pub use tls_readings::{AuthorityReading, HandshakeReading, ListReading, StapleReading, TicketReading, TlsReading};
pub use upstream_health::{Failing, UpstreamHealth, UpstreamReading};
pub use usage::{LONG_LIFE_SECONDS, TokenRisk, Upheld};
pub use usage_report::{KeyReport, Kinds, Risks, UsageReport, WebhooksReport, WorkspaceReport};
pub use workspace::{CountedProof, CountedToken, OperationMetrics, WorkspaceMetrics};
