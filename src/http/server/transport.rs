//! What hyper reads from and writes to: a socket, or TLS above one.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{conn::ConnState, io::HyperIo, tls::TlsIo};
use crate::{
    http::delivery::handoff::{DetachedDelivery, DetachedStream},
    tls::ClientCertificate,
};

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

    /// Returns the certificate that the client has shown in the handshake, if it has.
    pub(super) fn client_certificate(&self) -> Option<Arc<ClientCertificate>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => tls.client_certificate().map(Arc::new),
        }
    }

    /// Whether a stream of HTTP/1.1 on this connection can leave hyper. Versions of TLS before 1.3 stay.
    pub(super) fn can_leave_hyper(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Tls(tls) => tls.can_leave_hyper(),
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

    /// Returns the stream whose delivery has left hyper, once hyper is dropped. The client may send `discard` more bytes. Returns `None`
    /// if the client has ended the connection, or has broken a rule.
    pub(super) fn detach(self, delivery: DetachedDelivery, mut discard: usize) -> Option<DetachedStream> {
        let records = match self {
            Self::Plain => None,
            Self::Tls(tls) => Some(tls.into_records(&mut discard)?),
        };
        Some(DetachedStream {
            delivery,
            records,
            discard,
        })
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
