//! HTTP/2 to one upstream: connections that many requests share, each driven by a task.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::{Instant, timeout_at};

use super::connect::{Connector, Stream};
use super::error::UpstreamError;
use super::http1::RESPONSE_HEAD_BYTES_MAX;
use super::request_body::{RequestBody, Watch};
use super::tls::Alpn;

/// What an upstream may send ahead on one stream, and on all of a connection.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// While requests wait, a connection that answers no ping for so long is dead.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The connections to one upstream.
pub(super) struct Pool {
    links: Mutex<Vec<Arc<Link>>>,
    /// Held while connecting, so that a burst of requests opens one connection and not one each.
    connecting: tokio::sync::Mutex<()>,
    idle_timeout: Duration,
}

/// One connection.
struct Link {
    sender: SendRequest<RequestBody>,
    in_flight: AtomicUsize,
    /// `SETTINGS_MAX_CONCURRENT_STREAMS` of the upstream, as far as it is known.
    streams_max: Arc<AtomicUsize>,
    used: Mutex<Instant>,
}

/// A place on a connection, for one request and its answer.
pub(super) struct StreamPlace(Arc<Link>);

impl Drop for StreamPlace {
    fn drop(&mut self) {
        *self.0.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Pool {
    pub(super) fn new(idle_timeout: Duration) -> Self {
        Self { links: Mutex::new(Vec::new()), connecting: tokio::sync::Mutex::new(()), idle_timeout }
    }

    /// Sends a request and waits for the answer's head.
    ///
    /// It is sent twice only if hyper gives it back, because the connection ended before any of it was written.
    pub(super) async fn exchange(
        &self,
        connector: &Connector,
        mut request: Request<RequestBody>,
        watch: &Watch,
    ) -> Result<(Response<Incoming>, StreamPlace), UpstreamError> {
        let mut tried = false;
        loop {
            let place = match self.place() {
                Some(place) => place,
                None => self.connect(connector).await?,
            };
            let mut sender = place.0.sender.clone();
            let mut refused = match watch.answer(sender.try_send_request(request)).await? {
                Ok(response) => return Ok((response, place)),
                Err(refused) => refused,
            };
            match refused.take_message() {
                Some(unsent) if !tried => request = unsent,
                Some(_) | None => return Err(watch.blame(refused.into_error())),
            }
            tried = true;
            self.give_up(&place);
        }
    }

    fn links(&self) -> MutexGuard<'_, Vec<Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self) -> Option<StreamPlace> {
        let mut links = self.links();
        links.retain(|link| !link.sender.is_closed());
        let link = links
            .iter()
            .find(|link| link.in_flight.load(Ordering::Acquire) < link.streams_max.load(Ordering::Relaxed).max(1))?;
        Some(occupy(link))
    }

    /// Takes a connection that accepts no more requests out of use.
    fn give_up(&self, place: &StreamPlace) {
        self.links().retain(|link| !Arc::ptr_eq(link, &place.0));
    }

    async fn connect(&self, connector: &Connector) -> Result<StreamPlace, UpstreamError> {
        let deadline = Instant::now() + connector.connect_timeout;
        timeout_at(deadline, async {
            let _connecting = self.connecting.lock().await;
            // Whoever held the lock before may have connected for us.
            if let Some(place) = self.place() {
                return Ok(place);
            }
            let link = match connector.connect(Alpn::Http2).await? {
                Stream::Plain(tcp) => start(TokioIo::new(tcp)).await?,
                Stream::Tls(tls) => start(TokioIo::new(*tls)).await?,
            };
            let mut links = self.links();
            let place = occupy(&link);
            links.push(link);
            Ok(place)
        })
        .await
        .map_err(|_| UpstreamError::ConnectTimeout)?
    }

    /// Closes the connections that nobody used for too long.
    pub(super) fn reap(&self) {
        self.links().retain(|link| {
            let used = *link.used.lock().unwrap_or_else(PoisonError::into_inner);
            link.in_flight.load(Ordering::Acquire) > 0 || used.elapsed() < self.idle_timeout
        });
    }
}

fn occupy(link: &Arc<Link>) -> StreamPlace {
    link.in_flight.fetch_add(1, Ordering::AcqRel);
    StreamPlace(Arc::clone(link))
}

async fn start<T: Read + Write + Unpin + Send + 'static>(io: T) -> Result<Arc<Link>, UpstreamError> {
    let (sender, mut connection): (_, Connection<T, RequestBody, TokioExecutor>) = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(RESPONSE_HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .handshake(io)
        .await
        .map_err(UpstreamError::Closed)?;
    let streams_max = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
    let told = Arc::clone(&streams_max);
    tokio::spawn(async move {
        // Its requests are told by hyper how it ended.
        let _ended = std::future::poll_fn(|cx| {
            let polled = std::pin::Pin::new(&mut connection).poll(cx);
            if polled.is_pending() {
                told.store(connection.current_max_send_streams(), Ordering::Relaxed);
            }
            polled.map(|ended: hyper::Result<()>| ended.is_ok())
        })
        .await;
    });
    Ok(Arc::new(Link { sender, in_flight: AtomicUsize::new(0), streams_max, used: Mutex::new(Instant::now()) }))
}
