//! What is counted of one workspace, by handles made when its policy is loaded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::handles::Handles;
use super::latency::Latency;
use super::metrics::{LeakLabels, Metrics, ProofLabels, RequestLabels, VerdictLabels, WorkspaceLabels};
use crate::decision::{Code, Force, Judged, Leak};
use crate::policy::Workspace;
use crate::profile::Class;

/// The label of every attribute that the catalogue does not have. An attribute of this name counts as one of them.
const OTHER: &str = "other";

/// What is counted of one workspace in one epoch. The counters themselves outlive it: the next epoch counts on.
#[derive(Debug)]
pub struct WorkspaceMetrics {
    metrics: Arc<Metrics>,
    id: Arc<str>,
    operations: Box<[Arc<OperationMetrics>]>,
    other_operation: Arc<OperationMetrics>,
    /// In the catalogue's order.
    attributes: Box<[AttributeMetrics]>,
    other_attribute: AttributeMetrics,
    keys: Box<[Box<str>]>,
    proofs: Handles<(&'static str, Option<usize>)>,
    leaks: Alarms,
    state: Alarm,
}

/// One for each kind of leak: anybody can make up a private key, and must not keep a secret's line from being said.
#[derive(Debug, Default)]
struct Alarms {
    configured_secret: Alarm,
    private_key: Alarm,
}

#[derive(Debug)]
struct AttributeMetrics {
    name: Box<str>,
    verdicts: Handles<(Code, Force)>,
}

impl AttributeMetrics {
    fn new(name: &str) -> Self {
        Self { name: name.into(), verdicts: Handles::default() }
    }
}

impl WorkspaceMetrics {
    /// For the attributes, operations and keys that the policy names.
    #[must_use]
    pub fn new(metrics: &Arc<Metrics>, workspace: &Workspace) -> Self {
        let operations = workspace.operations.iter().map(|operation| (operation.name.as_str(), operation.class));
        let attributes = workspace.catalogue.attributes().iter().map(|attribute| attribute.name.as_str());
        let keys = workspace.identity.keys.iter().map(|key| key.id.as_str());
        Self::of(metrics, &workspace.id, &workspace.upstream, operations, attributes, keys)
    }

    fn of<'n>(
        metrics: &Arc<Metrics>,
        id: &str,
        upstream: &str,
        operations: impl IntoIterator<Item = (&'n str, Class)>,
        attributes: impl IntoIterator<Item = &'n str>,
        keys: impl IntoIterator<Item = &'n str>,
    ) -> Self {
        let id: Arc<str> = id.into();
        let upstream = metrics.upstream_seconds(upstream);
        let operation = |name: &str, class: Option<Class>| {
            Arc::new(OperationMetrics::new(metrics, &id, name, class, Some(upstream.clone())))
        };
        Self {
            operations: operations.into_iter().map(|(name, class)| operation(name, Some(class))).collect(),
            other_operation: operation(OTHER, None),
            attributes: attributes.into_iter().map(AttributeMetrics::new).collect(),
            other_attribute: AttributeMetrics::new(OTHER),
            keys: keys.into_iter().map(Into::into).collect(),
            proofs: Handles::default(),
            leaks: Alarms::default(),
            state: Alarm::default(),
            metrics: metrics.clone(),
            id,
        }
    }

    /// The metrics of an operation of this workspace; those of `other` for a name that it does not have.
    #[must_use]
    pub fn operation(&self, name: &str) -> &Arc<OperationMetrics> {
        self.operations.iter().find(|operation| *operation.name == *name).unwrap_or(&self.other_operation)
    }

    /// Counts every verdict of a judgement, also those on what only the token carries.
    pub fn judged(&self, judged: &Judged<'_>) {
        let unnamed = judged.unnamed().iter().map(|(_, verdict)| verdict);
        for verdict in judged.verdicts().iter().chain(unnamed) {
            self.verdict(verdict.attribute, verdict.code, verdict.force);
        }
    }

    /// Counts one verdict; `attribute` is the index in the catalogue.
    pub fn verdict(&self, attribute: Option<usize>, code: Code, force: Force) {
        let attribute = attribute.and_then(|index| self.attributes.get(index)).unwrap_or(&self.other_attribute);
        attribute.verdicts.count((code, force), || {
            self.metrics.verdicts.get_or_create_owned(&VerdictLabels {
                workspace: (*self.id).to_owned(),
                attribute: (*attribute.name).to_owned(),
                verdict: code.as_str(),
                applied: force == Force::Applied,
            })
        });
    }

    /// Counts one leak. Says whether the log may have a line of it, and how many it had no line of before.
    pub fn leaked(&self, leak: Leak, now: Instant) -> Option<u64> {
        let labels = LeakLabels { workspace: (*self.id).to_owned(), kind: leak.as_str() };
        self.metrics.leaks.get_or_create_owned(&labels).inc();
        match leak {
            Leak::ConfiguredSecret(_) => self.leaks.configured_secret.raise(now),
            Leak::PrivateKey => self.leaks.private_key.raise(now),
        }
    }

    /// Counts one request whose proof could not be looked up. Says whether the log may have a line of it, and how many it had no line of
    /// before.
    pub fn state_failed(&self, now: Instant) -> Option<u64> {
        let labels = WorkspaceLabels { workspace: (*self.id).to_owned() };
        self.metrics.state_failures.get_or_create_owned(&labels).inc();
        self.state.raise(now)
    }

    /// Counts one proof. A key that the policy does not have counts as none: its id came from a peer.
    pub fn proof(&self, verdict: &'static str, key_id: Option<&str>) {
        let key = key_id.and_then(|id| self.keys.iter().position(|key| **key == *id));
        self.proofs.count((verdict, key), || {
            let key = key.and_then(|index| self.keys.get(index)).map_or("", |key| key);
            let labels = ProofLabels { workspace: (*self.id).to_owned(), verdict, key: key.to_owned() };
            self.metrics.proofs.get_or_create_owned(&labels)
        });
    }
}

/// What is counted of one operation of one workspace.
#[derive(Debug)]
pub struct OperationMetrics {
    metrics: Arc<Metrics>,
    workspace: Arc<str>,
    name: Box<str>,
    total: Latency,
    upstream: Option<Latency>,
    outcomes: Handles<(&'static str, &'static str)>,
}

impl OperationMetrics {
    pub(super) fn new(
        metrics: &Arc<Metrics>,
        workspace: &Arc<str>,
        name: &str,
        class: Option<Class>,
        upstream: Option<Latency>,
    ) -> Self {
        Self {
            metrics: metrics.clone(),
            workspace: workspace.clone(),
            name: name.into(),
            total: metrics.request_seconds(class),
            upstream,
            outcomes: Handles::default(),
        }
    }

    /// Counts one request that has ended; `outcome` is its stable code, and there is no status where nobody was left to be answered.
    pub fn ended(
        &self,
        outcome: &'static str,
        status: Option<u16>,
        total: Duration,
        upstream: Option<Duration>,
        judge: Option<Duration>,
    ) {
        let status_class = status_class(status);
        self.outcomes.count((outcome, status_class), || {
            self.metrics.requests.get_or_create_owned(&RequestLabels {
                workspace: (*self.workspace).to_owned(),
                operation: (*self.name).to_owned(),
                outcome,
                status_class,
            })
        });
        self.total.observe(total);
        if let (Some(latency), Some(upstream)) = (&self.upstream, upstream) {
            latency.observe(upstream);
        }
        if let Some(judge) = judge {
            self.metrics.judge_seconds.observe(judge);
        }
    }
}

fn status_class(status: Option<u16>) -> &'static str {
    match status.map(|status| status / 100) {
        Some(1) => "1xx",
        Some(2) => "2xx",
        Some(3) => "3xx",
        Some(4) => "4xx",
        Some(5) => "5xx",
        Some(_) => OTHER,
        None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{
        Additions, Attribute, Catalogue, Change, Channel, Circumstances, Collect, Folding, Lock, Mode, NoSecrets, Role,
        SecretIndex, Spelling, Subject, TokenReader, Unlisted, Update, Value, ValueRule, Write, judge,
    };

    fn acme(metrics: &Arc<Metrics>) -> WorkspaceMetrics {
        WorkspaceMetrics::of(
            metrics,
            "acme",
            "attributes",
            [("ping", Class::Update), ("frame", Class::Pass)],
            ["plan", "email"],
            ["web-2026"],
        )
    }

    /// The samples of a text, each name, label set and number read by the format's own grammar.
    #[track_caller]
    fn samples(text: &str) -> Vec<(String, f64)> {
        assert!(text.ends_with("# EOF\n"));
        text.lines().filter(|line| !line.starts_with('#')).map(|line| sample(line).expect(line)).collect()
    }

    fn sample(line: &str) -> Option<(String, f64)> {
        let (series, number) = line.rsplit_once(' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (series, ""),
        };
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        let labels_hold = labels.is_empty()
            || labels.split("\",").all(|label| label.split_once("=\"").is_some_and(|(name, _)| is_name(name)));
        (name.starts_with("countersign_") && is_name(name) && labels_hold)
            .then_some((series.to_owned(), number.parse().ok()?))
    }

    #[track_caller]
    fn check(metrics: &Metrics, series: &str, number: f64) {
        let samples = samples(&metrics.encode());
        let found = samples.iter().find(|(found, _)| found == series);
        assert_eq!(found.map(|(_, number)| *number), Some(number), "{series} in\n{}", metrics.encode());
    }

    #[test]
    fn requests_count_by_outcome_and_latencies_with_them() {
        let metrics = Metrics::new();
        let acme = acme(&metrics);
        let second = Duration::from_secs(1);
        acme.operation("ping").ended("sent", Some(200), second, Some(second), Some(Duration::from_micros(3)));
        acme.operation("ping").ended("sent", Some(204), second, Some(second), None);
        acme.operation("ping").ended("client_gone", None, second, None, None);
        metrics.unplaced().ended("unknown_route", Some(404), second, None, None);
        let requests = |labels: &str| format!("countersign_requests_total{{{labels}}}");
        check(&metrics, &requests(r#"workspace="acme",operation="ping",outcome="sent",status_class="2xx""#), 2.0);
        check(
            &metrics,
            &requests(r#"workspace="acme",operation="ping",outcome="client_gone",status_class="none""#),
            1.0,
        );
        check(&metrics, &requests(r#"workspace="",operation="",outcome="unknown_route",status_class="4xx""#), 1.0);
        check(&metrics, r#"countersign_request_duration_seconds_count{class="update"}"#, 3.0);
        check(&metrics, r#"countersign_request_duration_seconds_count{class=""}"#, 1.0);
        check(&metrics, r#"countersign_upstream_duration_seconds_sum{upstream="attributes"}"#, 2.0);
        check(&metrics, "countersign_judge_duration_seconds_count", 1.0);
        check(&metrics, r#"countersign_judge_duration_seconds_bucket{le="0.000005"}"#, 1.0);
    }

    #[test]
    fn leaks_count_by_kind_and_each_kind_has_its_own_line() {
        let metrics = Metrics::new();
        let (acme, now) = (acme(&metrics), Instant::now());
        let secret = Leak::ConfiguredSecret(SecretIndex(7));
        assert_eq!(acme.leaked(Leak::PrivateKey, now), Some(0));
        assert_eq!(acme.leaked(Leak::PrivateKey, now), None);
        assert_eq!(acme.leaked(secret, now), Some(0), "a made up key keeps no secret's line from being said");
        check(&metrics, r#"countersign_leaks_total{workspace="acme",kind="private_key"}"#, 2.0);
        check(&metrics, r#"countersign_leaks_total{workspace="acme",kind="configured_secret"}"#, 1.0);
    }

    #[test]
    fn the_next_epoch_counts_on() {
        let metrics = Metrics::new();
        for _ in 0..2 {
            acme(&metrics).verdict(Some(0), Code::Locked, Force::Applied);
        }
        let series = r#"countersign_verdicts_total{workspace="acme",attribute="plan",verdict="locked",applied="true"}"#;
        check(&metrics, series, 2.0);
    }

    #[test]
    fn observed_verdicts_count_apart_from_applied_ones() {
        let metrics = Metrics::new();
        let acme = acme(&metrics);
        acme.verdict(Some(1), Code::Locked, Force::Recorded);
        acme.verdict(Some(1), Code::Locked, Force::Applied);
        for applied in ["true", "false"] {
            let labels = format!(r#"workspace="acme",attribute="email",verdict="locked",applied="{applied}""#);
            check(&metrics, &format!("countersign_verdicts_total{{{labels}}}"), 1.0);
        }
    }

    #[test]
    fn label_sets_stay_bounded_whatever_peers_send() {
        let metrics = Metrics::new();
        let acme = acme(&metrics);
        let attribute = |name: &str| Attribute {
            name: name.into(),
            lock: Lock::Enforce,
            rule: ValueRule::default(),
            collect: Collect::Never,
        };
        let catalogue = Catalogue::new(
            Mode::Enforce,
            Unlisted::Drop,
            Unlisted::Drop,
            Folding::default(),
            &[],
            vec![attribute("plan"), attribute("email")],
        )
        .unwrap();
        let value = Value::Text("canary".into());
        let write = |name: String| Write {
            prefix: "",
            name: name.into(),
            change: Change::Set(&value),
            role: Role::Attribute,
            spelling: Spelling::Own,
            group: None,
        };
        let foreign = (0..10_000).map(|number| write(format!("foreign\"\n{number}")));
        let update = Update { writes: foreign.chain([write("plan".into())]).collect(), groups: vec![] };
        let circumstances = Circumstances {
            channel: Channel::Messenger,
            subject: Subject::NotLead,
            token_reader: TokenReader::Upstream,
            additions: Additions::Unwelcome,
        };
        acme.judged(&judge(&catalogue, circumstances, &NoSecrets, None, &update));
        for number in 0..10_000 {
            acme.proof("bad_signature", Some(&format!("foreign{number}")));
            acme.operation(&format!("foreign{number}")).ended("sent", Some(200), Duration::ZERO, None, None);
        }
        acme.proof("valid", Some("web-2026"));
        let text = metrics.encode();
        let series = |name: &str| samples(&text).iter().filter(|(series, _)| series.starts_with(name)).count();
        assert!(!text.contains("foreign") && !text.contains("canary"), "{text}");
        assert_eq!(series("countersign_verdicts_total"), 2, "{text}");
        assert_eq!(series("countersign_proofs_total"), 2, "{text}");
        assert_eq!(series("countersign_requests_total"), 1, "{text}");
        let other =
            r#"countersign_verdicts_total{workspace="acme",attribute="other",verdict="unlisted",applied="true"}"#;
        check(&metrics, other, 10_000.0);
        check(&metrics, r#"countersign_proofs_total{workspace="acme",verdict="bad_signature",key=""}"#, 10_000.0);
        check(&metrics, r#"countersign_proofs_total{workspace="acme",verdict="valid",key="web-2026"}"#, 1.0);
    }
}
