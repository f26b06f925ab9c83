//! Files that operators name, opened and read in one way: regular ones alone, and never more of one than its kind has.
//!
//! A pipe would keep whoever opens it waiting for ever, and a device has no end.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Bundles of authorities and lists of revoked certificates are smaller by far.
pub const PEM_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Opens a regular file.
///
/// # Errors
///
/// It cannot be opened, or is something else.
pub fn open(path: &Path) -> io::Result<File> {
    // Before it is opened: to open a pipe is to wait already.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    File::open(path)
}

/// All that is in a regular file.
///
/// # Errors
///
/// As [`open`]; it cannot be read, or is longer than `bytes_max` ([`io::ErrorKind::FileTooLarge`]), which is never cut off.
pub fn read(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut content)?;
    if content.len() > bytes_max {
        let words = format!("it is larger than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, words));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_pipe_a_device_and_a_directory_are_no_files_and_nobody_waits_for_them() {
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = directory.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("started").success());
        for path in [pipe.as_path(), Path::new("/dev/zero"), directory.path()] {
            assert_eq!(read(path, 10).expect_err("no file").to_string(), "it is no regular file");
        }
        assert_eq!(read(&directory.path().join("none"), 10).expect_err("none").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_too_long_is_refused_and_never_cut_off() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, "certificate").expect("written");
        assert_eq!(read(&path, 11).expect("read"), b"certificate");
        let error = read(&path, 10).expect_err("too long");
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::FileTooLarge, "it is larger than 10 bytes")
        );
    }
}
