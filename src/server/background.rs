//! What runs beside the requests, and how each part of it ends.
//!
//! A part is given its end where it is started, so that none can be forgotten there. It knows no part by name but those that have an end of
//! their own: threads.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::workers::Workers;
use crate::audit::RecorderTask;
use crate::state::DiskTask;

/// At the end the records that wait are written, for at most this long.
const LAST_RECORDS: Duration = Duration::from_secs(5);

/// All parts that are running. Dropped, those that are tasks are cut, and the workers are told to stop.
pub(super) struct Background {
    until_drain: JoinSet<()>,
    until_drained: JoinSet<()>,
    until_told: JoinSet<()>,
    told: CancellationToken,
    workers: Workers,
    disk_task: Option<DiskTask>,
    recorder_task: RecorderTask,
}

impl Background {
    /// The threads; no other part yet.
    pub(super) fn new(workers: Workers, disk_task: Option<DiskTask>, recorder_task: RecorderTask) -> Self {
        Self {
            until_drain: JoinSet::new(),
            until_drained: JoinSet::new(),
            until_told: JoinSet::new(),
            told: CancellationToken::new(),
            workers,
            disk_task,
            recorder_task,
        }
    }

    /// The runtimes of the workers.
    pub(super) fn workers(&self) -> &[Handle] {
        self.workers.handles()
    }

    /// Starts what is cut when the drain begins: nobody waits for what it would begin then.
    pub(super) fn until_drain(&mut self, part: impl Future<Output = ()> + Send + 'static) {
        self.until_drain.spawn(part);
    }

    /// Starts what is cut when the drain is over: requests may need it until then.
    pub(super) fn until_drained(&mut self, part: impl Future<Output = ()> + Send + 'static) {
        self.until_drained.spawn(part);
    }

    /// Starts what is told to end after all that is served has ended, and is waited for.
    pub(super) fn until_told<F>(&mut self, part: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.until_told.spawn(part(self.told.clone()));
    }

    /// Ends what the drain does not wait for.
    pub(super) fn begin_drain(&mut self) {
        self.until_drain.abort_all();
    }

    /// The drain is over: ends everything. Last of all, what is still to be written is.
    pub(super) async fn end(self) {
        // All of them by name: a part that is new has to have an end here.
        let Self { until_drain, mut until_drained, mut until_told, told, workers, disk_task, recorder_task } = self;
        drop(until_drain);
        until_drained.abort_all();
        workers.stop();
        told.cancel();
        while until_told.join_next().await.is_some() {}
        if let Some(disk_task) = disk_task {
            let written = spawn_blocking(move || disk_task.flush_and_stop(LAST_RECORDS)).await;
            if !matches!(written, Ok(Ok(()))) {
                tracing::error!("the last of the state could not be written");
            }
        }
        let flushed = spawn_blocking(move || recorder_task.flush_and_stop(LAST_RECORDS)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::error!("some of the last records could not be written");
        }
    }
}
