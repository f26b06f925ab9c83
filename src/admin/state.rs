//! What the process says about itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use serde::Serialize;

use crate::audit::{Change, Numbers, Recorder};
use crate::clock::UnixSeconds;
use crate::observe::{
    AuditReading, CertificateReading, KeySetReading, Metrics, RateReading, ReloadResult, UsageReport,
};

/// The epoch in force.
#[derive(Clone, Debug)]
pub struct EpochFacts {
    pub digest: String,
    pub since: SystemTime,
    pub workspaces: usize,
    pub upstreams: Vec<String>,
    pub facts: Vec<WorkspaceFacts>,
}

/// What can be taken back in a workspace, and whether that refuses anything there.
#[derive(Clone, Debug)]
pub struct WorkspaceFacts {
    pub workspace: String,
    /// The ids of its keys.
    pub keys: Vec<String>,
    /// Whether its mode is `enforce`.
    pub enforces: bool,
}

/// How the last reload went.
#[derive(Clone, Copy, Debug)]
pub struct ReloadFacts {
    pub at: SystemTime,
    pub result: ReloadResult,
    /// Mistakes and warnings in the policy files.
    pub findings: usize,
}

/// Whether to send requests here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    NoEpoch,
    Draining,
}

impl Readiness {
    /// The state in a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Readiness::Ready => "ready",
            Readiness::NoEpoch => "no policies in force",
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
    reload: ArcSwapOption<ReloadFacts>,
    draining: AtomicBool,
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
            reload: ArcSwapOption::empty(),
            draining: AtomicBool::new(false),
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

    /// A reload has ended, well or not.
    pub fn reloaded(&self, facts: ReloadFacts) {
        self.metrics.reloaded(facts.result);
        self.reload.store(Some(Arc::new(facts)));
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
        let Numbers { written, lost, disk_errors } = self.recorder.numbers();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            started: rfc3339(self.started),
            state: self.readiness().as_str(),
            reload: self.reload.load().as_deref().map(|facts| ReloadStatus {
                at: rfc3339(facts.at),
                result: facts.result.as_str(),
                findings: facts.findings,
            }),
            certificates: self
                .certificates
                .load()
                .iter()
                .map(|certificate| CertificateStatus {
                    name: certificate.name.clone(),
                    days_left: days_left(certificate, now),
                })
                .collect(),
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
    upstreams: Vec<String>,
    key_sets: Vec<KeySetStatus>,
    audit: AuditStatus,
    limits: Vec<LimitStatus>,
    buffered_bytes: u64,
    connections_open: u64,
    requests_in_flight: i64,
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
}

#[derive(Serialize)]
struct CertificateStatus {
    name: String,
    /// Whole days; negative when it has ended.
    days_left: i64,
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

const DAY_SECONDS: i64 = 24 * 60 * 60;

fn days_left(certificate: &CertificateReading, now: SystemTime) -> i64 {
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seconds = certificate.not_after.0.saturating_sub(i64::try_from(now).unwrap_or(i64::MAX));
    // Rounded down, so that one that ended a second ago is not said to have 0 days left.
    seconds.div_euclid(DAY_SECONDS)
}

fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| String::new(), |time| format!("{time:.0}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(not_after: i64, now: u64, days: i64) {
        let certificate = CertificateReading { name: String::new(), not_after: UnixSeconds(not_after) };
        assert_eq!(days_left(&certificate, UNIX_EPOCH + Duration::from_secs(now)), days);
    }

    #[test]
    fn days_are_whole_and_negative_once_it_is_over() {
        check(10 * DAY_SECONDS, 0, 10);
        check(10 * DAY_SECONDS - 1, 0, 9);
        check(100, 100, 0);
        check(100, 101, -1);
    }
}
