//! Watching the policy directory: a change on disk becomes a new epoch, or a loud refusal.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time;

/// Editors and `git checkout` write several files; a set is read when it has been quiet for this long.
const QUIET: Duration = Duration::from_millis(200);

/// Network file systems send no events: look again after this long in any case.
const POLL: Duration = Duration::from_secs(30);

/// Calls `changed` whenever something below `directory` may have changed. It runs until dropped.
///
/// It watches the directory and its folders rather than files: editors and Kubernetes replace files by renaming. `changed` compares
/// digests and finds out whether anything really did.
pub async fn watch(directory: &Path, mut changed: impl FnMut()) {
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
    loop {
        if time::timeout(POLL, wake.notified()).await.is_ok() {
            while time::timeout(QUIET, wake.notified()).await.is_ok() {}
        }
        changed();
    }
}
