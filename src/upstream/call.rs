//! Single requests to addresses that another party says, such as those of a certificate authority: over the same verified TLS as all that
//! leaves, each on a connection of its own and within limits.
//!
//! No judged request leaves this way and no client waits for it. Where to go is a stranger's word, so the scheme is that of the address that
//! the policy says, in the clear it is that very host, and an answer is read to its limit and no further.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use url::Url;

use super::connect::{Connector, Security, Stream};
use super::fetch::{FetchError, FetcherError, SystemRoots, connect_error, exchange, read_body};
use super::tls::{self, Alpn};

/// Whom single requests may be sent to, and whom to believe there.
pub struct Caller {
    scheme: Scheme,
    /// The one host that is asked without TLS, where there is none.
    plain_host: Option<String>,
    config: Option<Arc<ClientConfig>>,
    limits: CallLimits,
}

/// What one request may cost.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// For name, TCP and TLS.
    pub connect_timeout: Duration,
    /// From the name's look-up to the last byte.
    pub deadline: Duration,
    /// Of an answer's body.
    pub answer_bytes_max: usize,
}

impl Caller {
    /// For addresses of the scheme that `like` has; connects to nothing. `authorities` are PEM; without them the system's are trusted.
    ///
    /// # Errors
    ///
    /// Nothing can be asked over a trusted connection.
    pub fn new(
        like: &Url,
        authorities: Option<&[u8]>,
        system: &SystemRoots,
        limits: CallLimits,
    ) -> Result<Self, FetcherError> {
        let (scheme, config) = match like.scheme() {
            "http" => (Scheme::HTTP, None),
            "https" => {
                let roots = match authorities {
                    Some(pem) => tls::own_roots("", pem).map_err(|_| FetcherError::Authorities)?,
                    None => system.get()?,
                };
                let config = tls::client_config("", roots, Alpn::Http1).map_err(|_| FetcherError::Tls)?;
                (Scheme::HTTPS, Some(Arc::new(config)))
            }
            _ => return Err(FetcherError::Url),
        };
        let plain_host = if config.is_none() { like.host_str().map(str::to_owned) } else { None };
        Ok(Self { scheme, plain_host, config, limits })
    }

    /// Sends a request to its absolute address and gives the whole answer, whatever its status. Headers of the connection are ours.
    ///
    /// # Errors
    ///
    /// There is no answer within the limits, or the address is none that may be asked.
    pub async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, FetchError> {
        timeout(self.limits.deadline, self.exchange(request)).await.map_err(|_| FetchError::Timeout)?
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, FetchError> {
        let (mut parts, body) = request.into_parts();
        let connector = self.connector(&parts.uri)?;
        let authority = parts.uri.authority().ok_or(FetchError::Address)?;
        let host = HeaderValue::try_from(authority.as_str()).map_err(|_| FetchError::Address)?;
        parts.uri = parts.uri.path_and_query().cloned().map(Uri::from).ok_or(FetchError::Address)?;
        for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            parts.headers.remove(name);
        }
        parts.headers.insert(HOST, host);
        parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        // What is not compressed cannot grow in our hands.
        parts.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let agent = HeaderValue::from_static(concat!("countersign/", env!("CARGO_PKG_VERSION")));
        parts.headers.insert(USER_AGENT, agent);
        let request = Request::from_parts(parts, Full::new(body));
        match connector.connect(Alpn::Http1).await.map_err(connect_error)? {
            Stream::Plain(tcp) => self.ask(TokioIo::new(tcp), request).await,
            Stream::Tls(tls) => self.ask(TokioIo::new(*tls), request).await,
        }
    }

    fn connector(&self, address: &Uri) -> Result<Connector, FetchError> {
        // The user part of an address, where a stranger could put a name that looks like ours, is none of HTTP's business.
        let authority = address.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or(FetchError::Address)?;
        let is_elsewhere = |host: &String| !authority.host().eq_ignore_ascii_case(host);
        if address.scheme() != Some(&self.scheme) || self.plain_host.as_ref().is_some_and(is_elsewhere) {
            return Err(FetchError::Address);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let (port, security) = match &self.config {
            Some(config) => {
                let name = ServerName::try_from(host.clone()).map_err(|_| FetchError::Address)?;
                (443, Security::Tls { name, http1: Arc::clone(config), http2: Arc::clone(config) })
            }
            None => (80, Security::Plain),
        };
        let port = authority.port_u16().unwrap_or(port);
        Ok(Connector { host, port, security, connect_timeout: self.limits.connect_timeout })
    }

    async fn ask(
        &self,
        io: impl Read + Write + Unpin,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, FetchError> {
        exchange(io, request, async |response| {
            let (parts, body) = response.into_parts();
            let body = read_body(&parts.headers, body, self.limits.answer_bytes_max).await?;
            Ok(Response::from_parts(parts, body))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: CallLimits =
        CallLimits { connect_timeout: Duration::from_secs(1), deadline: Duration::from_secs(1), answer_bytes_max: 100 };

    #[test]
    fn a_stranger_says_where_and_the_policy_says_how() {
        let caller = |like: &str| {
            Caller::new(&like.parse().expect("a url"), None, &SystemRoots::default(), LIMITS).expect("a caller")
        };
        let plain = caller("http://127.0.0.1:14000/dir");
        let to = |caller: &Caller, address: &'static str| {
            caller.connector(&Uri::from_static(address)).ok().map(|connector| (connector.host, connector.port))
        };
        assert_eq!(to(&plain, "http://127.0.0.1:1/a"), Some(("127.0.0.1".into(), 1)));
        assert_eq!(to(&caller("http://[::1]/dir"), "http://[::1]/a"), Some(("::1".into(), 80)));
        for address in [
            "http://127.0.0.2:1/a",
            "http://192.0.2.1/a",
            "https://127.0.0.1:1/a",
            "/a",
            "http://acme.example@127.0.0.1/a",
            "file://localhost/etc",
        ] {
            assert_eq!(to(&plain, address), None, "{address}");
        }
    }
}
