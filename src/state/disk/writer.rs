//! The thread that writes, and the way to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::WRITTEN_WITHIN;
use super::file::StateFile;
use crate::clock::UnixSeconds;
use crate::state::{Key, Revocation, RevocationId, StateError};

/// Changes that may wait for the disk; what finds no room is kept in memory alone.
const WAITING_MAX: usize = 100_000;

/// Changes of one commit.
const BATCH_MAX: usize = 8 * 1024;

/// From a write that failed to the next try; and between two looks at what is over, where nothing comes.
const PAUSE: Duration = Duration::from_secs(1);

/// One change.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Put { key: Key, value: Bytes, until: UnixSeconds },
    Remove(Key),
    Revoke(Revocation),
    Unrevoke(RevocationId),
}

/// A change, and who waits for it.
pub(super) struct Waiting {
    change: Option<Change>,
    written: Option<oneshot::Sender<()>>,
}

/// The way to the writing thread.
pub(super) struct Queue {
    changes: Sender<Waiting>,
    waiting: AtomicUsize,
    /// The moment that the store was last told of.
    now: AtomicI64,
    unwritten: AtomicU64,
    disk_errors: AtomicU64,
    stopping: AtomicBool,
}

impl Queue {
    pub(super) fn new(now: UnixSeconds) -> (Self, Receiver<Waiting>) {
        let (changes, receiver) = mpsc::channel();
        let queue = Self {
            changes,
            waiting: AtomicUsize::new(0),
            now: AtomicI64::new(now.0),
            unwritten: AtomicU64::new(0),
            disk_errors: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        };
        (queue, receiver)
    }

    /// Queues a change that nobody waits for.
    pub(super) fn write_behind(&self, change: Change, now: UnixSeconds) {
        self.now.store(now.0, Ordering::Relaxed);
        self.write_behind_at_any_time(change);
    }

    pub(super) fn write_behind_at_any_time(&self, change: Change) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.unwritten.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.send(Waiting { change: Some(change), written: None });
    }

    /// Queues a change; the answer comes when it is on the disk.
    pub(super) async fn write(&self, change: Change) -> Result<(), StateError> {
        let (written, answer) = oneshot::channel();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.send(Waiting { change: Some(change), written: Some(written) });
        answer.await.map_err(|_| StateError::Unavailable)
    }

    fn send(&self, waiting: Waiting) {
        if self.changes.send(waiting).is_err() {
            // The thread is gone: at the end of the process, or by a bug.
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.unwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lets the thread write what waits and end.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        // It wakes the thread; one that has ended need not be woken.
        drop(self.changes.send(Waiting { change: None, written: None }));
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }

    pub(super) fn disk_errors(&self) -> u64 {
        self.disk_errors.load(Ordering::Relaxed)
    }
}

/// The thread's own.
pub(super) struct Writer {
    path: PathBuf,
    /// `None` after a write that failed: it is opened anew.
    file: Option<StateFile>,
    changes: Receiver<Waiting>,
    queue: Arc<Queue>,
}

impl Writer {
    pub(super) fn new(file: StateFile, changes: Receiver<Waiting>, queue: Arc<Queue>) -> Self {
        Self { path: file.path().to_owned(), file: Some(file), changes, queue }
    }

    pub(super) fn run(mut self) {
        // What could not be written yet.
        let mut batch: Vec<Change> = Vec::new();
        let mut failing = false;
        loop {
            let mut answers = Vec::new();
            self.gather(failing, &mut batch, &mut answers);
            let stopping = self.queue.stopping.load(Ordering::Acquire);
            match self.commit(&batch) {
                Ok(()) => {
                    self.queue.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
                    batch.clear();
                    for answer in answers {
                        // Whoever asked may be gone; it is written all the same.
                        let _ = answer.send(());
                    }
                    if std::mem::take(&mut failing) {
                        tracing::info!("the state is written again");
                    }
                    if stopping && self.queue.waiting() == 0 {
                        return;
                    }
                }
                Err(error) => {
                    self.queue.disk_errors.fetch_add(1, Ordering::Relaxed);
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(%error, file = %self.path.display(), "state_not_written");
                    }
                    // Dropped answers are answers. What was to be given back stays taken back, on the disk too.
                    drop(answers);
                    let before = batch.len();
                    batch.retain(|change| !matches!(change, Change::Unrevoke(_)));
                    self.queue.waiting.fetch_sub(before - batch.len(), Ordering::Relaxed);
                    if stopping {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for a change, and then a little for others to go with it, unless somebody waits for an answer.
    fn gather(&self, failing: bool, batch: &mut Vec<Change>, answers: &mut Vec<oneshot::Sender<()>>) {
        let mut until = Instant::now() + PAUSE;
        let mut is_first = true;
        // Where the disk takes nothing all that waits is taken up, or who waits for an answer behind it would wait for the disk.
        while failing || batch.len() < BATCH_MAX {
            let left = until.saturating_duration_since(Instant::now());
            match self.changes.recv_timeout(left) {
                Ok(Waiting { change, written }) => {
                    batch.extend(change);
                    if std::mem::take(&mut is_first) && !failing {
                        // Half of what is promised, so that the disk has the other half.
                        until = until.min(Instant::now() + WRITTEN_WITHIN / 2);
                    }
                    if let Some(written) = written {
                        answers.push(written);
                        until = Instant::now();
                    }
                    if self.queue.stopping.load(Ordering::Acquire) {
                        until = Instant::now();
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn commit(&mut self, batch: &[Change]) -> Result<(), Box<dyn std::error::Error>> {
        let now = UnixSeconds(self.queue.now.load(Ordering::Relaxed));
        let file = match self.file.take() {
            Some(file) => file,
            None => StateFile::open_existing(self.path.clone())?,
        };
        file.commit(batch, now)?;
        self.file = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::state::{Digest, Reason, Revoked, Space};

    const NOW: UnixSeconds = UnixSeconds(1_000);

    #[tokio::test]
    async fn what_the_disk_does_not_take_is_tried_again_and_nobody_hears_that_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        // Whoever else has the file stands for a disk that fails.
        let other = StateFile::open(&state).unwrap();
        let (queue, changes) = Queue::new(NOW);
        let queue = Arc::new(queue);
        let writer = Writer { path: other.path().to_owned(), file: None, changes, queue: Arc::clone(&queue) };
        let thread = std::thread::spawn(move || writer.run());
        let revocation = Revocation {
            id: RevocationId::draw(SystemTime::UNIX_EPOCH).unwrap(),
            workspace: "acme".into(),
            revoked: Revoked::Subject(Digest::of_subject("acme", "1")),
            made: NOW,
            until: None,
            reason: Reason::default(),
        };
        // More than one commit takes: who waits for an answer must not wait behind them.
        for number in 0..2 * BATCH_MAX {
            let key = Key::of(Space::TokenId, "acme", &number.to_be_bytes());
            queue.write_behind(Change::Put { key, value: Bytes::new(), until: UnixSeconds(2_000) }, NOW);
        }
        assert_eq!(queue.write(Change::Revoke(revocation.clone())).await, Err(StateError::Unavailable));
        assert_eq!(queue.write(Change::Unrevoke(revocation.id)).await, Err(StateError::Unavailable));
        assert!(queue.disk_errors() > 0 && queue.waiting() > BATCH_MAX);
        drop(other);
        let began = Instant::now();
        while queue.waiting() > 0 {
            assert!(began.elapsed() < Duration::from_secs(20), "{} wait", queue.waiting());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        queue.stop();
        thread.join().unwrap();
        let loaded = StateFile::open(&state).unwrap().load(NOW).unwrap();
        // What could not be given back was not given back.
        assert_eq!((loaded.things.len(), loaded.revocations), (2 * BATCH_MAX, vec![revocation]));
    }

    #[tokio::test]
    async fn what_finds_no_room_is_counted_and_no_request_waits() {
        let (queue, changes) = Queue::new(NOW);
        let key = Key::of(Space::TokenId, "acme", b"1");
        for _ in 0..WAITING_MAX + 7 {
            queue.write_behind(Change::Remove(key), NOW);
        }
        assert_eq!((queue.waiting(), queue.unwritten()), (WAITING_MAX, 7));
        drop(changes);
        assert_eq!(queue.write(Change::Remove(key)).await, Err(StateError::Unavailable));
    }
}
