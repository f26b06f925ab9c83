//! OCSP (RFC 6960): what to ask of a certificate's issuer, and whether what came back says that the certificate is good.
//!
//! It sends nothing. Whoever asks brings the answer here, and only what was verified can be shown with the certificate.

use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, ParsedExtension, X509Certificate};

use super::signatures::{INTEGER, OCTET_STRING, SEQUENCE, Signed, take, take_tagged};
use crate::clock::UnixSeconds;

/// What to ask about one certificate, and whom.
#[derive(Clone, Debug)]
pub struct Question {
    /// The responder that the certificate names.
    pub responder: String,
    issuer: Vec<u8>,
    issuer_name_hash: Vec<u8>,
    issuer_key_hash: Vec<u8>,
    serial: Vec<u8>,
}

/// What a certificate says of OCSP.
#[derive(Clone, Debug)]
pub enum Asking {
    /// It names no responder over plain HTTP: nothing is shown with it.
    Nobody,
    /// It names one, and the chain does not have its issuer, without whom nobody can ask.
    NoIssuer,
    Somebody(Box<Question>),
}

/// A verified answer: the certificate is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staple {
    response: Vec<u8>,
    /// When its issuer knew that.
    pub this_update: UnixSeconds,
    /// Until when it may be shown.
    pub next_update: UnixSeconds,
}

/// Why an answer is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OcspError {
    #[error("the answer is longer than {RESPONSE_BYTES_MAX} bytes")]
    TooLong,
    #[error("the answer is not OCSP")]
    Malformed,
    #[error("the responder does not answer the question (status {0})")]
    Unsuccessful(u8),
    #[error("neither the issuer nor a responder of its signed the answer")]
    Signature,
    #[error("the answer is about another certificate")]
    OtherCertificate,
    #[error("the answer says of no moment when it will be renewed")]
    NoNextUpdate,
    #[error("the time of the answer is not now")]
    Time,
    #[error("the responder does not know the certificate")]
    Unknown,
    #[error("the issuer has revoked the certificate")]
    Revoked,
}

impl OcspError {
    /// The stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            OcspError::TooLong => "too_long",
            OcspError::Malformed => "malformed",
            OcspError::Unsuccessful(_) => "unsuccessful",
            OcspError::Signature => "signature",
            OcspError::OtherCertificate => "other_certificate",
            OcspError::NoNextUpdate => "no_next_update",
            OcspError::Time => "time",
            OcspError::Unknown => "unknown",
            OcspError::Revoked => "revoked",
        }
    }
}

/// An answer has a signature and at most a chain of certificates.
pub const RESPONSE_BYTES_MAX: usize = 16 * 1024;

/// By how much the responder's clock may be ahead, in seconds.
const LEEWAY_SECONDS: i64 = 300;

/// SHA-1 names the issuer, as every responder knows it (RFC 5019 §2.1.1). Nothing depends on its strength.
const SHA1: [u8; 7] = [0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a];
/// `id-ad-ocsp`, `id-pkix-ocsp-basic`, `id-pe-tlsfeature`.
const ACCESS_OCSP: &str = "1.3.6.1.5.5.7.48.1";
const BASIC: [u8; 11] = [0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
const TLS_FEATURE: &str = "1.3.6.1.5.5.7.1.24";

const NULL: [u8; 2] = [0x05, 0x00];
const ENUMERATED: u8 = 0x0a;
const GENERALIZED_TIME: u8 = 0x18;
/// Tags of context, constructed and not.
const CONTEXT_0: u8 = 0xa0;
const GOOD: u8 = 0x80;
const REVOKED: u8 = 0xa1;
const UNKNOWN: u8 = 0x82;

impl Asking {
    /// What the first certificate of a chain says.
    #[must_use]
    pub fn of(chain: &[CertificateDer<'_>]) -> Self {
        let parsed =
            |index: usize| X509Certificate::from_der(chain.get(index)?).ok().map(|(_, certificate)| certificate);
        let Some(leaf) = parsed(0) else { return Self::Nobody };
        let Some(responder) = responder(&leaf) else { return Self::Nobody };
        let (Some(issuer), Some(issuer_der)) = (parsed(1), chain.get(1)) else { return Self::NoIssuer };
        let sha1 = |bytes: &[u8]| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec();
        Self::Somebody(Box::new(Question {
            responder,
            issuer: issuer_der.to_vec(),
            issuer_name_hash: sha1(leaf.issuer().as_raw()),
            issuer_key_hash: sha1(&issuer.public_key().subject_public_key.data),
            serial: leaf.raw_serial().to_vec(),
        }))
    }
}

fn responder(leaf: &X509Certificate<'_>) -> Option<String> {
    leaf.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else { return None };
        access.accessdescs.iter().find_map(|access| {
            let GeneralName::URI(uri) = &access.access_location else { return None };
            // Over TLS it would have to be asked about itself first (RFC 5280 §8).
            let is_one = access.access_method.to_id_string() == ACCESS_OCSP && uri.starts_with("http://");
            is_one.then(|| (*uri).to_owned())
        })
    })
}

/// Whether clients refuse the certificate without a staple (RFC 7633 §4.2.3.1).
#[must_use]
pub fn must_be_stapled(chain: &[CertificateDer<'_>]) -> bool {
    // `status_request`, number 5 of the extensions of TLS.
    const STATUS_REQUEST: [u8; 3] = [INTEGER, 1, 5];
    let leaf = chain.first().and_then(|der| X509Certificate::from_der(der).ok()).map(|(_, leaf)| leaf);
    leaf.is_some_and(|leaf| {
        let mut features = leaf.extensions().iter().filter(|extension| extension.oid.to_id_string() == TLS_FEATURE);
        features.any(|feature| feature.value.windows(STATUS_REQUEST.len()).any(|window| window == STATUS_REQUEST))
    })
}

impl Question {
    /// The question itself, in DER (RFC 6960 §4.1.1). It has no nonce, so that a responder may answer with what it has signed before.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let algorithm = element(SEQUENCE, &[&SHA1, &NULL]);
        let (name, key) =
            (element(OCTET_STRING, &[&self.issuer_name_hash]), element(OCTET_STRING, &[&self.issuer_key_hash]));
        let serial = element(INTEGER, &[&self.serial]);
        let id = element(SEQUENCE, &[&algorithm, &name, &key, &serial]);
        // One request in a list, in a request to be signed, which nobody signs.
        (0..4).fold(id, |inner, _| element(SEQUENCE, &[&inner]))
    }

    /// Verifies an answer.
    ///
    /// # Errors
    ///
    /// It does not say, in the issuer's name and of this time, that the certificate is good.
    pub fn verify(&self, response: &[u8], now: UnixSeconds) -> Result<Staple, OcspError> {
        if response.len() > RESPONSE_BYTES_MAX {
            return Err(OcspError::TooLong);
        }
        let basic = Signed::read(basic(response)?).ok_or(OcspError::Malformed)?;
        // First of all, so that what nobody signed says nothing.
        if !self.is_signed(&basic, now) {
            return Err(OcspError::Signature);
        }
        let single = self.single(basic.message.content)?;
        let (this_update, next_update) = (single.this_update, single.next_update.ok_or(OcspError::NoNextUpdate)?);
        if this_update.0 > now.0 + LEEWAY_SECONDS || next_update <= now {
            return Err(OcspError::Time);
        }
        match single.status {
            GOOD => Ok(Staple { response: response.to_vec(), this_update, next_update }),
            REVOKED => Err(OcspError::Revoked),
            UNKNOWN => Err(OcspError::Unknown),
            _ => Err(OcspError::Malformed),
        }
    }

    /// Whether the issuer signed it, or a responder to whom the issuer gave that right (RFC 6960 §4.2.2.2).
    fn is_signed(&self, basic: &Signed<'_>, now: UnixSeconds) -> bool {
        let Ok((_, issuer)) = X509Certificate::from_der(&self.issuer) else { return false };
        if basic.is_by(issuer.public_key().raw) {
            return true;
        }
        let mut rest = basic.rest;
        let mut certificates = match take_tagged(&mut rest, CONTEXT_0) {
            Some(list) => {
                let mut list = list.content;
                take_tagged(&mut list, SEQUENCE).map_or(&[][..], |list| list.content)
            }
            None => &[],
        };
        std::iter::from_fn(|| take(&mut certificates)).any(|der| {
            let (Ok((_, responder)), Some(signed)) = (X509Certificate::from_der(der.whole), Signed::read(der.whole))
            else {
                return false;
            };
            let may_sign = matches!(responder.extended_key_usage(), Ok(Some(usage)) if usage.value.ocsp_signing);
            let validity = responder.validity();
            may_sign
                && responder.issuer().as_raw() == issuer.subject().as_raw()
                && (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now.0)
                && signed.is_by(issuer.public_key().raw)
                && basic.is_by(responder.public_key().raw)
        })
    }

    /// What the answer says of our certificate, among all that it says.
    fn single(&self, mut data: &[u8]) -> Result<Single, OcspError> {
        let mut responses = loop {
            // Version and responder come before, and the moment at which it was signed.
            let element = take(&mut data).ok_or(OcspError::Malformed)?;
            if element.tag == SEQUENCE {
                break element.content;
            }
        };
        while !responses.is_empty() {
            let single = take_tagged(&mut responses, SEQUENCE).ok_or(OcspError::Malformed)?;
            if let Some(single) = self.read_single(single.content).ok_or(OcspError::Malformed)? {
                return Ok(single);
            }
        }
        Err(OcspError::OtherCertificate)
    }

    /// `None`: it cannot be read; `Some(None)`: it is about another certificate.
    #[expect(clippy::option_option, reason = "the outer is whether it can be read, the inner whether it is ours")]
    fn read_single(&self, mut content: &[u8]) -> Option<Option<Single>> {
        let mut id = take_tagged(&mut content, SEQUENCE)?.content;
        let algorithm = take_tagged(&mut id, SEQUENCE)?.content;
        let name = take_tagged(&mut id, OCTET_STRING)?.content;
        let key = take_tagged(&mut id, OCTET_STRING)?.content;
        let serial = take_tagged(&mut id, INTEGER)?.content;
        let is_ours = algorithm.starts_with(&SHA1)
            && name == self.issuer_name_hash
            && key == self.issuer_key_hash
            && serial == self.serial;
        let status = take(&mut content)?.tag;
        let this_update = time(take_tagged(&mut content, GENERALIZED_TIME)?.whole)?;
        let next_update = match take_tagged(&mut content, CONTEXT_0) {
            Some(next) => Some(time(next.content)?),
            None => None,
        };
        Some(is_ours.then_some(Single { status, this_update, next_update }))
    }
}

/// What an answer says of one certificate.
struct Single {
    status: u8,
    this_update: UnixSeconds,
    next_update: Option<UnixSeconds>,
}

/// The signed part of an answer that is one.
fn basic(mut response: &[u8]) -> Result<&[u8], OcspError> {
    let mut content = take_tagged(&mut response, SEQUENCE).ok_or(OcspError::Malformed)?.content;
    match take_tagged(&mut content, ENUMERATED).ok_or(OcspError::Malformed)?.content {
        [0] if response.is_empty() => {}
        [status] => return Err(OcspError::Unsuccessful(*status)),
        _ => return Err(OcspError::Malformed),
    }
    let mut within = || {
        let mut bytes = take_tagged(&mut content, CONTEXT_0)?.content;
        let mut bytes = take_tagged(&mut bytes, SEQUENCE)?.content;
        (take(&mut bytes)?.whole == BASIC).then(|| take_tagged(&mut bytes, OCTET_STRING))?
    };
    Ok(within().ok_or(OcspError::Malformed)?.content)
}

fn time(der: &[u8]) -> Option<UnixSeconds> {
    Some(UnixSeconds(ASN1Time::from_der(der).ok()?.1.timestamp()))
}

/// DER of short parts.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = match u8::try_from(content.len()) {
        Ok(length) if length < 0x80 => vec![length],
        Ok(length) => vec![0x81, length],
        // Two bytes are enough: what is written here are hashes and a serial number.
        Err(_) => [&[0x82], &u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes()[..]].concat(),
    };
    [&[tag], &length[..], &content].concat()
}

impl Staple {
    /// What is shown with the certificate.
    #[must_use]
    pub fn response(&self) -> &[u8] {
        &self.response
    }

    /// When the next one is asked for: halfway through its life, or through what is left of it where an old answer came.
    #[must_use]
    pub fn due(&self, now: UnixSeconds) -> UnixSeconds {
        let half = self.this_update.0.midpoint(self.next_update.0);
        UnixSeconds(if half > now.0 { half } else { now.0.midpoint(self.next_update.0) })
    }
}

#[cfg(test)]
mod tests;
