//! An HTTP/1.1 connection: one request after the other, the last of which may be answered with an endless body.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use axum::response::Response;
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::http1::{self, Parts},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    conn::{ConnState, MAX_PIPELINED_BYTES},
    context::{ServerContext, Timeouts},
    handler::{Peer, RequestHandler, insert_extensions},
    transport::{InputEnd, Transport, can_leave_hyper},
    unread_head::{Http1Io, READ_BUFFER, UnreadHead},
};
use crate::http::delivery::{
    handle::ConnHandle,
    handoff::{self, DetachedDelivery, DetachedStream, HandoffSlot},
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
    let can_leave = server.writers.is_some() && can_leave_hyper(&transport);
    let slot = can_leave.then(Arc::<HandoffSlot>::default);
    let mut interruption = Interruption {
        conn,
        slot: slot.clone(),
        request_deadline: Some(Box::pin(sleep_until(deadline))),
        input_end: InputEnd::of(&transport),
        discard: MAX_PIPELINED_BYTES,
    };
    let refused_peer = Arc::clone(&peer);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if let Some(slot) = slot.clone().filter(|_| handoff::is_eligible(&request)) {
            request.extensions_mut().insert(slot);
        }
        respond(conn, Arc::clone(&peer), handler, request)
    });
    let io = TokioIo::new(Http1Io::new(transport, conn));
    let mut connection = Box::pin(builder(timeouts).serve_connection(io, service));
    async move {
        let mut graceful = pin!(server.shutdown.graceful.cancelled());
        let mut is_shutting_down = false;
        let end = poll_fn(|context| {
            if let Poll::Ready(end) = connection.as_mut().poll(context) {
                return Poll::Ready(end.map(|()| None));
            }
            if let Poll::Ready(detached) = interruption.poll(context) {
                return Poll::Ready(Ok(detached));
            }
            if !is_shutting_down && (conn.is_streaming() || graceful.as_mut().poll(context).is_ready()) {
                is_shutting_down = true;
                // The head is written by now, or in hyper's buffer. This only tells hyper to answer no second request.
                connection.as_mut().graceful_shutdown();
                context.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await;
        let error = match end {
            Ok(detached) => {
                // It shares the transport.
                drop(connection);
                return interruption.input_end.detach(detached?, MAX_PIPELINED_BYTES);
            }
            Err(error) => error,
        };
        // On the heap, because hardly any connection needs it.
        let refusal =
            unanswered(Pin::into_inner(connection).into_parts(), error).map(|(unread, transport)| {
                Box::pin(refuse(unread, conn, refused_peer, transport, handler, timeouts))
            });
        if let Some(refusal) = refusal {
            refusal.await;
        }
        None
    }
}

/// Everything but hyper that ends a connection, or hyper's part in it.
struct Interruption<'a> {
    conn: &'a ConnState,
    /// Where a stream leaves hyper, if it can.
    slot: Option<Arc<HandoffSlot>>,
    /// hyper's own deadline began only when it got the socket. On the heap, and freed with the first request.
    request_deadline: Option<Pin<Box<Sleep>>>,
    input_end: InputEnd,
    /// How many more bytes a client may send while it reads a stream.
    discard: usize,
}

impl Interruption<'_> {
    /// Ready with a stream that leaves hyper; or with `None` if no request has come in time, or if the client of a stream is gone.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<DetachedDelivery>> {
        if let Some(detached) = self.slot.as_ref().and_then(|slot| slot.take(self.conn)) {
            return Poll::Ready(Some(detached));
        }
        if self.conn.has_received_request() {
            self.request_deadline = None;
        }
        if let Some(request_deadline) = &mut self.request_deadline
            && request_deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(None);
        }
        if self.conn.is_streaming() {
            let end = self.input_end.poll(self.conn, context, &mut self.discard);
            return end.map(|()| None);
        }
        Poll::Pending
    }
}

/// Returns the request whose head ended the connection, and the transport, if the request has no response yet.
fn unanswered<S>(
    connection: Parts<TokioIo<Http1Io<'_>>, S>,
    error: hyper::Error,
) -> Option<(UnreadHead, Transport)> {
    let unread = UnreadHead::new(error, &connection.read_buf);
    unread.zip(connection.io.into_inner().into_unanswered())
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
