//! TLS of a connection: its handshake, and the stream above its socket that hyper reads and writes.
//!
//! Not here: certificates (`tls` at the top of the crate).
//!
//! A stream over TLS stays with hyper: its connection is never taken over. Below rustls is the same [`HyperIo`] as without TLS,
//! so that stalled peers are noticed in the same way. rustls flushes it only once it has nothing left to write, so that a
//! connection counts as flushed when its ciphertext is out.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};
use tokio_rustls::{
    LazyConfigAcceptor,
    rustls::{Error, HandshakeKind, ProtocolVersion, ServerConnection, server::Acceptor},
    server::TlsStream,
};

use super::{conn::ConnState, io::HyperIo};
use crate::{
    metrics::HandshakeFailure,
    tls::{TlsServer, expires_before},
};

/// The stream of a connection behind its handshake. Clones share it: hyper has one, and the connection's task another, to notice
/// the end of the input. Both are used in that task only, so that neither waits for the other.
#[derive(Clone, Debug)]
pub(in crate::http) struct TlsIo(Arc<Mutex<TlsStream<HyperIo>>>);

/// Does the handshake of a connection, and counts how it ends. Returns `None` if it fails.
pub(super) async fn handshake(
    tls: &TlsServer,
    conn: &Arc<ConnState>,
    stall_timeout: Duration,
) -> Option<TlsIo> {
    let shaken = timeout(HANDSHAKE_TIMEOUT, shake_hands(tls, conn, stall_timeout)).await;
    let failure = match shaken {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            tls.metrics().completed(version(session), is_resumed(session));
            return Some(TlsIo(Arc::new(Mutex::new(stream))));
        }
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            failure(&error)
        }
        Err(_) => HandshakeFailure::TimedOut,
    };
    tls.metrics().failed(failure);
    None
}

/// Returns whose decision the end of a handshake was. A client that does not trust us says so with an alert.
fn failure(error: &io::Error) -> HandshakeFailure {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    match cause {
        Some(Error::AlertReceived(_)) => HandshakeFailure::Closed,
        Some(_) => HandshakeFailure::Refused,
        None if error.kind() == io::ErrorKind::InvalidData => HandshakeFailure::Refused,
        None => HandshakeFailure::Closed,
    }
}

/// Waits for the client's first message, so that who sends nothing keeps nobody from a handshake. The rest takes turns, on other
/// threads than streams.
async fn shake_hands(
    tls: &TlsServer,
    conn: &Arc<ConnState>,
    stall_timeout: Duration,
) -> io::Result<TlsStream<HyperIo>> {
    let io = HyperIo::new(Arc::clone(conn), Bytes::new(), stall_timeout);
    let start = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
    let own = tls.clone();
    let rest = async move { start.into_stream(own.config()).await };
    let stream = tls.run_handshake(rest).await.map_err(io::Error::other)??;
    check_resumed(stream.get_ref().1)?;
    Ok(stream)
}

/// Checks again that the client's certificate has not expired. A resumed handshake trusts the one in the ticket.
fn check_resumed(session: &ServerConnection) -> io::Result<()> {
    match session.peer_certificates() {
        Some(chain) if is_resumed(session) && expires_before(chain, SystemTime::now()) => {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the client's certificate has expired since its session began",
            ))
        }
        _ => Ok(()),
    }
}

fn is_resumed(session: &ServerConnection) -> bool {
    session.handshake_kind() == Some(HandshakeKind::Resumed)
}

fn version(session: &ServerConnection) -> &'static str {
    match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        _ => "1.2",
    }
}

impl TlsIo {
    /// Whether the client and we have agreed on HTTP/2 (ALPN). A client that offers nothing gets HTTP/1.1.
    pub(super) fn is_http2(&self) -> bool {
        self.0.lock().get_ref().1.alpn_protocol() == Some(b"h2")
    }

    /// Discards what the client sends. Ready when the client is gone, or has sent more than `budget` bytes. See
    /// [`ConnState::poll_closed`].
    pub(super) fn poll_closed(&self, context: &mut Context<'_>, budget: &mut usize) -> Poll<()> {
        let mut rubbish = [0; 512];
        let mut stream = self.0.lock();
        loop {
            let mut buffer = ReadBuf::new(&mut rubbish);
            let read = ready!(Pin::new(&mut *stream).poll_read(context, &mut buffer));
            match (read, buffer.filled().len()) {
                (Ok(()), bytes @ 1..) if bytes <= *budget => *budget -= bytes,
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl AsyncRead for TlsIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock()).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.lock()).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.lock()).poll_shutdown(context)
    }
}

/// How long a handshake may take, from the first byte that is waited for. It has one round trip or two; the rest is for lost
/// packets, which the kernel sends again after one, two and four seconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
