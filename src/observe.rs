//! Metrics, in the text format of OpenMetrics that Prometheus reads.
//!
//! It owns the counters and their label sets, which the policies bound: no label ever holds text that a peer chose. It must not know how
//! a request is served; whoever counts holds handles that were made when the policies were loaded, so that counting is an atomic addition.

mod alarm;
mod handles;
mod latency;
mod metrics;
mod readings;
mod workspace;

pub use latency::Latency;
pub use metrics::{InFlight, Metrics, ReloadResult};
pub use readings::{AuditReading, CertificateReading, ConnectionsReading, StateReading};
pub use workspace::{OperationMetrics, WorkspaceMetrics};
