//! Reads a request's body whole, within its limits.
//!
//! The first poll of a body sends `100 Continue`, so whoever wants to refuse a request does so before calling this.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::body::BoxError;
use super::room::{Held, NoRoom};
use crate::policy::{Limits, Pace};

/// Why there is no body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// 413.
    #[error("the body is longer than the limit")]
    TooLarge,
    /// 408.
    #[error("the body did not come in time")]
    Timeout,
    /// Nobody is left to answer.
    #[error("the client went away in the middle of the body")]
    ClientGone,
    /// 400: the chunks or the length do not add up.
    #[error("the body's framing is broken")]
    Malformed,
    /// 503: the bodies of others have taken all the room there is.
    #[error("there is no room for the rest of the body")]
    NoRoom,
}

impl From<NoRoom> for BodyError {
    fn from(_: NoRoom) -> Self {
        BodyError::NoRoom
    }
}

/// Reads `body`, of which the head said that it has `content_length` bytes, into the room that is `held` for it. Trailers are dropped.
///
/// # Errors
///
/// A [`BodyError`]; [`BodyError::TooLarge`] before a byte is read, where the head announced it.
pub async fn read_body(
    body: &mut Incoming,
    content_length: Option<u64>,
    limits: &Limits,
    held: &mut Held,
) -> Result<Bytes, BodyError> {
    read_at_most(body, content_length, limits.body_bytes_max, limits.body_timeout, limits.body_pace(), held).await
}

async fn read_at_most<B>(
    body: B,
    content_length: Option<u64>,
    bytes_max: usize,
    deadline: Duration,
    pace: Pace,
    held: &mut Held,
) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    if content_length.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > bytes_max)) {
        return Err(BodyError::TooLarge);
    }
    collect(body, bytes_max, deadline, pace, held).await
}

/// The most that is reserved because a client says so, before its bytes are here.
const RESERVE_BYTES_MAX: usize = 64 * 1024;

async fn collect<B>(
    mut body: B,
    bytes_max: usize,
    deadline: Duration,
    pace: Pace,
    held: &mut Held,
) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let began = Instant::now();
    let due = began + deadline;
    loop {
        let so_far = first.as_ref().map_or(0, Bytes::len).max(rest.len());
        // A stalled body never ends by itself; both times are counted from its beginning, so that a byte now and then does not help.
        let due = due.min(began + pace.time_for(so_far as u64));
        let frame = timeout_at(due, body.frame()).await.map_err(|_| BodyError::Timeout)?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|error| blame(&*error.into()))?.into_data() else { continue };
        if data.len() > bytes_max.saturating_sub(so_far) {
            return Err(BodyError::TooLarge);
        }
        held.cover(so_far + data.len())?;
        match &first {
            // A body of one piece, which most are, is not copied.
            None => first = Some(data),
            Some(first) => {
                if rest.is_empty() {
                    let to_come = body.size_hint().exact().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
                    rest.reserve(first.len() + data.len() + to_come.min(RESERVE_BYTES_MAX));
                    rest.extend_from_slice(first);
                }
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(if rest.is_empty() { first.unwrap_or_default() } else { rest.freeze() })
}

/// Who broke the body off: hyper's words are not enough, the input or output error below them is.
fn blame(error: &(dyn std::error::Error + 'static)) -> BodyError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
        {
            return BodyError::Malformed;
        }
        cause = error.source();
    }
    BodyError::ClientGone
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;

    use super::super::room::Room;
    use super::*;

    /// Gives its pieces, then what comes last.
    struct Pieces(Vec<&'static str>, Last);

    const PACE: Pace = Pace { bytes_per_second_min: 10, grace: Duration::from_secs(5) };

    /// A byte each second, for ever.
    struct Trickle(tokio::time::Interval);

    impl http_body::Body for Trickle {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            self.0.poll_tick(context).map(|_| Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_cut_however_long_it_may_take() {
        let began = Instant::now();
        let trickle = Trickle(tokio::time::interval(Duration::from_secs(1)));
        let read = read_at_most(trickle, None, 1024, Duration::from_secs(3600), PACE, &mut held()).await;
        assert!(matches!(read, Err(BodyError::Timeout)));
        // Six bytes have earned six tenths of a second beyond the grace.
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        let fast = Trickle(tokio::time::interval(Duration::from_millis(50)));
        let read = read_at_most(fast, None, 1024, Duration::from_secs(3600), PACE, &mut held()).await;
        assert!(matches!(read, Err(BodyError::TooLarge)), "at twenty bytes a second it comes whole");
    }

    #[derive(Clone, Copy)]
    enum Last {
        End,
        Stall,
        Error(io::ErrorKind),
    }

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            if !self.0.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.0.remove(0).as_bytes())))));
            }
            match self.1 {
                Last::End => Poll::Ready(None),
                Last::Stall => Poll::Pending,
                Last::Error(kind) => Poll::Ready(Some(Err(kind.into()))),
            }
        }
    }

    fn held() -> Held {
        Room::new().admit(IpAddr::from([192, 0, 2, 1]), None, 1024 * 1024).expect("room")
    }

    async fn read(pieces: &[&'static str], last: Last, announced: Option<u64>) -> Result<Bytes, BodyError> {
        let deadline = match last {
            Last::Stall => Duration::from_millis(20),
            Last::End | Last::Error(_) => Duration::from_secs(20),
        };
        read_at_most(Pieces(pieces.to_vec(), last), announced, 8, deadline, PACE, &mut held()).await
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        assert!(matches!(read(&[], Last::End, Some(0)).await, Ok(body) if body.is_empty()));
        assert!(matches!(read(&["12345678"], Last::End, None).await, Ok(body) if body == "12345678"));
        assert!(matches!(read(&["12", "34", "5678"], Last::End, Some(8)).await, Ok(body) if body == "12345678"));
        assert!(matches!(read(&["", "12", ""], Last::End, None).await, Ok(body) if body == "12"));
        assert!(matches!(read(&["123456789"], Last::End, None).await, Err(BodyError::TooLarge)));
        assert!(matches!(read(&["1234", "5678", "9"], Last::End, None).await, Err(BodyError::TooLarge)));
        assert!(matches!(read(&["1"], Last::Stall, Some(9)).await, Err(BodyError::TooLarge)));
        assert!(matches!(read(&[], Last::End, Some(u64::MAX)).await, Err(BodyError::TooLarge)));
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_told_from_one_that_breaks_off() {
        let gone = Last::Error(io::ErrorKind::UnexpectedEof);
        let broken = Last::Error(io::ErrorKind::InvalidInput);
        assert!(matches!(read(&["12"], Last::Stall, None).await, Err(BodyError::Timeout)));
        assert!(matches!(read(&["12"], gone, None).await, Err(BodyError::ClientGone)));
        assert!(matches!(read(&["12"], broken, None).await, Err(BodyError::Malformed)));
    }

    #[tokio::test]
    async fn a_body_of_one_piece_is_not_copied() {
        let piece = Bytes::from(vec![b'a'; 4]);
        let body = http_body_util::Full::new(piece.clone());
        let read = read_at_most(body, Some(4), 8, Duration::from_secs(20), PACE, &mut held()).await.expect("a body");
        assert_eq!(read.as_ptr(), piece.as_ptr());
    }
}
