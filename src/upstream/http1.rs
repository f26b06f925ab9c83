//! HTTP/1.1 to one upstream: connections, kept for the next request.
//!
//! A connection has no task of its own: the request that uses it polls it. That saves two wake-ups of another thread per request, which
//! is most of what a pooled client costs, and a request that is dropped takes its connection along, so that no answer can meet the
//! wrong request.
//!
//! A connection stays with the runtime that opened it: there its socket is watched, so that any other would be woken across threads for each
//! piece of each answer.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use rustc_hash::FxHashMap;
use tokio::net::TcpStream;
use tokio::runtime::{self, Handle};
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::connect::{Connector, Stream};
use super::error::UpstreamError;
use super::request_body::{RequestBody, Watch};
use super::tls::Alpn;

/// The longest head of an answer.
pub(super) const RESPONSE_HEAD_BYTES_MAX: usize = 64 * 1024;
/// What one connection reads ahead of its client.
const READ_AHEAD_BYTES_MAX: usize = 128 * 1024;

/// The settings of every HTTP/1.1 connection to an upstream.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.max_header_size(RESPONSE_HEAD_BYTES_MAX).max_buf_size(READ_AHEAD_BYTES_MAX);
    builder
}

/// The unused connections to one upstream, by runtime, the last used last.
pub(super) struct Pool {
    idle: Mutex<FxHashMap<runtime::Id, Vec<Link>>>,
    open: Arc<AtomicUsize>,
    connections_max: usize,
    idle_timeout: Duration,
}

/// One connection, in the hands of one request or in the pool.
pub(super) struct Link {
    sender: SendRequest<RequestBody>,
    wire: Wire,
    used: Instant,
    place: Place,
}

/// A connection's place among those that may be open.
struct Place {
    open: Arc<AtomicUsize>,
    home: runtime::Id,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a request is given to be sent over.
enum Given {
    Link(Link),
    Place(Place),
}

enum Wire {
    Plain(Box<Connection<TokioIo<TcpStream>, RequestBody>>),
    Tls(Box<Connection<TokioIo<TlsStream<TcpStream>>, RequestBody>>),
    Ended,
}

impl Pool {
    /// A pool of at most `connections_max` connections, provided that no more requests than that ask it at the same time.
    pub(super) fn new(connections_max: usize, idle_timeout: Duration) -> Self {
        Self { idle: Mutex::default(), open: Arc::default(), connections_max, idle_timeout }
    }

    /// Sends a request over an unused connection, or a new one, and waits for the answer's head.
    ///
    /// It is sent twice only if hyper gives it back, because the connection turned out closed before any of it was written.
    pub(super) async fn exchange(
        &self,
        connector: &Connector,
        mut request: Request<RequestBody>,
        watch: &Watch,
    ) -> Result<(Response<Incoming>, Link), UpstreamError> {
        loop {
            let (mut link, pooled) = match self.take() {
                Given::Link(link) => (link, true),
                // Boxed, for connecting is rare and its state is large: it would weigh on every request, and every idle client.
                Given::Place(place) => (Box::pin(Link::connect(connector, place)).await?, false),
            };
            let mut refused = match watch.answer(link.exchange(request)).await? {
                Ok(response) => return Ok((response, link)),
                Err(refused) => refused,
            };
            match refused.take_message() {
                Some(unsent) if pooled => request = unsent,
                Some(_) | None => return Err(watch.blame(refused.into_error())),
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, FxHashMap<runtime::Id, Vec<Link>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection of this runtime that was used last, as it is the least likely to be closed; without one, the place of a new one.
    fn take(&self) -> Given {
        let home = Handle::current().id();
        loop {
            let mut idle = self.idle();
            let Some(mut link) = idle.get_mut(&home).and_then(Vec::pop) else {
                // All that are open and in nobody's hands are other runtimes'. One of them makes room.
                let full = self.open.load(Ordering::Acquire) >= self.connections_max;
                let closed = if full { idle.values_mut().find_map(Vec::pop) } else { None };
                self.open.fetch_add(1, Ordering::AcqRel);
                drop(idle);
                drop(closed);
                return Given::Place(Place { open: Arc::clone(&self.open), home });
            };
            drop(idle);
            if link.used.elapsed() < self.idle_timeout && link.is_free() {
                return Given::Link(link);
            }
        }
    }

    /// Keeps a connection whose answer was read to its end, unless it still sends the body of a request that was answered early.
    pub(super) fn put(&self, mut link: Link) {
        if link.is_free() {
            link.used = Instant::now();
            self.idle().entry(link.place.home).or_default().push(link);
        }
    }

    /// Closes the connections that nobody used for too long, and those that the upstream has closed.
    pub(super) fn reap(&self) {
        for links in self.idle().values_mut() {
            links.retain_mut(|link| link.used.elapsed() < self.idle_timeout && link.is_free());
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.idle().values().map(Vec::len).sum()
    }
}

impl Link {
    async fn connect(connector: &Connector, place: Place) -> Result<Self, UpstreamError> {
        let (sender, wire) = match connector.connect(Alpn::Http1).await? {
            Stream::Plain(tcp) => {
                let (sender, connection) =
                    builder().handshake(TokioIo::new(tcp)).await.map_err(UpstreamError::Closed)?;
                (sender, Wire::Plain(Box::new(connection)))
            }
            Stream::Tls(tls) => {
                let (sender, connection) =
                    builder().handshake(TokioIo::new(*tls)).await.map_err(UpstreamError::Closed)?;
                (sender, Wire::Tls(Box::new(connection)))
            }
        };
        Ok(Self { sender, wire, used: Instant::now(), place })
    }

    /// Moves bytes and parses what arrived. To be called before anything that waits for this connection.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        let ended = match &mut self.wire {
            Wire::Plain(connection) => Pin::new(connection).poll(cx),
            Wire::Tls(connection) => Pin::new(connection).poll(cx),
            Wire::Ended => return,
        };
        // How it ended, whoever waits for the response or its body is told by hyper.
        if let Poll::Ready(Ok(()) | Err(_)) = ended {
            self.wire = Wire::Ended;
        }
    }

    /// Whether it can take a request: the one before is done, and the upstream has neither closed it meanwhile nor sent what nobody
    /// asked for.
    fn is_free(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !matches!(self.wire, Wire::Ended) && self.sender.is_ready()
    }

    async fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            self.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }
}
