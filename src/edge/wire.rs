//! The bytes of an HTTP/1 connection: read strictly before hyper reads them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::Permit;
use super::framing::{Fault, StrictReader};
use super::turns::Turns;

/// A socket whose bytes reach their reader only while they are well-formed. It keeps the connection's place, also after an upgrade.
#[derive(Debug)]
pub struct Wire<S> {
    inner: S,
    reader: StrictReader,
    turns: Arc<Turns>,
    /// A fault behind whole requests, until those are answered.
    held: Option<Fault>,
    fault: Option<Fault>,
    /// Whether the head of the request that is wrong went on before the fault came.
    is_heard: bool,
    permit: Permit,
}

impl<S> Wire<S> {
    /// The wire over `inner`.
    pub fn new(inner: S, reader: StrictReader, turns: Arc<Turns>, permit: Permit) -> Self {
        Self { inner, reader, turns, held: None, fault: None, is_heard: false, permit }
    }

    /// What was wrong with the bytes, where something was.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether somebody has the head of the request that is wrong: whoever it is answers, and a second answer would be taken for the next one.
    pub fn is_heard(&self) -> bool {
        self.is_heard
    }

    /// The socket itself, for last words, and its place.
    pub fn into_parts(self) -> (S, Permit) {
        (self.inner, self.permit)
    }

    fn read_along(&mut self, bytes: &[u8]) -> Result<(), (Fault, usize)> {
        if self.turns.is_tunnel() {
            self.reader.become_tunnel();
            return Ok(());
        }
        let was_within_head = self.reader.is_within_head();
        self.reader.feed_whole(bytes)?;
        match (was_within_head, self.reader.is_within_head()) {
            (false, true) => self.turns.head_begins(),
            (true, false) => self.turns.head_ends(),
            (false, false) | (true, true) => {}
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(fault) = this.fault {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)));
        }
        if this.held.is_none() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
            let was_at_head = this.reader.is_at_head();
            let Err((fault, whole)) = this.read_along(buffer.filled().get(before..).unwrap_or_default()) else {
                return Poll::Ready(Ok(()));
            };
            buffer.set_filled(before + whole);
            this.is_heard = whole == 0 && !was_at_head;
            if this.is_heard {
                this.fault = Some(fault);
            } else {
                // The requests before it are as good as without it. Their answers come first.
                this.held = Some(fault);
            }
            if whole > 0 {
                return Poll::Ready(Ok(()));
            }
        }
        if let Some(fault) = this.held {
            ready!(this.turns.poll_quiet(context));
            this.fault = Some(fault);
        }
        match this.fault {
            Some(fault) => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault))),
            None => Poll::Pending,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper sees an end of input and says goodbye; our own last words come first, see `into_parts`.
        if this.fault.is_some() { Poll::Ready(Ok(())) } else { Pin::new(&mut this.inner).poll_shutdown(context) }
    }
}
