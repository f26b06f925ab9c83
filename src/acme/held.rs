//! The certificate that is in the store: from when to when it is, and by what name its authority knows it.

use std::io::ErrorKind;

use instant_acme::CertificateIdentifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::schedule::Span;
use crate::clock::UnixSeconds;
use crate::edge::certificates::{Certificate, CertificateError};
use crate::policy::{CertificateSource, OrderedCertificate};

/// A certificate on disk that can be shown for all the names that are wanted.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Of the first certificate of the chain.
    pub(super) life: Span,
    /// When the first of the chain to end does.
    pub(super) ends: UnixSeconds,
    /// RFC 9773 §4.1. `None`: it names no authority's key.
    pub(super) id: Option<CertificateIdentifier<'static>>,
}

/// Why what is there, if anything is, will not do.
#[derive(Debug)]
pub(super) enum Unusable {
    Certificate(CertificateError),
    /// It is good, but names were added since.
    OtherNames,
}

impl Unusable {
    /// For the log: why another is ordered.
    pub(super) fn words(&self) -> String {
        match self {
            Unusable::OtherNames => "names were added".to_owned(),
            Unusable::Certificate(CertificateError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                "there is none yet".to_owned()
            }
            Unusable::Certificate(error) => error.to_string(),
        }
    }
}

impl Held {
    /// What is in the store now.
    pub(super) fn read(order: &OrderedCertificate, now: UnixSeconds) -> Result<Self, Unusable> {
        let source = source(order);
        let certificate = Certificate::load(&source, now).map_err(Unusable::Certificate)?;
        if !covers(&certificate, order) {
            return Err(Unusable::OtherNames);
        }
        let ends = certificate.ends();
        let unread = || Unusable::Certificate(CertificateError::NoCertificate { path: order.file.clone() });
        let first = CertificateDer::from_pem_file(&order.file).map_err(|_| unread())?;
        let (_, parsed) = X509Certificate::from_der(&first).map_err(|_| unread())?;
        let validity = parsed.validity();
        let life = Span { begins: validity.not_before.timestamp(), ends: ends.0 };
        let id = CertificateIdentifier::try_from(&first).ok().map(CertificateIdentifier::into_owned);
        Ok(Self { life, ends, id })
    }
}

/// By the checks of certificates that operators bring.
pub(super) fn source(order: &OrderedCertificate) -> CertificateSource {
    CertificateSource { certificate: order.file.clone(), key: order.file.clone() }
}

pub(super) fn covers(certificate: &Certificate, order: &OrderedCertificate) -> bool {
    order.names.iter().all(|name| certificate.names().cover(name))
}
