//! The certificate that a client has shown, and that our TLS has verified: who it speaks for, and until when.

use std::fmt;

use aws_lc_rs::digest;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use crate::clock::UnixSeconds;
use crate::policy::ClientIdentity;

/// A verified certificate of a client. Its makers are the handshake, and rehearsals, which send nothing.
///
/// ```compile_fail,E0451
/// // The fields are private: nobody speaks for a server who has not shown its certificate.
/// let certificate = countersign::edge::ClientCertificate { names: todo!(), ends: todo!() };
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The names of the certificate by their kind, URIs first, and the two digests last.
    names: Vec<ClientIdentity>,
    ends: UnixSeconds,
}

/// Names of one certificate; the rest speak for nobody.
const NAMES_MAX: usize = 64;

/// Why a request of a client that has shown a certificate, or should have, goes nowhere. Outside they read alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientCertificateRefusal {
    #[error("no client certificate")]
    Missing,
    /// Since the connection began.
    #[error("no client certificate, and the listener demands one by now")]
    Demanded,
    #[error("the client certificate is none of the workspace's servers'")]
    Unlisted,
    #[error("the client certificate has ended since the connection began")]
    Expired,
    #[error("the client certificate does not hold with the authorities and lists of now")]
    Withdrawn,
}

impl ClientCertificate {
    /// Reads what the handshake has verified, of this connection or of the one that it resumes. `None`: it cannot be read.
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let (mut uris, mut others) = (Vec::new(), Vec::new());
        for extension in certificate.extensions() {
            let ParsedExtension::SubjectAlternativeName(alternatives) = extension.parsed_extension() else { continue };
            for name in &alternatives.general_names {
                if let GeneralName::URI(uri) = name {
                    uris.push(ClientIdentity::Uri((*uri).to_owned()));
                } else if let GeneralName::DNSName(name) = name {
                    others.push(ClientIdentity::Dns(name.to_ascii_lowercase()));
                } else if let GeneralName::RFC822Name(email) = name {
                    others.push(ClientIdentity::Email((*email).to_owned()));
                }
            }
        }
        uris.append(&mut others);
        uris.truncate(NAMES_MAX);
        let sha256 = |bytes: &[u8]| <[u8; 32]>::try_from(digest::digest(&digest::SHA256, bytes).as_ref()).ok();
        uris.push(ClientIdentity::Certificate(sha256(der)?));
        uris.push(ClientIdentity::Key(sha256(certificate.public_key().raw)?));
        Some(Self { names: uris, ends: UnixSeconds(certificate.validity().not_after.timestamp()) })
    }

    /// A certificate that speaks for this one, for rehearsals.
    #[must_use]
    pub fn rehearsed(identity: ClientIdentity) -> Self {
        Self { names: vec![identity], ends: UnixSeconds(i64::MAX) }
    }

    /// Whether it speaks for one of these. Each compares with its own kind: a URI is no DNS name, whatever its text.
    #[must_use]
    pub fn is_one_of(&self, identities: &[ClientIdentity]) -> bool {
        self.names.iter().any(|name| identities.contains(name))
    }

    /// What it is called in records: its first URI, DNS name or e-mail address, else its digest.
    #[must_use]
    pub fn shown(&self) -> String {
        self.names.first().map(ToString::to_string).unwrap_or_default()
    }

    /// Whether its time is not over: a connection, or a session that is resumed, may outlive it.
    #[must_use]
    pub fn holds(&self, now: UnixSeconds) -> bool {
        now <= self.ends
    }
}

/// Names may be people.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("ends", &self.ends).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(names: Vec<SanType>) -> ClientCertificate {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let made = params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate");
        ClientCertificate::read(made.der()).expect("read")
    }

    fn identity(text: &str) -> ClientIdentity {
        ClientIdentity::try_from(text).expect("an identity")
    }

    #[track_caller]
    fn check(names: Vec<SanType>, text: &str, is: bool) {
        assert_eq!(certificate(names).is_one_of(&[identity("nobody.example"), identity(text)]), is, "{text}");
    }

    #[test]
    fn a_certificate_speaks_for_its_alternative_names_and_each_kind_for_itself() {
        let text = |text: &str| text.try_into().expect("a name");
        let dns = |name: &str| vec![SanType::DnsName(text(name))];
        let uri = |name: &str| vec![SanType::URI(text(name))];
        check(dns("billing.acme.example"), "billing.acme.example", true);
        check(dns("Billing.ACME.example"), "billing.acme.example", true);
        check(dns("billing.acme.example.evil.test"), "billing.acme.example", false);
        check(dns("evil-billing.acme.example"), "billing.acme.example", false);
        check(dns("*.acme.example"), "billing.acme.example", false);
        check(uri("spiffe://acme/backend"), "spiffe://acme/backend", true);
        check(uri("spiffe://acme/backend/"), "spiffe://acme/backend", false);
        check(uri("spiffe://ACME/backend"), "spiffe://acme/backend", false);
        // A URI that spells a DNS name, and the other way round.
        check(uri("billing.acme.example"), "billing.acme.example", false);
        check(dns("ops@acme.example"), "ops@acme.example", false);
        check(vec![SanType::Rfc822Name(text("ops@acme.example"))], "ops@acme.example", true);
        check(vec![], "billing.acme.example", false);
    }

    #[test]
    fn it_is_recorded_by_its_uri_or_name_or_digest_and_known_by_its_digests() {
        let text = |text: &str| text.try_into().expect("a name");
        let both = certificate(vec![SanType::DnsName(text("a.example")), SanType::URI(text("spiffe://a"))]);
        assert_eq!(both.shown(), "spiffe://a");
        let none = certificate(vec![]);
        assert!(none.shown().starts_with("sha256:") && none.is_one_of(&[identity(&none.shown())]));
        assert!(none.names.iter().any(|name| name.to_string().starts_with("key-sha256:")));
        assert!(!format!("{both:?}").contains("spiffe"));
    }

    #[test]
    fn it_holds_until_its_last_second() {
        let certificate = certificate(vec![]);
        let ends = certificate.ends;
        assert!(certificate.holds(ends));
        assert!(!certificate.holds(UnixSeconds(ends.0 + 1)));
    }
}
