//! Exchanged sessions: a token that was shown once, and the session that the messenger gave for it.
//!
//! Only a session token that stood in the upstream's own answer to a verified token is bound to its claims, under its digest and until the
//! token ends at the latest. What is bound is looked at like a token's claims each time anew: times, issuer, key and user.

use std::fmt;

use bytes::Bytes;

use super::session::SESSION_BYTES_MAX;
use crate::clock::UnixSeconds;
use crate::state::{Key, Space, StateError, Store, VALUE_BYTES_MAX};

/// The longest time that a session stands for the claims of its token, in seconds, whatever the token and the policy say: a day.
pub const EXCHANGE_SECONDS_MAX: i64 = 24 * 60 * 60;

/// The claims of a verified token, ready to be bound to a session. It has one maker, [`Proofs::binding`](super::Proofs::binding).
pub struct Binding {
    value: Bytes,
    until: UnixSeconds,
}

impl Binding {
    /// `None`: it is too long to be remembered, or over already.
    pub(super) fn new(
        key_id: &str,
        user_id: &str,
        payload: &[u8],
        until: UnixSeconds,
        now: UnixSeconds,
    ) -> Option<Self> {
        let mut value = Vec::with_capacity(key_id.len() + user_id.len() + payload.len() + 2 * LENGTH_BYTES);
        for text in [key_id, user_id] {
            value.extend_from_slice(&u16::try_from(text.len()).ok()?.to_be_bytes());
            value.extend_from_slice(text.as_bytes());
        }
        value.extend_from_slice(payload);
        (value.len() <= VALUE_BYTES_MAX && until > now).then(|| Self { value: value.into(), until })
    }
}

const LENGTH_BYTES: usize = 2;

/// What a session is bound to: of a token that was verified at its exchange, and not since. It has one maker, [`Exchanges::find`].
///
/// ```compile_fail,E0451
/// # use countersign::identity::Exchanged;
/// let exchanged = Exchanged { key_id: String::new(), user_id: "user-43".into(), payload: vec![] };
/// ```
pub struct Exchanged {
    key_id: String,
    user_id: String,
    payload: Vec<u8>,
}

impl Exchanged {
    fn read(value: &[u8]) -> Option<Self> {
        let (key_id, rest) = text(value)?;
        let (user_id, payload) = text(rest)?;
        Some(Self { key_id: key_id.to_owned(), user_id: user_id.to_owned(), payload: payload.to_vec() })
    }

    pub(super) fn key_id(&self) -> &str {
        &self.key_id
    }

    pub(super) fn user_id(&self) -> &str {
        &self.user_id
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// A text behind its length, and what follows it.
fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

impl fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchanged(..)")
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Binding(..)")
    }
}

/// The exchanged sessions of one workspace.
#[derive(Clone, Copy)]
pub struct Exchanges<'s> {
    state: &'s dyn Store,
    workspace: &'s str,
    now: UnixSeconds,
}

impl<'s> Exchanges<'s> {
    #[must_use]
    pub fn new(state: &'s dyn Store, workspace: &'s str, now: UnixSeconds) -> Self {
        Self { state, workspace, now }
    }

    /// What a session token is bound to.
    ///
    /// # Errors
    ///
    /// The state has no answer.
    pub async fn find(&self, session: &str) -> Result<Option<Exchanged>, StateError> {
        let Some(key) = self.key(session) else { return Ok(None) };
        Ok(self.state.get(key, self.now).await?.and_then(|value| Exchanged::read(&value)))
    }

    /// Binds a session token. It must have stood in the upstream's answer to the token that the binding is of.
    ///
    /// # Errors
    ///
    /// The state does not take it.
    pub async fn bind(&self, session: &str, binding: Binding) -> Result<(), StateError> {
        match self.key(session) {
            Some(key) => self.state.put(key, binding.value, binding.until, self.now).await,
            None => Ok(()),
        }
    }

    /// Forgets what a session token was bound to.
    ///
    /// # Errors
    ///
    /// The state cannot be reached.
    pub async fn unbind(&self, session: &str) -> Result<(), StateError> {
        match self.key(session) {
            Some(key) => self.state.remove(key).await,
            None => Ok(()),
        }
    }

    fn key(&self, session: &str) -> Option<Key> {
        let is_one = !session.trim().is_empty() && session.len() <= SESSION_BYTES_MAX;
        is_one.then(|| Key::of(Space::Exchange, self.workspace, session.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;
    use crate::identity::testing::{self, NOW, key, policy, presented, token};
    use crate::identity::{Presented, ProofVerdict, SignedPayload};
    use crate::policy::{IdentityPolicy, KeyPolicy, KeyTerm, KeyUse};
    use crate::state::{Memory, MemoryLimits};

    fn at_once<T>(answer: impl Future<Output = Result<T, StateError>>) -> T {
        answer.now_or_never().expect("memory never waits").expect("memory has an answer")
    }

    fn at(seconds: i64) -> UnixSeconds {
        UnixSeconds(NOW.0 + seconds)
    }

    /// Exchanges a token with these claims for the session `s`.
    fn exchange(state: &Memory, claims: &str, lifetime_max: Option<Duration>) -> bool {
        let presented = Presented { tokens: vec![token(claims).into()], ..presented() };
        let (verifier, mut payload) = (testing::verifier_of(&policy()), SignedPayload::default());
        let binding = verifier.verify(&presented, NOW, &mut payload).binding(NOW, lifetime_max);
        binding.map(|binding| at_once(Exchanges::new(state, "acme", NOW).bind("s", binding))).is_some()
    }

    /// What a request in the session proves so many seconds later, under this policy.
    fn proof(state: &Memory, policy: &IdentityPolicy, seconds: i64, named: &[&'static str]) -> &'static str {
        let exchanged = at_once(Exchanges::new(state, "acme", at(seconds)).find("s"));
        let user_ids = named.iter().map(|id| (*id).into()).collect();
        let presented = Presented { user_ids, exchanged, ..presented() };
        let (verifier, mut payload) = (testing::verifier_of(policy), SignedPayload::default());
        let proofs = verifier.verify(&presented, at(seconds), &mut payload);
        // Who is proven signs, and nobody else does.
        assert_eq!(proofs.claims().is_some(), proofs.verdict() == ProofVerdict::Exchanged);
        // What was exchanged cannot be exchanged again.
        assert!(proofs.binding(at(seconds), None).is_none());
        proofs.verdict().code()
    }

    fn claims(exp: i64) -> String {
        format!(r#"{{"user_id":"user-42","plan":"pro","exp":{}}}"#, NOW.0 + exp)
    }

    #[test]
    fn a_session_stands_for_its_token_until_the_earliest_of_its_ends() {
        let state = Memory::new(MemoryLimits::default());
        let day = EXCHANGE_SECONDS_MAX;
        for (exp, lifetime_max, end) in [
            (600, None, 600),
            (600, Some(Duration::from_secs(60)), 60),
            (60, Some(Duration::from_secs(600)), 60),
            (10 * day, None, day),
            (10 * day, Some(Duration::from_secs(1_000_000)), day),
        ] {
            assert!(exchange(&state, &claims(exp), lifetime_max));
            assert_eq!(proof(&state, &policy(), end - 1, &[]), "exchanged", "{exp} {lifetime_max:?}");
            assert_eq!(proof(&state, &policy(), end, &[]), "absent", "{exp} {lifetime_max:?}");
        }
        // It may still be verified, within the leeway, and is over.
        assert!(!exchange(&state, &claims(-10), None));
    }

    #[test]
    fn claims_are_looked_at_each_time_anew() {
        let state = Memory::new(MemoryLimits::default());
        assert!(exchange(&state, &claims(600), None));
        let check = |changed: IdentityPolicy, seconds, named: &[&'static str], expected| {
            assert_eq!(proof(&state, &changed, seconds, named), expected, "{changed:?}");
        };
        check(policy(), 1, &["user-42"], "exchanged");
        check(policy(), 1, &["user-43"], "subject_mismatch");
        check(IdentityPolicy { issuers: vec!["idp".into()], ..policy() }, 1, &[], "wrong_issuer");
        check(IdentityPolicy { required_claims: vec!["scope".into()], ..policy() }, 1, &[], "claim_missing");
        check(IdentityPolicy { max_lifetime: Some(Duration::from_secs(60)), ..policy() }, 1, &[], "lifetime_too_long");
        let of = |id: &str, uses: KeyUse, not_after| {
            let term = KeyTerm { not_before: None, not_after };
            IdentityPolicy { keys: vec![KeyPolicy { term, ..key(id, &[uses]) }], ..policy() }
        };
        check(of("web", KeyUse::Jwt, Some(NOW.0 + 100)), 99, &[], "exchanged");
        check(of("web", KeyUse::Jwt, Some(NOW.0 + 100)), 100, &[], "key_not_in_force");
        check(of("web-2", KeyUse::Jwt, None), 1, &[], "unknown_key");
        check(of("web", KeyUse::UserHash, None), 1, &[], "unknown_key");
    }

    #[test]
    fn what_cannot_be_remembered_is_bound_to_nothing() {
        let binding = |payload: usize| Binding::new("web", "user-42", &vec![b' '; payload], at(1), NOW);
        let beside = "web".len() + "user-42".len() + 2 * LENGTH_BYTES;
        assert!(binding(VALUE_BYTES_MAX - beside).is_some());
        assert!(binding(VALUE_BYTES_MAX - beside + 1).is_none());
        assert!(Binding::new("web", "user-42", b"{}", NOW, NOW).is_none());
        let state = Memory::new(MemoryLimits::default());
        let exchanges = Exchanges::new(&state, "acme", NOW);
        for session in [String::new(), " ".into(), "s".repeat(SESSION_BYTES_MAX + 1)] {
            at_once(exchanges.bind(&session, binding(2).expect("short")));
            assert!(at_once(exchanges.find(&session)).is_none());
        }
        for broken in [&b""[..], &[0], &[0, 9, b'w'], &[0, 1, b'w', 0], &[0, 1, 0xff, 0, 1, b'u']] {
            assert!(Exchanged::read(broken).is_none(), "{broken:?}");
        }
    }
}
