//! A client's certificate on its connection: verified in the handshake, and again when authorities or lists of revoked certificates change.
//!
//! A server keeps its connections for days. What was taken back counts on them from the next request on, as it does for new ones.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;

use super::client_authorities::ClientAuthorities;
use super::client_certificate::{ClientCertificate, ClientCertificateRefusal};
use super::tls::ReloadableTls;
use crate::clock::UnixSeconds;

/// A certificate that was verified when its connection began.
pub struct ShownCertificate {
    certificate: ClientCertificate,
    chain: Vec<CertificateDer<'static>>,
    /// The listener, with what it asks of clients now.
    listener: Arc<ReloadableTls>,
    last: Mutex<Verified>,
}

/// What came of it the last time, and with which authorities.
struct Verified {
    authorities: Vec<u8>,
    holds: bool,
}

impl ShownCertificate {
    /// What the handshake has verified with `authorities`, of this connection or of the one that it resumes. `None`: it cannot be read.
    pub(super) fn read(
        chain: &[CertificateDer<'static>],
        authorities: &ClientAuthorities,
        listener: &Arc<ReloadableTls>,
    ) -> Option<Self> {
        Some(Self {
            certificate: ClientCertificate::read(chain.first()?)?,
            chain: chain.to_vec(),
            listener: Arc::clone(listener),
            last: Mutex::new(Verified { authorities: authorities.digest().to_vec(), holds: true }),
        })
    }

    /// What it is called in records.
    #[must_use]
    pub fn name(&self) -> String {
        self.certificate.shown()
    }

    /// The certificate, as far as it counts at `now`. Where the listener asks for none any longer, it speaks for nobody.
    ///
    /// # Errors
    ///
    /// It has ended, or does not hold with the authorities and lists of now.
    pub fn holds(&self, now: UnixSeconds) -> Result<Option<&ClientCertificate>, ClientCertificateRefusal> {
        if !self.certificate.holds(now) {
            return Err(ClientCertificateRefusal::Expired);
        }
        let authorities = self.listener.clients();
        if !authorities.are_asked() {
            return Ok(None);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.authorities != authorities.digest() {
            let holds = authorities.verify(&self.chain, now);
            *last = Verified { authorities: authorities.digest().to_vec(), holds };
        }
        if last.holds { Ok(Some(&self.certificate)) } else { Err(ClientCertificateRefusal::Withdrawn) }
    }
}

impl fmt::Debug for ShownCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShownCertificate").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
