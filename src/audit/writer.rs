//! The thread that writes: from the queue to the sink, in whole lines and in order.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::file::Sink;
use super::line::gap_line;
use super::recorder::{Message, Shared};

/// Bytes that are gathered before they are written.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// How long an idle writer sleeps before it looks whether anybody wants something of it.
const IDLE: Duration = Duration::from_millis(200);

/// The rest after a batch: whoever records meanwhile need not wake a sleeping thread, which would cost a request more than its line.
const REST: Duration = Duration::from_millis(10);

/// Between two tries of a disk that fails.
pub(super) const RETRY: Duration = Duration::from_millis(200);

pub(super) struct Writer {
    pub queue: Receiver<Message>,
    pub queue_records_max: usize,
    pub sink: Sink,
    pub shared: Arc<Shared>,
    pub retry: Duration,
    /// Whole lines that wait to be written.
    pub buffer: Vec<u8>,
}

/// The disk fails and the time to stop is over: what is not written is lost.
struct GivenUp;

impl Writer {
    /// Writes until told to stop, or until nobody is left to record anything.
    pub(super) fn run(mut self) {
        if let Err(GivenUp) = self.write_all() {
            let unwritten = count_lines(&self.buffer) + self.queue.try_iter().map(Message::lines).sum::<u64>();
            self.shared.lost(unwritten);
        }
    }

    fn write_all(&mut self) -> Result<(), GivenUp> {
        loop {
            let first = self.queue.recv_timeout(IDLE);
            if self.shared.take_reopen() {
                self.write_out()?;
                self.reopen();
            }
            let ended = matches!(first, Err(RecvTimeoutError::Disconnected)) || self.shared.stop_at().is_some();
            let mut taken = 0;
            if let Ok(message) = first {
                self.take(message)?;
                taken += 1;
            }
            // As many as the queue can hold: under a load that never lets it run empty, the gaps still get their turn.
            while taken <= self.queue_records_max {
                let Ok(message) = self.queue.try_recv() else { break };
                self.take(message)?;
                taken += 1;
            }
            self.report_gap()?;
            self.write_out()?;
            if ended && taken <= self.queue_records_max {
                return Ok(());
            }
            if taken < self.queue_records_max / 4 && self.shared.stop_at().is_none() {
                std::thread::sleep(REST);
            }
        }
    }

    fn take(&mut self, message: Message) -> Result<(), GivenUp> {
        match message {
            Message::Line(line) => self.append(&line),
            Message::Wake => Ok(()),
        }
    }

    /// Says how many records found no room since the last time.
    fn report_gap(&mut self) -> Result<(), GivenUp> {
        let gap = self.shared.take_gap();
        if gap == 0 {
            return Ok(());
        }
        self.append(&gap_line(crate::clock::now(), gap))
    }

    fn append(&mut self, line: &[u8]) -> Result<(), GivenUp> {
        if self.sink.is_full_for(self.buffer.len(), line.len()) {
            self.write_out()?;
            if let Err(error) = self.sink.rotate() {
                self.failed("audit file not rotated", &error);
            }
        } else if self.buffer.len() + line.len() > BUFFER_BYTES_MAX {
            self.write_out()?;
        }
        self.buffer.extend_from_slice(line);
        Ok(())
    }

    /// Writes what is buffered, however long that takes: meanwhile the queue fills up, and what finds no room is counted.
    fn write_out(&mut self) -> Result<(), GivenUp> {
        let mut warned = false;
        while !self.buffer.is_empty() {
            let error = match self.sink.write(&self.buffer) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(written) => {
                    self.shared.written(count_lines(self.buffer.get(..written).unwrap_or_default()));
                    self.buffer.drain(..written);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            if warned {
                self.shared.disk_error();
            } else {
                self.failed("audit records wait for their disk", &error);
                warned = true;
            }
            if self.shared.stop_at().is_some_and(|stop_at| Instant::now() >= stop_at) {
                return Err(GivenUp);
            }
            std::thread::sleep(self.retry);
            if self.shared.take_reopen() {
                self.reopen();
            }
        }
        if let Err(error) = self.sink.flush() {
            self.failed("audit stream not flushed", &error);
        }
        Ok(())
    }

    fn reopen(&mut self) {
        if let Err(error) = self.sink.reopen() {
            self.failed("audit file not reopened", &error);
        }
    }

    fn failed(&self, what: &'static str, error: &io::Error) {
        self.shared.disk_error();
        tracing::warn!(%error, "{what}");
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
