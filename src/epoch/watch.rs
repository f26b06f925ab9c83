//! Watching the policy directory and the files that policies name: a change on disk becomes a new epoch, or a loud refusal.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time;

use super::lookup;
use super::named_files::NamedFiles;

/// Editors and `git checkout` write several files, and a certificate comes with its key; a set is read when it has been quiet for this
/// long.
const QUIET: Duration = Duration::from_millis(200);

/// Network file systems send no events, and a directory that somebody writes to all the time is never quiet: look again after this long
/// in any case.
const POLL: Duration = Duration::from_secs(30);

/// Watches directories rather than files: editors and Kubernetes replace files by renaming.
pub struct Watch {
    wake: Arc<Notify>,
    directory: PathBuf,
    /// Absent where the system has no watches left; then the directory is only looked at regularly.
    policies: Option<RecommendedWatcher>,
    /// Which directory it watches: the path may be a link, and lead to another one later.
    policies_inode: Option<Inode>,
    /// A watcher of its own, since a directory that one watcher watches twice, whole and alone, is watched in the second way only.
    named: Option<RecommendedWatcher>,
    /// What the watcher of named files wakes for. Such a file may lie in a directory where much else is written, such as the record.
    wanted: Arc<ArcSwap<HashSet<PathBuf>>>,
    /// The directories that it watches, with the device and inode that tell whether one was replaced.
    watched: BTreeMap<PathBuf, Inode>,
    /// The directories that it cannot watch: each is told once.
    unwatched: BTreeSet<PathBuf>,
}

type Inode = (u64, u64);

impl Watch {
    /// Watches the policy directory from now on, and the files that policies name once it has been told to [`follow`](Self::follow) them.
    #[must_use]
    pub fn start(directory: &Path) -> Self {
        let wake = Arc::new(Notify::new());
        let wanted = Arc::new(ArcSwap::default());
        let named = waking(&wake, {
            let wanted = Arc::clone(&wanted);
            move |event| concerns(event, &wanted.load())
        });
        if let Err(error) = &named {
            tracing::warn!(error = %error, seconds = POLL.as_secs(), "cannot watch certificates and secrets; looking at them regularly instead");
        }
        Self {
            policies: watching_policies(&wake, directory),
            policies_inode: inode(directory),
            directory: directory.to_owned(),
            wake,
            named: named.ok(),
            wanted,
            watched: BTreeMap::new(),
            unwatched: BTreeSet::new(),
        }
    }

    /// Watches whatever decides what these files, and the policy directory, are: after a reload, and after each change, since a link that
    /// leads elsewhere leads to another directory.
    pub fn follow(&mut self, files: &NamedFiles) {
        self.follow_policies();
        let Some(watcher) = &mut self.named else { return };
        let entries = lookup::entries(files.paths().chain([self.directory.as_path()]));
        let directories: BTreeMap<PathBuf, Inode> = entries
            .iter()
            .filter_map(|entry| entry.parent())
            .filter_map(|path| Some((path.to_owned(), inode(path)?)))
            .collect();
        // A directory itself is wanted too: it may be renamed away.
        self.wanted.store(Arc::new(entries.iter().chain(directories.keys()).cloned().collect()));
        self.watched.retain(|path, inode| {
            let stays = directories.get(path) == Some(inode);
            if !stays {
                // That it is gone, and the watch with it, is a reason to be here.
                drop(watcher.unwatch(path));
            }
            stays
        });
        self.unwatched.retain(|path| directories.contains_key(path));
        for (path, inode) in directories {
            // Also what is watched already: a directory that was removed and made again may have the inode of before, and its watch is
            // gone. For the others this does nothing.
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.unwatched.remove(&path);
                    if self.watched.insert(path, inode).is_none() {
                        // It may have changed after it was read and before it was watched.
                        self.wake.notify_one();
                    }
                }
                Err(error) => {
                    if self.unwatched.insert(path.clone()) {
                        let directory = path.display();
                        tracing::warn!(%directory, %error, seconds = POLL.as_secs(), "cannot watch a directory of certificates or secrets; looking at it regularly instead");
                    }
                }
            }
        }
    }

    /// A watch stays with the directory that it began with.
    fn follow_policies(&mut self) {
        let inode = inode(&self.directory);
        if inode != self.policies_inode {
            self.policies_inode = inode;
            self.policies = watching_policies(&self.wake, &self.directory);
            // It may have changed after it was read and before it was watched.
            self.wake.notify_one();
        }
    }

    /// Waits until something may have changed and it has been quiet for a moment; at the latest for `POLL`. Whether anything really did,
    /// the digests tell.
    pub async fn changed(&self) {
        let quiet = async {
            self.wake.notified().await;
            while time::timeout(QUIET, self.wake.notified()).await.is_ok() {}
        };
        // Either is a reason to look.
        drop(time::timeout(POLL, quiet).await);
    }
}

/// A watcher of the policy directory and all below it.
fn watching_policies(wake: &Arc<Notify>, directory: &Path) -> Option<RecommendedWatcher> {
    let watcher = waking(wake, |_| true)
        .and_then(|mut watcher| watcher.watch(directory, RecursiveMode::Recursive).map(|()| watcher));
    if let Err(error) = &watcher {
        tracing::warn!(error = %error, seconds = POLL.as_secs(), "cannot watch the policy directory; looking at it regularly instead");
    }
    watcher.ok()
}

/// A watcher that wakes for the events that are `wanted`, and for whatever is no event.
fn waking(wake: &Arc<Notify>, wanted: impl Fn(&Event) -> bool + Send + 'static) -> notify::Result<RecommendedWatcher> {
    let wake = Arc::clone(wake);
    notify::recommended_watcher(move |event: notify::Result<Event>| match event {
        // Reading a file is an event as well; reacting to it would be a loop.
        Ok(event) if matches!(event.kind, EventKind::Access(_)) || !wanted(&event) => {}
        Ok(_) | Err(_) => wake.notify_one(),
    })
}

fn concerns(event: &Event, wanted: &HashSet<PathBuf>) -> bool {
    // Without a path: events were lost, and any may have been among them.
    event.paths.is_empty() || event.paths.iter().any(|path| wanted.contains(path))
}

fn inode(directory: &Path) -> Option<Inode> {
    // One that is gone by now is met at the next look.
    let metadata = fs::metadata(directory).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use notify::event::ModifyKind;

    use super::*;

    #[test]
    fn what_else_is_written_beside_a_named_file_wakes_nobody() {
        let wanted = HashSet::from(["dir", "dir/..data", "dir/tls.crt"].map(PathBuf::from));
        let event = |path: &str| Event::new(EventKind::Modify(ModifyKind::Any)).add_path(path.into());
        assert!(concerns(&event("dir/tls.crt"), &wanted));
        assert!(concerns(&event("dir/..data"), &wanted));
        assert!(concerns(&event("dir"), &wanted));
        assert!(concerns(&Event::new(EventKind::Other), &wanted));
        assert!(!concerns(&event("dir/audit.jsonl"), &wanted));
        assert!(!concerns(&event("dir/tls.crt.new"), &wanted));
    }
}
