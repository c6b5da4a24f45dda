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

use super::{conn::ConnState, writer::SocketWriter};

/// What hyper reads from and writes to.
#[derive(Debug)]
pub(super) struct HyperIo {
    writer: SocketWriter,
    /// What was read already, to know what is spoken.
    first: Bytes,
}

impl HyperIo {
    pub(in crate::http) fn new(conn: Arc<ConnState>, first: Bytes, stall_timeout: Duration) -> Self {
        Self {
            writer: SocketWriter::new(conn, stall_timeout),
            first,
        }
    }

    fn conn(&self) -> &ConnState {
        self.writer.conn()
    }
}

impl AsyncRead for HyperIo {
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
            return match this.conn().observe(this.conn().socket().try_read_buf(buffer)) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Poll::Ready(Err(error)),
                _ => Poll::Ready(Ok(())),
            };
        }
        let socket = self.conn().socket();
        loop {
            self.conn().observe(ready!(socket.poll_read_ready(context)))?;
            match self.conn().observe(socket.try_read_buf(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(drop)),
            }
        }
    }
}

impl AsyncWrite for HyperIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let writer = &mut self.get_mut().writer;
        writer.poll_write_with(context, |conn| conn.socket().try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let writer = &mut self.get_mut().writer;
        writer.poll_write_with(context, |conn| conn.socket().try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper calls this when all it had is written.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.conn().set_flushed(context);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(socket2::SockRef::from(self.conn().socket()).shutdown(std::net::Shutdown::Write))
    }
}
