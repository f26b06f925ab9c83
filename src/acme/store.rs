//! The store on disk: the account, certificates with their keys, and when the last try was, each file whole or not at all.
//!
//! Everything in it is for its owner alone. A certificate and its key are one file, so that no moment shows one without the other.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::Builder;
use zeroize::Zeroizing;

use crate::edge::private_file::PrivateFile;

/// The part of a store that is one authority's.
#[derive(Clone, Debug)]
pub(super) struct Store {
    folder: PathBuf,
}

/// While this is held, no other process orders for the store.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the file is the lock; nobody reads it")] File);

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("`acme.store`: `{}` cannot be made or used: {source}", path.display())]
    Use { path: PathBuf, source: io::Error },
    #[error("`acme.store`: `{}` can be written by others: run `chmod go-w {}`", .0.display(), .0.display())]
    Open(PathBuf),
}

/// The account, the record of tries: short texts.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// How files begin that are being written. One that is left was never whole.
const UNFINISHED: &str = ".unfinished-";

/// What others may do that makes a file nobody's word.
const WRITABLE_BY_OTHERS: u32 = 0o022;

impl Store {
    /// Makes the directories where they are not there.
    ///
    /// # Errors
    ///
    /// They cannot be made, or others can write there: whoever can gives us keys.
    pub(super) fn open(root: &Path, folder: &Path) -> Result<Self, StoreError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| StoreError::Use { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        for path in [root, folder] {
            let metadata = fs::metadata(path).map_err(failed(path))?;
            if metadata.permissions().mode() & WRITABLE_BY_OTHERS != 0 {
                return Err(StoreError::Open(path.to_owned()));
            }
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// For the log.
    pub(super) fn shown(&self) -> std::path::Display<'_> {
        self.folder.display()
    }

    /// Becomes the one that orders. `None`: another process is.
    pub(super) fn lock(&self) -> Result<Option<Lock>, StoreError> {
        let path = self.folder.join("lock");
        let failed = |source| StoreError::Use { path: path.clone(), source };
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                self.sweep();
                Ok(Some(Lock(file)))
            }
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Removes what a process before us left unfinished.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                // What cannot be removed is met again next time.
                drop(fs::remove_file(entry.path()));
            }
        }
    }

    /// The account as it was written. `None`: there is none.
    pub(super) fn account(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.read("account.json")
    }

    pub(super) fn keep_account(&self, text: &[u8]) -> Result<(), StoreError> {
        self.write(&self.folder.join("account.json"), text)
    }

    /// What is known of the tries for one certificate.
    pub(super) fn tries(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.read(&format!("{name}.tries.json"))
    }

    pub(super) fn keep_tries(&self, name: &str, text: &[u8]) -> Result<(), StoreError> {
        self.write(&self.folder.join(format!("{name}.tries.json")), text)
    }

    /// Chain and key in one file, at its place.
    pub(super) fn keep_certificate(&self, file: &Path, text: &[u8]) -> Result<(), StoreError> {
        self.write(file, text)
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let path = self.folder.join(name);
        match PrivateFile::open(&path) {
            Ok(file) if file.mode() & WRITABLE_BY_OTHERS != 0 => Err(StoreError::Open(path)),
            Ok(file) => file.read(TEXT_BYTES_MAX).map(Some).map_err(|source| StoreError::Use { path, source }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Use { path, source }),
        }
    }

    fn write(&self, path: &Path, text: &[u8]) -> Result<(), StoreError> {
        let written = || -> io::Result<()> {
            // For its owner alone from the first byte on.
            let mut file = Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder)?;
            file.write_all(text)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            // So that the name outlives a power failure too.
            File::open(&self.folder)?.sync_all()
        };
        written().map_err(|source| StoreError::Use { path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn everything_is_for_its_owner_alone_and_replaced_whole() {
        let directory = tempfile::tempdir().expect("a directory");
        let (root, folder) = (directory.path().join("acme"), directory.path().join("acme/authority"));
        let store = Store::open(&root, &folder).expect("a store");
        assert_eq!((mode(&root), mode(&folder)), (0o700, 0o700));
        assert!(store.account().expect("read").is_none());
        for text in ["first", "second"] {
            store.keep_account(text.as_bytes()).expect("kept");
            assert_eq!(store.account().expect("read").expect("there").as_slice(), text.as_bytes());
        }
        assert_eq!(mode(&folder.join("account.json")), 0o600);
        assert_eq!(fs::read_dir(&folder).expect("listed").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_others_can_write_is_not_used() {
        let directory = tempfile::tempdir().expect("a directory");
        let (root, folder) = (directory.path().join("acme"), directory.path().join("acme/authority"));
        let store = Store::open(&root, &folder).expect("a store");
        store.keep_account(b"account").expect("kept");
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode set");
        set(&folder.join("account.json"), 0o620);
        assert!(matches!(store.account(), Err(StoreError::Open(_))));
        for path in [&root, &folder] {
            set(path, 0o770);
            assert!(matches!(Store::open(&root, &folder), Err(StoreError::Open(_))), "{}", path.display());
            set(path, 0o700);
        }
        assert!(Store::open(&root, &folder).is_ok());
    }

    #[test]
    fn one_orders_at_a_time_and_sweeps_what_the_last_one_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let (root, folder) = (directory.path().join("acme"), directory.path().join("acme/authority"));
        let store = Store::open(&root, &folder).expect("a store");
        fs::write(folder.join(".unfinished-abc"), "half a key").expect("written");
        let lock = store.lock().expect("usable").expect("free");
        assert!(!folder.join(".unfinished-abc").exists());
        assert!(store.lock().expect("usable").is_none());
        drop(lock);
        assert!(store.lock().expect("usable").is_some());
    }
}
