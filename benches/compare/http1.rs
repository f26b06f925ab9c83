//! HTTP/1.1 messages, read as cheaply as can be: the same reader serves the backend and the load.

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The head of a message, at most.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Reads messages off one connection.
pub struct Reader<S> {
    pub stream: S,
    buffer: Vec<u8>,
}

/// One message, lent by its [`Reader`] until the next is read.
pub struct Message<'a> {
    pub head: &'a str,
    pub body: Vec<u8>,
}

impl Message<'_> {
    /// The status of a response.
    pub fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }
}

/// How the end of a body is known.
enum Framing {
    Length(usize),
    Chunked,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(4096) }
    }

    /// The next message into `head`, its body returned; `None` where the connection ended between two.
    pub async fn read<'a>(&mut self, head: &'a mut String) -> anyhow::Result<Option<Message<'a>>> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(self.buffer.len() <= HEAD_BYTES_MAX, "the head is longer than {HEAD_BYTES_MAX} bytes");
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                ensure!(self.buffer.is_empty(), "the connection ended within a head");
                return Ok(None);
            }
        };
        head.clear();
        head.push_str(std::str::from_utf8(self.buffer.get(..end).unwrap_or_default())?);
        self.buffer.drain(..end);
        let body = match framing(head)? {
            Framing::Length(length) => self.take(length).await?,
            Framing::Chunked => self.chunks().await?,
        };
        Ok(Some(Message { head, body }))
    }

    async fn take(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        self.buffer.reserve(length.saturating_sub(self.buffer.len()));
        while self.buffer.len() < length {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection ended within a body");
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    async fn chunks(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                if let Some(at) = find(&self.buffer, b"\r\n") {
                    break at;
                }
                ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection ended within a chunk");
            };
            let line = self.take(line_end + 2).await?;
            let digits = std::str::from_utf8(&line)?.trim_end();
            let length = usize::from_str_radix(digits, 16).context("a chunk's length")?;
            let chunk = self.take(length + 2).await?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(chunk.get(..length).unwrap_or_default());
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn framing(head: &str) -> anyhow::Result<Framing> {
    for line in head.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            return Ok(Framing::Length(value.trim().parse()?));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(Framing::Chunked);
        }
    }
    bail!("a message without length: {head}")
}
