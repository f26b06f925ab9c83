//! One connection, from its first byte of HTTP to its last.
//!
//! hyper speaks the protocol; this sets every limit it has, and watches over what it does not: who has the move, and for how long.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use super::allowance::Allowance;
use super::body::Body;
use super::connections::{Connections, Permit, Tally};
use super::drain::Drain;
use super::frames::{FrameMeter, HEADER_TABLE_BYTES, RESETS, RESETS_OF_PROXY, head_list_bytes_max};
use super::framing::{Fault, StrictReader};
use super::metered::MeteredWire;
use super::stalls::until_stalled;
use super::turns::{AnswerBody, Exchange, Owed, Turns};
use super::wire::Wire;
use crate::policy::Limits;

/// The answer to one request, in a box: an idle connection keeps no room for the largest answer there is.
pub(super) type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A connection being served, in a box of its own size.
pub(super) type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who answers on one connection.
pub(super) trait Answer: Send + Sync + 'static {
    fn answer(&self, request: Request<Incoming>) -> Answering;

    /// `Strict-Transport-Security`, for heads that never became a request. None over plain HTTP (RFC 6797 §7.2).
    fn strict_transport_security(&self) -> Option<HeaderValue>;
}

/// How connections of one listener are served.
#[derive(Clone)]
pub(super) struct Protocols {
    http1: http1::Builder,
    limits: Arc<Limits>,
    connections: Arc<Connections>,
    drain: Drain,
}

/// As many headers as hyper reads without an allocation of their own. [`Wire`] counts them before.
const HTTP1_HEADERS_INLINE: usize = 100;
/// hyper's smallest buffer.
const HTTP1_BUFFER_BYTES_MIN: usize = 8192;
const HTTP1_BUFFER_SLACK_BYTES: usize = 1024;

// What one HTTP/2 peer can make us keep: the connection's window of unread bodies, and per stream what it does not read.
const HTTP2_STREAM_WINDOW_BYTES: u32 = 128 * 1024;
const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;
const HTTP2_SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;
const HTTP2_FRAME_BYTES_MAX: u32 = 16 * 1024;
/// Streams that we reset for a peer's errors, over the life of a connection ("made you reset", CVE-2025-8671).
const HTTP2_LOCAL_RESETS_MAX: usize = 128;
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(45);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Between the request to finish and the cut, for a client that did not move.
const GRACE: Duration = Duration::from_secs(5);
/// For the last words to a client whose head was malformed.
const FAREWELL: Duration = Duration::from_secs(1);

impl Protocols {
    pub(super) fn new(limits: Arc<Limits>, connections: Arc<Connections>, drain: Drain) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // The watchdog knows a head from an idle connection, and costs no timer per request.
            .header_read_timeout(None)
            // Who closes one half has mostly left, and nothing else would tell us so while an answer is made.
            .half_close(false)
            .keep_alive(true)
            // With it hyper buffers answers without limit for a client that does not read.
            .pipeline_flush(false)
            // A little more than a head, so that the refusal of a longer one is ours.
            .max_buf_size((limits.head_bytes_max + HTTP1_BUFFER_SLACK_BYTES).max(HTTP1_BUFFER_BYTES_MIN));
        if limits.headers_max > HTTP1_HEADERS_INLINE {
            http1.max_headers(limits.headers_max);
        }
        Self { http1, limits, connections, drain }
    }

    // These two are no `async fn`: what is moved about while a connection is set up would stay in the future for as long as it lives, and
    // most connections live idle.

    /// Serves HTTP/1 until the end.
    pub(super) fn serve_http1<S, A>(self: Arc<Self>, stream: S, permit: Permit, answer: Arc<A>) -> Serving
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        A: Answer,
    {
        let turns = Turns::new();
        let reader = StrictReader::new(self.limits.head_bytes_max, self.limits.headers_max);
        let wire = TokioIo::new(Wire::new(stream, reader, Arc::clone(&turns), permit));
        let service = Service { answer, turns: Arc::clone(&turns), limits: Arc::clone(&self.limits) };
        let mut connection = Box::new(self.http1.serve_connection(wire, service).with_upgrades());
        Box::pin(async move {
            if self.drive(&mut *connection, &turns).await == Ending::Closed {
                self.say_farewell(*connection, &turns).await;
            }
        })
    }

    /// Serves HTTP/2 until the end.
    pub(super) fn serve_http2<S, A>(self: Arc<Self>, stream: S, permit: Permit, answer: Arc<A>) -> Serving
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        A: Answer,
    {
        let turns = Turns::new();
        let resets = if permit.speaks_for_others() { RESETS_OF_PROXY } else { RESETS };
        let meter = FrameMeter::new(self.limits.head_bytes_max, self.limits.headers_max).allowing_resets(resets);
        let wire = TokioIo::new(MeteredWire::new(stream, meter, permit));
        let service = Service { answer, turns: Arc::clone(&turns), limits: Arc::clone(&self.limits) };
        let mut connection = Box::new(self.http2(&turns, resets).serve_connection(wire, service));
        Box::pin(async move {
            self.drive(&mut *connection, &turns).await;
            drop(connection);
        })
    }

    /// What hyper holds of HTTP/2's limits; [`FrameMeter`] holds the others.
    fn http2(&self, turns: &Arc<Turns>, resets: Allowance) -> http2::Builder<Streams> {
        let streams = Streams {
            tasks: self.drain.tasks().clone(),
            turns: Arc::clone(turns),
            stall_timeout: self.limits.idle_timeout,
        };
        let mut http2 = http2::Builder::new(streams);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.http2_streams_max)
            // Those that a peer resets before we have looked at them: a browser that leaves a page as soon as it came, or all that a busy machine
            // finds at once. All resets are counted by the meter.
            .max_pending_accept_reset_streams(resets.at_once as usize)
            .max_local_error_reset_streams(HTTP2_LOCAL_RESETS_MAX)
            .max_header_list_size(head_list_bytes_max(self.limits.head_bytes_max, self.limits.headers_max))
            .header_table_size(HEADER_TABLE_BYTES)
            .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
            .max_frame_size(HTTP2_FRAME_BYTES_MAX)
            .max_send_buf_size(HTTP2_SEND_BUFFER_BYTES_MAX)
            .keep_alive_interval(HTTP2_PING_INTERVAL)
            .keep_alive_timeout(HTTP2_PING_TIMEOUT);
        http2
    }

    /// Answers bytes that were no request, where such bytes ended the connection.
    fn say_farewell<S, A>(
        &self,
        connection: http1::UpgradeableConnection<TokioIo<Wire<S>>, Service<A>>,
        turns: &Turns,
    ) -> Serving
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        A: Answer,
    {
        let parts = connection.into_parts();
        let Some((parts, fault)) = parts.and_then(|parts| parts.io.inner().fault().map(|fault| (parts, fault))) else {
            return Box::pin(std::future::ready(()));
        };
        let is_heard = parts.io.inner().is_heard();
        Tally::count(&self.connections.tally.malformed);
        // These words must not cut an earlier answer in two, nor be a second answer.
        let words =
            (turns.is_quiet() && !is_heard).then(|| refuse(fault, parts.service.answer.strict_transport_security()));
        let (mut socket, permit) = parts.io.into_inner().into_parts();
        Box::pin(async move {
            let farewell = async {
                socket.write_all(&words.unwrap_or_default()).await?;
                socket.shutdown().await
            };
            // Whether they arrive is the client's concern.
            drop(timeout(FAREWELL, farewell).await);
            drop(permit);
        })
    }

    /// Polls the connection, and beside it the drain and one timer, which is moved only when it has to ring earlier.
    async fn drive<C: Graceful>(&self, connection: &mut C, turns: &Turns) -> Ending {
        let mut begun = pin!(self.drain.begun());
        let mut seen = Instant::now();
        let mut timer = pin!(sleep_until(seen + self.limits.idle_timeout));
        let grace = GRACE.min(self.limits.idle_timeout);
        let (mut enlisted, mut closing, mut grace_ends) = (false, false, None);
        poll_fn(|context| {
            // Enlisted once, with the waker of this task, which stays the same. Asking again would take the lock that all connections
            // share, at each step of each of them.
            if !closing && (!enlisted || self.drain.deadline().is_some()) {
                enlisted = true;
                if begun.as_mut().poll(context).is_ready() {
                    closing = true;
                    connection.finish();
                }
            }
            if Pin::new(&mut *connection).poll(context).is_ready() {
                return Poll::Ready(Ending::Closed);
            }
            loop {
                let cut_at = self.drain.deadline();
                let owed = turns.owed(&self.limits);
                // Mostly the timer rings early enough as it is, and what time it is need not be known at each step.
                let rings_by = match owed {
                    Owed::Nothing => seen + self.limits.idle_timeout,
                    Owed::Head(by) | Owed::Move(by) => by,
                };
                let is_set = cut_at.is_none() && grace_ends.is_none() && timer.deadline() <= rings_by;
                if is_set && timer.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                let now = Instant::now();
                seen = now;
                let due = match owed {
                    // A request that came within the grace is answered.
                    Owed::Nothing => {
                        grace_ends = grace_ends.map(|_| now + grace);
                        now + self.limits.idle_timeout
                    }
                    Owed::Head(by) => by,
                    Owed::Move(by) => grace_ends.unwrap_or(by),
                };
                if cut_at.is_some_and(|cut_at| cut_at <= now) {
                    return Poll::Ready(Ending::Cut);
                }
                if due <= now {
                    if grace_ends.is_some() || matches!(owed, Owed::Head(_)) {
                        Tally::count(&self.connections.tally.timed_out);
                        return Poll::Ready(Ending::Cut);
                    }
                    grace_ends = Some(now + grace);
                    connection.finish();
                    if Pin::new(&mut *connection).poll(context).is_ready() {
                        return Poll::Ready(Ending::Closed);
                    }
                    continue;
                }
                let due = cut_at.map_or(due, |cut_at| cut_at.min(due));
                if due < timer.deadline() || timer.is_elapsed() {
                    timer.as_mut().reset(due);
                }
                if timer.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

/// What a connection came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// By the client, by an error, or because all was done.
    Closed,
    /// By us, since the client did not move or the drain's deadline passed.
    Cut,
}

/// A connection that can be asked to take no further requests.
trait Graceful: Future<Output = hyper::Result<()>> + Unpin {
    fn finish(&mut self);
}

impl<S, A> Graceful for http1::UpgradeableConnection<TokioIo<Wire<S>>, Service<A>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Answer,
{
    fn finish(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

impl<S, A> Graceful for http2::Connection<TokioIo<MeteredWire<S>>, Service<A>, Streams>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Answer,
{
    fn finish(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

/// hyper's side of an [`Answer`].
struct Service<A> {
    answer: Arc<A>,
    turns: Arc<Turns>,
    limits: Arc<Limits>,
}

impl<A: Answer> hyper::service::Service<Request<Incoming>> for Service<A> {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Answered;

    fn call(&self, request: Request<Incoming>) -> Answered {
        let exchange = Exchange::begin(&self.turns, self.limits.answer_pace());
        Answered { answering: self.answer.answer(request), exchange: Some(exchange) }
    }
}

/// An answer that is being made, and then counted as one.
struct Answered {
    answering: Answering,
    /// Until it is given to the answer's body.
    exchange: Option<Exchange>,
}

impl Future for Answered {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.answering.as_mut().poll(context));
        // Whoever polls again what was ready waits in vain.
        let Some(exchange) = self.exchange.take() else { return Poll::Pending };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            exchange.become_tunnel();
        }
        Poll::Ready(Ok(response.map(|body| exchange.answer(body))))
    }
}

/// Runs HTTP/2 streams so that the drain waits for them too, and none waits for its client for ever.
#[derive(Clone)]
struct Streams {
    tasks: TaskTracker,
    turns: Arc<Turns>,
    stall_timeout: Duration,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        // hyper has a stream run right after it has called the service, which began an exchange.
        match self.turns.take_latest() {
            Some(moves) => self.tasks.spawn(until_stalled(future, moves, self.stall_timeout)),
            None => self.tasks.spawn(async move { drop(future.await) }),
        };
    }
}

/// The answer to bytes that are no request. The words are the same for each cause.
fn refuse(fault: Fault, strict_transport_security: Option<HeaderValue>) -> Vec<u8> {
    let status = match fault {
        Fault::HeadTooLarge | Fault::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Fault::LineEnd | Fault::RequestLine | Fault::HeaderLine | Fault::Folded | Fault::Length | Fault::Chunk => {
            StatusCode::BAD_REQUEST
        }
    };
    let title = status.canonical_reason().unwrap_or_default();
    let body = format!(r#"{{"title":"{title}","status":{}}}"#, status.as_u16());
    let hsts = strict_transport_security.and_then(|value| value.to_str().map(str::to_owned).ok());
    let hsts = hsts.map(|value| format!("strict-transport-security: {value}\r\n")).unwrap_or_default();
    let length = body.len();
    format!(
        "HTTP/1.1 {} {title}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n\
         x-content-type-options: nosniff\r\ncache-control: no-store\r\n{hsts}connection: close\r\n\r\n{body}",
        status.as_u16()
    )
    .into_bytes()
}
