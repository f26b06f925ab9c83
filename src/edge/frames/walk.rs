//! From frame to frame through a stream of bytes (RFC 9113 §4.1).

/// The head of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Of the payload, in bytes.
    pub length: u32,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

/// A piece of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'b> {
    Head(Head),
    /// Some of the last head's payload.
    Payload(&'b [u8]),
}

/// The place in a stream of frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    /// Of the client's preface, which nobody looks at here.
    preface_left: usize,
    head: [u8; HEAD_BYTES],
    head_have: usize,
    payload_left: u32,
}

/// Of a frame's head.
pub(super) const HEAD_BYTES: usize = 9;
/// `PRI * HTTP/2.0` and so on (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

impl Walk {
    /// The way through what a client sends.
    #[must_use]
    pub fn behind_preface() -> Self {
        Self { preface_left: PREFACE_BYTES, ..Self::default() }
    }

    /// Whether the next byte is the first of a frame.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.preface_left == 0 && self.head_have == 0 && self.payload_left == 0
    }

    /// The next piece of `bytes`, which is taken off them; none at their end.
    pub fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> Option<Part<'b>> {
        self.preface_left -= take(bytes, self.preface_left).len();
        if self.payload_left > 0 {
            let payload = take(bytes, usize::try_from(self.payload_left).unwrap_or(usize::MAX));
            self.payload_left -= u32::try_from(payload.len()).unwrap_or(self.payload_left);
            return (!payload.is_empty()).then_some(Part::Payload(payload));
        }
        let piece = take(bytes, HEAD_BYTES - self.head_have);
        for (place, byte) in self.head.iter_mut().skip(self.head_have).zip(piece) {
            *place = *byte;
        }
        self.head_have += piece.len();
        if self.head_have < HEAD_BYTES {
            return None;
        }
        self.head_have = 0;
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = self.head;
        let length = u32::from_be_bytes([0, l2, l1, l0]);
        self.payload_left = length;
        // The first bit of the stream is reserved.
        Some(Part::Head(Head { length, kind, flags, stream: u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]) }))
    }
}

/// Takes up to `count` bytes off the front.
pub(super) fn take<'b>(bytes: &mut &'b [u8], count: usize) -> &'b [u8] {
    let (taken, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    taken
}
