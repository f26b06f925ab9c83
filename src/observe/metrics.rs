//! All metrics of the process, by name.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::latency::Latency;
use super::orders::OrderReading;
use super::outside::{DomainReading, GradeReading, Outside, OutsideCollector};
use super::readings::{
    AuditReading, CertificateReading, ConnectionsReading, KeySetReading, RateReading, Readings, ReadingsCollector,
    RoomReading, StateReading,
};
use super::refused_clients::RefusedClients;
use super::refused_origins::RefusedOrigins;
use super::shared_tokens::SharedTokens;
use super::tls_readings::{ReadTls, TlsCollector, TlsReading};
use super::upstream_health::{UpstreamHealths, UpstreamReading};
use super::usage::Usages;
use super::usage_report::WorkspaceReport;
use super::workspace::OperationMetrics;
use crate::profile::Class;

/// All metrics of the process. What is counted of a workspace stays for as long as the process runs, also when the workspace is gone:
/// counters that vanish look like traffic that vanished.
pub struct Metrics {
    registry: Registry,
    pub(super) requests: Family<RequestLabels, Counter>,
    pub(super) verdicts: Family<VerdictLabels, Counter>,
    pub(super) proofs: Family<ProofLabels, Counter>,
    pub(super) leaks: Family<LeakLabels, Counter>,
    key_set_fetches: Family<FetchLabels, Counter>,
    ocsp_fetches: Family<FetchLabels, Counter>,
    refused_clients: RefusedClients,
    tls: Arc<OnceLock<ReadTls>>,
    pub(super) state_failures: Family<WorkspaceLabels, Counter>,
    request_seconds: Family<ClassLabels, Latency, fn() -> Latency>,
    upstream_seconds: Family<UpstreamLabels, Latency, fn() -> Latency>,
    pub(super) judge_seconds: Latency,
    in_flight: Gauge,
    reloads: Family<ReloadLabels, Counter>,
    reload_failed: Gauge,
    readings: Arc<Readings>,
    outside: Arc<Outside>,
    pub(super) usages: Arc<Usages>,
    pub(super) shared_tokens: SharedTokens,
    refused_origins: RefusedOrigins,
    pub(super) upstream_healths: UpstreamHealths,
    /// Requests that carried the secret of a key.
    pub(super) leaked_secrets: AtomicU64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub workspace: String,
    pub operation: String,
    pub outcome: &'static str,
    pub status_class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct VerdictLabels {
    pub workspace: String,
    pub attribute: String,
    pub verdict: &'static str,
    pub applied: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ProofLabels {
    pub workspace: String,
    pub verdict: &'static str,
    pub key: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct LeakLabels {
    pub workspace: String,
    pub kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct WorkspaceLabels {
    pub workspace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClassLabels {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    result: &'static str,
}

/// How a reload of the policies went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadResult {
    /// A new epoch is in force.
    Ok,
    /// The last good epoch stays.
    Failed,
}

impl ReloadResult {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ReloadResult::Ok => "ok",
            ReloadResult::Failed => "failed",
        }
    }
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let mut metrics = Self {
            registry: Registry::with_prefix("countersign"),
            requests: Family::default(),
            verdicts: Family::default(),
            proofs: Family::default(),
            leaks: Family::default(),
            key_set_fetches: Family::default(),
            ocsp_fetches: Family::default(),
            refused_clients: RefusedClients::default(),
            tls: Arc::default(),
            state_failures: Family::default(),
            request_seconds: Family::new_with_constructor(Latency::of_network),
            upstream_seconds: Family::new_with_constructor(Latency::of_network),
            judge_seconds: Latency::of_computation(),
            in_flight: Gauge::default(),
            reloads: Family::default(),
            reload_failed: Gauge::default(),
            readings: Arc::new(Readings::default()),
            outside: Arc::default(),
            usages: Arc::new(Usages::default()),
            shared_tokens: SharedTokens::new(),
            refused_origins: RefusedOrigins::default(),
            upstream_healths: UpstreamHealths::default(),
            leaked_secrets: AtomicU64::new(0),
        };
        let registry = &mut metrics.registry;
        registry.register("requests", "Requests by outcome", metrics.requests.clone());
        registry.register(
            "verdicts",
            "Verdicts by attribute; what the catalogue does not have counts as other",
            metrics.verdicts.clone(),
        );
        registry.register("proofs", "Proofs by verdict and key", metrics.proofs.clone());
        registry.register("leaks", "Secrets and private keys in updates, left out", metrics.leaks.clone());
        registry.register("key_set_fetches", "Fetches of sets of keys", metrics.key_set_fetches.clone());
        registry.register("ocsp_fetches", "Questions about certificates by OCSP", metrics.ocsp_fetches.clone());
        registry.register(
            "client_certificates_refused",
            "Handshakes that ended because of the client's certificate",
            metrics.refused_clients.counts.clone(),
        );
        registry.register(
            "state_failures",
            "Requests whose proof could not be looked up: the state was full or could not be reached",
            metrics.state_failures.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From a request's head to its end",
            Unit::Seconds,
            metrics.request_seconds.clone(),
        );
        registry.register_with_unit(
            "upstream_duration",
            "From the first byte sent to the upstream to its answer's head",
            Unit::Seconds,
            metrics.upstream_seconds.clone(),
        );
        registry.register_with_unit(
            "judge_duration",
            "Opening, verifying and judging one request",
            Unit::Seconds,
            metrics.judge_seconds.clone(),
        );
        registry.register("requests_in_flight", "Requests that have begun and not ended", metrics.in_flight.clone());
        registry.register("policy_reloads", "Reloads of the policies", metrics.reloads.clone());
        registry.register(
            "policy_reload_failed",
            "1 while the last reload failed and the epoch before it is in force",
            metrics.reload_failed.clone(),
        );
        let (readings, usages) = (metrics.readings.clone(), metrics.usages.clone());
        registry.register_collector(Box::new(TlsCollector(Arc::clone(&metrics.tls))));
        registry.register_collector(Box::new(ReadingsCollector { readings, usages }));
        registry.register_collector(Box::new(OutsideCollector(Arc::clone(&metrics.outside))));
        Arc::new(metrics)
    }

    /// All metrics as text (OpenMetrics 1.0).
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            // A `String` takes everything, so this never happens; half a text would be worse than none.
            Err(std::fmt::Error) => String::new(),
        }
    }

    /// The use of the keys of every workspace.
    #[must_use]
    pub fn usage(&self) -> Vec<WorkspaceReport> {
        self.usages.report()
    }

    /// For requests that end before a workspace or an operation is known: with empty labels.
    #[must_use]
    pub fn unplaced(self: &Arc<Self>) -> Arc<OperationMetrics> {
        Arc::new(OperationMetrics::new(self, &"".into(), "", None, None))
    }

    /// Counts a request for as long as the guard lives.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Requests that have begun and not ended.
    #[must_use]
    pub fn requests_in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// Counts a reload.
    pub fn reloaded(&self, result: ReloadResult) {
        self.reloads.get_or_create(&ReloadLabels { result: result.as_str() }).inc();
        self.reload_failed.set(match result {
            ReloadResult::Ok => 0,
            ReloadResult::Failed => 1,
        });
    }

    /// Counts a fetch of a set of keys by its result: `ok`, or the stable name of a failure.
    pub fn key_set_fetched(&self, result: &'static str) {
        self.key_set_fetches.get_or_create(&FetchLabels { result }).inc();
    }

    /// Counts a question about a certificate by its result: `ok`, or the stable name of a failure.
    pub fn ocsp_fetched(&self, result: &'static str) {
        self.ocsp_fetches.get_or_create(&FetchLabels { result }).inc();
    }

    /// Counts a client whose certificate `listener` did not take. Whether a line may tell of it now: then with how many that none told of.
    pub fn client_refused(&self, listener: &str, reason: &'static str, now: Instant) -> Option<u64> {
        self.refused_clients.refused(listener, reason, now)
    }

    /// How TLS is doing: who knows, is asked at each look. The first to say so stays.
    pub fn read_tls(&self, read: impl Fn() -> TlsReading + Send + Sync + 'static) {
        self.tls.get_or_init(|| Arc::new(read));
    }

    /// How TLS is doing.
    #[must_use]
    pub fn tls(&self) -> TlsReading {
        self.tls.get().map_or_else(TlsReading::default, |read| read())
    }

    /// How the sets of keys are doing: who knows, is asked at each look. The first to say so stays.
    pub fn read_key_sets(&self, read: impl Fn() -> Vec<KeySetReading> + Send + Sync + 'static) {
        self.readings.key_sets.get_or_init(|| Arc::new(read));
    }

    /// How the sets of keys are doing.
    #[must_use]
    pub fn key_sets(&self) -> Vec<KeySetReading> {
        self.readings.key_sets.get().map_or_else(Vec::new, |read| read())
    }

    /// How ordered certificates are doing: who knows, is asked at each look. The first to say so stays.
    pub fn read_orders(&self, read: impl Fn() -> Vec<OrderReading> + Send + Sync + 'static) {
        self.readings.orders.get_or_init(|| Arc::new(read));
    }

    /// How ordered certificates are doing.
    #[must_use]
    pub fn orders(&self) -> Vec<OrderReading> {
        self.readings.orders.get().map_or_else(Vec::new, |read| read())
    }

    /// The digest of the policies in force.
    pub fn epoch(&self, digest: &str) {
        self.readings.epoch.store(Some(Arc::new(digest.to_owned())));
    }

    /// The certificates in force.
    pub fn certificates(&self, certificates: Vec<CertificateReading>) {
        self.readings.certificates.store(Arc::new(certificates));
    }

    /// The grades of all listeners.
    pub fn grades(&self, grades: Vec<GradeReading>) {
        self.outside.grades.store(Arc::new(grades));
    }

    /// All trusted domains that were looked at.
    pub fn domains(&self, domains: Vec<DomainReading>) {
        self.outside.domains.store(Arc::new(domains));
    }

    /// Who knows how the record is doing. The first to say so stays.
    pub fn read_audit(&self, read: impl Fn() -> AuditReading + Send + Sync + 'static) {
        self.readings.audit.get_or_init(|| Arc::new(read));
    }

    /// Who knows how the connections are doing. The first to say so stays.
    pub fn read_connections(&self, read: impl Fn() -> ConnectionsReading + Send + Sync + 'static) {
        self.readings.connections.get_or_init(|| Arc::new(read));
    }

    /// Who knows how the state is doing. The first to say so stays.
    pub fn read_state(&self, read: impl Fn() -> StateReading + Send + Sync + 'static) {
        self.readings.state.get_or_init(|| Arc::new(read));
    }

    /// The origins that were refused.
    #[must_use]
    pub fn refused_origins(&self) -> &RefusedOrigins {
        &self.refused_origins
    }

    /// How the upstreams are doing, as the requests to them find out.
    #[must_use]
    pub fn upstreams(&self) -> Vec<UpstreamReading> {
        self.upstream_healths.report()
    }

    /// How the connections are doing, where somebody knows.
    #[must_use]
    pub fn connections(&self) -> ConnectionsReading {
        self.readings.connections.get().map_or_else(ConnectionsReading::default, |read| read())
    }

    /// How the state is doing, where somebody knows.
    #[must_use]
    pub fn state(&self) -> Option<StateReading> {
        self.readings.state.get().map(|read| read())
    }

    /// Requests that carried the secret of a key, since the start.
    #[must_use]
    pub fn leaked_secrets(&self) -> u64 {
        self.leaked_secrets.load(Ordering::Relaxed)
    }

    /// Who knows how the rates are doing. The first to say so stays.
    pub fn read_rates(&self, read: impl Fn() -> Vec<RateReading> + Send + Sync + 'static) {
        self.readings.rates.get_or_init(|| Arc::new(read));
    }

    /// How the rates are doing.
    #[must_use]
    pub fn rates(&self) -> Vec<RateReading> {
        self.readings.rates.get().map_or_else(Vec::new, |read| read())
    }

    /// Who knows what bodies take. The first to say so stays.
    pub fn read_room(&self, read: impl Fn() -> RoomReading + Send + Sync + 'static) {
        self.readings.room.get_or_init(|| Arc::new(read));
    }

    /// What bodies take.
    #[must_use]
    pub fn room(&self) -> RoomReading {
        self.readings.room.get().map_or_else(RoomReading::default, |read| read())
    }

    /// Connections that are open, on all listeners.
    #[must_use]
    pub fn connections_open(&self) -> u64 {
        self.readings.connections.get().map_or(0, |read| read().open)
    }

    pub(super) fn request_seconds(&self, class: Option<Class>) -> Latency {
        self.request_seconds.get_or_create_owned(&ClassLabels { class: class.map_or("", Class::as_str) })
    }

    pub(super) fn upstream_seconds(&self, upstream: &str) -> Latency {
        self.upstream_seconds.get_or_create_owned(&UpstreamLabels { upstream: upstream.to_owned() })
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics(..)")
    }
}

/// One request in flight; dropped, it has ended.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixSeconds;

    #[track_caller]
    fn check(metrics: &Metrics, line: &str) {
        let text = metrics.encode();
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }

    #[test]
    fn requests_in_flight_count_for_as_long_as_they_live() {
        let metrics = Metrics::new();
        let in_flight = metrics.in_flight();
        check(&metrics, "countersign_requests_in_flight 1");
        drop(in_flight);
        check(&metrics, "countersign_requests_in_flight 0");
    }

    #[test]
    fn connections_are_looked_up_at_each_scrape() {
        let metrics = Metrics::new();
        assert_eq!(metrics.connections_open(), 0);
        let reading = ConnectionsReading { open: 1, accepted: 2, handshakes_timed_out: 3, ..Default::default() };
        metrics.read_connections(move || reading);
        check(&metrics, "countersign_connections_total 2");
        check(&metrics, "countersign_connections_open 1");
        check(&metrics, "countersign_connections_malformed_total 0");
        check(&metrics, r#"countersign_handshakes_failed_total{reason="failed"} 0"#);
        check(&metrics, r#"countersign_handshakes_failed_total{reason="timeout"} 3"#);
        assert_eq!(metrics.connections_open(), 1);
    }

    #[test]
    fn a_set_of_keys_that_nobody_confirmed_yet_has_no_age() {
        let metrics = Metrics::new();
        let reading = |set: &str, age_seconds: Option<i64>| KeySetReading {
            workspace: "acme".into(),
            set: set.into(),
            keys: 2,
            left_out: 1,
            age_seconds,
            is_stale: age_seconds.is_none(),
            failure: Some("timeout"),
        };
        metrics.read_key_sets(move || vec![reading("idp", Some(17)), reading("new", None)]);
        metrics.key_set_fetched("timeout");
        check(&metrics, r#"countersign_key_set_age_seconds{workspace="acme",set="idp"} 17"#);
        check(&metrics, r#"countersign_key_set_keys{workspace="acme",set="new"} 2"#);
        check(&metrics, r#"countersign_key_set_stale{workspace="acme",set="idp"} 0"#);
        check(&metrics, r#"countersign_key_set_stale{workspace="acme",set="new"} 1"#);
        check(&metrics, r#"countersign_key_set_fetches_total{result="timeout"} 1"#);
        assert!(!metrics.encode().contains(r#"age_seconds{workspace="acme",set="new"}"#));
    }

    #[test]
    fn a_failed_reload_shows_until_one_succeeds() {
        let metrics = Metrics::new();
        check(&metrics, "countersign_policy_reload_failed 0");
        metrics.reloaded(ReloadResult::Failed);
        check(&metrics, "countersign_policy_reload_failed 1");
        metrics.reloaded(ReloadResult::Ok);
        check(&metrics, "countersign_policy_reload_failed 0");
        check(&metrics, r#"countersign_policy_reloads_total{result="failed"} 1"#);
        check(&metrics, r#"countersign_policy_reloads_total{result="ok"} 1"#);
    }

    #[test]
    fn epoch_certificates_and_record_are_those_of_the_moment() {
        let metrics = Metrics::new();
        metrics.read_audit(|| AuditReading { written: 5, lost: 2, disk_errors: 1 });
        for digest in ["first", "second"] {
            metrics.epoch(digest);
            metrics
                .certificates(vec![CertificateReading { name: digest.into(), not_after: UnixSeconds(1_800_000_000) }]);
        }
        check(&metrics, r#"countersign_policy_epoch_info{digest="second"} 1"#);
        check(&metrics, r#"countersign_certificate_not_after_seconds{certificate="second"} 1800000000"#);
        check(&metrics, "countersign_audit_records_lost_total 2");
        check(&metrics, concat!(r#"countersign_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#));
        assert!(!metrics.encode().contains("first"));
    }
}
