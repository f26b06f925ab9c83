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
    #[error("`{}` is not PEM", path.display())]
    Pem { path: PathBuf, source: pem::Error },
    #[error("certificate {position} of `{}` cannot be read", path.display())]
    Malformed { path: PathBuf, position: usize },
    #[error("the key in `{}` is of a kind that cannot be used", path.display())]
    KeyKind { path: PathBuf, source: rustls::Error },
    #[error("the key in `{}` is not that of the first certificate in `{}`", key.display(), path.display())]
    KeyMismatch { path: PathBuf, key: PathBuf },
    #[error("certificate {position} of `{}` is not issued by the one behind it", path.display())]
    Chain { path: PathBuf, position: usize },
    #[error("certificate {position} of `{}` is no authority (`CA:FALSE`) and issues nothing that clients accept", path.display())]
    NoAuthority { path: PathBuf, position: usize },
    #[error("the first certificate of `{}` is not for servers: its extended key usage lacks `serverAuth`", path.display())]
    NoServer { path: PathBuf },
    #[error("certificate {position} of `{}` expired at {ended} (seconds since 1970)", path.display())]
    Expired { path: PathBuf, position: usize, ended: i64 },
    #[error("certificate {position} of `{}` begins only at {begins} (seconds since 1970)", path.display())]
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
