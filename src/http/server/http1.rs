//! An HTTP/1.1 connection: one request after the other, the last of which may be answered with an endless body.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use axum::response::Response;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, sleep_until};

use super::{
    conn::{ConnState, MAX_PIPELINED_BYTES},
    context::{ServerContext, Timeouts},
    handler::{Peer, RequestHandler, insert_extensions},
    transport::Transport,
    unread_head::{Http1Io, READ_BUFFER, UnreadHead},
};
use crate::http::delivery::{
    handle::ConnHandle,
    handoff::{self, DetachedStream, HandoffSlot},
};

/// Lets hyper answer requests until the connection is done, the client is gone, or no request has come by `deadline`. Returns
/// the stream if one leaves hyper.
///
/// It is no `async fn`: see [`serve`](super::connection::serve).
pub(super) fn serve(
    conn: &Arc<ConnState>,
    peer: Arc<Peer>,
    transport: Transport,
    handler: &impl RequestHandler,
    server: &ServerContext,
    deadline: Instant,
) -> impl Future<Output = Option<DetachedStream>> + Send {
    let timeouts = server.config.timeouts;
    let can_leave = server.writers.is_some() && transport.can_leave_hyper();
    let slot = can_leave.then(Arc::<HandoffSlot>::default);
    let (offered_slot, refused_peer) = (slot.clone(), Arc::clone(&peer));
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(slot) = offered_slot.clone().filter(|_| handoff::is_eligible(&request)) {
            request.extensions_mut().insert(slot);
        }
        respond(conn, Arc::clone(&peer), handler, request)
    });
    let input_end = transport.input_end();
    let io = TokioIo::new(Http1Io::new(transport, conn));
    let mut connection = Box::pin(builder(timeouts).serve_connection(io, service));
    async move {
        let mut graceful = pin!(server.shutdown.graceful.cancelled());
        // hyper's own deadline began only when it got the socket. On the heap, and freed with the first request.
        let mut request_deadline = Some(Box::pin(sleep_until(deadline)));
        let (mut is_shutting_down, mut discard) = (false, MAX_PIPELINED_BYTES);
        let end = poll_fn(|context| {
            if let Poll::Ready(end) = connection.as_mut().poll(context) {
                return Poll::Ready(end.map(|()| None));
            }
            if let Some(detached) = slot.as_ref().and_then(|slot| slot.take(conn)) {
                return Poll::Ready(Ok(Some(detached)));
            }
            if conn.has_received_request() {
                request_deadline = None;
            }
            if request_deadline
                .as_mut()
                .is_some_and(|request_deadline| request_deadline.as_mut().poll(context).is_ready())
            {
                return Poll::Ready(Ok(None));
            }
            if !is_shutting_down && (conn.is_streaming() || graceful.as_mut().poll(context).is_ready()) {
                is_shutting_down = true;
                // The head is written by now, or in hyper's buffer. This only tells hyper to answer no second request.
                connection.as_mut().graceful_shutdown();
                context.waker().wake_by_ref();
            }
            if conn.is_streaming() {
                return input_end.poll(conn, context, &mut discard).map(|()| Ok(None));
            }
            Poll::Pending
        })
        .await;
        let error = match end {
            Ok(detached) => {
                // It shares the transport.
                drop(connection);
                return input_end.detach(detached?, MAX_PIPELINED_BYTES);
            }
            Err(error) => error,
        };
        let unanswered = {
            let parts = Pin::into_inner(connection).into_parts();
            UnreadHead::new(error, &parts.read_buf).zip(parts.io.into_inner().into_unanswered())
        };
        // On the heap, because hardly any connection needs it.
        let refusal = unanswered.map(|(unread, transport)| {
            Box::pin(refuse(unread, conn, refused_peer, transport, handler, timeouts))
        });
        if let Some(refusal) = refusal {
            refusal.await;
        }
        None
    }
}

/// Lets `handler` answer one request.
fn respond(
    conn: &Arc<ConnState>,
    peer: Arc<Peer>,
    handler: &impl RequestHandler,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response, Infallible>> {
    conn.on_request();
    insert_extensions(&mut request, &peer, conn, ConnHandle::Http1(Arc::clone(conn)));
    let response = handler.handle_request(request);
    async move {
        let response = response.await;
        conn.on_response();
        Ok(response)
    }
}

/// Answers a request whose head hyper could not read as any other that is refused. hyper reads another head in place of that one,
/// and writes the response.
async fn refuse(
    unread: UnreadHead,
    conn: &Arc<ConnState>,
    peer: Arc<Peer>,
    transport: Transport,
    handler: &impl RequestHandler,
    timeouts: Timeouts,
) {
    let head = unread.substitute();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(unread.clone());
        respond(conn, Arc::clone(&peer), handler, request)
    });
    let io = TokioIo::new(tokio::io::join(head, transport));
    // It fails if the client is gone.
    let _ = builder(timeouts).serve_connection(io, service).await;
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

/// How many header lines hyper reads. It is a multiple of the number from which we refuse a head ourselves
/// (`routes::request_form`), and so small that the table for them, which hyper allocates for each head, costs nothing.
const MAX_HEADER_FIELDS: usize = 1024;
