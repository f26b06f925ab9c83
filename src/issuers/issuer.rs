//! One issuer: its address, what is known of it, and what comes of asking it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use aws_lc_rs::{digest, rand};
use bytes::Bytes;
use tokio::sync::Notify;
use url::Url;

use super::schedule::Schedule;
use crate::clock::{self, UnixSeconds};
use crate::identity::{KeySet, KeySetError, LeftOut, PublishedKeys, SET_BYTES_MAX};
use crate::policy::{Algorithm, IssuerPolicy, word};
use crate::upstream::{FetchError, Fetcher, FetcherError, SystemRoots};

/// From the look-up of its name to the last byte of its answer.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);

/// For name, TCP and TLS of that.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One issuer, as one way of asking it.
pub(super) struct Issuer {
    pub(super) asked: Asked,
    fetcher: Fetcher,
    /// Gone with the last epoch that names it.
    keys: Weak<PublishedKeys>,
    /// Set by whoever misses a key; it takes no lock, for anybody may send such tokens.
    is_missed: Arc<AtomicBool>,
    schedule: Mutex<Schedule>,
    was_asked: AtomicBool,
}

/// Who publishes, and what is taken of it: what is known of one is known of no other. The same address behind other authorities may be
/// somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    url: Url,
    ca: Option<PathBuf>,
    algorithms: Vec<Algorithm>,
}

/// All by which an issuer is asked. What differs in any of it is another issuer to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) identity: Identity,
    refresh: Duration,
    /// Of what the file of the authorities holds, for another may have taken its place.
    authorities: Option<Vec<u8>>,
}

/// A set that was fetched and may be kept.
pub(super) struct Good {
    pub(super) content: Bytes,
    /// When it was asked for: no key is younger than the question.
    pub(super) at: UnixSeconds,
}

/// Why nothing came of asking.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Set(#[from] KeySetError),
    /// Nobody names it any more.
    #[error("nobody needs it")]
    Unneeded,
}

impl AskError {
    /// The stable name.
    pub(super) fn code(&self) -> &'static str {
        match self {
            AskError::Fetch(error) => error.code(),
            AskError::Set(KeySetError::TooLong) => "too_long",
            AskError::Set(KeySetError::NotJson) => "not_json",
            AskError::Set(KeySetError::NotASet) => "not_a_set",
            AskError::Set(KeySetError::TooManyKeys) => "too_many_keys",
            AskError::Set(KeySetError::NoUsableKey) => "no_usable_key",
            AskError::Unneeded => "unneeded",
        }
    }
}

impl Identity {
    pub(super) fn new(policy: &IssuerPolicy, algorithms: &[Algorithm]) -> Self {
        let mut algorithms = algorithms.to_vec();
        algorithms.sort_unstable_by_key(|algorithm| word(*algorithm));
        Self { url: policy.url.clone(), ca: policy.ca.clone(), algorithms }
    }

    pub(super) fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// All of it in one line.
    pub(super) fn text(&self) -> String {
        let algorithms: Vec<&str> = self.algorithms.iter().map(|algorithm| word(*algorithm)).collect();
        let ca = self
            .ca
            .as_ref()
            .map_or_else(String::new, |path| path.as_os_str().as_encoded_bytes().escape_ascii().to_string());
        format!("{} {} {ca}", self.url, algorithms.join(","))
    }

    /// For names of files.
    pub(super) fn digest(&self) -> String {
        let digest = digest::digest(&digest::SHA256, self.text().as_bytes());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// For the log: without the query, in which somebody may have put a key of another kind.
    pub(super) fn shown(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }
}

impl Asked {
    pub(super) fn new(policy: &IssuerPolicy, algorithms: &[Algorithm], authorities: Option<&[u8]>) -> Self {
        let authorities = authorities.map(|pem| digest::digest(&digest::SHA256, pem).as_ref().to_vec());
        Self { identity: Identity::new(policy, algorithms), refresh: policy.refresh, authorities }
    }
}

impl Issuer {
    /// An issuer of which nothing is known, and the keys that whoever needs it holds.
    pub(super) fn new(
        asked: Asked,
        policy: &IssuerPolicy,
        authorities: Option<&[u8]>,
        system: &SystemRoots,
        wake: &Arc<Notify>,
    ) -> Result<(Self, Arc<PublishedKeys>), FetcherError> {
        let fetcher = Fetcher::new(&policy.url, authorities, system, CONNECT_TIMEOUT)?;
        let is_missed = Arc::new(AtomicBool::new(false));
        let keys = Arc::new(PublishedKeys::new({
            let (is_missed, wake) = (Arc::clone(&is_missed), Arc::clone(wake));
            move || {
                // The first of a flood wakes, and the others find that it has.
                if !is_missed.swap(true, Ordering::AcqRel) {
                    wake.notify_one();
                }
            }
        }));
        let schedule = Mutex::new(Schedule::new(policy.refresh, Instant::now()));
        let issuer = Self {
            asked,
            fetcher,
            keys: Arc::downgrade(&keys),
            is_missed,
            schedule,
            was_asked: AtomicBool::new(false),
        };
        Ok((issuer, keys))
    }

    /// The keys, while somebody needs them.
    pub(super) fn keys(&self) -> Option<Arc<PublishedKeys>> {
        self.keys.upgrade()
    }

    /// Whether nothing is known of it and nobody has asked it yet.
    pub(super) fn is_awaited(&self) -> bool {
        !self.was_asked.load(Ordering::Acquire) && self.keys().is_some_and(|keys| keys.current().keys().is_none())
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.schedule().due()
    }

    /// To be asked now, whatever the times say.
    pub(super) fn hasten(&self, now: Instant) {
        self.schedule().hasten(now);
    }

    /// Whether to ask it now.
    pub(super) fn begin(&self, now: Instant) -> bool {
        let mut schedule = self.schedule();
        if self.is_missed.load(Ordering::Acquire) {
            schedule.missed(now);
        }
        let begins = schedule.begin(now);
        if begins {
            // Who misses a key from here on may miss one of after the answer.
            self.is_missed.store(false, Ordering::Release);
        }
        begins
    }

    /// Asks it. What is known afterwards stands in its keys, good or not.
    pub(super) async fn ask(&self) -> Result<Good, AskError> {
        let at = clock::now_seconds();
        let fetched = self.fetcher.fetch(SET_BYTES_MAX, FETCH_DEADLINE).await;
        let answer = fetched.map_err(AskError::from).and_then(|content| self.learn(&content, at).map(|()| content));
        self.was_asked.store(true, Ordering::Release);
        let mut drawn = [0];
        // Without random numbers all ask on time.
        let [jitter] = if rand::fill(&mut drawn).is_ok() { drawn } else { [0] };
        match answer {
            Ok(content) => {
                self.schedule().confirmed(Instant::now(), jitter);
                Ok(Good { content, at })
            }
            Err(error) => {
                self.schedule().failed(Instant::now(), jitter);
                self.tell_failure(&error);
                Err(error)
            }
        }
    }

    fn learn(&self, content: &[u8], at: UnixSeconds) -> Result<(), AskError> {
        let keys = self.keys().ok_or(AskError::Unneeded)?;
        let current = keys.current();
        let was_failing = keys.failure().is_some();
        // The same set stays, with what it remembers.
        let same = current.keys().filter(|known| known.is_of(content));
        let set = match same {
            Some(known) => Arc::clone(known),
            None => Arc::new(KeySet::parse(content, self.asked.identity.algorithms())?),
        };
        keys.confirm(Arc::clone(&set), at);
        if same.is_none() || was_failing {
            let left_out: Vec<&str> = set.left_out().iter().map(|why| why.code()).collect();
            let (url, keys, left_out) = (self.asked.identity.shown(), set.len(), left_out.join(","));
            if set.left_out().contains(&LeftOut::Private) {
                tracing::warn!(url, keys, left_out, "keys_fetched: the issuer publishes a private key");
            } else {
                tracing::info!(url, keys, left_out, "keys_fetched");
            }
        }
        Ok(())
    }

    /// Once for each kind of failure: an issuer that is gone for a day needs no line a minute.
    fn tell_failure(&self, error: &AskError) {
        let Some(keys) = self.keys() else { return };
        if keys.failure() != Some(error.code()) {
            let age = keys.current().age_seconds(clock::now_seconds());
            let url = self.asked.identity.shown();
            tracing::warn!(url, reason = error.code(), detail = %error, age_seconds = age, "keys_not_fetched: those that are known stay until they are stale");
        }
        keys.failed(error.code());
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        // It is whole at every moment.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
