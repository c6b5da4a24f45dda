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
use tokio::time::{Instant, Sleep, sleep_until};

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
        conn.leave_idle();
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

/// A body that is given to hyper in pieces of at most [`PIECE`] bytes, so that a client that takes part of a large batch is not
/// taken for one that has stalled.
///
/// h2 holds less than [`SEND_BUFFER`] and a piece of a stream, also when the body is asked for more. If these were the end of a large
/// text that many clients share, they would keep all of it in memory, and nothing would count it. So they are copied.
pub(in crate::http) struct ChunkedBody {
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
        let is_end = self.rest.len() < SEND_BUFFER + 2 * PIECE;
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        Frame::data(match is_end && self.h2_stream.is_large.load(Ordering::Relaxed) {
            true => Bytes::copy_from_slice(&piece),
            false => piece,
        })
    }
}

impl http_body::Body for ChunkedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.h2_stream.on_poll();
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
    /// The number of the piece that waits, and its deadline. `None` while none does, as mostly.
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
        let Some((piece, since)) = self.h2_stream.blocked_since() else {
            self.stall = None;
            return Poll::Pending;
        };
        let timeout = self.stall_timeout;
        let (waits, stall) = self
            .stall
            .get_or_insert_with(|| (piece, Box::pin(sleep_until(since + timeout))));
        if *waits != piece {
            *waits = piece;
            stall.as_mut().reset(since + timeout);
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

/// How many bytes of one stream h2 buffers beyond what is sent: as many as the socket takes.
pub(super) const SEND_BUFFER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker};

    use futures_util::FutureExt;
    use http_body::Body as _;
    use tokio::{
        sync::mpsc,
        time::{advance, timeout_at},
    };

    use super::*;
    use crate::http::server::test_socket::connected;

    async fn h2_stream() -> Arc<H2Stream> {
        let (_, socket) = connected().await;
        let conn = Arc::new(ConnState::new(socket, None));
        Arc::new(H2Stream::new(&conn, &Arc::default()))
    }

    /// A body of what the sender sends.
    fn body(h2_stream: &Arc<H2Stream>) -> (mpsc::UnboundedSender<Bytes>, ChunkedBody) {
        let (sender, mut receiver) = mpsc::unbounded_channel::<Bytes>();
        let frames = futures_util::stream::poll_fn(move |context| {
            let data = receiver.poll_recv(context);
            data.map(|data| data.map(Ok::<_, axum::Error>))
        });
        (
            sender,
            ChunkedBody::new(Body::from_stream(frames), Arc::clone(h2_stream)),
        )
    }

    /// Polls the body as hyper does.
    fn next(body: &mut ChunkedBody) -> Poll<Bytes> {
        let polled = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        polled.map(|frame| frame.unwrap().unwrap().into_data().unwrap())
    }

    const STALL: Duration = Duration::from_secs(60);

    /// Returns after how long the stream is reset, if its body is not polled again.
    async fn reset_after(h2_stream: &Arc<H2Stream>) -> Duration {
        let start = Instant::now();
        let never = poll_fn(|_| Poll::<()>::Pending);
        let reset = StallTimeout::new(never, Arc::clone(h2_stream), STALL);
        timeout_at(start + STALL * 10, reset).await.expect("a reset");
        assert_eq!(h2_stream.end_reason(), EndReason::Stalled);
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_within_the_last_piece_is_reset_in_time_and_not_a_heartbeat_later() {
        let h2_stream = h2_stream().await;
        let (sender, mut body) = body(&h2_stream);
        sender.send(vec![0; PIECE].into()).unwrap();
        assert!(next(&mut body).is_ready());
        // h2 has one byte of room: it gets the piece, and hyper polls again.
        assert!(next(&mut body).is_pending());
        assert!(!h2_stream.is_blocked());
        advance(STALL / 4).await;
        sender.send(b":\n"[..].into()).unwrap();
        assert!(next(&mut body).is_ready(), "a heartbeat, which hyper keeps");
        assert!(h2_stream.is_blocked());
        assert_eq!(reset_after(&h2_stream).await, STALL - STALL / 4);
    }

    #[tokio::test(start_paused = true)]
    async fn each_piece_that_the_client_takes_gives_it_time_for_the_next() {
        let h2_stream = h2_stream().await;
        let (sender, mut body) = body(&h2_stream);
        sender.send(vec![0; 4 * PIECE].into()).unwrap();
        for _ in 0..4 {
            assert!(next(&mut body).is_ready());
            advance(STALL * 3 / 4).await;
        }
        assert!(next(&mut body).is_pending());
        assert!(
            StallTimeout::new(poll_fn(|_| Poll::<()>::Pending), Arc::clone(&h2_stream), STALL)
                .now_or_never()
                .is_none()
        );
        advance(STALL * 3).await;
        sender.send(vec![0; 2 * PIECE].into()).unwrap();
        assert!(next(&mut body).is_ready() && next(&mut body).is_ready());
        assert_eq!(reset_after(&h2_stream).await, STALL);
    }

    #[tokio::test]
    async fn what_h2_may_still_hold_keeps_no_large_text_in_memory() {
        let h2_stream = h2_stream().await;
        let (sender, mut body) = body(&h2_stream);
        let text = Bytes::from(vec![7; SEND_BUFFER * 3 + 5]);
        h2_stream.begin_batch(text.len());
        sender.send(text.clone()).unwrap();
        let (mut held, mut bytes) = (std::collections::VecDeque::new(), 0);
        while let Poll::Ready(piece) = next(&mut body) {
            bytes += piece.len();
            held.push_back(piece);
            // What goes beyond this is on its way to the client.
            while held.iter().skip(1).map(Bytes::len).sum::<usize>() >= SEND_BUFFER + PIECE - 1 {
                held.pop_front();
            }
        }
        assert_eq!(bytes, text.len());
        assert!(held.len() > 1 && text.is_unique(), "{} pieces", held.len());
    }
}
