//! What hyper reads from and writes to: a socket, or TLS above one.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tokio_util::either::Either;

use super::{conn::ConnState, io::HyperIo, tls::TlsIo};
use crate::{
    http::delivery::handoff::{DetachedDelivery, DetachedStream},
    tls::ClientCertificate,
};

/// The transport of one connection: the bare socket, or TLS above it.
pub(super) type Transport = Either<HyperIo, TlsIo>;

/// Notices the end of a connection's input while a stream is on it.
#[derive(Debug)]
pub(super) enum InputEnd {
    /// Looks at the socket.
    Plain,
    /// Looks at what TLS makes of it.
    Tls(TlsIo),
}

/// Returns the certificate that the client has shown in the handshake, if it has.
pub(super) fn client_certificate(transport: &Transport) -> Option<Arc<ClientCertificate>> {
    match transport {
        Either::Left(_) => None,
        Either::Right(tls) => tls.client_certificate().map(Arc::new),
    }
}

/// Whether a stream of HTTP/1.1 on this connection can leave hyper. Versions of TLS before 1.3 stay.
pub(super) fn can_leave_hyper(transport: &Transport) -> bool {
    match transport {
        Either::Left(_) => true,
        Either::Right(tls) => tls.can_leave_hyper(),
    }
}

impl InputEnd {
    /// Returns what notices the end of a transport's input.
    pub(super) fn of(transport: &Transport) -> Self {
        match transport {
            Either::Left(_) => Self::Plain,
            Either::Right(tls) => Self::Tls(tls.clone()),
        }
    }

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
