//! The body of a streaming response: a delivery as a body that hyper polls, or one that leaves hyper.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::{
    handle::ConnHandle,
    handoff::{GuardedDelivery, HandoffBody, HandoffSlot},
    segments::Segments,
    state_machine::Delivery,
};
use crate::{
    http::server::h2_stream::PIECE,
    subscription::{BatchSource, StallGuard},
};

/// Returns a body that serves `delivery` on the connection of `handle`.
///
/// Without a `slot` hyper polls the body until the stream ends. With a `slot` the delivery leaves hyper after the prelude.
pub(in crate::http) fn response_body<S: BatchSource + Unpin + Send + 'static>(
    delivery: Delivery<S>,
    handle: ConnHandle,
    slot: Option<Arc<HandoffSlot>>,
) -> axum::body::Body {
    handle.expect_stream();
    let guarded = GuardedDelivery { handle, delivery };
    match slot {
        Some(slot) => axum::body::Body::new(HandoffBody::new(guarded, slot)),
        None => axum::body::Body::new(StreamBody::new(guarded)),
    }
}

/// A delivery as a response body. On HTTP/1.1 a batch is one frame, and so one chunk. HTTP/2 has no chunks: there each segment
/// of a large batch is a frame of its own, so that shared bytes are not copied.
struct StreamBody<S: BatchSource + Send> {
    guarded: GuardedDelivery<S>,
    /// The segments of the last batch that hyper has not taken yet.
    rest: VecDeque<Bytes>,
    /// Counts the last batch as unwritten: hyper may still hold it. What h2 holds of it after the next poll is no part of a large text
    /// (`server::h2_stream`).
    stall_guard: Option<StallGuard>,
}

impl<S: BatchSource + Send> StreamBody<S> {
    fn new(guarded: GuardedDelivery<S>) -> Self {
        Self {
            guarded,
            rest: VecDeque::new(),
            stall_guard: None,
        }
    }
}

impl<S: BatchSource + Send + Unpin> Body for StreamBody<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self {
            guarded,
            rest,
            stall_guard,
        } = &mut *self;
        if let Some(piece) = rest.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let GuardedDelivery { handle, delivery } = guarded;
        handle.begin_stream();
        let blocked = handle.should_wait();
        if !blocked {
            *stall_guard = None;
        }
        let is_http2 = matches!(handle, ConnHandle::Http2(_));
        if is_http2 {
            // The last piece of the last batch was handed over, or hyper would not get here. It may wait for the client's window.
            handle.pending_write().hand_over();
        }
        if is_http2 || !handle.pending_write().is_set() {
            delivery.source.mark_written();
        }
        let Some(batch) = ready!(delivery.poll_next(context, blocked)) else {
            return Poll::Ready(None);
        };
        // A batch of one HTTP/2 frame has to be taken within the stall deadline in any case.
        if !is_http2 || batch.len() > PIECE {
            handle.pending_write().set(delivery.source.unwritten_offsets());
        }
        if batch.len() >= LARGE {
            handle.set_blocked();
        }
        let (piece, unwritten) = match handle {
            ConnHandle::Http1(_) => {
                let whole = batch.whole(|copy| delivery.source.track_copy(copy));
                let unwritten = Segments::from(whole.clone()).unwritten();
                (whole, unwritten)
            }
            ConnHandle::Http2(h2_stream) => {
                h2_stream.begin_batch(batch.len());
                let unwritten = batch.unwritten();
                let mut pieces = batch.into_iter();
                let first = pieces.next();
                rest.extend(pieces);
                (first.unwrap_or_default(), unwritten)
            }
        };
        // hyper does not tell when its client takes nothing, and holds the bytes for longer than the body. This comes after the
        // copy, which counts too.
        *stall_guard = guarded.track_stalled(unwritten).map(StallGuard::dropped_first);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// The size from which a batch must be written before the next one is taken, in bytes.
///
/// hyper takes all it can get, up to the size of its buffer, before it tries to write. For a client that catches up and does
/// not read it would hold several batches, and with this limit it holds one. Live batches are small, and may still share a write.
const LARGE: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Waker, time::Duration};

    use futures_test::task::new_count_waker;
    use futures_util::FutureExt;

    use super::*;
    use crate::{
        drain,
        http::{
            delivery::{accounting::tests::accounting, state_machine::DeliveryConfig},
            server::{
                conn::ConnState,
                h2_stream::{ChunkedBody, H2Stream},
                test_socket::connected,
            },
        },
        metrics::{HttpMetrics, StartPoint},
        subscription::{Batch, EventFormat, UnwrittenOffsets, tests::deleted_offsets},
    };

    /// An endless source of events of one size, in bytes.
    struct SizedSource(usize);

    impl BatchSource for SizedSource {
        fn poll_batch(&mut self, _context: &mut Context<'_>) -> Poll<Batch> {
            Poll::Ready(Batch {
                bytes: vec![b'x'; self.0].into(),
                large: None,
                events: 1,
                gaps: Vec::new(),
                packed: None,
            })
        }

        fn is_held(&self) -> bool {
            false
        }
    }

    fn delivery<S: BatchSource>(source: S) -> Delivery<S> {
        let delivery_config = DeliveryConfig {
            format: EventFormat::Sse,
            heartbeat: HEARTBEAT,
            hold_limit: Duration::from_secs(600),
            ends_at_gap: false,
        };
        let accounting = accounting(&HttpMetrics::default(), StartPoint::Live);
        Delivery::new(source, delivery_config, drain::channel().1.guard(), accounting)
    }

    const HEARTBEAT: Duration = Duration::from_secs(15);

    async fn body(size: usize) -> (StreamBody<SizedSource>, Arc<ConnState>) {
        let (_, socket) = connected().await;
        let conn = Arc::new(ConnState::new(socket, None));
        let handle = ConnHandle::Http1(Arc::clone(&conn));
        let delivery = delivery(SizedSource(size));
        (StreamBody::new(GuardedDelivery { handle, delivery }), conn)
    }

    fn gives(body: &mut StreamBody<SizedSource>) -> bool {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
        frame.now_or_never().is_some()
    }

    #[tokio::test]
    async fn nothing_is_taken_from_the_log_while_the_socket_takes_nothing() {
        let (mut body, conn) = body(10).await;
        assert!(gives(&mut body) && gives(&mut body), "the prelude and an event");
        conn.set_blocked();
        assert!(!gives(&mut body));
        conn.set_flushed(&Context::from_waker(Waker::noop()));
        assert!(gives(&mut body));
    }

    #[tokio::test]
    async fn a_large_batch_is_written_before_the_next_is_taken_and_then_its_task_is_woken() {
        let (mut body, conn) = body(LARGE).await;
        assert!(gives(&mut body) && gives(&mut body), "the prelude and a batch");
        assert!(!gives(&mut body));
        let (waker, woken) = new_count_waker();
        conn.set_flushed(&Context::from_waker(&waker));
        assert_eq!(woken, 1);
        assert!(gives(&mut body));
    }
    /// A source of one batch of two pieces, whose records have been deleted.
    struct OneBatch(Option<SizedSource>);

    impl BatchSource for OneBatch {
        fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
            let source = self.0.take();
            source.map_or(Poll::Pending, |mut source| source.poll_batch(context))
        }

        fn is_held(&self) -> bool {
            false
        }

        fn unwritten_offsets(&self) -> UnwrittenOffsets {
            deleted_offsets()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_http2_may_hold_of_a_deleted_batch_is_due_until_the_piece_behind_it_is_taken() {
        let (_, socket) = connected().await;
        let conn = Arc::new(ConnState::new(socket, None));
        let h2_stream = Arc::new(H2Stream::new(&conn, &Arc::default()));
        let source = OneBatch(Some(SizedSource(2 * PIECE)));
        let handle = ConnHandle::Http2(Arc::clone(&h2_stream));
        let body = response_body(delivery(source), handle, None);
        let mut body = ChunkedBody::new(body, Arc::clone(&h2_stream));
        let mut gives = || {
            let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
            frame.now_or_never().is_some()
        };
        let is_due = || h2_stream.pending_write().due(HEARTBEAT).is_some();
        assert!(gives() && !is_due(), "the prelude");
        assert!(gives() && is_due() && gives() && is_due(), "two pieces");
        assert!(!gives() && is_due(), "h2 has the second, and may hold it");
        tokio::time::advance(HEARTBEAT).await;
        assert!(gives() && is_due(), "a heartbeat, which hyper may hold");
        assert!(
            !gives() && !is_due(),
            "h2 has the heartbeat, so the rest is written"
        );
    }
}
