//! One request of an HTTP/2 connection, and the deadline for its client to take what it asked for.
//!
//! On HTTP/1.1 the socket says whether a client reads. Here the socket may be fine, because other streams use it, while one
//! stream's window stays closed. hyper then asks that stream's body for nothing more, so a body given a piece and not asked
//! again is one whose client does not read.

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

/// What is known of one request of a connection. All but the connection's counts is used by the request's own task only.
#[derive(Debug)]
pub(in crate::http) struct H2Stream {
    conn: Arc<ConnState>,
    counts: Arc<StreamCounts>,
    expects_stream: AtomicBool,
    /// Whether it keeps its connection off the list of idle connections.
    busy: AtomicBool,
    /// How many pieces were given.
    pieces_sent: AtomicU64,
    /// The last piece was given, and no more asked for since.
    is_blocked: AtomicBool,
    /// Why it has to end, if somebody but its client wants that.
    end_reason: OnceLock<EndReason>,
    waker: AtomicWaker,
    pending_write: PendingWrite,
}

/// What one connection carries.
#[derive(Debug, Default)]
pub(in crate::http) struct StreamCounts {
    /// Requests that are not answered in full.
    pub(in crate::http) open: AtomicUsize,
    /// Requests in all.
    pub(in crate::http) total: AtomicUsize,
    /// Of the open ones, those that are being answered or have an endless body. Locked while the connection's place follows,
    /// because one may end while the next begins.
    busy: Mutex<usize>,
}

impl H2Stream {
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

    /// A stream is what it will be answered with.
    pub(in crate::http) fn expect_stream(&self) {
        self.expects_stream.store(true, Ordering::Relaxed);
    }

    /// It has its answer. One that is no stream keeps nobody busy.
    pub(super) fn on_response(&self) {
        if !self.expects_stream.load(Ordering::Relaxed) {
            self.set_idle();
        }
    }

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

    pub(in crate::http) fn end_reason(&self) -> EndReason {
        self.end_reason
            .get()
            .copied()
            .unwrap_or_else(|| self.conn.end_reason())
    }

    /// What it was given last.
    pub(in crate::http) fn pending_write(&self) -> &PendingWrite {
        &self.pending_write
    }

    /// The connection that others are on as well.
    pub(in crate::http) fn conn(&self) -> &ConnState {
        &self.conn
    }

    /// Ends this stream, and no other of its connection.
    pub(in crate::http) fn reset(&self, reason: EndReason) {
        let _ = self.end_reason.set(reason);
        self.waker.wake();
    }

    /// Whether the client has not made room for what comes next.
    pub(in crate::http) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Relaxed)
    }

    /// Whether it was [`reset`](Self::reset); if not, the task is woken when it is.
    fn is_reset(&self, context: &Context<'_>) -> bool {
        // Registered before the look that counts.
        self.waker.register(context.waker());
        self.end_reason.get().is_some()
    }

    /// How many pieces were given, if the client has not made room for the next.
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

/// A body in pieces, so that a client that takes some of a large batch is seen to take it.
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

/// The task of a request, ended when its client has made no room for the stall deadline: hyper then resets the stream.
pub(super) struct StallTimeout<F> {
    task: Pin<Box<F>>,
    h2_stream: Arc<H2Stream>,
    stall_timeout: Duration,
    /// At which piece it began to wait. Only while it waits: most never do.
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

/// How much of a batch is given at a time, in bytes: a frame of HTTP/2 as clients take it unless they say more.
pub(in crate::http) const PIECE: usize = 16 * 1024;
