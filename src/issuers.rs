//! Issuers: who publishes sets of keys at an address, asked in the background.
//!
//! Owns when an issuer is asked and how often at most, what is done with the answer, and the last good one on disk. No request ever waits
//! here: whoever verifies reads what is known, and says that a key was missing. It knows no workspace and no token.
//!
//! The issuers outlive the epochs: those that a new epoch names again keep what they know, and those that nobody names any more are
//! forgotten.

mod issuer;
mod last_good;
mod schedule;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep_until, timeout};

pub use last_good::{LastGood, LastGoodError};

use crate::clock;
use crate::identity::PublishedKeys;
use crate::observe::Metrics;
use crate::policy::{Algorithm, IssuerPolicy};
use crate::upstream::{FetcherError, SystemRoots};
use issuer::{AskError, Asked, Identity, Issuer};
use last_good::Directory;

/// How many issuers are asked at the same time.
const FETCHES_MAX: usize = 16;

/// How long a start waits for issuers of which nothing is known, so that the first tokens verify. One that takes longer is waited for by
/// nobody.
pub const START_WAIT_MAX: Duration = Duration::from_secs(2);

/// All issuers that somebody needs.
pub struct Issuers {
    known: Mutex<Vec<Arc<Issuer>>>,
    /// Somebody has something to be asked.
    wake: Arc<Notify>,
    /// Some issuer was asked, with or without success.
    asked: Notify,
    /// Where the last good sets are. The first epoch says so.
    directory: OnceLock<Option<Directory>>,
    places: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Issuers {
    /// None yet.
    #[must_use]
    pub fn new(metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            known: Mutex::default(),
            wake: Arc::default(),
            asked: Notify::new(),
            directory: OnceLock::new(),
            places: Arc::new(Semaphore::new(FETCHES_MAX)),
            metrics: Arc::clone(metrics),
        })
    }

    /// Keeps the last good sets in a directory, or nowhere. The first call counts.
    pub fn keep_in(&self, directory: Option<&Path>) {
        self.directory.get_or_init(|| directory.map(Directory::open));
    }

    /// The keys that an issuer publishes, for those who take these algorithms; `authorities` are the PEM of `policy.ca`. Who asks for the
    /// same shares them. What is known of the same address before a change of `policy` stays known.
    ///
    /// # Errors
    ///
    /// Its address cannot be asked over a trusted connection.
    pub fn keys_of(
        &self,
        policy: &IssuerPolicy,
        algorithms: &[Algorithm],
        authorities: Option<&[u8]>,
        system: &SystemRoots,
    ) -> Result<Arc<PublishedKeys>, FetcherError> {
        let asked = Asked::new(policy, algorithms, authorities);
        let mut known = self.known();
        known.retain(|issuer| issuer.keys().is_some());
        let mut inherited = None;
        for issuer in known.iter() {
            let Some(keys) = issuer.keys() else { continue };
            if issuer.asked == asked {
                return Ok(keys);
            }
            if issuer.asked.identity == asked.identity {
                inherited = Some(keys.current());
            }
        }
        let (issuer, keys) = Issuer::new(asked, policy, authorities, system, &self.wake)?;
        match inherited {
            Some(publication) => keys.inherit(publication),
            None => {
                if let Some(last_good) = self.last_good(&issuer.asked.identity) {
                    keys.confirm(Arc::new(last_good.keys), last_good.at);
                }
            }
        }
        known.push(Arc::new(issuer));
        drop(known);
        self.wake.notify_one();
        Ok(keys)
    }

    fn last_good(&self, identity: &Identity) -> Option<LastGood> {
        let directory = self.directory.get()?.as_ref()?;
        match last_good::read(directory.path(), identity, clock::now_seconds()) {
            Ok(last_good) => last_good,
            Err(error) => {
                tracing::warn!(url = identity.shown(), reason = %error, "key_cache_ignored");
                None
            }
        }
    }

    /// Has all of them asked now: whoever runs the gateway wants it.
    pub fn ask_all(&self) {
        let now = Instant::now();
        self.live().iter().for_each(|issuer| issuer.hasten(now));
        self.wake.notify_one();
    }

    /// Asks each issuer when it is due, for as long as it runs.
    pub async fn run(self: Arc<Self>) {
        loop {
            let now = Instant::now();
            let mut next: Option<Instant> = None;
            for issuer in self.live() {
                if issuer.begin(now) {
                    let this = Arc::clone(&self);
                    tokio::spawn(async move { this.ask(&issuer).await });
                } else if let Some(due) = issuer.due() {
                    next = Some(next.map_or(due, |next| next.min(due)));
                }
            }
            match next {
                Some(next) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = sleep_until(next.into()) => {}
                },
                None => self.wake.notified().await,
            }
        }
    }

    async fn ask(&self, issuer: &Arc<Issuer>) {
        // It is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await;
        let fetched = issuer.ask().await;
        drop(place);
        match &fetched {
            Ok(_) => self.metrics.key_set_fetched("ok"),
            // Nobody is left who would look for it.
            Err(AskError::Unneeded) => {}
            Err(error) => self.metrics.key_set_fetched(error.code()),
        }
        if let (Ok(good), Some(Some(directory))) = (fetched, self.directory.get()) {
            let (directory, issuer) = (directory.clone(), Arc::clone(issuer));
            // A disk may be slow, and the thread has more to do.
            let kept =
                tokio::task::spawn_blocking(move || directory.keep(&issuer.asked.identity, good.at, &good.content));
            if let Ok(Err(error)) = kept.await {
                tracing::warn!(reason = %error, "key_cache_not_written");
            }
        }
        self.asked.notify_waiters();
        self.wake.notify_one();
    }

    /// Waits until each issuer of which nothing is known was asked once, or for [`START_WAIT_MAX`].
    pub async fn first_asked(&self) {
        let all_asked = async {
            loop {
                let asked = self.asked.notified();
                if !self.live().iter().any(|issuer| issuer.is_awaited()) {
                    return;
                }
                asked.await;
            }
        };
        if timeout(START_WAIT_MAX, all_asked).await.is_err() {
            tracing::warn!("an issuer of keys has not answered: its tokens are refused as `keys_stale` until it does");
        }
    }

    /// Those that somebody needs.
    fn live(&self) -> Vec<Arc<Issuer>> {
        let mut known = self.known();
        known.retain(|issuer| issuer.keys().is_some());
        known.clone()
    }

    fn known(&self) -> MutexGuard<'_, Vec<Arc<Issuer>>> {
        // It is whole at every moment: nothing that changes it can break off midway.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last good set of an issuer on disk, for whoever is not the gateway.
///
/// # Errors
///
/// There is a file that cannot be taken.
pub fn last_good_of(
    directory: &Path,
    policy: &IssuerPolicy,
    algorithms: &[Algorithm],
) -> Result<Option<LastGood>, LastGoodError> {
    last_good::read(directory, &Identity::new(policy, algorithms), clock::now_seconds())
}

#[cfg(test)]
mod tests;
