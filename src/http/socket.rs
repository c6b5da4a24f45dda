//! The sink that writes to the bare socket.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::task::coop;

use super::{
    chunks::Chunks, connection::take_leave, http1::PIPELINED, link::Link, presence::Presence,
    takeover::Parked, writer::Writer,
};
use crate::subscription::Audience;

/// One client's stream on a connection that hyper has given back, behind the prelude. Serves it to its end, and closes the
/// connection.
pub(super) struct SocketSink {
    writer: Writer,
    chunks: Chunks,
    /// `None` once it has ended, and only its last bytes are to be written.
    parked: Option<Parked>,
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
            discard: PIPELINED,
            leave: None,
            _presence: presence,
        }
    }

    /// Who gets the same; `None` once it has ended.
    pub(super) fn audience(&self) -> Option<Audience> {
        self.parked.as_ref().map(|parked| parked.delivery.audience())
    }

    /// Serves it for its part of the shard's turn.
    ///
    /// What is polled in here must not find the shard's budget used up, or a socket would look blocked that is not. The
    /// shard's turn ends between two clients, and with a wake-up, which makes it stop asking the rest of them.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !coop::has_budget_remaining() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Poll::Ready(turn) = coop::poll_proceed(context) {
            turn.made_progress();
        }
        let served = poll_fn(|context| self.poll_served(context));
        pin!(coop::unconstrained(served)).poll(context)
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
        while self.chunks.has_room() {
            let Some(parked) = &mut self.parked else {
                return false;
            };
            match parked.delivery.poll_next(context, false) {
                Poll::Ready(Some(batch)) => self.chunks.push(batch),
                Poll::Ready(None) => self.end(),
                Poll::Pending => return false,
            }
        }
        true
    }

    /// While the socket takes nothing, a delivery may only end; its last bytes are written all the same.
    fn wait_blocked(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
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
        }
        self.writer.link().set_flushed(context);
        Poll::Ready(Ok(()))
    }
}

/// A future written by hand: the compiler's would have room for the sink twice, once as it came and once as it is used.
impl Future for SocketSink {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.leave.is_none() {
            ready!(Turn(&mut self).0.poll_turn(context));
            self.parked = None;
            let link = Arc::clone(self.writer.link());
            self.leave = Some(async move { take_leave(&link).await }.boxed());
        }
        let leave = self.leave.as_mut();
        leave.map_or(Poll::Ready(()), |leave| leave.poll_unpin(context))
    }
}

/// A sink while it is served. A stream that panics ends while that is known, and not when its shard lets go of it.
struct Turn<'a>(&'a mut SocketSink);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.parked = None;
        }
    }
}
