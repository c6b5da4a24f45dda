//! An HTTP/2 connection: many requests at once, each in a task of its own. No task outlives the connection.

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{body::Body, response::Response};
use http::{Method, Request, Uri, header};
use hyper::{body::Incoming, rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    conn::ConnState,
    context::{ListenerConfig, Timeouts},
    h2_stream::{ChunkedBody, H2Stream, SEND_BUFFER, StallTimeout, StreamCounts},
    handler::{Peer, RequestHandler, insert_extensions},
    panics::catch_panic,
    transport::Transport,
};
use crate::{http::delivery::handle::ConnHandle, metrics::HttpMetrics};

/// Lets hyper answer requests until the connection is done or idle, or `graceful` is cancelled.
pub(super) async fn serve(
    conn: &Arc<ConnState>,
    peer: Arc<Peer>,
    transport: Transport,
    handler: impl RequestHandler,
    config: &ListenerConfig,
    deadline: Instant,
    graceful: &CancellationToken,
) {
    let timeouts = config.timeouts;
    let executor = H2Executor::new(conn, timeouts.stall_timeout, &config.metrics);
    let _abort_requests = executor.connection_closed.clone().drop_guard();
    let shared_conn = Arc::clone(conn);
    let service = service_fn(move |request| {
        let (handler, peer, conn) = (handler.clone(), Arc::clone(&peer), Arc::clone(&shared_conn));
        async move { Ok::<_, Infallible>(respond(handler, request, peer, &conn).await) }
    });
    let connection = builder(timeouts, executor.clone()).serve_connection(TokioIo::new(transport), service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = executor.wait_idle(deadline, timeouts.head_timeout) => {}
        () = graceful.cancelled() => {}
    }
    // Tells the client that no further request is taken, and waits for the open ones. Streams end by themselves or are cut.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = executor.wait_idle(Instant::now() + CLOSE_GRACE, CLOSE_GRACE) => {}
    }
}

/// Answers one request, in the request's own task.
async fn respond(
    handler: impl RequestHandler,
    mut request: Request<Incoming>,
    peer: Arc<Peer>,
    conn: &Arc<ConnState>,
) -> Response<ChunkedBody> {
    let h2_stream = H2_STREAM.get();
    if let Some(authority) = request.uri().authority().cloned() {
        request.extensions_mut().insert(authority);
    }
    if let Some(target) = origin_form(request.uri()) {
        *request.uri_mut() = target;
    }
    let bodiless = request.method() == Method::HEAD;
    insert_extensions(
        &mut request,
        &peer,
        conn,
        ConnHandle::Http2(Arc::clone(&h2_stream)),
    );
    let mut response = handler.handle_request(request).await;
    h2_stream.on_response();
    // `Connection` is a header of HTTP/1 only.
    response.headers_mut().remove(header::CONNECTION);
    if bodiless {
        // hyper omits the body of a response to HEAD on HTTP/1.1 only.
        *response.body_mut() = Body::empty();
    }
    response.map(|body| ChunkedBody::new(body, h2_stream))
}

/// Returns the target in the form of an HTTP/1.1 request line, without the scheme and authority that HTTP/2 sends in fields of
/// their own. The authority is kept in the extensions, for the CSRF protection of the admin listener.
fn origin_form(uri: &Uri) -> Option<Uri> {
    let target = uri.path_and_query()?.clone();
    Some(Uri::from(target))
}

fn builder(timeouts: Timeouts, executor: H2Executor) -> http2::Builder<H2Executor> {
    let mut builder = http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_SIZE)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .keep_alive_interval(timeouts.heartbeat)
        .keep_alive_timeout(timeouts.stall_timeout);
    builder
}

/// Spawns the tasks of a connection's requests, and counts them.
#[derive(Clone)]
struct H2Executor {
    conn: Arc<ConnState>,
    counts: Arc<StreamCounts>,
    stall_timeout: Duration,
    panics: Counter,
    /// Cancelled when the connection is over, which ends the tasks of its requests.
    connection_closed: CancellationToken,
}

impl H2Executor {
    fn new(conn: &Arc<ConnState>, stall_timeout: Duration, metrics: &HttpMetrics) -> Self {
        Self {
            conn: Arc::clone(conn),
            counts: Arc::default(),
            stall_timeout,
            panics: metrics.panics.clone(),
            connection_closed: CancellationToken::new(),
        }
    }

    /// Waits until the connection is idle: there was no request by `deadline`, or later none for between one `patience` and two.
    async fn wait_idle(&self, mut deadline: Instant, patience: Duration) {
        let mut seen = 0;
        loop {
            sleep_until(deadline).await;
            let now = self.counts.total.load(Ordering::Relaxed);
            if self.counts.open.load(Ordering::Relaxed) == 0 && now == seen {
                return;
            }
            seen = now;
            deadline = Instant::now() + patience;
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for H2Executor {
    fn execute(&self, request: F) {
        let h2_stream = Arc::new(H2Stream::new(&self.conn, &self.counts));
        let request = H2_STREAM.scope(Arc::clone(&h2_stream), request);
        let watched = catch_panic(
            StallTimeout::new(request, h2_stream, self.stall_timeout),
            self.panics.clone(),
        );
        tokio::spawn(self.connection_closed.clone().run_until_cancelled_owned(watched));
    }
}

tokio::task_local! {
    /// The request that a task runs for. hyper spawns one task a request, but tells the service nothing of the task, and the
    /// executor nothing of the request.
    static H2_STREAM: Arc<H2Stream>;
}

/// How many requests may be open on one connection, which carries those of many clients if it is a proxy's. Most servers grant
/// as many. It bounds the tasks that one connection can cost us.
const MAX_STREAMS: u32 = 100;

/// How large a head h2 accepts, in bytes as HPACK counts them (32 more a field). Clients are told it. As with HTTP/1.1 it is a
/// multiple of the largest head that we accept, so that heads that are too large get the same JSON as every other error. Beyond it h2
/// answers a bare 431, which is not counted, and beyond four times as much it closes the connection. More would let a few bytes,
/// which HPACK expands to a list of fields, take too much memory for each of the requests of a connection.
const MAX_HEADER_LIST_SIZE: u32 = 128 * 1024;

/// The flow-control window for request bodies, in bytes. It is the smallest that a connection can have, because the bodies
/// are not read.
const WINDOW: u32 = 65_535;

/// How many requests a client may reset before the service sees them, and how many of its protocol errors are answered with
/// a reset. Above that the connection is closed (CVE-2023-44487, CVE-2025-8671). A browser that leaves a page cancels a handful.
const MAX_RESETS: usize = 64;

/// How long to wait for a client that was told to go away and has no request open.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
