//! Who may issue the certificates that clients show, and what of it was taken back (RFC 5280 §6, RFC 8446 §4.3.2).
//!
//! The whole chain is verified against lists of revoked certificates where there are any: then each authority must have one, in date. What
//! cannot be known is not good.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::tls::provider;
use crate::clock::UnixSeconds;
use crate::policy::{ClientCertificates, Demand};

/// The authorities of one listener, ready to verify with.
#[derive(Clone)]
pub struct ClientAuthorities {
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    digest: Vec<u8>,
    /// When the first of the lists of revoked certificates is out of date.
    lists_end: Option<UnixSeconds>,
}

/// Why clients cannot be asked for certificates.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthoritiesError {
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{}` is not PEM", path.display())]
    Pem { path: PathBuf, source: pem::Error },
    #[error("`{}` holds no certificate in PEM (`-----BEGIN CERTIFICATE-----`)", .0.display())]
    NoAuthority(PathBuf),
    #[error("certificate {position} of `{}` is no authority", path.display())]
    Authority { path: PathBuf, position: usize, source: rustls::Error },
    #[error("`{}` holds no list of revoked certificates in PEM (`-----BEGIN X509 CRL-----`)", .0.display())]
    NoList(PathBuf),
    #[error("the lists of revoked certificates cannot be read")]
    Lists(#[source] rustls::server::VerifierBuilderError),
}

impl ClientAuthorities {
    /// None: clients are not asked.
    #[must_use]
    pub fn none() -> Self {
        Self { verifier: None, digest: Vec::new(), lists_end: None }
    }

    /// Reads what the policy names.
    ///
    /// # Errors
    ///
    /// The first file that cannot be used.
    pub fn load(settings: &ClientCertificates) -> Result<Self, ClientAuthoritiesError> {
        let ClientCertificates::Asked { demand, ca, crl } = settings else { return Ok(Self::none()) };
        let mut context = digest::Context::new(&digest::SHA256);
        let mut tell = |kind: &[u8], der: &[u8]| {
            context.update(kind);
            context.update(&(der.len() as u64).to_be_bytes());
            context.update(der);
        };
        let mut roots = RootCertStore::empty();
        for path in ca {
            let authorities: Vec<CertificateDer<'static>> = read(path)?;
            if authorities.is_empty() {
                return Err(ClientAuthoritiesError::NoAuthority(path.clone()));
            }
            for (position, authority) in (1..).zip(authorities) {
                tell(b"authority", &authority);
                roots.add(authority).map_err(|source| ClientAuthoritiesError::Authority {
                    path: path.clone(),
                    position,
                    source,
                })?;
            }
        }
        let mut lists: Vec<CertificateRevocationListDer<'static>> = Vec::new();
        for path in crl {
            let of_file: Vec<CertificateRevocationListDer<'static>> = read(path)?;
            if of_file.is_empty() {
                return Err(ClientAuthoritiesError::NoList(path.clone()));
            }
            of_file.iter().for_each(|list| tell(b"revoked", list));
            lists.extend(of_file);
        }
        let lists_end = lists.iter().filter_map(|list| ends(list)).min();
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider()))
            .with_crls(lists)
            .enforce_revocation_expiration();
        let builder = match demand {
            Demand::Required => builder,
            Demand::Optional => builder.allow_unauthenticated(),
        };
        tell(
            b"demand",
            match demand {
                Demand::Required => b"required",
                Demand::Optional => b"optional",
            },
        );
        let verifier = builder.build().map_err(ClientAuthoritiesError::Lists)?;
        Ok(Self { verifier: Some(verifier), digest: context.finish().as_ref().to_vec(), lists_end })
    }

    /// When the first of the lists of revoked certificates is out of date: from then on nobody's certificate holds whom it is about.
    #[must_use]
    pub fn lists_end(&self) -> Option<UnixSeconds> {
        self.lists_end
    }

    pub(super) fn verifier(&self) -> Option<&Arc<dyn ClientCertVerifier>> {
        self.verifier.as_ref()
    }

    /// What tells these authorities, and what they have taken back, from all others.
    pub(super) fn digest(&self) -> &[u8] {
        &self.digest
    }
}

fn ends(list: &CertificateRevocationListDer<'_>) -> Option<UnixSeconds> {
    let (_, list) = CertificateRevocationList::from_der(list).ok()?;
    Some(UnixSeconds(list.next_update()?.timestamp()))
}

fn read<T: PemObject>(path: &Path) -> Result<Vec<T>, ClientAuthoritiesError> {
    let unread = |source| ClientAuthoritiesError::Read { path: path.to_owned(), source };
    let bytes = fs::read(path).map_err(unread)?;
    T::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| ClientAuthoritiesError::Pem { path: path.to_owned(), source })
}

impl fmt::Debug for ClientAuthorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuthorities").field("asked", &self.verifier.is_some()).finish_non_exhaustive()
    }
}
