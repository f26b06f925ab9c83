//! The body of an upstream's answer, relayed as it comes, and what is learned from it on the way.
//!
//! A copy is read, up to a limit. The last piece waits until what it teaches is remembered, so that the client's next request finds that;
//! nothing else waits, and nothing of the answer is changed.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::timeout;

use super::lesson::{ANSWER_BYTES_MAX, Lesson};
use crate::clock;
use crate::state::Store;
use crate::upstream::{ResponseBodyError, UpstreamBody};

/// The longest time that the end of an answer waits for the state.
const LEARNING_TIMEOUT: Duration = Duration::from_millis(250);

/// An upstream's answer, to which somebody may listen.
pub struct TaughtBody {
    body: UpstreamBody,
    learning: Learning,
}

enum Learning {
    No,
    Listens(Box<Listening>),
    /// What was heard is being remembered; the last piece, if it has come, goes on afterwards.
    Remembers(Box<Remembering>),
}

struct Listening {
    lesson: Lesson,
    headers: HeaderMap,
    heard: Vec<u8>,
    state: Arc<dyn Store>,
}

struct Remembering {
    /// The lock is never waited for: a body must be one that could be shared, and a future need not be.
    learned: Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>,
    last: Option<Frame<Bytes>>,
}

impl TaughtBody {
    /// An answer to which nobody listens.
    pub fn unheard(response: Response<UpstreamBody>) -> Response<Self> {
        response.map(|body| Self { body, learning: Learning::No })
    }

    /// An answer that teaches `lesson`, where it can.
    pub fn heard(response: Response<UpstreamBody>, lesson: Lesson, state: &Arc<dyn Store>) -> Response<Self> {
        let says_something = !response.body().is_end_stream();
        if !says_something || !Lesson::can_be_read(response.status(), response.headers()) {
            return Self::unheard(response);
        }
        let headers = response.headers().clone();
        let listening = Listening { lesson, headers, heard: Vec::new(), state: Arc::clone(state) };
        response.map(|body| Self { body, learning: Learning::Listens(Box::new(listening)) })
    }
}

impl Listening {
    /// Whether it is still worth listening.
    fn hear(&mut self, piece: &[u8]) -> bool {
        let fits = self.heard.len() + piece.len() <= ANSWER_BYTES_MAX;
        if fits {
            self.heard.extend_from_slice(piece);
        }
        fits
    }

    fn remember(self, last: Option<Frame<Bytes>>) -> Learning {
        let Self { lesson, headers, heard, state } = self;
        let learned = lesson.learn(headers, heard, state, clock::now_seconds());
        // Too late is as well: the next answer says it again, and until then the session is nobody's.
        let learned = Box::pin(async { timeout(LEARNING_TIMEOUT, learned).await.unwrap_or_default() });
        Learning::Remembers(Box::new(Remembering { learned: Mutex::new(learned), last }))
    }
}

impl Body for TaughtBody {
    type Data = Bytes;
    type Error = ResponseBodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        let this = self.get_mut();
        loop {
            match &mut this.learning {
                Learning::No => return Pin::new(&mut this.body).poll_frame(cx),
                Learning::Remembers(remembering) => {
                    let learned = remembering.learned.get_mut().unwrap_or_else(PoisonError::into_inner);
                    ready!(learned.as_mut().poll(cx));
                    let last = remembering.last.take();
                    this.learning = Learning::No;
                    return Poll::Ready(last.map(Ok));
                }
                Learning::Listens(listening) => match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        let goes_on = frame.data_ref().is_none_or(|piece| listening.hear(piece));
                        if !goes_on {
                            this.learning = Learning::No;
                        } else if this.body.is_end_stream() {
                            this.remember(Some(frame));
                            continue;
                        }
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    None => this.remember(None),
                    Some(Err(error)) => {
                        // Half an answer says nothing.
                        this.learning = Learning::No;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.learning {
            Learning::No => self.body.is_end_stream(),
            Learning::Listens(_) | Learning::Remembers(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        let waits = match &self.learning {
            Learning::Remembers(remembering) => {
                remembering.last.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len) as u64
            }
            Learning::No | Learning::Listens(_) => 0,
        };
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(waits));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(waits));
        }
        whole
    }
}

impl TaughtBody {
    fn remember(&mut self, last: Option<Frame<Bytes>>) {
        if let Learning::Listens(listening) = std::mem::replace(&mut self.learning, Learning::No) {
            self.learning = listening.remember(last);
        }
    }
}
