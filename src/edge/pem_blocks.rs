//! A file of PEM blocks (RFC 7468), all of which are read: one that the reader would pass over is a mistake, not a block less.
//!
//! A list of revoked certificates behind a byte order mark is text to a reader of PEM. It would be missing, and nobody would know.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject, SectionKind};

use super::regular_file::{self, PEM_BYTES_MAX};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PemFileError {
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not PEM", path.display())]
    Pem { path: PathBuf, source: pem::Error },
    #[error(
        "line {line} of `{}` looks like the begin or the end of a block in PEM and is none: it must stand alone, with five dashes on each \
         side, a known name, no byte order mark before and its other half behind",
        path.display()
    )]
    LostBlock { path: PathBuf, line: usize },
}

/// The blocks of one kind in a file.
pub(super) fn read<T: PemObject>(path: &Path) -> Result<Vec<T>, PemFileError> {
    let unread = |source| PemFileError::Read { path: path.to_owned(), source };
    let bytes = regular_file::read(path, PEM_BYTES_MAX).map_err(unread)?;
    if let Some(line) = lost_block(&bytes) {
        return Err(PemFileError::LostBlock { path: path.to_owned(), line });
    }
    T::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| PemFileError::Pem { path: path.to_owned(), source })
}

/// The first line that bounds a block for a human reader, and not for ours.
fn lost_block(bytes: &[u8]) -> Option<usize> {
    let mut open: Option<(usize, &[u8])> = None;
    // A line ends with either or both. Whoever counts with an editor counts both as one.
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        for line in line.split(|byte| *byte == b'\r') {
            if !looks_like_bound(line) {
                continue;
            }
            match (open, label(line, b"-----BEGIN "), label(line, b"-----END ")) {
                (None, Some(label), _) if SectionKind::try_from(label).is_ok() => open = Some((number, label)),
                (Some((_, begun)), _, Some(ended)) if begun == ended => open = None,
                _ => return Some(number),
            }
        }
    }
    open.map(|(line, _)| line)
}

fn looks_like_bound(line: &[u8]) -> bool {
    let text: Vec<u8> = line.iter().filter(|byte| **byte != b' ').map(u8::to_ascii_uppercase).collect();
    let contains = |word: &[u8]| text.windows(word.len()).any(|found| found == word);
    let words: [&[u8]; 6] = [b"-BEGIN", b"-END", b"BEGINCERTIFICATE", b"ENDCERTIFICATE", b"BEGINX509", b"ENDX509"];
    // In UTF-16 each letter has a neighbour that is none. What is encoded may spell a word, but has no spaces.
    let is_text = line.iter().any(|byte| matches!(byte, b' ' | b'-'));
    line.contains(&0) || is_text && words.iter().any(|word| contains(word))
}

fn label<'l>(line: &'l [u8], prefix: &[u8]) -> Option<&'l [u8]> {
    line.trim_ascii_end().strip_prefix(prefix)?.strip_suffix(b"-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, line: Option<usize>) {
        assert_eq!(lost_block(text.as_bytes()), line, "{text:?}");
    }

    #[test]
    fn a_block_that_would_be_passed_over_is_told_by_its_line() {
        const BLOCK: &str = "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
        check(BLOCK, None);
        check(BLOCK.trim_end(), None);
        check(&format!("# of the backends; the trend -- none\n{BLOCK}\nsubject=CN = one\n{BLOCK}"), None);
        check(&BLOCK.replace('\n', "\r\n"), None);
        check(&BLOCK.replace('\n', "\r"), None);
        check(&BLOCK.replace("-----\n", "----- \n"), None);
        check(&format!("\u{feff}{BLOCK}"), Some(1));
        check(&format!("\u{feff}{BLOCK}{BLOCK}"), Some(1));
        check(&format!("{BLOCK}\u{feff}{BLOCK}"), Some(4));
        check(&format!("{BLOCK} {BLOCK}"), Some(4));
        check(&BLOCK.replace("-----BEGIN", "----BEGIN"), Some(1));
        check(&BLOCK.replace("BEGIN", "Begin"), Some(1));
        check(&BLOCK.replace("X509 CRL", "CRL"), Some(1));
        check(&BLOCK.replace("-----END X509 CRL-----", ""), Some(1));
        check(&BLOCK.replace("END X509 CRL", "END CERTIFICATE"), Some(3));
        check(&BLOCK.replace("-----BEGIN X509 CRL-----", ""), Some(3));
        check(&format!("-----BEGIN X509 CRL-----\nMAA=\n{BLOCK}"), Some(3));
        check(&BLOCK.replace("-----", "\u{2014}"), Some(1));
        check("-\0-\0-\0", Some(1));
    }
}
