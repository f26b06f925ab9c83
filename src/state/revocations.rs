//! All revocations in force, as a request finds them: at once, without a lock, and at no cost where there are none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::StateError;
use super::revocation::{Digest, Revocation, RevocationId, Revoked};
use crate::clock::UnixSeconds;

/// How many there may be. Whoever needs more takes back a key, or all that was issued before a moment.
pub const REVOCATIONS_MAX: usize = 10_000;

/// Who vouches for what, as far as it can be taken back.
#[derive(Clone, Copy)]
pub struct Voucher<'v> {
    pub workspace: &'v str,
    /// The id of the key.
    pub key: &'v str,
    pub subject: &'v str,
    /// What only tokens have.
    pub token: Option<VoucherToken<'v>>,
}

/// What a token says of itself.
#[derive(Clone, Copy)]
pub struct VoucherToken<'v> {
    pub id: Option<&'v str>,
    pub issued: Option<UnixSeconds>,
}

/// The revocations of one moment.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    /// By id, so the oldest first.
    all: Vec<Revocation>,
    workspaces: HashMap<String, OfWorkspace>,
}

#[derive(Clone, Debug, Default)]
struct OfWorkspace {
    token_ids: HashMap<Digest, End>,
    subjects: HashMap<Digest, End>,
    keys: HashMap<String, End>,
    before: Vec<(UnixSeconds, End)>,
    subjects_before: HashMap<Digest, Vec<(UnixSeconds, End)>>,
}

/// Until when; the later one is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    At(UnixSeconds),
    Never,
}

impl End {
    fn of(until: Option<UnixSeconds>) -> Self {
        until.map_or(End::Never, End::At)
    }

    fn is_to_come(self, now: UnixSeconds) -> bool {
        match self {
            End::At(end) => now < end,
            End::Never => true,
        }
    }
}

impl Revocations {
    fn of(mut all: Vec<Revocation>) -> Self {
        all.sort_by_key(|revocation| revocation.id);
        let mut workspaces: HashMap<String, OfWorkspace> = HashMap::new();
        for Revocation { workspace, revoked, until, id: _, made: _, reason: _ } in &all {
            let of_workspace = workspaces.entry(workspace.clone()).or_default();
            let end = End::of(*until);
            let later = |there: &mut End| *there = (*there).max(end);
            match revoked {
                Revoked::TokenId(id) => later(of_workspace.token_ids.entry(*id).or_insert(end)),
                Revoked::Subject(subject) => later(of_workspace.subjects.entry(*subject).or_insert(end)),
                Revoked::Key(key) => later(of_workspace.keys.entry(key.clone()).or_insert(end)),
                Revoked::IssuedBefore { before, subject: None } => of_workspace.before.push((*before, end)),
                Revoked::IssuedBefore { before, subject: Some(subject) } => {
                    of_workspace.subjects_before.entry(*subject).or_default().push((*before, end));
                }
            }
        }
        Self { all, workspaces }
    }

    /// Whether there are none: then nothing need be asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them, the oldest first; also those that ended a while ago.
    #[must_use]
    pub fn all(&self) -> &[Revocation] {
        &self.all
    }

    /// Whether the proof was taken back.
    #[must_use]
    pub fn cover(&self, voucher: &Voucher<'_>, now: UnixSeconds) -> bool {
        let Voucher { workspace, key, subject, token } = voucher;
        let Some(of_workspace) = self.workspaces.get(*workspace) else { return false };
        let OfWorkspace { token_ids, subjects, keys, before, subjects_before } = of_workspace;
        let counts = |end: Option<&End>| end.is_some_and(|end| end.is_to_come(now));
        if counts(keys.get(*key)) {
            return true;
        }
        let digest = Digest::of_subject(workspace, subject);
        if counts(subjects.get(&digest)) {
            return true;
        }
        let Some(VoucherToken { id, issued }) = token else { return false };
        if !token_ids.is_empty()
            && let Some(id) = id
            && counts(token_ids.get(&Digest::of_token_id(workspace, id)))
        {
            return true;
        }
        let of_subject = subjects_before.get(&digest).into_iter().flatten();
        before.iter().chain(of_subject).any(|(before, end)| {
            // Absent is never good: what does not say when it was issued may have been issued before.
            end.is_to_come(now) && issued.is_none_or(|issued| issued < *before)
        })
    }
}

/// The revocations in force, and who changes them.
pub(super) struct Ledger {
    current: ArcSwap<Revocations>,
    changing: Mutex<()>,
}

impl Ledger {
    pub(super) fn new(all: Vec<Revocation>) -> Self {
        Self { current: ArcSwap::from_pointee(Revocations::of(all)), changing: Mutex::new(()) }
    }

    pub(super) fn current(&self) -> Arc<Revocations> {
        self.current.load_full()
    }

    /// Puts one in force; those that have ended go.
    pub(super) fn add(&self, revocation: Revocation, now: UnixSeconds) -> Result<(), StateError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.current.load().all.clone();
        all.retain(|revocation| End::of(revocation.until).is_to_come(now));
        if all.len() >= REVOCATIONS_MAX {
            return Err(StateError::Full);
        }
        all.push(revocation);
        self.current.store(Arc::new(Revocations::of(all)));
        Ok(())
    }

    /// Takes one out of force.
    pub(super) fn remove(&self, id: RevocationId) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = self.current.load().all.clone();
        all.retain(|revocation| revocation.id != id);
        self.current.store(Arc::new(Revocations::of(all)));
    }

    pub(super) fn has(&self, id: RevocationId) -> bool {
        self.current.load().all.iter().any(|revocation| revocation.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_000);

    fn revocation(revoked: Revoked, until: Option<i64>) -> Revocation {
        let id = RevocationId::draw(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let until = until.map(UnixSeconds);
        Revocation { id, workspace: "acme".into(), revoked, made: NOW, until, reason: super::super::Reason::default() }
    }

    fn token<'v>(id: &'v str, subject: &'v str, key: &'v str, issued: Option<i64>) -> Voucher<'v> {
        let token = Some(VoucherToken { id: (!id.is_empty()).then_some(id), issued: issued.map(UnixSeconds) });
        Voucher { workspace: "acme", key, subject, token }
    }

    #[track_caller]
    fn check(revoked: Revoked, taken: &[Voucher<'_>], near: &[Voucher<'_>]) {
        let revocations = Revocations::of(vec![revocation(revoked.clone(), Some(2_000))]);
        for voucher in taken {
            for (now, expected) in [(1_000, true), (1_999, true), (2_000, false)] {
                assert_eq!(revocations.cover(voucher, UnixSeconds(now)), expected, "{revoked:?} {now}");
            }
            let elsewhere = Voucher { workspace: "beta", ..*voucher };
            assert!(!revocations.cover(&elsewhere, NOW), "another workspace");
        }
        assert!(near.iter().all(|voucher| !revocations.cover(voucher, NOW)), "{revoked:?}");
        let for_ever = Revocations::of(vec![revocation(revoked, None)]);
        assert!(taken.iter().all(|voucher| for_ever.cover(voucher, UnixSeconds(i64::MAX))));
    }

    #[test]
    fn each_kind_takes_back_its_own_and_nothing_near_it() {
        let hash = |subject, key| Voucher { workspace: "acme", key, subject, token: None };
        check(
            Revoked::TokenId(Digest::of_token_id("acme", "1")),
            &[token("1", "ada", "web", None)],
            &[token("2", "ada", "web", None), token("", "1", "web", None), token("x", "1", "1", None), hash("1", "1")],
        );
        check(
            Revoked::Subject(Digest::of_subject("acme", "ada")),
            &[token("1", "ada", "web", Some(1)), token("", "ada", "web", None), hash("ada", "web")],
            &[token("ada", "Ada", "web", None), hash("ada ", "ada")],
        );
        check(
            Revoked::Key("web".into()),
            &[token("1", "ada", "web", Some(5_000)), hash("ada", "web")],
            &[token("web", "web", "web2", None), hash("web", "idp/web")],
        );
        check(
            Revoked::IssuedBefore { before: UnixSeconds(500), subject: None },
            &[token("1", "ada", "web", Some(499)), token("1", "ada", "web", None), token("", "b", "c", Some(i64::MIN))],
            &[token("1", "ada", "web", Some(500)), token("1", "ada", "web", Some(501)), hash("ada", "web")],
        );
        check(
            Revoked::IssuedBefore { before: UnixSeconds(500), subject: Some(Digest::of_subject("acme", "ada")) },
            &[token("1", "ada", "web", Some(499)), token("1", "ada", "web", None)],
            &[token("1", "bob", "web", Some(499)), token("1", "ada", "web", Some(500)), hash("ada", "web")],
        );
    }

    #[test]
    fn of_two_that_say_the_same_the_longer_one_counts() {
        let key = || Revoked::Key("web".into());
        let voucher = token("1", "ada", "web", None);
        for ends in [[Some(1_500), Some(2_000)], [Some(2_000), Some(1_500)], [None, Some(1_500)]] {
            let revocations = Revocations::of(ends.map(|until| revocation(key(), until)).to_vec());
            assert!(revocations.cover(&voucher, UnixSeconds(1_999)), "{ends:?}");
        }
    }

    #[test]
    fn they_are_bounded_and_those_that_have_ended_make_room() {
        let short = |number: usize| revocation(Revoked::Key(number.to_string()), Some(2_000));
        let ledger = Ledger::new((1..REVOCATIONS_MAX).map(short).collect());
        assert_eq!(ledger.add(short(0), NOW), Ok(()));
        assert_eq!(ledger.add(short(0), UnixSeconds(1_999)), Err(StateError::Full));
        let one = revocation(Revoked::Key("web".into()), None);
        let id = one.id;
        assert_eq!(ledger.add(one, UnixSeconds(2_000)), Ok(()));
        assert_eq!(ledger.current().all().len(), 1);
        assert!(ledger.has(id));
        ledger.remove(id);
        assert!(!ledger.has(id) && ledger.current().is_empty());
    }
}
