//! From an upstream's address to a connected stream: name, TCP, TLS, within one deadline.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::UpstreamError;
use super::tls::Alpn;

/// How to reach one upstream.
pub(super) struct Connector {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    /// For name, TCP and TLS together.
    pub(super) connect_timeout: Duration,
}

pub(super) enum Security {
    /// `http`.
    Plain,
    /// `https`: the name that the certificate must have, whatever `Host` says.
    Tls { name: ServerName<'static>, http1: Arc<ClientConfig>, http2: Arc<ClientConfig> },
}

/// A connection before HTTP.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connector {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`UpstreamError::Connect`], [`UpstreamError::Tls`], [`UpstreamError::ConnectTimeout`].
    pub(super) async fn connect(&self, alpn: Alpn) -> Result<Stream, UpstreamError> {
        let deadline = Instant::now() + self.connect_timeout;
        timeout_at(deadline, async {
            let tcp = self.connect_tcp(deadline).await.map_err(tcp_error)?;
            // Small requests must not wait for the acknowledgement of the one before.
            tcp.set_nodelay(true).map_err(UpstreamError::Connect)?;
            match &self.security {
                Security::Plain => Ok(Stream::Plain(tcp)),
                Security::Tls { name, http1, http2 } => {
                    let config = match alpn {
                        Alpn::Http1 => http1,
                        Alpn::Http2 => http2,
                    };
                    let connector = TlsConnector::from(Arc::clone(config));
                    let tls = connector.connect(name.clone(), tcp).await.map_err(UpstreamError::Tls)?;
                    admit_protocol(alpn, tls.get_ref().1.alpn_protocol())?;
                    Ok(Stream::Tls(Box::new(tls)))
                }
            }
        })
        .await
        .map_err(|_| UpstreamError::ConnectTimeout)?
    }

    /// Tries the addresses in turn, each for its share of the time that is left, so that a dead one does not cost the living.
    async fn connect_tcp(&self, deadline: Instant) -> io::Result<TcpStream> {
        let addresses: Vec<_> = lookup_host((self.host.as_str(), self.port)).await?.collect();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let mut untried = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            let share = deadline.saturating_duration_since(Instant::now()) / untried.max(1);
            untried = untried.saturating_sub(1);
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => last = error,
                Err(elapsed) => last = elapsed.into(),
            }
        }
        Err(last)
    }
}

fn tcp_error(error: io::Error) -> UpstreamError {
    if error.kind() == io::ErrorKind::TimedOut { UpstreamError::ConnectTimeout } else { UpstreamError::Connect(error) }
}

/// A server that knows no ALPN speaks HTTP/1.1; HTTP/2 must have been agreed on.
fn admit_protocol(wanted: Alpn, agreed: Option<&[u8]>) -> Result<(), UpstreamError> {
    match (wanted, agreed) {
        (Alpn::Http1, None) => Ok(()),
        (Alpn::Http1 | Alpn::Http2, Some(protocol)) if protocol == wanted.as_bytes() => Ok(()),
        (Alpn::Http1 | Alpn::Http2, _) => {
            Err(UpstreamError::Tls(io::Error::new(io::ErrorKind::Unsupported, "the protocol was not agreed on")))
        }
    }
}
