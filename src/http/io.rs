//! A socket with a deadline for taking bytes.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::link::Link;

/// What hyper reads from and writes to.
///
/// When a write has been waiting for the stall deadline and not one byte was taken, the connection is reset: a client
/// that does not read must not keep its slot and its buffers. A client that reads slowly is not concerned.
#[derive(Debug)]
pub(super) struct Io {
    link: Arc<Link>,
    /// What was read already, to know what is spoken.
    first: Bytes,
    stall_timeout: Duration,
    /// Only while a write waits: most sockets never need it.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Io {
    pub(super) fn new(link: Arc<Link>, first: Bytes, stall_timeout: Duration) -> Self {
        Self {
            link,
            first,
            stall_timeout,
            stall: None,
        }
    }

    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        self.link.set_blocked();
        let timeout = self.stall_timeout;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(stall.as_mut().poll(context));
        self.link.set_stalled();
        self.link.set_reset_on_close();
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the peer takes no bytes"))
    }

    fn poll_write_with(
        &mut self,
        context: &mut Context<'_>,
        write: impl Fn(&Link) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.link.socket().poll_write_ready(context) {
                Poll::Ready(ready) => self.link.note(ready)?,
                Poll::Pending => return self.poll_stalled(context).map(Err),
            }
            match self.link.note(write(&self.link)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => {
                    self.stall = None;
                    return Poll::Ready(taken);
                }
            }
        }
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
            self.get_mut().first.advance(length);
            return Poll::Ready(Ok(()));
        }
        let socket = self.link.socket();
        loop {
            self.link.note(ready!(socket.poll_read_ready(context)))?;
            match self.link.note(socket.try_read(buffer.initialize_unfilled())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(bytes) => {
                    buffer.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_write_with(context, |link| link.socket().try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll_write_with(context, |link| link.socket().try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper calls this when all it had is written.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.set_flushed(context);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(socket2::SockRef::from(self.link.socket()).shutdown(std::net::Shutdown::Write))
    }
}
