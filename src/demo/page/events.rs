//! The stream of outcomes to the open pages (server-sent events).
//!
//! It must not know what an outcome is.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc};
use tokio_util::sync::CancellationToken;

const EVENT_STREAMS_MAX: usize = 16;
/// Outcomes that wait for one slow reader; then it misses some.
const EVENTS_QUEUED_MAX: usize = 32;
/// A comment line, so that a dead connection is noticed.
const EVENTS_HEARTBEAT: Duration = Duration::from_secs(15);

/// Where outcomes are announced, and pages listen.
pub(super) struct EventSource {
    news: broadcast::Sender<Arc<str>>,
    streams: Arc<Semaphore>,
}

impl Default for EventSource {
    fn default() -> Self {
        Self { news: broadcast::channel(EVENTS_QUEUED_MAX).0, streams: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)) }
    }
}

impl EventSource {
    /// Tells every open page.
    pub(super) fn announce(&self, outcome: &Value) {
        // Nobody need be looking.
        let _ = self.news.send(Arc::from(format!("event: outcome\ndata: {outcome}\n\n")));
    }

    /// A stream for one more page, until `stopping`; `None` where too many are open.
    pub(super) fn open(&self, stopping: CancellationToken) -> Option<Events> {
        let place = Arc::clone(&self.streams).try_acquire_owned().ok()?;
        let (queue, lines) = mpsc::channel(EVENTS_QUEUED_MAX);
        tokio::spawn(pass_on(self.news.subscribe(), queue, stopping, place));
        Some(Events { lines })
    }
}

/// From the broadcast to one page, until either end is gone.
async fn pass_on(
    mut news: broadcast::Receiver<Arc<str>>,
    queue: mpsc::Sender<Bytes>,
    stopping: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    let mut line = Bytes::from_static(b"retry: 2000\n\n");
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            sent = queue.send(line) => if sent.is_err() { return },
        }
        line = tokio::select! {
            () = stopping.cancelled() => return,
            () = queue.closed() => return,
            () = tokio::time::sleep(EVENTS_HEARTBEAT) => Bytes::from_static(b": still here\n\n"),
            received = news.recv() => match received {
                Ok(text) => Bytes::copy_from_slice(text.as_bytes()),
                Err(broadcast::error::RecvError::Lagged(_)) => Bytes::from_static(b"event: missed\ndata: {}\n\n"),
                Err(broadcast::error::RecvError::Closed) => return,
            },
        };
    }
}

/// Server-sent events as a body.
pub(super) struct Events {
    lines: mpsc::Receiver<Bytes>,
}

impl Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.lines.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn open_pages_are_bounded_and_closed_ones_make_room() {
        let source = EventSource::default();
        let stopping = CancellationToken::new();
        let mut open: Vec<Events> =
            std::iter::from_fn(|| source.open(stopping.clone())).take(EVENT_STREAMS_MAX + 1).collect();
        assert_eq!(open.len(), EVENT_STREAMS_MAX);
        drop(open.pop());
        while source.streams.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(source.open(stopping).is_some());
    }
}
