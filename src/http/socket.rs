//! The sink that writes to the bare socket.

use std::{
    future::Future,
    hint::black_box,
    io,
    os::fd::AsRawFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};

use super::{
    chunks::Chunks, connection::take_leave, crowd::Served, http1::PIPELINED, link::Link, presence::Presence,
    round::Share, takeover::Parked, writer::Writer,
};
use crate::subscription::{Audience, Hold, Row};

/// One client's stream on a connection that hyper has given back, behind the prelude. Serves it to its end, and closes the
/// connection.
pub(super) struct SocketSink {
    writer: Writer,
    chunks: Chunks,
    /// `None` once it has ended, and only its last bytes are to be written.
    parked: Option<Parked>,
    /// While its socket takes nothing. Behind what it holds, which goes first.
    hold: Option<Box<Hold>>,
    /// How much more the client may send.
    discard: usize,
    /// What comes behind the last byte. On the heap, because all who only wait would have to make room for it.
    leave: Option<BoxFuture<'static, ()>>,
    _presence: Presence,
}

impl SocketSink {
    pub(super) fn new(link: Arc<Link>, parked: Parked, stall_timeout: Duration, presence: Presence) -> Self {
        Self {
            writer: Writer::new(link, stall_timeout),
            chunks: Chunks::default(),
            parked: Some(parked),
            hold: None,
            discard: PIPELINED,
            leave: None,
            _presence: presence,
        }
    }

    /// Who gets the same; `None` once it has ended.
    pub(super) fn audience(&self) -> Option<Audience> {
        self.parked.as_ref().map(|parked| parked.delivery.audience())
    }

    /// Ready when it is over: ended and written, or broken, or the client is gone.
    fn poll_served(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.poll_written(context).is_ready() {
            return Poll::Ready(());
        }
        self.writer.link().poll_gone(context, &mut self.discard)
    }

    /// Writes what there is, and asks for more, once: whoever catches up always has more, and others wait.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.poll_flush(context)?.is_pending() {
            return self.wait_blocked(context);
        }
        let more = self.fill(context);
        if self.poll_flush(context)?.is_pending() {
            return self.wait_blocked(context);
        }
        if self.parked.is_none() {
            return Poll::Ready(Ok(()));
        }
        if more {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Takes what the delivery has, as far as it shares a write; whether there may be more.
    fn fill(&mut self, context: &mut Context<'_>) -> bool {
        if let Some(parked) = &mut self.parked {
            parked.delivery.mark();
        }
        while self.chunks.has_room() {
            let Some(parked) = &mut self.parked else {
                return false;
            };
            match parked.delivery.poll_next(context, false) {
                Poll::Ready(Some(batch)) => self.chunks.push(batch),
                Poll::Ready(None) => self.end(),
                Poll::Pending => return false,
            }
            if self.is_full_of_its_own() {
                return true;
            }
        }
        true
    }

    /// Whether it has a batch that nobody else has. It gets no other before that is written: what it holds while its socket takes
    /// nothing would be its own.
    fn is_full_of_its_own(&self) -> bool {
        let parked = self.parked.as_ref();
        parked.is_some_and(|parked| !parked.delivery.is_shared()) && self.chunks.data() > OWN
    }

    /// Writes of what all get what is new to it, if it waits for nothing else; whether it has to be polled then.
    fn write_share(&mut self, share: &Share) -> bool {
        let Some(parked) = self.parked.as_mut().filter(|_| self.chunks.is_empty()) else {
            // It asks for itself once its socket has taken what it has.
            return false;
        };
        let Some(had) = parked.delivery.take_stretch(share.stretch()) else {
            return true;
        };
        let bytes = share.bytes(had);
        if bytes.is_empty() {
            return false;
        }
        let taken = self.writer.link().send_now(bytes);
        if taken == bytes.len() {
            return false;
        }
        for batch in share.batches(had) {
            self.chunks.push(batch.bytes.clone().into());
        }
        self.chunks.advance(taken);
        true
    }

    /// While the socket takes nothing, a delivery may only end; its last bytes are written all the same.
    fn wait_blocked(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(parked) = &self.parked
            && !self.writer.link().held().is_set()
        {
            self.writer.link().held().set(parked.delivery.given());
        }
        if let Some(parked) = &self.parked
            && self.hold.is_none()
            && self.chunks.data() > OWN
        {
            self.hold = parked.hold(self.chunks.unwritten()).map(Box::new);
        }
        while let Some(parked) = &mut self.parked {
            match ready!(parked.delivery.poll_next(context, true)) {
                // What a coding ends with.
                Some(last) => self.chunks.push(last),
                None => self.end(),
            }
        }
        Poll::Pending
    }

    fn end(&mut self) {
        self.chunks.end();
        self.parked = None;
    }

    /// Ready when all is written.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.chunks.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.chunks.is_empty() {
            let chunks = &self.chunks;
            let write = |link: &Link| {
                chunks.write_with(|slices| match slices {
                    [whole] => link.socket().try_write(whole),
                    parts => link.socket().try_write_vectored(parts),
                })
            };
            let taken = ready!(self.writer.poll_write_with(context, write))?;
            self.chunks.advance(taken);
            if let Some(hold) = &self.hold {
                hold.renew(self.chunks.unwritten());
            }
        }
        self.hold = None;
        self.writer.link().set_flushed(context);
        Poll::Ready(Ok(()))
    }
}

/// A future written by hand: the compiler's would have room for the sink twice, once as it came and once as it is used.
impl Future for SocketSink {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.leave.is_none() {
            ready!(Turn(&mut self).0.poll_served(context));
            self.parked = None;
            let link = Arc::clone(self.writer.link());
            self.leave = Some(async move { take_leave(&link).await }.boxed());
        }
        let leave = self.leave.as_mut();
        leave.map_or(Poll::Ready(()), |leave| leave.poll_unpin(context))
    }
}

impl Served for SocketSink {
    fn sit_in(&mut self, row: &mut Option<Row>) {
        if let Some(parked) = &mut self.parked {
            parked.delivery.sit_in(row);
        }
    }

    fn prefetch(&self) {
        black_box(self.chunks.is_empty());
        black_box(self.writer.link().socket().as_raw_fd());
        if let Some(parked) = &self.parked {
            parked.delivery.prefetch();
        }
    }

    fn give(&mut self, share: &Share) -> bool {
        Turn(self).0.write_share(share)
    }
}

/// Bytes of its own that a sink may have beside a batch: the prelude, or a heartbeat.
const OWN: usize = 256;

/// A sink while it is served. A stream that panics ends while that is known, and not when its shard lets go of it.
struct Turn<'a>(&'a mut SocketSink);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.parked = None;
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
            account::tests::account,
            carried::Carried,
            carrier::Carrier,
            chunks::WRITE,
            delivery::{Delivery, Feed, Terms},
            link::tests::connected,
            round::Round,
        },
        metrics::{self, HttpMetrics, StartPlace},
        subscription::{Batch, Format, Stretch, tests::Stage},
    };

    /// One who has had so many batches of each stretch.
    struct Newcomer(Arc<AtomicUsize>);

    impl Feed for Newcomer {
        fn poll_batch(&mut self, _context: &mut Context<'_>) -> Poll<Batch> {
            Poll::Pending
        }

        fn is_held(&self) -> bool {
            false
        }

        fn take_stretch(&mut self, _stretch: &Stretch) -> Option<usize> {
            Some(self.0.load(Relaxed))
        }
    }

    async fn sink(had: &Arc<AtomicUsize>) -> (SocketSink, TcpStream) {
        let (peer, socket) = connected().await;
        SockRef::from(&socket).set_send_buffer_size(4096).unwrap();
        let link = Arc::new(Link::new(socket, None));
        let metrics = HttpMetrics::register(&mut metrics::registry());
        let terms = Terms {
            format: Format::Sse,
            heartbeat: FAR,
            hold_limit: FAR,
            ends_at_gap: false,
        };
        let (_, watch) = drain::channel();
        let account = account(&metrics, StartPlace::Live);
        let carried = Carried {
            carrier: Carrier::alone(Arc::clone(&link)),
            delivery: Delivery::new(Newcomer(Arc::clone(had)), terms, watch.ticket(), account),
        };
        let presence = Presence::new(&metrics, TaskTracker::new().token());
        (SocketSink::new(link, Box::new(carried), FAR, presence), peer)
    }

    const FAR: Duration = Duration::from_secs(86_400);

    #[tokio::test]
    async fn a_share_that_the_socket_does_not_take_at_once_is_written_as_it_does() {
        let had = Arc::default();
        let (mut sink, mut peer) = sink(&had).await;
        let stage = Stage::new();
        let mut row = stage.row();
        let share = |row: &mut Row| match row.poll_news(&Context::from_waker(Waker::noop()), WRITE) {
            Poll::Ready(news) => Round::new(news),
            Poll::Pending => panic!("no news"),
        };
        stage.publish([b"too early".to_vec()]);
        let early = share(&mut row);
        assert!(sink.give(early.share().unwrap()), "before its prelude");
        assert!((&mut sink).now_or_never().is_none());

        stage.publish([b"little".to_vec()]);
        assert!(!sink.give(share(&mut row).share().unwrap()));
        let large = vec![b'x'; 8 * 1024 * 1024];
        had.store(1, Relaxed);
        stage.publish([b"had".to_vec(), b"head".to_vec(), large.clone()]);
        assert!(sink.give(share(&mut row).share().unwrap()), "there is a rest");
        stage.publish([b"later".to_vec()]);
        assert!(
            !sink.give(share(&mut row).share().unwrap()),
            "it asks for itself, once it can take something"
        );

        let large = [b"800000\r\n", &*large, b"\r\n"].concat();
        let expected = [b"5\r\n:ok\n\n\r\n6\r\nlittle\r\n4\r\nhead\r\n", &*large].concat();
        let mut got = vec![0; expected.len()];
        let read = timeout(Duration::from_secs(30), peer.read_exact(&mut got));
        tokio::select! {
            () = &mut sink => panic!("it ended"),
            read = read => read.unwrap().unwrap(),
        };
        assert!(got == expected);
    }
}
