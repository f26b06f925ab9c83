//! The body of a request on the wire to an upstream, and the clock that runs until its answer.
//!
//! A streamed body keeps a note of whose turn it is, the client's to send or the upstream's to take, so that one deadline covers both.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::error::UpstreamError;
use crate::policy::Pace;

/// What hyper writes to the upstream.
pub(super) enum RequestBody {
    Whole(Full<Bytes>),
    Streamed(StreamedBody),
}

impl RequestBody {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never: Infallible| match never {}),
            Self::Streamed(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Streamed(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Streamed(body) => body.incoming.size_hint(),
        }
    }
}

/// Tells hyper to stop; why is in the [`Progress`].
#[derive(Debug, thiserror::Error)]
#[error("the client's body cannot be sent on")]
pub(super) struct Stopped;

/// A client's body, at most so many bytes of it. Its trailers end here.
pub(super) struct StreamedBody {
    incoming: Incoming,
    bytes_left: u64,
    progress: Arc<Progress>,
}

impl StreamedBody {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        loop {
            let polled = Pin::new(&mut self.incoming).poll_frame(cx);
            let Poll::Ready(frame) = polled else {
                self.progress.wait_for_client();
                return Poll::Pending;
            };
            let data = match frame.transpose() {
                Ok(Some(frame)) => frame.into_data(),
                Ok(None) => {
                    self.progress.moved();
                    return Poll::Ready(None);
                }
                Err(_) => return Poll::Ready(Some(Err(self.progress.fail(Failure::Client)))),
            };
            let Ok(data) = data else { continue };
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            let Some(left) = self.bytes_left.checked_sub(length) else {
                return Poll::Ready(Some(Err(self.progress.fail(Failure::TooLong))));
            };
            self.bytes_left = left;
            self.progress.took(length);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }
}

/// How far a streamed body has come.
struct Progress(Mutex<Step>);

struct Step {
    turn: Turn,
    since: Instant,
    /// How long the client has had the move in all, up to `since`, and how many bytes it sent.
    waited: Duration,
    bytes: u64,
    failure: Option<Failure>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Client,
    Upstream,
}

#[derive(Clone, Copy)]
enum Failure {
    Client,
    TooLong,
}

impl Progress {
    fn step(&self) -> std::sync::MutexGuard<'_, Step> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moved(&self) {
        self.took(0);
    }

    fn took(&self, bytes: u64) {
        let mut step = self.step();
        if step.turn == Turn::Client {
            let waited = step.since.elapsed();
            step.waited += waited;
        }
        step.bytes = step.bytes.saturating_add(bytes);
        step.turn = Turn::Upstream;
        step.since = Instant::now();
    }

    fn wait_for_client(&self) {
        let mut step = self.step();
        if step.turn == Turn::Upstream {
            step.turn = Turn::Client;
            step.since = Instant::now();
        }
    }

    fn fail(&self, failure: Failure) -> Stopped {
        self.step().failure = Some(failure);
        Stopped
    }
}

/// The clock of one request: from its sending to its answer's head.
pub(super) struct Watch {
    response_timeout: Duration,
    client_timeout: Duration,
    pace: Option<Pace>,
    progress: Option<Arc<Progress>>,
}

impl Watch {
    /// For a body that lies ready. Its sending counts as waiting for the answer.
    pub(super) fn whole(response_timeout: Duration) -> Self {
        Self { response_timeout, client_timeout: response_timeout, pace: None, progress: None }
    }

    /// For a body that is streamed: `client_timeout` is the longest wait for its next piece, `pace` how fast it must come on average,
    /// `response_timeout` the longest for the upstream to take a piece, and after the last one to answer.
    ///
    /// # Errors
    ///
    /// The body says that it is longer than `bytes_max`.
    pub(super) fn streamed(
        incoming: Incoming,
        bytes_max: u64,
        response_timeout: Duration,
        client_timeout: Duration,
        pace: Pace,
    ) -> Result<(Self, RequestBody), UpstreamError> {
        if incoming.is_end_stream() {
            return Ok((Self::whole(response_timeout), RequestBody::whole(Bytes::new())));
        }
        if incoming.size_hint().lower() > bytes_max {
            return Err(UpstreamError::RequestBodyTooLong);
        }
        let step =
            Step { turn: Turn::Upstream, since: Instant::now(), waited: Duration::ZERO, bytes: 0, failure: None };
        let progress = Arc::new(Progress(Mutex::new(step)));
        let body = StreamedBody { incoming, bytes_left: bytes_max, progress: Arc::clone(&progress) };
        Ok((
            Self { response_timeout, client_timeout, pace: Some(pace), progress: Some(progress) },
            RequestBody::Streamed(body),
        ))
    }

    /// Waits for the answer as long as the request makes progress.
    pub(super) async fn answer<F: Future>(&self, answer: F) -> Result<F::Output, UpstreamError> {
        let mut answer = pin!(answer);
        // A streamed body is looked at as soon as it may be too slow.
        let first = self.pace.map_or(self.response_timeout, |pace| pace.grace.min(self.response_timeout));
        let mut deadline = Instant::now() + first;
        loop {
            if let Ok(output) = timeout_at(deadline, answer.as_mut()).await {
                return Ok(output);
            }
            let Some(progress) = &self.progress else { return Err(UpstreamError::ResponseTimeout) };
            let step = progress.step();
            let (next, error) = match step.turn {
                Turn::Client => {
                    let at_pace = self.pace.map(|pace| pace.time_for(step.bytes).saturating_sub(step.waited));
                    let wait = at_pace.map_or(self.client_timeout, |time| time.min(self.client_timeout));
                    (step.since + wait, UpstreamError::ClientBodyTimeout)
                }
                Turn::Upstream => (step.since + self.response_timeout, UpstreamError::ResponseTimeout),
            };
            if next <= Instant::now() {
                return Err(error);
            }
            // Whose turn it is now it need not be when that is over.
            deadline = self.pace.map_or(next, |pace| next.min(Instant::now() + pace.grace));
        }
    }

    /// What stood behind hyper's error: the body, where it stopped the exchange itself.
    pub(super) fn blame(&self, error: hyper::Error) -> UpstreamError {
        let failure = self.progress.as_ref().and_then(|progress| progress.step().failure);
        match failure {
            Some(Failure::TooLong) => UpstreamError::RequestBodyTooLong,
            Some(Failure::Client) => UpstreamError::ClientBody,
            None if error.is_parse() => UpstreamError::Garbage(error),
            None => UpstreamError::Closed(error),
        }
    }
}
