//! Verifies the chains that clients show: as webpki does, and by what it takes for granted of an authority itself, its time and how many
//! others may stand below it (RFC 5280 §4.1.2.5, §4.2.1.9).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::client_authority::ClientAuthority;
use super::tls::provider;
use crate::clock::UnixSeconds;
use crate::policy::Demand;

/// The verifier of one listener.
pub(super) struct ClientVerifier {
    authorities: Vec<ClientAuthority>,
    lists: Vec<CertificateRevocationListDer<'static>>,
    demand: Demand,
    /// With all authorities, whatever their time: for everything but the chain.
    all: Arc<dyn ClientCertVerifier>,
    in_force: Mutex<Arc<InForce>>,
}

/// The authorities whose time it is.
struct InForce {
    from: UnixSeconds,
    /// The first second in which others are.
    until: UnixSeconds,
    certificates: Vec<CertificateDer<'static>>,
    /// By how many others may stand below them.
    by_depth: Vec<(Option<usize>, Arc<dyn ClientCertVerifier>)>,
}

impl ClientVerifier {
    /// Verifies with these.
    ///
    /// # Errors
    ///
    /// A list of a kind that webpki does not know.
    pub(super) fn new(
        authorities: Vec<ClientAuthority>,
        lists: Vec<CertificateRevocationListDer<'static>>,
        demand: Demand,
        now: UnixSeconds,
    ) -> Result<Self, VerifierBuilderError> {
        let all = webpki(authorities.iter(), &lists, demand)?;
        let in_force = Mutex::new(Arc::new(InForce::at(now, &authorities, &lists, demand)?));
        Ok(Self { authorities, lists, demand, all, in_force })
    }

    /// The first second after `now` in which the same chain could be judged otherwise for what these authorities are.
    pub(super) fn changes(&self, now: UnixSeconds) -> Option<UnixSeconds> {
        self.authorities.iter().flat_map(ClientAuthority::changes).filter(|change| *change > now).min()
    }

    /// The last second of the authority that ends first.
    pub(super) fn ends(&self) -> Option<UnixSeconds> {
        self.authorities.iter().map(|authority| authority.ends).min()
    }

    fn in_force(&self, now: UnixSeconds) -> Result<Arc<InForce>, Error> {
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        if now < in_force.from || now >= in_force.until {
            let others = InForce::at(now, &self.authorities, &self.lists, self.demand);
            *in_force = Arc::new(others.map_err(|_| Error::General("the authorities of clients are unusable".into()))?);
        }
        Ok(Arc::clone(&in_force))
    }

    /// What is wrong with a chain that leads to an authority whose time it is not. webpki has not seen that one.
    fn untimely(&self, chain: &[&CertificateDer<'_>], now: UnixSeconds) -> Option<CertificateError> {
        let names: Vec<_> = chain.iter().filter_map(|der| Some(named(der)?.0)).collect();
        let issuer = self
            .authorities
            .iter()
            .find(|authority| !authority.is_in_time(now) && names.contains(&authority.subject))?;
        Some(if issuer.ends < now { CertificateError::Expired } else { CertificateError::NotValidYet })
    }
}

impl InForce {
    fn at(
        now: UnixSeconds,
        authorities: &[ClientAuthority],
        lists: &[CertificateRevocationListDer<'static>],
        demand: Demand,
    ) -> Result<Self, VerifierBuilderError> {
        let in_time: Vec<_> = authorities.iter().filter(|authority| authority.is_in_time(now)).collect();
        let mut depths: Vec<_> = in_time.iter().map(|authority| authority.depth_max).collect();
        depths.sort_unstable();
        depths.dedup();
        let mut by_depth = Vec::new();
        for depth_max in depths {
            let of_depth = in_time.iter().copied().filter(|authority| authority.depth_max == depth_max);
            by_depth.push((depth_max, webpki(of_depth, lists, demand)?));
        }
        let changes = || authorities.iter().flat_map(ClientAuthority::changes);
        Ok(Self {
            from: changes().filter(|change| *change <= now).max().unwrap_or(UnixSeconds(i64::MIN)),
            until: changes().filter(|change| *change > now).min().unwrap_or(UnixSeconds(i64::MAX)),
            certificates: in_time.iter().map(|authority| authority.der.clone()).collect(),
            by_depth,
        })
    }
}

fn webpki<'a>(
    authorities: impl Iterator<Item = &'a ClientAuthority>,
    lists: &[CertificateRevocationListDer<'static>],
    demand: Demand,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let roots = RootCertStore { roots: authorities.map(|authority| authority.anchor.clone()).collect() };
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider()))
        .with_crls(lists.iter().cloned())
        .enforce_revocation_expiration();
    match demand {
        Demand::Required => builder.build(),
        Demand::Optional => builder.allow_unauthenticated().build(),
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        self.all.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.all.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.all.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let seconds = UnixSeconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        let in_force = self.in_force(seconds)?;
        // Many clients show the authority too. It stands below nobody.
        let below: Vec<_> = intermediates.iter().filter(|der| !in_force.certificates.contains(der)).cloned().collect();
        let mut refused = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        for (depth_max, verifier) in &in_force.by_depth {
            // Of more than there may be, webpki sees no more than there may be: so whatever way it finds is short enough.
            let verified = match depth_max {
                Some(max) if below.len() > *max => {
                    verifier.verify_client_cert(end_entity, &upwards(end_entity, &below, *max), now)
                }
                Some(_) | None => verifier.verify_client_cert(end_entity, &below, now),
            };
            match verified {
                Ok(verified) => return Ok(verified),
                Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {}
                Err(error) => refused = error,
            }
        }
        if refused == Error::InvalidCertificate(CertificateError::UnknownIssuer) {
            let chain: Vec<_> = std::iter::once(end_entity).chain(intermediates).collect();
            if let Some(error) = self.untimely(&chain, seconds) {
                return Err(error.into());
            }
        }
        Err(refused)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.all.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.all.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.all.supported_verify_schemes()
    }
}

/// Those above `own`, from it upwards by the names of their issuers, and no more than `max`.
fn upwards<'c>(own: &CertificateDer<'_>, others: &[CertificateDer<'c>], max: usize) -> Vec<CertificateDer<'c>> {
    let mut left: Vec<_> = others.iter().filter_map(|der| Some((der, named(der)?))).collect();
    let mut issuer = named(own).map(|(issuer, _)| issuer);
    let mut way = Vec::new();
    while way.len() < max {
        let Some(position) = left.iter().position(|(_, (_, subject))| issuer.as_ref() == Some(subject)) else { break };
        let (der, (above, _)) = left.swap_remove(position);
        issuer = Some(above);
        way.push(der.clone());
    }
    way
}

/// The names of a certificate's issuer and of its subject, as they are encoded.
fn named(der: &CertificateDer<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some((certificate.issuer().as_raw().to_vec(), certificate.subject().as_raw().to_vec()))
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientVerifier").field("authorities", &self.authorities.len()).finish_non_exhaustive()
    }
}
