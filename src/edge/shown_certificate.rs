//! A client's certificate on its connection: verified in the handshake, and again when authorities or lists of revoked certificates change,
//! or time changes what they say.
//!
//! A server keeps its connections for days. What was taken back counts on them from the next request on, as it does for new ones; so does a
//! list that is out of date, or the end of an authority between.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;

use super::client_authorities::ClientAuthorities;
use super::client_certificate::{ClientCertificate, ClientCertificateRefusal};
use super::peer::Resumption;
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

/// What came of it the last time, with which authorities, and the first second in which something else may come of it.
struct Verified {
    authorities: Vec<u8>,
    until: UnixSeconds,
    outcome: Result<(), ClientCertificateRefusal>,
}

impl ShownCertificate {
    /// What a handshake that began at `begun` has verified with `authorities`, or the one that it resumes some time ago. `None`: it cannot be
    /// read.
    pub(super) fn read(
        chain: &[CertificateDer<'static>],
        resumption: Resumption,
        authorities: &ClientAuthorities,
        listener: &Arc<ReloadableTls>,
        begun: UnixSeconds,
    ) -> Option<Self> {
        let until = match resumption {
            Resumption::Full => authorities.stands_until(chain, begun),
            // That was long ago: the first request will tell.
            Resumption::Resumed => UnixSeconds(i64::MIN),
        };
        Some(Self {
            certificate: ClientCertificate::read(chain.first()?)?,
            chain: chain.to_vec(),
            listener: Arc::clone(listener),
            last: Mutex::new(Verified { authorities: authorities.digest().to_vec(), until, outcome: Ok(()) }),
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
        if now >= last.until || last.authorities != authorities.digest() {
            *last = Verified {
                authorities: authorities.digest().to_vec(),
                until: authorities.stands_until(&self.chain, now),
                outcome: authorities.verify(&self.chain, now),
            };
        }
        last.outcome.map(|()| Some(&self.certificate))
    }
}

impl fmt::Debug for ShownCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShownCertificate").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
