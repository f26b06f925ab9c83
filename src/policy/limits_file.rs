//! `[limits]` of `gateway.toml`.

use std::time::Duration;

use schemars::JsonSchema;

use super::limits::Limits;
use super::reader::{Placed, Table, Value};
use super::schemas::{Count, DurationText, Size};

/// What a peer can make the process hold or do. What is not named keeps its default.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RawLimits {
    /// Connections at once.
    #[schemars(with = "Option<Count>")]
    connections_max: Option<Placed<usize>>,
    /// Connections at once from one address.
    #[schemars(with = "Option<Count>")]
    connections_per_address_max: Option<Placed<usize>>,
    /// For the whole TLS handshake.
    #[schemars(with = "Option<DurationText>")]
    handshake_timeout: Option<Placed<Duration>>,
    /// From the first byte of a request to the end of its head.
    #[schemars(with = "Option<DurationText>")]
    head_timeout: Option<Placed<Duration>>,
    /// For a connection without a request.
    #[schemars(with = "Option<DurationText>")]
    idle_timeout: Option<Placed<Duration>>,
    /// For the whole body of a request.
    #[schemars(with = "Option<DurationText>")]
    body_timeout: Option<Placed<Duration>>,
    /// Bytes a second at which a body must come, on average beyond `rate_grace`.
    #[schemars(with = "Option<Count>")]
    body_bytes_per_second_min: Option<Placed<u32>>,
    /// Bytes a second at which an answer must be taken, on average beyond `rate_grace`.
    #[schemars(with = "Option<Count>")]
    answer_bytes_per_second_min: Option<Placed<u32>>,
    /// What a body or answer may take beyond the time that its bytes a second give it.
    #[schemars(with = "Option<DurationText>")]
    rate_grace: Option<Placed<Duration>>,
    /// Method, path and headers together.
    #[schemars(with = "Option<Size>")]
    head_bytes_max: Option<Placed<usize>>,
    #[schemars(with = "Option<Count>")]
    headers_max: Option<Placed<usize>>,
    /// A body as it comes over the wire.
    #[schemars(with = "Option<Size>")]
    body_bytes_max: Option<Placed<usize>>,
    /// Bodies of all requests together, in memory at once.
    #[schemars(with = "Option<Size>")]
    buffered_bytes_max: Option<Placed<usize>>,
    /// Requests of one address under way at once, each until its answer has been read.
    #[schemars(with = "Option<Count>")]
    requests_at_once_per_address_max: Option<Placed<usize>>,
    /// Keys that are counted at once for each kind of rate, such as addresses; 24 bytes each.
    #[schemars(with = "Option<Count>")]
    rate_keys_max: Option<Placed<usize>>,
    /// A body after its content coding is undone.
    #[schemars(with = "Option<Size>")]
    inflated_bytes_max: Option<Placed<usize>>,
    /// Inflated bytes per byte on the wire.
    #[schemars(with = "Option<Count>")]
    inflate_ratio_max: Option<Placed<usize>>,
    /// Bodies of operations that are streamed unopened.
    #[schemars(with = "Option<Size>")]
    stream_bytes_max: Option<Placed<u64>>,
    /// Requests at once on one HTTP/2 connection.
    #[schemars(with = "Option<Count>")]
    http2_streams_max: Option<Placed<u32>>,
    /// Objects and lists within one another.
    #[schemars(with = "Option<Count>")]
    json_depth_max: Option<Placed<usize>>,
    /// Values in one document.
    #[schemars(with = "Option<Count>")]
    json_values_max: Option<Placed<usize>>,
    /// A member's name.
    #[schemars(with = "Option<Size>")]
    name_bytes_max: Option<Placed<usize>>,
    /// A text value.
    #[schemars(with = "Option<Size>")]
    text_bytes_max: Option<Placed<usize>>,
    /// The digits of a number.
    #[schemars(with = "Option<Size>")]
    number_bytes_max: Option<Placed<usize>>,
    #[schemars(with = "Option<Count>")]
    form_fields_max: Option<Placed<usize>>,
    /// A token or hash.
    #[schemars(with = "Option<Size>")]
    token_bytes_max: Option<Placed<usize>>,
    /// How long requests may finish after the process was told to stop.
    #[schemars(with = "Option<DurationText>")]
    drain_timeout: Option<Placed<Duration>>,
}

/// Some hundred MiB for each kind.
const RATE_KEYS_MAX: usize = 16_777_216;

/// What reads them next has a bound of its own, not far above, and panics there.
const HEADERS_MAX: usize = 10_000;

/// More of anything is a slip of the keyboard.
const COUNT_MAX: u32 = 1_000_000_000;

fn count(value: &Value<'_>) -> Option<Placed<usize>> {
    value.integer(1..=COUNT_MAX as usize)
}

fn size(value: &Value<'_>) -> Option<Placed<usize>> {
    let size = positive_bytes(value)?;
    let Ok(bytes) = usize::try_from(size.value) else {
        value.error("expected a size that this machine can address");
        return None;
    };
    Some(size.map(|_| bytes))
}

/// A number of bytes above zero.
pub(super) fn positive_bytes(value: &Value<'_>) -> Option<Placed<u64>> {
    let size = value.bytes()?;
    if size.value == 0 {
        value.error("expected a size above zero");
        return None;
    }
    Some(size)
}

/// A duration above zero.
pub(super) fn positive_duration(value: &Value<'_>) -> Option<Placed<Duration>> {
    let duration = value.duration()?;
    if duration.value.is_zero() {
        value.error("expected a duration above zero");
        return None;
    }
    Some(duration)
}

impl RawLimits {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            connections_max: table.optional("connections_max", count),
            connections_per_address_max: table.optional("connections_per_address_max", count),
            handshake_timeout: table.optional("handshake_timeout", positive_duration),
            head_timeout: table.optional("head_timeout", positive_duration),
            idle_timeout: table.optional("idle_timeout", positive_duration),
            body_timeout: table.optional("body_timeout", positive_duration),
            body_bytes_per_second_min: table
                .optional("body_bytes_per_second_min", |value| value.integer(1..=COUNT_MAX)),
            answer_bytes_per_second_min: table
                .optional("answer_bytes_per_second_min", |value| value.integer(1..=COUNT_MAX)),
            rate_grace: table.optional("rate_grace", positive_duration),
            head_bytes_max: table.optional("head_bytes_max", size),
            headers_max: table.optional("headers_max", |value| value.integer(1..=HEADERS_MAX)),
            body_bytes_max: table.optional("body_bytes_max", size),
            buffered_bytes_max: table.optional("buffered_bytes_max", size),
            requests_at_once_per_address_max: table.optional("requests_at_once_per_address_max", count),
            rate_keys_max: table.optional("rate_keys_max", |value| value.integer(1..=RATE_KEYS_MAX)),
            inflated_bytes_max: table.optional("inflated_bytes_max", size),
            inflate_ratio_max: table.optional("inflate_ratio_max", count),
            stream_bytes_max: table.optional("stream_bytes_max", positive_bytes),
            http2_streams_max: table.optional("http2_streams_max", |value| value.integer(1..=COUNT_MAX)),
            json_depth_max: table.optional("json_depth_max", count),
            json_values_max: table.optional("json_values_max", count),
            name_bytes_max: table.optional("name_bytes_max", size),
            text_bytes_max: table.optional("text_bytes_max", size),
            number_bytes_max: table.optional("number_bytes_max", size),
            form_fields_max: table.optional("form_fields_max", count),
            token_bytes_max: table.optional("token_bytes_max", size),
            drain_timeout: table.optional("drain_timeout", positive_duration),
        }
    }

    /// The limits in force.
    pub(super) fn resolve(self) -> Limits {
        let standard = Limits::default();
        macro_rules! in_force {
            ($($name:ident),* $(,)?) => {{
                let Self { $($name),* } = self;
                Limits { $($name: $name.map_or(standard.$name, |limit| limit.value)),* }
            }};
        }
        in_force!(
            connections_max,
            connections_per_address_max,
            handshake_timeout,
            head_timeout,
            idle_timeout,
            body_timeout,
            body_bytes_per_second_min,
            answer_bytes_per_second_min,
            rate_grace,
            head_bytes_max,
            headers_max,
            body_bytes_max,
            buffered_bytes_max,
            requests_at_once_per_address_max,
            rate_keys_max,
            inflated_bytes_max,
            inflate_ratio_max,
            stream_bytes_max,
            http2_streams_max,
            json_depth_max,
            json_values_max,
            name_bytes_max,
            text_bytes_max,
            number_bytes_max,
            form_fields_max,
            token_bytes_max,
            drain_timeout,
        )
    }
}
