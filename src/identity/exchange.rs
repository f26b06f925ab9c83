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
