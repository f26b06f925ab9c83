//! A chain of certificates: what it says of itself, and whether its parts belong together.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::certificate_error::CertificateError;
use super::certificate_names::CertificateNames;
use super::signatures::Signed;
use crate::clock::UnixSeconds;

/// What a chain says of itself.
#[derive(Debug)]
pub(super) struct Facts {
    /// The hosts for which its first certificate speaks.
    pub(super) names: Arc<CertificateNames>,
    /// Whether its first certificate says that it is an authority (`CA:TRUE`), as certificates for oneself often do. Some clients refuse it.
    pub(super) is_authority: bool,
    /// Of each certificate.
    times: Vec<Time>,
}

/// From when to when a certificate is good.
#[derive(Debug)]
struct Time {
    begins: i64,
    ends: i64,
}

impl Facts {
    /// When the first certificate of the chain to expire does.
    pub(super) fn ends(&self) -> UnixSeconds {
        // There is one at least, see `read_chain`.
        UnixSeconds(self.times.iter().map(|time| time.ends).min().unwrap_or(i64::MIN))
    }

    /// Whether now is the time of each; `path` says in errors where they come from.
    pub(super) fn hold(&self, path: &Path, now: UnixSeconds) -> Result<(), CertificateError> {
        for (position, &Time { begins, ends }) in (1..).zip(&self.times) {
            let path = || path.to_owned();
            if now.0 > ends {
                return Err(CertificateError::Expired { path: path(), position, ended: ends });
            }
            if now.0 < begins {
                return Err(CertificateError::NotYet { path: path(), position, begins });
            }
        }
        Ok(())
    }
}

/// Reads a chain, its own certificate first, whenever its time is; `path` says in errors where it comes from.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub(super) fn read_chain(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Facts, CertificateError> {
    let path = || path.to_owned();
    let mut own: Option<(CertificateNames, bool)> = None;
    let mut times = Vec::new();
    let mut issued: Option<(Signed<'_>, Vec<u8>)> = None;
    for (position, der) in (1..).zip(chain) {
        let malformed = || CertificateError::Malformed { path: path(), position };
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| malformed())?;
        if !rest.is_empty() {
            return Err(malformed());
        }
        // A name can be had twice, as with an authority that was made anew; a signature cannot.
        let is_issuer = |(signed, name): &(Signed<'_>, Vec<u8>)| {
            name == certificate.subject().as_raw() && signed.is_by(certificate.public_key().raw)
        };
        if issued.as_ref().is_some_and(|issued| !is_issuer(issued)) {
            return Err(CertificateError::Chain { path: path(), position: position - 1 });
        }
        // A root that was sent along may say what it likes: clients ask their own store.
        let is_root = certificate.issuer().as_raw() == certificate.subject().as_raw();
        if position > 1 && !is_root && !certificate.is_ca() {
            return Err(CertificateError::NoAuthority { path: path(), position });
        }
        issued = Some((Signed::read(der).ok_or_else(malformed)?, certificate.issuer().as_raw().to_vec()));
        let validity = certificate.validity();
        times.push(Time { begins: validity.not_before.timestamp(), ends: validity.not_after.timestamp() });
        if own.is_none() {
            let purposes = certificate.extended_key_usage().map_err(|_| malformed())?;
            if purposes.is_some_and(|purposes| !purposes.value.any && !purposes.value.server_auth) {
                return Err(CertificateError::NoServer { path: path() });
            }
            own = Some((read_names(&certificate), certificate.is_ca()));
        }
    }
    let (names, is_authority) = own.ok_or_else(|| CertificateError::NoCertificate { path: path() })?;
    if names.is_empty() {
        return Err(CertificateError::NoNames { path: path() });
    }
    Ok(Facts { names: Arc::new(names), is_authority, times })
}

fn read_names(certificate: &X509Certificate<'_>) -> CertificateNames {
    let mut names = CertificateNames::default();
    for extension in certificate.extensions() {
        let ParsedExtension::SubjectAlternativeName(alternatives) = extension.parsed_extension() else { continue };
        for name in &alternatives.general_names {
            if let GeneralName::DNSName(name) = name {
                names.add_dns(name);
            } else if let GeneralName::IPAddress(octets) = name {
                if let Ok(octets) = <[u8; 4]>::try_from(*octets) {
                    names.add_address(octets.into());
                } else if let Ok(octets) = <[u8; 16]>::try_from(*octets) {
                    names.add_address(octets.into());
                }
            }
        }
    }
    names
}
