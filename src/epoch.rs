//! Epochs: one whole set of policy files, in force at once or not at all.
//!
//! Owns reading the files and secrets from disk, building what requests need of them, and the swap from one epoch to the next. A request
//! holds one epoch from start to end; a broken set of files changes nothing.

mod build;
mod files;
mod rehearsal;
mod secrets;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

pub use build::{BuildError, Epoch, Route, Tenant};
pub use files::{FilesError, PolicyDirectory};
pub use rehearsal::RehearsalEpoch;
pub use secrets::{SecretError, fetch as fetch_secret};
pub use watch::Watch;

use crate::observe::Metrics;
use crate::policy::{Findings, Paint};

/// Why a set of policy files cannot be in force.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The files are not what they should be; every mistake is in the findings.
    #[error("{}", .0.render(Paint::Plain))]
    Policy(Findings),
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// The epoch in force, and the way to the next.
pub struct Epochs {
    directory: PathBuf,
    current: ArcSwap<Epoch>,
    /// The digest of the files that were read last, good or not.
    attempted: Mutex<Option<Arc<str>>>,
    metrics: Arc<Metrics>,
}

impl Epochs {
    /// Loads the first epoch.
    ///
    /// # Errors
    ///
    /// The files cannot be read or are wrong: without a good policy nothing starts.
    pub fn start(directory: &Path, metrics: &Arc<Metrics>) -> Result<Self, LoadError> {
        let epoch = load(directory, metrics)?;
        let attempted = Mutex::new(Some(Arc::clone(epoch.digest())));
        Ok(Self {
            directory: directory.to_owned(),
            current: ArcSwap::from_pointee(epoch),
            attempted,
            metrics: Arc::clone(metrics),
        })
    }

    /// The epoch in force. A request calls this once.
    #[must_use]
    pub fn current(&self) -> Arc<Epoch> {
        self.current.load_full()
    }

    /// The directory that is read.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Reads everything again. What it gives is in force only after [`enforce`](Self::enforce).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); the last good epoch stays.
    pub fn prepare(&self) -> Result<Arc<Epoch>, LoadError> {
        load(&self.directory, &self.metrics).map(Arc::new)
    }

    /// Puts an epoch in force, for requests that begin from now on.
    pub fn enforce(&self, epoch: Arc<Epoch>) {
        *self.attempted() = Some(Arc::clone(epoch.digest()));
        self.current.store(epoch);
    }

    /// Whether the files are others than when they were last looked at. Files that cannot be read count as changed once, so that
    /// the reload says what is wrong with them.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        let digest: Option<Arc<str>> =
            PolicyDirectory::read(&self.directory).ok().map(|files| Arc::from(files.digest()));
        let mut attempted = self.attempted();
        let changed = *attempted != digest;
        *attempted = digest;
        changed
    }

    fn attempted(&self) -> MutexGuard<'_, Option<Arc<str>>> {
        // It holds one value, which is whole at every moment.
        self.attempted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(directory: &Path, metrics: &Arc<Metrics>) -> Result<Epoch, LoadError> {
    let files = PolicyDirectory::read(directory)?;
    let (set, findings) = crate::policy::parse(files.policy_files());
    match set {
        Some(set) => Ok(Epoch::build(files.digest(), set, metrics)?),
        None => Err(LoadError::Policy(findings)),
    }
}
