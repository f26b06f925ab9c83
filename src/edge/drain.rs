//! The drain: how a process stops without breaking what is under way.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

/// Tells everybody to finish, and waits for them. Clones are the same drain.
#[derive(Clone, Debug, Default)]
pub struct Drain(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    begun: CancellationToken,
    /// Set before `begun`. Beside it because reading it takes no lock, and every connection reads it at every step.
    deadline: OnceLock<Instant>,
    tasks: TaskTracker,
}

impl Drain {
    /// A drain that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins: listeners close, connections finish the requests they have, and what is left after `time` is cut. Only the first call
    /// counts.
    pub fn begin(&self, time: Duration) {
        if self.0.deadline.set(Instant::now() + time).is_ok() {
            self.0.begun.cancel();
            self.0.tasks.close();
        }
    }

    /// Waits until the drain begins.
    pub fn begun(&self) -> WaitForCancellationFuture<'_> {
        self.0.begun.cancelled()
    }

    /// When what is left is cut. `None`: the drain has not begun.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline.get().copied()
    }

    /// Waits until what is left must be cut: for whoever moves bytes outside a connection's own task, such as a tunnel.
    pub async fn cut(&self) {
        self.begun().await;
        if let Some(deadline) = self.deadline() {
            sleep_until(deadline).await;
        }
    }

    /// The tasks for which [`Drain::finished`] waits.
    #[must_use]
    pub fn tasks(&self) -> &TaskTracker {
        &self.0.tasks
    }

    /// Waits until all tasks are over, or a moment after the deadline, by when all should have seen it.
    pub async fn finished(&self) -> Finished {
        self.begun().await;
        let deadline = self.deadline().unwrap_or_else(Instant::now) + LAST_MOMENT;
        match timeout_at(deadline, self.0.tasks.wait()).await {
            Ok(()) => Finished::All,
            Err(_) => Finished::Some,
        }
    }
}

/// For tasks to see that the deadline has passed.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    All,
    /// Some tasks did not even end when they were cut.
    Some,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_its_tasks_and_only_until_its_deadline() {
        let quick = Drain::new();
        quick.tasks().spawn(async {});
        quick.begin(Duration::from_secs(60));
        assert_eq!(quick.finished().await, Finished::All);

        let stuck = Drain::new();
        stuck.tasks().spawn(std::future::pending::<()>());
        assert_eq!(stuck.deadline(), None);
        stuck.begin(Duration::ZERO);
        let deadline = stuck.deadline();
        stuck.begin(Duration::from_secs(60));
        assert_eq!(stuck.deadline(), deadline);
        stuck.cut().await;
        assert_eq!(stuck.finished().await, Finished::Some);
    }
}
