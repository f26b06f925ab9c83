//! TLS: one hand-picked set of versions, suites and groups, with no way to weaken it.
//!
//! TLS 1.3, and 1.2 with ephemeral keys and authenticated encryption; post-quantum key agreement first. No early data: an update that can be
//! replayed is not an update (RFC 8446 §8). rustls is named nowhere else but in [`super::certificates`].

use std::sync::Arc;
use std::{fmt, io};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::{StartHandshake, TlsStream};

use super::certificates::{Certificate, Certificates};
use super::challenges::{self, ACME_TLS, Challenges};
use super::client_authorities::ClientAuthorities;
use super::peer::{Alpn, Resumption, TlsFacts, TlsVersion};
use super::shown_certificate::ShownCertificate;
use super::tickets::{Binding, TicketSecrets, Ticketer};
use crate::clock::UnixSeconds;

/// What a listener shows to clients; replaced whole, while connections that exist keep theirs.
#[derive(Debug)]
pub struct ReloadableTls {
    current: ArcSwap<Tls>,
    /// For offers that share none. They outlive a change of the offer: what did not change with it is still good.
    own_tickets: TicketSecrets,
    /// Of a listener that may be asked for certificates of challenges.
    challenges: Option<Arc<Challenges>>,
}

/// What a listener shows to clients, and asks of them.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The listener's name: session tickets are good for one listener.
    pub listener: String,
    pub certificates: Certificates,
    pub clients: ClientAuthorities,
    /// Where the keys of session tickets come from. `None`: from this process alone.
    pub tickets: Option<TicketSecrets>,
}

/// Nothing is asked and nothing shared.
impl From<Certificates> for Offer {
    fn from(certificates: Certificates) -> Self {
        Self { listener: String::new(), certificates, clients: ClientAuthorities::none(), tickets: None }
    }
}

/// One set of certificates with the configuration that shows them.
pub(super) struct Tls {
    config: Arc<ServerConfig>,
    listener: String,
    certificates: Arc<Certificates>,
    tickets: TicketSecrets,
    clients: ClientAuthorities,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up TLS")]
pub struct TlsError(#[source] rustls::Error);

impl ReloadableTls {
    /// TLS with these certificates.
    ///
    /// # Errors
    ///
    /// No source of randomness, or a provider that lacks what we ask of it.
    pub fn new(offer: impl Into<Offer>) -> Result<Self, TlsError> {
        Self::make(offer.into(), None)
    }

    /// TLS that also shows the certificates of challenges under way (RFC 8737), to authorities alone.
    ///
    /// # Errors
    ///
    /// As [`ReloadableTls::new`].
    pub fn with_challenges(offer: impl Into<Offer>, challenges: Arc<Challenges>) -> Result<Self, TlsError> {
        Self::make(offer.into(), Some(challenges))
    }

    fn make(offer: Offer, challenges: Option<Arc<Challenges>>) -> Result<Self, TlsError> {
        let own_tickets = TicketSecrets::own();
        let current = ArcSwap::from_pointee(Tls::new(offer, &own_tickets, challenges.clone())?);
        Ok(Self { current, own_tickets, challenges })
    }

    /// Shows and asks something else from the next handshake on. Where certificates, or what is asked of clients, are others than before,
    /// session tickets of before are worth nothing from then on.
    ///
    /// # Errors
    ///
    /// As [`ReloadableTls::new`]; what was shown is shown still.
    pub fn replace(&self, offer: impl Into<Offer>) -> Result<(), TlsError> {
        self.current.store(Arc::new(Tls::new(offer.into(), &self.own_tickets, self.challenges.clone())?));
        Ok(())
    }

    /// Shows other certificates from the next handshake on; whatever else was offered and asked, is.
    ///
    /// # Errors
    ///
    /// As [`ReloadableTls::new`]; what was shown is shown still.
    pub fn show(&self, certificates: Certificates) -> Result<(), TlsError> {
        let current = self.current();
        self.replace(Offer {
            listener: current.listener.clone(),
            certificates,
            clients: current.clients.clone(),
            tickets: Some(current.tickets.clone()),
        })
    }

    /// Where the keys of session tickets come from now: for the gauge of their age.
    #[must_use]
    pub fn tickets(&self) -> TicketSecrets {
        self.current.load().tickets.clone()
    }

    /// What is shown now: for the gauge of days.
    #[must_use]
    pub fn certificates(&self) -> Arc<Certificates> {
        Arc::clone(&self.current.load().certificates)
    }

    /// When the first list of revoked client certificates is out of date, where there are any: for the gauge.
    #[must_use]
    pub fn lists_end(&self) -> Option<UnixSeconds> {
        self.current.load().clients.lists_end()
    }

    /// The last second of the authority of client certificates that ends first, where there are any: for the gauge.
    #[must_use]
    pub fn authorities_end(&self) -> Option<UnixSeconds> {
        self.current.load().clients.authorities_end()
    }

    /// Who may issue the certificates of clients now.
    pub(super) fn clients(&self) -> ClientAuthorities {
        self.current.load().clients.clone()
    }

    /// Whether nobody is served here without a certificate now.
    pub(super) fn demands_certificates(&self) -> bool {
        self.current.load().clients.are_demanded()
    }

    fn current(&self) -> Arc<Tls> {
        self.current.load_full()
    }
}

/// A handshake with what is shown and asked when the client has said hello: a connection may have waited for that since long before.
pub(super) async fn shake_hands<S>(listener: &ReloadableTls, stream: S) -> io::Result<(Arc<Tls>, TlsStream<S>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let greeted: StartHandshake<S> = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let tls = listener.current();
    let stream = greeted.into_stream(Arc::clone(&tls.config)).await?;
    Ok((tls, stream))
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificates", &self.certificates).finish_non_exhaustive()
    }
}

/// The cryptography of every TLS connection, in our order of preference.
#[must_use]
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        // AES-128 first, as browsers and Mozilla's recommendations have it: SHA-256 runs in hardware where SHA-384 does not, which is a
        // tenth of a handshake. Who must have 256 bits offers nothing else.
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1],
        ..aws_lc_rs::default_provider()
    }
}

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

impl Tls {
    fn new(offer: Offer, own_tickets: &TicketSecrets, challenges: Option<Arc<Challenges>>) -> Result<Self, TlsError> {
        let Offer { listener, certificates, clients, tickets } = offer;
        let certificates = Arc::new(certificates);
        let tickets = tickets.unwrap_or_else(|| own_tickets.clone());
        let challenges = challenges.filter(|challenges| challenges.are_expected_on_tls());
        let mut protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        // Last, so that whoever offers one of the others gets that.
        protocols.extend(challenges.is_some().then(|| ACME_TLS.to_vec()));
        let builder = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError)?;
        let builder = match clients.verifier() {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let resolver = ByServerName { certificates: Arc::clone(&certificates), challenges };
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        // A client that offers protocols, none of them ours, is refused by rustls (RFC 7301 §3.2).
        config.alpn_protocols = protocols;
        config.ignore_client_order = true;
        config.max_early_data_size = 0;
        // Without the extended master secret a session of TLS 1.2 can be spliced with another (RFC 7627).
        config.require_ems = true;
        // Tickets rather than a table, so that sessions cost us no memory.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let chains: Vec<_> = certificates.iter().flat_map(Certificate::chain).collect();
        let binding = Binding::new(&listener, chains.iter().map(AsRef::as_ref), clients.digest());
        config.ticketer = Arc::new(Ticketer::new(tickets.clone(), binding));
        Ok(Self { config: Arc::new(config), listener, certificates, tickets, clients })
    }

    /// What the handshake settled. `None`: it did not end, or was an authority's, who has seen what it wanted to see.
    /// It began at `begun`.
    pub(super) fn facts(
        &self,
        connection: &ServerConnection,
        listener: &Arc<ReloadableTls>,
        begun: UnixSeconds,
    ) -> Option<TlsFacts> {
        if connection.alpn_protocol() == Some(ACME_TLS) {
            return None;
        }
        // Only these two are configured, see `new`.
        let is_tls13 = connection.protocol_version()? == ProtocolVersion::TLSv1_3;
        let version = if is_tls13 { TlsVersion::Tls13 } else { TlsVersion::Tls12 };
        let alpn = if connection.alpn_protocol() == Some(HTTP2) { Alpn::Http2 } else { Alpn::Http1 };
        let resumption = match connection.handshake_kind()? {
            HandshakeKind::Resumed => Resumption::Resumed,
            HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest => Resumption::Full,
        };
        let server_name = connection.server_name();
        // Of this handshake, or of the one that is resumed. One that cannot be read is no reason to be taken for nobody.
        let client = match connection.peer_certificates() {
            Some(chain) => {
                let shown = ShownCertificate::read(chain, resumption, &self.clients, listener, begun)?;
                Some(Arc::new(shown))
            }
            None => None,
        };
        Some(TlsFacts {
            version,
            group: connection.negotiated_key_exchange_group().and_then(|group| group.name().as_str()),
            alpn,
            resumption,
            server_name: server_name.map(Arc::from),
            // Another that was shown in its place speaks for the same names.
            certificate: Arc::clone(self.certificates.find(server_name)?.names()),
            client,
            asking: Arc::clone(listener),
        })
    }
}

/// Picks the certificate by the server name, and among those for it by what the client can verify. A name that no certificate has gets none: the handshake ends.
#[derive(Debug)]
struct ByServerName {
    certificates: Arc<Certificates>,
    challenges: Option<Arc<Challenges>>,
}

impl ResolvesServerCert for ByServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(challenges) = &self.challenges {
            match challenges::Offer::of(&hello) {
                challenges::Offer::None => {}
                challenges::Offer::Alone => return challenges.certificate(hello.server_name()),
                challenges::Offer::Mixed => return None,
            }
        }
        self.certificates.pick(hello.server_name(), hello.signature_schemes()).map(Certificate::key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_weak_is_offered() {
        let provider = provider();
        let suites: Vec<_> = provider.cipher_suites.iter().filter_map(|suite| suite.suite().as_str()).collect();
        assert_eq!(suites.len(), 9);
        for suite in suites {
            let modern = suite.starts_with("TLS13_") || suite.starts_with("TLS_ECDHE_");
            assert!(modern && (suite.contains("_GCM_") || suite.contains("_POLY1305_")), "{suite}");
        }
        let groups: Vec<_> = provider.kx_groups.iter().filter_map(|group| group.name().as_str()).collect();
        assert_eq!(groups, ["X25519MLKEM768", "X25519", "secp256r1", "secp384r1"]);
    }
}
