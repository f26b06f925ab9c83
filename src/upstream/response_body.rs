//! The body of an upstream's answer, streamed on as it comes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};

use super::error::ResponseBodyError;
use super::request_body::RequestBody;
use super::{http1, http2};

/// The rest of an upstream's answer. Trailers end here; an answer that breaks off is an error, never a short body.
///
/// Dropped before its end, it closes the connection or resets the stream that it came on.
pub struct UpstreamBody {
    incoming: Incoming,
    /// `None` once the answer has ended.
    source: Option<Source>,
    idle_timeout: Duration,
    /// Made when the upstream is first waited for: most answers arrive in one piece with their head.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Since when the upstream is waited for.
    waiting: Waiting,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    ForClient,
    ForUpstream,
}

/// Where an answer comes from, and the permit that it holds until its end.
pub(super) enum Source {
    Http1 {
        link: http1::Link,
        pool: Arc<http1::Pool>,
        permit: OwnedSemaphorePermit,
    },
    Http2 {
        place: http2::StreamPlace,
        permit: OwnedSemaphorePermit,
    },
    /// A connection with a task, used once.
    Once {
        sender: SendRequest<RequestBody>,
        permit: OwnedSemaphorePermit,
    },
}

impl Source {
    fn drive(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Http1 { link, .. } => link.drive(cx),
            Self::Http2 { .. } | Self::Once { .. } => {}
        }
    }

    /// The answer was read to its end: the connection is free for the next request.
    fn release(self) {
        match self {
            Self::Http1 { link, pool, permit } => {
                pool.put(link);
                drop(permit);
            }
            Self::Http2 { place, permit } => drop((place, permit)),
            Self::Once { sender, permit } => drop((sender, permit)),
        }
    }
}

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, source: Source, idle_timeout: Duration) -> Self {
        let mut body = Self { incoming, source: Some(source), idle_timeout, alarm: None, waiting: Waiting::ForClient };
        body.release_at_end();
        body
    }

    // hyper stops polling a body of known length at its last byte, so the end must be noticed there.
    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(source) = self.source.take() {
            source.release();
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = || Instant::now() + self.idle_timeout;
        let alarm = match (&mut self.alarm, self.waiting) {
            (Some(alarm), Waiting::ForUpstream) => alarm,
            (Some(alarm), Waiting::ForClient) => {
                alarm.as_mut().reset(deadline());
                alarm
            }
            (none @ None, Waiting::ForUpstream | Waiting::ForClient) => none.insert(Box::pin(sleep_until(deadline()))),
        };
        self.waiting = Waiting::ForUpstream;
        alarm.as_mut().poll(cx)
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = ResponseBodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        let body = self.get_mut();
        loop {
            let mut polled = Pin::new(&mut body.incoming).poll_frame(cx);
            if polled.is_pending() {
                if let Some(source) = &mut body.source {
                    source.drive(cx);
                }
                polled = Pin::new(&mut body.incoming).poll_frame(cx);
            }
            match polled {
                Poll::Ready(Some(Ok(frame))) => {
                    body.waiting = Waiting::ForClient;
                    let Ok(data) = frame.into_data() else { continue };
                    body.release_at_end();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Poll::Ready(Some(Err(error))) => {
                    body.source = None;
                    return Poll::Ready(Some(Err(ResponseBodyError::Broken(error))));
                }
                Poll::Ready(None) => {
                    body.release();
                    return Poll::Ready(None);
                }
                Poll::Pending if body.poll_idle(cx).is_ready() => {
                    body.source = None;
                    return Poll::Ready(Some(Err(ResponseBodyError::Idle)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
