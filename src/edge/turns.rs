//! Whose turn it is on a connection.
//!
//! A client that has the next move and does not make it must not hold a connection for ever: not between requests, not within a head, and
//! not by leaving an answer unread. Where the move is ours (or the upstream's), other deadlines hold.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::body::{Body, BoxError};
use super::stalls::Moves;
use crate::policy::{Limits, Pace};

/// The state of one connection. It is written by the connection's own task, and by those of its HTTP/2 streams.
#[derive(Debug)]
pub struct Turns {
    started: Instant,
    /// Requests whose next move is ours.
    ours: AtomicUsize,
    /// Answers that are not sent whole.
    open: AtomicUsize,
    /// Since when the client has the move, in milliseconds from `started`.
    client_since: AtomicU64,
    /// Since when a head is on its way, likewise; [`NEVER`] while none is.
    head_since: AtomicU64,
    tunnel: AtomicBool,
    /// Who waits for all answers to be sent.
    waits_for_quiet: AtomicWaker,
    /// Of the exchange that began last, until somebody asks.
    latest: Mutex<Option<Arc<Moves>>>,
}

const NEVER: u64 = u64::MAX;

/// What the client owes us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// Nothing: the move is ours.
    Nothing,
    /// The rest of a head, by then.
    Head(Instant),
    /// A request, or to read its answer, by then.
    Move(Instant),
}

impl Turns {
    /// A connection begins with the client's move.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            ours: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            client_since: AtomicU64::new(0),
            head_since: AtomicU64::new(NEVER),
            tunnel: AtomicBool::new(false),
            waits_for_quiet: AtomicWaker::new(),
            latest: Mutex::default(),
        })
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    /// What the client owes us, and by when.
    #[must_use]
    pub fn owed(&self, limits: &Limits) -> Owed {
        let by = |since: u64, time: Duration| self.started + Duration::from_millis(since) + time;
        if self.ours.load(Ordering::Acquire) > 0 {
            return Owed::Nothing;
        }
        match self.head_since.load(Ordering::Acquire) {
            NEVER => Owed::Move(by(self.client_since.load(Ordering::Acquire), limits.idle_timeout)),
            since => Owed::Head(by(since, limits.head_timeout)),
        }
    }

    /// A head begins.
    pub fn head_begins(&self) {
        self.head_since.store(self.elapsed(), Ordering::Release);
    }

    /// A head is whole.
    pub fn head_ends(&self) {
        self.head_since.store(NEVER, Ordering::Release);
    }

    /// The connection stops speaking HTTP.
    pub fn become_tunnel(&self) {
        self.tunnel.store(true, Ordering::Release);
    }

    /// Whether it has.
    #[must_use]
    pub fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Acquire)
    }

    /// Whether no answer is under way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.open.load(Ordering::Acquire) == 0
    }

    /// Ready when no answer is under way.
    pub fn poll_quiet(&self, context: &mut Context<'_>) -> Poll<()> {
        self.waits_for_quiet.register(context.waker());
        if self.is_quiet() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The exchange that began last, once.
    pub fn take_latest(&self) -> Option<Arc<Moves>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The move is ours while this lives.
#[derive(Debug)]
struct Turn(Arc<Turns>);

impl Turn {
    fn take(turns: &Arc<Turns>) -> Self {
        turns.ours.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(turns))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.client_since.store(self.0.elapsed(), Ordering::Release);
        self.0.ours.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One request, until its answer is sent whole.
#[derive(Debug)]
pub struct Exchange {
    turns: Arc<Turns>,
    turn: Option<Turn>,
    moves: Arc<Moves>,
    taken: Taken,
}

/// How fast the client takes an answer.
#[derive(Debug)]
struct Taken {
    pace: Pace,
    bytes: u64,
    /// While there was something to take.
    waited: Duration,
    /// When the last piece was laid out, and how long it is.
    laid_out: Option<(Instant, u64)>,
}

/// The client takes an answer more slowly than it may.
#[derive(Debug, thiserror::Error)]
#[error("the answer is taken too slowly")]
pub struct TooSlow;

impl Taken {
    /// Somebody asks for another piece, so the last one is taken.
    fn all(&mut self) -> Result<(), TooSlow> {
        let Some((since, bytes)) = self.laid_out.take() else { return Ok(()) };
        self.bytes = self.bytes.saturating_add(bytes);
        self.waited += since.elapsed();
        if self.waited > self.pace.time_for(self.bytes) { Err(TooSlow) } else { Ok(()) }
    }
}

impl Exchange {
    /// A request is here.
    #[must_use]
    pub fn begin(turns: &Arc<Turns>, pace: Pace) -> Self {
        turns.open.fetch_add(1, Ordering::AcqRel);
        let moves = Moves::new();
        *turns.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&moves));
        let taken = Taken { pace, bytes: 0, waited: Duration::ZERO, laid_out: None };
        Self { turns: Arc::clone(turns), turn: Some(Turn::take(turns)), moves, taken }
    }

    /// The request is the connection's last: what follows is no HTTP.
    pub fn become_tunnel(&self) {
        self.turns.become_tunnel();
    }

    /// The answer's body, which says at each piece whose move is next: whoever asks for a piece has taken the last one.
    #[must_use]
    pub fn answer(self, body: Body) -> AnswerBody {
        AnswerBody { exchange: self, body }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.moves.is_ours();
        if self.turns.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.turns.waits_for_quiet.wake();
        }
    }
}

/// See [`Exchange::answer`].
#[derive(Debug)]
pub struct AnswerBody {
    exchange: Exchange,
    body: Body,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Err(error) = this.exchange.taken.all() {
            return Poll::Ready(Some(Err(error.into())));
        }
        let polled = Pin::new(&mut this.body).poll_frame(context);
        let exchange = &mut this.exchange;
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            exchange.taken.laid_out = Some((Instant::now(), bytes));
            exchange.moves.is_the_clients();
        } else {
            exchange.moves.is_ours();
        }
        match &polled {
            Poll::Pending => {
                exchange.turn.get_or_insert_with(|| Turn::take(&exchange.turns));
            }
            Poll::Ready(_) => {
                // Taken and given back, so that the time counts from this piece.
                drop(exchange.turn.take().unwrap_or_else(|| Turn::take(&exchange.turns)));
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::edge::body;

    #[tokio::test]
    async fn the_move_is_ours_from_the_request_to_the_answer() {
        let limits = Limits { idle_timeout: Duration::from_secs(9), ..Limits::default() };
        let turns = Turns::new();
        assert!(matches!(turns.owed(&limits), Owed::Move(_)));
        turns.head_begins();
        assert!(matches!(turns.owed(&limits), Owed::Head(_)));
        turns.head_ends();
        let exchange = Exchange::begin(&turns, limits.answer_pace());
        assert_eq!((turns.owed(&limits), turns.is_quiet()), (Owed::Nothing, false));
        let mut answer = exchange.answer(body::full("piece"));
        assert_eq!(turns.owed(&limits), Owed::Nothing);
        assert!(answer.frame().await.is_some());
        // The piece is out, and the client has to take it before the next is asked for.
        assert!(matches!(turns.owed(&limits), Owed::Move(_)));
        assert!(!turns.is_quiet());
        drop(answer);
        assert!(turns.is_quiet());
    }

    #[tokio::test]
    async fn an_upstream_that_makes_us_wait_is_not_the_clients_fault() {
        let limits = Limits::default();
        let turns = Turns::new();
        let stalled = Never;
        let mut answer = Exchange::begin(&turns, limits.answer_pace()).answer(body::streaming(stalled));
        let waited = tokio::time::timeout(Duration::from_millis(5), answer.frame()).await;
        assert!(waited.is_err());
        assert_eq!(turns.owed(&limits), Owed::Nothing);
        drop(answer);
        assert!(matches!(turns.owed(&limits), Owed::Move(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_taken_at_a_pace() {
        let pace = Pace { bytes_per_second_min: 100, grace: Duration::from_secs(5) };
        let mut answer = Exchange::begin(&Turns::new(), pace).answer(body::streaming(Endless));
        for _ in 0..3 {
            assert!(matches!(answer.frame().await, Some(Ok(_))));
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        // Nine seconds for three hundred bytes, of eight that there were.
        assert!(matches!(answer.frame().await, Some(Err(error)) if error.is::<TooSlow>()));
    }

    struct Endless;

    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 100])))))
        }
    }

    struct Never;

    impl http_body::Body for Never {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Pending
        }
    }
}
