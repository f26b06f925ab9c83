//! Sessions on a request's way: who stands behind the one that it presents, and that whoever names a user is no lead any more.

use std::borrow::Cow;

use crate::identity::{Exchanged, Exchanges, Holder, Sessions};
use crate::policy::Workspace;
use crate::profile::{Class, SessionRole};

/// Who stands behind the sessions of a request.
pub(super) async fn holder(sessions: &Sessions<'_>, presented: &[Cow<'_, str>], remembered: Remembered) -> Holder {
    let mut texts = presented.iter();
    match (texts.next(), remembered) {
        (None, Remembered::Nothing | Remembered::Users) => Holder::Unasked,
        // Whoever leaves the session out hides who it is.
        (None, Remembered::Roles) => Holder::Hidden,
        (Some(_), Remembered::Nothing) => Holder::Unknown,
        (Some(first), Remembered::Users | Remembered::Roles) if texts.all(|other| other == first) => {
            // Nobody is a lead for want of an answer.
            sessions.holder(first).await.unwrap_or(Holder::Hidden)
        }
        // Which of them the backend goes by is not known.
        (Some(_), Remembered::Users | Remembered::Roles) => Holder::Hidden,
    }
}

/// What is ever known of the sessions of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remembered {
    Nothing,
    /// Those in which somebody named a user: no ticket is for them.
    Users,
    /// Whose each is, as the messenger's answers say.
    Roles,
}

impl Remembered {
    pub(super) fn of(workspace: &Workspace) -> Self {
        match (&workspace.profile.roles, workspace.identity.ticket_at.is_empty()) {
            (Some(_), _) => Remembered::Roles,
            (None, false) => Remembered::Users,
            (None, true) => Remembered::Nothing,
        }
    }
}

/// What the session token of a request stands for, where it stands for anything.
pub(super) async fn exchanged(exchanges: &Exchanges<'_>, presented: &[Cow<'_, str>]) -> Option<Exchanged> {
    let (first, others) = presented.split_first()?;
    // Which of several the backend goes by is not known; and without an answer of the state nobody is proven.
    if others.iter().any(|other| other != first) {
        return None;
    }
    match exchanges.find(first).await {
        Ok(exchanged) => exchanged,
        Err(error) => {
            tracing::debug!(%error, "session_not_found");
            None
        }
    }
}

/// Forgets what session tokens stood for.
pub(super) async fn ends(exchanges: &Exchanges<'_>, presented: &[Cow<'_, str>]) {
    for session in presented {
        if let Err(error) = exchanges.unbind(session).await {
            tracing::debug!(%error, "session_not_forgotten");
        }
    }
}

/// Remembers, before a request is sent on, what it does to its sessions: their answer may never come.
pub(super) async fn leaves(sessions: &Sessions<'_>, presented: &[Cow<'_, str>], class: Class, names_a_user: bool) {
    for session in presented {
        let left = match (class == Class::SessionEnd, names_a_user) {
            (true, _) => sessions.forget(session).await,
            (false, true) => sessions.remember(session, SessionRole::User).await,
            (false, false) => Ok(()),
        };
        // A state that cannot be reached has nobody for a lead either.
        if let Err(error) = left {
            tracing::debug!(%error, "session_not_remembered");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use futures_util::FutureExt;

    use super::*;
    use crate::clock::UnixSeconds;
    use crate::state::{Answer, Claimed, Key, Numbers, Revocation, RevocationId, Revocations, StateError, Store};

    /// A state that answers the same to everything.
    struct Only(Result<Option<Bytes>, StateError>);

    impl Store for Only {
        fn claim(&self, _: Key, _: Bytes, _: UnixSeconds, _: UnixSeconds) -> Answer<'_, Claimed> {
            Box::pin(async { self.0.clone().map(|_| Claimed::First) })
        }

        fn put(&self, _: Key, _: Bytes, _: UnixSeconds, _: UnixSeconds) -> Answer<'_, ()> {
            Box::pin(async { self.0.clone().map(drop) })
        }

        fn get(&self, _: Key, _: UnixSeconds) -> Answer<'_, Option<Bytes>> {
            Box::pin(async { self.0.clone() })
        }

        fn remove(&self, _: Key) -> Answer<'_, ()> {
            Box::pin(async { self.0.clone().map(drop) })
        }

        fn revoke(&self, _: Revocation, _: UnixSeconds) -> Answer<'_, ()> {
            Box::pin(async { self.0.clone().map(drop) })
        }

        fn unrevoke(&self, _: RevocationId) -> Answer<'_, bool> {
            Box::pin(async { self.0.clone().map(|_| false) })
        }

        fn revocations(&self) -> Arc<Revocations> {
            Arc::default()
        }

        fn numbers(&self) -> Numbers {
            Numbers::default()
        }
    }

    #[track_caller]
    fn check(state: Result<Option<&'static str>, StateError>, presented: &[&str], remembered: Remembered, who: Holder) {
        let state = Only(state.map(|text| text.map(|text| Bytes::from_static(text.as_bytes()))));
        let sessions = Sessions::new(&state, "acme", UnixSeconds(1_795_000_000));
        let presented: Vec<_> = presented.iter().map(|text| Cow::Borrowed(*text)).collect();
        let found = holder(&sessions, &presented, remembered).now_or_never();
        assert_eq!(found, Some(who), "{presented:?} {remembered:?}");
    }

    #[test]
    fn nobody_is_a_lead_for_want_of_an_answer() {
        use Remembered::{Nothing, Roles, Users};
        for remembered in [Users, Roles] {
            check(Ok(Some("lead")), &["s"], remembered, Holder::Lead);
            check(Ok(Some("lead")), &["s", "s"], remembered, Holder::Lead);
            check(Ok(Some("user")), &["s"], remembered, Holder::User);
            for unknown in [Ok(None), Ok(Some("")), Ok(Some("Lead"))] {
                check(unknown, &["s"], remembered, Holder::Unknown);
            }
            for error in [StateError::Unavailable, StateError::Full] {
                check(Err(error), &["s"], remembered, Holder::Hidden);
            }
            check(Ok(Some("lead")), &["s", "t"], remembered, Holder::Hidden);
        }
        check(Ok(Some("lead")), &[], Roles, Holder::Hidden);
        check(Ok(Some("user")), &[], Users, Holder::Unasked);
        check(Ok(Some("lead")), &["s"], Nothing, Holder::Unknown);
        check(Ok(Some("user")), &[], Nothing, Holder::Unasked);
    }
}
