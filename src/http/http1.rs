//! A connection of HTTP/1.1: one request after the other, and an endless body behind the last.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    carrier::Carrier,
    connection::{Answer, Limits, introduce},
    io::Io,
    link::Link,
};
use crate::client::PeerAddr;

/// Lets hyper answer requests until the connection is done, or its client is gone, or has asked nothing by `deadline`.
/// `first` was read already.
pub(super) async fn converse(
    link: &Arc<Link>,
    peer: PeerAddr,
    first: Bytes,
    answer: impl Answer,
    limits: Limits,
    deadline: Instant,
    last_call: &CancellationToken,
) {
    let seat = Arc::clone(link);
    let service = service_fn(move |mut request: Request<Incoming>| {
        seat.ask();
        introduce(&mut request, peer, &seat, Carrier::Alone(Arc::clone(&seat)));
        let (response, seat) = (answer.answer(request), Arc::clone(&seat));
        async move {
            let response = response.await;
            seat.answered();
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(Io::new(Arc::clone(link), first, limits.stall_timeout));
    let mut connection = pin!(protocol(limits).serve_connection(io, service));
    let mut last_call = pin!(last_call.cancelled());
    let mut late = pin!(sleep_until(deadline));
    let (mut called, mut discard) = (false, PIPELINED);
    poll_fn(|context| {
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        // hyper's own deadline began only when it got the socket.
        if !link.has_asked() && late.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if !called && (link.is_streaming() || last_call.as_mut().poll(context).is_ready()) {
            called = true;
            // Its head is out by now: this only says that no second request will be answered.
            connection.as_mut().graceful_shutdown();
            context.waker().wake_by_ref();
        }
        if link.is_streaming() {
            return link.poll_gone(context, &mut discard);
        }
        Poll::Pending
    })
    .await;
}

fn protocol(limits: Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        // Whoever closes its side behind a request gets its answer; a stream ends then, but by our own look (`poll_gone`).
        .half_close(true)
        .max_buf_size(READ_BUFFER);
    builder
}

/// How much of a head hyper reads, in bytes: what we answer ourselves when it is too large (`http::front`), and some more
/// so that most of what is too large gets the same JSON as everything else. Beyond it hyper answers a bare 431.
const READ_BUFFER: usize = 128 * 1024;

/// How many bytes a client may send behind its request for a stream: a few requests of a confused client. More is no
/// client of ours, and reading it costs CPU for nothing.
const PIPELINED: usize = 64 * 1024;
