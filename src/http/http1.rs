//! A connection of HTTP/1.1: one request after the other, and an endless body behind the last.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep_until};

use super::{
    carrier::Carrier,
    connection::{Answer, Limits, Port, introduce},
    io::Io,
    link::Link,
    takeover::{self, Parked, Seat},
};
use crate::{client::PeerAddr, metrics::HttpMetrics};

/// Lets hyper answer requests until the connection is done, or its client is gone, or has asked nothing by `deadline`; or
/// until a stream leaves hyper, which is then the result. `first` was read already.
///
/// Not an `async fn`: see [`serve`](super::connection::serve).
pub(super) fn converse(
    link: &Arc<Link>,
    peer: PeerAddr,
    first: Bytes,
    answer: &impl Answer,
    port: &Port,
    deadline: Instant,
) -> impl Future<Output = Option<Parked>> + Send {
    let limits = port.rules.limits;
    let seat = port.shards.is_some().then(Arc::<Seat>::default);
    let offered = seat.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        link.ask();
        let carrier = Carrier::Alone {
            link: Arc::clone(link),
            seat: offered.clone().filter(|_| takeover::suits(&request)),
        };
        introduce(&mut request, peer, link, carrier);
        let response = answer.answer(request);
        async move {
            let response = response.await;
            link.answered();
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(Io::new(Arc::clone(link), first, limits.stall_timeout));
    let mut connection = Box::pin(protocol(limits).serve_connection(io, service));
    async move {
        let mut last_call = pin!(port.closing.last_call.cancelled());
        // hyper's own deadline began only when it got the socket. On the heap, and gone with the first request.
        let mut late = Some(Box::pin(sleep_until(deadline)));
        let (mut called, mut discard) = (false, PIPELINED);
        poll_fn(|context| {
            if let Poll::Ready(end) = connection.as_mut().poll(context) {
                note(&end, &port.rules.metrics);
                return Poll::Ready(None);
            }
            if let Some(parked) = seat.as_ref().and_then(|seat| seat.take(link)) {
                return Poll::Ready(Some(parked));
            }
            if link.has_asked() {
                late = None;
            }
            if late
                .as_mut()
                .is_some_and(|late| late.as_mut().poll(context).is_ready())
            {
                return Poll::Ready(None);
            }
            if !called && (link.is_streaming() || last_call.as_mut().poll(context).is_ready()) {
                called = true;
                // Its head is out by now, or in hyper's buffer: this only says that no second request will be answered.
                connection.as_mut().graceful_shutdown();
                context.waker().wake_by_ref();
            }
            if link.is_streaming() {
                return link.poll_gone(context, &mut discard).map(|()| None);
            }
            Poll::Pending
        })
        .await
    }
}

/// Counts what hyper answers by itself, before anything of ours sees the request: a head that cannot be read (400), or is much
/// too large (431). hyper closes the connection behind it, so that each of them costs its client a connection.
fn note(end: &hyper::Result<()>, metrics: &HttpMetrics) {
    let Err(error) = end else { return };
    if error.is_parse_too_large() {
        metrics.response(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.as_u16());
    } else if error.is_parse() && !error.is_parse_version_h2() {
        metrics.response(StatusCode::BAD_REQUEST.as_u16());
    }
}

fn protocol(limits: Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        // Whoever closes its side behind a request gets its answer; a stream ends then, but by our own look (`poll_gone`).
        .half_close(true)
        .max_headers(FIELDS)
        .max_buf_size(READ_BUFFER);
    builder
}

/// How much of a head hyper reads, in bytes: what we answer ourselves when it is too large (`http::front`), and some more
/// so that most of what is too large gets the same JSON as everything else. Beyond it hyper answers a bare 431, which is counted.
const READ_BUFFER: usize = 128 * 1024;

/// How many lines of headers hyper reads: some times what we answer ourselves when they are too many (`http::form`), and few
/// enough that the room for them, which hyper makes for each head, costs nothing. Beyond it hyper answers a bare 431, which is
/// counted.
const FIELDS: usize = 1024;

/// How many bytes a client may send behind its request for a stream: a few requests of a confused client. More is no
/// client of ours, and reading it costs CPU for nothing.
pub(super) const PIPELINED: usize = 64 * 1024;
