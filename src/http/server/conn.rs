//! One connection's socket, and the state that the layers above and below hyper share about it.
//!
//! hyper owns the [`HyperIo`](super::io::HyperIo) below it and the body above it, and neither reaches the other through hyper.
//! What they must know of each other is here: whether the socket is blocked, whether a stream is on it, and why it ended.

use std::{
    io,
    net::Shutdown,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::{pending_write::PendingWrite, tcp_info::unacknowledged_for};
use crate::{limits::IdleGuard, metrics::EndReason};

/// The state of one connection. It is used in the connection's own task, and with HTTP/2 in the tasks of its requests too.
#[derive(Debug)]
pub(in crate::http) struct ConnState {
    socket: TcpStream,
    /// Its entry in the list of idle connections. `None` once the connection cannot become idle again.
    idle_guard: Mutex<Option<Arc<IdleGuard>>>,
    received_request: AtomicBool,
    /// Whether the last request of HTTP/1.1 has no response yet.
    awaits_response: AtomicBool,
    /// Whether the response to the last request of HTTP/1.1 is not written yet.
    has_response_to_write: AtomicBool,
    expects_stream: AtomicBool,
    is_streaming: AtomicBool,
    is_leaving_hyper: AtomicBool,
    is_blocked: AtomicBool,
    body_waits: AtomicBool,
    end_reason: OnceLock<EndReason>,
    pending_write: PendingWrite,
}

impl ConnState {
    pub(in crate::http) fn new(socket: TcpStream, idle_guard: Option<IdleGuard>) -> Self {
        Self {
            socket,
            idle_guard: Mutex::new(idle_guard.map(Arc::new)),
            received_request: AtomicBool::new(false),
            awaits_response: AtomicBool::new(false),
            has_response_to_write: AtomicBool::new(false),
            expects_stream: AtomicBool::new(false),
            is_streaming: AtomicBool::new(false),
            is_leaving_hyper: AtomicBool::new(false),
            is_blocked: AtomicBool::new(false),
            body_waits: AtomicBool::new(false),
            end_reason: OnceLock::new(),
            pending_write: PendingWrite::default(),
        }
    }

    /// Returns what the connection was given to write and has not written yet.
    pub(in crate::http) fn pending_write(&self) -> &PendingWrite {
        &self.pending_write
    }

    pub(in crate::http) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads some raw bytes, before hyper gets the connection. Returns 0 at the end of the input.
    pub(in crate::http) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.observe(self.socket.readable().await)?;
            match self.observe(self.socket.try_read(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Writes as much as the socket takes at once, without asking the runtime whether the socket is ready. Returns how many bytes
    /// it took. A caller that has a rest has to wait for readiness, as after any other write.
    pub(in crate::http) fn send_now(&self, bytes: &[u8]) -> usize {
        // The next write meets the error again. Only its kind is reported once, and `observe` keeps it.
        self.observe(SockRef::from(&self.socket).send(bytes)).unwrap_or(0)
    }

    /// Records that a request came.
    pub(super) fn on_request(&self) {
        self.received_request.store(true, Ordering::Relaxed);
        self.awaits_response.store(true, Ordering::Relaxed);
        self.has_response_to_write.store(true, Ordering::Relaxed);
        self.with_idle_guard(IdleGuard::leave);
    }

    /// Records that the request will be answered with a stream.
    pub(in crate::http) fn expect_stream(&self) {
        self.expects_stream.store(true, Ordering::Relaxed);
    }

    /// Records that the request has its response. A response that is no stream counts as written: it is short.
    pub(super) fn on_response(&self) {
        self.awaits_response.store(false, Ordering::Relaxed);
        if !self.expects_stream.load(Ordering::Relaxed) {
            self.with_idle_guard(IdleGuard::enter);
        }
    }

    /// Whether every request of HTTP/1.1 so far has its response, written to its end. What hyper writes now is its own.
    pub(super) fn is_between_requests(&self) -> bool {
        !self.has_response_to_write.load(Ordering::Relaxed) && !self.expects_stream.load(Ordering::Relaxed)
    }

    /// Whether a request ever came.
    pub(super) fn has_received_request(&self) -> bool {
        self.received_request.load(Ordering::Relaxed)
    }

    /// Changes the connection's entry in the list of idle connections. Does nothing if the connection cannot become idle again.
    pub(super) fn with_idle_guard(&self, change: impl FnOnce(&IdleGuard)) {
        if let Some(idle_guard) = self.idle_guard() {
            change(&idle_guard);
        }
    }

    /// Takes the connection out of the list of idle connections for good, since a stream is on it until it ends.
    pub(super) fn release_idle_guard(&self) {
        *self.idle_guard.lock() = None;
    }

    /// Waits until the connection is evicted for a new one. Never returns if it is not counted.
    pub(in crate::http) async fn evicted(&self) {
        match self.idle_guard() {
            Some(idle_guard) => idle_guard.evicted().await,
            None => std::future::pending().await,
        }
    }

    /// Whether the connection was evicted for a new one.
    pub(super) fn is_evicted(&self) -> bool {
        self.idle_guard()
            .is_some_and(|idle_guard| idle_guard.is_evicted())
    }

    fn idle_guard(&self) -> Option<Arc<IdleGuard>> {
        self.idle_guard.lock().clone()
    }

    /// Records that an endless body has begun. From now on no second request is answered on this connection.
    pub(in crate::http) fn begin_stream(&self) {
        self.is_streaming.store(true, Ordering::Relaxed);
    }

    /// Records that the body which has begun leaves hyper as soon as its head is written. TLS opens nothing from now on.
    pub(in crate::http) fn begin_handoff(&self) {
        self.is_leaving_hyper.store(true, Ordering::Relaxed);
    }

    /// Whether a body that has begun leaves hyper.
    pub(super) fn is_leaving_hyper(&self) -> bool {
        self.is_leaving_hyper.load(Ordering::Relaxed)
    }

    /// Makes the later close a reset, so that the kernel frees at once what it still holds for this peer.
    pub(super) fn set_reset_on_close(&self) {
        // Fails if the peer is gone, and then there is nothing to free.
        let _ = self.socket.set_zero_linger();
    }

    pub(super) fn is_streaming(&self) -> bool {
        self.is_streaming.load(Ordering::Relaxed)
    }

    /// Marks the connection as blocked: what hyper has must be written before it gets more.
    pub(in crate::http) fn set_blocked(&self) {
        self.is_blocked.store(true, Ordering::Relaxed);
    }

    /// Records that all hyper had is written. Wakes the connection's task if the body was waiting for that.
    pub(in crate::http) fn set_flushed(&self, context: &Context<'_>) {
        self.is_blocked.store(false, Ordering::Relaxed);
        self.pending_write.clear();
        if !self.awaits_response.load(Ordering::Relaxed) {
            self.has_response_to_write.store(false, Ordering::Relaxed);
        }
        // hyper flushes after it last polled the body, and may not poll it again by itself.
        if self.body_waits.swap(false, Ordering::Relaxed) {
            context.waker().wake_by_ref();
        }
    }

    /// Whether a body must wait until what it gave is written. If so, its task is woken when that is done.
    pub(in crate::http) fn should_wait(&self) -> bool {
        let is_blocked = self.is_blocked.load(Ordering::Relaxed);
        if is_blocked {
            self.body_waits.store(true, Ordering::Relaxed);
        }
        is_blocked
    }

    /// Records that the socket took no byte for the stall deadline.
    pub(super) fn set_stalled(&self) {
        // `set` keeps the first reason, which is the cause of all others.
        let _ = self.end_reason.set(EndReason::Stalled);
    }

    /// Whether hyper, or a write task, has something that the socket has not taken yet.
    pub(in crate::http) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Relaxed)
    }

    /// Returns for how long the peer has acknowledged nothing although something is due: see [`unacknowledged_for`].
    pub(in crate::http) fn unacknowledged_for(&self) -> Duration {
        unacknowledged_for(&self.socket)
    }

    /// Ends the connection at once with a reset, which frees what the kernel still holds for the peer. The connection's task
    /// notices it by the end of the input.
    pub(in crate::http) fn reset(&self, reason: EndReason) {
        let _ = self.end_reason.set(reason);
        self.set_reset_on_close();
        // Fails if the socket is closed already.
        let _ = SockRef::from(&self.socket).shutdown(Shutdown::Read);
    }

    /// Returns why the connection ended, as far as it is known here.
    pub(in crate::http) fn end_reason(&self) -> EndReason {
        self.end_reason.get().copied().unwrap_or(EndReason::ClientClosed)
    }

    /// Returns a result of the socket unchanged, and records [`EndReason::Vanished`] if it means that the peer is unreachable.
    pub(super) fn observe<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result
            && matches!(
                error.kind(),
                io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable
            )
        {
            let _ = self.end_reason.set(EndReason::Vanished);
        }
        result
    }

    /// Discards what the client sends. Ready when the client is gone, or has sent more than `budget` bytes.
    ///
    /// hyper would look for the end of the input only while it has nothing unread. A client that sent one byte behind its request
    /// and left would be noticed at the next heartbeat at best. This notices it at once.
    pub(in crate::http) fn poll_closed(&self, context: &mut Context<'_>, budget: &mut usize) -> Poll<()> {
        self.poll_received(context, |bytes| match budget.checked_sub(bytes.len()) {
            Some(rest) => {
                *budget = rest;
                true
            }
            None => false,
        })
    }

    /// Gives what the client sends to `take`. Ready when the client is gone, or `take` returns false.
    pub(in crate::http) fn poll_received(
        &self,
        context: &mut Context<'_>,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Poll<()> {
        let mut buffer = [0; 512];
        loop {
            if self
                .observe(ready!(self.socket.poll_read_ready(context)))
                .is_err()
            {
                return Poll::Ready(());
            }
            match self.observe(self.socket.try_read(&mut buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Ok(bytes @ 1..) if take(&buffer[..bytes]) => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

/// How many bytes a client may send behind its request for a stream: a few requests of a confused client. A peer that sends
/// more is no client of ours, and reading it costs CPU for nothing.
pub(in crate::http) const MAX_PIPELINED_BYTES: usize = 64 * 1024;
