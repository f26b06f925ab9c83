//! Streams of HTTP/2 whose answer the client does not take.
//!
//! A connection on which anything moves is not idle, so a stream that does not move would stand for as long as its client likes: with a
//! window of zero, or by leaving one answer unread among many. Such a stream is reset, and the others go on.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Whose move it is in one exchange.
#[derive(Debug)]
pub struct Moves {
    began: Instant,
    /// Since when the client has the move, in milliseconds from `began`; [`OURS`] while it is ours.
    client_since: AtomicU64,
}

const OURS: u64 = u64::MAX;

impl Moves {
    /// An exchange begins with our move.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), client_since: AtomicU64::new(OURS) })
    }

    /// The move is ours, or the upstream's.
    pub fn is_ours(&self) {
        self.client_since.store(OURS, Ordering::Release);
    }

    /// From now on the client has the move: to take what lies ready.
    pub fn is_the_clients(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(OURS - 1);
        self.client_since.store(now, Ordering::Release);
    }

    fn client_since(&self) -> Option<Instant> {
        match self.client_since.load(Ordering::Acquire) {
            OURS => None,
            since => Some(self.began + Duration::from_millis(since)),
        }
    }
}

/// Runs what serves a stream until its end, or until the client has had the move for so long. Dropped, it resets the stream.
pub async fn until_stalled<F: Future>(serving: F, moves: Arc<Moves>, stall_timeout: Duration) {
    let mut serving = pin!(serving);
    // Most streams never wait for their client.
    let mut timer = None;
    poll_fn(|context| {
        if serving.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        let Some(since) = moves.client_since() else { return Poll::Pending };
        let due = since + stall_timeout;
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(context)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_client_that_does_not_move_ends_its_stream() {
        let stalls = Duration::from_secs(9);
        let moves = Moves::new();
        let serve = || until_stalled(std::future::pending::<()>(), Arc::clone(&moves), stalls);
        assert!(timeout(Duration::from_secs(600), serve()).await.is_err(), "the move is ours");
        moves.is_the_clients();
        assert!(timeout(Duration::from_secs(8), serve()).await.is_err(), "it still has time");
        assert!(timeout(Duration::from_secs(2), serve()).await.is_ok(), "it is reset");
        moves.is_the_clients();
        assert!(timeout(Duration::from_secs(8), serve()).await.is_err(), "it moved");
        moves.is_ours();
        assert!(timeout(Duration::from_secs(600), serve()).await.is_err(), "the move is ours again");
        until_stalled(std::future::ready(()), moves, stalls).await;
    }
}
