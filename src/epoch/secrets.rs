//! Secrets and public keys: fetched from the environment or a file when an epoch is built; secrets are wiped when it goes.

use std::io;
use std::path::{Path, PathBuf};

use secrecy::{SecretBox, SecretSlice};
use zeroize::Zeroizing;

use crate::edge::private_file::PrivateFile;
use crate::identity::KeyMaterial;
use crate::policy::{KeySource, SecretSource};

/// Why a secret cannot be had. It says where it was looked for, never what was found.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the environment variable `{0}` is not set: set it, or name a file with `secret = {{ file = \"…\" }}`")]
    EnvMissing(String),
    #[error("the environment variable `{0}` is empty")]
    EnvEmpty(String),
    #[error("cannot read the secret file `{}`", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the secret file `{}` can be read by others (mode {mode:03o}): run `chmod 600 {}`", path.display(), path.display())]
    Permissions { path: PathBuf, mode: u32 },
    #[error("the secret file `{}` is empty", .0.display())]
    FileEmpty(PathBuf),
    #[error("the secret file `{}` is larger than {SECRET_BYTES_MAX} bytes", .0.display())]
    FileTooLarge(PathBuf),
    #[error("cannot read the public key `{}`", path.display())]
    PublicKey { path: PathBuf, source: io::Error },
}

/// Secrets are short; a larger file is another file.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// What group and world may do.
const OPEN_TO_OTHERS: u32 = 0o077;

/// A public key, or a set of them, that anybody may read.
const PUBLIC_KEY_BYTES_MAX: usize = 256 * 1024;

/// Fetches what a key is made of.
///
/// # Errors
///
/// As [`fetch`]; or the file of a public key cannot be read, or is larger than such files are.
pub fn fetch_key(source: &KeySource) -> Result<KeyMaterial, SecretError> {
    match source {
        KeySource::Secret { source, encoding: _ } => fetch(source).map(KeyMaterial::Secret),
        KeySource::PublicKey(path) => {
            let content = PrivateFile::open(path).and_then(|file| file.read(PUBLIC_KEY_BYTES_MAX));
            let content = content.map_err(|source| SecretError::PublicKey { path: path.clone(), source })?;
            Ok(KeyMaterial::PublicKey(content.to_vec()))
        }
    }
}

/// Fetches the secret that `source` names. One line break at the end of a file is the editor's, not the secret's.
///
/// # Errors
///
/// It is absent, empty, unreadable, or readable by more than its owner.
pub fn fetch(source: &SecretSource) -> Result<SecretSlice<u8>, SecretError> {
    match source {
        SecretSource::Env(name) => from_env(name),
        SecretSource::File(path) => from_file(path),
    }
}

fn from_env(name: &str) -> Result<SecretSlice<u8>, SecretError> {
    let value = std::env::var_os(name).ok_or_else(|| SecretError::EnvMissing(name.to_owned()))?;
    let bytes = Zeroizing::new(std::os::unix::ffi::OsStringExt::into_vec(value));
    if bytes.is_empty() {
        return Err(SecretError::EnvEmpty(name.to_owned()));
    }
    Ok(SecretBox::new(bytes.as_slice().into()))
}

fn from_file(path: &Path) -> Result<SecretSlice<u8>, SecretError> {
    let unread = |error: io::Error| {
        if error.kind() == io::ErrorKind::FileTooLarge {
            SecretError::FileTooLarge(path.to_owned())
        } else {
            SecretError::File { path: path.to_owned(), source: error }
        }
    };
    let file = PrivateFile::open(path).map_err(unread)?;
    if file.mode() & OPEN_TO_OTHERS != 0 {
        return Err(SecretError::Permissions { path: path.to_owned(), mode: file.mode() });
    }
    let bytes = file.read(SECRET_BYTES_MAX).map_err(unread)?;
    let end = bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n")).unwrap_or(&bytes[..]).len();
    if end == 0 {
        return Err(SecretError::FileEmpty(path.to_owned()));
    }
    Ok(SecretBox::new(bytes.get(..end).unwrap_or(&[]).into()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    fn file(content: &[u8], mode: u32) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(content).expect("written");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).expect("mode set");
        file
    }

    fn fetch_file(content: &[u8], mode: u32) -> Result<Vec<u8>, SecretError> {
        let file = file(content, mode);
        fetch(&SecretSource::File(file.path().to_owned())).map(|secret| secret.expose_secret().to_vec())
    }

    #[test]
    fn a_file_gives_its_content_without_the_last_line_break() {
        assert_eq!(fetch_file(b"secret\n", 0o600).expect("read"), b"secret");
        assert_eq!(fetch_file(b"secret\r\n", 0o400).expect("read"), b"secret");
        assert_eq!(fetch_file(b" secret \n\n", 0o600).expect("read"), b" secret \n");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        for mode in [0o640, 0o604, 0o660, 0o644] {
            assert!(matches!(fetch_file(b"secret", mode), Err(SecretError::Permissions { .. })), "{mode:o}");
        }
    }

    #[test]
    fn a_file_longer_than_secrets_are_is_refused() {
        assert_eq!(fetch_file(&vec![b'x'; SECRET_BYTES_MAX], 0o600).expect("read").len(), SECRET_BYTES_MAX);
        let longer = fetch_file(&vec![b'x'; SECRET_BYTES_MAX + 1], 0o600);
        assert!(matches!(longer, Err(SecretError::FileTooLarge(_))));
    }

    #[test]
    fn an_empty_or_absent_secret_is_refused() {
        assert!(matches!(fetch_file(b"\n", 0o600), Err(SecretError::FileEmpty(_))));
        assert!(matches!(fetch(&SecretSource::File("nowhere/secret".into())), Err(SecretError::File { .. })));
        assert!(matches!(fetch(&SecretSource::Env("COUNTERSIGN_NO_SUCH".into())), Err(SecretError::EnvMissing(_))));
    }
}
