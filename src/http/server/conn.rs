//! One connection's socket, and what the layers above and below hyper tell each other about it.
//!
//! hyper owns the [`HyperIo`](super::io::HyperIo) and the body; neither sees the other through it. What they must know of each other
//! goes through here: whether the socket is blocked, whether a stream is on it, and why it ended.

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
use crate::{client::ClientKey, limits::IdleGuard, metrics::EndReason};

/// What is known of one connection. Its users run in the connection's own task, and on HTTP/2 in those of its requests.
#[derive(Debug)]
pub(in crate::http) struct ConnState {
    socket: TcpStream,
    /// Where it waits while it has nothing to do; nowhere once that will not happen again.
    idle_guard: Mutex<Option<Arc<IdleGuard>>>,
    received_request: AtomicBool,
    expects_stream: AtomicBool,
    is_streaming: AtomicBool,
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
            expects_stream: AtomicBool::new(false),
            is_streaming: AtomicBool::new(false),
            is_blocked: AtomicBool::new(false),
            body_waits: AtomicBool::new(false),
            end_reason: OnceLock::new(),
            pending_write: PendingWrite::default(),
        }
    }

    /// What it was given to write, and has not written yet.
    pub(in crate::http) fn pending_write(&self) -> &PendingWrite {
        &self.pending_write
    }

    pub(in crate::http) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads some bytes, as they are: for what comes before hyper. 0 is the end.
    pub(in crate::http) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.observe(self.socket.readable().await)?;
            match self.observe(self.socket.try_read(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Writes what the socket takes right now, without a look at whether the runtime believes that it takes anything. Who cannot
    /// write all of it has to wait as everybody does.
    pub(in crate::http) fn send_now(&self, bytes: &[u8]) -> usize {
        // An error is met again by whoever writes next; only what it was is told once.
        self.observe(SockRef::from(&self.socket).send(bytes)).unwrap_or(0)
    }

    /// A request came.
    pub(super) fn on_request(&self) {
        self.received_request.store(true, Ordering::Relaxed);
        self.leave_idle();
    }

    /// A stream is what it will be answered with.
    pub(in crate::http) fn expect_stream(&self) {
        self.expects_stream.store(true, Ordering::Relaxed);
    }

    /// The request has its answer. One that is no stream is as good as written: it is short.
    pub(super) fn on_response(&self) {
        if !self.expects_stream.load(Ordering::Relaxed) {
            self.enter_idle();
        }
    }

    /// Whether a request ever came.
    pub(super) fn has_received_request(&self) -> bool {
        self.received_request.load(Ordering::Relaxed)
    }

    /// Now that it is known whose connection this is, it waits for a request.
    pub(super) fn enter_idle_as(&self, client: ClientKey) {
        self.idle_guard()
            .iter()
            .for_each(|idle_guard| idle_guard.enter_as(client));
    }

    /// The same, for a trusted proxy.
    pub(super) fn enter_idle_as_proxy(&self) {
        self.idle_guard()
            .iter()
            .for_each(|idle_guard| idle_guard.enter_as_proxy());
    }

    /// It has nothing to do any more.
    pub(super) fn enter_idle(&self) {
        self.idle_guard().iter().for_each(|idle_guard| idle_guard.enter());
    }

    /// It has something to do, which is counted elsewhere.
    pub(super) fn leave_idle(&self) {
        self.idle_guard().iter().for_each(|idle_guard| idle_guard.leave());
    }

    /// It has something to do to its end.
    pub(super) fn release_idle_guard(&self) {
        *self.idle_guard.lock() = None;
    }

    /// Waits until it has to go for those that come.
    pub(in crate::http) async fn evicted(&self) {
        match self.idle_guard() {
            Some(idle_guard) => idle_guard.evicted().await,
            None => std::future::pending().await,
        }
    }

    fn idle_guard(&self) -> Option<Arc<IdleGuard>> {
        self.idle_guard.lock().clone()
    }

    /// From now on an endless body is all that is on this connection: no second request is answered.
    pub(in crate::http) fn begin_stream(&self) {
        self.is_streaming.store(true, Ordering::Relaxed);
    }

    /// Has its close be a reset: what the kernel still holds for this peer is freed at once.
    pub(super) fn set_reset_on_close(&self) {
        // Fails when the peer is gone, and then there is nothing to free.
        let _ = self.socket.set_zero_linger();
    }

    pub(super) fn is_streaming(&self) -> bool {
        self.is_streaming.load(Ordering::Relaxed)
    }

    /// What hyper has must be written before it gets more.
    pub(in crate::http) fn set_blocked(&self) {
        self.is_blocked.store(true, Ordering::Relaxed);
    }

    /// All that hyper had is written. Wakes the connection if its body held back for that.
    pub(in crate::http) fn set_flushed(&self, context: &Context<'_>) {
        self.is_blocked.store(false, Ordering::Relaxed);
        self.pending_write.clear();
        // hyper flushes behind its last look at the body, and need not look again by itself.
        if self.body_waits.swap(false, Ordering::Relaxed) {
            context.waker().wake_by_ref();
        }
    }

    /// Whether a body must hold back; if so, its task is woken when it need not any more.
    pub(in crate::http) fn should_wait(&self) -> bool {
        let is_blocked = self.is_blocked.load(Ordering::Relaxed);
        if is_blocked {
            self.body_waits.store(true, Ordering::Relaxed);
        }
        is_blocked
    }

    /// Notes that the socket took no byte for the stall deadline.
    pub(super) fn set_stalled(&self) {
        // The first reason is the cause of all others.
        let _ = self.end_reason.set(EndReason::Stalled);
    }

    /// Whether hyper has something that the socket did not take yet.
    pub(in crate::http) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Relaxed)
    }

    /// For how long the peer has been silent although it should not be: see [`unacknowledged_for`].
    pub(in crate::http) fn unacknowledged_for(&self) -> Duration {
        unacknowledged_for(&self.socket)
    }

    /// Ends the connection at once, with a reset: what the kernel still holds for the peer is freed. Its task notices by
    /// the end of its input.
    pub(in crate::http) fn reset(&self, reason: EndReason) {
        let _ = self.end_reason.set(reason);
        self.set_reset_on_close();
        // Fails on a socket that is gone already.
        let _ = SockRef::from(&self.socket).shutdown(Shutdown::Read);
    }

    /// Why this connection ended, as far as its socket knows.
    pub(in crate::http) fn end_reason(&self) -> EndReason {
        self.end_reason.get().copied().unwrap_or(EndReason::ClientClosed)
    }

    /// Passes a result of the socket on, and notes what it means.
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

    /// Throws away what the client sends: ready when it is gone, or has sent more than `budget` bytes.
    ///
    /// hyper would look for the end of its input only while it has nothing unread, so that a client that pipelined one
    /// byte behind its request and went would be noticed at the next heartbeat at best. This notices it at once.
    pub(in crate::http) fn poll_closed(&self, context: &mut Context<'_>, budget: &mut usize) -> Poll<()> {
        let mut rubbish = [0; 512];
        loop {
            if self
                .observe(ready!(self.socket.poll_read_ready(context)))
                .is_err()
            {
                return Poll::Ready(());
            }
            match self.observe(self.socket.try_read(&mut rubbish)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Ok(bytes @ 1..) if bytes <= *budget => *budget -= bytes,
                _ => return Poll::Ready(()),
            }
        }
    }
}

/// How many bytes a client may send behind its request for a stream: a few requests of a confused client. More is no
/// client of ours, and reading it costs CPU for nothing.
pub(in crate::http) const MAX_PIPELINED_BYTES: usize = 64 * 1024;
