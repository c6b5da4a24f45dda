//! The handoff of a connection: it is taken back from hyper once the head of an endless response and the prelude are written.
//!
//! hyper is needed only to parse the request and to write the head. What it would keep for the rest of a stream's life is ten
//! times the memory that the socket and the client's position need (13.85 KB a client beside 1.64: `loadtest/README.md`).
//!
//! The body starts the handoff. When hyper polls it for more than the prelude, it leaves its delivery in the connection's
//! [`HandoffSlot`] and marks the connection as blocked. hyper's next flush clears that mark. hyper flushes only when its whole
//! buffer is written, and the body gives it nothing more from then on. So all bytes are written when the slot is filled and the
//! connection is not blocked, and only then may hyper be dropped: what it has buffered would be lost with it.
//!
//! With TLS 1.3 the stream leaves rustls at the same moment, with the keys ([`TlsRecords`]). From its first byte on, nothing that the
//! client sends is opened until then.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
};

use bytes::Bytes;
use http::{Method, Request, Version, header};
use http_body::{Body, Frame};
use parking_lot::Mutex;

use super::{handle::ConnHandle, state_machine::Delivery};
use crate::{
    http::server::conn::ConnState,
    metrics::EndReason,
    subscription::{BatchSource, StallGuard, UnwrittenBytes},
    tls::TlsRecords,
};

/// A delivery in a sink, and the handle of its connection. If it is dropped before the stream has ended by itself, the
/// connection ended it and knows why.
pub(in crate::http) struct GuardedDelivery<S: BatchSource + ?Sized> {
    pub(in crate::http) handle: ConnHandle,
    pub(in crate::http) delivery: Delivery<S>,
}

impl<S: BatchSource + ?Sized> GuardedDelivery<S> {
    /// Counts the bytes that the socket does not take: see [`BatchSource::track_stalled`].
    pub(in crate::http) fn track_stalled(&self, unwritten: UnwrittenBytes) -> Option<StallGuard> {
        let source = &self.delivery.source;
        source.track_stalled(unwritten, &|| Arc::new(self.handle.downgrade()))
    }
}

impl<S: BatchSource + ?Sized> Drop for GuardedDelivery<S> {
    fn drop(&mut self) {
        let reason = if thread::panicking() {
            EndReason::Panicked
        } else {
            self.handle.end_reason()
        };
        self.delivery.close(reason);
    }
}

/// A delivery that has left hyper.
pub(in crate::http) type DetachedDelivery = Box<GuardedDelivery<dyn BatchSource + Send>>;

/// A stream that has left hyper, and what its sink needs beside the socket.
pub(in crate::http) struct DetachedStream {
    pub(in crate::http) delivery: DetachedDelivery,
    /// The records of a connection with TLS, which has left rustls too.
    pub(in crate::http) records: Option<Box<TlsRecords>>,
    /// How many more bytes the client may send.
    pub(in crate::http) discard: usize,
}

/// The slot in which a body leaves its delivery for the connection's task.
#[derive(Default)]
pub(in crate::http) struct HandoffSlot(Mutex<Option<DetachedDelivery>>);

impl HandoffSlot {
    /// Takes the delivery, once hyper has written everything that it had for this connection.
    pub(in crate::http) fn take(&self, conn: &ConnState) -> Option<DetachedDelivery> {
        if conn.is_blocked() {
            return None;
        }
        self.0.lock().take()
    }
}

debug_by_name!(HandoffSlot);

/// Whether an endless response to `request` may leave hyper: it will be chunked, and nothing that the client may still send
/// belongs to the request.
pub(in crate::http) fn is_eligible<B: Body>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && request.body().is_end_stream()
        && !request.headers().contains_key(header::UPGRADE)
}

/// A body that gives hyper the prelude, which then shares a write with the head, and leaves its delivery in the slot.
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
            guarded.handle.begin_handoff();
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
