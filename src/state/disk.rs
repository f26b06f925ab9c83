//! The store of one gateway whose memory outlives it: all of it is in memory, and a file brings it back after a restart.
//!
//! No request waits for the disk: what is kept until its end is written behind, within [`WRITTEN_WITHIN`], and a crash loses what was not
//! written yet. An operator who takes something back waits: it is written when the answer comes. What is kept only while there is room is
//! not written at all.

mod file;
mod writer;

use std::future::ready;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use bytes::Bytes;

use super::memory::{Memory, MemoryLimits};
use super::revocations::REVOCATIONS_MAX;
use super::{Answer, Claimed, Keeping, Key, Numbers, Revocation, RevocationId, Revocations, StateError, Store};
use crate::clock::UnixSeconds;
use file::StateFile;
use writer::{Change, Queue, Writer};

/// What is kept is on the disk this much later, unless the disk is slower.
pub const WRITTEN_WITHIN: Duration = Duration::from_millis(100);

/// Why the state on disk cannot be used. What to do about it stands in each.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("the state directory `{}` cannot be made or read: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error(
        "the state in `{}` can be read or written by others (mode {mode:03o}): run `chmod 700` on the directory and \
         `chmod 600` on the file, or name a directory of its own",
        path.display()
    )]
    OpenToOthers { path: PathBuf, mode: u32 },
    #[error(
        "the state file `{}` is in use by another process: stop that one, or give this one a `directory` of its own",
        .0.display()
    )]
    InUse(PathBuf),
    #[error("the state file `{}` cannot be opened: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(
        "the state file `{}` is broken, or no state of this version ({why}): bring back a copy of it, or move it away \
         and start with nothing; then tokens that were used may be used again, and revocations must be made again",
        path.display()
    )]
    Broken { path: PathBuf, why: String },
    #[error(
        "the state file `{}` holds more than `entries_max` or {REVOCATIONS_MAX} revocations: raise `entries_max` to \
         what it was, or wait until they end",
        .0.display()
    )]
    TooMany(PathBuf),
    #[error("the thread that writes the state cannot be started: {0}")]
    Thread(io::Error),
}

/// Memory, and the way to the disk.
pub struct OnDisk {
    memory: Memory,
    queue: Arc<Queue>,
}

/// The writing thread's end of life.
pub struct DiskTask {
    queue: Arc<Queue>,
    ended: std::sync::mpsc::Receiver<()>,
}

/// Why the last of the state may not be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state was still being written when the time was over")]
pub struct StopError;

impl OnDisk {
    /// Opens the state in a directory, which is made where there is none, and brings back what is in force at `now`.
    ///
    /// # Errors
    ///
    /// It cannot be had, is somebody else's, or is broken: it never starts with less than there was.
    pub fn open(directory: &Path, limits: MemoryLimits, now: UnixSeconds) -> Result<(Self, DiskTask), DiskError> {
        let file = StateFile::open(directory)?;
        let loaded = file.load(now)?;
        if loaded.revocations.len() > REVOCATIONS_MAX {
            return Err(DiskError::TooMany(file.path().to_owned()));
        }
        let memory = Memory::with(limits, loaded.revocations);
        for (key, value, until) in loaded.things {
            memory.restore(key, &value, until, now).map_err(|_| DiskError::TooMany(file.path().to_owned()))?;
        }
        let (queue, changes) = Queue::new(now);
        let queue = Arc::new(queue);
        let (ending, ended) = std::sync::mpsc::sync_channel::<()>(0);
        let writer = Writer::new(file, changes, Arc::clone(&queue));
        let thread = std::thread::Builder::new().name("state".into());
        thread
            .spawn(move || {
                writer.run();
                // Its end is the message.
                drop(ending);
            })
            .map_err(DiskError::Thread)?;
        Ok((Self { memory, queue: Arc::clone(&queue) }, DiskTask { queue, ended }))
    }

    fn write(&self, key: Key, value: Bytes, until: UnixSeconds, now: UnixSeconds) {
        match key.space().keeping() {
            Keeping::UntilItsEnd => self.queue.write_behind(Change::Put { key, value, until }, now),
            Keeping::WhileThereIsRoom(_) => {}
        }
    }
}

impl Store for OnDisk {
    fn claim(&self, key: Key, value: Bytes, until: UnixSeconds, now: UnixSeconds) -> Answer<'_, Claimed> {
        let claimed = self.memory.claim_now(key, value.clone(), until, now);
        if claimed == Ok(Claimed::First) {
            self.write(key, value, until, now);
        }
        Box::pin(ready(claimed))
    }

    fn put(&self, key: Key, value: Bytes, until: UnixSeconds, now: UnixSeconds) -> Answer<'_, ()> {
        let put = self.memory.put_now(key, value.clone(), until, now);
        if put.is_ok() {
            self.write(key, value, until, now);
        }
        Box::pin(ready(put))
    }

    fn get(&self, key: Key, now: UnixSeconds) -> Answer<'_, Option<Bytes>> {
        self.memory.get(key, now)
    }

    fn remove(&self, key: Key) -> Answer<'_, ()> {
        match key.space().keeping() {
            Keeping::UntilItsEnd => self.queue.write_behind_at_any_time(Change::Remove(key)),
            Keeping::WhileThereIsRoom(_) => {}
        }
        self.memory.remove(key)
    }

    fn revoke(&self, revocation: Revocation, now: UnixSeconds) -> Answer<'_, ()> {
        Box::pin(async move {
            // In force first: a disk that is full keeps nobody's stolen token in force.
            self.memory.revoke(revocation.clone(), now).await?;
            self.queue.write(Change::Revoke(revocation)).await.map_err(|_| StateError::NotWritten)
        })
    }

    fn unrevoke(&self, id: RevocationId) -> Answer<'_, bool> {
        Box::pin(async move {
            if !self.memory.revocations().all().iter().any(|revocation| revocation.id == id) {
                return Ok(false);
            }
            // From the disk first: what would come back with a restart stays in force.
            self.queue.write(Change::Unrevoke(id)).await?;
            self.memory.unrevoke(id).await
        })
    }

    fn revocations(&self) -> Arc<Revocations> {
        self.memory.revocations()
    }

    fn numbers(&self) -> Numbers {
        Numbers { unwritten: self.queue.unwritten(), disk_errors: self.queue.disk_errors(), ..self.memory.numbers() }
    }
}

impl DiskTask {
    /// Writes what waits, then stops. Blocks the thread for at most about `within`.
    ///
    /// # Errors
    ///
    /// The disk did not take everything in time.
    pub fn flush_and_stop(self, within: Duration) -> Result<(), StopError> {
        self.queue.stop();
        match self.ended.recv_timeout(within) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) if self.queue.waiting() == 0 => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => Err(StopError),
        }
    }
}

#[cfg(test)]
mod tests;
