//! State: what has to be remembered from one request to another, and by every gateway that serves the same workspaces.
//!
//! Owns the trait [`Store`], behind which it is kept, and two stores: memory, and memory that a file brings back after a restart. What operators
//! took back is part of it ([`Revocations`]). Whoever asks is told of a moment and waits for the answer: a store
//! that several gateways share is somewhere else. What is remembered is named by a [`Key`], a digest, so that no token, session or subject
//! is kept as it was sent; what it means is the business of whoever asks. It reads no clock.

mod disk;
mod kept;
mod key;
mod memory;
mod revocation;
mod revocations;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

pub use disk::{DiskError, DiskTask, OnDisk, StopError, WRITTEN_WITHIN};
pub use key::{Keeping, Key, Share, Space};
pub use memory::{ENTRY_BYTES, Memory, MemoryLimits};
pub use revocation::{
    Digest, REASON_CHARS_MAX, Reason, ReasonError, Revocation, RevocationId, RevocationIdError, Revoked,
    TOKEN_ID_BYTES_MAX,
};
pub use revocations::{REVOCATIONS_MAX, Revocations, Voucher, VoucherToken};

use crate::clock::UnixSeconds;

/// What a store answers, at once or later.
pub type Answer<'s, T> = Pin<Box<dyn Future<Output = Result<T, StateError>> + Send + 's>>;

/// The longest value that a store takes, in bytes.
pub const VALUE_BYTES_MAX: usize = 16 * 1024;

/// What stood under a key when it was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Nothing: it is the caller's from now on.
    First,
    /// This, and it stays.
    Already(Bytes),
}

/// How a store is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Things that are kept until their end.
    pub entries: u64,
    /// Revocations that are kept.
    pub revocations: u64,
    /// Things that found no room on their way to the disk: they do not survive a restart.
    pub unwritten: u64,
    /// Writes that failed.
    pub disk_errors: u64,
}

/// Why a store has no answer. It says nothing of what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("the state is full: nothing that it holds may be forgotten yet")]
    Full,
    #[error("the state cannot be reached")]
    Unavailable,
    /// Of a revocation: it counts all the same.
    #[error("in force, but not written down: until the disk takes it, it ends with the process")]
    NotWritten,
    #[error("the value is longer than {VALUE_BYTES_MAX} bytes")]
    TooLong,
}

/// Where things are remembered.
///
/// Each answer is one step that nothing else comes between: of two claims of one key, made at once on two gateways, one is
/// [`Claimed::First`]. What has an end is not there from that second on.
pub trait Store: Send + Sync {
    /// Puts `value` under a key where nothing stands, until `until`; says what stands there otherwise, and leaves it.
    fn claim(&self, key: Key, value: Bytes, until: UnixSeconds, now: UnixSeconds) -> Answer<'_, Claimed>;

    /// Puts `value` under a key until `until`, whatever stands there.
    fn put(&self, key: Key, value: Bytes, until: UnixSeconds, now: UnixSeconds) -> Answer<'_, ()>;

    /// What stands under a key.
    fn get(&self, key: Key, now: UnixSeconds) -> Answer<'_, Option<Bytes>>;

    /// Forgets what stands under a key.
    fn remove(&self, key: Key) -> Answer<'_, ()>;

    /// Takes proofs back. When the answer comes this counts, and does so after a restart.
    ///
    /// Fails with [`StateError::Full`] where there are [`REVOCATIONS_MAX`], and with [`StateError::NotWritten`].
    fn revoke(&self, revocation: Revocation, now: UnixSeconds) -> Answer<'_, ()>;

    /// Ends a revocation; says whether there was one of that name.
    fn unrevoke(&self, id: RevocationId) -> Answer<'_, bool>;

    /// What is revoked. It is asked with every proof, so that it is here already: a store that several gateways share follows what the
    /// others do within a second.
    fn revocations(&self) -> Arc<Revocations>;

    /// How it is doing.
    fn numbers(&self) -> Numbers;
}

#[cfg(test)]
pub(crate) mod testing;
