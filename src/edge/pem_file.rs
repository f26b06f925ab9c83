//! Chains and keys in PEM, as operators bring them: what is in a file, or what it holds instead and how that is mended.

use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate_error::CertificateError;

/// All certificates, in their order; `path` says in errors where they come from. There may be none.
///
/// # Errors
///
/// Something in it is no PEM, or it is no PEM at all.
pub(super) fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    all_begin_lines(path, bytes)?;
    let certificates = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| CertificateError::Pem { path: path.to_owned(), source })?;
    if certificates.is_empty() && X509Certificate::from_der(bytes).is_ok() {
        return Err(CertificateError::Der { path: path.to_owned(), command: "openssl x509" });
    }
    Ok(certificates)
}

/// The first private key.
///
/// # Errors
///
/// There is none that can be read.
pub(super) fn key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateError> {
    all_begin_lines(path, bytes)?;
    let path = || path.to_owned();
    PrivateKeyDer::from_pem_slice(bytes).map_err(|source| {
        let has = |words: &[u8]| bytes.windows(words.len()).any(|window| window == words);
        if ENCRYPTED.iter().any(|words| has(words)) {
            CertificateError::KeyEncrypted { path: path() }
        } else if !matches!(source, pem::Error::NoItemsFound) {
            CertificateError::Pem { path: path(), source }
        } else if PrivateKeyDer::try_from(bytes).is_ok() {
            CertificateError::Der { path: path(), command: "openssl pkey" }
        } else {
            CertificateError::NoKey { path: path() }
        }
    })
}

/// RFC 5958 §3, and RFC 1421 §4.6.1.1 as OpenSSL wrote keys of old.
const ENCRYPTED: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];

const BEGIN: &[u8] = b"-----BEGIN ";

/// What editors of other systems put before the first line, and do not show.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whatever begins behind something that nobody sees would be passed over in silence: the first certificate of a chain, say.
fn all_begin_lines(path: &Path, bytes: &[u8]) -> Result<(), CertificateError> {
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let seen = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii_start();
        if seen.starts_with(BEGIN) && !line.starts_with(BEGIN) {
            return Err(CertificateError::Indented { path: path.to_owned(), line: number });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixSeconds;
    use crate::edge::dev_certificates::{DevCertificates, make_dev};

    fn made() -> DevCertificates {
        make_dev(&[], UnixSeconds(1_800_000_000)).expect("certificates")
    }

    #[track_caller]
    fn told<T>(read: Result<T, CertificateError>, expected: &str) {
        assert_eq!(read.map_or_else(|error| error.to_string(), |_| "fine".to_owned()), expected);
    }

    #[test]
    fn der_is_told_with_the_command_that_converts_it() {
        let made = made();
        let chain = CertificateDer::from_pem_slice(made.chain_pem.as_bytes()).expect("a certificate");
        told(
            certificates(Path::new("a.der"), &chain),
            "`a.der` is DER, expected PEM: `openssl x509 -inform DER -in a.der -out FILE` converts it",
        );
        let key_der = PrivateKeyDer::from_pem_slice(made.key_pem.as_bytes()).expect("a key");
        told(
            key(Path::new("a.der"), key_der.secret_der()),
            "`a.der` is DER, expected PEM: `openssl pkey -inform DER -in a.der -out FILE` converts it",
        );
        told(certificates(Path::new("a.pem"), made.chain_pem.as_bytes()), "fine");
        told(key(Path::new("a.pem"), made.key_pem.as_bytes()), "fine");
    }

    #[test]
    fn a_key_that_is_encrypted_is_told_in_both_spellings() {
        let words = "the key in `a.key` is encrypted, and nobody is there to say its passphrase: \
                     `openssl pkey -in a.key -out FILE` takes it off";
        let pkcs8 = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let traditional = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMAA=\n\
                           -----END EC PRIVATE KEY-----\n";
        for text in [pkcs8, traditional] {
            told(key(Path::new("a.key"), text.as_bytes()), words);
        }
        // One beside it that is not is the key.
        told(key(Path::new("a.key"), format!("{pkcs8}{}", &*made().key_pem).as_bytes()), "fine");
    }

    #[test]
    fn what_would_be_passed_over_is_told() {
        let made = made();
        let chain = made.chain_pem.replace('\n', "\r\n") + &made.ca_pem;
        told(certificates(Path::new("a.pem"), chain.as_bytes()), "fine");
        let told_of = |line: usize| {
            format!(
                "line {line} of `a.pem` has something before `-----BEGIN`, spaces or a byte order mark that editors do not \
                 show: take it away"
            )
        };
        told(certificates(Path::new("a.pem"), format!("\u{feff}{chain}").as_bytes()), &told_of(1));
        told(key(Path::new("a.pem"), format!("\u{feff}{}", &*made.key_pem).as_bytes()), &told_of(1));
        let indented = format!("subject=CN = x\n\t{chain}");
        told(certificates(Path::new("a.pem"), indented.as_bytes()), &told_of(2));
        // A line that somebody commented out says so itself.
        told(certificates(Path::new("a.pem"), format!("# {chain}").as_bytes()), "fine");
    }
}
