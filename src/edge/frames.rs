//! Counts along with the frames of an HTTP/2 connection and stops where a peer sends more of a kind than anybody needs.
//!
//! hyper holds the sizes and the numbers of streams (RFC 9113 §5.1.2, §6.5.2). It does not count what is small and dear: frames that make us
//! answer, forget, or look a thing up (§10.5), and header fields of one byte each, which grow to a hundred when they are decoded. Only
//! frame headers are read, and of header blocks where each field begins (RFC 7541 §6); nothing is decoded, copied or kept.
//!
//! It knows no socket and no clock: it is fed bytes and times.

mod fields;
mod walk;

use std::time::Duration;

use super::allowance::{Allowance, Spent};
use fields::FieldCounter;
pub use walk::{Head, Part, Walk};

/// What a peer sent too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Excess {
    /// Streams that the peer resets, or makes us reset ("rapid reset", CVE-2023-44487; "made you reset", CVE-2025-8671).
    #[error("too many streams were reset")]
    Resets,
    #[error("too many pings")]
    Pings,
    #[error("too many settings")]
    Settings,
    #[error("too many window updates")]
    WindowUpdates,
    /// Also those of padding alone (CVE-2019-9518).
    #[error("too many small or empty data frames")]
    SmallData,
    /// `PRIORITY`, frames of kinds that are unknown to us, and whatever else asks for nothing (CVE-2019-9513).
    #[error("too many frames that ask for nothing")]
    Idle,
    /// One head in too many frames (CVE-2024-27316).
    #[error("too many frames for one head")]
    Continuations,
    /// Fields of one byte each (CVE-2026-49975).
    #[error("far too many fields in one head")]
    Fields,
    #[error("a head far too long")]
    HeadBytes,
    /// A second head within a request (RFC 9113 §8.1), which hyper would take for headers behind the body.
    #[error("pseudo-headers behind a body")]
    Trailers,
}

impl Excess {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 10] = [
        Self::Resets,
        Self::Pings,
        Self::Settings,
        Self::WindowUpdates,
        Self::SmallData,
        Self::Idle,
        Self::Continuations,
        Self::Fields,
        Self::HeadBytes,
        Self::Trailers,
    ];

    /// Its stable name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::Pings => "pings",
            Self::Settings => "settings",
            Self::WindowUpdates => "window_updates",
            Self::SmallData => "small_data",
            Self::Idle => "idle_frames",
            Self::Continuations => "continuations",
            Self::Fields => "header_fields",
            Self::HeadBytes => "header_bytes",
            Self::Trailers => "trailers",
        }
    }

    /// What the peer is told (RFC 9113 §7).
    fn code(self) -> u32 {
        match self {
            Self::Trailers => PROTOCOL_ERROR,
            Self::Resets
            | Self::Pings
            | Self::Settings
            | Self::WindowUpdates
            | Self::SmallData
            | Self::Idle
            | Self::Continuations
            | Self::Fields
            | Self::HeadBytes => ENHANCE_YOUR_CALM,
        }
    }
}

/// A browser that leaves a page aborts all that is under way, at most `http2_streams_max`; three pages in a row do no harm.
pub const RESETS: Allowance = Allowance { at_once: 300, per_second: 5 };
/// The same for all connections of one address, behind which there may be an office.
pub const RESETS_OF_ADDRESS: Allowance = Allowance { at_once: 1_000, per_second: 20 };
/// The same for a connection of a trusted proxy, on which a hundred browsers leave their pages. What each of its clients leaves is counted for
/// that client, see [`super::at_once`].
pub const RESETS_OF_PROXY: Allowance = Allowance { at_once: 30_000, per_second: 500 };
/// Browsers send one every few seconds, libraries that measure the way one for each answer.
pub const PINGS: Allowance = Allowance { at_once: 100, per_second: 10 };
/// Once at the beginning, hardly ever again.
pub const SETTINGS: Allowance = Allowance { at_once: 20, per_second: 1 };
/// Two for each piece that was read, see [`DATA_BYTES_PER_WINDOW_UPDATE`]; the rest is for streams that were never read from.
pub const WINDOW_UPDATES: Allowance = Allowance { at_once: 1_000, per_second: 50 };
/// For so many bytes of answers a peer may send one window update more.
pub const DATA_BYTES_PER_WINDOW_UPDATE: u64 = 256;
/// Data frames below [`SMALL_DATA_BYTES`] that do not end their stream.
pub const SMALL_DATA: Allowance = Allowance { at_once: 500, per_second: 50 };
/// Fewer bytes cost us more to keep book of than to keep.
pub const SMALL_DATA_BYTES: u32 = 256;
/// Firefox described a tree of priorities with six frames and one more for each request; Chrome changes a priority when an image comes into sight.
pub const IDLE: Allowance = Allowance { at_once: 500, per_second: 50 };
/// Frames that continue one head.
pub const CONTINUATIONS_MAX: u32 = 16;
/// Up to so many times the limit of a head a request gets its 431; beyond that the connection ends, before anything is decoded.
pub const HEAD_EXCESS_FACTOR: usize = 2;

/// The most bytes that the table of header fields grows to (RFC 7541 §4.2), and so the most that one indexed field stands for.
pub const HEADER_TABLE_BYTES: u32 = 4096;
/// What each field counts for beside its bytes (RFC 9113 §6.5.2).
pub const FIELD_OVERHEAD_BYTES: usize = 32;

/// What the longest head grows to that [`FrameMeter`] lets through: fields of the table, and text in the shortest code, five bits to a byte.
///
/// hyper refuses longer ones with an answer that is not ours, so it must never see one.
#[must_use]
pub fn head_list_bytes_max(head_bytes_max: usize, headers_max: usize) -> u32 {
    let fields = (headers_max + PSEUDO_HEADERS_MAX) * HEAD_EXCESS_FACTOR;
    let of_table = fields.saturating_mul(HEADER_TABLE_BYTES as usize + FIELD_OVERHEAD_BYTES);
    let of_text = head_bytes_max.saturating_mul(HEAD_EXCESS_FACTOR).saturating_mul(8) / 5;
    u32::try_from(of_table.saturating_add(of_text)).unwrap_or(u32::MAX)
}

/// `:method`, `:scheme`, `:authority`, `:path` and `:protocol`, which are no headers.
const PSEUDO_HEADERS_MAX: usize = 5;

/// The kinds of frames that we look at (RFC 9113 §6).
mod kind {
    pub const DATA: u8 = 0x0;
    pub const HEADERS: u8 = 0x1;
    pub const RST_STREAM: u8 = 0x3;
    pub const SETTINGS: u8 = 0x4;
    pub const PING: u8 = 0x6;
    pub const WINDOW_UPDATE: u8 = 0x8;
    pub const CONTINUATION: u8 = 0x9;
}

/// `ACK` of `SETTINGS` and `PING`; `END_STREAM` of `DATA` and `HEADERS`.
const FIRST_FLAG: u8 = 0x1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// What one peer sends, and what we send it.
#[derive(Debug)]
pub struct FrameMeter {
    incoming: Walk,
    outgoing: Walk,
    /// Of the frame whose payload comes.
    incoming_head: Head,
    outgoing_head: Head,
    outgoing_code: Code,
    fields: FieldCounter,
    continuations: u32,
    head_bytes: usize,
    head_bytes_max: usize,
    fields_max: usize,
    last_stream: u32,
    /// Whether the header block that comes is one behind a body.
    is_trailers: bool,
    data_bytes: u64,
    resets_allowed: Allowance,
    resets: Spent,
    pings: Spent,
    settings: Spent,
    window_updates: Spent,
    small_data: Spent,
    idle: Spent,
}

/// The error code of a `RST_STREAM`, byte by byte.
#[derive(Clone, Copy, Debug, Default)]
struct Code {
    value: u32,
    bytes: u8,
}

/// What came of some bytes beside the [`Excess`]: how many streams were reset, which is counted by address too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metered {
    pub resets: u32,
}

impl FrameMeter {
    /// A meter at the beginning of a connection, which ends where a head exceeds these limits by [`HEAD_EXCESS_FACTOR`].
    #[must_use]
    pub fn new(head_bytes_max: usize, headers_max: usize) -> Self {
        Self {
            incoming: Walk::behind_preface(),
            outgoing: Walk::default(),
            incoming_head: Head::default(),
            outgoing_head: Head::default(),
            outgoing_code: Code::default(),
            fields: FieldCounter::default(),
            continuations: 0,
            head_bytes: 0,
            head_bytes_max: head_bytes_max.saturating_mul(HEAD_EXCESS_FACTOR),
            fields_max: (headers_max + PSEUDO_HEADERS_MAX).saturating_mul(HEAD_EXCESS_FACTOR),
            last_stream: 0,
            is_trailers: false,
            data_bytes: 0,
            resets_allowed: RESETS,
            resets: Spent::default(),
            pings: Spent::default(),
            settings: Spent::default(),
            window_updates: Spent::default(),
            small_data: Spent::default(),
            idle: Spent::default(),
        }
    }

    /// The same for a peer that may reset so many streams.
    #[must_use]
    pub fn allowing_resets(self, resets_allowed: Allowance) -> Self {
        Self { resets_allowed, ..self }
    }

    /// The last stream that the peer opened.
    #[must_use]
    pub fn last_stream(&self) -> u32 {
        self.last_stream
    }

    /// Whether a frame of ours could stand next.
    #[must_use]
    pub fn may_write_frame(&self) -> bool {
        self.outgoing.is_between_frames()
    }

    /// The peer sent these bytes, at `now`.
    ///
    /// # Errors
    ///
    /// It sent too much: these bytes must reach nobody.
    pub fn received(&mut self, mut bytes: &[u8], now: Duration) -> Result<Metered, Excess> {
        let mut metered = Metered::default();
        while let Some(part) = self.incoming.next(&mut bytes) {
            match part {
                Part::Head(head) => self.frame_begins(head, now, &mut metered)?,
                Part::Payload(payload) => self.payload(payload)?,
            }
        }
        Ok(metered)
    }

    fn frame_begins(&mut self, head: Head, now: Duration, metered: &mut Metered) -> Result<(), Excess> {
        self.incoming_head = head;
        let is_flagged = head.flags & FIRST_FLAG != 0;
        match head.kind {
            kind::HEADERS => {
                self.is_trailers = head.stream <= self.last_stream;
                self.last_stream = self.last_stream.max(head.stream);
                let padding_and_priority = (head.flags & PADDED != 0, head.flags & PRIORITY != 0);
                self.fields.begin(head.length, padding_and_priority);
                self.continuations = 0;
                self.head_bytes = 0;
                Ok(())
            }
            kind::CONTINUATION => {
                self.continuations += 1;
                self.fields.go_on(head.length);
                if self.continuations > CONTINUATIONS_MAX { Err(Excess::Continuations) } else { Ok(()) }
            }
            kind::DATA if is_flagged || head.length >= SMALL_DATA_BYTES && head.flags & PADDED == 0 => Ok(()),
            // What is padded is mostly padding, or may be.
            kind::DATA => self.small_data.spend(SMALL_DATA, now).map_err(|_| Excess::SmallData),
            kind::RST_STREAM => {
                metered.resets += 1;
                self.resets.spend(self.resets_allowed, now).map_err(|_| Excess::Resets)
            }
            kind::PING if is_flagged => self.idle.spend(IDLE, now).map_err(|_| Excess::Idle),
            kind::PING => self.pings.spend(PINGS, now).map_err(|_| Excess::Pings),
            kind::SETTINGS if is_flagged => self.idle.spend(IDLE, now).map_err(|_| Excess::Idle),
            kind::SETTINGS => self.settings.spend(SETTINGS, now).map_err(|_| Excess::Settings),
            kind::WINDOW_UPDATE => {
                self.window_updates.give_back(self.data_bytes / DATA_BYTES_PER_WINDOW_UPDATE);
                self.data_bytes %= DATA_BYTES_PER_WINDOW_UPDATE;
                self.window_updates.spend(WINDOW_UPDATES, now).map_err(|_| Excess::WindowUpdates)
            }
            _ => self.idle.spend(IDLE, now).map_err(|_| Excess::Idle),
        }
    }

    fn payload(&mut self, payload: &[u8]) -> Result<(), Excess> {
        if !matches!(self.incoming_head.kind, kind::HEADERS | kind::CONTINUATION) {
            return Ok(());
        }
        self.head_bytes += payload.len();
        if self.head_bytes > self.head_bytes_max {
            return Err(Excess::HeadBytes);
        }
        self.fields.feed(payload);
        if self.is_trailers && self.fields.has_pseudo_headers() {
            return Err(Excess::Trailers);
        }
        if self.fields.count() > self.fields_max { Err(Excess::Fields) } else { Ok(()) }
    }

    /// We sent the peer these bytes, at `now`.
    ///
    /// # Errors
    ///
    /// It made us reset too many streams.
    pub fn sent(&mut self, mut bytes: &[u8], now: Duration) -> Result<Metered, Excess> {
        let mut metered = Metered::default();
        while let Some(part) = self.outgoing.next(&mut bytes) {
            match part {
                Part::Head(head) => {
                    self.outgoing_head = head;
                    self.outgoing_code = Code::default();
                    if head.kind == kind::DATA {
                        self.data_bytes = self.data_bytes.saturating_add(u64::from(head.length));
                    }
                }
                Part::Payload(payload) if self.outgoing_head.kind == kind::RST_STREAM => {
                    for byte in payload {
                        self.outgoing_code.value = (self.outgoing_code.value << 8) | u32::from(*byte);
                        self.outgoing_code.bytes += 1;
                    }
                    // That we want no more of a body whose request is answered is nobody's fault (RFC 9113 §8.1).
                    if self.outgoing_code.bytes == 4 && self.outgoing_code.value != NO_ERROR {
                        metered.resets += 1;
                        self.resets.spend(self.resets_allowed, now).map_err(|_| Excess::Resets)?;
                    }
                }
                Part::Payload(_) => {}
            }
        }
        Ok(metered)
    }
}

/// RFC 9113 §7.
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// The last words to a peer that sent too much: `GOAWAY` (RFC 9113 §6.8). Streams above `last_stream` were not looked at.
#[must_use]
pub fn goaway(last_stream: u32, excess: Excess) -> [u8; 17] {
    let mut frame = [0, 0, 8, 0x7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let words = last_stream.to_be_bytes().into_iter().chain(excess.code().to_be_bytes());
    for (place, byte) in frame.iter_mut().skip(walk::HEAD_BYTES).zip(words) {
        *place = byte;
    }
    frame
}

#[cfg(test)]
mod tests;
