//! Watching the policy directory: a change on disk becomes a new epoch, or a loud refusal.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time;

/// Editors and `git checkout` write several files; a set is read when it has been quiet for this long.
const QUIET: Duration = Duration::from_millis(200);

/// Network file systems send no events: look again after this long in any case.
const POLL: Duration = Duration::from_secs(30);

/// Watches the directory and its folders rather than files: editors and Kubernetes replace files by renaming.
pub struct Watch {
    wake: Arc<Notify>,
    /// Absent where the system has no watches left; then the directory is only looked at regularly.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Watches from now on.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        let wake = Arc::new(Notify::new());
        let watcher = {
            let wake = Arc::clone(&wake);
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
                // Reading a file is an event as well; reacting to it would be a loop.
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
                Ok(_) | Err(_) => wake.notify_one(),
            })
            .and_then(|mut watcher| watcher.watch(directory, RecursiveMode::Recursive).map(|()| watcher))
        };
        if let Err(error) = &watcher {
            tracing::warn!(error = %error, seconds = POLL.as_secs(), "cannot watch the policy directory; looking at it regularly instead");
        }
        Self { wake, _watcher: watcher.ok() }
    }

    /// Waits until something may have changed and the directory has been quiet for a moment; at the latest for `POLL`. Whether
    /// anything really did, the digests tell.
    pub async fn changed(&self) {
        if time::timeout(POLL, self.wake.notified()).await.is_ok() {
            while time::timeout(QUIET, self.wake.notified()).await.is_ok() {}
        }
    }
}
