//! A chain of certificates: what it says of itself, and whether its parts belong together.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::certificate_error::CertificateError;
use super::certificate_names::CertificateNames;
use super::signatures::Signed;
use crate::clock::UnixSeconds;

/// What a chain says of itself.
pub(super) struct Facts {
    pub(super) names: CertificateNames,
    pub(super) ends: UnixSeconds,
}

/// Reads a chain, its own certificate first; `path` says in errors where it comes from.
///
/// # Errors
///
/// The first thing that is wrong with it.
pub(super) fn read_chain(
    path: &Path,
    chain: &[CertificateDer<'_>],
    now: UnixSeconds,
) -> Result<Facts, CertificateError> {
    let path = || path.to_owned();
    let mut facts: Option<Facts> = None;
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
        issued = Some((Signed::read(der).ok_or_else(malformed)?, certificate.issuer().as_raw().to_vec()));
        let (begins, ends) =
            (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
        if now.0 > ends {
            return Err(CertificateError::Expired { path: path(), position, ended: ends });
        }
        if now.0 < begins {
            return Err(CertificateError::NotYet { path: path(), position, begins });
        }
        match &mut facts {
            None => facts = Some(Facts { names: read_names(&certificate), ends: UnixSeconds(ends) }),
            Some(facts) => facts.ends = facts.ends.min(UnixSeconds(ends)),
        }
    }
    let facts = facts.ok_or_else(|| CertificateError::NoCertificate { path: path() })?;
    if facts.names.is_empty() {
        return Err(CertificateError::NoNames { path: path() });
    }
    Ok(facts)
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
