//! Everything that a peer can make us hold or do, with its limit.

use std::time::Duration;

use super::pace::Pace;

/// The limits of the process. Each name ends in its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub handshake_timeout: Duration,
    /// From the first byte of a request to the end of its head.
    pub head_timeout: Duration,
    /// A connection without a request.
    pub idle_timeout: Duration,
    pub body_timeout: Duration,
    /// A body that comes more slowly, over all of its time beyond `rate_grace`, comes too slowly.
    pub body_bytes_per_second_min: u32,
    /// The same for a client that takes an answer, over the time in which there was something to take.
    pub answer_bytes_per_second_min: u32,
    /// What a body or answer may take beyond the time that those two give it.
    pub rate_grace: Duration,
    pub head_bytes_max: usize,
    pub headers_max: usize,
    pub body_bytes_max: usize,
    /// Bytes of bodies that are held at once, of all requests together.
    pub buffered_bytes_max: usize,
    /// Requests of one address under way at once, each until its answer has been read.
    pub requests_at_once_per_address_max: usize,
    /// Keys that are counted at once for each kind of rate.
    pub rate_keys_max: usize,
    pub inflated_bytes_max: usize,
    /// Inflated bytes per byte on the wire.
    pub inflate_ratio_max: usize,
    /// Streamed bodies of `pass` operations.
    pub stream_bytes_max: u64,
    pub http2_streams_max: u32,
    pub json_depth_max: usize,
    pub json_values_max: usize,
    pub name_bytes_max: usize,
    pub text_bytes_max: usize,
    pub number_bytes_max: usize,
    pub form_fields_max: usize,
    pub token_bytes_max: usize,
    pub drain_timeout: Duration,
}

/// How many bytes a byte of a body may come to: itself, what is inflated or decoded from it, and what is written in its place. Not all of them
/// at once: what came is gone when what is written waits for the upstream.
pub const HELD_PER_BODY_BYTE: usize = 3;

/// No address takes more than this part of `buffered_bytes_max`: one that sends slowly leaves the rest to others.
pub const ROOM_SHARE: usize = 2;

impl Limits {
    /// Whether the longest body finds room, where it is alone.
    #[must_use]
    pub(super) fn longest_body_fits(&self) -> bool {
        self.body_bytes_max.saturating_mul(HELD_PER_BODY_BYTE) <= self.buffered_bytes_max / ROOM_SHARE
    }

    /// Those that a connection, or the process, takes when it begins; any other is looked at by each request. What is of a request is the
    /// default in both.
    #[must_use]
    pub(super) fn of_connections(&self) -> Self {
        Self {
            connections_max: self.connections_max,
            connections_per_address_max: self.connections_per_address_max,
            handshake_timeout: self.handshake_timeout,
            head_timeout: self.head_timeout,
            idle_timeout: self.idle_timeout,
            answer_bytes_per_second_min: self.answer_bytes_per_second_min,
            rate_grace: self.rate_grace,
            head_bytes_max: self.head_bytes_max,
            headers_max: self.headers_max,
            http2_streams_max: self.http2_streams_max,
            drain_timeout: self.drain_timeout,
            rate_keys_max: self.rate_keys_max,
            ..Self::default()
        }
    }

    /// How fast a request's body must come.
    #[must_use]
    pub fn body_pace(&self) -> Pace {
        Pace { bytes_per_second_min: self.body_bytes_per_second_min, grace: self.rate_grace }
    }

    /// How fast an answer must be taken.
    #[must_use]
    pub fn answer_pace(&self) -> Pace {
        Pace { bytes_per_second_min: self.answer_bytes_per_second_min, grace: self.rate_grace }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connections_per_address_max: 1_000,
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(20),
            body_bytes_per_second_min: 128,
            answer_bytes_per_second_min: 128,
            rate_grace: Duration::from_secs(10),
            head_bytes_max: 32 * 1024,
            headers_max: 100,
            body_bytes_max: 1024 * 1024,
            buffered_bytes_max: 256 * 1024 * 1024,
            requests_at_once_per_address_max: 250,
            rate_keys_max: 65_536,
            inflated_bytes_max: 2 * 1024 * 1024,
            inflate_ratio_max: 100,
            stream_bytes_max: 64 * 1024 * 1024,
            http2_streams_max: 100,
            json_depth_max: 16,
            json_values_max: 20_000,
            name_bytes_max: 256,
            text_bytes_max: 64 * 1024,
            number_bytes_max: 64,
            form_fields_max: 200,
            token_bytes_max: 4096,
            drain_timeout: Duration::from_secs(30),
        }
    }
}
