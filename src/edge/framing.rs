//! Reads along with the bytes of an HTTP/1 connection and stops where readers could disagree on where a request ends.
//!
//! hyper mends some of that before anybody sees it: it takes bare line feeds, drops `#fragment`, folds equal lengths into one, and forgets
//! a length that comes with chunks. Mended requests are what request smuggling is made of, so they are refused here, as bytes (RFC 9112
//! §2.2, §3, §5, §6.3, §7.1). What passes is a strict subset of what hyper takes, so that both see the same boundaries, and so that whatever
//! is refused is refused by us: hyper's own words would lack our headers, and nobody would count them.
//!
//! It knows no socket: it is fed bytes.

use http::Uri;

use super::hygiene::parse_length;

/// What is wrong with the bytes. The connection cannot go on after any of these: nobody knows where the next request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("a line ends without a carriage return, or holds one inside")]
    LineEnd,
    #[error("the request line is malformed")]
    RequestLine,
    #[error("a header line is malformed")]
    HeaderLine,
    /// RFC 9112 §5.2.
    #[error("a header is folded over lines")]
    Folded,
    #[error("the length of the body is not said in exactly one way")]
    Length,
    #[error("a chunk is malformed")]
    Chunk,
    /// 431.
    #[error("the head is longer than the limit")]
    HeadTooLarge,
    /// 431.
    #[error("there are more headers than the limit")]
    TooManyHeaders,
}

/// The place of a connection's reader.
#[derive(Debug)]
pub struct StrictReader {
    state: State,
    /// What came of the line or head in progress. Empty while a request comes in one piece, as most do.
    partial: Vec<u8>,
    head_bytes_max: usize,
    headers_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body {
        left: u64,
    },
    ChunkSize,
    ChunkData {
        left: u64,
    },
    ChunkEnd,
    Trailers {
        bytes: usize,
    },
    /// No longer HTTP.
    Tunnel,
}

/// A chunk's size with its extensions.
const CHUNK_LINE_BYTES_MAX: usize = 256;
/// hyper takes no longer name, whatever a head may have.
const NAME_BYTES_MAX: usize = 65_535;
/// Nor a longer body: the two numbers above it have a meaning of their own there.
const BODY_BYTES_MAX: u64 = u64::MAX - 2;
/// Nobody reads trailers.
const TRAILER_BYTES_MAX: usize = 4096;

impl StrictReader {
    /// A reader at the beginning of a connection.
    #[must_use]
    pub fn new(head_bytes_max: usize, headers_max: usize) -> Self {
        Self { state: State::Head, partial: Vec::new(), head_bytes_max, headers_max }
    }

    /// Whether a head has begun and not ended.
    #[must_use]
    pub fn is_within_head(&self) -> bool {
        self.state == State::Head && !self.partial.is_empty()
    }

    /// From here on the bytes are another protocol's.
    pub fn become_tunnel(&mut self) {
        self.state = State::Tunnel;
        self.partial = Vec::new();
    }

    /// Whether a head is to come, or is coming: nothing that is wrong now is wrong with a request that has begun before.
    #[must_use]
    pub fn is_at_head(&self) -> bool {
        self.state == State::Head
    }

    /// Reads on.
    ///
    /// # Errors
    ///
    /// These bytes must reach no parser.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.feed_whole(bytes).map_err(|(fault, _)| fault)
    }

    /// Reads on.
    ///
    /// # Errors
    ///
    /// These bytes must reach no parser, but for so many at their beginning, which end whole requests.
    pub fn feed_whole(&mut self, bytes: &[u8]) -> Result<(), (Fault, usize)> {
        let (mut left, mut whole) = (bytes, 0);
        while !left.is_empty() {
            left = self.step(left).map_err(|fault| (fault, whole))?;
            if self.state == State::Head && self.partial.is_empty() {
                whole = bytes.len() - left.len();
            }
        }
        Ok(())
    }

    /// Reads on to the end of a line, of a body or of the bytes; gives what is left of them.
    fn step<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Fault> {
        Ok(match self.state {
            State::Head => self.feed_head(bytes)?,
            State::Body { left } => {
                let (left, rest) = skip(left, bytes);
                self.state = if left == 0 { State::Head } else { State::Body { left } };
                rest
            }
            State::ChunkData { left } => {
                let (left, rest) = skip(left, bytes);
                self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData { left } };
                rest
            }
            State::ChunkSize => self.feed_line(bytes, CHUNK_LINE_BYTES_MAX, |line| {
                Ok(match chunk_size(line)? {
                    0 => State::Trailers { bytes: 0 },
                    left => State::ChunkData { left },
                })
            })?,
            State::ChunkEnd => {
                self.feed_line(bytes, 2, |line| if line.is_empty() { Ok(State::ChunkSize) } else { Err(Fault::Chunk) })?
            }
            State::Trailers { bytes: so_far } => {
                self.feed_line(bytes, TRAILER_BYTES_MAX.saturating_sub(so_far), |line| {
                    if line.is_empty() {
                        return Ok(State::Head);
                    }
                    read_header(line)?;
                    Ok(State::Trailers { bytes: so_far + line.len() + 2 })
                })?
            }
            State::Tunnel => &[],
        })
    }

    fn feed_head<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Fault> {
        if self.partial.is_empty() {
            // Some clients send an empty line behind a body (RFC 9112 §2.2).
            if let Some(rest) = bytes.strip_prefix(b"\r\n") {
                return Ok(rest);
            }
            if let Some(end) = head_end(bytes, 0)? {
                let (head, rest) = bytes.split_at(end);
                self.state = self.read_head(head)?;
                return Ok(rest);
            }
        }
        if self.partial == b"\r"
            && let Some(rest) = bytes.strip_prefix(b"\n")
        {
            self.partial.clear();
            return Ok(rest);
        }
        let known = self.partial.len();
        // One byte over the limit is enough to know; what follows may be a body.
        let room = (self.head_bytes_max + 1).saturating_sub(known);
        self.partial.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        match head_end(&self.partial, known)? {
            Some(end) => {
                let head = std::mem::take(&mut self.partial);
                self.state = self.read_head(head.get(..end).unwrap_or_default())?;
                Ok(bytes.get(end.saturating_sub(known)..).unwrap_or_default())
            }
            None if self.partial.len() > self.head_bytes_max => Err(Fault::HeadTooLarge),
            None => Ok(&[]),
        }
    }

    fn feed_line<'b>(
        &mut self,
        bytes: &'b [u8],
        bytes_max: usize,
        read: impl FnOnce(&[u8]) -> Result<State, Fault>,
    ) -> Result<&'b [u8], Fault> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            if self.partial.len() + bytes.len() > bytes_max {
                return Err(Fault::Chunk);
            }
            self.partial.extend_from_slice(bytes);
            return Ok(&[]);
        };
        let (line, rest) = bytes.split_at(end + 1);
        if self.partial.len() + line.len() > bytes_max {
            return Err(Fault::Chunk);
        }
        self.partial.extend_from_slice(line);
        let line = self.partial.strip_suffix(b"\r\n").ok_or(Fault::LineEnd)?;
        if line.contains(&b'\r') {
            return Err(Fault::LineEnd);
        }
        self.state = read(line)?;
        self.partial.clear();
        Ok(rest)
    }

    fn read_head(&self, head: &[u8]) -> Result<State, Fault> {
        if head.len() > self.head_bytes_max {
            return Err(Fault::HeadTooLarge);
        }
        let lines = head.strip_suffix(b"\r\n").ok_or(Fault::LineEnd)?;
        let mut lines = lines_of(lines);
        let version = read_request_line(lines.next().flatten().ok_or(Fault::LineEnd)?)?;
        let (mut headers, mut length, mut chunked) = (0, None, false);
        for line in lines {
            headers += 1;
            if headers > self.headers_max {
                return Err(Fault::TooManyHeaders);
            }
            let (name, value) = read_header(line.ok_or(Fault::LineEnd)?)?;
            if name.eq_ignore_ascii_case(b"content-length") {
                let value = parse_length(value).filter(|length| *length <= BODY_BYTES_MAX).ok_or(Fault::Length)?;
                if length.replace(value).is_some() {
                    return Err(Fault::Length);
                }
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                if chunked || version == Minor::Zero || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Fault::Length);
                }
                chunked = true;
            }
        }
        match (chunked, length) {
            (true, Some(_)) => Err(Fault::Length),
            (true, None) => Ok(State::ChunkSize),
            (false, None | Some(0)) => Ok(State::Head),
            (false, Some(left)) => Ok(State::Body { left }),
        }
    }
}

/// The lines, each without its end; `None` for one that has no right end.
fn lines_of(mut text: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', text).map_or(text.len(), |at| at + 1);
        let (line, rest) = text.split_at(end);
        text = rest;
        (!line.is_empty()).then(|| line.strip_suffix(b"\r\n"))
    })
}

fn skip(left: u64, bytes: &[u8]) -> (u64, &[u8]) {
    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    (left - here as u64, bytes.get(here..).unwrap_or_default())
}

/// Where the head ends, of which the first `known` bytes were searched before. A line feed that stands alone is an error at once: hyper
/// would take it for a line's end.
fn head_end(bytes: &[u8], known: usize) -> Result<Option<usize>, Fault> {
    let mut from = known;
    while let Some(offset) = bytes.get(from..).and_then(|rest| memchr::memchr(b'\n', rest)) {
        let (line, _) = bytes.split_at(from + offset);
        let Some(line) = line.strip_suffix(b"\r") else { return Err(Fault::LineEnd) };
        from += offset + 1;
        if line.ends_with(b"\r\n") {
            return Ok(Some(from));
        }
    }
    Ok(None)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Minor {
    Zero,
    One,
}

/// `method SP target SP version` (RFC 9112 §3).
fn read_request_line(line: &[u8]) -> Result<Minor, Fault> {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let visible = !target.is_empty() && target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    // Whoever reads it next must take it too. That one also says how long it may be.
    if !is_token(method) || !visible || Uri::try_from(target).is_err() {
        return Err(Fault::RequestLine);
    }
    match (words.next(), words.next()) {
        (Some(b"HTTP/1.1"), None) => Ok(Minor::One),
        (Some(b"HTTP/1.0"), None) => Ok(Minor::Zero),
        (Some(_) | None, _) => Err(Fault::RequestLine),
    }
}

/// `name: value` (RFC 9112 §5). Bytes beyond ASCII are left for [`super::hygiene`], which knows the names that matter.
fn read_header(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(Fault::Folded);
    }
    let colon = memchr::memchr(b':', line).ok_or(Fault::HeaderLine)?;
    let (name, value) = line.split_at(colon);
    let value = value.strip_prefix(b":").unwrap_or_default();
    // Without a way out in the middle a processor compares many bytes at once.
    let has_control = value.iter().fold(false, |any, byte| any | matches!(byte, 0..=0x08 | 0x0a..=0x1f | 0x7f));
    if has_control && value.contains(&b'\r') {
        return Err(Fault::LineEnd);
    }
    if has_control || !is_token(name) {
        return Err(Fault::HeaderLine);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Fault::HeadTooLarge);
    }
    Ok((name, value.trim_ascii()))
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| IS_TOKEN.get(usize::from(*byte)) == Some(&true))
}

static IS_TOKEN: [bool; 256] = {
    let mut is_token = [false; 256];
    let mut byte: u8 = 0;
    #[expect(clippy::indexing_slicing, reason = "in a constant: an index out of bounds would not compile")]
    while byte < 128 {
        is_token[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    is_token
};

/// Hexadecimal digits, then perhaps extensions, which nobody reads (RFC 9112 §7.1).
fn chunk_size(line: &[u8]) -> Result<u64, Fault> {
    let mut parts = line.splitn(2, |byte| *byte == b';');
    let digits = parts.next().unwrap_or_default();
    if line.iter().any(|byte| !matches!(byte, b'\t' | b' '..=b'~')) || !(1..=15).contains(&digits.len()) {
        return Err(Fault::Chunk);
    }
    // `from_str_radix` takes a sign.
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Fault::Chunk);
    }
    let digits = str::from_utf8(digits).map_err(|_| Fault::Chunk)?;
    u64::from_str_radix(digits, 16).map_err(|_| Fault::Chunk)
}

#[cfg(test)]
mod tests;
