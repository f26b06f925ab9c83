//! What is known of each ordered certificate: when it is due, how the tries went, and what the metrics say of it.
//!
//! It outlives reloads, so that nobody makes us order more often by changing a file. How often a try failed is in the store too: a process
//! that starts over and over asks no more often than one that runs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};

use super::ByFile;
use super::failure::Failure;
use super::held::{Held, Unusable};
use super::schedule::{self, Span};
use super::store::{Store, StoreError};
use crate::clock::UnixSeconds;
use crate::observe::OrderReading;
use crate::policy::OrderedCertificate;

/// All ordered certificates.
#[derive(Default)]
pub(super) struct Book {
    entries: Mutex<ByFile<Entry>>,
}

/// One of them.
#[derive(Debug, Default)]
struct Entry {
    names: Vec<String>,
    /// Of the certificate that can be shown.
    plan: Option<Plan>,
    /// In a row.
    failures: u32,
    failures_total: u64,
    /// Nothing is ordered before.
    held_until: i64,
    /// What is good is not replaced before.
    kept_until: i64,
    tried: Option<i64>,
    last_success: Option<i64>,
    last_failure: Option<i64>,
    failure: Option<&'static str>,
    is_recalled: bool,
}

/// When what is good is renewed.
#[derive(Clone, Copy, Debug)]
struct Plan {
    life: Span,
    renew_at: i64,
    /// When to ask for advice.
    ask_at: i64,
    ask_failures: u32,
    /// The advice that `renew_at` was drawn from.
    advice: Option<Span>,
}

/// What the store keeps of the tries for one certificate.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Tries {
    /// In a row.
    failures: u32,
    /// When to try again; seconds since 1970.
    next: i64,
    last_failure: Option<i64>,
    last_success: Option<i64>,
}

/// Who asks by hand does not do so more often than this, in seconds.
const HASTEN_MIN: i64 = 3;

/// How long an authority that gives no advice is not asked again.
const NO_ADVICE: Duration = Duration::from_secs(24 * 60 * 60);

impl Book {
    /// Forgets those that nobody wants any more.
    pub(super) fn retain<'o>(&self, wanted: impl Iterator<Item = &'o OrderedCertificate>) {
        let mut entries = self.entries();
        let mut before = std::mem::take(&mut *entries);
        for order in wanted {
            let mut entry = before.remove(&order.file).unwrap_or_default();
            if entry.names != order.names {
                // Other names are another order; what was wrong with one of the last may be gone.
                (entry.failures, entry.held_until) = (0, 0);
                entry.names.clone_from(&order.names);
            }
            entries.insert(order.file.clone(), entry);
        }
    }

    /// Learns from the store how the tries of processes before us went.
    #[expect(clippy::disallowed_methods, reason = "our own file, which nobody else can write")]
    pub(super) fn recall(&self, store: &Store, wanted: &[OrderedCertificate]) {
        let mut entries = self.entries();
        for order in wanted {
            let Some(entry) = entries.get_mut(&order.file) else { continue };
            if std::mem::replace(&mut entry.is_recalled, true) {
                continue;
            }
            // What cannot be read costs one try too early.
            let text = store.tries(name_of(order)).ok().flatten();
            let Some(tries) = text.and_then(|text| serde_json::from_slice::<Tries>(&text).ok()) else { continue };
            entry.failures = tries.failures;
            entry.last_failure = tries.last_failure;
            entry.last_success = tries.last_success;
            if tries.failures > 0 {
                let now = crate::clock::now_seconds().0;
                // A clock that was wrong does not keep us waiting for years.
                let latest = schedule::after_failure(now, u32::MAX, false, None, u16::MAX);
                entry.held_until = tries.next.min(latest);
            }
        }
    }

    /// What is in the store.
    pub(super) fn found(&self, order: &OrderedCertificate, held: &Result<Held, Unusable>, now: UnixSeconds) {
        self.with(order, |entry| match held {
            Ok(held) if entry.plan.is_some_and(|plan| plan.life == held.life) => {}
            Ok(held) => {
                let renew_at = schedule::by_age(held.life, drawn());
                entry.plan = Some(Plan { life: held.life, renew_at, ask_at: now.0, ask_failures: 0, advice: None });
            }
            Err(_) => entry.plan = None,
        });
    }

    pub(super) fn is_to_be_asked(&self, order: &OrderedCertificate, now: UnixSeconds) -> bool {
        self.with(order, |entry| entry.plan.is_some_and(|plan| plan.ask_at <= now.0)).unwrap_or(false)
    }

    /// Whether the authority has given advice on the certificate that is held.
    pub(super) fn is_advised(&self, order: &OrderedCertificate) -> bool {
        self.with(order, |entry| entry.plan.is_some_and(|plan| plan.advice.is_some())).unwrap_or(false)
    }

    /// What came of asking the authority for advice.
    pub(super) fn advised(
        &self,
        order: &OrderedCertificate,
        answer: Result<Option<(Span, Duration)>, Failure>,
        now: UnixSeconds,
    ) {
        self.with(order, |entry| {
            let Some(plan) = &mut entry.plan else { return };
            match answer {
                Ok(Some((window, holds))) => {
                    plan.ask_at = schedule::ask_again(now.0, holds, plan.life);
                    plan.ask_failures = 0;
                    // The moment that was drawn from a window stays: to draw again each time would make it always an early one.
                    if plan.advice != Some(window)
                        && let Some(moment) = schedule::by_advice(plan.life, window, drawn())
                    {
                        (plan.renew_at, plan.advice) = (moment, Some(window));
                    }
                }
                Ok(None) => plan.ask_at = schedule::ask_again(now.0, NO_ADVICE, plan.life),
                Err(failure) => {
                    plan.ask_failures = plan.ask_failures.saturating_add(1);
                    plan.ask_at = schedule::after_failure(now.0, plan.ask_failures, true, None, drawn());
                    let certificate = name_of(order);
                    let (reason, detail) = (failure.code(), failure.detail());
                    tracing::info!(certificate, reason, detail, "acme_advice_not_had: when to renew stays as it is");
                }
            }
        });
    }

    pub(super) fn is_due(&self, order: &OrderedCertificate, now: UnixSeconds) -> bool {
        self.with(order, |entry| entry.due() <= now.0).unwrap_or(false)
    }

    /// How long there is nothing to do.
    pub(super) fn wait(&self, order: &OrderedCertificate, now: UnixSeconds) -> Duration {
        let next = self.with(order, |entry| {
            let ask_at = entry.plan.map_or(i64::MAX, |plan| plan.ask_at);
            entry.due().min(ask_at)
        });
        let seconds = next.map_or(0, |next| next.saturating_sub(now.0).max(0));
        Duration::from_secs(seconds.unsigned_abs())
    }

    /// Somebody has mended something: what waits after a failure is tried, and advice is asked for.
    pub(super) fn hasten(&self, now: UnixSeconds) {
        for entry in self.entries().values_mut() {
            let soon = entry.tried.map_or(now.0, |tried| tried.saturating_add(HASTEN_MIN));
            entry.held_until = entry.held_until.min(soon);
            if let Some(plan) = &mut entry.plan {
                plan.ask_at = plan.ask_at.min(now.0);
            }
        }
    }

    /// A try begins. Should it never end, it has failed.
    ///
    /// # Errors
    ///
    /// The store takes nothing: what is issued would be lost, and authorities count.
    pub(super) fn begun(&self, order: &OrderedCertificate, store: &Store, now: UnixSeconds) -> Result<(), StoreError> {
        let tries = self.with(order, |entry| {
            entry.tried = Some(now.0);
            let failures = entry.failures.saturating_add(1);
            let next = schedule::after_failure(now.0, failures, false, None, drawn());
            Tries { failures, next, last_failure: Some(now.0), last_success: entry.last_success }
        });
        keep(order, store, tries)
    }

    pub(super) fn succeeded(&self, order: &OrderedCertificate, store: &Store, life: Span, now: UnixSeconds) {
        let tries = self.with(order, |entry| {
            (entry.failures, entry.held_until, entry.failure) = (0, 0, None);
            entry.kept_until = now.0.saturating_add(schedule::interval(life));
            entry.last_success = Some(now.0);
            Tries { failures: 0, next: 0, last_failure: entry.last_failure, last_success: Some(now.0) }
        });
        tell(keep(order, store, tries));
    }

    /// Gives when it is tried again.
    pub(super) fn failed(
        &self,
        order: &OrderedCertificate,
        store: &Store,
        failure: &Failure,
        held_until: Option<i64>,
        now: UnixSeconds,
    ) -> UnixSeconds {
        let tries = self.with(order, |entry| {
            entry.failures = entry.failures.saturating_add(1);
            entry.failures_total = entry.failures_total.saturating_add(1);
            (entry.last_failure, entry.failure) = (Some(now.0), Some(failure.code()));
            entry.held_until = schedule::after_failure(now.0, entry.failures, failure.is_cheap(), held_until, drawn());
            Tries {
                failures: entry.failures,
                next: entry.held_until,
                last_failure: Some(now.0),
                last_success: entry.last_success,
            }
        });
        let next = tries.as_ref().map_or(now.0, |tries| tries.next);
        tell(keep(order, store, tries));
        UnixSeconds(next)
    }

    pub(super) fn readings(&self) -> Vec<OrderReading> {
        let reading = |entry: &Entry| OrderReading {
            name: entry.names.first().cloned().unwrap_or_default(),
            names: entry.names.len(),
            ends: entry.plan.map(|plan| UnixSeconds(plan.life.ends)),
            next: UnixSeconds(entry.due()),
            last_success: entry.last_success.map(UnixSeconds),
            last_failure: entry.last_failure.map(UnixSeconds),
            failures: entry.failures_total,
            failure: entry.failure,
        };
        self.entries().values().map(reading).collect()
    }

    fn with<T>(&self, order: &OrderedCertificate, act: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.entries().get_mut(&order.file).map(act)
    }

    fn entries(&self) -> MutexGuard<'_, ByFile<Entry>> {
        // It is whole at every moment.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// When something is ordered, the next time.
    fn due(&self) -> i64 {
        self.plan.map_or(self.held_until, |plan| plan.renew_at.max(self.kept_until).max(self.held_until))
    }
}

fn name_of(order: &OrderedCertificate) -> &str {
    order.names.first().map_or("", String::as_str)
}

fn keep(order: &OrderedCertificate, store: &Store, tries: Option<Tries>) -> Result<(), StoreError> {
    match tries.and_then(|tries| serde_json::to_vec(&tries).ok()) {
        Some(text) => store.keep_tries(name_of(order), &text),
        None => Ok(()),
    }
}

fn tell(kept: Result<(), StoreError>) {
    if let Err(error) = kept {
        tracing::warn!(reason = %error, "acme_store_not_written: after a restart less is known of the last tries");
    }
}

/// A random number. Without any all are early.
fn drawn() -> u16 {
    let mut bytes = [0; 2];
    if rand::fill(&mut bytes).is_ok() { u16::from_be_bytes(bytes) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_795_000_000);
    const DAY: i64 = 24 * 60 * 60;

    fn order(names: &[&str]) -> OrderedCertificate {
        OrderedCertificate { names: names.iter().map(ToString::to_string).collect(), file: "a.pem".into() }
    }

    fn at(seconds: i64) -> UnixSeconds {
        UnixSeconds(NOW.0 + seconds)
    }

    fn held() -> Held {
        let life = Span { begins: NOW.0, ends: NOW.0 + 90 * DAY };
        Held { life, ends: UnixSeconds(life.ends), id: None }
    }

    struct Desk {
        book: Book,
        store: Store,
        _directory: tempfile::TempDir,
    }

    fn desk(order: &OrderedCertificate) -> Desk {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("acme");
        let store = Store::open(&root, &root.join("authority")).expect("a store");
        let book = Book::default();
        book.retain(std::iter::once(order));
        Desk { book, store, _directory: directory }
    }

    #[test]
    fn what_is_missing_is_due_at_once_and_what_is_good_in_its_time() {
        let order = order(&["a.example"]);
        let Desk { book, store, _directory } = desk(&order);
        assert!(book.is_due(&order, NOW));
        book.succeeded(&order, &store, held().life, NOW);
        book.found(&order, &Ok(held()), NOW);
        assert!(!book.is_due(&order, at(50 * DAY)) && book.is_due(&order, at(61 * DAY)));
        book.found(&order, &Err(Unusable::OtherNames), at(60));
        assert!(book.is_due(&order, at(60)), "names were added");
    }

    #[test]
    fn an_authority_that_says_now_each_time_is_not_asked_without_end() {
        let order = order(&["a.example"]);
        let Desk { book, store, _directory } = desk(&order);
        book.found(&order, &Ok(held()), NOW);
        assert!(book.is_to_be_asked(&order, NOW) && !book.is_advised(&order));
        let past = Span { begins: NOW.0 - 2 * DAY, ends: NOW.0 - DAY };
        book.advised(&order, Ok(Some((past, Duration::from_secs(1)))), NOW);
        assert!(book.is_advised(&order) && !book.is_to_be_asked(&order, at(59)));
        assert!(!book.is_due(&order, at(6 * 60 * 60 - 1)) && book.is_due(&order, at(6 * 60 * 60)));
        // Also where the new one says that it began long ago.
        book.succeeded(&order, &store, held().life, at(6 * 60 * 60));
        assert!(!book.is_due(&order, at(12 * 60 * 60 - 1)) && book.is_due(&order, at(12 * 60 * 60)));
        book.advised(&order, Err(Failure::Timeout), at(0));
        assert!(book.is_advised(&order), "what was advised stays");
    }

    #[test]
    fn failures_outlive_the_process_and_a_reload() {
        let order = order(&["a.example"]);
        let Desk { book, store, _directory } = desk(&order);
        let now = crate::clock::now_seconds();
        let later = |seconds: i64| UnixSeconds(now.0 + seconds);
        book.begun(&order, &store, now).expect("kept");
        let next = book.failed(&order, &store, &Failure::Timeout, None, now);
        assert!(next.0 >= now.0 + 300);
        book.retain(std::iter::once(&order));
        assert!(!book.is_due(&order, later(299)), "a reload makes nothing earlier");
        let restarted = Book::default();
        restarted.retain(std::iter::once(&order));
        restarted.recall(&store, std::slice::from_ref(&order));
        assert!(!restarted.is_due(&order, later(299)) && restarted.is_due(&order, later(331)));
        restarted.hasten(later(5));
        assert!(restarted.is_due(&order, later(5)), "whoever runs the gateway may try at once");
        restarted.begun(&order, &store, later(5)).expect("kept");
        restarted.failed(&order, &store, &Failure::Timeout, None, later(5));
        restarted.hasten(later(6));
        assert!(!restarted.is_due(&order, later(7)) && restarted.is_due(&order, later(8)), "within reason");
        // One that ended midway has failed.
        restarted.begun(&order, &store, later(20)).expect("kept");
        let third = Book::default();
        third.retain(std::iter::once(&order));
        third.recall(&store, std::slice::from_ref(&order));
        assert!(!third.is_due(&order, later(20 + 1199)));
    }

    #[test]
    fn other_names_are_another_order() {
        let (one, two) = (order(&["a.example"]), order(&["a.example", "b.example"]));
        let Desk { book, store, _directory } = desk(&one);
        book.failed(&one, &store, &Failure::Timeout, None, NOW);
        assert!(!book.is_due(&one, NOW));
        book.retain(std::iter::once(&two));
        assert!(book.is_due(&two, NOW));
        book.retain(std::iter::empty());
        assert!(!book.is_due(&two, NOW) && book.readings().is_empty());
    }
}
