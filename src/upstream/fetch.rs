//! One document, fetched over and over from one address: over the same verified TLS as requests, and within limits of its own.
//!
//! No judged request leaves this way and no client waits for it. A redirect is an answer like any other that is not 200: whom we trust is
//! what the policy says, and not what a stranger answers.

use std::cell::OnceCell;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use url::Url;

use super::connect::{Connector, Security, Stream};
use super::error::UpstreamError;
use super::http1;
use super::tls::{self, Alpn};

/// The address of a document, ready to be asked.
pub struct Fetcher {
    connector: Connector,
    target: PathAndQuery,
    host: HeaderValue,
    accept: HeaderValue,
    /// What is asked in the body, and of which type. `None`: the address alone says it.
    question: Option<(HeaderValue, Bytes)>,
}

/// Why an address cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum FetcherError {
    #[error("no address to fetch from")]
    Url,
    #[error("the certificate authorities are not certificates in pem")]
    Authorities,
    #[error("the system's certificate authorities cannot be read")]
    SystemAuthorities,
    #[error("tls cannot be set up")]
    Tls,
}

/// Why there is no document. Nothing of the answer is repeated.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Of somebody else's making.
    #[error("an address that may not be asked")]
    Address,
    #[error("could not connect")]
    Connect,
    #[error("no trusted tls connection")]
    Tls,
    #[error("it took too long")]
    Timeout,
    #[error("the answer is {0}, expected 200")]
    Status(StatusCode),
    #[error("the answer has a content coding that nobody asked for")]
    Coding,
    #[error("the answer is longer than the limit")]
    TooLong,
    #[error("the answer is not http, or broke off")]
    Broken,
}

impl FetchError {
    /// The stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            FetchError::Address => "address",
            FetchError::Connect => "connect",
            FetchError::Tls => "tls",
            FetchError::Timeout => "timeout",
            FetchError::Status(_) => "status",
            FetchError::Coding => "coding",
            FetchError::TooLong => "too_long",
            FetchError::Broken => "broken",
        }
    }
}

/// The authorities that the system trusts, read once for all that need them at one time.
#[derive(Default)]
pub struct SystemRoots(OnceCell<RootCertStore>);

impl SystemRoots {
    pub(super) fn get(&self) -> Result<RootCertStore, FetcherError> {
        if let Some(roots) = self.0.get() {
            return Ok(roots.clone());
        }
        let roots = tls::system_roots().map_err(|_| FetcherError::SystemAuthorities)?;
        Ok(self.0.get_or_init(|| roots).clone())
    }
}

impl Fetcher {
    /// Prepares an address; connects to nothing. `authorities` are PEM; without them the system's are trusted.
    ///
    /// # Errors
    ///
    /// It is none that can be asked over a trusted connection.
    pub fn new(
        url: &Url,
        authorities: Option<&[u8]>,
        system: &SystemRoots,
        connect_timeout: Duration,
    ) -> Result<Self, FetcherError> {
        let host = url.host_str().ok_or(FetcherError::Url)?;
        let port = url.port_or_known_default().ok_or(FetcherError::Url)?;
        // A certificate names an IPv6 address without brackets.
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let security = match url.scheme() {
            "http" => Security::Plain,
            "https" => {
                let roots = match authorities {
                    Some(pem) => tls::own_roots("", pem).map_err(|_| FetcherError::Authorities)?,
                    None => system.get()?,
                };
                let name = ServerName::try_from(bare.clone()).map_err(|_| FetcherError::Url)?;
                let config =
                    |alpn| tls::client_config("", roots.clone(), alpn).map(Arc::new).map_err(|_| FetcherError::Tls);
                Security::Tls { name, http1: config(Alpn::Http1)?, http2: config(Alpn::Http2)? }
            }
            _ => return Err(FetcherError::Url),
        };
        let with_port = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        Ok(Self {
            connector: Connector { host: bare, port, security, connect_timeout },
            target: format!("{}{query}", url.path()).parse().map_err(|_| FetcherError::Url)?,
            host: HeaderValue::try_from(with_port).map_err(|_| FetcherError::Url)?,
            accept: HeaderValue::from_static("application/jwk-set+json, application/json"),
            question: None,
        })
    }

    /// The same for another document than a set of keys: the answer, of the type `accept`, to a question that is posted.
    #[must_use]
    pub fn asking(self, question: Bytes, content_type: HeaderValue, accept: HeaderValue) -> Self {
        Self { accept, question: Some((content_type, question)), ..self }
    }

    /// Fetches the document, all of it, over a connection of its own: at most `bytes_max` of it, and for no longer than `deadline` from the
    /// name's look-up to the last byte.
    ///
    /// # Errors
    ///
    /// There is none within these limits.
    pub async fn fetch(&self, bytes_max: usize, deadline: Duration) -> Result<Bytes, FetchError> {
        timeout(deadline, self.exchange(bytes_max)).await.map_err(|_| FetchError::Timeout)?
    }

    async fn exchange(&self, bytes_max: usize) -> Result<Bytes, FetchError> {
        match self.connector.connect(Alpn::Http1).await.map_err(connect_error)? {
            Stream::Plain(tcp) => self.ask(TokioIo::new(tcp), bytes_max).await,
            Stream::Tls(tls) => self.ask(TokioIo::new(*tls), bytes_max).await,
        }
    }

    async fn ask(&self, io: impl Read + Write + Unpin, bytes_max: usize) -> Result<Bytes, FetchError> {
        exchange(io, self.request(), async |response| read(response, bytes_max).await).await
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let body = self.question.as_ref().map(|(_, question)| question.clone()).unwrap_or_default();
        let mut request = Request::new(Full::new(body));
        if let Some((content_type, _)) = &self.question {
            *request.method_mut() = Method::POST;
            request.headers_mut().insert(CONTENT_TYPE, content_type.clone());
        }
        *request.uri_mut() = Uri::from(self.target.clone());
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(ACCEPT, self.accept.clone());
        // What is not compressed cannot grow in our hands.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("countersign/", env!("CARGO_PKG_VERSION"))));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        request
    }
}

async fn read(response: Response<Incoming>, bytes_max: usize) -> Result<Bytes, FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let (parts, body) = response.into_parts();
    read_body(&parts.headers, body, bytes_max).await
}

/// One question over a connection of its own, and what `read` makes of the answer.
pub(super) async fn exchange<T>(
    io: impl Read + Write + Unpin,
    request: Request<Full<Bytes>>,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, FetchError>,
) -> Result<T, FetchError> {
    let (mut sender, connection) = http1::builder().handshake(io).await.map_err(|_| FetchError::Broken)?;
    let mut connection = pin!(connection);
    let mut answer = pin!(async {
        let response = sender.send_request(request).await.map_err(|_| FetchError::Broken)?;
        read(response).await
    });
    let mut is_open = true;
    std::future::poll_fn(|cx| {
        // How it ended, whoever waits for the answer is told by hyper.
        if is_open && let Poll::Ready(Ok(()) | Err(_)) = connection.as_mut().poll(cx) {
            is_open = false;
        }
        answer.as_mut().poll(cx)
    })
    .await
}

/// All of an answer's body, within a limit.
pub(super) async fn read_body(headers: &HeaderMap, mut body: Incoming, bytes_max: usize) -> Result<Bytes, FetchError> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(FetchError::Coding);
    }
    // What says itself that it is too long is not read at all.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(FetchError::TooLong);
    }
    let mut content = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers say nothing that we asked for.
        let Ok(piece) = frame.map_err(|_| FetchError::Broken)?.into_data() else { continue };
        if content.len() + piece.len() > bytes_max {
            return Err(FetchError::TooLong);
        }
        content.extend_from_slice(&piece);
    }
    Ok(content.freeze())
}

pub(super) fn connect_error(error: UpstreamError) -> FetchError {
    match error {
        UpstreamError::Tls(_) => FetchError::Tls,
        UpstreamError::ConnectTimeout | UpstreamError::ResponseTimeout => FetchError::Timeout,
        UpstreamError::Unknown
        | UpstreamError::Saturated
        | UpstreamError::Connect(_)
        | UpstreamError::Target(_)
        | UpstreamError::Closed(_)
        | UpstreamError::Garbage(_)
        | UpstreamError::Framing
        | UpstreamError::Switched
        | UpstreamError::RequestBodyTooLong
        | UpstreamError::ClientBody
        | UpstreamError::ClientBodyTimeout => FetchError::Connect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, host: &str, target: &str, connects_to: (&str, u16)) {
        let system = SystemRoots::default();
        let url: Url = url.parse().expect("a url");
        let fetcher =
            Fetcher::new(&url, None, &system, Duration::from_secs(1)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((fetcher.host.to_str().expect("text"), fetcher.target.as_str()), (host, target));
        assert_eq!((fetcher.connector.host.as_str(), fetcher.connector.port), connects_to);
    }

    #[test]
    fn the_address_is_that_of_the_policy_to_the_letter() {
        check("http://localhost/keys", "localhost", "/keys", ("localhost", 80));
        check("http://127.0.0.1:9000", "127.0.0.1:9000", "/", ("127.0.0.1", 9000));
        check("http://[::1]:9000/a/b.json?p=x&q=%20", "[::1]:9000", "/a/b.json?p=x&q=%20", ("::1", 9000));
    }
}
