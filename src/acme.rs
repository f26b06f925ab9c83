//! Certificates by ACME (RFC 8555): ordered, renewed in time, and kept on disk for the listeners that named them.
//!
//! Owns when a certificate is ordered and how often at most, the account, the order itself, and the store. It shows nothing: what was issued
//! is a file like any that an operator brings, and the server loads it by the same checks. Whatever the authority answers is a stranger's
//! word: bounded, read strictly, and never in the way of the certificate that is good still.
//!
//! One process orders for one store; others on the same store show what it writes.

mod authority;
mod book;
mod failure;
mod held;
mod order;
mod schedule;
mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

pub use authority::AuthorityError;
pub use store::StoreError;

use crate::clock::{self, UnixSeconds};
use crate::edge::challenges::Challenges;
use crate::observe::OrderReading;
use crate::policy::{AcmeChallenge, Gateway, OrderedCertificate};
use authority::Authority;
use book::Book;
use failure::Failure;
use held::Held;
use order::Renewal;
use store::{Lock, Store};

/// Why certificates cannot be ordered as the policy says.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The certificates that listeners order, through all reloads.
pub struct Renewals {
    challenges: Arc<Challenges>,
    book: Book,
    office: ArcSwapOption<Office>,
    /// Other certificates are wanted, or by other means.
    changed: Notify,
    /// Somebody wants to know now.
    hastened: Notify,
    renewed: Notify,
}

/// What is ordered, from whom, and where it is kept: one setting of the policy.
pub struct Office {
    authority: Authority,
    store: Store,
    wanted: Vec<OrderedCertificate>,
}

/// A store that another process writes to is looked at again after this.
const LOCK_RETRY: Duration = Duration::from_secs(20);

/// Should all of it break off, it does not do so over and over.
const AFTER_BREAK: Duration = Duration::from_secs(60);

/// The longest sleep: a clock that was set is noticed by then.
const LOOK_AGAIN: Duration = Duration::from_secs(15 * 60);

impl Renewals {
    /// Nothing is wanted yet. `challenges` is what the listeners answer authorities from.
    #[must_use]
    pub fn new(challenges: Arc<Challenges>) -> Arc<Self> {
        Arc::new(Self {
            challenges,
            book: Book::default(),
            office: ArcSwapOption::empty(),
            changed: Notify::new(),
            hastened: Notify::new(),
            renewed: Notify::new(),
        })
    }

    /// Prepares what a policy says: reads the files that `[acme]` names and makes the store. Asks nobody.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or the store is not for us alone.
    pub fn prepare(gateway: &Gateway) -> Result<Option<Arc<Office>>, AcmeError> {
        let Some(policy) = &gateway.acme else { return Ok(None) };
        let mut wanted: Vec<OrderedCertificate> = Vec::new();
        for order in gateway.listeners.iter().flat_map(|listener| &listener.ordered) {
            if !wanted.contains(order) {
                wanted.push(order.clone());
            }
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        let authority = Authority::new(policy)?;
        let store = Store::open(&policy.store, &policy.folder())?;
        Ok(Some(Arc::new(Office { authority, store, wanted })))
    }

    /// From now on this is what is ordered. What is under way for the same goes on.
    pub fn enforce(&self, office: Option<Arc<Office>>) {
        let on_tls = office.as_ref().is_some_and(|office| office.authority.challenge() == AcmeChallenge::TlsAlpn01);
        self.challenges.expect_on_tls(on_tls);
        let (asks_same, wants_same) = match (self.office.load_full(), &office) {
            (Some(one), Some(other)) => (one.authority == other.authority, one.wanted == other.wanted),
            (None, None) => (true, true),
            (Some(_), None) | (None, Some(_)) => (false, false),
        };
        if asks_same && wants_same {
            return;
        }
        self.book.retain(office.iter().flat_map(|office| &office.wanted));
        if !asks_same {
            // What was wrong may have been just that.
            self.book.hasten(clock::now_seconds());
        }
        self.office.store(office);
        self.changed.notify_one();
    }

    /// Tries now what waits after a failure: whoever runs the gateway has mended something.
    pub fn hasten(&self) {
        self.hastened.notify_one();
    }

    /// Waits until a certificate was issued and is on disk.
    pub async fn renewed(&self) {
        self.renewed.notified().await;
    }

    /// How each of them is doing.
    #[must_use]
    pub fn readings(&self) -> Vec<OrderReading> {
        self.book.readings()
    }

    /// Orders and renews for as long as it runs.
    pub async fn run(self: Arc<Self>) {
        loop {
            match self.office.load_full() {
                Some(office) => {
                    // It ends with what it attends to.
                    let mut task = JoinSet::new();
                    task.spawn(Arc::clone(&self).attend(office));
                    tokio::select! {
                        () = self.changed.notified() => {}
                        _ = task.join_next() => {
                            tracing::error!("acme_broken: the looking after certificates broke off, and begins anew");
                            sleep(AFTER_BREAK).await;
                        }
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// Looks after the certificates of one office until it is dropped.
    async fn attend(self: Arc<Self>, office: Arc<Office>) {
        // Held to the end.
        let _lock = self.become_the_one(&office).await;
        self.book.recall(&office.store, &office.wanted);
        loop {
            let mut wait = LOOK_AGAIN;
            for order in &office.wanted {
                wait = wait.min(self.attend_to(&office, order).await);
            }
            tokio::select! {
                () = sleep(wait.max(Duration::from_secs(1))) => {}
                () = self.hastened.notified() => self.book.hasten(clock::now_seconds()),
            }
        }
    }

    /// Waits until no other process orders for this store.
    async fn become_the_one(&self, office: &Office) -> Lock {
        let mut is_told = false;
        loop {
            match office.store.lock() {
                Ok(Some(lock)) => return lock,
                Ok(None) if is_told => {}
                Ok(None) => {
                    is_told = true;
                    tracing::info!(store = %office.store.shown(), "acme_store_in_use: another process orders; what it writes is shown here too");
                }
                Err(error) => tracing::warn!(reason = %error, "acme_store_unusable"),
            }
            for order in &office.wanted {
                self.book.found(order, &Held::read(order, clock::now_seconds()), clock::now_seconds());
            }
            sleep(LOCK_RETRY).await;
        }
    }

    /// Does what is due for one certificate, and says how long there is nothing to do.
    async fn attend_to(&self, office: &Arc<Office>, order: &OrderedCertificate) -> Duration {
        let now = clock::now_seconds();
        let held = Held::read(order, now);
        self.book.found(order, &held, now);
        if let Ok(held) = &held
            && self.book.is_to_be_asked(order, now)
        {
            let advice = office.authority.renewal_window(&office.store, held.id.clone()).await;
            self.book.advised(order, advice, clock::now_seconds());
        }
        let now = clock::now_seconds();
        if self.book.is_due(order, now) {
            self.renew(office, order, held).await;
        }
        self.book.wait(order, clock::now_seconds())
    }

    async fn renew(&self, office: &Arc<Office>, order: &OrderedCertificate, held: Result<Held, held::Unusable>) {
        let name = order.names.first().map_or("", String::as_str).to_owned();
        let replaced =
            held.as_ref().ok().and_then(|held| self.book.is_advised(order).then(|| held.id.clone())).flatten();
        let because = held.as_ref().err().map_or_else(|| "its time has come".to_owned(), held::Unusable::words);
        tracing::info!(certificate = name, names = order.names.len(), because, "acme_order_begun");
        let begun = self.book.begun(order, &office.store, clock::now_seconds());
        let renewal = Renewal {
            office: Arc::clone(office),
            order: order.clone(),
            challenges: Arc::clone(&self.challenges),
            replaced,
        };
        let looks_before = self.challenges.looks();
        let outcome = match begun {
            Ok(()) => {
                // In a task of its own, which ends with this one: the library breaks off where an authority's answer is not what it expects.
                let mut task = JoinSet::new();
                task.spawn(order::within_deadline(renewal));
                task.join_next().await.and_then(Result::ok).unwrap_or(Err(Failure::Broken))
            }
            Err(error) => Err(error.into()),
        };
        let now = clock::now_seconds();
        match outcome {
            Ok(held) => {
                self.book.succeeded(order, &office.store, held.life, now);
                self.book.found(order, &Ok(held.clone()), now);
                tracing::info!(certificate = name, days = now.days_until(held.ends), "acme_certificate_issued");
                self.renewed.notify_one();
            }
            Err(failure) => {
                let held_until = office.authority.held_until();
                let next = self.book.failed(order, &office.store, &failure, held_until, now);
                let looks = self.challenges.looks().saturating_sub(looks_before);
                tell_failure(&name, &failure, looks, held.ok().map(|held| held.ends), next, now);
            }
        }
    }
}

/// One line for each attempt: they are hours apart. `looks`: how often the challenge was looked at meanwhile. It is an error once clients see it, or will soon.
fn tell_failure(
    name: &str,
    failure: &Failure,
    looks: u64,
    ends: Option<UnixSeconds>,
    next: UnixSeconds,
    now: UnixSeconds,
) {
    let (reason, detail, seconds) = (failure.code(), failure.detail(), next.0.saturating_sub(now.0));
    match ends {
        Some(ends) if ends.0.saturating_sub(now.0) > ALARM_SECONDS => {
            let days = now.days_until(ends);
            tracing::warn!(
                certificate = name,
                reason,
                detail,
                looks,
                days,
                next_try_seconds = seconds,
                "acme_order_failed: the last good certificate stays"
            );
        }
        Some(ends) => {
            let days = now.days_until(ends);
            tracing::error!(
                certificate = name,
                reason,
                detail,
                looks,
                days,
                next_try_seconds = seconds,
                "acme_order_failed: the certificate ends soon"
            );
        }
        None => {
            tracing::error!(
                certificate = name,
                reason,
                detail,
                looks,
                next_try_seconds = seconds,
                "acme_order_failed: there is no certificate that can be shown"
            );
        }
    }
}

/// A certificate with less time than this that cannot be renewed is worth waking somebody.
const ALARM_SECONDS: i64 = 3 * 24 * 60 * 60;

/// Whole days from now on.
/// By file: what one certificate is known by.
type ByFile<T> = BTreeMap<PathBuf, T>;
