//! Taking a connection back from hyper, once the head of an endless answer and the prelude are written.
//!
//! hyper parses the request, the router answers, and hyper writes the head: that is all it is needed for. What it would keep
//! for the rest of a stream's life is ten times what its socket and its place in the log need (DESIGN, section 2).
//!
//! The body says when: asked for more than the prelude, it leaves its delivery in the connection's [`Seat`] and marks the
//! link as blocked, which hyper's next flush takes back. hyper flushes only what is all of its buffer, and gets nothing more
//! to write from then on; so a seat that is filled, with a link that is not blocked, means that everything is out. hyper is
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

use super::{
    carried::{Carried, Deliver},
    delivery::{Delivery, Feed},
    link::Link,
};

/// A delivery that hyper has nothing to do with any more.
pub(super) type Parked = Box<Carried<dyn Deliver>>;

/// Where a body leaves its delivery for its connection's task.
#[derive(Default)]
pub(super) struct Seat(Mutex<Option<Parked>>);

impl Seat {
    /// What was left here, once hyper has written all that it had for this connection.
    pub(super) fn take(&self, link: &Link) -> Option<Parked> {
        if link.is_blocked() {
            return None;
        }
        self.0.lock().take()
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seat(filled: {})", self.0.lock().is_some())
    }
}

/// Whether an endless answer may leave hyper: it will be chunked, and nothing that its client may still send belongs to the
/// request.
pub(super) fn suits<B: Body>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && request.body().is_end_stream()
        && !request.headers().contains_key(header::UPGRADE)
}

/// A body that gives the prelude, which so shares a write with the head, and then leaves.
pub(super) struct HandOver<F: Feed + Send> {
    carried: Option<Box<Carried<Delivery<F>>>>,
    seat: Arc<Seat>,
    begun: bool,
}

impl<F: Feed + Send> HandOver<F> {
    pub(super) fn new(carried: Carried<Delivery<F>>, seat: Arc<Seat>) -> Self {
        Self {
            carried: Some(Box::new(carried)),
            seat,
            begun: false,
        }
    }
}

impl<F: Feed + Send + Unpin + 'static> Body for HandOver<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !std::mem::replace(&mut self.begun, true)
            && let Some(carried) = &mut self.carried
        {
            carried.carrier.begin_stream();
            let prelude = ready!(carried.delivery.poll_next(context, false));
            return Poll::Ready(prelude.map(|bytes| Ok(Frame::data(bytes.whole(Bytes::from)))));
        }
        if let Some(carried) = self.carried.take() {
            carried.carrier.set_blocked();
            *self.seat.0.lock() = Some(carried);
        }
        Poll::Pending
    }
}
