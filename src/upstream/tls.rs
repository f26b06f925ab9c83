//! TLS towards upstreams: verified against the system's authorities or the upstream's own.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::error::UpstreamSetupError;

/// The protocol to agree on (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alpn {
    Http1,
    Http2,
}

impl Alpn {
    pub(super) fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

/// The authorities of one upstream, from PEM.
pub(super) fn own_roots(name: &str, pem: &[u8]) -> Result<RootCertStore, UpstreamSetupError> {
    let broken = || UpstreamSetupError::Authorities { name: name.to_owned() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| broken())?).map_err(|_| broken())?;
    }
    if roots.is_empty() { Err(broken()) } else { Ok(roots) }
}

/// The authorities that the system trusts. Those it cannot read are logged: what they vouch for will not be trusted.
pub(super) fn system_roots() -> Result<RootCertStore, UpstreamSetupError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (_, refused) = roots.add_parsable_certificates(found.certs);
    if refused > 0 || !found.errors.is_empty() {
        tracing::warn!(
            unreadable = found.errors.len(),
            refused,
            "some of the system's certificate authorities are not used"
        );
    }
    if roots.is_empty() { Err(UpstreamSetupError::SystemAuthorities) } else { Ok(roots) }
}

/// TLS 1.2 and 1.3 with the one cryptography that we use, chosen here and not by a process-wide default.
pub(super) fn client_config(name: &str, roots: RootCertStore, alpn: Alpn) -> Result<ClientConfig, UpstreamSetupError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|source| UpstreamSetupError::Tls { name: name.to_owned(), source })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    Ok(config)
}
