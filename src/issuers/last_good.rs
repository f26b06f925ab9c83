//! The last good set of each issuer on disk, so that a restart while the issuer is gone does not lock everybody out.
//!
//! A file says when its set was fetched, so that a restart makes nothing younger. Whoever can write there decides who signs: a file or a
//! directory that others can write is not believed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::issuer::Identity;
use crate::clock::UnixSeconds;
use crate::identity::{KeySet, KeySetError, SET_BYTES_MAX};

/// The directory of the sets.
#[derive(Clone, Debug)]
pub(super) struct Directory(PathBuf);

/// A set that was read again.
#[derive(Debug)]
pub struct LastGood {
    pub keys: KeySet,
    /// When its issuer published it.
    pub at: UnixSeconds,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum LastGoodError {
    #[error("`{}` cannot be read: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("`{}` can be written by others: run `chmod go-w {}`", .0.display(), .0.display())]
    Open(PathBuf),
    #[error("`{}` was not written by this program for this issuer", .0.display())]
    Foreign(PathBuf),
    #[error("`{}`: {source}", path.display())]
    Set { path: PathBuf, source: KeySetError },
}

/// How a file begins; a later form would say another number.
const MAGIC: &str = "countersign-key-set 1";

/// What stands before the set: the magic word, a time, and the issuer.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// What others may do that makes a file nobody's word.
const WRITABLE_BY_OTHERS: u32 = 0o022;

impl Directory {
    /// Makes it where it is not there. One that cannot be used costs no start: each file says so again.
    pub(super) fn open(path: &Path) -> Self {
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(path) {
            tracing::warn!(directory = %path.display(), reason = %error, "key_cache_unusable: keys that are fetched do not outlive the process");
        }
        Self(path.to_owned())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a set, whole or not at all.
    pub(super) fn keep(&self, identity: &Identity, at: UnixSeconds, content: &[u8]) -> io::Result<()> {
        let path = self.0.join(file_name(identity));
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        let written = (|| {
            match fs::remove_file(&beside) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(format!("{}\n{}\n{}\n", MAGIC, at.0, identity.text()).as_bytes())?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&beside, &path)
        })();
        if written.is_err() {
            // What is left of it is in nobody's way.
            drop(fs::remove_file(&beside));
        }
        written
    }
}

/// Reads a set. `None`: there is none. A time that is still to come counts as `now`.
///
/// # Errors
///
/// There is one that is not to be believed.
pub(super) fn read(directory: &Path, identity: &Identity, now: UnixSeconds) -> Result<Option<LastGood>, LastGoodError> {
    let path = directory.join(file_name(identity));
    let unread = |source| LastGoodError::File { path: path.clone(), source };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unread(error)),
    };
    let of_directory = fs::metadata(directory).map_err(unread)?;
    for metadata in [of_directory, file.metadata().map_err(unread)?] {
        if metadata.permissions().mode() & WRITABLE_BY_OTHERS != 0 {
            return Err(LastGoodError::Open(path));
        }
    }
    let mut content = Vec::new();
    let most = SET_BYTES_MAX + HEAD_BYTES_MAX;
    file.take(most as u64 + 1).read_to_end(&mut content).map_err(unread)?;
    let foreign = || LastGoodError::Foreign(path.clone());
    if content.len() > most {
        return Err(foreign());
    }
    let mut parts = content.splitn(4, |byte| *byte == b'\n');
    let mut line = || parts.next().and_then(|line| std::str::from_utf8(line).ok()).ok_or_else(foreign);
    let (magic, at, of) = (line()?, line()?, line()?);
    let at: i64 = at.parse().map_err(|_| foreign())?;
    if magic != MAGIC || of != identity.text() {
        return Err(foreign());
    }
    let set = parts.next().ok_or_else(foreign)?;
    let keys = KeySet::parse(set, identity.algorithms())
        .map_err(|source| LastGoodError::Set { path: path.clone(), source })?;
    Ok(Some(LastGood { keys, at: UnixSeconds(at.min(now.0)) }))
}

fn file_name(identity: &Identity) -> String {
    format!("{}.jwks", identity.digest())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::key_set_testing::document;
    use crate::policy::{Algorithm, IssuerPolicy};

    const NOW: UnixSeconds = UnixSeconds(1_795_000_000);

    fn identity(url: &str) -> Identity {
        let policy = IssuerPolicy {
            url: url.parse().expect("a url"),
            ca: None,
            refresh: std::time::Duration::from_secs(600),
            stale_after: std::time::Duration::from_secs(6000),
        };
        Identity::new(&policy, &[Algorithm::Es256])
    }

    fn kept() -> (tempfile::TempDir, Identity, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).expect("mode set");
        let identity = identity("https://issuer.example/jwks.json");
        let content = document(&["a", "b"]);
        Directory::open(directory.path()).keep(&identity, UnixSeconds(NOW.0 - 50), content.as_bytes()).expect("kept");
        let path = directory.path().join(file_name(&identity));
        (directory, identity, path)
    }

    #[test]
    fn what_was_kept_is_read_again_with_its_time() {
        let (directory, identity, path) = kept();
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode, fs::read_dir(directory.path()).expect("listed").count()), (0o600, 1));
        let last_good = read(directory.path(), &identity, NOW).expect("good").expect("there");
        assert_eq!((last_good.keys.len(), last_good.at), (2, UnixSeconds(NOW.0 - 50)));
        let earlier = read(directory.path(), &identity, UnixSeconds(1000)).expect("good").expect("there");
        assert_eq!(earlier.at, UnixSeconds(1000), "what is fetched tomorrow is no younger than now");
        let other = self::identity("https://issuer.example/other.json");
        assert!(read(directory.path(), &other, NOW).expect("good").is_none());
        assert!(read(&directory.path().join("nowhere"), &identity, NOW).expect("good").is_none());
    }

    #[test]
    fn what_others_can_write_is_not_believed() {
        let (directory, identity, path) = kept();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode set");
        for mode in [0o620, 0o602, 0o666] {
            set(&path, mode);
            assert!(matches!(read(directory.path(), &identity, NOW), Err(LastGoodError::Open(_))), "{mode:o}");
        }
        set(&path, 0o644);
        assert!(read(directory.path(), &identity, NOW).is_ok());
        set(directory.path(), 0o777);
        assert!(matches!(read(directory.path(), &identity, NOW), Err(LastGoodError::Open(_))));
        set(directory.path(), 0o700);
    }

    #[test]
    fn what_is_broken_or_another_issuers_is_not_believed() {
        let (directory, identity, path) = kept();
        let good = fs::read_to_string(&path).expect("text");
        let check = |text: &str| {
            fs::write(&path, text).expect("written");
            read(directory.path(), &identity, NOW).err().unwrap_or_else(|| panic!("taken: {text}"))
        };
        for text in [
            "",
            "\n\n\n",
            "countersign-key-set 1",
            &good.replace("countersign-key-set 1", "countersign-key-set 2"),
            &good.replace("issuer.example", "other.example"),
            &good.replace("ES256", "RS256"),
            &good.replace(&(NOW.0 - 50).to_string(), "yesterday"),
            &"x".repeat(SET_BYTES_MAX + HEAD_BYTES_MAX + 1),
        ] {
            assert!(matches!(check(text), LastGoodError::Foreign(_)));
        }
        assert!(matches!(
            check(good.strip_suffix('}').expect("an object")),
            LastGoodError::Set { source: KeySetError::NotJson, .. }
        ));
        assert!(matches!(check(&good.replace("\"keys\"", "\"Keys\"")), LastGoodError::Set { .. }));
        fs::write(&path, &good).expect("written");
        assert!(read(directory.path(), &identity, NOW).expect("good").is_some());
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("made");
        assert!(matches!(read(directory.path(), &identity, NOW), Err(LastGoodError::File { .. })));
    }
}
