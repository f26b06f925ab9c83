//! WebSockets: the messengers' realtime channel. The handshake is read strictly, the rest is bytes both ways (RFC 6455).

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{Method, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::rt::{Read, Write};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::connect::Stream;
use super::error::UpstreamError;
use super::outbound::ForwardHead;
use super::request_body::{RequestBody, Watch};
use super::response_body::{Source, UpstreamBody};
use super::tls::Alpn;
use super::{Backend, Upstreams, clean_response_headers, headers, http1};
use crate::profile::{Class, Operation, Upgrade};

/// What one direction holds of what the other side has not yet taken.
const SPLICE_BUFFER_BYTES: usize = 16 * 1024;

/// Shows that an operation's requests may become WebSockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpgradePermit(());

impl UpgradePermit {
    /// `None` for every operation that does not say so, and for those that are judged.
    #[must_use]
    pub fn of(operation: &Operation) -> Option<Self> {
        match (operation.upgrade, operation.class) {
            (Upgrade::WebSocket, Class::Pass) => Some(Self(())),
            (
                Upgrade::Never | Upgrade::WebSocket,
                Class::Update
                | Class::Event
                | Class::Collect
                | Class::Delete
                | Class::Identify
                | Class::SessionEnd
                | Class::Telemetry
                | Class::Pass
                | Class::ServerApi
                | Class::Webhook,
            ) => None,
        }
    }
}

/// Why a request is no opening handshake (RFC 6455 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    #[error("a websocket begins with get over http/1.1")]
    Request,
    #[error("no upgrade to websocket alone")]
    Upgrade,
    /// To be answered with 426 and `Sec-WebSocket-Version: 13`.
    #[error("not version 13")]
    Version,
    #[error("not exactly one key of 16 bytes")]
    Key,
}

/// An opening handshake, read strictly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    accept: [u8; 28],
}

impl Handshake {
    /// Whether a request asks for another protocol at all; if so it is a handshake, or refused.
    #[must_use]
    pub fn is_asked_for(headers: &HeaderMap) -> bool {
        headers.contains_key(UPGRADE)
    }

    /// Reads the head of a request.
    ///
    /// # Errors
    ///
    /// It is not exactly the handshake of RFC 6455.
    pub fn parse(method: &Method, version: Version, headers: &HeaderMap) -> Result<Self, HandshakeError> {
        if method != Method::GET || version != Version::HTTP_11 {
            return Err(HandshakeError::Request);
        }
        let upgrades = only(headers, &UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
        if !upgrades || !names_upgrade(headers) {
            return Err(HandshakeError::Upgrade);
        }
        if only(headers, &SEC_WEBSOCKET_VERSION) != Some(b"13") {
            return Err(HandshakeError::Version);
        }
        let key = only(headers, &SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?;
        match STANDARD.decode(key) {
            Ok(nonce) if nonce.len() == 16 => {}
            Ok(_) | Err(_) => return Err(HandshakeError::Key),
        }
        accept_of(key).map(|accept| Self { accept }).ok_or(HandshakeError::Key)
    }
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        (None | Some(_), _) => None,
    }
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    let mut tokens = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// What only a server that read this key as a WebSocket's answers (RFC 6455 §4.2.2, 5).
fn accept_of(key: &[u8]) -> Option<[u8; 28]> {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key);
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest.finish()).into_bytes().try_into().ok()
}

/// What came of asking for a WebSocket.
pub enum Switch {
    /// The response is 101, to be sent to the client; `splice` is to be run beside its connection.
    Switched { response: Response<()>, splice: Splice },
    /// The upstream answered otherwise.
    Answered(Response<UpstreamBody>),
}

impl Upstreams {
    /// Asks the upstream for a WebSocket, over an HTTP/1.1 connection of its own.
    ///
    /// The origin must have been admitted before: a browser sends cookies with a handshake from any page.
    /// `client` is the other end, from [`hyper::upgrade::on`] of the client's request.
    ///
    /// # Errors
    ///
    /// There is no answer, or one that is no end of this handshake; see [`UpstreamError`].
    pub async fn upgrade(
        &self,
        name: &str,
        head: ForwardHead,
        handshake: Handshake,
        _permit: UpgradePermit,
        client: OnUpgrade,
    ) -> Result<Switch, UpstreamError> {
        // Boxed: a handshake is rare, and its state would weigh on every request.
        Box::pin(self.find(name)?.upgrade(head, handshake, client)).await
    }
}

impl Backend {
    async fn upgrade(
        self: &Arc<Self>,
        mut head: ForwardHead,
        handshake: Handshake,
        client: OnUpgrade,
    ) -> Result<Switch, UpstreamError> {
        headers::clean_request_headers(&mut head.headers);
        head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        let request = self.http1_request(head, RequestBody::whole(Bytes::new()));
        let permit = self.admit().await?;
        let mut sender = match self.connector.connect(Alpn::Http1).await? {
            Stream::Plain(tcp) => start(TokioIo::new(tcp)).await?,
            Stream::Tls(tls) => start(TokioIo::new(*tls)).await?,
        };
        let watch = Watch::whole(self.response_timeout);
        let answer = watch.answer(sender.send_request(request)).await?;
        let response = answer.map_err(|error| watch.blame(error))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Switch::Answered(self.relay(response, Source::Once { sender, permit })?));
        }
        self.switch(response, handshake, client, permit)
    }

    fn switch(
        &self,
        mut response: Response<Incoming>,
        handshake: Handshake,
        client: OnUpgrade,
        permit: OwnedSemaphorePermit,
    ) -> Result<Switch, UpstreamError> {
        let upstream = hyper::upgrade::on(&mut response);
        let (mut head, _) = response.into_parts();
        // An upstream that echoes 101 to anything has not understood the handshake; the tunnel would be open for other requests.
        let understood = only(&head.headers, &SEC_WEBSOCKET_ACCEPT) == Some(&handshake.accept)
            && only(&head.headers, &UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
        if !understood {
            return Err(UpstreamError::Switched);
        }
        clean_response_headers(&mut head.headers);
        head.extensions.clear();
        head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        let splice = Splice { client, upstream, idle_timeout: self.idle_timeout, _permit: permit };
        Ok(Switch::Switched { response: Response::from_parts(head, ()), splice })
    }
}

async fn start<T: Read + Write + Unpin + Send + 'static>(io: T) -> Result<SendRequest<RequestBody>, UpstreamError> {
    let (sender, connection) = http1::builder().handshake(io).await.map_err(UpstreamError::Closed)?;
    // Its request is told by hyper how it ended.
    tokio::spawn(async move { connection.with_upgrades().await.is_ok() });
    Ok(sender)
}

/// Both ends of a WebSocket, to be joined. It counts as a request in flight until it ends.
pub struct Splice {
    client: OnUpgrade,
    upstream: OnUpgrade,
    idle_timeout: Duration,
    _permit: OwnedSemaphorePermit,
}

/// How a WebSocket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpliceEnd {
    /// Both sides closed.
    Closed,
    /// A side reset, or went away before the switch was complete.
    Broken,
    /// No byte either way for the upstream's `idle_timeout`.
    Idle,
    Drained,
}

impl Splice {
    /// Copies both ways until both sides have closed, one resets, nothing moves for too long, or `drain` is cancelled.
    pub async fn run(self, drain: &CancellationToken) -> SpliceEnd {
        let Self { client, upstream, idle_timeout, _permit } = self;
        let activity = Activity { start: Instant::now(), last_milliseconds: AtomicU64::new(0) };
        let joined = async {
            let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) else { return SpliceEnd::Broken };
            let mut client = TokioIo::new(client);
            let mut upstream = Noted { io: TokioIo::new(upstream), activity: &activity };
            let copied =
                copy_bidirectional_with_sizes(&mut client, &mut upstream, SPLICE_BUFFER_BYTES, SPLICE_BUFFER_BYTES);
            if copied.await.is_ok() { SpliceEnd::Closed } else { SpliceEnd::Broken }
        };
        tokio::select! {
            end = joined => end,
            () = activity.ceases(idle_timeout) => SpliceEnd::Idle,
            () = drain.cancelled() => SpliceEnd::Drained,
        }
    }
}

/// When a byte last moved.
struct Activity {
    start: Instant,
    last_milliseconds: AtomicU64,
}

impl Activity {
    fn note(&self) {
        let milliseconds = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_milliseconds.store(milliseconds, Ordering::Relaxed);
    }

    async fn ceases(&self, idle_timeout: Duration) {
        loop {
            let last = Duration::from_millis(self.last_milliseconds.load(Ordering::Relaxed));
            let deadline = self.start + last + idle_timeout;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

/// The upstream's end. All bytes of both directions cross it, so it alone notes when they move.
struct Noted<'a> {
    io: TokioIo<Upgraded>,
    activity: &'a Activity,
}

impl AsyncRead for Noted<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        if polled.is_ready() {
            self.activity.note();
        }
        polled
    }
}

impl AsyncWrite for Noted<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        if polled.is_ready() {
            self.activity.note();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Body;
    use crate::upstream::outbound::tests::operation;

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[track_caller]
    fn check(changed: &[(&str, &str)], expected: Result<(), HandshakeError>) {
        let mut headers = HeaderMap::new();
        for (name, value) in GOOD {
            headers.insert(name, value.parse().unwrap());
        }
        for &(name, value) in changed {
            match name.strip_prefix('+') {
                Some(name) => drop(headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap())),
                None => drop(headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap())),
            }
        }
        let parsed = Handshake::parse(&Method::GET, Version::HTTP_11, &headers).map(|_| ());
        assert_eq!(parsed, expected, "{changed:?}");
    }

    #[test]
    fn only_an_exact_handshake_is_one() {
        check(&[], Ok(()));
        check(&[("upgrade", "h2c")], Err(HandshakeError::Upgrade));
        check(&[("upgrade", "websocket, h2c")], Err(HandshakeError::Upgrade));
        check(&[("+upgrade", "h2c")], Err(HandshakeError::Upgrade));
        check(&[("connection", "keep-alive")], Err(HandshakeError::Upgrade));
        check(&[("sec-websocket-version", "8")], Err(HandshakeError::Version));
        check(&[("sec-websocket-version", "1337")], Err(HandshakeError::Version));
        check(&[("+sec-websocket-version", "13")], Err(HandshakeError::Version));
        check(&[("sec-websocket-key", "dG9vIHNob3J0")], Err(HandshakeError::Key));
        check(&[("sec-websocket-key", "not base64")], Err(HandshakeError::Key));
        let headers = HeaderMap::new();
        let parsed = Handshake::parse(&Method::POST, Version::HTTP_11, &headers);
        assert_eq!(parsed, Err(HandshakeError::Request));
        let parsed = Handshake::parse(&Method::GET, Version::HTTP_10, &headers);
        assert_eq!(parsed, Err(HandshakeError::Request));
    }

    #[test]
    fn the_accept_value_is_the_one_of_the_rfc() {
        // RFC 6455 §1.3.
        assert_eq!(&accept_of(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_passed_operations_that_say_so_may_upgrade() {
        assert!(UpgradePermit::of(&operation(Class::Pass, Body::None, Upgrade::WebSocket)).is_some());
        assert!(UpgradePermit::of(&operation(Class::Pass, Body::None, Upgrade::Never)).is_none());
        assert!(UpgradePermit::of(&operation(Class::Update, Body::Json, Upgrade::WebSocket)).is_none());
    }
}
