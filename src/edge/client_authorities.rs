//! Who may issue the certificates that clients show, and what of it was taken back (RFC 5280 §6, RFC 8446 §4.3.2).
//!
//! The whole chain is verified against lists of revoked certificates where there are any: then each authority must have one, in date. What
//! cannot be known is not good.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, Error};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::client_authority::{ClientAuthority, NoAuthority};
use super::client_certificate::ClientCertificateRefusal;
use super::client_lists::{self, ClientListsError, Place};
use super::client_verifier::ClientVerifier;
use super::pem_blocks::{self, PemFileError};
use crate::clock::UnixSeconds;
use crate::policy::{ClientCertificates, Demand};

/// The authorities of one listener, ready to verify with.
#[derive(Clone)]
pub struct ClientAuthorities {
    verifier: Option<Arc<ClientVerifier>>,
    digest: Vec<u8>,
    /// When each list of revoked certificates is out of date.
    lists: Arc<[UnixSeconds]>,
    remarks: Arc<[Remark]>,
}

/// What is no mistake, and keeps somebody out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Remark {
    #[error("certificate {position} of `{}` has ended: nobody of this authority is let in", path.display())]
    AuthorityEnded { path: PathBuf, position: usize },
    #[error("the time of certificate {position} of `{}` is to come: nobody of this authority is let in until then", path.display())]
    AuthorityToCome { path: PathBuf, position: usize },
    #[error("`crl` has no list of the authority that is certificate {position} of `{}`: nobody whom it has issued one is let in", path.display())]
    AuthorityUnlisted { path: PathBuf, position: usize },
    #[error("{0} is of nobody in `ca`: it counts for an authority below those alone")]
    ListOfOthers(Place),
    #[error("{0} is out of date: nobody of its authority is let in")]
    ListEnded(Place),
}

/// Why clients cannot be asked for certificates.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthoritiesError {
    #[error(transparent)]
    File(#[from] PemFileError),
    #[error("`{}` holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)", .0.display())]
    NoAuthority(PathBuf),
    #[error("certificate {position} of `{}` is no authority: {why}", path.display())]
    Authority { path: PathBuf, position: usize, why: NoAuthority },
    #[error(transparent)]
    List(#[from] ClientListsError),
    #[error("the lists of revoked certificates cannot be used: {0}")]
    Lists(rustls::server::VerifierBuilderError),
}

impl ClientAuthorities {
    /// None: clients are not asked.
    #[must_use]
    pub fn none() -> Self {
        Self { verifier: None, digest: Vec::new(), lists: [].into(), remarks: [].into() }
    }

    /// Reads what the policy names.
    ///
    /// # Errors
    ///
    /// The first file that cannot be used.
    pub fn load(settings: &ClientCertificates, now: UnixSeconds) -> Result<Self, ClientAuthoritiesError> {
        let ClientCertificates::Asked { demand, ca, crl } = settings else { return Ok(Self::none()) };
        let mut context = digest::Context::new(&digest::SHA256);
        let mut tell = |kind: &[u8], der: &[u8]| {
            context.update(kind);
            context.update(&(der.len() as u64).to_be_bytes());
            context.update(der);
        };
        let lists = &client_lists::load(crl)?;
        let (mut authorities, mut remarks) = (Vec::new(), Vec::new());
        for path in ca {
            let of_file: Vec<CertificateDer<'static>> = pem_blocks::read(path)?;
            if of_file.is_empty() {
                return Err(ClientAuthoritiesError::NoAuthority(path.clone()));
            }
            for (position, authority) in (1..).zip(of_file) {
                tell(b"authority", &authority);
                let authority = ClientAuthority::read(authority).map_err(|why| ClientAuthoritiesError::Authority {
                    path: path.clone(),
                    position,
                    why,
                })?;
                if authority.ends < now {
                    remarks.push(Remark::AuthorityEnded { path: path.clone(), position });
                } else if now < authority.begins {
                    remarks.push(Remark::AuthorityToCome { path: path.clone(), position });
                }
                if !lists.is_empty() && !lists.iter().any(|list| list.scope.issuer == authority.subject) {
                    remarks.push(Remark::AuthorityUnlisted { path: path.clone(), position });
                }
                authorities.push(authority);
            }
        }
        for list in lists {
            tell(b"revoked", &list.der);
            if !authorities.iter().any(|authority| authority.subject == list.scope.issuer) {
                remarks.push(Remark::ListOfOthers(list.place.clone()));
            }
            if list.ends <= now {
                remarks.push(Remark::ListEnded(list.place.clone()));
            }
        }
        tell(
            b"demand",
            match demand {
                Demand::Required => b"required",
                Demand::Optional => b"optional",
            },
        );
        let ders = lists.iter().map(|list| list.der.clone()).collect();
        let verifier = ClientVerifier::new(authorities, ders, *demand, now).map_err(ClientAuthoritiesError::Lists)?;
        Ok(Self {
            verifier: Some(Arc::new(verifier)),
            digest: context.finish().as_ref().to_vec(),
            lists: lists.iter().map(|list| list.ends).collect(),
            remarks: remarks.into(),
        })
    }

    /// What an operator should know of what was read.
    #[must_use]
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// The last second of the authority that ends first.
    #[must_use]
    pub fn authorities_end(&self) -> Option<UnixSeconds> {
        self.verifier.as_ref().and_then(|verifier| verifier.ends())
    }

    /// When the first of the lists of revoked certificates is out of date: from then on nobody's certificate holds whom it is about.
    #[must_use]
    pub fn lists_end(&self) -> Option<UnixSeconds> {
        self.lists.iter().min().copied()
    }

    pub(super) fn verifier(&self) -> Option<Arc<dyn ClientCertVerifier>> {
        self.verifier.clone().map(|verifier| verifier as Arc<dyn ClientCertVerifier>)
    }

    /// Whether clients are asked for a certificate at all.
    pub(super) fn are_asked(&self) -> bool {
        self.verifier.is_some()
    }

    /// Whether nobody is served without a certificate.
    pub(super) fn are_demanded(&self) -> bool {
        self.verifier.as_ref().is_some_and(|verifier| verifier.client_auth_mandatory())
    }

    /// Whether a chain that a client has shown holds at `now`.
    ///
    /// # Errors
    ///
    /// Its time is over, or it does not hold for another reason.
    pub(super) fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixSeconds,
    ) -> Result<(), ClientCertificateRefusal> {
        let (Some(verifier), Some((own, others))) = (&self.verifier, chain.split_first()) else {
            return Err(ClientCertificateRefusal::Withdrawn);
        };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.0).unwrap_or(0)));
        match verifier.verify_client_cert(own, others, now) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
                Err(ClientCertificateRefusal::Expired)
            }
            Err(_) => Err(ClientCertificateRefusal::Withdrawn),
        }
    }

    /// The first second after `now` in which a chain could be judged otherwise than at `now`: the time of a certificate or of an
    /// authority is over, or a list is out of date. Which certificates of the chain lead to an authority is not known here, so that all count.
    pub(super) fn stands_until(&self, chain: &[CertificateDer<'_>], now: UnixSeconds) -> UnixSeconds {
        let certificates = chain.iter().flat_map(changes);
        let authorities = self.verifier.as_ref().and_then(|verifier| verifier.changes(now));
        let changes = certificates.chain(self.lists.iter().copied()).chain(authorities);
        changes.filter(|change| *change > now).min().unwrap_or(UnixSeconds(i64::MAX))
    }

    /// What tells these authorities, and what they have taken back, from all others.
    pub(super) fn digest(&self) -> &[u8] {
        &self.digest
    }
}

/// The seconds in which the time of a certificate begins, and is over. One that cannot be read leads nowhere.
fn changes(der: &CertificateDer<'_>) -> Vec<UnixSeconds> {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Vec::new() };
    let validity = certificate.validity();
    vec![UnixSeconds(validity.not_before.timestamp()), UnixSeconds(validity.not_after.timestamp().saturating_add(1))]
}

impl fmt::Debug for ClientAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthorities").field("asked", &self.verifier.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, KeyUsagePurpose};

    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_795_000_000);

    /// A certificate of an authority in PEM, signed by itself.
    fn authority(change: impl FnOnce(&mut CertificateParams)) -> String {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(&mut params);
        params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").pem()
    }

    fn settings(ca: &Path, crl: Option<&Path>) -> ClientCertificates {
        ClientCertificates::Asked {
            demand: Demand::Required,
            ca: vec![ca.to_owned()],
            crl: crl.into_iter().map(Path::to_owned).collect(),
        }
    }

    #[test]
    fn files_that_hold_something_else_are_said() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).expect("written");
            path
        };
        let key = KeyPair::generate().expect("a key");
        let pem = authority(|_| {});
        let (good, empty) = (file("ca.pem", &pem), file("empty.pem", ""));
        let key = file("key.pem", &key.serialize_pem());
        let garbage = file("garbage.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
        let broken = file("broken.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
        let absent = directory.path().join("absent.pem");
        let check = |ca: &Path, crl: Option<&Path>, expected: &str| {
            let loaded = ClientAuthorities::load(&settings(ca, crl), NOW);
            let words = loaded.map_or_else(|error| error.to_string(), |_| "fine".to_owned());
            assert!(words.contains(expected), "{words}");
        };
        check(&good, None, "fine");
        check(&empty, None, "holds no certificate in PEM");
        check(&key, None, "holds no certificate in PEM");
        check(&garbage, None, "is not PEM");
        check(&broken, None, "certificate 1 of");
        check(&absent, None, "cannot read");
        let others = [
            authority(|params| params.is_ca = IsCa::NoCa),
            authority(|params| params.is_ca = IsCa::ExplicitNoCa),
            authority(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign]),
        ];
        for other in others {
            check(&file("other.pem", &format!("{pem}{other}")), None, "certificate 2 of");
        }
        let usages = vec![KeyUsagePurpose::KeyCertSign];
        check(&file("signs.pem", &authority(|params| params.key_usages = usages)), None, "fine");
        check(&good, Some(&good), "holds no list of revoked certificates in PEM");
        check(&good, Some(&absent), "cannot read");
        let list = file("broken.crl", "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n");
        check(&good, Some(&list), "list 1 of");
        assert!(ClientAuthorities::load(&ClientCertificates::Off, NOW).expect("nothing to read").verifier().is_none());
    }

    #[test]
    fn another_demand_or_another_authority_is_told_apart() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = ["one.pem", "other.pem"].map(|name| {
            let path = directory.path().join(name);
            fs::write(&path, authority(|_| {})).expect("written");
            path
        });
        let of = |demand, ca: &[PathBuf]| {
            let settings = ClientCertificates::Asked { demand, ca: ca.to_vec(), crl: Vec::new() };
            ClientAuthorities::load(&settings, NOW).expect("loaded").digest().to_vec()
        };
        let digests = [
            of(Demand::Required, &files[..1]),
            of(Demand::Optional, &files[..1]),
            of(Demand::Required, &files[1..]),
            of(Demand::Required, &files),
            ClientAuthorities::none().digest().to_vec(),
        ];
        assert!(digests.iter().all(|digest| digests.iter().filter(|other| *other == digest).count() == 1));
        assert_eq!(of(Demand::Required, &files[..1]), digests[0]);
    }
}
