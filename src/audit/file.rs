//! Where lines go: a file that is rotated by size, or a stream.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Where lines go.
pub(super) enum Sink {
    File(RotatingFile),
    Stream(Box<dyn Write + Send>),
}

impl Sink {
    /// Writes some of `bytes`, as [`Write::write`] does.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::File(file) => file.write(bytes),
            Sink::Stream(stream) => stream.write(bytes),
        }
    }

    /// Hands on what the stream itself still holds. A file holds nothing.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::File(_) => Ok(()),
            Sink::Stream(stream) => stream.flush(),
        }
    }

    /// Whether a line belongs into a new file, once what is buffered stands in this one.
    pub(super) fn is_full_for(&self, buffered: usize, line: usize) -> bool {
        match self {
            Sink::File(file) => file.is_full_for(buffered, line),
            Sink::Stream(_) => false,
        }
    }

    /// Begins a new file and keeps the last ones.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        match self {
            Sink::File(file) => file.rotate(),
            Sink::Stream(_) => Ok(()),
        }
    }

    /// Opens the file by its name again: somebody else has moved it.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match self {
            Sink::File(file) => file.reopen(),
            Sink::Stream(_) => Ok(()),
        }
    }
}

/// A file of whole lines. When it is full it becomes `.1`, that one `.2`, and so on to `keep`.
pub(super) struct RotatingFile {
    path: PathBuf,
    file: File,
    /// `None`: not a file that can be full.
    size: Option<u64>,
    /// The size at which the next rotation is tried: `rotate_bytes`, later after a rotation that failed.
    rotate_at: u64,
    rotate_bytes: u64,
    keep: usize,
}

impl RotatingFile {
    pub(super) fn open(path: &Path, rotate_bytes: u64, keep: usize) -> io::Result<Self> {
        let (file, size) = open(path)?;
        Ok(Self { path: path.to_owned(), file, size, rotate_at: rotate_bytes, rotate_bytes, keep })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.size = self.size.map(|size| size.saturating_add(written as u64));
        Ok(written)
    }

    fn is_full_for(&self, buffered: usize, line: usize) -> bool {
        self.size.is_some_and(|size| {
            let size = size.saturating_add(buffered as u64);
            // A line that alone is too long for a file still needs one.
            size > 0 && size.saturating_add(line as u64) > self.rotate_at
        })
    }

    fn rotate(&mut self) -> io::Result<()> {
        // Whatever fails below, the next try comes a file later and not with the next line.
        self.rotate_at = self.size.unwrap_or_default().saturating_add(self.rotate_bytes);
        for index in (1..self.keep).rev() {
            if_there(std::fs::rename(self.numbered(index), self.numbered(index + 1)))?;
        }
        if_there(match self.keep {
            0 => std::fs::remove_file(&self.path),
            _ => std::fs::rename(&self.path, self.numbered(1)),
        })?;
        self.reopen()
    }

    fn reopen(&mut self) -> io::Result<()> {
        (self.file, self.size) = open(&self.path)?;
        self.rotate_at = self.rotate_bytes;
        Ok(())
    }

    fn numbered(&self, index: usize) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{index}"));
        path.into()
    }
}

fn if_there(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Opens a file to append to, and its size.
fn open(path: &Path) -> io::Result<(File, Option<u64>)> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    // Who did what is for the operator and whoever ships the log, not for every account of the machine.
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    let mut file = options.open(path)?;
    let metadata = file.metadata()?;
    // A pipe or a terminal has no size and is never renamed.
    if !metadata.is_file() {
        return Ok((file, None));
    }
    let size = metadata.len();
    // A crash may have torn the last line: the next one must not continue it.
    if size > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            return Ok((file, Some(size + 1)));
        }
    }
    Ok((file, Some(size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_ended_before_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        std::fs::write(&path, "whole\ntorn").unwrap();
        let mut file = RotatingFile::open(&path, 1000, 1).unwrap();
        file.write(b"next\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\ntorn\nnext\n");
        assert_eq!(file.size, Some(16));
    }

    #[test]
    fn a_file_is_full_when_the_next_line_would_be_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let mut file = RotatingFile::open(&path, 10, 1).unwrap();
        assert!(!file.is_full_for(0, 11), "an empty file takes any line");
        file.write(b"1234\n").unwrap();
        assert!(!file.is_full_for(0, 5));
        assert!(file.is_full_for(0, 6) && file.is_full_for(5, 1));
    }

    #[test]
    fn a_rotation_that_fails_is_not_tried_with_every_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        // A directory in the way of the rename.
        std::fs::create_dir(directory.path().join("audit.jsonl.1")).unwrap();
        let mut file = RotatingFile::open(&path, 10, 1).unwrap();
        file.write(b"12345678\n").unwrap();
        assert!(file.is_full_for(0, 2) && file.rotate().is_err());
        file.write(b"2\n").unwrap();
        assert!(!file.is_full_for(0, 2));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "12345678\n2\n");
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_to_be_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let mut file = RotatingFile::open(&path, 10, 0).unwrap();
        file.write(b"old\n").unwrap();
        file.rotate().unwrap();
        file.write(b"new\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
