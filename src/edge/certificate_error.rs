//! Why a certificate cannot be shown: in words for whoever brings its files.

use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem;

use crate::clock::UnixSeconds;

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("a listener needs a certificate; run `countersign certs dev`")]
    None,
    #[error("cannot read `{}`: {source}; `countersign certs dev` makes one for development", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("`{}` holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)", path.display())]
    NoCertificate { path: PathBuf },
    #[error("`{}` holds no private key in PEM (`-----BEGIN PRIVATE KEY-----`)", path.display())]
    NoKey { path: PathBuf },
    #[error("`{0}` is DER, expected PEM: `{command} -inform DER -in {0} -out FILE` converts it", path.display())]
    Der { path: PathBuf, command: &'static str },
    #[error(
        "line {line} of `{}` has something before `-----BEGIN`, spaces or a byte order mark that editors do not show: take it away",
        path.display()
    )]
    Indented { path: PathBuf, line: usize },
    #[error(
        "the key in `{0}` is encrypted, and nobody is there to say its passphrase: `openssl pkey -in {0} -out FILE` takes it off",
        path.display()
    )]
    KeyEncrypted { path: PathBuf },
    #[error("`{}` is not PEM", path.display())]
    Pem { path: PathBuf, source: pem::Error },
    #[error("certificate {position} of `{}` cannot be read", path.display())]
    Malformed { path: PathBuf, position: usize },
    #[error(
        "the key in `{}` cannot be used, expected RSA of 2048 to 8192 bits, EC on P-256, P-384 or P-521, or Ed25519: \
         `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE` makes one, for a certificate with it",
        path.display()
    )]
    KeyKind { path: PathBuf, source: rustls::Error },
    #[error("the key in `{}` is not that of the first certificate in `{}`", key.display(), path.display())]
    KeyMismatch { path: PathBuf, key: PathBuf },
    #[error("certificate {position} of `{}` is not issued by the one behind it", path.display())]
    Chain { path: PathBuf, position: usize },
    #[error("certificate {position} of `{}` is no authority (`CA:FALSE`) and issues nothing that clients accept", path.display())]
    NoAuthority { path: PathBuf, position: usize },
    #[error("the first certificate of `{}` is not for servers: its extended key usage lacks `serverAuth`", path.display())]
    NoServer { path: PathBuf },
    #[error("certificate {position} of `{}` expired at {}", path.display(), date(*ended))]
    Expired { path: PathBuf, position: usize, ended: i64 },
    #[error("certificate {position} of `{}` begins only at {}", path.display(), date(*begins))]
    NotYet { path: PathBuf, position: usize, begins: i64 },
    #[error("the first certificate of `{}` names no host (subject alternative name)", path.display())]
    NoNames { path: PathBuf },
}

impl CertificateError {
    /// When the certificate begins, where its time is to come: then it may be tried again.
    #[must_use]
    pub fn begins(&self) -> Option<UnixSeconds> {
        match self {
            Self::NotYet { begins, .. } => Some(UnixSeconds(*begins)),
            Self::None
            | Self::Read { .. }
            | Self::NoCertificate { .. }
            | Self::NoKey { .. }
            | Self::Der { .. }
            | Self::Indented { .. }
            | Self::KeyEncrypted { .. }
            | Self::Pem { .. }
            | Self::Malformed { .. }
            | Self::KeyKind { .. }
            | Self::KeyMismatch { .. }
            | Self::Chain { .. }
            | Self::NoAuthority { .. }
            | Self::NoServer { .. }
            | Self::Expired { .. }
            | Self::NoNames { .. } => None,
        }
    }
}

/// Seconds since 1970 as people read them.
fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s since 1970"), |time| time.to_string())
}
