//! A connection of HTTP/2: many requests at once, each a task of its own, and none outlives the connection.

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use hyper::{body::Incoming, rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    conn::ConnState,
    context::{ListenerConfig, Timeouts},
    h2_stream::{ChunkedBody, H2Stream, StallTimeout, StreamCounts},
    handler::{RequestHandler, insert_extensions},
    io::HyperIo,
    panics::catch_panic,
};
use crate::{client::PeerAddr, http::delivery::handle::ConnHandle, metrics::HttpMetrics};

/// Lets hyper answer requests until the connection is done, idle, or called to its end. `first` was read already.
pub(super) async fn serve(
    conn: &Arc<ConnState>,
    peer: PeerAddr,
    first: Bytes,
    handler: impl RequestHandler,
    config: &ListenerConfig,
    deadline: Instant,
    graceful: &CancellationToken,
) {
    let Timeouts {
        stall_timeout,
        head_timeout,
        ..
    } = config.timeouts;
    let executor = H2Executor::new(conn, stall_timeout, &config.metrics);
    let _abort_requests = executor.connection_closed.clone().drop_guard();
    let shared_conn = Arc::clone(conn);
    let service = service_fn(move |request| {
        let (handler, conn) = (handler.clone(), Arc::clone(&shared_conn));
        async move { Ok::<_, Infallible>(respond(handler, request, peer, &conn).await) }
    });
    let io = TokioIo::new(HyperIo::new(Arc::clone(conn), first, stall_timeout));
    let connection = builder(config.timeouts, executor.clone()).serve_connection(io, service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = executor.wait_idle(deadline, head_timeout) => {}
        () = graceful.cancelled() => {}
    }
    // Says that no further request is taken, and waits for those that are: streams end by themselves or are cut.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = executor.wait_idle(Instant::now() + CLOSE_GRACE, CLOSE_GRACE) => {}
    }
}

/// Answers one request, within its own task.
async fn respond(
    handler: impl RequestHandler,
    mut request: Request<Incoming>,
    peer: PeerAddr,
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
        peer,
        conn,
        ConnHandle::Http2(Arc::clone(&h2_stream)),
    );
    let mut response = handler.handle_request(request).await;
    h2_stream.on_response();
    // It is of HTTP/1.
    response.headers_mut().remove(header::CONNECTION);
    if bodiless {
        // hyper leaves it out on HTTP/1.1 only.
        *response.body_mut() = Body::empty();
    }
    response.map(|body| ChunkedBody::new(body, h2_stream))
}

/// The target as HTTP/1.1 has it in its first line: scheme and authority stand in fields of their own here. The authority is kept
/// beside it, for the guard of the admin listener.
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

/// Starts the tasks of a connection's requests, and knows how many there are.
#[derive(Clone)]
struct H2Executor {
    conn: Arc<ConnState>,
    counts: Arc<StreamCounts>,
    stall_timeout: Duration,
    panics: Counter,
    /// The connection is over.
    connection_closed: CancellationToken,
}

impl H2Executor {
    fn new(conn: &Arc<ConnState>, stall_timeout: Duration, metrics: &HttpMetrics) -> Self {
        Self {
            conn: Arc::clone(conn),
            counts: Arc::default(),
            stall_timeout,
            panics: metrics.panics().clone(),
            connection_closed: CancellationToken::new(),
        }
    }

    /// Waits until the connection has nothing to do: no request by `deadline`, or later none for between one `patience` and
    /// two.
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
    /// What the task runs for. hyper makes one task a request, and says to neither which the other is.
    static H2_STREAM: Arc<H2Stream>;
}

/// Requests at a time on one connection, which for a proxy are those of many clients: what most servers grant, and at most
/// as many tasks as one connection can cost us.
const MAX_STREAMS: u32 = 100;

/// How large a head is looked at, in bytes as HPACK counts them (32 more a field): the largest that is answered, and some
/// more, so that most of what is too large gets the same JSON as everything else. Beyond it h2 answers a bare 431.
const MAX_HEADER_LIST_SIZE: u32 = 64 * 1024;

/// How much of request bodies a client may send unasked, in bytes: nobody reads them. The least that a connection can have.
const WINDOW: u32 = 65_535;

/// How much of one stream h2 keeps beyond what is sent, in bytes: as much as the socket takes.
const SEND_BUFFER: usize = 64 * 1024;

/// How many requests a client may reset before they are looked at, and how many of its mistakes are answered: above it the
/// connection is closed (CVE-2023-44487, CVE-2025-8671). A page that is left cancels a handful.
const MAX_RESETS: usize = 64;

/// How long a client that is told to go is waited for when it has no request open.
const CLOSE_GRACE: Duration = Duration::from_secs(2);
