//! Stapling: asks the issuers of our certificates, in the background, whether these are still good, and has the answers shown.
//!
//! Nobody waits here: a start, a reload and a handshake go on with what is known. What is known outlives a reload, and is shown until its own
//! end; a certificate without an answer is shown without one. Owns when a responder is asked and how often at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use crate::clock::{self, UnixSeconds};
use crate::edge::certificates::Certificate;
use crate::edge::ocsp::{Asking, OcspError, Question, RESPONSE_BYTES_MAX, Staple, must_be_stapled};
use crate::observe::{Metrics, StapleReading};
use crate::upstream::{FetchError, Fetcher, SystemRoots};

/// From the name's look-up to the last byte of an answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// How many responders are asked at the same time.
const FETCHES_MAX: usize = 8;

/// After a failure, and at the least between two answers; twice as long after each further failure.
const RETRY_SECONDS: i64 = 60;
const RETRY_SECONDS_MAX: i64 = 60 * 60;

/// How long at most until somebody looks again: the wall clock may be set.
const LOOK: Duration = Duration::from_secs(30);

/// A certificate that is shown, by its name for operators.
#[derive(Clone, Debug)]
pub struct Shown {
    pub name: String,
    pub certificate: Certificate,
}

/// Everything that is known of the certificates that are shown.
pub struct Stapler {
    known: Mutex<HashMap<Vec<u8>, Known>>,
    wake: Notify,
    metrics: Arc<Metrics>,
}

/// What is known of one certificate.
struct Known {
    question: Box<Question>,
    /// Wherever it is shown.
    shown: Vec<Shown>,
    staple: Option<Staple>,
    due: UnixSeconds,
    failures: u32,
    failure: Option<&'static str>,
}

/// Why there is no answer.
enum AskError {
    Address,
    Fetch(FetchError),
    Answer(OcspError),
}

impl AskError {
    fn code(&self) -> &'static str {
        match self {
            AskError::Address => "address",
            AskError::Fetch(error) => error.code(),
            AskError::Answer(error) => error.code(),
        }
    }
}

impl Stapler {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { known: Mutex::default(), wake: Notify::new(), metrics: Arc::clone(metrics) })
    }

    /// These certificates are shown from now on, and no others. What is known of them is shown at once.
    pub fn follow(&self, shown: Vec<Shown>) {
        let mut known = self.known();
        let mut before = std::mem::take(&mut *known);
        for shown in shown {
            let chain = shown.certificate.chain();
            let Some(leaf) = chain.first().map(|leaf| leaf.to_vec()) else { continue };
            let question = match Asking::of(&chain) {
                Asking::Somebody(question) => question,
                Asking::NoIssuer => {
                    tracing::warn!(certificate = shown.name, "the chain lacks the issuer: it cannot be asked by OCSP");
                    continue;
                }
                Asking::Nobody => {
                    if must_be_stapled(&chain) {
                        let certificate = shown.name;
                        tracing::warn!(certificate, "clients refuse it without OCSP, and it names no responder to ask");
                    }
                    continue;
                }
            };
            let entry = known.entry(leaf.clone()).or_insert_with(|| match before.remove(&leaf) {
                Some(known) => Known { question, shown: Vec::new(), ..known },
                None => {
                    Known { question, shown: Vec::new(), staple: None, due: UnixSeconds(0), failures: 0, failure: None }
                }
            });
            shown.certificate.staple(entry.staple.as_ref());
            entry.shown.push(shown);
        }
        drop(known);
        self.wake.notify_one();
    }

    /// Has all of them asked now: whoever runs the gateway wants it.
    pub fn ask_all(&self) {
        for known in self.known().values_mut() {
            known.due = UnixSeconds(0);
        }
        self.wake.notify_one();
    }

    /// Asks each responder when it is due, for as long as it runs.
    pub async fn run(self: Arc<Self>) {
        let mut asking = JoinSet::new();
        loop {
            let now = clock::now_seconds();
            for (leaf, question) in self.due(now) {
                if asking.len() >= FETCHES_MAX {
                    // How it ended, it has told by itself.
                    drop(asking.join_next().await);
                }
                let this = Arc::clone(&self);
                asking.spawn(async move {
                    let asked = ask(&question).await;
                    this.answered(&leaf, asked, clock::now_seconds());
                });
            }
            while asking.try_join_next().is_some() {}
            // Either is a reason to look.
            drop(timeout(LOOK.min(self.until_next(now)), self.wake.notified()).await);
        }
    }

    /// How the certificates are doing that somebody can be asked about.
    #[must_use]
    pub fn readings(&self) -> Vec<StapleReading> {
        let known = self.known();
        let readings = known.values().flat_map(|known| {
            known.shown.iter().map(|shown| StapleReading {
                certificate: shown.name.clone(),
                this_update: known.staple.as_ref().map(|staple| staple.this_update),
                next_update: known.staple.as_ref().map(|staple| staple.next_update),
                is_revoked: known.failure == Some(OcspError::Revoked.code()),
                failure: known.failure,
            })
        });
        let mut readings: Vec<_> = readings.collect();
        readings.sort_by(|a, b| a.certificate.cmp(&b.certificate));
        readings
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be asked now; it is not due again while it is asked. What has ended is shown no longer.
    fn due(&self, now: UnixSeconds) -> Vec<(Vec<u8>, Question)> {
        let mut due = Vec::new();
        for (leaf, known) in self.known().iter_mut() {
            if known.staple.as_ref().is_some_and(|staple| staple.next_update <= now) {
                known.show(None);
                for Shown { name, certificate } in &known.shown {
                    tracing::error!(
                        certificate = name,
                        reason = known.failure,
                        must = must_be_stapled(&certificate.chain()),
                        "staple_ended"
                    );
                }
            }
            if known.due <= now {
                known.due = UnixSeconds(now.0 + RETRY_SECONDS);
                due.push((leaf.clone(), (*known.question).clone()));
            }
        }
        due
    }

    fn until_next(&self, now: UnixSeconds) -> Duration {
        let next = self.known().values().map(|known| known.due.0).min().unwrap_or(i64::MAX);
        Duration::from_secs(u64::try_from(next.saturating_sub(now.0)).unwrap_or(0).max(1))
    }

    fn answered(&self, leaf: &[u8], asked: Result<Staple, AskError>, now: UnixSeconds) {
        let mut all = self.known();
        // A reload may have taken the certificate away.
        let Some(known) = all.get_mut(leaf) else { return };
        let names = known.shown.iter().map(|shown| shown.name.as_str()).collect::<Vec<_>>().join(", ");
        match asked {
            Ok(staple) => {
                self.metrics.ocsp_fetched("ok");
                known.due = UnixSeconds(staple.due(now).0.max(now.0 + RETRY_SECONDS));
                (known.failures, known.failure) = (0, None);
                known.show(Some(staple));
                tracing::info!(certificate = names, "stapled");
            }
            Err(error) => {
                self.metrics.ocsp_fetched(error.code());
                let doubled = RETRY_SECONDS.saturating_mul(1 << known.failures.min(6)).min(RETRY_SECONDS_MAX);
                known.due = UnixSeconds(now.0 + doubled);
                known.failures = known.failures.saturating_add(1);
                known.failure = Some(error.code());
                let is_revoked = matches!(error, AskError::Answer(OcspError::Revoked));
                if is_revoked {
                    // What was good an hour ago is a lie by now.
                    known.show(None);
                    tracing::error!(
                        certificate = names,
                        "certificate_revoked: its issuer says so; clients will refuse it"
                    );
                } else {
                    tracing::warn!(
                        certificate = names,
                        reason = error.code(),
                        "ocsp_failed: what is known is shown until its end"
                    );
                }
            }
        }
    }
}

impl Known {
    fn show(&mut self, staple: Option<Staple>) {
        self.staple = staple;
        for shown in &self.shown {
            shown.certificate.staple(self.staple.as_ref());
        }
    }
}

async fn ask(question: &Question) -> Result<Staple, AskError> {
    let url: Url = question.responder.parse().map_err(|_| AskError::Address)?;
    let fetcher = Fetcher::new(&url, None, &SystemRoots::default(), FETCH_TIMEOUT).map_err(|_| AskError::Address)?;
    // Posted (RFC 6960 appendix A.1.1), which every responder takes: not all take the question as an address.
    let fetcher = fetcher.asking(
        question.request().into(),
        HeaderValue::from_static("application/ocsp-request"),
        HeaderValue::from_static("application/ocsp-response"),
    );
    let answer = fetcher.fetch(RESPONSE_BYTES_MAX, FETCH_TIMEOUT).await.map_err(AskError::Fetch)?;
    question.verify(&answer, clock::now_seconds()).map_err(AskError::Answer)
}
