//! A client that looks and does not believe: it takes whatever certificate is shown, so that it can be looked at, and asks one bare `GET /`.
//!
//! That is safe because nothing is sent but that line, and nothing that comes back is used but for a report. No other connection of this
//! program is made so.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HOST, STRICT_TRANSPORT_SECURITY, USER_AGENT};
use http::{HeaderValue, Request, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::facts::HstsFacts;
use super::hsts;

/// The head of an answer; a longer one is none.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Where a name is found, as curl has it: for split DNS, and for trying things out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolve {
    host: String,
    address: IpAddr,
    port: Option<u16>,
}

/// Why a text says no such thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `HOST=ADDRESS` or `HOST=ADDRESS:PORT`")]
pub struct ResolveError;

impl FromStr for Resolve {
    type Err = ResolveError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, place) = text.split_once('=').filter(|(host, _)| !host.is_empty()).ok_or(ResolveError)?;
        let host = host.to_ascii_lowercase();
        if let Ok(address) = place.parse::<SocketAddr>() {
            return Ok(Self { host, address: address.ip(), port: Some(address.port()) });
        }
        Ok(Self { host, address: place.parse().map_err(|_| ResolveError)?, port: None })
    }
}

/// Who is asked, and where.
#[derive(Clone, Debug)]
pub struct Connecting<'r> {
    /// A name, or an address without brackets.
    pub host: &'r str,
    pub port: u16,
    pub resolve: &'r [Resolve],
}

/// Why nobody could be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookError {
    /// The name has no address.
    Name,
    Connect,
    Timeout,
    /// It does not speak TLS 1.2 or 1.3, or not with us.
    Tls,
}

/// What was seen.
pub(super) struct Look {
    pub chain: Vec<Vec<u8>>,
    pub hsts: HstsFacts,
}

impl Connecting<'_> {
    /// The addresses to try, in their order.
    pub(super) async fn addresses(&self, within: Duration) -> Result<Vec<SocketAddr>, LookError> {
        if let Some(known) = self.resolve.iter().find(|known| known.host.eq_ignore_ascii_case(self.host)) {
            return Ok(vec![SocketAddr::new(known.address, known.port.unwrap_or(self.port))]);
        }
        let found = timeout(within, lookup_host((self.host, self.port))).await.map_err(|_| LookError::Timeout)?;
        let addresses: Vec<_> = found.map_err(|_| LookError::Name)?.collect();
        if addresses.is_empty() { Err(LookError::Name) } else { Ok(addresses) }
    }
}

/// A handshake with whoever is there, by TLS 1.2 or 1.3.
pub(super) async fn shake_hands(
    address: SocketAddr,
    host: &str,
    alpn: &[&[u8]],
    within: Duration,
) -> Result<TlsStream<TcpStream>, LookError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| LookError::Name)?;
    let config = config(alpn).ok_or(LookError::Tls)?;
    let connected = async {
        let tcp = TcpStream::connect(address).await.map_err(|_| LookError::Connect)?;
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|_| LookError::Tls)
    };
    timeout(within, connected).await.map_err(|_| LookError::Timeout)?
}

/// What is shown over HTTPS: the chain, and what the answer to `GET /` says of HSTS, whatever else it says. A redirect is not followed.
pub(super) async fn look(address: SocketAddr, host: &str, port: u16, within: Duration) -> Result<Look, LookError> {
    let stream = shake_hands(address, host, &[b"http/1.1"], within).await?;
    let chain = chain(&stream);
    let hsts = timeout(within, ask(stream, host, port)).await.ok().flatten().unwrap_or(HstsFacts::Unknown);
    Ok(Look { chain, hsts })
}

/// What is picked of the two kinds of HTTP that browsers offer.
pub(super) async fn alpn(address: SocketAddr, host: &str, within: Duration) -> Option<String> {
    let stream = shake_hands(address, host, &[b"h2", b"http/1.1"], within).await.ok()?;
    let protocol = stream.get_ref().1.alpn_protocol()?;
    Some(protocol.iter().map(|byte| char::from(*byte)).filter(char::is_ascii_graphic).collect())
}

/// The chain that was shown.
pub(super) fn chain(stream: &TlsStream<TcpStream>) -> Vec<Vec<u8>> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    certificates.iter().map(|certificate| certificate.to_vec()).collect()
}

async fn ask(stream: TlsStream<TcpStream>, host: &str, port: u16) -> Option<HstsFacts> {
    let mut client = http1::Builder::new();
    client.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.ok()?;
    let mut request = Request::new(Empty::<bytes::Bytes>::new());
    *request.uri_mut() = Uri::from_static("/");
    let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let host = if port == 443 { bracketed } else { format!("{bracketed}:{port}") };
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(host).ok()?);
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("countersign/", env!("CARGO_PKG_VERSION"))));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let driving = tokio::spawn(connection);
    let response = sender.send_request(request).await;
    // What follows the head is not read.
    driving.abort();
    let values = response.ok()?;
    Some(hsts::read(values.headers().get_all(STRICT_TRANSPORT_SECURITY).iter().map(HeaderValue::as_bytes)))
}

fn config(alpn: &[&[u8]]) -> Option<ClientConfig> {
    // More than we would serve with, so that more servers can be looked at; the same first choices.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Onlooker(schemes)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Some(config)
}

/// Takes note of everything and believes nothing.
#[derive(Debug)]
struct Onlooker(Vec<SignatureScheme>);

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_name_is_found_can_be_said() {
        let parse = |text: &str| {
            text.parse::<Resolve>().ok().map(|resolve| (resolve.host, resolve.address.to_string(), resolve.port))
        };
        assert_eq!(parse("A.example=127.0.0.1"), Some(("a.example".into(), "127.0.0.1".into(), None)));
        assert_eq!(parse("a.example=127.0.0.1:8443"), Some(("a.example".into(), "127.0.0.1".into(), Some(8443))));
        assert_eq!(parse("a.example=::1"), Some(("a.example".into(), "::1".into(), None)));
        assert_eq!(parse("a.example=[::1]:443"), Some(("a.example".into(), "::1".into(), Some(443))));
        for wrong in
            ["", "a.example", "=127.0.0.1", "a.example=b.example", "a.example=127.0.0.1:", "a.example=127.0.0.1:99999"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
