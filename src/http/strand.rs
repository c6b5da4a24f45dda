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

use super::{held::Held, link::Link};
use crate::metrics::EndReason;

/// What is known of one request of a connection. All but the connection's counts is used by the request's own task only.
#[derive(Debug)]
pub(super) struct Strand {
    link: Arc<Link>,
    tally: Arc<Tally>,
    claimed: AtomicBool,
    /// Whether it keeps its connection out of the lobby.
    busy: AtomicBool,
    /// How many pieces were given.
    given: AtomicU64,
    /// The last piece was given, and no more asked for since.
    waits: AtomicBool,
    /// Why it has to end, if somebody but its client wants that.
    end: OnceLock<EndReason>,
    waker: AtomicWaker,
    held: Held,
}

/// What one connection carries.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Requests that are not answered in full.
    pub(super) open: AtomicUsize,
    /// Requests in all.
    pub(super) seen: AtomicUsize,
    /// Of the open ones, those that are being answered or have an endless body. Locked while the connection's place follows,
    /// because one may end while the next begins.
    busy: Mutex<usize>,
}

impl Strand {
    pub(super) fn new(link: &Arc<Link>, tally: &Arc<Tally>) -> Self {
        tally.open.fetch_add(1, Ordering::Relaxed);
        tally.seen.fetch_add(1, Ordering::Relaxed);
        let mut busy = tally.busy.lock();
        *busy += 1;
        link.leave_lobby();
        drop(busy);
        Self {
            link: Arc::clone(link),
            tally: Arc::clone(tally),
            claimed: AtomicBool::new(false),
            busy: AtomicBool::new(true),
            given: AtomicU64::new(0),
            waits: AtomicBool::new(false),
            end: OnceLock::new(),
            waker: AtomicWaker::new(),
            held: Held::default(),
        }
    }

    /// A stream is what it will be answered with.
    pub(super) fn claim(&self) {
        self.claimed.store(true, Ordering::Relaxed);
    }

    /// It has its answer. One that is no stream keeps nobody busy.
    pub(super) fn answered(&self) {
        if !self.claimed.load(Ordering::Relaxed) {
            self.rest();
        }
    }

    fn rest(&self) {
        if !self.busy.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut busy = self.tally.busy.lock();
        *busy -= 1;
        if *busy == 0 {
            self.link.enter_lobby();
        }
    }

    pub(super) fn end(&self) -> EndReason {
        self.end.get().copied().unwrap_or_else(|| self.link.end())
    }

    /// What it was given last.
    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    /// The connection that others are on as well.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Ends this stream, and no other of its connection.
    pub(super) fn reset(&self, reason: EndReason) {
        let _ = self.end.set(reason);
        self.waker.wake();
    }

    /// Whether the client has not made room for what comes next.
    pub(super) fn is_blocked(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Whether it was [`reset`](Self::reset); if not, the task is woken when it is.
    fn is_reset(&self, context: &Context<'_>) -> bool {
        // Registered before the look that counts.
        self.waker.register(context.waker());
        self.end.get().is_some()
    }

    /// How many pieces were given, if the client has not made room for the next.
    fn waits(&self) -> Option<u64> {
        self.is_blocked().then(|| self.given.load(Ordering::Relaxed))
    }
}

impl Drop for Strand {
    fn drop(&mut self) {
        self.tally.open.fetch_sub(1, Ordering::Relaxed);
        self.rest();
    }
}

/// A body in pieces, so that a client that takes some of a large batch is seen to take it.
pub(super) struct Paced {
    body: Body,
    strand: Arc<Strand>,
    rest: Bytes,
}

impl Paced {
    pub(super) fn new(body: Body, strand: Arc<Strand>) -> Self {
        Self {
            body,
            strand,
            rest: Bytes::new(),
        }
    }

    fn give(&mut self) -> Frame<Bytes> {
        self.strand.given.fetch_add(1, Ordering::Relaxed);
        self.strand.waits.store(true, Ordering::Relaxed);
        Frame::data(self.rest.split_to(self.rest.len().min(PIECE)))
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.strand.waits.store(false, Ordering::Relaxed);
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        Poll::Ready(Some(Ok(self.give())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The task of a request, ended when its client has made no room for the stall deadline: hyper then resets the stream.
pub(super) struct Watched<F> {
    task: Pin<Box<F>>,
    strand: Arc<Strand>,
    stall_timeout: Duration,
    /// At which piece it began to wait. Only while it waits: most never do.
    stall: Option<(u64, Pin<Box<Sleep>>)>,
}

impl<F> Watched<F> {
    pub(super) fn new(task: F, strand: Arc<Strand>, stall_timeout: Duration) -> Self {
        Self {
            task: Box::pin(task),
            strand,
            stall_timeout,
            stall: None,
        }
    }

    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(piece) = self.strand.waits() else {
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
            .strand
            .held()
            .due(timeout)
            .filter(|due| *due < stall.deadline())
        {
            stall.as_mut().reset(due);
        }
        stall.as_mut().poll(context)
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.task.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if !self.strand.is_reset(context) {
            ready!(self.poll_stalled(context));
            self.strand.reset(EndReason::Stalled);
        }
        Poll::Ready(())
    }
}

/// How much of a batch is given at a time, in bytes: a frame of HTTP/2 as clients take it unless they say more.
pub(super) const PIECE: usize = 16 * 1024;
