//! TLS clients that keep their sessions, and that may have a certificate of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::client::{Client, Protocol};

pub use rustls::version::{TLS12, TLS13};

/// A client that resumes what it can.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// One that trusts the authority in `ca_pem`, and shows a certificate where it has one.
    pub fn new(ca_pem: &str, version: &'static SupportedProtocolVersion, identity: Option<&Identity>) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(certificate.expect("a certificate")).expect("a root");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match identity {
            Some(identity) => {
                let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).expect("a key");
                let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes());
                builder.with_client_auth_cert(chain.collect::<Result<_, _>>().expect("a chain"), key).expect("a pair")
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { config: Arc::new(config) }
    }

    /// A new connection, and whether it resumes a session.
    pub async fn connect(&self, address: SocketAddr) -> std::io::Result<(Client, bool)> {
        self.connect_over(TcpStream::connect(address).await?).await
    }

    /// The same, over a socket that is there.
    pub async fn connect_over(&self, stream: TcpStream) -> std::io::Result<(Client, bool)> {
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok((Client::over_tls(stream, Protocol::Http1).await, resumed))
    }
}

/// Lets a certificate begin so many seconds after 1970.
pub fn begin(params: &mut CertificateParams, at: i64) {
    params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(at.unsigned_abs());
}

/// Lets a certificate end so many seconds after 1970.
pub fn end(params: &mut CertificateParams, at: i64) {
    params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(at.unsigned_abs());
}

/// A client's certificate and key, PEM.
#[derive(Clone)]
pub struct Identity {
    pub chain_pem: String,
    pub key_pem: String,
    serial: SerialNumber,
}

/// Somebody who issues certificates to clients.
pub struct Authority {
    pub ca_pem: String,
    /// What clients show above their own.
    above_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    /// One whose certificate is another than usual.
    pub fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority_params(name);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let ca_pem = params.self_signed(&key).expect("an authority").pem();
        Self { ca_pem, above_pem: String::new(), issuer: Issuer::new(params, key) }
    }

    /// One that this one has made an authority.
    pub fn below(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority_params(name);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let ca_pem = params.signed_by(&key, &self.issuer).expect("an authority").pem();
        Self { above_pem: format!("{ca_pem}{}", self.above_pem), ca_pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for clients with these names: URIs have a colon.
    pub fn issue(&self, serial: u64, names: &[&str]) -> Identity {
        self.issue_until(serial, names, i64::from(u32::MAX))
    }

    /// The same, that ends at `ends` (seconds since 1970).
    pub fn issue_until(&self, serial: u64, names: &[&str], ends: i64) -> Identity {
        let mut params = CertificateParams::default();
        let name = |name: &&str| {
            let text = (*name).try_into().expect("a name");
            if name.contains(':') { SanType::URI(text) } else { SanType::DnsName(text) }
        };
        params.subject_alt_names = names.iter().map(name).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        end(&mut params, ends);
        params.serial_number = Some(serial.into());
        let key = KeyPair::generate().expect("a key");
        let chain_pem = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        let chain_pem = format!("{chain_pem}{}", self.above_pem);
        Identity { chain_pem, key_pem: key.serialize_pem(), serial: serial.into() }
    }

    /// The list of those that it has taken back.
    pub fn revoked(&self, number: u64, identities: &[&Identity]) -> String {
        self.revoked_until(number, identities, i64::from(u32::MAX))
    }

    /// The same, that is out of date at `ends`.
    pub fn revoked_until(&self, number: u64, identities: &[&Identity], ends: i64) -> String {
        let revoked = |identity: &&Identity| RevokedCertParams {
            serial_number: identity.serial.clone(),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(1970, 1, 1) + Duration::from_secs(ends.unsigned_abs()),
            crl_number: number.into(),
            issuing_distribution_point: None,
            revoked_certs: identities.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("a list").pem().expect("pem")
    }
}
