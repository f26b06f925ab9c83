//! For the tests of several rooms: a state that answers the same to everything, or nothing at all.

use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;

use super::{Answer, Claimed, Key, Numbers, Revocation, RevocationId, Revocations, StateError, Store};
use crate::clock::UnixSeconds;

pub(crate) enum Always {
    Answers(Result<Option<Bytes>, StateError>),
    Silent,
}

impl Always {
    fn answer<T>(&self, of: impl FnOnce(Option<Bytes>) -> T + Send + 'static) -> Answer<'_, T>
    where
        T: Send + 'static,
    {
        match self {
            Always::Answers(answer) => {
                let answer = answer.clone().map(of);
                Box::pin(async { answer })
            }
            Always::Silent => Box::pin(pending()),
        }
    }
}

impl Store for Always {
    fn claim(&self, _: Key, _: Bytes, _: UnixSeconds, _: UnixSeconds) -> Answer<'_, Claimed> {
        self.answer(|_| Claimed::First)
    }

    fn put(&self, _: Key, _: Bytes, _: UnixSeconds, _: UnixSeconds) -> Answer<'_, ()> {
        self.answer(drop)
    }

    fn get(&self, _: Key, _: UnixSeconds) -> Answer<'_, Option<Bytes>> {
        self.answer(|there| there)
    }

    fn remove(&self, _: Key) -> Answer<'_, ()> {
        self.answer(drop)
    }

    fn revoke(&self, _: Revocation, _: UnixSeconds) -> Answer<'_, ()> {
        self.answer(drop)
    }

    fn unrevoke(&self, _: RevocationId) -> Answer<'_, bool> {
        self.answer(|_| false)
    }

    fn revocations(&self) -> Arc<Revocations> {
        Arc::default()
    }

    fn numbers(&self) -> Numbers {
        Numbers::default()
    }
}
