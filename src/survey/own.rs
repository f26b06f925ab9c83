//! What our own listeners show: from their configuration, which is the whole truth about versions, suites and groups, and by a handshake
//! with ourselves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustls::{NamedGroup, ProtocolVersion, SupportedCipherSuite};

use super::certificate::{self, Authorities};
use super::client::{self, LookError};
use super::facts::{Facts, Group, Offer, Version};
use super::hsts;
use super::suites::Suite;
use crate::edge::certificates::{Certificate, Certificates};
use crate::edge::tls::provider;
use crate::policy::Hsts;

fn in_der(certificate: &Certificate) -> Vec<Vec<u8>> {
    certificate.chain().iter().map(|certificate| certificate.to_vec()).collect()
}

/// What a listener with these certificates shows. Nobody is asked.
#[must_use]
pub fn of_configuration(certificates: &Certificates, hsts: &Hsts, authorities: &Authorities, now: i64) -> Facts {
    let provider = provider();
    let chains: Vec<Vec<Vec<u8>>> = certificates.iter().map(in_der).collect();
    let certificates: Vec<_> =
        chains.iter().filter_map(|chain| certificate::read(chain, None, authorities, now)).collect();
    let usable = |suite: &SupportedCipherSuite| {
        let known = Suite::of(suite.suite().into())?;
        // With TLS 1.2 the certificate's key decides which suites there are.
        let has_key = |is_ecdsa| {
            certificates.iter().any(|certificate| matches!(certificate.key, super::PublicKey::Ec(_)) == is_ecdsa)
        };
        known.is_ecdsa().is_none_or(has_key).then_some(known)
    };
    let offer = |version: Version, is_tls13: bool| {
        let of_version = provider.cipher_suites.iter().filter(|suite| suite.tls13().is_some() == is_tls13);
        Offer { version, suites: of_version.filter_map(usable).collect(), server_prefers: Some(true) }
    };
    Facts {
        offers: vec![offer(Version::Tls13, true), offer(Version::Tls12, false)],
        groups: provider.kx_groups.iter().filter_map(|group| Group::of(group_number(group.name()))).collect(),
        dh_bits: None,
        compresses: Some(false),
        // rustls always answers RFC 5746 and never renegotiates.
        renegotiates_safely: Some(true),
        refuses_fallback: None,
        staples: None,
        alpn: Some("h2".to_owned()),
        certificates,
        hsts: hsts::read(std::iter::once(hsts.header_value().as_bytes())),
        at: now,
        unanswered: 0,
    }
}

fn group_number(group: NamedGroup) -> u16 {
    group.into()
}

/// Why a handshake with ourselves says something else than the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelfError {
    #[error("nobody answers on the listener's own address")]
    Unreachable,
    #[error("the handshake does not end: does the listener expect something before it?")]
    Handshake,
    #[error("another certificate is shown than the one that was loaded")]
    OtherCertificate,
    #[error("another version than TLS 1.3 was agreed on")]
    OtherVersion,
}

impl SelfError {
    /// The stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Handshake => "handshake",
            Self::OtherCertificate => "other_certificate",
            Self::OtherVersion => "other_version",
        }
    }
}

/// For the whole of it.
const WITHIN: Duration = Duration::from_secs(5);

/// Shakes hands with the listener on `address` once for each of its certificates, by a name of that one.
///
/// # Errors
///
/// The first thing that is not as configured.
pub async fn shake_hands_with_self(address: SocketAddr, certificates: &Certificates) -> Result<(), SelfError> {
    // Whoever listens on all addresses listens on this machine's own.
    let address = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    };
    for certificate in certificates.iter() {
        let chain = in_der(certificate);
        let names =
            certificate::read(&chain, None, &Authorities::Unasked, 0).map_or_else(Vec::new, |facts| facts.names);
        // A star stands for any label.
        let Some(name) = names.first().map(|name| name.replacen("*.", "self-check.", 1)) else { continue };
        let stream =
            client::shake_hands(address, &name, &[b"h2", b"http/1.1"], WITHIN).await.map_err(|error| match error {
                LookError::Connect | LookError::Name => SelfError::Unreachable,
                LookError::Timeout | LookError::Tls => SelfError::Handshake,
            })?;
        // Another one may stand in front of it and have the name too.
        let shown = client::chain(&stream);
        if !certificates.iter().any(|own| in_der(own) == shown) {
            return Err(SelfError::OtherCertificate);
        }
        if stream.get_ref().1.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return Err(SelfError::OtherVersion);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::grade::{Shown, grade};
    use super::*;
    use crate::clock::UnixSeconds;
    use crate::edge::certificates::Certificate;
    use crate::edge::dev_certificates::make_dev;
    use crate::policy::{CertificateSource, TlsGrade};

    const NOW: i64 = 1_800_000_000;

    fn certificates() -> Certificates {
        let made = make_dev(&[], UnixSeconds(NOW)).expect("certificates");
        let source = CertificateSource { certificate: "a.pem".into(), key: "a.key".into() };
        let read = Certificate::read(&source, made.chain_pem.as_bytes(), made.key_pem.as_bytes(), UnixSeconds(NOW));
        Certificates::new(vec![read.expect("a certificate")]).expect("one")
    }

    #[test]
    fn what_we_ship_is_an_a_plus_and_the_kill_switch_of_hsts_an_a() {
        let of = |hsts: &Hsts| grade(&of_configuration(&certificates(), hsts, &Authorities::Unasked, NOW));
        let graded = of(&Hsts::default());
        assert_eq!((graded.shown, graded.findings), (Shown::Letter(TlsGrade::APlus), Vec::new()));
        let off = of(&Hsts::new(Duration::ZERO, false, false).expect("HSTS"));
        assert_eq!(off.letter, TlsGrade::A);
    }

    #[test]
    fn every_suite_and_group_of_ours_is_known_to_the_tables() {
        let provider = provider();
        assert!(provider.cipher_suites.iter().all(|suite| Suite::of(suite.suite().into()).is_some()));
        assert!(provider.kx_groups.iter().all(|group| Group::of(group_number(group.name())).is_some()));
        let facts = of_configuration(&certificates(), &Hsts::default(), &Authorities::Unasked, NOW);
        assert_eq!(facts.offers.iter().map(|offer| offer.suites.len()).collect::<Vec<_>>(), [3, 3]);
        assert_eq!(facts.groups.len(), 4);
    }
}
