//! One request of an HTTP/2 connection, and the deadline for its client to take the response.
//!
//! On HTTP/1.1 the socket tells whether a client reads. On HTTP/2 the socket may be writable, because other streams use it, while
//! the window of one stream stays closed. hyper does not poll the body of that stream then. So the client does not read if a body
//! has given a piece and is not polled again.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures_util::task::AtomicWaker;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};

use super::{conn::ConnState, pending_write::PendingWrite};
use crate::metrics::EndReason;

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
        conn.leave_idle();
        drop(busy);
        Self {
            conn: Arc::clone(conn),
            counts: Arc::clone(counts),
            expects_stream: AtomicBool::new(false),
            busy: AtomicBool::new(true),
            pieces_sent: AtomicU64::new(0),
            is_blocked: AtomicBool::new(false),
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
            self.conn.enter_idle();
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

    /// Returns the connection, which carries other streams as well.
    pub(in crate::http) fn conn(&self) -> &ConnState {
        &self.conn
    }

    /// Ends this stream and no other of its connection.
    pub(in crate::http) fn reset(&self, reason: EndReason) {
        let _ = self.end_reason.set(reason);
        self.waker.wake();
    }

    /// Whether the client's window has no room for the next piece.
    pub(in crate::http) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Relaxed)
    }

    /// Whether the stream was [`reset`](Self::reset). If not, the task is woken when it is.
    fn is_reset(&self, context: &Context<'_>) -> bool {
        // Registered before the check, so that a reset between the two wakes the task.
        self.waker.register(context.waker());
        self.end_reason.get().is_some()
    }

    /// Returns how many pieces hyper has taken. Returns `None` if the client has room for the next.
    fn blocked_at(&self) -> Option<u64> {
        self.is_blocked()
            .then(|| self.pieces_sent.load(Ordering::Relaxed))
    }
}

impl Drop for H2Stream {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
        self.set_idle();
    }
}

/// A body that is given to hyper in pieces of at most [`PIECE`] bytes, so that a client that takes part of a large batch is not
/// taken for one that has stalled.
pub(super) struct ChunkedBody {
    body: Body,
    h2_stream: Arc<H2Stream>,
    rest: Bytes,
}

impl ChunkedBody {
    pub(in crate::http) fn new(body: Body, h2_stream: Arc<H2Stream>) -> Self {
        Self {
            body,
            h2_stream,
            rest: Bytes::new(),
        }
    }

    fn next_piece(&mut self) -> Frame<Bytes> {
        self.h2_stream.pieces_sent.fetch_add(1, Ordering::Relaxed);
        self.h2_stream.is_blocked.store(true, Ordering::Relaxed);
        Frame::data(self.rest.split_to(self.rest.len().min(PIECE)))
    }
}

impl http_body::Body for ChunkedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.h2_stream.is_blocked.store(false, Ordering::Relaxed);
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        Poll::Ready(Some(Ok(self.next_piece())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The task of a request. It ends when the client has taken nothing for the stall deadline, and hyper then resets the stream.
pub(super) struct StallTimeout<F> {
    task: Pin<Box<F>>,
    h2_stream: Arc<H2Stream>,
    stall_timeout: Duration,
    /// The number of the piece at which the wait began, and its deadline. `None` while the task does not wait, as most never do.
    stall: Option<(u64, Pin<Box<Sleep>>)>,
}

impl<F> StallTimeout<F> {
    pub(in crate::http) fn new(task: F, h2_stream: Arc<H2Stream>, stall_timeout: Duration) -> Self {
        Self {
            task: Box::pin(task),
            h2_stream,
            stall_timeout,
            stall: None,
        }
    }

    /// Ready when the client has taken no piece for the stall deadline, or has not taken in time what was deleted meanwhile.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(piece) = self.h2_stream.blocked_at() else {
            self.stall = None;
            return Poll::Pending;
        };
        let timeout = self.stall_timeout;
        let (since, stall) = self
            .stall
            .get_or_insert_with(|| (piece, Box::pin(sleep(timeout))));
        if *since != piece {
            *since = piece;
            stall.as_mut().reset(Instant::now() + timeout);
        }
        if let Some(due) = self
            .h2_stream
            .pending_write()
            .due(timeout)
            .filter(|due| *due < stall.deadline())
        {
            stall.as_mut().reset(due);
        }
        stall.as_mut().poll(context)
    }
}

impl<F: Future<Output = ()>> Future for StallTimeout<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.task.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if !self.h2_stream.is_reset(context) {
            ready!(self.poll_stalled(context));
            self.h2_stream.reset(EndReason::Stalled);
        }
        Poll::Ready(())
    }
}

/// How much of a batch is given to hyper at a time, in bytes: the size of an HTTP/2 frame that clients accept by default.
pub(in crate::http) const PIECE: usize = 16 * 1024;
