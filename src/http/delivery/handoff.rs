//! Taking a connection back from hyper, once the head of an endless answer and the prelude are written.
//!
//! hyper parses the request, the router answers, and hyper writes the head: that is all it is needed for. What it would keep
//! for the rest of a stream's life is ten times what its socket and its place in the log need (DESIGN, section 2).
//!
//! The body says when: asked for more than the prelude, it leaves its delivery in the connection's [`HandoffSlot`] and marks the
//! connection as blocked, which hyper's next flush takes back. hyper flushes only what is all of its buffer, and gets nothing more
//! to write from then on; so a slot that is filled, with a connection that is not blocked, means that everything is out. hyper is
//! dropped then, and must not be asked before: what it has buffered would be lost with it.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Version, header};
use http_body::{Body, Frame};
use parking_lot::Mutex;

use super::{guarded::GuardedDelivery, source::BatchSource};
use crate::http::server::conn::ConnState;

/// A delivery that hyper has nothing to do with any more.
pub(in crate::http) type DetachedDelivery = Box<GuardedDelivery<dyn BatchSource + Send>>;

/// Where a body leaves its delivery for its connection's task.
#[derive(Default)]
pub(in crate::http) struct HandoffSlot(Mutex<Option<DetachedDelivery>>);

impl HandoffSlot {
    /// What was left here, once hyper has written all that it had for this connection.
    pub(in crate::http) fn take(&self, conn: &ConnState) -> Option<DetachedDelivery> {
        if conn.is_blocked() {
            return None;
        }
        self.0.lock().take()
    }
}

impl fmt::Debug for HandoffSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandoffSlot(filled: {})", self.0.lock().is_some())
    }
}

/// Whether an endless answer may leave hyper: it will be chunked, and nothing that its client may still send belongs to the
/// request.
pub(in crate::http) fn is_eligible<B: Body>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && request.body().is_end_stream()
        && !request.headers().contains_key(header::UPGRADE)
}

/// A body that gives the prelude, which so shares a write with the head, and then leaves.
pub(super) struct HandoffBody<S: BatchSource + Send> {
    guarded: Option<Box<GuardedDelivery<S>>>,
    slot: Arc<HandoffSlot>,
    is_started: bool,
}

impl<S: BatchSource + Send> HandoffBody<S> {
    pub(in crate::http) fn new(guarded: GuardedDelivery<S>, slot: Arc<HandoffSlot>) -> Self {
        Self {
            guarded: Some(Box::new(guarded)),
            slot,
            is_started: false,
        }
    }
}

impl<S: BatchSource + Send + Unpin + 'static> Body for HandoffBody<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !std::mem::replace(&mut self.is_started, true)
            && let Some(guarded) = &mut self.guarded
        {
            guarded.handle.begin_stream();
            let prelude = ready!(guarded.delivery.poll_next(context, false));
            return Poll::Ready(prelude.map(|bytes| Ok(Frame::data(bytes.whole(Bytes::from)))));
        }
        if let Some(guarded) = self.guarded.take() {
            guarded.handle.set_blocked();
            *self.slot.0.lock() = Some(guarded);
        }
        Poll::Pending
    }
}
