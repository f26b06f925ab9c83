//! Sets of keys: read from a file when an epoch is built, or asked of the issuers, which outlive it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::edge::private_file::PrivateFile;
use crate::edge::regular_file::{self, PEM_BYTES_MAX};
use crate::identity::{KeySet, KeySetError, PublishedKeys, SET_BYTES_MAX};
use crate::issuers::Issuers;
use crate::policy::{Algorithm, KeySetPolicy, KeySetSource};
use crate::upstream::{FetcherError, SystemRoots};

/// Why a set of keys cannot be in force.
#[derive(Debug, thiserror::Error)]
pub enum KeySetBuildError {
    #[error("cannot read `{}`: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("`{}`: {source}", path.display())]
    Set { path: PathBuf, source: KeySetError },
    #[error("cannot read the certificate authorities `{}`: {source}", path.display())]
    Ca { path: PathBuf, source: io::Error },
    #[error("its issuer: {0}")]
    Issuer(#[from] FetcherError),
}

/// The keys of a set, for a policy that is to be in force.
pub(super) fn publish(
    policy: &KeySetPolicy,
    issuers: &Issuers,
    system: &SystemRoots,
) -> Result<Arc<PublishedKeys>, KeySetBuildError> {
    match &policy.source {
        KeySetSource::File(path) => Ok(Arc::new(PublishedKeys::fixed(read(path, &policy.algorithms)?))),
        KeySetSource::Issuer(issuer) => {
            let authorities = match &issuer.ca {
                Some(path) => Some(
                    regular_file::read(path, PEM_BYTES_MAX)
                        .map_err(|source| KeySetBuildError::Ca { path: path.clone(), source })?,
                ),
                None => None,
            };
            Ok(issuers.keys_of(issuer, &policy.algorithms, authorities.as_deref(), system)?)
        }
    }
}

/// Reads a set from its file.
///
/// # Errors
///
/// The file cannot be read, or has no key for these algorithms.
pub fn read(path: &Path, algorithms: &[Algorithm]) -> Result<KeySet, KeySetBuildError> {
    let content = PrivateFile::open(path).and_then(|file| file.read(SET_BYTES_MAX));
    let content = content.map_err(|source| KeySetBuildError::File { path: path.to_owned(), source })?;
    KeySet::parse(&content, algorithms).map_err(|source| KeySetBuildError::Set { path: path.to_owned(), source })
}
