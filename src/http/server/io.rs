//! The socket of a connection, as hyper reads from it and writes to it.

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

/// The I/O object of hyper. It writes through [`SocketWriter`], and reports to [`ConnState`] what happens on the socket.
#[derive(Debug)]
pub(in crate::http) struct HyperIo {
    writer: SocketWriter,
    /// The bytes that were read already to detect the protocol.
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
            // The rest of the head is added to it if it has come. For a head in two reads hyper doubles its buffer, and keeps it
            // as long as the stream lasts. The next read meets an end of input again, but an error is reported only once.
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

    /// Records that all is written: hyper flushes when it has nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.conn().set_flushed(context);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(socket2::SockRef::from(self.conn().socket()).shutdown(std::net::Shutdown::Write))
    }
}
