//! An HTTP/1.1 connection: one request after the other, the last of which may be answered with an endless body.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use http::{Request, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep_until};

use super::{
    conn::{ConnState, MAX_PIPELINED_BYTES},
    context::{ServerContext, Timeouts},
    handler::{RequestHandler, insert_extensions},
    transport::Transport,
};
use crate::{
    client::PeerAddr,
    http::delivery::{
        handle::ConnHandle,
        handoff::{self, DetachedStream, HandoffSlot},
    },
    metrics::HttpMetrics,
};

/// Lets hyper answer requests until the connection is done, the client is gone, or no request has come by `deadline`. Returns
/// the stream if one leaves hyper.
///
/// It is no `async fn`: see [`serve`](super::connection::serve).
pub(super) fn serve(
    conn: &Arc<ConnState>,
    peer: PeerAddr,
    transport: Transport,
    handler: &impl RequestHandler,
    server: &ServerContext,
    deadline: Instant,
) -> impl Future<Output = Option<DetachedStream>> + Send {
    let timeouts = server.config.timeouts;
    let can_leave = server.writers.is_some() && transport.can_leave_hyper();
    let slot = can_leave.then(Arc::<HandoffSlot>::default);
    let offered_slot = slot.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        conn.on_request();
        insert_extensions(&mut request, peer, conn, ConnHandle::Http1(Arc::clone(conn)));
        if let Some(slot) = offered_slot.clone().filter(|_| handoff::is_eligible(&request)) {
            request.extensions_mut().insert(slot);
        }
        let response = handler.handle_request(request);
        async move {
            let response = response.await;
            conn.on_response();
            Ok::<_, Infallible>(response)
        }
    });
    let input_end = transport.input_end();
    let mut connection = Box::pin(builder(timeouts).serve_connection(TokioIo::new(transport), service));
    async move {
        let mut graceful = pin!(server.shutdown.graceful.cancelled());
        // hyper's own deadline began only when it got the socket. On the heap, and freed with the first request.
        let mut request_deadline = Some(Box::pin(sleep_until(deadline)));
        let (mut is_shutting_down, mut discard) = (false, MAX_PIPELINED_BYTES);
        let detached = poll_fn(|context| {
            if let Poll::Ready(end) = connection.as_mut().poll(context) {
                count_parse_error(&end, &server.config.metrics);
                return Poll::Ready(None);
            }
            if let Some(detached) = slot.as_ref().and_then(|slot| slot.take(conn)) {
                return Poll::Ready(Some(detached));
            }
            if conn.has_received_request() {
                request_deadline = None;
            }
            if request_deadline
                .as_mut()
                .is_some_and(|request_deadline| request_deadline.as_mut().poll(context).is_ready())
            {
                return Poll::Ready(None);
            }
            if !is_shutting_down && (conn.is_streaming() || graceful.as_mut().poll(context).is_ready()) {
                is_shutting_down = true;
                // The head is written by now, or in hyper's buffer. This only tells hyper to answer no second request.
                connection.as_mut().graceful_shutdown();
                context.waker().wake_by_ref();
            }
            if conn.is_streaming() {
                return input_end.poll(conn, context, &mut discard).map(|()| None);
            }
            Poll::Pending
        })
        .await;
        // It shares the transport.
        drop(connection);
        input_end.detach(detached?, MAX_PIPELINED_BYTES)
    }
}

/// Counts the responses that hyper gives by itself, before our code sees the request: 400 if it cannot read the head, 431 if
/// the head is much too large. hyper closes the connection after each, so each costs the client a connection.
fn count_parse_error(end: &hyper::Result<()>, metrics: &HttpMetrics) {
    let Err(error) = end else { return };
    if error.is_parse_too_large() {
        metrics.response(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.as_u16());
    } else if error.is_parse() && !error.is_parse_version_h2() {
        metrics.response(StatusCode::BAD_REQUEST.as_u16());
    }
}

fn builder(timeouts: Timeouts) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.head_timeout)
        // A client that closes its side behind a request gets its response. A stream ends then, by our own check (`poll_closed`).
        .half_close(true)
        .max_headers(MAX_HEADER_FIELDS)
        .max_buf_size(READ_BUFFER);
    builder
}

/// How much of a head hyper reads, in bytes. It is more than the size from which we refuse a head ourselves
/// (`routes::request_form`), so that most heads that are too large get the same JSON as every other error. Beyond it hyper
/// answers a bare 431, which is counted.
const READ_BUFFER: usize = 128 * 1024;

/// How many header lines hyper reads. It is a multiple of the number from which we refuse a head ourselves
/// (`routes::request_form`), and so small that the table for them, which hyper allocates for each head, costs nothing. Beyond it
/// hyper answers a bare 431, which is counted.
const MAX_HEADER_FIELDS: usize = 1024;
