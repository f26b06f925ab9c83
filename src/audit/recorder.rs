//! The way into the record: a bounded queue in front of the writing thread.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::change::Change;
use super::event::{Begin, Event};
use super::file::{RotatingFile, Sink};
use super::line::change_line;
use super::subject::SubjectKey;
use super::writer::{RETRY, Writer};
use crate::policy::AuditSettings;

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("audit file `{}` cannot be opened", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the audit thread cannot be started")]
    Thread(#[source] std::io::Error),
}

/// Why the record may be incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    #[error("audit records were still being written when the time was over")]
    Late,
}

/// How the record is doing, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Lines that the disk has taken, gap records included.
    pub written: u64,
    /// Records that found no room, or that were never written.
    pub lost: u64,
    /// Failed writes, rotations and reopenings.
    pub disk_errors: u64,
}

/// The way into the record; as many clones as are needed. Recording never waits.
#[derive(Clone)]
pub struct Recorder(Arc<Handle>);

struct Handle {
    queue: SyncSender<Message>,
    key: SubjectKey,
    shared: Arc<Shared>,
}

/// What waits in the queue.
pub(super) enum Message {
    Line(Vec<u8>),
    /// Only that the writer looks around.
    Wake,
}

impl Message {
    pub(super) fn lines(self) -> u64 {
        match self {
            Message::Line(_) => 1,
            Message::Wake => 0,
        }
    }
}

/// The writing thread's end of life.
pub struct RecorderTask {
    recorder: Recorder,
    ended: Receiver<()>,
}

impl Recorder {
    /// Opens the file and starts the writing thread.
    ///
    /// # Errors
    ///
    /// The file cannot be opened (who cannot record does not start), or there is no thread to be had.
    pub fn start(settings: &AuditSettings, key: SubjectKey) -> Result<(Self, RecorderTask), AuditError> {
        let sink = match &settings.file {
            Some(path) => RotatingFile::open(path, settings.rotate_bytes, settings.keep)
                .map(Sink::File)
                .map_err(|source| AuditError::Open { path: path.clone(), source })?,
            None => Sink::Stream(Box::new(std::io::stdout())),
        };
        Self::start_with(sink, settings.queue_records_max, key, RETRY).map_err(AuditError::Thread)
    }

    fn start_with(
        sink: Sink,
        queue_records_max: usize,
        key: SubjectKey,
        retry: Duration,
    ) -> std::io::Result<(Self, RecorderTask)> {
        // A queue of none would hand over only to a writer who happens to wait.
        let queue_records_max = queue_records_max.max(1);
        let (sender, queue) = sync_channel(queue_records_max);
        let (ending, ended) = sync_channel(0);
        let shared = Arc::new(Shared::default());
        let writer = Writer { queue, queue_records_max, sink, shared: shared.clone(), retry, buffer: Vec::new() };
        std::thread::Builder::new().name("audit".into()).spawn(move || {
            writer.run();
            // Its end is the message.
            drop::<SyncSender<()>>(ending);
        })?;
        let recorder = Self(Arc::new(Handle { queue: sender, key, shared }));
        Ok((recorder.clone(), RecorderTask { recorder, ended }))
    }

    /// The record of a request that begins.
    pub fn begin(&self, begin: Begin<'_>) -> Event {
        Event::begin(self.clone(), begin)
    }

    /// Records what an operator changed.
    pub fn change(&self, change: &Change<'_>) {
        self.record(change_line(change));
    }

    /// The key of the hashes.
    #[must_use]
    pub fn subject_key(&self) -> &SubjectKey {
        &self.0.key
    }

    /// How the record is doing.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.0.shared.numbers()
    }

    /// Opens the file by its name again, soon: somebody else has moved it (SIGHUP).
    pub fn reopen(&self) {
        self.0.shared.reopen.store(true, Ordering::Release);
        self.wake();
    }

    /// Queues one line; where there is no room it is counted for the next gap record.
    pub(super) fn record(&self, line: Vec<u8>) {
        if self.0.queue.try_send(Message::Line(line)).is_err() {
            self.0.shared.lost(1);
            self.0.shared.gap.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wake(&self) {
        // A full queue has woken it already.
        let _ = self.0.queue.try_send(Message::Wake);
    }
}

impl RecorderTask {
    /// Writes what waits, then stops. Blocks the thread for at most about `within`; records made later are counted as lost.
    ///
    /// # Errors
    ///
    /// The disk did not take everything in time.
    pub fn flush_and_stop(self, within: Duration) -> Result<(), StopError> {
        let now = Instant::now();
        let lost_before = self.recorder.numbers().lost;
        let stop_at = now.checked_add(within).unwrap_or(now);
        let _ = self.recorder.0.shared.stop_at.set(stop_at);
        self.recorder.wake();
        // A little longer than the writer itself waits, so that it can still say what is lost.
        match self.ended.recv_timeout(within.saturating_add(RETRY * 2)) {
            Err(RecvTimeoutError::Disconnected) | Ok(()) if self.recorder.numbers().lost == lost_before => Ok(()),
            Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) | Ok(()) => Err(StopError::Late),
        }
    }
}

/// What recorders and the writer tell each other beside the queue.
#[derive(Default)]
pub(super) struct Shared {
    written: AtomicU64,
    lost: AtomicU64,
    disk_errors: AtomicU64,
    /// Lost records that no gap record has told of yet.
    gap: AtomicU64,
    reopen: AtomicBool,
    stop_at: OnceLock<Instant>,
}

impl Shared {
    pub(super) fn written(&self, lines: u64) {
        self.written.fetch_add(lines, Ordering::Relaxed);
    }

    pub(super) fn lost(&self, records: u64) {
        self.lost.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn disk_error(&self) {
        self.disk_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn take_gap(&self) -> u64 {
        self.gap.swap(0, Ordering::Relaxed)
    }

    pub(super) fn take_reopen(&self) -> bool {
        self.reopen.swap(false, Ordering::Acquire)
    }

    pub(super) fn stop_at(&self) -> Option<Instant> {
        self.stop_at.get().copied()
    }

    fn numbers(&self) -> Numbers {
        Numbers {
            written: self.written.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            disk_errors: self.disk_errors.load(Ordering::Relaxed),
        }
    }
}

/// A recorder into memory, for tests.
#[cfg(test)]
pub(super) struct Capture {
    pub recorder: Recorder,
    task: std::sync::Mutex<Option<RecorderTask>>,
    pub disk: Arc<tests::Disk>,
}

#[cfg(test)]
impl Capture {
    pub(super) fn start(queue_records_max: usize) -> Self {
        let disk = Arc::new(tests::Disk::default());
        let key = SubjectKey::new(&[7; 32]).unwrap();
        let sink = Sink::Stream(Box::new(tests::OnDisk(disk.clone())));
        let (recorder, task) = Recorder::start_with(sink, queue_records_max, key, Duration::from_millis(1)).unwrap();
        Self { recorder, task: std::sync::Mutex::new(Some(task)), disk }
    }

    /// Stops, and gives what was written.
    pub(super) fn text(&self) -> String {
        if let Some(task) = self.task.lock().unwrap().take() {
            task.flush_and_stop(Duration::from_secs(60)).unwrap();
        }
        String::from_utf8(self.disk.state.lock().unwrap().bytes.clone()).unwrap()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{self, Write};
    use std::path::Path;
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// A disk in memory that stops, fails and tears as told.
    #[derive(Default)]
    pub struct Disk {
        pub state: Mutex<State>,
        changed: Condvar,
    }

    #[derive(Default)]
    pub struct State {
        pub bytes: Vec<u8>,
        health: Health,
        /// A write has come and waits.
        waiting: bool,
        writes: usize,
    }

    #[derive(Default, PartialEq)]
    enum Health {
        #[default]
        Good,
        /// Writes wait.
        Stopped,
        /// Every write but the third of three fails, and takes only a few bytes.
        Bad,
        Dead,
    }

    pub struct OnDisk(pub Arc<Disk>);

    impl Disk {
        fn set(&self, change: impl FnOnce(&mut State)) {
            change(&mut self.state.lock().unwrap());
            self.changed.notify_all();
        }

        fn wait_until(&self, condition: impl Fn(&State) -> bool) {
            drop(self.changed.wait_while(self.state.lock().unwrap(), |state| !condition(state)).unwrap());
        }
    }

    impl Write for OnDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.set(|state| state.waiting = true);
            self.0.wait_until(|state| state.health != Health::Stopped);
            let mut state = self.0.state.lock().unwrap();
            state.waiting = false;
            state.writes += 1;
            let taken = match state.health {
                Health::Good | Health::Stopped => bytes.len(),
                Health::Bad if state.writes.is_multiple_of(3) => bytes.len().min(7),
                Health::Bad | Health::Dead => return Err(io::ErrorKind::StorageFull.into()),
            };
            state.bytes.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn record(recorder: &Recorder, number: usize) {
        recorder.record(format!("{{\"n\":{number}}}\n").into_bytes());
    }

    fn numbers(text: &str) -> Vec<usize> {
        text.lines().filter_map(|line| line.strip_prefix("{\"n\":")?.strip_suffix('}')?.parse().ok()).collect()
    }

    #[test]
    fn a_full_queue_leaves_a_gap_with_the_exact_count() {
        let capture = Capture::start(8);
        capture.disk.set(|state| state.health = Health::Stopped);
        record(&capture.recorder, 0);
        capture.disk.wait_until(|state| state.waiting);
        (1..=8 + 5).for_each(|number| record(&capture.recorder, number));
        assert_eq!(capture.recorder.numbers(), Numbers { written: 0, lost: 5, disk_errors: 0 });
        capture.disk.set(|state| state.health = Health::Good);
        let text = capture.text();
        assert_eq!(numbers(&text), (0..=8).collect::<Vec<_>>());
        let gaps: Vec<serde_json::Value> =
            text.lines().filter(|line| line.contains("gap")).map(|line| line.parse().unwrap()).collect();
        assert_eq!(gaps.len(), 1, "{text}");
        assert_eq!(gaps[0]["gap"], 5);
        assert!(gaps[0]["time"].is_string());
    }

    #[test]
    fn a_queue_that_is_just_full_leaves_no_gap() {
        let capture = Capture::start(8);
        capture.disk.set(|state| state.health = Health::Stopped);
        record(&capture.recorder, 0);
        capture.disk.wait_until(|state| state.waiting);
        (1..=8).for_each(|number| record(&capture.recorder, number));
        capture.disk.set(|state| state.health = Health::Good);
        assert_eq!(capture.text().lines().count(), 9);
        assert_eq!(capture.recorder.numbers(), Numbers { written: 9, lost: 0, disk_errors: 0 });
    }

    #[test]
    fn a_disk_that_fails_and_tears_loses_no_line() {
        let capture = Capture::start(64);
        capture.disk.set(|state| state.health = Health::Bad);
        (0..20).for_each(|number| record(&capture.recorder, number));
        let text = capture.text();
        assert_eq!(numbers(&text), (0..20).collect::<Vec<_>>());
        let after = capture.recorder.numbers();
        assert_eq!((after.written, after.lost), (20, 0));
        assert!(after.disk_errors > 0);
    }

    #[test]
    fn a_dead_disk_does_not_hold_the_process_and_what_it_lost_is_counted() {
        let capture = Capture::start(64);
        capture.disk.set(|state| state.health = Health::Dead);
        (0..20).for_each(|number| record(&capture.recorder, number));
        let task = capture.task.lock().unwrap().take().unwrap();
        assert_eq!(task.flush_and_stop(Duration::from_millis(5)), Err(StopError::Late));
        assert_eq!(capture.recorder.numbers().lost, 20);
        // After the end nobody writes, and that is counted too.
        record(&capture.recorder, 20);
        assert_eq!(capture.recorder.numbers().lost, 21);
    }

    fn settings(path: &Path, rotate_bytes: u64, keep: usize) -> AuditSettings {
        AuditSettings { file: Some(path.to_owned()), rotate_bytes, keep, queue_records_max: 4096, subject_key: None }
    }

    fn start(settings: &AuditSettings) -> (Recorder, RecorderTask) {
        Recorder::start(settings, SubjectKey::new(&[7; 32]).unwrap()).unwrap()
    }

    #[test]
    fn rotation_keeps_so_many_files_and_loses_no_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        // 100 lines of 10 bytes: ten in each file, the current one and three before it.
        let (recorder, task) = start(&settings(&path, 100, 3));
        (10..110).for_each(|number| recorder.record(format!("{{\"n\":{number:03}}}\n").into_bytes()));
        task.flush_and_stop(Duration::from_secs(60)).unwrap();
        assert_eq!(recorder.numbers(), Numbers { written: 100, lost: 0, disk_errors: 0 });
        let read = |ending: &str| std::fs::read_to_string(directory.path().join(format!("audit.jsonl{ending}")));
        let all: String = [".3", ".2", ".1", ""].iter().map(|ending| read(ending).unwrap()).collect();
        assert_eq!(numbers(&all), (70..110).collect::<Vec<_>>());
        assert!(read("").unwrap().len() == 100 && read(".4").is_err());
    }

    #[test]
    fn a_restart_goes_on_in_the_same_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        for number in 0..2 {
            let (recorder, task) = start(&settings(&path, 1000, 3));
            record(&recorder, number);
            task.flush_and_stop(Duration::from_secs(60)).unwrap();
        }
        assert_eq!(numbers(&std::fs::read_to_string(&path).unwrap()), [0, 1]);
    }

    #[test]
    fn a_file_that_somebody_moved_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let (recorder, task) = start(&settings(&path, 1000, 3));
        let moved = directory.path().join("moved");
        std::fs::rename(&path, &moved).unwrap();
        recorder.reopen();
        record(&recorder, 1);
        task.flush_and_stop(Duration::from_secs(60)).unwrap();
        assert_eq!(numbers(&std::fs::read_to_string(&path).unwrap()), [1]);
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "");
    }

    #[test]
    fn who_cannot_record_does_not_start() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(&directory.path().join("missing").join("audit.jsonl"), 1000, 3);
        let error = Recorder::start(&settings, SubjectKey::new(&[7; 32]).unwrap()).err().unwrap();
        assert!(matches!(error, AuditError::Open { .. }));
    }
}
