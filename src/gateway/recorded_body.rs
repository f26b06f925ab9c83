//! The body of an answer, with the record of its request: the record is written when the last byte is on its way, or when it never will be.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::taught_body::TaughtBody;
use crate::audit::{Event, Outcome};
use crate::edge::at_once::Place;
use crate::edge::{Body, BoxError};
use crate::observe::InFlight;

/// Who made the body.
pub enum Source {
    Upstream(TaughtBody),
    Own(Body),
}

/// A body that ends its request's record.
pub struct RecordedBody {
    source: Source,
    bytes_out: u64,
    record: Option<(Event, Outcome)>,
    keeps: Keeps,
}

/// What a request holds until its answer has gone.
#[expect(dead_code, reason = "nobody reads them: they are held, and dropped with the answer")]
pub struct Keeps {
    pub in_flight: InFlight,
    /// What nobody read of it; see `Progress::unread`.
    pub unread: Option<Incoming>,
    pub place: Option<Place>,
}

/// The upstream's answer broke off after its head had gone to the client.
const BROKEN_OFF: &str = "upstream_broken_off";

impl RecordedBody {
    /// Ends `event` with `outcome` once the body has gone; with the client gone where it is dropped before.
    pub fn new(source: Source, event: Event, outcome: Outcome, mut keeps: Keeps) -> Self {
        if let Some(place) = &mut keeps.place {
            place.answer_begins();
        }
        let record = Some((event, outcome));
        let mut body = Self { source, bytes_out: 0, record, keeps };
        body.finish_at_end();
        body
    }

    // hyper does not poll a body that says it has ended, nor one of known length after its last byte.
    fn finish_at_end(&mut self) {
        if self.is_end_stream() {
            self.finish(None);
        }
    }

    fn finish(&mut self, instead: Option<&'static str>) {
        if let Some(place) = &mut self.keeps.place {
            place.answer_ends();
        }
        if let Some((mut event, outcome)) = self.record.take() {
            event.bytes_out(self.bytes_out);
            event.finish(Outcome { code: instead.unwrap_or(outcome.code), ..outcome });
        }
    }
}

impl HttpBody for RecordedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = match &mut self.source {
            Source::Upstream(body) => Pin::new(body).poll_frame(context).map_err(BoxError::from),
            Source::Own(body) => Pin::new(body).poll_frame(context),
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.bytes_out += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.finish_at_end();
            }
            Poll::Ready(Some(Err(_))) => self.finish(Some(BROKEN_OFF)),
            Poll::Ready(None) => self.finish(None),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Upstream(body) => body.is_end_stream(),
            Source::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Upstream(body) => body.size_hint(),
            Source::Own(body) => body.size_hint(),
        }
    }
}
