//! Epochs: one whole set of policy files, in force at once or not at all.
//!
//! Owns reading the files and secrets from disk, building what requests need of them, the swap from one epoch to the next, and noticing
//! that the files are others. A request holds one epoch from start to end; a broken set of files changes nothing.

mod build;
mod files;
mod key_sets;
mod lookup;
mod named_files;
mod rehearsal;
mod secrets;
mod slips;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

pub use build::{BuildError, Epoch, Route, Tenant};
pub use files::{FilesError, PolicyDirectory};
pub use key_sets::{KeySetBuildError, read as read_key_set};
pub use named_files::NamedFiles;
pub use rehearsal::RehearsalEpoch;
pub use secrets::{SecretError, fetch as fetch_secret, fetch_key};
pub use watch::Watch;

use crate::issuers::Issuers;
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
    issuers: Arc<Issuers>,
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
        let issuers = Issuers::new(metrics);
        let (attempted, epoch) = load(directory, metrics, &issuers)?;
        Ok(Self {
            directory: directory.to_owned(),
            current: ArcSwap::from_pointee(epoch?),
            attempted: Mutex::new(attempted),
            metrics: Arc::clone(metrics),
            issuers,
        })
    }

    /// The epoch in force. A request calls this once.
    #[must_use]
    pub fn current(&self) -> Arc<Epoch> {
        self.current.load_full()
    }

    /// The issuers of all epochs. Somebody must let them [`run`](Issuers::run), or no set is ever fetched.
    #[must_use]
    pub fn issuers(&self) -> &Arc<Issuers> {
        &self.issuers
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
        let (attempted, epoch) = load(&self.directory, &self.metrics, &self.issuers)?;
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
fn load(
    directory: &Path,
    metrics: &Arc<Metrics>,
    issuers: &Issuers,
) -> Result<(Attempted, Result<Epoch, BuildError>), LoadError> {
    let files = PolicyDirectory::read(directory)?;
    let (set, findings) = crate::policy::parse(files.policy_files());
    // Also where nothing comes of the files: a slip may be why.
    let mut slips = Findings::default();
    files.slips(set.as_ref(), &mut slips);
    for slip in slips.iter() {
        tracing::warn!(%slip, "policy_slip");
    }
    let set = set.ok_or(LoadError::Policy(findings))?;
    let named = NamedFiles::of(&set);
    // Before anything is loaded from them: a file that is replaced in between is loaded as the new one and known as the old one, so it is
    // loaded once too often. The other way round it would never be loaded.
    let contents = named.digest();
    let attempted = Attempted { policies: Some(Arc::from(files.digest())), named: Arc::new(named), contents };
    issuers.keep_in(set.gateway.key_cache.as_deref());
    Ok((attempted, Epoch::build(files.digest(), set, metrics, issuers)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const GATEWAY: &str = r#"
        [[listeners]]
        name = "public"
        address = "127.0.0.1:8443"
        certificates = [{ certificate = "../files/chain.pem", key = "../files/key.pem" }]
        [upstreams.attributes]
        url = "https://attributes.example"
        ca = "../files/ca.pem"
    "#;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("mode set");
    }

    #[test]
    fn each_change_of_a_policy_or_of_a_file_that_it_names_counts_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let policies = directory.path().join("policies");
        let file = |name: &str| directory.path().join("files").join(name);
        let acme = include_str!("../policies/workspaces/acme.toml");
        let acme = acme.replace(r#"{ env = "ACME_MESSENGER_SECRET" }"#, r#"{ file = "../files/secret" }"#);
        let ca = crate::edge::dev_certificates::make_dev(&[], crate::clock::UnixSeconds(1_800_000_000));
        let ca = ca.expect("certificates").ca_pem;
        write(&policies.join("gateway.toml"), GATEWAY);
        write(&policies.join("workspaces/acme.toml"), &acme);
        write(&file("secret"), "0123456789abcdef0123456789abcdef");
        write(&file("ca.pem"), &ca);
        let epochs = Epochs::start(&policies, &Metrics::new()).unwrap_or_else(|error| panic!("{error}"));
        let digest = Arc::clone(epochs.current().digest());
        assert!(!epochs.has_changed());
        let changes_once = |path: &Path, text: &str| {
            write(path, text);
            assert!(epochs.has_changed(), "{}", path.display());
            assert!(!epochs.has_changed(), "{}", path.display());
        };
        for name in ["chain.pem", "key.pem"] {
            changes_once(&file(name), "there now");
            changes_once(&file(name), "another");
        }
        changes_once(&file("ca.pem"), &format!("{ca}\n"));
        changes_once(&file("secret"), "fedcba9876543210fedcba9876543210");
        // What is not named may change as it likes.
        write(&file("another.secret"), "another");
        assert!(!epochs.has_changed());
        // The name of an epoch says nothing about secrets, so it may stand in records.
        let epoch = epochs.prepare().expect("good");
        assert_eq!(*epoch.digest(), digest);
        assert!(!epochs.has_changed());

        // Policies that are right but cannot be in force, for want of a file that only they name: that it comes is a change.
        changes_once(&policies.join("workspaces/acme.toml"), &acme.replace("files/secret", "files/later"));
        assert!(matches!(epochs.prepare(), Err(LoadError::Build(BuildError::Secret { .. }))));
        assert!(!epochs.has_changed());
        changes_once(&file("later"), "0123456789abcdef0123456789abcdef");
        assert!(epochs.prepare().is_ok());
        fs::remove_file(file("later")).expect("removed");
        assert!(epochs.has_changed());
        assert!(!epochs.has_changed());
    }
}
