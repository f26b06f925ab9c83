//! Sessions of a messenger: whose each is, as its own answers said.
//!
//! A user's session is remembered by writing over whatever was there, a lead's only where nothing was. So a session that was once a user's is
//! one until that is forgotten, however late an older answer comes, on whichever gateway; and what is forgotten is a session of nobody known.

use bytes::Bytes;

use crate::clock::UnixSeconds;
use crate::profile::SessionRole;
use crate::state::{Key, Space, StateError, Store};

/// A longer text is no session that anybody remembers, in bytes.
pub const SESSION_BYTES_MAX: usize = 4096;

/// How long it is remembered whose a session is: seven days, as long as the messengers' own cookies live. A user's begins anew with each request
/// that shows it to be one; a lead's does not, and the next answer says it again.
pub const SESSION_SECONDS: i64 = 7 * 24 * 60 * 60;

/// Who stands behind the sessions that a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// There is no session, and this messenger's answers never say whose one is: who asks is whom the request names.
    Unasked,
    /// It cannot be known: several sessions, none where there should be one, or a state that has no answer.
    Hidden,
    /// One session, of which no answer said anything.
    Unknown,
    /// A visitor or a lead.
    Lead,
    User,
}

const USER: &[u8] = b"user";
const LEAD: &[u8] = b"lead";

/// What is remembered of the sessions of one workspace.
#[derive(Clone, Copy)]
pub struct Sessions<'s> {
    state: &'s dyn Store,
    workspace: &'s str,
    now: UnixSeconds,
}

impl<'s> Sessions<'s> {
    #[must_use]
    pub fn new(state: &'s dyn Store, workspace: &'s str, now: UnixSeconds) -> Self {
        Self { state, workspace, now }
    }

    /// Whose a session is.
    ///
    /// # Errors
    ///
    /// The state has no answer.
    pub async fn holder(&self, session: &str) -> Result<Holder, StateError> {
        // What cannot be remembered might be a user's.
        let Some(key) = self.key(session) else { return Ok(Holder::Hidden) };
        let found = self.state.get(key, self.now).await?;
        Ok(match found.as_deref() {
            Some(USER) => Holder::User,
            Some(LEAD) => Holder::Lead,
            Some(_) | None => Holder::Unknown,
        })
    }

    /// Remembers whose a session is.
    ///
    /// # Errors
    ///
    /// The state does not take it.
    pub async fn remember(&self, session: &str, role: SessionRole) -> Result<(), StateError> {
        let Some(key) = self.key(session) else { return Ok(()) };
        let until = UnixSeconds(self.now.0.saturating_add(SESSION_SECONDS));
        match role {
            SessionRole::User => self.state.put(key, Bytes::from_static(USER), until, self.now).await,
            // A look costs less than a claim, and most leads are known.
            SessionRole::Visitor | SessionRole::Lead if self.state.get(key, self.now).await?.is_some() => Ok(()),
            SessionRole::Visitor | SessionRole::Lead => {
                self.state.claim(key, Bytes::from_static(LEAD), until, self.now).await.map(drop)
            }
        }
    }

    /// Forgets a session that has ended.
    ///
    /// # Errors
    ///
    /// The state cannot be reached.
    pub async fn forget(&self, session: &str) -> Result<(), StateError> {
        match self.key(session) {
            Some(key) => self.state.remove(key).await,
            None => Ok(()),
        }
    }

    fn key(&self, session: &str) -> Option<Key> {
        let is_one = !session.trim().is_empty() && session.len() <= SESSION_BYTES_MAX;
        is_one.then(|| Key::of(Space::Session, self.workspace, session.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use std::future::Future;

    use super::*;
    use crate::identity::testing::NOW;
    use crate::state::{Memory, MemoryLimits};

    fn at_once<T>(answer: impl Future<Output = Result<T, StateError>>) -> T {
        answer.now_or_never().expect("memory never waits").expect("memory has an answer")
    }

    #[test]
    fn a_user_is_never_made_a_lead_again() {
        let state = Memory::new(MemoryLimits::default());
        let at = |seconds| Sessions::new(&state, "acme", UnixSeconds(NOW.0 + seconds));
        let check = |seconds, session: &str, holder| assert_eq!(at_once(at(seconds).holder(session)), holder);
        check(0, "s", Holder::Unknown);
        at_once(at(0).remember("s", SessionRole::Visitor));
        check(1, "s", Holder::Lead);
        at_once(at(1).remember("s", SessionRole::User));
        check(1, "s", Holder::User);
        for role in [SessionRole::Lead, SessionRole::Visitor] {
            at_once(at(2).remember("s", role));
            check(2, "s", Holder::User);
        }
        check(1 + SESSION_SECONDS - 1, "s", Holder::User);
        check(1 + SESSION_SECONDS, "s", Holder::Unknown);
    }

    #[test]
    fn a_lead_is_one_for_so_long_and_a_user_for_so_long_from_each_request() {
        let state = Memory::new(MemoryLimits::default());
        let at = |seconds| Sessions::new(&state, "acme", UnixSeconds(NOW.0 + seconds));
        for (role, then) in [(SessionRole::Lead, Holder::Unknown), (SessionRole::User, Holder::User)] {
            at_once(at(0).forget("s"));
            at_once(at(0).remember("s", role));
            at_once(at(10).remember("s", role));
            assert_eq!(at_once(at(SESSION_SECONDS).holder("s")), then);
        }
        at_once(at(11).forget("s"));
        assert_eq!(at_once(at(11).holder("s")), Holder::Unknown);
    }

    #[test]
    fn a_session_of_another_workspace_is_another_and_a_text_too_long_is_none() {
        let state = Memory::new(MemoryLimits::default());
        let acme = Sessions::new(&state, "acme", NOW);
        at_once(acme.remember("s", SessionRole::Lead));
        for (workspace, session) in [("beta", "s"), ("acme", "S"), ("acme", "s ")] {
            assert_eq!(at_once(Sessions::new(&state, workspace, NOW).holder(session)), Holder::Unknown);
        }
        let (longest, long) = ("s".repeat(SESSION_BYTES_MAX), "s".repeat(SESSION_BYTES_MAX + 1));
        for (session, holder) in
            [(&*longest, Holder::Lead), (&*long, Holder::Hidden), (" ", Holder::Hidden), ("", Holder::Hidden)]
        {
            at_once(acme.remember(session, SessionRole::Lead));
            assert_eq!(at_once(acme.holder(session)), holder);
        }
    }
}
