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

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use futures_util::FutureExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::{
        drain,
        http::{account::tests::account, delivery::Terms},
        metrics::{HttpMetrics, StartPlace},
        subscription::{Batch, Format},
    };

    struct Endless;

    impl Feed for Endless {
        fn poll_batch(&mut self, _context: &mut Context<'_>) -> Poll<Batch> {
            Poll::Ready(Batch {
                bytes: Bytes::from_static(b"data: 1\n\n"),
                events: 1,
                gaps: Vec::new(),
            })
        }

        fn is_held(&self) -> bool {
            false
        }
    }

    #[tokio::test]
    async fn nothing_is_taken_from_the_log_while_the_socket_takes_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let link = Arc::new(Link::new(socket));
        let terms = Terms {
            format: Format::Sse,
            heartbeat: Duration::from_secs(15),
            hold_limit: Duration::from_secs(600),
            ends_at_gap: false,
        };
        let account = account(&HttpMetrics::default(), StartPlace::Live);
        let delivery = Delivery::new(Endless, terms, drain::channel().1.ticket(), account);
        let mut body = StreamBody::new(delivery, Arc::clone(&link));
        let mut frame = || poll_fn(|context| Pin::new(&mut body).poll_frame(context)).now_or_never();

        assert!(frame().is_some() && frame().is_some(), "the prelude and an event");
        link.set_blocked();
        assert!(frame().is_none());
        link.set_flushed();
        assert!(frame().is_some());
    }
}
