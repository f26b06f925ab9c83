//! The bytes of an HTTP/2 connection: counted before hyper reads them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::connections::Permit;
use super::frames::{Excess, FrameMeter, Metered, goaway};

/// A socket whose frames reach their reader only while they are no more than anybody needs. It keeps the connection's place.
#[derive(Debug)]
pub struct MeteredWire<S> {
    inner: S,
    meter: FrameMeter,
    started: Instant,
    excess: Option<Excess>,
    permit: Permit,
}

impl<S: AsyncWrite + Unpin> MeteredWire<S> {
    /// The wire over `inner`.
    pub fn new(inner: S, meter: FrameMeter, permit: Permit) -> Self {
        Self { inner, meter, started: Instant::now(), excess: None, permit }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Counts for the address what was counted for the connection.
    fn count(&self, metered: Result<Metered, Excess>) -> Result<(), Excess> {
        let Metered { resets } = metered?;
        if (0..resets).all(|_| self.permit.spend_reset().is_ok()) { Ok(()) } else { Err(Excess::Resets) }
    }

    /// The connection ends here, and the peer is told why, where that fits between two frames and the socket takes it at once.
    fn end(&mut self, excess: Excess, context: &mut Context<'_>) -> io::Error {
        if self.excess.is_none() {
            self.excess = Some(excess);
            self.permit.count_excess(excess);
            if self.meter.may_write_frame() {
                let words = goaway(self.meter.last_stream(), excess);
                let written = Pin::new(&mut self.inner).poll_write(context, &words);
                if matches!(written, Poll::Ready(Ok(count)) if count == words.len()) {
                    // Whether they arrive is the peer's concern.
                    drop(Pin::new(&mut self.inner).poll_flush(context));
                }
            }
        }
        io::Error::new(io::ErrorKind::InvalidData, excess)
    }

    /// Looks along what was written.
    fn look_along(&mut self, bytes: &[u8], context: &mut Context<'_>) -> io::Result<()> {
        let metered = self.meter.sent(bytes, self.now());
        self.count(metered).map_err(|excess| self.end(excess, context))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for MeteredWire<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(excess) = this.excess {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, excess)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
        let metered = this.meter.received(buffer.filled().get(before..).unwrap_or_default(), this.now());
        Poll::Ready(this.count(metered).map_err(|excess| {
            buffer.set_filled(before);
            this.end(excess, context)
        }))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MeteredWire<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(excess) = this.excess {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, excess)));
        }
        let count = ready!(Pin::new(&mut this.inner).poll_write(context, bytes))?;
        this.look_along(bytes.get(..count).unwrap_or(bytes), context)?;
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(excess) = this.excess {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, excess)));
        }
        let count = ready!(Pin::new(&mut this.inner).poll_write_vectored(context, slices))?;
        let mut left = count;
        for slice in slices {
            let here = left.min(slice.len());
            this.look_along(slice.get(..here).unwrap_or(slice), context)?;
            left -= here;
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}
