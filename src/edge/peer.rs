//! Who connected, and who answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;

use super::body::Body;
use super::certificate_fault::CertificateFault;
use super::certificate_names::CertificateNames;
use super::client_address::{AddressSource, ClientAddress};
use super::client_certificate::{ClientCertificate, ClientCertificateRefusal};
use super::shown_certificate::ShownCertificate;
use super::tls::ReloadableTls;
use crate::clock::UnixSeconds;

/// What is known of a connection. One value serves all its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The other end of the connection; an IPv4 address that came through an IPv6 socket is spelled as IPv4.
    pub address: SocketAddr,
    /// Whose word that is: the socket's own, or a balancer's.
    pub address_source: AddressSource,
    /// Our end.
    pub local: SocketAddr,
    /// The name of the listener.
    pub listener: Arc<str>,
    pub tls: TlsFacts,
}

impl Peer {
    /// Where the connection comes from, by what is known before its first request.
    #[must_use]
    pub fn connection(&self) -> ClientAddress {
        ClientAddress { ip: self.address.ip(), source: self.address_source }
    }
}

/// What the handshake settled.
#[derive(Clone, Debug)]
pub struct TlsFacts {
    pub version: TlsVersion,
    /// The key exchange group by its IANA name, such as `X25519MLKEM768`. `None`: not known to us, or resumed without one.
    pub group: Option<&'static str>,
    pub alpn: Alpn,
    /// Whether an earlier session was resumed.
    pub resumption: Resumption,
    /// The server name that the client asked for (RFC 6066 §3).
    pub server_name: Option<Arc<str>>,
    /// For whom the certificate that we showed speaks.
    pub certificate: Arc<CertificateNames>,
    /// The certificate that the client showed, where it was asked for one.
    pub client: Option<Arc<ShownCertificate>>,
    /// The listener, with what it asks of clients now.
    pub asking: Arc<ReloadableTls>,
}

impl TlsFacts {
    /// The client's certificate, where it showed one.
    ///
    /// # Errors
    ///
    /// A connection, or a session that was resumed, outlives no certificate: it has ended, or its authority has taken it back. Nor does one
    /// without any outlive that the listener serves such.
    pub fn client(&self, now: UnixSeconds) -> Result<Option<&ClientCertificate>, ClientCertificateRefusal> {
        match &self.client {
            Some(client) => client.holds(now),
            None if self.asking.demands_certificates() => Err(ClientCertificateRefusal::Demanded),
            None => Ok(None),
        }
    }
}

/// The version of TLS; there are no others here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

impl TlsVersion {
    /// Its stable name in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TlsVersion::Tls12 => "TLSv1.2",
            TlsVersion::Tls13 => "TLSv1.3",
        }
    }
}

/// Which HTTP both sides speak (RFC 7301). A client that offers nothing speaks HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    Http1,
    Http2,
}

/// Whether the handshake was a full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resumption {
    Full,
    Resumed,
}

impl Resumption {
    /// Its stable name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Resumption::Full => "full",
            Resumption::Resumed => "resumed",
        }
    }
}

/// Who answers requests.
pub trait Handle: Send + Sync + 'static {
    /// Answers one request, of which the call takes note. The future is dropped, perhaps before its first step, when the client goes away or
    /// the drain's deadline passes.
    fn handle(
        self: Arc<Self>,
        peer: Arc<Peer>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// Whether `address` may begin a TLS handshake now.
    fn admits_handshake(&self, _address: IpAddr) -> bool {
        true
    }

    /// Hears that a handshake with `listener` ended because of the client's certificate.
    fn certificate_refused(&self, _listener: &str, _client: IpAddr, _fault: CertificateFault) {}

    /// Whether `address` is a proxy's, whose connections carry the requests of others.
    fn is_trusted_proxy(&self, _address: IpAddr) -> bool {
        false
    }

    /// `Strict-Transport-Security` for the few answers that the edge gives itself, to heads that never became a request.
    fn strict_transport_security(&self) -> Option<HeaderValue> {
        None
    }
}
