//! The file: what stands in it, how it is opened, and how much of it is gone through at once. The one file that knows `redb`.
//!
//! Three tables: things by their key, the ends of things in their order so that those that are over are found without a look at all, and
//! revocations.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableHandle};
use serde::{Deserialize, Serialize};

use super::DiskError;
use super::writer::Change;
use crate::clock::UnixSeconds;
use crate::state::{Digest, Key, Reason, Revocation, RevocationId, Revoked};

/// The file's name in its directory.
const NAME: &str = "state.redb";
/// The file before it is whole.
const NEW_NAME: &str = "state.redb.new";

/// What this version writes and reads.
const FORMAT: u64 = 1;

/// Pages that the file's reader keeps; all that is in force is in memory anyway.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Things that are over and go with one commit: more than come with it, so that they never pile up.
pub(super) const ENDED_PER_COMMIT: usize = 16 * 1024;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Value: eight bytes of the end, big-endian, and what stands there.
const THINGS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("things");
/// Key: eight bytes of the end, big-endian, and the thing's key. An end that a thing no longer has counts for nothing.
const ENDS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("ends");
const REVOCATIONS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("revocations");

/// An open file.
pub(super) struct StateFile {
    path: PathBuf,
    database: Database,
}

/// What is in force.
pub(super) struct Loaded {
    pub(super) things: Vec<(Key, Bytes, UnixSeconds)>,
    pub(super) revocations: Vec<Revocation>,
}

impl StateFile {
    /// Opens the file in a directory; makes both where there is nothing.
    pub(super) fn open(directory: &Path) -> Result<Self, DiskError> {
        let of_directory = |source| DiskError::Directory { path: directory.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(of_directory)?;
        closed_to_others(directory)?;
        let path = directory.join(NAME);
        if !path.try_exists().map_err(of_directory)? {
            make(directory, &path)?;
        }
        closed_to_others(&path)?;
        Self::open_existing(path)
    }

    /// Opens a file that is there, and looks at all of it: what somebody else changed is found now, and not when it is asked for.
    pub(super) fn open_existing(path: PathBuf) -> Result<Self, DiskError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let broken = |why: String| DiskError::Broken { path: path.clone(), why };
        // An empty file would be taken for a new one.
        let length = std::fs::metadata(&path).map_err(|source| DiskError::File { path: path.clone(), source })?.len();
        if length == 0 {
            return Err(broken("it is empty".to_owned()));
        }
        // A file that was changed by others may break what the library takes for granted.
        let opened = catch_unwind(AssertUnwindSafe(|| builder.open(&path)));
        let database = match opened.map_err(|_| broken("its structure does not hold".to_owned()))? {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(DiskError::InUse(path)),
            Err(DatabaseError::Storage(StorageError::Io(source))) if source.kind() != io::ErrorKind::InvalidData => {
                return Err(DiskError::File { path, source });
            }
            Err(error) => return Err(broken(error.to_string())),
        };
        Ok(Self { path, database })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// All that is in force at `now`.
    pub(super) fn load(&self, now: UnixSeconds) -> Result<Loaded, DiskError> {
        let broken = |why: String| DiskError::Broken { path: self.path.clone(), why };
        match catch_unwind(AssertUnwindSafe(|| self.read(now))) {
            Ok(Ok(Some(loaded))) => Ok(loaded),
            Ok(Ok(None)) => Err(broken("something in it is not of this version".to_owned())),
            Ok(Err(error)) => Err(broken(error.to_string())),
            Err(_) => Err(broken("its structure does not hold".to_owned())),
        }
    }

    /// `None` where something stands there that nobody of this version wrote.
    fn read(&self, now: UnixSeconds) -> Result<Option<Loaded>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let known = [META.name(), THINGS.name(), ENDS.name(), REVOCATIONS.name()];
        if !known
            .iter()
            .all(|name| transaction.list_tables().is_ok_and(|mut tables| tables.any(|table| table.name() == *name)))
        {
            return Ok(None);
        }
        let format = transaction.open_table(META)?.get("format")?.map(|format| format.value());
        if format != Some(FORMAT) {
            return Ok(None);
        }
        let mut things = Vec::new();
        for entry in transaction.open_table(THINGS)?.iter()? {
            let (key, value) = entry?;
            let (Some(key), Some((until, value))) = (Key::read(key.value()), split_end(value.value())) else {
                return Ok(None);
            };
            if now < until {
                things.push((key, Bytes::copy_from_slice(value), until));
            }
        }
        let mut revocations = Vec::new();
        for entry in transaction.open_table(REVOCATIONS)?.iter()? {
            let (id, text) = entry?;
            let Some(revocation) = Written::read(id.value(), text.value()) else { return Ok(None) };
            if revocation.until.is_none_or(|until| now < until) {
                revocations.push(revocation);
            }
        }
        Ok(Some(Loaded { things, revocations }))
    }

    /// Writes all of it, or nothing, and takes things away that are over at `now`; on the disk when this returns.
    pub(super) fn commit(&self, changes: &[Change], now: UnixSeconds) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut things = transaction.open_table(THINGS)?;
            let mut ends = transaction.open_table(ENDS)?;
            let mut revocations = transaction.open_table(REVOCATIONS)?;
            for change in changes {
                match change {
                    Change::Put { key, value, until } => {
                        let (key, end) = (key.written(), end_bytes(*until));
                        things.insert(&*key, &*[&end[..], value].concat())?;
                        ends.insert(&*[&end[..], &key].concat(), ())?;
                    }
                    Change::Remove(key) => {
                        things.remove(&*key.written())?;
                    }
                    Change::Revoke(revocation) => {
                        // All of its members are text and numbers.
                        let text = serde_json::to_vec(&Written::of(revocation)).unwrap_or_default();
                        // Those that are over make room, here as in memory.
                        let counts = |until: Option<UnixSeconds>| until.is_none_or(|until| now < until);
                        revocations.retain(|id, text| Written::read(id, text).is_none_or(|one| counts(one.until)))?;
                        revocations.insert(revocation.id.number(), &*text)?;
                    }
                    Change::Unrevoke(id) => {
                        revocations.remove(id.number())?;
                    }
                }
            }
            let over: Vec<Vec<u8>> = ends
                .range::<&[u8]>(..&end_bytes(UnixSeconds(now.0.saturating_add(1)))[..])?
                .take(ENDED_PER_COMMIT)
                .map(|entry| entry.map(|(key, _)| key.value().to_vec()))
                .collect::<Result<_, _>>()?;
            if changes.is_empty() && over.is_empty() {
                return Ok(());
            }
            for end in &over {
                ends.remove(&**end)?;
                let Some((end, key)) = end.split_first_chunk::<8>() else { continue };
                let is_its_end = things.get(key)?.is_some_and(|value| value.value().starts_with(end));
                if is_its_end {
                    things.remove(key)?;
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Makes a file with nothing in it, whole or not at all.
fn make(directory: &Path, path: &Path) -> Result<(), DiskError> {
    let new = directory.join(NEW_NAME);
    let of_file = |source| DiskError::File { path: new.clone(), source };
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(of_file(error)),
        Ok(()) | Err(_) => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(of_file)?;
    let made = || -> Result<(), redb::Error> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(&new)?;
        let transaction = database.begin_write()?;
        transaction.open_table(META)?.insert("format", FORMAT)?;
        transaction.open_table(THINGS)?;
        transaction.open_table(ENDS)?;
        transaction.open_table(REVOCATIONS)?;
        transaction.commit()?;
        Ok(())
    };
    made().map_err(|error| of_file(io::Error::other(error)))?;
    std::fs::rename(&new, path).map_err(of_file)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(of_file)
}

/// What group and world may do.
const OPEN_TO_OTHERS: u32 = 0o077;

fn closed_to_others(path: &Path) -> Result<(), DiskError> {
    let of_path = |source| DiskError::Directory { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(of_path)?.permissions().mode() & 0o777;
    if mode & OPEN_TO_OTHERS == 0 { Ok(()) } else { Err(DiskError::OpenToOthers { path: path.to_owned(), mode }) }
}

/// An end as bytes that sort as it does: those before 1970 first.
fn end_bytes(end: UnixSeconds) -> [u8; 8] {
    (end.0.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn split_end(bytes: &[u8]) -> Option<(UnixSeconds, &[u8])> {
    let (end, rest) = bytes.split_first_chunk::<8>()?;
    Some((UnixSeconds((u64::from_be_bytes(*end) ^ (1 << 63)).cast_signed()), rest))
}

/// A revocation as the file has it. Whom it is about is a digest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    workspace: String,
    revoked: WrittenRevoked,
    made: i64,
    until: Option<i64>,
    reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum WrittenRevoked {
    TokenId([u8; 32]),
    Subject([u8; 32]),
    Key(String),
    IssuedBefore { before: i64, subject: Option<[u8; 32]> },
}

impl Written {
    fn of(revocation: &Revocation) -> Self {
        let Revocation { id: _, workspace, revoked, made, until, reason } = revocation;
        let revoked = match revoked {
            Revoked::TokenId(id) => WrittenRevoked::TokenId(id.bytes()),
            Revoked::Subject(subject) => WrittenRevoked::Subject(subject.bytes()),
            Revoked::Key(key) => WrittenRevoked::Key(key.clone()),
            Revoked::IssuedBefore { before, subject } => {
                WrittenRevoked::IssuedBefore { before: before.0, subject: subject.map(Digest::bytes) }
            }
        };
        Self {
            workspace: workspace.clone(),
            revoked,
            made: made.0,
            until: until.map(|until| until.0),
            reason: reason.as_str().to_owned(),
        }
    }

    fn read(id: u128, text: &[u8]) -> Option<Revocation> {
        let Self { workspace, revoked, made, until, reason } =
            serde_json::from_str(std::str::from_utf8(text).ok()?).ok()?;
        let revoked = match revoked {
            WrittenRevoked::TokenId(id) => Revoked::TokenId(Digest::from_bytes(id)),
            WrittenRevoked::Subject(subject) => Revoked::Subject(Digest::from_bytes(subject)),
            WrittenRevoked::Key(key) => Revoked::Key(key),
            WrittenRevoked::IssuedBefore { before, subject } => {
                Revoked::IssuedBefore { before: UnixSeconds(before), subject: subject.map(Digest::from_bytes) }
            }
        };
        Some(Revocation {
            id: RevocationId::from_number(id),
            workspace,
            revoked,
            made: UnixSeconds(made),
            until: until.map(UnixSeconds),
            reason: Reason::try_from(reason).ok()?,
        })
    }
}
