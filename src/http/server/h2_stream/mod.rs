//! One request of an HTTP/2 connection, and the deadline for its client to take the response.
//!
//! On HTTP/1.1 the socket tells whether a client reads. On HTTP/2 the socket may be writable, because other streams use it, while
//! the window of one stream stays closed. hyper (1.12) polls the body before it looks at the window. It keeps the piece that it gets
//! until h2 has room, hands it over whole, and then polls the body again. h2 has room once the client's window has some and all that
//! was handed over before fits into it. So:
//!
//! - A poll after a piece tells that the client takes all before that piece. Of the piece itself, h2 may hold all but one byte.
//! - The client does not read if a body has given a piece and is not polled again. It has taken nothing since the last such poll,
//!   which may be a heartbeat before the piece was given: until then there was nothing that could have told.

mod body;
mod stall;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::Context,
};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{conn::ConnState, pending_write::PendingWrite};
use crate::{limits::IdleGuard, metrics::EndReason};

pub(in crate::http) use body::ChunkedBody;
pub(super) use stall::StallTimeout;

/// The state of one request of a connection. All but the connection's counts is used by the request's own task only.
#[derive(Debug)]
pub(in crate::http) struct H2Stream {
    conn: Arc<ConnState>,
    counts: Arc<StreamCounts>,
    expects_stream: AtomicBool,
    /// Whether it keeps its connection off the list of idle connections.
    busy: AtomicBool,
    /// How many pieces hyper has taken.
    pieces_sent: AtomicU64,
    /// Whether hyper has not polled the body since it took the last piece.
    is_blocked: AtomicBool,
    /// When hyper last polled the body after a piece.
    handed_over_at: Mutex<Instant>,
    /// Whether the batch that is given may be a part of a large text.
    is_large: AtomicBool,
    /// Why the stream has to end, if it is reset from our side.
    end_reason: OnceLock<EndReason>,
    waker: AtomicWaker,
    pending_write: PendingWrite,
}

/// The counts of one connection's requests.
#[derive(Debug, Default)]
pub(in crate::http) struct StreamCounts {
    /// Requests whose response is not complete.
    pub(in crate::http) open: AtomicUsize,
    /// All requests so far.
    pub(in crate::http) total: AtomicUsize,
    /// Open requests that have no response yet or an endless body. The lock is held while the connection enters or leaves the
    /// list of idle connections, because one request may end while the next begins.
    busy: Mutex<usize>,
}

impl H2Stream {
    /// Counts one more request of the connection, which is not idle until the request has its response.
    pub(in crate::http) fn new(conn: &Arc<ConnState>, counts: &Arc<StreamCounts>) -> Self {
        counts.open.fetch_add(1, Ordering::Relaxed);
        counts.total.fetch_add(1, Ordering::Relaxed);
        let mut busy = counts.busy.lock();
        *busy += 1;
        conn.with_idle_guard(IdleGuard::leave);
        drop(busy);
        Self {
            conn: Arc::clone(conn),
            counts: Arc::clone(counts),
            expects_stream: AtomicBool::new(false),
            busy: AtomicBool::new(true),
            pieces_sent: AtomicU64::new(0),
            is_blocked: AtomicBool::new(false),
            handed_over_at: Mutex::new(Instant::now()),
            is_large: AtomicBool::new(false),
            end_reason: OnceLock::new(),
            waker: AtomicWaker::new(),
            pending_write: PendingWrite::default(),
        }
    }

    /// Records that the request will be answered with a stream.
    pub(in crate::http) fn expect_stream(&self) {
        self.expects_stream.store(true, Ordering::Relaxed);
    }

    /// Records that the request has its response. With one that is no stream the request no longer keeps its connection busy.
    pub(super) fn on_response(&self) {
        if !self.expects_stream.load(Ordering::Relaxed) {
            self.set_idle();
        }
    }

    /// Records that the request keeps its connection busy no longer. The connection becomes idle with the last of them.
    fn set_idle(&self) {
        if !self.busy.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut busy = self.counts.busy.lock();
        *busy -= 1;
        if *busy == 0 {
            self.conn.with_idle_guard(IdleGuard::enter);
        }
    }

    /// Returns why the stream ended, as far as it or its connection knows.
    pub(in crate::http) fn end_reason(&self) -> EndReason {
        self.end_reason
            .get()
            .copied()
            .unwrap_or_else(|| self.conn.end_reason())
    }

    /// Returns what the stream was given last and may not have written yet.
    pub(in crate::http) fn pending_write(&self) -> &PendingWrite {
        &self.pending_write
    }

    /// Records the length of the batch that is given next, in one frame or several.
    pub(in crate::http) fn begin_batch(&self, length: usize) {
        self.is_large.store(length > SEND_BUFFER, Ordering::Relaxed);
    }

    /// Returns the connection, which carries other streams as well.
    pub(in crate::http) fn conn(&self) -> &ConnState {
        &self.conn
    }

    /// Ends this stream and no other of its connection.
    pub(in crate::http) fn reset(&self, reason: EndReason) {
        let _ = self.end_reason.set(reason);
        self.waker.wake();
    }

    /// Whether the last piece waits for the client's window, with what was handed over before it.
    pub(in crate::http) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Relaxed)
    }

    /// Whether the stream was [`reset`](Self::reset). If not, the task is woken when it is.
    fn is_reset(&self, context: &Context<'_>) -> bool {
        // Registered before the check, so that a reset between the two wakes the task.
        self.waker.register(context.waker());
        self.end_reason.get().is_some()
    }

    /// Records that hyper polls the body. If it has taken a piece, that piece is handed over now, and those before it are written.
    fn on_poll(&self) {
        if self.is_blocked.swap(false, Ordering::Relaxed) {
            *self.handed_over_at.lock() = Instant::now();
            self.pending_write.clear_handed_over();
        }
    }

    /// Returns how many pieces hyper has taken, if the last is not handed over, and since when the client has taken nothing.
    fn blocked_since(&self) -> Option<(u64, Instant)> {
        self.is_blocked().then(|| {
            (
                self.pieces_sent.load(Ordering::Relaxed),
                *self.handed_over_at.lock(),
            )
        })
    }
}

impl Drop for H2Stream {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
        self.set_idle();
    }
}

/// How much of a batch is given to hyper at a time, in bytes: the size of an HTTP/2 frame that clients accept by default.
pub(in crate::http) const PIECE: usize = 16 * 1024;

/// How many bytes of one stream h2 buffers beyond what is sent: as many as the socket takes.
pub(super) const SEND_BUFFER: usize = 64 * 1024;

#[cfg(test)]
mod tests;
