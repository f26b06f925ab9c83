//! What a TLS server of a test shows.

use std::sync::Arc;

use countersign::edge::dev_certificates::DevCertificates;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Accepts with this certificate, in every way that the library has.
pub fn acceptor(certificates: &DevCertificates) -> TlsAcceptor {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates.chain_pem.as_bytes()).flatten().collect();
    let key = PrivateKeyDer::from_pem_slice(certificates.key_pem.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate");
    TlsAcceptor::from(Arc::new(config))
}
