//! Files that hold a key or a secret: looked at and read once, and wiped.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::regular_file;

/// A file that is open. Whatever takes its place meanwhile, mode and content are those of this one.
#[derive(Debug)]
pub struct PrivateFile {
    file: File,
    mode: u32,
    metadata: Metadata,
}

impl PrivateFile {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or is no regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = regular_file::open(path)?;
        let metadata = file.metadata()?;
        let mode = metadata.permissions().mode() & 0o777;
        Ok(Self { file, mode, metadata })
    }

    /// Who may do what with it: the nine permission bits.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// When it was written last.
    ///
    /// # Errors
    ///
    /// The file system does not say.
    pub fn modified(&self) -> io::Result<SystemTime> {
        self.metadata.modified()
    }

    /// All that is in it.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is longer than `bytes_max` ([`io::ErrorKind::FileTooLarge`]), which is never cut off: half a secret is another.
    pub fn read(self, bytes_max: usize) -> io::Result<Zeroizing<Vec<u8>>> {
        // Room for all of it at once: a buffer that grew would leave parts of the secret behind.
        let mut content = Zeroizing::new(Vec::with_capacity(bytes_max + 1));
        self.file.take(content.capacity() as u64).read_to_end(&mut content)?;
        if content.len() > bytes_max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(content) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(content).expect("written");
        file
    }

    #[test]
    fn what_is_too_long_is_refused_and_never_cut_off() {
        let file = file(b"secret");
        let read = |bytes_max| PrivateFile::open(file.path()).expect("open").read(bytes_max);
        assert_eq!(read(7).expect("read").as_slice(), b"secret");
        assert_eq!(read(6).expect("read").as_slice(), b"secret");
        assert_eq!(read(5).expect_err("too long").kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_file_that_takes_its_place_is_not_the_one_that_was_looked_at() {
        let (private, other) = (file(b"secret"), file(b"another"));
        fs::set_permissions(private.path(), fs::Permissions::from_mode(0o600)).expect("mode set");
        let opened = PrivateFile::open(private.path()).expect("open");
        fs::set_permissions(other.path(), fs::Permissions::from_mode(0o644)).expect("mode set");
        fs::rename(other.path(), private.path()).expect("renamed");
        assert_eq!(opened.mode(), 0o600);
        assert_eq!(opened.read(100).expect("read").as_slice(), b"secret");
    }
}
