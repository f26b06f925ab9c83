//! Why a handshake did not take a client's certificate, by names that are few and stay.

use std::io;

use rustls::{CertificateError, Error};

/// What is wrong with the certificate that a client showed, or with one above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateFault {
    /// There is none, and the listener demands one.
    Missing,
    Ended,
    ToCome,
    UnknownAuthority,
    Purpose,
    Revoked,
    NoList,
    ListEnded,
    /// There is a list, and it is not by the key of its authority, or that may sign none.
    ListUnfit,
    Signature,
    Other,
}

impl CertificateFault {
    /// Its stable name in metrics and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Ended => "ended",
            Self::ToCome => "to_come",
            Self::UnknownAuthority => "unknown_authority",
            Self::Purpose => "purpose",
            Self::Revoked => "revoked",
            Self::NoList => "no_list",
            Self::ListEnded => "list_ended",
            Self::ListUnfit => "list_unfit",
            Self::Signature => "signature",
            Self::Other => "other",
        }
    }

    /// What an operator reads of it. Nothing in it is the client's.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Missing => "it showed none",
            Self::Ended => "it, or one above it, has ended",
            Self::ToCome => "its time, or that of one above it, is to come",
            Self::UnknownAuthority => "none of `ca` has issued it, or may have with so many others between",
            Self::Purpose => "its extended key usage is not that of clients (`clientAuth`)",
            Self::Revoked => "its authority has taken it back",
            Self::NoList => "its authority, or one above, has no list among `crl`",
            Self::ListEnded => "the list of its authority, or of one above, is out of date",
            Self::ListUnfit => "the list of its authority, or of one above, is not signed by it",
            Self::Signature => "a signature of it, of one above it, or by its key does not hold",
            Self::Other => "it cannot be read, or asks for what is not known here",
        }
    }

    /// `None`: the handshake failed for something else.
    pub(super) fn of(failure: &io::Error) -> Option<Self> {
        let error = failure.get_ref()?.downcast_ref::<Error>()?;
        if let Error::InvalidCertificate(error) = error {
            return Some(Self::of_certificate(error));
        }
        let is_list = matches!(error, Error::InvalidCertRevocationList(_));
        let is_none = matches!(error, Error::NoCertificatesPresented);
        is_none.then_some(Self::Missing).or(is_list.then_some(Self::ListUnfit))
    }

    // rustls may know more errors tomorrow.
    fn of_certificate(error: &CertificateError) -> Self {
        use CertificateError as E;
        let known = [
            (Self::Ended, matches!(error, E::Expired | E::ExpiredContext { .. })),
            (Self::ToCome, matches!(error, E::NotValidYet | E::NotValidYetContext { .. })),
            (Self::UnknownAuthority, matches!(error, E::UnknownIssuer)),
            (Self::Purpose, matches!(error, E::InvalidPurpose | E::InvalidPurposeContext { .. })),
            (Self::Revoked, matches!(error, E::Revoked)),
            (Self::NoList, matches!(error, E::UnknownRevocationStatus)),
            (Self::ListEnded, matches!(error, E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. })),
            (Self::Signature, matches!(error, E::BadSignature)),
        ];
        known.into_iter().find(|(_, is)| *is).map_or(Self::Other, |(fault, _)| fault)
    }
}
