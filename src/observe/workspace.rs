//! What is counted of one workspace, by handles made when its policy is loaded.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;

use super::alarm::Alarm;
use super::handles::Handles;
use super::latency::Latency;
use super::metrics::{LeakLabels, Metrics, ProofLabels, RequestLabels, VerdictLabels, WorkspaceLabels};
use super::shared_tokens::Sighting;
use super::upstream_health::UpstreamHealth;
use super::usage::{KeyUsage, Kind, LONG_LIFE_SECONDS, Ring, TokenRisk, Upheld, WorkspaceUsage};
use crate::clock::{self, UnixSeconds};
use crate::decision::{Code, Force, Judged, Leak};
use crate::policy::{KeyUse, Origin, Workspace};
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
    keys: NamedKeys,
    proofs: Handles<(&'static str, Option<usize>)>,
    webhook_keys: NamedKeys,
    webhooks: Handles<(&'static str, Option<usize>)>,
    usage: Arc<WorkspaceUsage>,
    /// A token that lives longer is unwise; `None` where the policy refuses it.
    long_life_seconds: Option<i64>,
    /// Of the workspace's name, so that a token that two workspaces take is watched in each.
    token_salt: u64,
    leaks: Alarms,
    state: Alarm,
    upstream: Arc<UpstreamHealth>,
}

/// The policy's, each with its use.
type NamedKeys = Box<[(Box<str>, Arc<KeyUsage>)]>;

/// What became of the proof of a request.
#[derive(Clone, Copy, Debug)]
pub struct CountedProof<'p> {
    pub verdict: &'static str,
    /// The key that signed.
    pub key_id: Option<&'p str>,
    /// What was presented; `None` where nothing was.
    pub kind: Option<KeyUse>,
    pub upheld: Upheld,
    pub at: UnixSeconds,
}

/// A token that holds.
#[derive(Clone, Copy, Debug)]
pub struct CountedToken {
    /// By [`WorkspaceMetrics::token_hasher`].
    pub hash: u64,
    pub exp: Option<i64>,
    pub iat: Option<i64>,
    /// The client's address.
    pub address: IpAddr,
    pub at: UnixSeconds,
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
        let keys = keys.chain(workspace.identity.key_sets.iter().map(|set| set.id.as_str()));
        let webhook_keys = workspace.webhooks.keys.iter().map(|key| key.id.as_str());
        let of_all =
            Self::of(metrics, &workspace.id, &workspace.upstream, operations, attributes, (keys, webhook_keys));
        let long_life_seconds = workspace.identity.max_lifetime.is_none().then_some(LONG_LIFE_SECONDS);
        Self { long_life_seconds, ..of_all }
    }

    fn of<'n>(
        metrics: &Arc<Metrics>,
        id: &str,
        upstream: &str,
        operations: impl IntoIterator<Item = (&'n str, Class)>,
        attributes: impl IntoIterator<Item = &'n str>,
        (keys, webhook_keys): (impl IntoIterator<Item = &'n str>, impl IntoIterator<Item = &'n str>),
    ) -> Self {
        let id: Arc<str> = id.into();
        let now = clock::now_seconds();
        let usage = metrics.usages.workspace(&id, now);
        let health = metrics.upstream_healths.of(upstream);
        let upstream = metrics.upstream_seconds(upstream);
        let operation = |name: &str, class: Option<Class>| {
            Arc::new(OperationMetrics::new(metrics, &id, name, class, Some(upstream.clone())))
        };
        Self {
            operations: operations.into_iter().map(|(name, class)| operation(name, Some(class))).collect(),
            other_operation: operation(OTHER, None),
            attributes: attributes.into_iter().map(AttributeMetrics::new).collect(),
            other_attribute: AttributeMetrics::new(OTHER),
            keys: named(&usage.proofs, keys, now),
            proofs: Handles::default(),
            webhook_keys: named(&usage.webhooks, webhook_keys, now),
            webhooks: Handles::default(),
            usage,
            long_life_seconds: Some(LONG_LIFE_SECONDS),
            token_salt: metrics.shared_tokens.hasher().hash_one(&*id),
            leaks: Alarms::default(),
            state: Alarm::default(),
            upstream: health,
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
            Leak::ConfiguredSecret(_) => {
                self.metrics.leaked_secrets.fetch_add(1, Ordering::Relaxed);
                self.leaks.configured_secret.raise(now)
            }
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

    /// Counts a request from a page that the workspace does not trust.
    pub fn refused_origin(&self, origin: &Origin, at: UnixSeconds) {
        self.metrics.refused_origins().count(Some(&self.id), origin, at);
    }

    /// How the workspace's upstream is doing.
    #[must_use]
    pub fn upstream(&self) -> &UpstreamHealth {
        &self.upstream
    }

    /// Counts one proof. In the metrics a key that the policy does not have counts as none: its id came from a peer.
    pub fn proof(&self, proof: &CountedProof<'_>) {
        let CountedProof { verdict, key_id, kind, upheld, at } = *proof;
        let index = key_id.and_then(|id| self.keys.iter().position(|(key, _)| **key == *id));
        let key = index.and_then(|index| self.keys.get(index));
        self.proofs.count((verdict, index), || self.proof_counter(verdict, key.map_or("", |(key, _)| key)));
        match (kind.map(Kind::Proof), key) {
            (Some(kind), Some((_, usage))) => self.usage.proofs.signed_by(usage, kind, upheld, at),
            (Some(kind), None) if key_id.is_some() => self.usage.proofs.signed_by_unnamed(kind, upheld),
            (Some(kind), None) => self.usage.proofs.unsigned(kind),
            (None, _) => {}
        }
    }

    fn proof_counter(&self, verdict: &'static str, key: &str) -> Counter {
        let labels = ProofLabels { workspace: (*self.id).to_owned(), verdict, key: key.to_owned() };
        self.metrics.proofs.get_or_create_owned(&labels)
    }

    /// Counts a webhook that a key of the policy signed. `verdict` is the finding about its signature, which no proof has.
    pub fn webhook(&self, verdict: &'static str, key_id: &str, upheld: Upheld, at: UnixSeconds) {
        let index = self.webhook_keys.iter().position(|(key, _)| **key == *key_id);
        self.webhooks.count((verdict, index), || self.proof_counter(verdict, key_id));
        if let Some((_, usage)) = index.and_then(|index| self.webhook_keys.get(index)) {
            self.usage.webhooks.signed_by(usage, Kind::Webhook, upheld, at);
        }
    }

    /// Counts a webhook that no key in force signed.
    pub fn webhook_unsigned(&self) {
        self.usage.webhooks.unsigned(Kind::Webhook);
    }

    /// Counts a collector ticket that holds. One that does not is no use of its key: nothing depends on it.
    pub fn ticket(&self, key_id: &str, at: UnixSeconds) {
        if let Some((_, usage)) = self.keys.iter().find(|(key, _)| **key == *key_id) {
            self.usage.proofs.signed_by(usage, Kind::Proof(KeyUse::CollectorTicket), Upheld::Verified, at);
        }
    }

    /// By what a token is hashed for [`token`](Self::token): with keys of this process.
    #[must_use]
    pub fn token_hasher(&self) -> &RandomState {
        self.metrics.shared_tokens.hasher()
    }

    /// Counts what is unwise about a token that holds.
    pub fn token(&self, token: &CountedToken) {
        let CountedToken { hash, exp, iat, address, at } = *token;
        match exp {
            None => self.risk(TokenRisk::NoExpiry),
            Some(exp) => {
                let life = exp.saturating_sub(iat.unwrap_or(at.0));
                if self.long_life_seconds.is_some_and(|longest| life > longest) {
                    self.risk(TokenRisk::LongLife);
                }
            }
        }
        match self.metrics.shared_tokens.sight(hash ^ self.token_salt, address, at, exp) {
            Sighting::Shared => self.risk(TokenRisk::Shared),
            Sighting::Nothing => {}
        }
    }

    /// Counts a token that was refused for what is unwise about it.
    pub fn risk(&self, risk: TokenRisk) {
        self.usage.risk(risk);
    }
}

fn named<'n>(ring: &Ring, keys: impl IntoIterator<Item = &'n str>, now: UnixSeconds) -> NamedKeys {
    keys.into_iter().map(|key| (key.into(), ring.key(key, now))).collect()
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
            (["web-2026"], ["web-2026", "hooks-2026"]),
        )
    }

    fn proof<'p>(verdict: &'static str, key_id: Option<&'p str>) -> CountedProof<'p> {
        let kind = Some(KeyUse::Jwt);
        CountedProof { verdict, key_id, kind, upheld: Upheld::Verified, at: UnixSeconds(1_795_000_000) }
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
    fn the_use_of_a_key_is_told_with_the_workspace_s_all() {
        let metrics = Metrics::new();
        let acme = acme(&metrics);
        acme.proof(&CountedProof { kind: None, ..proof("absent", None) });
        acme.proof(&proof("bad_signature", None));
        acme.proof(&proof("valid", Some("web-2026")));
        acme.proof(&CountedProof { upheld: Upheld::Refused, ..proof("expired", Some("web-2026")) });
        check(
            &metrics,
            r#"countersign_key_last_use_timestamp_seconds{workspace="acme",key="web-2026"}"#,
            1_795_000_000.0,
        );
        let report = metrics.usage();
        let [workspace] = report.as_slice() else { panic!("{report:?}") };
        assert_eq!((workspace.signed, workspace.unsigned.jwt), (2, 1));
        assert_eq!((workspace.keys[0].verified.jwt, workspace.keys[0].refused.jwt), (1, 1));
    }

    #[test]
    fn webhooks_count_by_their_key_and_not_by_a_key_for_tokens_of_the_same_name() {
        let metrics = Metrics::new();
        let acme = acme(&metrics);
        acme.proof(&proof("valid", Some("web-2026")));
        for (key, upheld, at) in [
            ("web-2026", Upheld::Verified, 1_795_000_010),
            ("web-2026", Upheld::Refused, 1_795_000_020),
            ("hooks-2026", Upheld::Verified, 1_795_000_030),
        ] {
            acme.webhook("webhook_valid", key, upheld, UnixSeconds(at));
        }
        acme.webhook_unsigned();
        let proofs = |verdict: &str, key: &str| {
            format!(r#"countersign_proofs_total{{workspace="acme",verdict="{verdict}",key="{key}"}}"#)
        };
        check(&metrics, &proofs("valid", "web-2026"), 1.0);
        check(&metrics, &proofs("webhook_valid", "web-2026"), 2.0);
        check(&metrics, &proofs("webhook_valid", "hooks-2026"), 1.0);
        let last_use = |name: &str, key: &str| {
            format!(r#"countersign_{name}_last_use_timestamp_seconds{{workspace="acme",key="{key}"}}"#)
        };
        check(&metrics, &last_use("key", "web-2026"), 1_795_000_000.0);
        check(&metrics, &last_use("webhook_key", "web-2026"), 1_795_000_020.0);
        check(&metrics, &last_use("webhook_key", "hooks-2026"), 1_795_000_030.0);
        assert!(!metrics.encode().contains(&last_use("key", "hooks-2026")));
        let report = &metrics.usage()[0];
        assert_eq!((report.signed, report.webhooks.signed, report.unsigned.webhook), (1, 3, 1));
    }

    #[test]
    fn what_is_unwise_about_a_token_counts_where_the_policy_lets_it_pass() {
        let metrics = Metrics::new();
        let acme = acme(&metrics);
        let token =
            CountedToken { hash: 1, exp: Some(1000), iat: None, address: [192, 0, 2, 1].into(), at: UnixSeconds(0) };
        let day = LONG_LIFE_SECONDS;
        for (exp, iat) in
            [(Some(day), None), (Some(day + 1), Some(1)), (Some(day + 1), None), (Some(10), Some(-day)), (None, None)]
        {
            acme.token(&CountedToken { exp, iat, ..token });
        }
        let counted = |risk: &str| format!(r#"countersign_token_risks_total{{workspace="acme",risk="{risk}"}}"#);
        check(&metrics, &counted("long_life"), 2.0);
        check(&metrics, &counted("no_expiry"), 1.0);
        assert!(!metrics.encode().contains("shared"), "nothing came from several addresses");
        for last in 0..9 {
            acme.token(&CountedToken { hash: 2, address: [192, 0, 2, last].into(), ..token });
        }
        check(&metrics, &counted("shared"), 1.0);
        let refusing = WorkspaceMetrics { long_life_seconds: None, ..acme };
        refusing.token(&CountedToken { exp: Some(10 * day), ..token });
        check(&metrics, &counted("long_life"), 2.0);
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
            acme.proof(&proof("bad_signature", None));
            acme.proof(&proof("bad_signature", Some(&format!("foreign{number}"))));
            acme.operation(&format!("foreign{number}")).ended("sent", Some(200), Duration::ZERO, None, None);
        }
        acme.proof(&proof("valid", Some("web-2026")));
        let text = metrics.encode();
        let series = |name: &str| samples(&text).iter().filter(|(series, _)| series.starts_with(name)).count();
        assert!(!text.contains("foreign") && !text.contains("canary"), "{text}");
        assert_eq!(series("countersign_verdicts_total"), 2, "{text}");
        assert_eq!(series("countersign_proofs_total"), 2, "{text}");
        assert_eq!(series("countersign_requests_total"), 1, "{text}");
        let other =
            r#"countersign_verdicts_total{workspace="acme",attribute="other",verdict="unlisted",applied="true"}"#;
        check(&metrics, other, 10_000.0);
        check(&metrics, r#"countersign_proofs_total{workspace="acme",verdict="bad_signature",key=""}"#, 20_000.0);
        check(&metrics, r#"countersign_proofs_total{workspace="acme",verdict="valid",key="web-2026"}"#, 1.0);
    }
}
