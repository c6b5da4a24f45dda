//! TLS of a connection: its handshake, and the stream above its socket that hyper reads and writes.
//!
//! Not here: certificates and the state of TLS (`tls` at the top of the crate), and a stream that has left hyper (`fanout`).
//!
//! The socket is written by the same [`SocketWriter`] as without TLS, so that stalled peers are noticed in the same way. A
//! connection counts as flushed only when what was sealed for it is written. From then on, until a stream leaves hyper and rustls,
//! nothing that the client sends is opened: see `tls::session`.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, timeout_at},
};
use tokio_rustls::rustls::{CommonState, Error, HandshakeKind, ProtocolVersion, server::Acceptor};

use super::{conn::ConnState, writer::SocketWriter};
use crate::{
    client::ClientKey,
    limits::IdleWait,
    metrics::HandshakeFailure,
    tls::{ClientCertificate, TlsRecords, TlsServer, TlsSession},
};

/// The stream of a connection behind its handshake. Clones share it: hyper has one, and the connection's task another, to notice
/// the end of the input. Both are used in that task only, so that neither waits for the other.
#[derive(Clone, Debug)]
pub(in crate::http) struct TlsIo(Arc<Mutex<TlsStream>>);

/// Does the handshake of a connection of `client` by the deadline, and counts how it ends. Returns `None` if it fails.
pub(super) async fn handshake(
    tls: &TlsServer,
    conn: &Arc<ConnState>,
    client: ClientKey,
    stall_timeout: Duration,
    deadline: Instant,
) -> Option<TlsIo> {
    let mut dropped = DroppedHandshake {
        tls,
        conn,
        is_over: false,
    };
    let deadline = deadline.min(Instant::now() + HANDSHAKE_TIMEOUT);
    let shaken = timeout_at(deadline, shake_hands(tls, conn, client, stall_timeout)).await;
    dropped.is_over = true;
    let failure = match shaken {
        Ok(Ok(stream)) => {
            let agreed = stream.session.common();
            tls.metrics().completed(version(agreed), is_resumed(agreed));
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

/// Counts a handshake that is dropped before it is over, because its connection was evicted.
struct DroppedHandshake<'a> {
    tls: &'a TlsServer,
    conn: &'a ConnState,
    is_over: bool,
}

impl Drop for DroppedHandshake<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.conn.is_evicted() {
            self.tls.metrics().failed(HandshakeFailure::Evicted);
        }
    }
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
    client: ClientKey,
    stall_timeout: Duration,
) -> io::Result<TlsStream> {
    let first = first_message(conn).await?;
    conn.with_idle_guard(|guard| guard.renew(IdleWait::Turn));
    let (own, writer) = (tls.clone(), SocketWriter::new(Arc::clone(conn), stall_timeout));
    let rest = async move {
        let mut stream = TlsStream {
            session: TlsSession::begin(own.config(), &first).map_err(invalid)?,
            writer,
            key_update_after: own.key_update_after(),
        };
        poll_fn(|context| stream.poll_handshake(context)).await?;
        Ok::<_, io::Error>(stream)
    };
    tls.run_handshake(client, rest).await.map_err(io::Error::other)?
}

/// Reads until the client's first message is complete, or something else than that has come.
async fn first_message(conn: &ConnState) -> io::Result<Vec<u8>> {
    // It reads the message once more than rustls will, which costs little beside the signature.
    let mut acceptor = Acceptor::default();
    let (mut message, mut buffer) = (Vec::new(), vec![0; READ_LEN]);
    loop {
        let length = conn.read(&mut buffer).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut more = &buffer[..length];
        message.extend_from_slice(more);
        while !more.is_empty() {
            let is_complete = acceptor.read_tls(&mut more).is_err() || !matches!(acceptor.accept(), Ok(None));
            // What is wrong with it, rustls finds again, and tells the client.
            if is_complete {
                return Ok(message);
            }
        }
    }
}

fn is_resumed(agreed: &CommonState) -> bool {
    agreed.handshake_kind() == Some(HandshakeKind::Resumed)
}

fn version(agreed: &CommonState) -> &'static str {
    match agreed.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        _ => "1.2",
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl TlsIo {
    /// Whether the client and we have agreed on HTTP/2 (ALPN). A client that offers nothing gets HTTP/1.1.
    pub(super) fn is_http2(&self) -> bool {
        self.0.lock().session.common().alpn_protocol() == Some(b"h2")
    }

    /// Returns the certificate that the client has shown, if it has. A resumed session has that of its first handshake.
    pub(super) fn client_certificate(&self) -> Option<ClientCertificate> {
        let stream = self.0.lock();
        ClientCertificate::of_chain(stream.session.common().peer_certificates()?)
    }

    /// Whether a stream on this connection can leave hyper.
    pub(super) fn can_leave_hyper(&self) -> bool {
        self.0.lock().session.can_leave()
    }

    /// Discards what the client sends. Ready when the client is gone, or has sent more than `budget` bytes. See
    /// [`ConnState::poll_closed`].
    pub(super) fn poll_closed(&self, context: &mut Context<'_>, budget: &mut usize) -> Poll<()> {
        let mut stream = self.0.lock();
        if stream.conn().is_leaving_hyper() {
            return stream.poll_end_unopened(context);
        }
        let mut rubbish = [0; 512];
        loop {
            let mut buffer = ReadBuf::new(&mut rubbish);
            let read = ready!(stream.poll_read(context, &mut buffer));
            match (read, buffer.filled().len()) {
                (Ok(()), bytes @ 1..) if bytes <= *budget => *budget -= bytes,
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Returns the records of a connection that hyper has flushed and dropped. What the client has sent behind its request reduces
    /// `budget`. Returns `None` if the connection must end.
    pub(super) fn into_records(self, budget: &mut usize) -> Option<Box<TlsRecords>> {
        let stream = Arc::into_inner(self.0)?.into_inner();
        let records = stream.session.into_records(stream.key_update_after, budget);
        records.map(Box::new)
    }
}

/// TLS above a socket.
#[derive(Debug)]
struct TlsStream {
    session: TlsSession,
    writer: SocketWriter,
    /// How many records a stream on the bare socket seals under one key.
    key_update_after: u32,
}

impl TlsStream {
    fn conn(&self) -> &ConnState {
        self.writer.conn()
    }

    /// Ready when the handshake is complete and all of our side is written. A failure is returned behind its alert.
    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let answers = !self.session.outgoing().is_empty();
            ready!(self.poll_send(context))?;
            if answers {
                self.conn()
                    .with_idle_guard(|guard| guard.renew(IdleWait::RoundTrip));
            }
            if let Some(failure) = self.session.failure() {
                return Poll::Ready(Err(invalid(failure.clone())));
            }
            if !self.session.common().is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_receive(context))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            // Kept as the failure.
            let _ = self.session.process();
        }
    }

    /// Writes what is sealed. Ready when all of it is written.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.session.outgoing().is_empty() {
            let outgoing = self.session.outgoing();
            let write = |conn: &ConnState| conn.socket().try_write(outgoing);
            let taken = ready!(self.writer.poll_write_with(context, write))?;
            self.session.advance(taken);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads from the socket, and opens nothing yet. Returns how many bytes came, 0 at the end.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let conn = self.writer.conn();
        loop {
            conn.observe(ready!(conn.socket().poll_read_ready(context)))?;
            let Some(room) = self.session.room() else {
                return Poll::Ready(Err(invalid(Error::PeerSentOversizedRecord)));
            };
            match conn.observe(conn.socket().try_read_buf(room)) {
                // A connection that waits for days keeps no room for it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.session.free_room(),
                read => return Poll::Ready(read),
            }
        }
    }

    /// Ready when the client is gone. What it sends is kept for the records of the stream, and is bounded: what does not fit stays in
    /// the socket.
    fn poll_end_unopened(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.session.has_room() {
            let received = ready!(self.poll_receive(context));
            if !matches!(received, Ok(1..)) {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let plaintext = self.session.plaintext();
            if !plaintext.is_empty() {
                let length = plaintext.len().min(buffer.remaining());
                buffer.put_slice(&plaintext[..length]);
                self.session.consume(length);
                return Poll::Ready(Ok(()));
            }
            if self.session.is_ended() {
                return Poll::Ready(Ok(()));
            }
            // Nothing may be opened now. The connection's task is woken by `poll_closed`.
            if self.conn().is_leaving_hyper() {
                return Poll::Pending;
            }
            if ready!(self.poll_receive(context))? == 0 {
                // Without close_notify, somebody may have cut off the rest.
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            if let Err(error) = self.session.process() {
                // What does not go out at once is lost with the connection.
                let _ = self.poll_send(context);
                return Poll::Ready(Err(invalid(error)));
            }
        }
    }

    /// Seals at most one write ahead of the socket.
    fn poll_write(&mut self, context: &mut Context<'_>, text: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(context))?;
        self.session.seal(text).map_err(invalid)?;
        match self.poll_send(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(text.len())),
        }
    }
}

impl AsyncRead for TlsIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.lock().poll_read(context, buffer)
    }
}

impl AsyncWrite for TlsIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let text = &bytes[..bytes.len().min(WRITE_LEN)];
        self.0.lock().poll_write(context, text)
    }

    /// Joins the slices, so that they share records.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut stream = self.0.lock();
        ready!(stream.poll_send(context))?;
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut text = Vec::with_capacity(total.min(WRITE_LEN));
        for slice in slices {
            text.extend_from_slice(&slice[..slice.len().min(WRITE_LEN - text.len())]);
        }
        stream.poll_write(context, &text)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Writes what is sealed, and records that all is written: hyper flushes when it has nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = self.0.lock();
        ready!(stream.poll_send(context))?;
        stream.conn().set_flushed(context);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = self.0.lock();
        if stream.session.failure().is_none() {
            stream.session.close().map_err(invalid)?;
        }
        ready!(stream.poll_send(context))?;
        Poll::Ready(SockRef::from(stream.conn().socket()).shutdown(Shutdown::Write))
    }
}

/// How long a handshake may take, from the first byte that is waited for. It has one round trip or two; the rest is for lost
/// packets, which the kernel sends again after one, two and four seconds.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes of the first message are read at a time. Most have less than half of it.
const READ_LEN: usize = 4 * 1024;

/// How many bytes of text are sealed ahead of the socket: a batch.
const WRITE_LEN: usize = 64 * 1024;
