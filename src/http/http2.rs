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
    carrier::Carrier,
    connection::{Answer, Limits, Rules, introduce},
    io::Io,
    link::Link,
    panics::contain,
    strand::{Paced, Strand, Tally, Watched},
};
use crate::{client::PeerAddr, metrics::HttpMetrics};

/// Lets hyper answer requests until the connection is done, idle, or called to its end. `first` was read already.
pub(super) async fn converse(
    link: &Arc<Link>,
    peer: PeerAddr,
    first: Bytes,
    answer: impl Answer,
    rules: &Rules,
    deadline: Instant,
    last_call: &CancellationToken,
) {
    let Limits {
        stall_timeout,
        head_timeout,
        ..
    } = rules.limits;
    let strands = Strands::new(link, stall_timeout, &rules.metrics);
    let _none_outlives_it = strands.gone.clone().drop_guard();
    let seat = Arc::clone(link);
    let service = service_fn(move |request| {
        let (answer, link) = (answer.clone(), Arc::clone(&seat));
        async move { Ok::<_, Infallible>(respond(answer, request, peer, &link).await) }
    });
    let io = TokioIo::new(Io::new(Arc::clone(link), first, stall_timeout));
    let connection = protocol(rules.limits, strands.clone()).serve_connection(io, service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = strands.idle(deadline, head_timeout) => {}
        () = last_call.cancelled() => {}
    }
    // Says that no further request is taken, and waits for those that are: streams end by themselves or are cut.
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = strands.idle(Instant::now() + FAREWELL, FAREWELL) => {}
    }
}

/// Answers one request, within its own task.
async fn respond(
    answer: impl Answer,
    mut request: Request<Incoming>,
    peer: PeerAddr,
    link: &Arc<Link>,
) -> Response<Paced> {
    let strand = STRAND.get();
    if let Some(authority) = request.uri().authority().cloned() {
        request.extensions_mut().insert(authority);
    }
    if let Some(target) = plain(request.uri()) {
        *request.uri_mut() = target;
    }
    let bodiless = request.method() == Method::HEAD;
    introduce(&mut request, peer, link, Carrier::Shared(Arc::clone(&strand)));
    let mut response = answer.answer(request).await;
    strand.answered();
    // It is of HTTP/1.
    response.headers_mut().remove(header::CONNECTION);
    if bodiless {
        // hyper leaves it out on HTTP/1.1 only.
        *response.body_mut() = Body::empty();
    }
    response.map(|body| Paced::new(body, strand))
}

/// The target as HTTP/1.1 has it in its first line: scheme and authority stand in fields of their own here. The authority is kept
/// beside it, for the guard of the admin listener.
fn plain(uri: &Uri) -> Option<Uri> {
    let target = uri.path_and_query()?.clone();
    Some(Uri::from(target))
}

fn protocol(limits: Limits, strands: Strands) -> http2::Builder<Strands> {
    let mut builder = http2::Builder::new(strands);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(HEAD)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .keep_alive_interval(limits.heartbeat)
        .keep_alive_timeout(limits.stall_timeout);
    builder
}

/// Starts the tasks of a connection's requests, and knows how many there are.
#[derive(Clone)]
struct Strands {
    link: Arc<Link>,
    tally: Arc<Tally>,
    stall_timeout: Duration,
    panics: Counter,
    /// The connection is over.
    gone: CancellationToken,
}

impl Strands {
    fn new(link: &Arc<Link>, stall_timeout: Duration, metrics: &HttpMetrics) -> Self {
        Self {
            link: Arc::clone(link),
            tally: Arc::default(),
            stall_timeout,
            panics: metrics.panics().clone(),
            gone: CancellationToken::new(),
        }
    }

    /// Waits until the connection has nothing to do: no request by `deadline`, or later none for between one `patience` and
    /// two.
    async fn idle(&self, mut deadline: Instant, patience: Duration) {
        let mut seen = 0;
        loop {
            sleep_until(deadline).await;
            let now = self.tally.seen.load(Ordering::Relaxed);
            if self.tally.open.load(Ordering::Relaxed) == 0 && now == seen {
                return;
            }
            seen = now;
            deadline = Instant::now() + patience;
        }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Strands {
    fn execute(&self, request: F) {
        let strand = Arc::new(Strand::new(&self.link, &self.tally));
        let request = STRAND.scope(Arc::clone(&strand), request);
        let watched = contain(
            Watched::new(request, strand, self.stall_timeout),
            self.panics.clone(),
        );
        tokio::spawn(self.gone.clone().run_until_cancelled_owned(watched));
    }
}

tokio::task_local! {
    /// What the task runs for. hyper makes one task a request, and says to neither which the other is.
    static STRAND: Arc<Strand>;
}

/// Requests at a time on one connection, which for a proxy are those of many clients: what most servers grant, and at most
/// as many tasks as one connection can cost us.
const MAX_STREAMS: u32 = 100;

/// How large a head is looked at, in bytes as HPACK counts them (32 more a field): the largest that is answered, and some
/// more, so that most of what is too large gets the same JSON as everything else. Beyond it h2 answers a bare 431.
const HEAD: u32 = 64 * 1024;

/// How much of request bodies a client may send unasked, in bytes: nobody reads them. The least that a connection can have.
const WINDOW: u32 = 65_535;

/// How much of one stream h2 keeps beyond what is sent, in bytes: as much as the socket takes.
const SEND_BUFFER: usize = 64 * 1024;

/// How many requests a client may reset before they are looked at, and how many of its mistakes are answered: above it the
/// connection is closed (CVE-2023-44487, CVE-2025-8671). A page that is left cancels a handful.
const RESETS: usize = 64;

/// How long a client that is told to go is waited for when it has no request open.
const FAREWELL: Duration = Duration::from_secs(2);
