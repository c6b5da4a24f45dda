//! The sink that writes the stream of one client to its bare socket.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};

use super::{group::GroupMember, output::ClientOutput, pass::SharedBatches};
use crate::{
    http::{
        delivery::handoff::{DetachedDelivery, DetachedStream},
        server::{close::lingering_close, conn::ConnState, connection_guard::ConnectionGuard},
    },
    subscription::{GroupCursor, LaneId, StallGuard},
};

/// The stream of one client, after the prelude, on a connection that hyper has given back. As a future it serves the stream to
/// its end and closes the connection.
pub(in crate::http) struct SocketSink {
    output: ClientOutput,
    /// `None` once the stream has ended and only its last bytes are to be written.
    detached: Option<DetachedDelivery>,
    /// Counts what `output` holds as unwritten while the socket takes nothing. Declared after it, because it must be dropped first.
    stall_guard: Option<Box<StallGuard>>,
    /// How many more bytes the client may send.
    discard: usize,
    /// The close of the connection, after the last byte. On the heap, because otherwise every waiting sink would have to be as
    /// large.
    closing: Option<BoxFuture<'static, ()>>,
    _connection_guard: ConnectionGuard,
}

impl SocketSink {
    /// Creates the sink of a stream whose prelude has been written to `conn`.
    pub(in crate::http) fn new(
        conn: Arc<ConnState>,
        stream: DetachedStream,
        stall_timeout: Duration,
        connection_guard: ConnectionGuard,
    ) -> Self {
        Self {
            output: ClientOutput::new(conn, stream.records, stall_timeout),
            detached: Some(stream.delivery),
            stall_guard: None,
            discard: stream.discard,
            closing: None,
            _connection_guard: connection_guard,
        }
    }

    /// Returns the lane of the client. Returns `None` once the stream has ended.
    pub(in crate::http) fn lane_id(&self) -> Option<LaneId> {
        let detached = self.detached.as_ref();
        detached.map(|detached| detached.delivery.source.lane_id())
    }

    /// Ready when the stream has ended and is written, or the connection is broken, or the client is gone.
    fn poll_stream(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.poll_written(context).is_ready() {
            return Poll::Ready(());
        }
        self.output.poll_closed(context, &mut self.discard)
    }

    /// Writes what there is, takes more and writes that, once a poll: a client that catches up always has more, and others wait.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.poll_flush(context)?.is_pending() {
            return self.poll_blocked(context);
        }
        let more = self.fill(context);
        if self.poll_flush(context)?.is_pending() {
            return self.poll_blocked(context);
        }
        if self.detached.is_none() {
            return Poll::Ready(Ok(()));
        }
        if more {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Takes batches of the delivery until they fill one write. Returns whether there may be more.
    fn fill(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(detached) = &mut self.detached {
            detached.delivery.source.mark_written();
        }
        while self.output.has_capacity() {
            let Some(detached) = &mut self.detached else {
                return false;
            };
            match detached.delivery.poll_next(context, false) {
                Poll::Ready(Some(batch)) => self.output.push(batch),
                Poll::Ready(None) => self.end(),
                Poll::Pending => return false,
            }
            if self.has_unshared_backlog() {
                return true;
            }
        }
        true
    }

    /// Whether the queue holds a batch that no other client has. No further batch is taken before that is written, because all
    /// that the client holds while its socket takes nothing would be its own.
    fn has_unshared_backlog(&self) -> bool {
        let detached = self.detached.as_ref();
        detached.is_some_and(|detached| !detached.delivery.source.is_in_lane())
            && self.output.unwritten_len() > UNSHARED_ALLOWANCE
    }

    /// Writes the shared batches that are new to this client, unless older bytes wait for its socket. Returns whether the sink
    /// has to be polled.
    fn write_shared(&mut self, shared_batches: &SharedBatches) -> bool {
        let Some(detached) = self.detached.as_mut().filter(|_| self.output.is_empty()) else {
            // The sink is polled, and takes these batches itself, once its socket has taken what waits.
            return false;
        };
        let Some(already_sent) = detached.delivery.take_run(&shared_batches.batch_run) else {
            return true;
        };
        let bytes = shared_batches.framed.bytes_after(already_sent);
        if bytes.is_empty() {
            return false;
        }
        let sent = self.output.send_now(bytes);
        if sent < bytes.len() {
            for batch in &shared_batches.batch_run.batches()[already_sent..] {
                self.output.push(batch.bytes.clone().into());
            }
            self.output.advance(sent);
        }
        !self.output.is_empty()
    }

    /// Records what is not written, and lets the delivery end, which is all it may do while the socket takes nothing. Its last
    /// bytes are queued all the same.
    fn poll_blocked(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let pending_write = self.output.conn().pending_write();
        if let Some(detached) = &self.detached
            && !pending_write.is_set()
        {
            pending_write.set(detached.delivery.source.unwritten_offsets());
        }
        if let Some(detached) = &self.detached {
            let source = &detached.delivery.source;
            self.output.count_sealed(|copy| source.track_copy(copy));
        }
        if let Some(detached) = &self.detached
            && self.stall_guard.is_none()
            && self.output.unwritten_len() > UNSHARED_ALLOWANCE
        {
            self.stall_guard = detached.track_stalled(self.output.unwritten()).map(Box::new);
        }
        while let Some(detached) = &mut self.detached {
            match ready!(detached.delivery.poll_next(context, true)) {
                // The bytes that end a content coding.
                Some(last) => self.output.push(last),
                None => self.end(),
            }
        }
        Poll::Pending
    }

    /// Queues the end of the body, and drops the delivery.
    fn end(&mut self) {
        self.output.end();
        self.detached = None;
    }

    /// Writes the queue. Ready when all of it is written.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.output.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.output.is_empty() {
            ready!(self.output.poll_write(context))?;
            if let Some(stall_guard) = &self.stall_guard {
                stall_guard.update(self.output.unwritten());
            }
        }
        self.stall_guard = None;
        self.output.conn().set_flushed(context);
        Poll::Ready(Ok(()))
    }
}

/// Written by hand, because the future of an `async fn` would hold the sink twice: as it came, and where it is used.
impl Future for SocketSink {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.closing.is_none() {
            ready!(PanicGuard(&mut self).0.poll_stream(context));
            self.detached = None;
            let conn = Arc::clone(self.output.conn());
            self.closing = Some(async move { lingering_close(&conn).await }.boxed());
        }
        let closing = self.closing.as_mut();
        closing.map_or(Poll::Ready(()), |closing| closing.poll_unpin(context))
    }
}

impl GroupMember for SocketSink {
    fn join_group(&mut self, group_cursor: &mut Option<GroupCursor>) {
        if let Some(detached) = &mut self.detached {
            detached.delivery.source.join_group(group_cursor);
        }
    }

    fn prefetch(&self) {
        self.output.prefetch();
        if let Some(detached) = &self.detached {
            detached.delivery.prefetch();
        }
    }

    fn write_batches(&mut self, shared_batches: &SharedBatches) -> bool {
        PanicGuard(self).0.write_shared(shared_batches)
    }
}

/// How many bytes of its own a sink may hold beside a shared batch: the prelude, or a heartbeat.
const UNSHARED_ALLOWANCE: usize = 256;

/// A sink while it is served. If that panics, the delivery is dropped here, where `thread::panicking` tells the reason, and not
/// later by the write task.
struct PanicGuard<'a>(&'a mut SocketSink);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.detached = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        task::Waker,
    };

    use socket2::SockRef;
    use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::{
        drain,
        http::{
            delivery::{
                accounting::tests::accounting,
                handle::ConnHandle,
                handoff::GuardedDelivery,
                state_machine::{Delivery, DeliveryConfig},
            },
            fanout::{chunks::WRITE_LIMIT, pass::BroadcastPass},
            server::test_socket::connected,
        },
        metrics::{self, HttpMetrics, StartPoint},
        subscription::{Batch, BatchRun, BatchSource, EventFormat, tests::Stage},
        tls::{TlsRecords, test_pair},
    };

    /// A source whose client has had this many batches of each run.
    struct FixedPrefixSource(Arc<AtomicUsize>);

    impl BatchSource for FixedPrefixSource {
        fn poll_batch(&mut self, _context: &mut Context<'_>) -> Poll<Batch> {
            Poll::Pending
        }

        fn is_held(&self) -> bool {
            false
        }

        fn take_run(&mut self, _batch_run: &BatchRun) -> Option<usize> {
            Some(self.0.load(Relaxed))
        }
    }

    async fn sink(
        already_sent: &Arc<AtomicUsize>,
        records: Option<Box<TlsRecords>>,
    ) -> (SocketSink, TcpStream) {
        let (peer, socket) = connected().await;
        SockRef::from(&socket).set_send_buffer_size(4096).unwrap();
        let conn = Arc::new(ConnState::new(socket, None));
        let metrics = HttpMetrics::register(&mut metrics::registry());
        let delivery_config = DeliveryConfig {
            format: EventFormat::Sse,
            heartbeat: FAR,
            hold_limit: FAR,
            ends_at_gap: false,
        };
        let (_, watch) = drain::channel();
        let accounting = accounting(&metrics, StartPoint::Live);
        let guarded = GuardedDelivery {
            handle: ConnHandle::Http1(Arc::clone(&conn)),
            delivery: Delivery::new(
                FixedPrefixSource(Arc::clone(already_sent)),
                delivery_config,
                watch.guard(),
                accounting,
            ),
        };
        let stream = DetachedStream {
            delivery: Box::new(guarded),
            records,
            discard: 0,
        };
        let connection_guard = ConnectionGuard::new(&metrics, TaskTracker::new().token());
        (SocketSink::new(conn, stream, FAR, connection_guard), peer)
    }

    const FAR: Duration = Duration::from_secs(86_400);

    #[tokio::test]
    async fn a_share_that_the_socket_does_not_take_at_once_is_written_as_it_does() {
        write_shares(None, <[u8]>::to_vec).await;
    }

    #[tokio::test]
    async fn the_same_over_tls_in_the_middle_of_records_and_over_many_keys() {
        let (records, mut client) = test_pair::stream(10);
        let open = |bytes: &[u8]| test_pair::read(&mut client, bytes).unwrap();
        write_shares(Some(Box::new(records)), open).await;
    }

    async fn write_shares(records: Option<Box<TlsRecords>>, mut open: impl FnMut(&[u8]) -> Vec<u8>) {
        let already_sent = Arc::default();
        let (mut sink, mut peer) = sink(&already_sent, records).await;
        let stage = Stage::new();
        let mut group_cursor = stage.group_cursor();
        let shared_batches = |group_cursor: &mut GroupCursor| match group_cursor
            .poll_update(&Context::from_waker(Waker::noop()), WRITE_LIMIT)
        {
            Poll::Ready(update) => BroadcastPass::new(update),
            Poll::Pending => panic!("no news"),
        };
        stage.publish([b"too early".to_vec()]);
        let early = shared_batches(&mut group_cursor);
        assert!(
            sink.write_batches(early.shared_batches.as_ref().unwrap()),
            "before its prelude"
        );
        assert!((&mut sink).now_or_never().is_none());

        stage.publish([b"little".to_vec()]);
        assert!(!sink.write_batches(shared_batches(&mut group_cursor).shared_batches.as_ref().unwrap()));
        let large = vec![b'x'; 8 * 1024 * 1024];
        already_sent.store(1, Relaxed);
        stage.publish([b"had".to_vec(), b"head".to_vec(), large.clone()]);
        assert!(
            sink.write_batches(shared_batches(&mut group_cursor).shared_batches.as_ref().unwrap()),
            "there is a rest"
        );
        stage.publish([b"later".to_vec()]);
        assert!(
            !sink.write_batches(shared_batches(&mut group_cursor).shared_batches.as_ref().unwrap()),
            "it asks for itself, once it can take something"
        );

        let large = [b"800000\r\n", &*large, b"\r\n"].concat();
        let expected = [b"5\r\n:ok\n\n\r\n6\r\nlittle\r\n4\r\nhead\r\n", &*large].concat();
        let (mut got, mut some) = (Vec::new(), vec![0; 64 * 1024]);
        let read = timeout(Duration::from_secs(60), async {
            while got.len() < expected.len() {
                let length = peer.read(&mut some).await.unwrap();
                assert!(length > 0, "it ended");
                got.extend(open(&some[..length]));
            }
        });
        tokio::select! {
            () = &mut sink => panic!("it ended"),
            read = read => read.unwrap(),
        };
        assert!(got == expected);
    }
}
