//! What hyper reads from and writes to: a socket, or TLS above one.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{conn::ConnState, io::HyperIo, tls::TlsIo};

/// The transport of one connection.
#[derive(Debug)]
pub(super) enum Transport {
    /// The bare socket.
    Plain(HyperIo),
    /// TLS above the socket.
    Tls(TlsIo),
}

/// Notices the end of a connection's input while a stream is on it.
#[derive(Debug)]
pub(super) enum InputEnd {
    /// Looks at the socket.
    Plain,
    /// Looks at what TLS makes of it.
    Tls(TlsIo),
}

impl Transport {
    /// Returns what notices the end of the input.
    pub(super) fn input_end(&self) -> InputEnd {
        match self {
            Self::Plain(_) => InputEnd::Plain,
            Self::Tls(tls) => InputEnd::Tls(tls.clone()),
        }
    }
}

impl InputEnd {
    /// Discards what the client sends. Ready when the client is gone, or has sent more than `budget` bytes.
    pub(super) fn poll(&self, conn: &ConnState, context: &mut Context<'_>, budget: &mut usize) -> Poll<()> {
        match self {
            Self::Plain => conn.poll_closed(context, budget),
            Self::Tls(tls) => tls.poll_closed(context, budget),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(context, buffer),
            Self::Tls(io) => Pin::new(io).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(context, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(context, slices),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(context, slices),
        }
    }

    /// Both take several slices at once.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(context),
            Self::Tls(io) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(context),
            Self::Tls(io) => Pin::new(io).poll_shutdown(context),
        }
    }
}
