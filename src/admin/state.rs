//! What the process says about itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use arc_swap::{ArcSwap, ArcSwapOption};
use serde::Serialize;

use super::orders::OrderStatus;
use super::overview::{Overview, Seen};
use crate::audit::{Change, Numbers, Recorder};
use crate::clock::UnixSeconds;
use crate::observe::{
    AuditReading, CertificateReading, DomainReading, GradeReading, KeySetReading, Metrics, RateReading, ReloadResult,
    StapleReading, TicketReading, TlsReading, UsageReport,
};
use crate::policy::{FileLine, TrustedDomains};

/// The epoch in force.
#[derive(Clone, Debug)]
pub struct EpochFacts {
    pub digest: String,
    pub since: SystemTime,
    pub workspaces: usize,
    pub upstreams: Vec<String>,
    pub facts: Vec<WorkspaceFacts>,
    /// Connections at once, on all listeners.
    pub connections_max: usize,
}

/// What there is of a workspace to speak of: what can be taken back, whether that refuses anything there, whose pages it trusts.
#[derive(Clone, Debug)]
pub struct WorkspaceFacts {
    pub workspace: String,
    /// The ids of its keys.
    pub keys: Vec<String>,
    /// Whether its mode is `enforce`.
    pub enforces: bool,
    pub mode: &'static str,
    pub trusted_domains: TrustedDomains,
    /// Where they are listed.
    pub trusted_domains_at: FileLine,
}

/// How the last reload went.
#[derive(Clone, Debug)]
pub struct ReloadFacts {
    pub at: SystemTime,
    pub result: ReloadResult,
    /// Mistakes and warnings in the policy files.
    pub findings: usize,
    /// The first mistakes, a line each.
    pub mistakes: Vec<String>,
}

/// Mistakes of a reload that are told.
pub const MISTAKES_TOLD_MAX: usize = 20;

/// Whether to send requests here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    NoEpoch,
    /// A listener has none to show: the first that it ordered is still to come.
    NoCertificate,
    Draining,
}

impl Readiness {
    /// The state in a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Readiness::Ready => "ready",
            Readiness::NoEpoch => "no policies in force",
            Readiness::NoCertificate => "a certificate is awaited",
            Readiness::Draining => "draining",
        }
    }
}

/// What the process says about itself. Whoever changes something says so here, and the metrics hear of it too.
pub struct AdminState {
    metrics: Arc<Metrics>,
    recorder: Recorder,
    started: SystemTime,
    epoch: ArcSwapOption<EpochFacts>,
    certificates: ArcSwap<Vec<CertificateReading>>,
    grades: ArcSwap<Vec<GradeReading>>,
    domains: ArcSwap<Vec<DomainReading>>,
    reload: ArcSwapOption<ReloadFacts>,
    workspaces_gone: ArcSwap<Vec<String>>,
    draining: AtomicBool,
    awaits_certificate: AtomicBool,
}

impl AdminState {
    /// A process that has just started: not ready.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, recorder: Recorder, started: SystemTime) -> Arc<Self> {
        metrics.read_audit({
            let recorder = recorder.clone();
            move || {
                let Numbers { written, lost, disk_errors } = recorder.numbers();
                AuditReading { written, lost, disk_errors }
            }
        });
        Arc::new(Self {
            metrics,
            recorder,
            started,
            epoch: ArcSwapOption::empty(),
            certificates: ArcSwap::default(),
            grades: ArcSwap::default(),
            domains: ArcSwap::default(),
            reload: ArcSwapOption::empty(),
            workspaces_gone: ArcSwap::default(),
            draining: AtomicBool::new(false),
            awaits_certificate: AtomicBool::new(false),
        })
    }

    /// An epoch has come into force.
    pub fn epoch_in_force(&self, facts: EpochFacts) {
        self.metrics.epoch(&facts.digest);
        self.epoch.store(Some(Arc::new(facts)));
    }

    /// Certificates have come into force: all of them.
    pub fn certificates_in_force(&self, certificates: Vec<CertificateReading>) {
        self.metrics.certificates(certificates.clone());
        self.certificates.store(Arc::new(certificates));
    }

    /// Whether a listener has no certificate yet.
    pub fn certificates_awaited(&self, awaited: bool) {
        self.awaits_certificate.store(awaited, Ordering::Release);
    }

    /// The grades of all listeners were looked at.
    pub fn grades(&self, grades: Vec<GradeReading>) {
        self.metrics.grades(grades.clone());
        self.grades.store(Arc::new(grades));
    }

    /// The trusted domains were looked at: all of them.
    pub fn domains(&self, domains: Vec<DomainReading>) {
        self.metrics.domains(domains.clone());
        self.domains.store(Arc::new(domains));
    }

    /// A reload has ended, well or not.
    pub fn reloaded(&self, facts: ReloadFacts) {
        self.metrics.reloaded(facts.result);
        self.reload.store(Some(Arc::new(facts)));
    }

    /// The workspaces that the last change of the policies took away: all of them.
    pub fn workspaces_gone(&self, workspaces: Vec<String>) {
        self.workspaces_gone.store(Arc::new(workspaces));
    }

    /// The process finishes what it has and takes nothing new.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether to send requests here.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        if self.draining.load(Ordering::Acquire) {
            Readiness::Draining
        } else if self.epoch.load().is_none() {
            Readiness::NoEpoch
        } else if self.awaits_certificate.load(Ordering::Acquire) {
            Readiness::NoCertificate
        } else {
            Readiness::Ready
        }
    }

    pub(super) fn epoch(&self) -> Option<Arc<EpochFacts>> {
        self.epoch.load_full()
    }

    pub(super) fn record(&self, change: &Change<'_>) {
        self.recorder.change(change);
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn keys(&self, now: SystemTime) -> UsageReport {
        UsageReport {
            at: UnixSeconds::of(now).0,
            started: UnixSeconds::of(self.started).0,
            epoch: self.epoch.load().as_deref().map(|facts| facts.digest.clone()),
            workspaces: self.metrics.usage(),
        }
    }

    pub(super) fn status(&self, now: SystemTime) -> Status {
        let epoch = self.epoch.load_full();
        let TlsReading { tickets, staples, handshakes: _, lists: _, authorities: _ } = self.metrics.tls();
        let audit = self.recorder.numbers();
        let Numbers { written, lost, disk_errors } = audit;
        let overview = Overview::of(&Seen {
            readiness: self.readiness(),
            epoch: epoch.as_deref(),
            reload: self.reload.load().as_deref(),
            workspaces_gone: &self.workspaces_gone.load(),
            certificates: &self.certificates.load(),
            grades: &self.grades.load(),
            domains: &self.domains.load(),
            audit,
            metrics: &self.metrics,
            now,
        });
        Status {
            overview,
            version: env!("CARGO_PKG_VERSION"),
            started: rfc3339(self.started),
            state: self.readiness().as_str(),
            reload: self.reload.load().as_deref().map(|facts| ReloadStatus {
                at: rfc3339(facts.at),
                result: facts.result.as_str(),
                findings: facts.findings,
                mistakes: facts.mistakes.clone(),
            }),
            certificates: self
                .certificates
                .load()
                .iter()
                .map(|certificate| CertificateStatus {
                    name: certificate.name.clone(),
                    days_left: certificate.days_left(UnixSeconds::of(now)),
                    ocsp: staples
                        .iter()
                        .find(|staple| staple.certificate == certificate.name)
                        .map(|staple| OcspStatus::of(staple, UnixSeconds::of(now))),
                })
                .collect(),
            tickets: tickets.into_iter().map(TicketStatus::from).collect(),
            acme: self.metrics.orders().into_iter().map(OrderStatus::from).collect(),
            tls: self.grades.load().iter().map(TlsStatus::from).collect(),
            domains: self.domains.load().iter().map(|domain| DomainStatus::from(domain, now)).collect(),
            upstreams: epoch.as_deref().map(|facts| facts.upstreams.clone()).unwrap_or_default(),
            key_sets: self.metrics.key_sets().into_iter().map(KeySetStatus::from).collect(),
            audit: AuditStatus { written, lost, disk_errors },
            limits: self.metrics.rates().into_iter().map(LimitStatus::from).collect(),
            buffered_bytes: self.metrics.room().taken,
            connections_open: self.metrics.connections_open(),
            requests_in_flight: self.metrics.requests_in_flight(),
            epoch: epoch.as_deref().map(|facts| EpochStatus {
                digest: facts.digest.clone(),
                since: rfc3339(facts.since),
                workspaces: facts.workspaces,
            }),
        }
    }
}

/// The answer to `/status`.
#[derive(Serialize)]
pub(super) struct Status {
    version: &'static str,
    started: String,
    state: &'static str,
    epoch: Option<EpochStatus>,
    reload: Option<ReloadStatus>,
    certificates: Vec<CertificateStatus>,
    tickets: Vec<TicketStatus>,
    acme: Vec<OrderStatus>,
    tls: Vec<TlsStatus>,
    domains: Vec<DomainStatus>,
    upstreams: Vec<String>,
    key_sets: Vec<KeySetStatus>,
    audit: AuditStatus,
    limits: Vec<LimitStatus>,
    buffered_bytes: u64,
    connections_open: u64,
    requests_in_flight: i64,
    #[serde(flatten)]
    overview: Overview,
}

#[derive(Serialize)]
struct EpochStatus {
    digest: String,
    since: String,
    workspaces: usize,
}

#[derive(Serialize)]
struct ReloadStatus {
    at: String,
    result: &'static str,
    findings: usize,
    mistakes: Vec<String>,
}

#[derive(Serialize)]
struct CertificateStatus {
    name: String,
    /// Whole days; negative when it has ended.
    days_left: i64,
    /// What its issuer says; `null` where nobody can be asked.
    ocsp: Option<OcspStatus>,
}

#[derive(Serialize)]
struct OcspStatus {
    /// `null`: nothing is shown.
    age_seconds: Option<i64>,
    left_seconds: Option<i64>,
    revoked: bool,
    last_error: Option<&'static str>,
}

impl OcspStatus {
    fn of(reading: &StapleReading, now: UnixSeconds) -> Self {
        let StapleReading { certificate: _, this_update, next_update, is_revoked: revoked, failure: last_error } =
            reading;
        Self {
            age_seconds: this_update.map(|time| now.0.saturating_sub(time.0)),
            left_seconds: next_update.map(|time| time.0.saturating_sub(now.0)),
            revoked: *revoked,
            last_error: *last_error,
        }
    }
}

/// The secrets of a listener's session tickets.
#[derive(Serialize)]
struct TicketStatus {
    listener: String,
    shared: bool,
    age_seconds: i64,
}

impl From<TicketReading> for TicketStatus {
    fn from(reading: TicketReading) -> Self {
        let TicketReading { listener, is_shared: shared, age_seconds } = reading;
        Self { listener, shared, age_seconds }
    }
}

#[derive(Serialize)]
struct TlsStatus {
    listener: String,
    grade: &'static str,
    findings: Vec<&'static str>,
    handshake: &'static str,
}

impl From<&GradeReading> for TlsStatus {
    fn from(reading: &GradeReading) -> Self {
        let GradeReading { listener, grade, number: _, findings, handshake } = reading;
        Self { listener: listener.clone(), grade, findings: findings.clone(), handshake }
    }
}

#[derive(Serialize)]
struct DomainStatus {
    domain: String,
    hsts: bool,
    /// Whole days; `null` where there was no certificate to be had.
    days_left: Option<i64>,
    findings: Vec<&'static str>,
}

impl DomainStatus {
    fn from(reading: &DomainReading, now: SystemTime) -> Self {
        let DomainReading { domain, has_hsts, not_after, findings } = reading;
        let days_left = not_after.map(|end| UnixSeconds::of(now).days_until(UnixSeconds(end)));
        Self { domain: domain.clone(), hsts: *has_hsts, days_left, findings: findings.clone() }
    }
}

#[derive(Serialize)]
struct KeySetStatus {
    workspace: String,
    set: String,
    keys: usize,
    left_out: usize,
    /// Whole seconds; `null` for a file, and before the first answer.
    age_seconds: Option<i64>,
    stale: bool,
    last_error: Option<&'static str>,
}

impl From<KeySetReading> for KeySetStatus {
    fn from(reading: KeySetReading) -> Self {
        let KeySetReading { workspace, set, keys, left_out, age_seconds, is_stale: stale, failure: last_error } =
            reading;
        Self { workspace, set, keys, left_out, age_seconds, stale, last_error }
    }
}

/// Since the start.
#[derive(Serialize)]
struct LimitStatus {
    limit: &'static str,
    refused: u64,
    observed: u64,
    keys: u64,
}

impl From<RateReading> for LimitStatus {
    fn from(RateReading { limit, refused, observed, keys, shared: _ }: RateReading) -> Self {
        Self { limit, refused, observed, keys }
    }
}

#[derive(Serialize)]
struct AuditStatus {
    written: u64,
    lost: u64,
    disk_errors: u64,
}

pub(super) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| String::new(), |time| format!("{time:.0}"))
}
