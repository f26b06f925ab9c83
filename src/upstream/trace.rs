//! Trace context: the `traceparent` of W3C Trace Context, read strictly, continued or begun.

use std::fmt::Write as _;

use http::HeaderMap;
use http::header::HeaderName;
use uuid::Uuid;

pub(super) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Our span in a trace: what the upstream is told as its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
    start: Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// The client's trace goes on.
    Continued,
    Begun,
}

impl Traceparent {
    /// A span of ours in the trace that the client names, or in a new one where it names none, several or a malformed one.
    ///
    /// The decision's id is the new trace's id, so that a trace leads to its record and back; the random half of it is our span's.
    #[must_use]
    pub fn of_request(headers: &HeaderMap, decision: Uuid) -> Self {
        let (_, span_id) = decision.as_u64_pair();
        match parent(headers) {
            Some((trace_id, flags)) => Self { trace_id, span_id, flags, start: Start::Continued },
            None => Self { trace_id: decision.as_u128(), span_id, flags: 0, start: Start::Begun },
        }
    }

    /// The trace's id, for records.
    #[must_use]
    pub fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// Whether the client's `tracestate` belongs to this trace.
    pub(super) fn continues_the_clients(&self) -> bool {
        match self.start {
            Start::Continued => true,
            Start::Begun => false,
        }
    }

    /// The field's value.
    pub(super) fn to_text(self) -> String {
        let mut text = String::with_capacity(55);
        // Writing to a string cannot fail.
        let _ = write!(text, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags);
        text
    }
}

/// The only `traceparent`, if it is well-formed: its trace id, and of its flags those that have a meaning.
fn parent(headers: &HeaderMap) -> Option<(u128, u8)> {
    let mut values = headers.get_all(&TRACEPARENT).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let value = value.to_str().ok().filter(|value| value.len() == 55)?;
    let mut parts = value.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lower_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let well_formed = parts.next().is_none()
        && version == "00"
        && (trace.len(), span.len(), flags.len()) == (32, 16, 2)
        && [trace, span, flags].into_iter().all(lower_hex);
    if !well_formed {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|&id| id != 0)?;
    u64::from_str_radix(span, 16).ok().filter(|&id| id != 0)?;
    // Sampled, and random (Level 2); other bits must not be passed on.
    Some((trace, u8::from_str_radix(flags, 16).ok()? & 0b11))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECISION: Uuid = Uuid::from_u128(0x0193_6a5c_0c7a_7000_8123_4567_89ab_cdef);

    #[track_caller]
    fn check(incoming: &[&str], continued: bool) {
        let mut headers = HeaderMap::new();
        for value in incoming {
            headers.append(&TRACEPARENT, value.parse().unwrap());
        }
        let ours = Traceparent::of_request(&headers, DECISION);
        assert_eq!(ours.continues_the_clients(), continued, "{incoming:?}");
        let text = ours.to_text();
        assert_eq!(text.len(), 55);
        let trace_id = if continued { "4bf92f3577b34da6a3ce929d0e0e4736" } else { "01936a5c0c7a70008123456789abcdef" };
        assert_eq!(text, format!("00-{}-8123456789abcdef-{}", trace_id, if continued { "01" } else { "00" }));
    }

    #[test]
    fn a_well_formed_trace_is_continued_and_anything_else_begins_one() {
        check(&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], true);
        check(&[], false);
        check(&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"; 2], false);
        check(&["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"], false);
        check(&["01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], false);
        check(&["00-00000000000000000000000000000000-00f067aa0ba902b7-01"], false);
        check(&["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"], false);
        check(&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"], false);
        check(&["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"], false);
        check(&["00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"], false);
        check(&["00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01"], false);
    }

    #[test]
    fn only_flags_with_a_meaning_are_passed_on() {
        let mut headers = HeaderMap::new();
        headers.append(&TRACEPARENT, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff".parse().unwrap());
        assert!(Traceparent::of_request(&headers, DECISION).to_text().ends_with("-03"));
    }
}
