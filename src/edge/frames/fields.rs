//! Counts the fields of a header block without decoding it (RFC 7541 §5, §6).
//!
//! Where a block is malformed the count means nothing; hyper refuses such a block.

use super::walk::take;

/// The place in a header block, which may come in several frames and those in several pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FieldCounter {
    count: usize,
    has_pseudo_headers: bool,
    name: Name,
    state: State,
    /// Bytes of this frame before its part of the block: the length of the padding, and a priority.
    before: u8,
    /// Whether the first of them is the length of the padding.
    has_padding: bool,
    padding: u32,
    /// Bytes of this frame's payload that are still to come.
    frame_left: u32,
}

/// Where the first byte of a name is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Name {
    #[default]
    Elsewhere,
    Next,
    /// Next, in Huffman's code.
    NextCoded,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A field begins.
    #[default]
    Field,
    /// Within an index of several bytes; then these texts.
    Index(Texts),
    /// The length of a text begins.
    Length(Texts),
    /// Within a length of several bytes.
    LongLength { length: u64, shift: u32, texts: Texts },
    /// Within a text.
    Text { left: u64, texts: Texts },
}

/// How many texts of the field are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Texts {
    None,
    Value,
    NameAndValue,
}

impl Texts {
    fn less_one(self) -> Self {
        match self {
            Self::None | Self::Value => Self::None,
            Self::NameAndValue => Self::Value,
        }
    }

    /// What comes when no text is begun.
    fn next(self) -> State {
        match self {
            Self::None => State::Field,
            Self::Value | Self::NameAndValue => State::Length(self),
        }
    }
}

/// The static table begins with the pseudo-headers (RFC 7541, appendix A); with `:status`, which is none of requests.
const PSEUDO_INDEX_MAX: u8 = 14;
/// More bits than any length here may have.
const SHIFT_MAX: u32 = 56;

impl FieldCounter {
    /// A `HEADERS` frame begins.
    pub(super) fn begin(&mut self, length: u32, (is_padded, has_priority): (bool, bool)) {
        let before = u8::from(is_padded) + if has_priority { 5 } else { 0 };
        *self = Self { before, has_padding: is_padded, frame_left: length, ..Self::default() };
    }

    /// A `CONTINUATION` frame begins.
    pub(super) fn go_on(&mut self, length: u32) {
        self.before = 0;
        self.has_padding = false;
        self.padding = 0;
        self.frame_left = length;
    }

    /// Fields, and changes of the table's size, so far.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether one of them is a pseudo-header that the static table or its own letters name. What the peer put into the table before is not
    /// known here.
    pub(super) fn has_pseudo_headers(&self) -> bool {
        self.has_pseudo_headers
    }

    /// Some of the frame's payload.
    pub(super) fn feed(&mut self, mut payload: &[u8]) {
        while self.before > 0
            && let [byte] = take(&mut payload, 1)
        {
            if self.has_padding {
                self.padding = u32::from(*byte);
                self.has_padding = false;
            }
            self.before -= 1;
            self.frame_left = self.frame_left.saturating_sub(1);
        }
        let of_block = self.frame_left.saturating_sub(self.padding);
        self.frame_left = self.frame_left.saturating_sub(u32::try_from(payload.len()).unwrap_or(u32::MAX));
        let mut block = take(&mut payload, usize::try_from(of_block).unwrap_or(usize::MAX));
        loop {
            if let State::Text { left, texts } = self.state {
                let text = take(&mut block, usize::try_from(left).unwrap_or(usize::MAX));
                let here = text.len() as u64;
                if let Some(first) = text.first() {
                    self.has_pseudo_headers |= match std::mem::take(&mut self.name) {
                        Name::Elsewhere => false,
                        Name::Next => *first == b':',
                        // A colon is these seven bits (RFC 7541, appendix B).
                        Name::NextCoded => *first >> 1 == 0b101_1100,
                    };
                }
                self.state = if left == here { texts.next() } else { State::Text { left: left - here, texts } };
            }
            let [byte] = take(&mut block, 1) else { return };
            self.state = self.step(*byte);
        }
    }

    fn step(&mut self, byte: u8) -> State {
        match self.state {
            State::Field => {
                self.count += 1;
                // The highest bits say what it is, the others begin an index; without one a name follows.
                let (mask, texts) = match byte.leading_zeros() {
                    0 => (0x7f, Texts::None),
                    1 => (0x3f, Texts::Value),
                    2 => (0x1f, Texts::None),
                    _ => (0x0f, Texts::Value),
                };
                let index = byte & mask;
                self.has_pseudo_headers |= (1..=PSEUDO_INDEX_MAX).contains(&index) && byte >> 5 != 1;
                match index {
                    0 if texts == Texts::Value => Texts::NameAndValue.next(),
                    index if index == mask => State::Index(texts),
                    _ => texts.next(),
                }
            }
            State::Index(texts) if byte & 0x80 != 0 => State::Index(texts),
            State::Index(texts) => texts.next(),
            State::Length(texts) => {
                self.name = match (texts, byte & 0x80) {
                    (Texts::NameAndValue, 0) => Name::Next,
                    (Texts::NameAndValue, _) => Name::NextCoded,
                    (Texts::None | Texts::Value, _) => Name::Elsewhere,
                };
                match byte & 0x7f {
                    0x7f => State::LongLength { length: 0x7f, shift: 0, texts },
                    length => State::Text { left: u64::from(length), texts: texts.less_one() },
                }
            }
            State::LongLength { length, shift, texts } => {
                let length = length.saturating_add(u64::from(byte & 0x7f) << shift.min(SHIFT_MAX));
                if byte & 0x80 != 0 {
                    State::LongLength { length, shift: shift.saturating_add(7), texts }
                } else {
                    State::Text { left: length, texts: texts.less_one() }
                }
            }
            State::Text { .. } => State::Field,
        }
    }
}
