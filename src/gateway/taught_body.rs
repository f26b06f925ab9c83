//! The body of an upstream's answer, relayed as it comes, and what is learned from it on the way.
//!
//! A copy is read, up to a limit. The last piece waits until what it teaches is remembered, so that the client's next request finds that;
//! nothing else waits, and nothing of the answer is changed.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::timeout;

use super::lesson::{ANSWER_BYTES_MAX, Lesson};
use crate::clock;
use crate::state::Store;
use crate::upstream::UpstreamBody;

/// The longest time that the end of an answer waits for the state.
const LEARNING_TIMEOUT: Duration = Duration::from_millis(250);

/// An upstream's answer, to which somebody may listen.
pub struct TaughtBody<B = UpstreamBody> {
    body: B,
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
    /// Those that say how the answer is coded.
    headers: HeaderMap,
    heard: Vec<u8>,
    state: Arc<dyn Store>,
}

struct Remembering {
    /// The lock is never waited for: a body must be one that could be shared, and a future need not be.
    learned: Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>,
    last: Option<Frame<Bytes>>,
}

impl<B: Body<Data = Bytes> + Unpin> TaughtBody<B> {
    /// An answer to which nobody listens.
    pub fn unheard(response: Response<B>) -> Response<Self> {
        response.map(|body| Self { body, learning: Learning::No })
    }

    /// An answer that teaches `lesson`, where it can.
    pub fn heard(response: Response<B>, lesson: Lesson, state: &Arc<dyn Store>) -> Response<Self> {
        let says_something = !response.body().is_end_stream();
        if !says_something || !Lesson::can_be_read(response.status(), response.headers()) {
            return Self::unheard(response);
        }
        let codings = response.headers().get_all(CONTENT_ENCODING).iter().cloned();
        let headers = codings.map(|coding| (CONTENT_ENCODING, coding)).collect();
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

impl<B: Body<Data = Bytes> + Unpin> Body for TaughtBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
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

impl<B> TaughtBody<B> {
    fn remember(&mut self, last: Option<Frame<Bytes>>) {
        if let Learning::Listens(listening) = std::mem::replace(&mut self.learning, Learning::No) {
            self.learning = listening.remember(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;

    use http_body_util::BodyExt;
    use tokio::time::Instant;

    use super::super::lesson::Teaching;
    use super::*;
    use crate::identity::{Holder, Sessions};
    use crate::policy::{Limits, Source};
    use crate::state::testing::Always;
    use crate::state::{Memory, MemoryLimits};

    /// A body in pieces that says at its last one that it has ended, or not.
    struct Pieces {
        left: VecDeque<&'static str>,
        tells_its_end: bool,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.left.pop_front().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))))
        }

        fn is_end_stream(&self) -> bool {
            self.tells_its_end && self.left.is_empty()
        }
    }

    const ANSWER: [&str; 3] = [r#"{"user":{"role":"#, r#""contact_role"},"#, r#""anonymous_session":"s"}"#];

    fn answer(tells_its_end: bool, state: &Arc<dyn Store>) -> TaughtBody<Pieces> {
        let (_, text) = crate::profile::shipped()[0];
        let mut findings = crate::policy::Findings::default();
        let profile = crate::policy::parse_profile(&Source::new("intercom-web.toml", text), &mut findings);
        let profile = Arc::new(profile.expect("a profile"));
        let lesson = Lesson::new("acme", &profile, &[], Teaching::Role, &Limits::default());
        let response = Response::builder().header("content-type", "application/json");
        let response = response.body(Pieces { left: ANSWER.into(), tells_its_end }).expect("a response");
        TaughtBody::heard(response, lesson, state).into_body()
    }

    #[tokio::test]
    async fn a_state_that_is_silent_holds_the_end_of_an_answer_for_a_moment_and_nothing_else() {
        for tells_its_end in [true, false] {
            let state: Arc<dyn Store> = Arc::new(Always::Silent);
            let mut body = answer(tells_its_end, &state);
            let began = Instant::now();
            for piece in &ANSWER[..2] {
                let frame = body.frame().await.expect("a piece").expect("never fails");
                assert_eq!(frame.into_data().expect("data"), piece.as_bytes());
                assert!(began.elapsed() < LEARNING_TIMEOUT);
            }
            let rest = body.collect().await.expect("never fails").to_bytes();
            assert_eq!(rest, ANSWER[2].as_bytes());
            let waited = began.elapsed();
            assert!(waited >= LEARNING_TIMEOUT && waited < LEARNING_TIMEOUT * 20, "{waited:?}");
        }
    }

    #[tokio::test]
    async fn what_an_answer_teaches_is_known_before_its_end() {
        for tells_its_end in [true, false] {
            let state: Arc<dyn Store> = Arc::new(Memory::new(MemoryLimits::default()));
            let mut body = answer(tells_its_end, &state);
            let sessions = Sessions::new(&*state, "acme", clock::now_seconds());
            for piece in &ANSWER[..2] {
                assert_eq!(
                    body.frame().await.expect("a piece").expect("never fails").into_data().expect("data"),
                    piece
                );
                assert_eq!(sessions.holder("s").await, Ok(Holder::Unknown));
                assert!(!body.is_end_stream());
            }
            let last = body.frame().await.expect("a piece").expect("never fails");
            assert_eq!(last.into_data().expect("data"), ANSWER[2]);
            // One that does not tell its end goes on, and ends afterwards.
            assert_eq!(body.is_end_stream(), tells_its_end);
            assert!(tells_its_end || body.frame().await.is_none());
            assert_eq!(sessions.holder("s").await, Ok(Holder::Lead));
        }
    }
}
