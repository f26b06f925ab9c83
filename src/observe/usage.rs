//! The use of keys: how often each one signed what came, and when last; and what is unwise about tokens that hold.
//!
//! It is kept for as long as the process runs: a key that stays from one epoch to the next is counted on. It knows keys by the policy's
//! names, and of what they signed nothing at all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::usage_report::{KeyReport, Kinds, Risks, WebhooksReport, WorkspaceReport};
use crate::clock::UnixSeconds;
use crate::policy::KeyUse;

/// The use of all keys of all workspaces that were ever in force.
#[derive(Debug, Default)]
pub(super) struct Usages(Mutex<BTreeMap<String, Arc<WorkspaceUsage>>>);

impl Usages {
    /// That of one workspace, which counts from `now` on where it is new.
    pub(super) fn workspace(&self, id: &str, now: UnixSeconds) -> Arc<WorkspaceUsage> {
        let mut workspaces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(workspaces.entry(id.to_owned()).or_insert_with(|| Arc::new(WorkspaceUsage::new(now))))
    }

    /// All of them, by name.
    pub(super) fn report(&self) -> Vec<WorkspaceReport> {
        let workspaces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        workspaces.iter().map(|(id, usage)| usage.report(id)).collect()
    }
}

/// Whether what a key signed holds in everything else too: its times, its issuer, its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upheld {
    Verified,
    Refused,
}

/// What a key signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Proof(KeyUse),
    Webhook,
}

/// What is unwise about tokens whose signature holds. Nothing is refused for it here: the policy may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRisk {
    /// It has no `exp`: whoever copied it has it for ever.
    NoExpiry,
    /// It lives longer than `max_lifetime`, or than [`LONG_LIFE_SECONDS`] where the policy says nothing.
    LongLife,
    /// It came from more than [`ADDRESSES_MAX`](super::shared_tokens::ADDRESSES_MAX) addresses.
    Shared,
}

/// A token that lives longer is unwise, where the policy does not say what is: a day.
pub const LONG_LIFE_SECONDS: i64 = 24 * 60 * 60;

impl TokenRisk {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TokenRisk::NoExpiry => "no_expiry",
            TokenRisk::LongLife => "long_life",
            TokenRisk::Shared => "shared",
        }
    }
}

/// What the keys of one workspace did.
#[derive(Debug)]
pub(super) struct WorkspaceUsage {
    since: UnixSeconds,
    pub(super) proofs: Ring,
    /// Apart: a key for webhooks may have the name of one for proofs.
    pub(super) webhooks: Ring,
    no_expiry: AtomicU64,
    long_life: AtomicU64,
    shared: AtomicU64,
}

impl WorkspaceUsage {
    fn new(since: UnixSeconds) -> Self {
        Self {
            since,
            proofs: Ring::default(),
            webhooks: Ring::default(),
            no_expiry: AtomicU64::new(0),
            long_life: AtomicU64::new(0),
            shared: AtomicU64::new(0),
        }
    }

    pub(super) fn risk(&self, risk: TokenRisk) {
        self.risks(risk).fetch_add(1, Ordering::Relaxed);
    }

    fn risks(&self, risk: TokenRisk) -> &AtomicU64 {
        match risk {
            TokenRisk::NoExpiry => &self.no_expiry,
            TokenRisk::LongLife => &self.long_life,
            TokenRisk::Shared => &self.shared,
        }
    }

    fn report(&self, id: &str) -> WorkspaceReport {
        let (signed, keys) = self.proofs.report();
        let (signed_webhooks, webhook_keys) = self.webhooks.report();
        let number = |risk| self.risks(risk).load(Ordering::Relaxed);
        WorkspaceReport {
            workspace: id.to_owned(),
            since: self.since.0,
            signed,
            signed_unnamed: self.proofs.unnamed.all(),
            unsigned: Kinds { webhook: self.webhooks.unsigned.numbers().webhook, ..self.proofs.unsigned.numbers() },
            risks: Risks {
                no_expiry: number(TokenRisk::NoExpiry),
                long_life: number(TokenRisk::LongLife),
                shared: number(TokenRisk::Shared),
            },
            keys,
            webhooks: WebhooksReport { signed: signed_webhooks, keys: webhook_keys },
        }
    }
}

/// Keys that follow one another: the share of each is of all that they signed.
#[derive(Debug, Default)]
pub(super) struct Ring {
    keys: Mutex<BTreeMap<String, Arc<KeyUsage>>>,
    /// Of keys that have no name in the policy.
    unnamed: Uses,
    /// What was presented and no key signed that counts for it.
    unsigned: ByKind,
}

impl Ring {
    /// The use of a key that comes into force now, or stays so.
    pub(super) fn key(&self, id: &str, now: UnixSeconds) -> Arc<KeyUsage> {
        let mut keys = self.keys();
        let signed = self.signed(&keys);
        if let Some(usage) = keys.get(id) {
            // It had gone and is back: that it signed nothing meanwhile says nothing.
            if !is_in_force(usage) {
                usage.quiet_since.store(now.0, Ordering::Relaxed);
                usage.signed_before_quiet.store(signed, Ordering::Relaxed);
            }
            return Arc::clone(usage);
        }
        let usage = Arc::new(KeyUsage {
            since: now,
            signed_before: signed,
            uses: Uses::default(),
            last_use: AtomicI64::new(NEVER),
            quiet_since: AtomicI64::new(now.0),
            signed_before_quiet: AtomicU64::new(signed),
        });
        keys.insert(id.to_owned(), Arc::clone(&usage));
        usage
    }

    /// Counts what a key signed.
    pub(super) fn signed_by(&self, key: &KeyUsage, kind: Kind, upheld: Upheld, at: UnixSeconds) {
        key.uses.count(kind, upheld);
        // Once a second at most, since it is the rest that costs.
        if key.last_use.load(Ordering::Relaxed) != at.0 && key.last_use.swap(at.0, Ordering::Relaxed) != at.0 {
            let signed = self.signed(&self.keys());
            key.quiet_since.store(at.0, Ordering::Relaxed);
            key.signed_before_quiet.store(signed, Ordering::Relaxed);
        }
    }

    /// Counts what a key signed that has no name in the policy.
    pub(super) fn signed_by_unnamed(&self, kind: Kind, upheld: Upheld) {
        self.unnamed.count(kind, upheld);
    }

    /// Counts what was presented and no key signed.
    pub(super) fn unsigned(&self, kind: Kind) {
        self.unsigned.count(kind);
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<String, Arc<KeyUsage>>> {
        // It is whole at every moment.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that any key signed, also keys that have gone. What nobody signed is not among it: a stranger can send as much as he likes.
    fn signed(&self, keys: &BTreeMap<String, Arc<KeyUsage>>) -> u64 {
        keys.values().map(|key| key.uses.all()).sum::<u64>() + self.unnamed.all()
    }

    /// All that any key signed, and each key by name.
    fn report(&self) -> (u64, Vec<KeyReport>) {
        let keys = self.keys();
        let signed = self.signed(&keys);
        (signed, keys.iter().map(|(id, key)| key.report(id, is_in_force(key), signed)).collect())
    }
}

/// Whether an epoch has the key: each holds on to its own.
fn is_in_force(key: &Arc<KeyUsage>) -> bool {
    Arc::strong_count(key) > 1
}

/// What one key did.
#[derive(Debug)]
pub(super) struct KeyUsage {
    /// When it was in force first.
    since: UnixSeconds,
    /// What all keys had signed until then.
    signed_before: u64,
    uses: Uses,
    last_use: AtomicI64,
    /// Its last use, or when it came into force, whichever was later.
    quiet_since: AtomicI64,
    /// What all keys had signed until then. The rest of that second is counted as later.
    signed_before_quiet: AtomicU64,
}

/// The last use of a key without one.
const NEVER: i64 = i64::MIN;

impl KeyUsage {
    fn report(&self, id: &str, in_force: bool, signed: u64) -> KeyReport {
        let last_use = self.last_use.load(Ordering::Relaxed);
        KeyReport {
            key: id.to_owned(),
            in_force,
            since: self.since.0,
            verified: self.uses.verified.numbers(),
            refused: self.uses.refused.numbers(),
            signed_since: signed.saturating_sub(self.signed_before),
            last_use: (last_use != NEVER).then_some(last_use),
            quiet_since: self.quiet_since.load(Ordering::Relaxed),
            signed_since_quiet: signed.saturating_sub(self.signed_before_quiet.load(Ordering::Relaxed)),
        }
    }
}

#[derive(Debug, Default)]
struct Uses {
    verified: ByKind,
    refused: ByKind,
}

impl Uses {
    fn count(&self, kind: Kind, upheld: Upheld) {
        match upheld {
            Upheld::Verified => self.verified.count(kind),
            Upheld::Refused => self.refused.count(kind),
        }
    }

    fn all(&self) -> u64 {
        self.verified.numbers().all() + self.refused.numbers().all()
    }
}

#[derive(Debug, Default)]
struct ByKind {
    tokens: AtomicU64,
    hashes: AtomicU64,
    payloads: AtomicU64,
    tickets: AtomicU64,
    webhooks: AtomicU64,
}

impl ByKind {
    fn count(&self, kind: Kind) {
        let counter = match kind {
            Kind::Proof(KeyUse::Jwt) => &self.tokens,
            Kind::Proof(KeyUse::UserHash) => &self.hashes,
            Kind::Proof(KeyUse::EncryptedPayload) => &self.payloads,
            Kind::Proof(KeyUse::CollectorTicket) => &self.tickets,
            Kind::Webhook => &self.webhooks,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn numbers(&self) -> Kinds {
        Kinds {
            jwt: self.tokens.load(Ordering::Relaxed),
            user_hash: self.hashes.load(Ordering::Relaxed),
            encrypted_payload: self.payloads.load(Ordering::Relaxed),
            collector_ticket: self.tickets.load(Ordering::Relaxed),
            webhook: self.webhooks.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIED: Upheld = Upheld::Verified;
    const TOKEN: Kind = Kind::Proof(KeyUse::Jwt);
    const HASH: Kind = Kind::Proof(KeyUse::UserHash);

    fn at(seconds: i64) -> UnixSeconds {
        UnixSeconds(seconds)
    }

    #[track_caller]
    fn key(usages: &Usages, id: &str) -> KeyReport {
        let workspaces = usages.report();
        workspaces[0].keys.iter().find(|key| key.key == id).expect("the key").clone()
    }

    #[test]
    fn what_holds_and_what_is_refused_count_apart_and_together_for_the_share() {
        let usages = Usages::default();
        let acme = usages.workspace("acme", at(100));
        let [old, new] = ["old", "new"].map(|id| acme.proofs.key(id, at(100)));
        acme.proofs.signed_by(&old, TOKEN, VERIFIED, at(110));
        acme.proofs.signed_by(&old, TOKEN, Upheld::Refused, at(111));
        acme.proofs.signed_by(&new, HASH, VERIFIED, at(112));
        acme.proofs.unsigned(TOKEN);
        acme.proofs.signed_by_unnamed(TOKEN, VERIFIED);
        let found = key(&usages, "old");
        assert_eq!((found.verified.jwt, found.refused.jwt, found.signed_since), (1, 1, 4));
        assert_eq!((found.last_use, found.quiet_since, found.signed_since_quiet), (Some(111), 111, 2));
        let found = key(&usages, "new");
        assert_eq!((found.verified.user_hash, found.last_use, found.signed_since_quiet), (1, Some(112), 1));
        let report = &usages.report()[0];
        assert_eq!((report.signed, report.signed_unnamed, report.unsigned.jwt, report.since), (4, 1, 1, 100));
    }

    #[test]
    fn a_key_that_stays_is_counted_on_and_one_that_comes_later_from_then() {
        let usages = Usages::default();
        let first = usages.workspace("acme", at(100));
        let old = first.proofs.key("old", at(100));
        first.proofs.signed_by(&old, TOKEN, VERIFIED, at(110));
        // The next epoch is made while the one before is in force.
        let second = usages.workspace("acme", at(200));
        let [still_old, new] = ["old", "new"].map(|id| second.proofs.key(id, at(200)));
        drop(old);
        second.proofs.signed_by(&still_old, TOKEN, VERIFIED, at(210));
        let found = key(&usages, "old");
        assert_eq!((found.since, found.verified.jwt, found.signed_since), (100, 2, 2));
        let found = key(&usages, "new");
        assert_eq!((found.since, found.signed_since, found.last_use, found.signed_since_quiet), (200, 1, None, 1));
        assert!(found.in_force);
        drop(new);
        assert!(!key(&usages, "new").in_force);
    }

    #[test]
    fn what_a_key_did_not_sign_while_it_was_gone_says_nothing() {
        let usages = Usages::default();
        let acme = usages.workspace("acme", at(100));
        let [old, new] = ["old", "new"].map(|id| acme.proofs.key(id, at(100)));
        drop(old);
        for second in 101..=150 {
            acme.proofs.signed_by(&new, TOKEN, VERIFIED, at(second));
        }
        let _back = acme.proofs.key("old", at(200));
        let found = key(&usages, "old");
        assert_eq!((found.since, found.quiet_since, found.signed_since_quiet), (100, 200, 0));
    }

    #[test]
    fn a_key_for_webhooks_counts_apart_from_one_for_proofs_of_the_same_name() {
        let usages = Usages::default();
        let acme = usages.workspace("acme", at(100));
        let [token_key, webhook_key] = [&acme.proofs, &acme.webhooks].map(|ring| ring.key("main", at(100)));
        acme.proofs.signed_by(&token_key, TOKEN, VERIFIED, at(110));
        for (second, upheld) in [(120, VERIFIED), (121, VERIFIED), (122, Upheld::Refused)] {
            acme.webhooks.signed_by(&webhook_key, Kind::Webhook, upheld, at(second));
        }
        acme.webhooks.unsigned(Kind::Webhook);
        drop(token_key);
        let report = &usages.report()[0];
        assert_eq!((report.signed, report.unsigned.proofs(), report.keys[0].in_force), (1, 0, false));
        assert_eq!((report.keys[0].last_use, report.keys[0].signed_since_quiet), (Some(110), 0));
        let WebhooksReport { signed, keys } = &report.webhooks;
        let [key] = keys.as_slice() else { panic!("{keys:?}") };
        assert_eq!((*signed, report.unsigned.webhook, key.in_force, key.last_use), (3, 1, true, Some(122)));
        assert_eq!((key.verified.webhook, key.refused.webhook, key.verified.jwt), (2, 1, 0));
    }

    #[test]
    fn risks_count_by_kind() {
        let usages = Usages::default();
        let acme = usages.workspace("acme", at(0));
        for (times, risk) in [TokenRisk::NoExpiry, TokenRisk::LongLife, TokenRisk::Shared].into_iter().enumerate() {
            (0..=times).for_each(|_| acme.risk(risk));
        }
        let Risks { no_expiry, long_life, shared } = usages.report()[0].risks;
        assert_eq!((no_expiry, long_life, shared), (1, 2, 3));
    }
}
