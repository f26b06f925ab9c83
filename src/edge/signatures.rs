//! Signatures of X.509: what is signed, by which algorithm, and whether a public key made it (RFC 5280 §4.1, RFC 6960 §4.2.1).
//!
//! Only the algorithms that our TLS verifies count: none of them uses SHA-1.

use x509_parser::asn1_rs::{Any, FromDer};

use super::tls::provider;

/// One element of DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    /// The first byte: class, form and number, which is below 31 wherever we look.
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// With its tag and length.
    pub(super) whole: &'a [u8],
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const SEQUENCE: u8 = 0x30;

/// Takes the next element off `input`. `None`: there is none that is DER.
pub(super) fn take<'a>(input: &mut &'a [u8]) -> Option<Element<'a>> {
    let (rest, any) = Any::from_der(input).ok()?;
    let whole = input.get(..input.len() - rest.len())?;
    *input = rest;
    Some(Element { tag: *whole.first()?, content: any.data, whole })
}

/// Takes the next element off `input`, which has this tag.
pub(super) fn take_tagged<'a>(input: &mut &'a [u8], tag: u8) -> Option<Element<'a>> {
    take(input).filter(|element| element.tag == tag)
}

/// Something signed: `SEQUENCE { what is signed, algorithm, BIT STRING, … }`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    pub(super) message: Element<'a>,
    algorithm: &'a [u8],
    signature: &'a [u8],
    /// What stands behind the signature.
    pub(super) rest: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Takes it apart; `None` where it is nothing of the kind.
    pub(super) fn read(mut der: &'a [u8]) -> Option<Self> {
        let mut content = take_tagged(&mut der, SEQUENCE)?.content;
        if !der.is_empty() {
            return None;
        }
        let message = take_tagged(&mut content, SEQUENCE)?;
        let algorithm = take_tagged(&mut content, SEQUENCE)?.content;
        let signature = bits(take_tagged(&mut content, BIT_STRING)?)?;
        Some(Self { message, algorithm, signature, rest: content })
    }

    /// Whether whoever has this key (`SubjectPublicKeyInfo`) signed it.
    pub(super) fn is_by(&self, mut key_info: &[u8]) -> bool {
        let mut verify = || {
            let mut content = take_tagged(&mut key_info, SEQUENCE)?.content;
            let kind = take_tagged(&mut content, SEQUENCE)?.content;
            let key = bits(take_tagged(&mut content, BIT_STRING)?)?;
            let provider = provider();
            let mut algorithms = provider.signature_verification_algorithms.all.iter().filter(|algorithm| {
                algorithm.signature_alg_id().as_ref() == self.algorithm
                    && algorithm.public_key_alg_id().as_ref() == kind
            });
            // ECDSA names the hash alone, so that one algorithm may stand there for several curves.
            let verified =
                algorithms.any(|algorithm| algorithm.verify_signature(key, self.message.whole, self.signature).is_ok());
            verified.then_some(())
        };
        verify().is_some()
    }
}

/// The bytes of a bit string that has no odd bits.
pub(super) fn bits(element: Element<'_>) -> Option<&[u8]> {
    match element.content.split_first() {
        Some((0, bytes)) if element.tag == BIT_STRING => Some(bytes),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use x509_parser::prelude::X509Certificate;

    use super::*;
    use crate::clock::UnixSeconds;
    use crate::edge::dev_certificates::make_dev;

    #[test]
    fn a_certificate_is_signed_by_its_issuer_and_by_nobody_of_the_same_name() {
        let made = || make_dev(&[], UnixSeconds(1_800_000_000)).expect("certificates");
        let (one, other) = (made(), made());
        let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
        let (leaf, ca, stranger) = (der(&one.chain_pem), der(&one.ca_pem), der(&other.ca_pem));
        let key_of =
            |der: &CertificateDer<'_>| X509Certificate::from_der(der).expect("read").1.public_key().raw.to_vec();
        let signed = Signed::read(&leaf).expect("signed");
        assert!(signed.is_by(&key_of(&ca)));
        assert!(!signed.is_by(&key_of(&stranger)));
        assert!(!signed.is_by(&[]));
        let mut changed = leaf.to_vec();
        // The last byte of the signature.
        *changed.last_mut().expect("bytes") ^= 1;
        assert!(!Signed::read(&changed).is_some_and(|signed| signed.is_by(&key_of(&ca))));
        changed.push(0);
        assert!(Signed::read(&changed).is_none());
        for end in 0..leaf.len() {
            assert!(Signed::read(&leaf[..end]).is_none(), "{end}");
        }
    }
}
