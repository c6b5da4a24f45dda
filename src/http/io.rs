//! A socket as hyper sees it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{link::Link, writer::Writer};

/// What hyper reads from and writes to.
#[derive(Debug)]
pub(super) struct Io {
    writer: Writer,
    /// What was read already, to know what is spoken.
    first: Bytes,
}

impl Io {
    pub(super) fn new(link: Arc<Link>, first: Bytes, stall_timeout: Duration) -> Self {
        Self {
            writer: Writer::new(link, stall_timeout),
            first,
        }
    }

    fn link(&self) -> &Link {
        self.writer.link()
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first[..length]);
            let this = self.get_mut();
            this.first.advance(length);
            // In one piece with the rest, if that has come: for a head in two pieces hyper makes its buffer twice as large, and
            // keeps it as long as the stream lasts. An end is met again by the next read; an error is told only once.
            return match this.link().note(this.link().socket().try_read_buf(buffer)) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Poll::Ready(Err(error)),
                _ => Poll::Ready(Ok(())),
            };
        }
        let socket = self.link().socket();
        loop {
            self.link().note(ready!(socket.poll_read_ready(context)))?;
            match self.link().note(socket.try_read_buf(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(drop)),
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let writer = &mut self.get_mut().writer;
        writer.poll_write_with(context, |link| link.socket().try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let writer = &mut self.get_mut().writer;
        writer.poll_write_with(context, |link| link.socket().try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper calls this when all it had is written.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link().set_flushed(context);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(socket2::SockRef::from(self.link().socket()).shutdown(std::net::Shutdown::Write))
    }
}
