//! The sink that hyper polls.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::{
    delivery::{Delivery, Feed},
    link::Link,
};
use crate::metrics::EndReason;

/// A delivery as a response's body: one batch is one frame, and so one chunk of HTTP/1.1.
pub(super) struct StreamBody<F: Feed> {
    delivery: Delivery<F>,
    link: Arc<Link>,
}

impl<F: Feed> StreamBody<F> {
    pub(super) fn new(delivery: Delivery<F>, link: Arc<Link>) -> Self {
        Self { delivery, link }
    }
}

impl<F: Feed + Unpin> Body for StreamBody<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.link.begin_stream();
        let blocked = self.link.is_blocked();
        self.delivery
            .poll_next(context, blocked)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl<F: Feed> Drop for StreamBody<F> {
    fn drop(&mut self) {
        let reason = if std::thread::panicking() {
            EndReason::Panicked
        } else {
            self.link.end()
        };
        self.delivery.cut(reason);
    }
}
