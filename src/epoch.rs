//! Epochs: one whole set of policy files, in force at once or not at all.
//!
//! Owns reading the files and secrets from disk, building what requests need of them, the swap from one epoch to the next, and noticing
//! that the files are others. A request holds one epoch from start to end; a broken set of files changes nothing.

mod build;
mod files;
mod lookup;
mod named_files;
mod rehearsal;
mod secrets;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

pub use build::{BuildError, Epoch, Route, Tenant};
pub use files::{FilesError, PolicyDirectory};
pub use named_files::NamedFiles;
pub use rehearsal::RehearsalEpoch;
pub use secrets::{SecretError, fetch as fetch_secret};
pub use watch::Watch;

use crate::observe::Metrics;
use crate::policy::{Findings, Paint};
use named_files::ContentsDigest;

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
    attempted: Mutex<Attempted>,
    metrics: Arc<Metrics>,
}

/// What was looked at last, good or not.
struct Attempted {
    /// The digest of the policy files. `None`: they could not be read.
    policies: Option<Arc<str>>,
    /// The files that policies name: those of the last ones that could be understood.
    named: Arc<NamedFiles>,
    contents: ContentsDigest,
}

impl Epochs {
    /// Loads the first epoch.
    ///
    /// # Errors
    ///
    /// The files cannot be read or are wrong: without a good policy nothing starts.
    pub fn start(directory: &Path, metrics: &Arc<Metrics>) -> Result<Self, LoadError> {
        let (attempted, epoch) = load(directory, metrics)?;
        Ok(Self {
            directory: directory.to_owned(),
            current: ArcSwap::from_pointee(epoch?),
            attempted: Mutex::new(attempted),
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

    /// The files that the policies name, also those that nothing could be built from: what mends them is a change of theirs.
    #[must_use]
    pub fn named_files(&self) -> Arc<NamedFiles> {
        Arc::clone(&self.attempted().named)
    }

    /// Reads everything again. What it gives is in force only after [`enforce`](Self::enforce).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); the last good epoch stays.
    pub fn prepare(&self) -> Result<Arc<Epoch>, LoadError> {
        let (attempted, epoch) = load(&self.directory, &self.metrics)?;
        // Also where it could not be built: what mends it may be a file that only these policies name.
        *self.attempted() = attempted;
        Ok(Arc::new(epoch?))
    }

    /// Puts an epoch in force, for requests that begin from now on.
    pub fn enforce(&self, epoch: Arc<Epoch>) {
        self.current.store(epoch);
    }

    /// Whether the policy files or the files that they name are others than when they were last looked at. Files that cannot be read
    /// count as changed once, so that the reload says what is wrong with them.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        let policies = PolicyDirectory::read(&self.directory).ok().map(|files| Arc::from(files.digest()));
        let mut attempted = self.attempted();
        let contents = attempted.named.digest();
        let changed = (&attempted.policies, attempted.contents) != (&policies, contents);
        (attempted.policies, attempted.contents) = (policies, contents);
        changed
    }

    fn attempted(&self) -> MutexGuard<'_, Attempted> {
        // It is whole at every moment: nothing that changes it can break off midway.
        self.attempted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the policies and what they name. Both what was looked at and what came of it, which may be wanting while the policies are right.
fn load(directory: &Path, metrics: &Arc<Metrics>) -> Result<(Attempted, Result<Epoch, BuildError>), LoadError> {
    let files = PolicyDirectory::read(directory)?;
    let (set, findings) = crate::policy::parse(files.policy_files());
    let set = set.ok_or(LoadError::Policy(findings))?;
    let named = NamedFiles::of(&set);
    // Before anything is loaded from them: a file that is replaced in between is loaded as the new one and known as the old one, so it is
    // loaded once too often. The other way round it would never be loaded.
    let contents = named.digest();
    let attempted = Attempted { policies: Some(Arc::from(files.digest())), named: Arc::new(named), contents };
    Ok((attempted, Epoch::build(files.digest(), set, metrics)))
}
