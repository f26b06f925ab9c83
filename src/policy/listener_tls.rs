//! What a listener's TLS asks of clients and offers them, beside its certificates.

use std::path::{Path, PathBuf};

/// The further settings of a listener's TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerTls {
    /// The file of the secrets from which the keys of session tickets are derived. `None`: the process draws its own.
    pub tickets: Option<PathBuf>,
    pub client_certificates: ClientCertificates,
    pub ocsp: Ocsp,
}

impl ListenerTls {
    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let (ca, crl) = match &self.client_certificates {
            ClientCertificates::Off => (&[][..], &[][..]),
            ClientCertificates::Asked { demand: _, ca, crl } => (&ca[..], &crl[..]),
        };
        self.tickets.iter().chain(ca).chain(crl).map(PathBuf::as_path)
    }
}

/// Whether clients are asked for a certificate. One that is shown and does not hold ends the handshake, whatever is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    #[default]
    Off,
    Asked {
        demand: Demand,
        /// PEM of the authorities that may have issued it; at least one file.
        ca: Vec<PathBuf>,
        /// PEM of their lists of revoked certificates. None: nothing is revoked.
        crl: Vec<PathBuf>,
    },
}

/// Whether a client without a certificate is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    Required,
    Optional,
}

/// Whether the issuer's word that a certificate is not revoked is fetched and shown with it (RFC 6066 §8), where the certificate says where
/// to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ocsp {
    #[default]
    On,
    Off,
}
