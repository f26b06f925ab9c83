//! What a chain of certificates says, and whether anybody believes it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};
use x509_parser::public_key::PublicKey as ParsedKey;

use super::facts::{CertificateFacts, PublicKey, SignatureHash, Trust};
use crate::edge::certificate_names::CertificateNames;

/// Whom to believe.
#[derive(Clone)]
pub enum Authorities {
    /// It is not asked.
    Unasked,
    These(Arc<RootCertStore>),
}

/// Why there is nobody to believe.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    #[error("no certificate in pem (`-----BEGIN CERTIFICATE-----`) that can be an authority")]
    None,
    #[error("the system's certificate authorities cannot be read: name a file of them")]
    System,
}

impl Authorities {
    /// Those that the system trusts.
    ///
    /// # Errors
    ///
    /// [`AuthoritiesError::System`].
    pub fn system() -> Result<Self, AuthoritiesError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() { Err(AuthoritiesError::System) } else { Ok(Self::These(Arc::new(roots))) }
    }

    /// Those of a file alone.
    ///
    /// # Errors
    ///
    /// [`AuthoritiesError::None`].
    pub fn of_pem(pem: &[u8]) -> Result<Self, AuthoritiesError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| AuthoritiesError::None)?;
            roots.add(certificate).map_err(|_| AuthoritiesError::None)?;
        }
        if roots.is_empty() { Err(AuthoritiesError::None) } else { Ok(Self::These(Arc::new(roots))) }
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorities(..)")
    }
}

/// Reads a chain, the host's own certificate first. `name` is that which was asked for, `now` in Unix seconds. `None`: it cannot be read.
pub(super) fn read(
    chain: &[Vec<u8>],
    name: Option<&str>,
    authorities: &Authorities,
    now: i64,
) -> Option<CertificateFacts> {
    let parsed: Vec<X509Certificate<'_>> =
        chain.iter().map(|der| X509Certificate::from_der(der).ok().map(|(_, parsed)| parsed)).collect::<Option<_>>()?;
    let first = parsed.first()?;
    let is_own_issuer = |certificate: &X509Certificate<'_>| certificate.issuer() == certificate.subject();
    // Of an authority that signs itself the signature proves nothing, so it is not looked at.
    let signed = parsed.iter().enumerate().filter(|(at, certificate)| *at == 0 || !is_own_issuer(certificate));
    let hash = signed.map(|(_, certificate)| hash_of(certificate)).min_by_key(|hash| weakness(*hash))?;
    let (covering, names) = names_of(first);
    Some(CertificateFacts {
        key: key_of(first),
        hash,
        begins: parsed.iter().map(|certificate| certificate.validity().not_before.timestamp()).max()?,
        ends: parsed.iter().map(|certificate| certificate.validity().not_after.timestamp()).min()?,
        covers_name: name.map(|name| covering.cover(&name.to_ascii_lowercase())),
        names,
        trust: trust(chain, is_own_issuer(first), authorities, now),
        names_responder: names_responder(first),
    })
}

fn weakness(hash: SignatureHash) -> u8 {
    match hash {
        SignatureHash::Md5 => 0,
        SignatureHash::Sha1 => 1,
        SignatureHash::Other => 2,
        SignatureHash::Strong => 3,
    }
}

fn hash_of(certificate: &X509Certificate<'_>) -> SignatureHash {
    const MD: [&str; 3] = ["1.2.840.113549.1.1.2", "1.2.840.113549.1.1.3", "1.2.840.113549.1.1.4"];
    const SHA1: [&str; 4] = ["1.2.840.113549.1.1.5", "1.3.14.3.2.29", "1.2.840.10045.4.1", "1.2.840.10040.4.3"];
    // RSA with SHA-2, PSS, ECDSA with SHA-2, the curves of Edwards.
    const STRONG: [&str; 9] = [
        "1.2.840.113549.1.1.10",
        "1.2.840.113549.1.1.11",
        "1.2.840.113549.1.1.12",
        "1.2.840.113549.1.1.13",
        "1.2.840.10045.4.3.2",
        "1.2.840.10045.4.3.3",
        "1.2.840.10045.4.3.4",
        "1.3.101.112",
        "1.3.101.113",
    ];
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    let is_of = |list: &[&str]| list.contains(&algorithm.as_str());
    if is_of(&MD) {
        SignatureHash::Md5
    } else if is_of(&SHA1) {
        SignatureHash::Sha1
    } else if is_of(&STRONG) {
        SignatureHash::Strong
    } else {
        SignatureHash::Other
    }
}

fn key_of(certificate: &X509Certificate<'_>) -> PublicKey {
    let key = certificate.public_key();
    // Curves of Edwards have one size, and no parameters to read it from.
    match key.algorithm.algorithm.to_id_string().as_str() {
        "1.3.101.112" => return PublicKey::Ec(256),
        "1.3.101.113" => return PublicKey::Ec(456),
        _ => {}
    }
    let Ok(parsed) = key.parsed() else { return PublicKey::Other };
    if let ParsedKey::RSA(rsa) = &parsed {
        PublicKey::Rsa(rsa.key_size())
    } else if let ParsedKey::EC(point) = &parsed {
        PublicKey::Ec(point.key_size())
    } else {
        PublicKey::Other
    }
}

fn names_of(certificate: &X509Certificate<'_>) -> (CertificateNames, Vec<String>) {
    let (mut covering, mut names) = (CertificateNames::default(), Vec::new());
    for extension in certificate.extensions() {
        let ParsedExtension::SubjectAlternativeName(alternatives) = extension.parsed_extension() else { continue };
        for name in &alternatives.general_names {
            if let GeneralName::DNSName(name) = name {
                covering.add_dns(name);
                // It comes from a stranger and goes to a terminal.
                names.push(name.chars().filter(char::is_ascii_graphic).collect());
            } else if let GeneralName::IPAddress(octets) = name
                && let Some(address) = address(octets)
            {
                covering.add_address(address);
                names.push(address.to_string());
            }
        }
    }
    (covering, names)
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// Authority information access with OCSP (RFC 5280 §4.2.2.1).
fn names_responder(certificate: &X509Certificate<'_>) -> bool {
    certificate.extensions().iter().any(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else { return false };
        access.accessdescs.iter().any(|description| description.access_method.to_id_string() == "1.3.6.1.5.5.7.48.1")
    })
}

/// Whether the chain holds. Time and name are asked elsewhere: the one is that of the whole chain, and to the other there may be no answer.
fn trust(chain: &[Vec<u8>], is_own_issuer: bool, authorities: &Authorities, now: i64) -> Trust {
    let Authorities::These(roots) = authorities else { return Trust::Unasked };
    let chain: Vec<CertificateDer<'_>> = chain.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let (Some((first, others)), Ok(seconds)) = (chain.split_first(), u64::try_from(now)) else { return Trust::Broken };
    let provider = Arc::new(crate::edge::tls::provider());
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider).build() else {
        return Trust::UnknownIssuer;
    };
    // A name that nobody has: what comes last of all checks tells that all others hold.
    let Ok(nobody) = ServerName::try_from("nobody.invalid") else { return Trust::Broken };
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    match verifier.verify_server_cert(first, others, &nobody, &[], now) {
        Ok(_) => Trust::Trusted,
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. }
            // Said with the dates of the facts.
            | CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => Trust::Trusted,
        // Whatever else is wrong with it: nobody else vouches for it.
        Err(_) if is_own_issuer => Trust::SelfSigned,
        Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => Trust::UnknownIssuer,
        Err(_) => Trust::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixSeconds;
    use crate::edge::dev_certificates::{VALID_DAYS, make_dev};

    const NOW: i64 = 1_800_000_000;

    fn chain(pem: &str) -> Vec<Vec<u8>> {
        CertificateDer::pem_slice_iter(pem.as_bytes()).map(|der| der.expect("a certificate").to_vec()).collect()
    }

    #[test]
    fn a_chain_says_its_key_names_and_end_and_who_believes_it() {
        let made = make_dev(&["Chat.example".to_owned()], UnixSeconds(NOW)).expect("certificates");
        let own = Authorities::of_pem(made.ca_pem.as_bytes()).expect("an authority");
        // Authorities for development are called by the second in which they were made.
        let other = make_dev(&[], UnixSeconds(NOW - 1)).expect("certificates");
        let other = Authorities::of_pem(other.ca_pem.as_bytes()).expect("an authority");
        let facts =
            |name, authorities: &Authorities, now| read(&chain(&made.chain_pem), name, authorities, now).expect("read");
        let read_one = facts(Some("chat.EXAMPLE"), &own, NOW);
        assert_eq!((read_one.key, read_one.hash), (PublicKey::Ec(256), SignatureHash::Strong));
        assert_eq!((read_one.trust, read_one.covers_name), (Trust::Trusted, Some(true)));
        assert_eq!(read_one.ends, NOW + VALID_DAYS * 86_400);
        assert!(read_one.names.iter().any(|name| name == "127.0.0.1") && !read_one.names_responder);
        assert_eq!(facts(Some("chat.example.evil.test"), &own, NOW).covers_name, Some(false));
        assert_eq!(facts(None, &own, NOW).covers_name, None);
        assert_eq!(facts(None, &other, NOW).trust, Trust::UnknownIssuer);
        assert_eq!(facts(None, &Authorities::Unasked, NOW).trust, Trust::Unasked);
        // That it has ended is another matter than whether its issuer is known.
        assert_eq!(facts(None, &own, read_one.ends + 1).trust, Trust::Trusted);
        assert_eq!(read(&chain(&made.ca_pem), None, &other, NOW).expect("read").trust, Trust::SelfSigned);
        assert!(read(&[vec![1, 2, 3]], None, &own, NOW).is_none() && read(&[], None, &own, NOW).is_none());
    }

    #[test]
    fn who_is_nobody_is_no_authority() {
        assert!(matches!(Authorities::of_pem(b""), Err(AuthoritiesError::None)));
        assert!(matches!(
            Authorities::of_pem(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
            Err(AuthoritiesError::None)
        ));
    }
}
