//! A certificate of `ca`: whether it may issue others at all, and what it says of itself (RFC 5280 §4.2.1.3, §4.2.1.9).
//!
//! To webpki whatever is put in that place is an authority. The certificate of one client, put there to let that client in, would let in
//! everybody to whom the client issues another.

use rustls::pki_types::{CertificateDer, TrustAnchor};
use rustls::{Error, RootCertStore};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::UnixSeconds;

/// Somebody who may issue the certificates of clients.
#[derive(Clone, Debug)]
pub(super) struct ClientAuthority {
    pub der: CertificateDer<'static>,
    pub anchor: TrustAnchor<'static>,
    /// Its name as it is encoded.
    pub subject: Vec<u8>,
    pub begins: UnixSeconds,
    /// The last second.
    pub ends: UnixSeconds,
    /// How many others may stand between it and a client.
    pub depth_max: Option<usize>,
}

/// Why a certificate is no authority.
#[derive(Debug, thiserror::Error)]
pub enum NoAuthority {
    #[error("it cannot be read")]
    Unread(#[source] Error),
    #[error(
        "it may not issue others (no `CA:TRUE` in its basic constraints): put the certificate of whoever issued it here, and to let in this \
         one alone, name its digest, `sha256:...`, in `client_certificates` of `[server]` of the workspace"
    )]
    EndEntity,
    #[error("it may not sign others (no `keyCertSign` in its key usage)")]
    KeyUsage,
}

/// webpki goes no further up (`Budget` of its `verify_cert`), so that more is no limit.
const DEPTH_MAX: u32 = 6;

impl ClientAuthority {
    /// Reads one certificate.
    ///
    /// # Errors
    ///
    /// It issues none.
    pub(super) fn read(der: CertificateDer<'static>) -> Result<Self, NoAuthority> {
        let mut store = RootCertStore::empty();
        store.add(der.clone()).map_err(NoAuthority::Unread)?;
        let unread = || NoAuthority::Unread(Error::InvalidCertificate(rustls::CertificateError::BadEncoding));
        let anchor = store.roots.pop().ok_or_else(unread)?;
        let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| unread())?;
        let constraints = certificate.basic_constraints().map_err(|_| unread())?;
        let constraints = constraints.map(|found| found.value).filter(|constraints| constraints.ca);
        let path_length = constraints.ok_or(NoAuthority::EndEntity)?.path_len_constraint;
        let usage = certificate.key_usage().map_err(|_| unread())?;
        if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return Err(NoAuthority::KeyUsage);
        }
        let depth_max =
            path_length.filter(|length| *length < DEPTH_MAX).and_then(|length| usize::try_from(length).ok());
        Ok(Self {
            subject: certificate.subject().as_raw().to_vec(),
            begins: UnixSeconds(certificate.validity().not_before.timestamp()),
            ends: UnixSeconds(certificate.validity().not_after.timestamp()),
            depth_max,
            anchor,
            der: der.clone(),
        })
    }

    pub(super) fn is_in_time(&self, now: UnixSeconds) -> bool {
        self.begins <= now && now <= self.ends
    }

    /// The seconds in which its time begins, and is over.
    pub(super) fn changes(&self) -> [UnixSeconds; 2] {
        [self.begins, UnixSeconds(self.ends.0.saturating_add(1))]
    }
}
