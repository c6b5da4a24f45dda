//! Misbehaving clients against an endless stream, over both sinks, with TLS and without.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Request;
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::{
    test_client::{TestClient, TestTls, is_tls, set_zero_linger},
    *,
};
use crate::{
    client::TrustedProxies,
    drain,
    http::{
        delivery::{
            accounting::tests::accounting,
            body::response_body,
            handle::ConnHandle,
            handoff::HandoffSlot,
            state_machine::{Delivery, DeliveryConfig},
        },
        server::{
            panics::catch_panic,
            test_socket::{connected, connected_from},
        },
        settings::Sink::{self, Body, Socket},
    },
    metrics::{self, HttpMetrics, Registry, StartPoint},
    subscription::{Batch, BatchSource, EventFormat},
};

const SECOND: Duration = Duration::from_secs(1);
const EVENT: usize = 32 * 1024;

/// More than the kernel takes for a peer that does not read. The rest is less than hyper buffers.
const LARGE_HEADER: usize = 500 * 1024;

/// Always has one more event, and counts the events it gave.
struct EndlessSource(Arc<AtomicUsize>);

impl BatchSource for EndlessSource {
    fn poll_batch(&mut self, _context: &mut Context<'_>) -> Poll<Batch> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(number < 1_000_000, "nobody stops this");
        let mut event = format!("data: {number:010} {}", "x".repeat(EVENT));
        event.push_str("\n\n");
        Poll::Ready(Batch {
            bytes: Bytes::from(event),
            large: None,
            events: 1,
            gaps: Vec::new(),
            packed: None,
        })
    }

    fn is_held(&self) -> bool {
        false
    }
}

/// Panics when it is polled.
struct PanickingSource;

impl BatchSource for PanickingSource {
    fn poll_batch(&mut self, _context: &mut Context<'_>) -> Poll<Batch> {
        panic!("a bug of ours");
    }

    fn is_held(&self) -> bool {
        false
    }
}

/// A server for single connections that streams from one kind of source at any path but `/`.
struct ConnectionFixture {
    registry: Registry,
    metrics: HttpMetrics,
    watch: drain::DrainWatch,
    taken: Arc<AtomicUsize>,
    broken: bool,
    server: Arc<ServerContext>,
    tls: Option<TestTls>,
}

/// How streams are written, and whether over TLS.
#[derive(Clone, Copy)]
struct Way(Sink, bool);

impl ConnectionFixture {
    fn new(way: Way, stall_timeout: Duration) -> Arc<Self> {
        Self::with(way, stall_timeout, SECOND, false)
    }

    fn with(
        Way(sink, with_tls): Way,
        stall_timeout: Duration,
        head_timeout: Duration,
        broken: bool,
    ) -> Arc<Self> {
        let tls = with_tls.then(TestTls::new);
        let mut registry = metrics::registry();
        let metrics = HttpMetrics::register(&mut registry);
        Arc::new(Self {
            registry,
            metrics: metrics.clone(),
            watch: drain::channel().1,
            taken: Arc::default(),
            broken,
            server: Arc::new(ServerContext::open(ListenerConfig {
                timeouts: Timeouts {
                    stall_timeout,
                    heartbeat: SECOND,
                    head_timeout,
                },
                admission: None,
                idle_connections: |admission| &admission.idle,
                proxies: TrustedProxies::default(),
                proxy_protocol: false,
                tls: tls.as_ref().map(|tls| tls.server.clone()),
                sink,
                metrics,
            })),
            tls,
        })
    }

    /// Returns the client's end of a new connection, and a task that ends when our end is closed.
    async fn connect(self: &Arc<Self>) -> (TestClient, JoinHandle<()>) {
        self.connect_with(TcpSocket::new_v4().unwrap()).await
    }

    /// Returns the same for a client whose kernel has hardly any buffer for what the client does not read.
    async fn connect_narrow(self: &Arc<Self>) -> (TestClient, JoinHandle<()>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        self.connect_with(socket).await
    }

    async fn connect_with(self: &Arc<Self>, socket: TcpSocket) -> (TestClient, JoinHandle<()>) {
        let (client, socket) = connected_from(socket).await;
        let peer = client.local_addr().unwrap();
        let (fixture, connections) = (Arc::clone(self), TaskTracker::new());
        let connection_guard = ConnectionGuard::new(&self.metrics, connections.token());
        let served = async move {
            let connection = serve(
                socket,
                peer,
                Arc::clone(&fixture),
                Arc::clone(&fixture.server),
                connection_guard,
            );
            catch_panic(connection, fixture.metrics.panics.clone()).await;
            connections.close();
            connections.wait().await;
        };
        let served = tokio::spawn(served);
        let client = match &self.tls {
            None => TestClient::Left(client),
            Some(tls) => tls.connect(client).await,
        };
        (client, served)
    }

    fn stream(
        &self,
        source: impl BatchSource + Unpin + Send + 'static,
        request: &Request<Incoming>,
    ) -> Response {
        let extensions = request.extensions();
        let handle = extensions.get::<ConnHandle>().cloned().unwrap();
        let slot = extensions.get::<Arc<HandoffSlot>>().cloned();
        let delivery_config = DeliveryConfig {
            format: EventFormat::Sse,
            heartbeat: SECOND,
            hold_limit: SECOND,
            ends_at_gap: false,
        };
        let accounting = accounting(&self.metrics, StartPoint::Live);
        let delivery = Delivery::new(source, delivery_config, self.watch.guard(), accounting);
        response_body(delivery, handle, slot).into_response()
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    async fn until_open(&self) {
        let open = "riverhead_streams_open{stream=\"recentchange\"} 1\n";
        while !metrics::render(&self.registry).unwrap().contains(open) {
            tokio::task::yield_now().await;
        }
    }

    fn assert_ended(&self, reason: &str) {
        let text = metrics::render(&self.registry).unwrap();
        assert!(text.contains(&format!("reason=\"{reason}\"}} 1\n")), "{text}");
        assert!(
            text.contains("riverhead_streams_open{stream=\"recentchange\"} 0\n"),
            "{text}"
        );
    }
}

impl RequestHandler for Arc<ConnectionFixture> {
    fn handle_request(&self, request: Request<Incoming>) -> BoxFuture<'static, Response> {
        let response = match request.uri().path() {
            "/" => "short".into_response(),
            "/large" => {
                let mut response = self.stream(EndlessSource(Arc::clone(&self.taken)), &request);
                let large = "x".repeat(LARGE_HEADER).parse().unwrap();
                response.headers_mut().insert("x", large);
                response
            }
            _ if self.broken => self.stream(PanickingSource, &request),
            _ => self.stream(EndlessSource(Arc::clone(&self.taken)), &request),
        };
        Box::pin(std::future::ready(response))
    }
}

async fn ask(client: &mut TestClient, target: &str) {
    let request = format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    client.flush().await.unwrap();
}

/// Waits until no more events are taken from the source. Returns how many were: the kernel holds them, and we do.
async fn until_blocked(fixture: &ConnectionFixture) -> usize {
    let blocked = async {
        let mut before = usize::MAX;
        while fixture.taken() == 0 || before != fixture.taken() {
            before = fixture.taken();
            // There is no signal for this: the test takes 100 ms without an event for the end.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        before
    };
    timeout(10 * SECOND, blocked).await.unwrap()
}

async fn a_client_that_does_not_read_is_reset_and_the_log_says_why(way: Way) {
    let fixture = ConnectionFixture::new(way, Duration::from_millis(300));
    let (mut client, served) = fixture.connect().await;
    ask(&mut client, "/stream").await;
    timeout(10 * SECOND, served).await.unwrap().unwrap();
    fixture.assert_ended("stalled");
    let mut rest = Vec::new();
    let error = client.read_to_end(&mut rest).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

async fn a_client_that_reads_now_and_then_keeps_its_stream(way: Way) {
    let fixture = ConnectionFixture::new(way, Duration::from_millis(400));
    let (mut client, served) = fixture.connect().await;
    ask(&mut client, "/stream").await;
    let start = Instant::now();
    let mut some = vec![0; 8 * 1024 * 1024];
    // Three times the deadline, never a deadline without a byte.
    while start.elapsed() < Duration::from_millis(1200) {
        client.read_exact(&mut some).await.unwrap();
        // Nothing is waited for: this is how the client reads.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!served.is_finished());
    drop(client);
    timeout(10 * SECOND, served).await.unwrap().unwrap();
    fixture.assert_ended("client_closed");
}

async fn a_client_that_pauses_costs_no_buffer_of_ours_and_misses_nothing(way: Way) {
    let fixture = ConnectionFixture::new(way, 60 * SECOND);
    let (mut client, _served) = fixture.connect().await;
    ask(&mut client, "/stream").await;
    let taken = until_blocked(&fixture).await;
    // The kernels of both ends hold part of it. All that was taken, and 200 events more, must arrive.
    let mut read = Vec::new();
    let mut some = vec![0; 64 * 1024];
    while read.len() < (taken + 200) * EVENT {
        let bytes = client.read(&mut some).await.unwrap();
        assert!(bytes > 0);
        read.extend_from_slice(&some[..bytes]);
    }
    let text = String::from_utf8(read).unwrap();
    let numbers: Vec<usize> = text
        .split("data: ")
        .skip(1)
        .filter_map(|event| event.get(..10)?.parse().ok())
        .collect();
    assert!(numbers.len() > taken);
    assert!(
        numbers.iter().copied().eq(0..numbers.len()),
        "each once, in order"
    );
}

async fn every_event_is_one_chunk(way: Way) {
    let fixture = ConnectionFixture::new(way, 60 * SECOND);
    let (mut client, _served) = fixture.connect().await;
    ask(&mut client, "/stream").await;
    let mut read = vec![0; 20 * EVENT];
    client.read_exact(&mut read).await.unwrap();
    let text = String::from_utf8(read).unwrap();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    let events: Vec<_> = body.split_inclusive("\n\n\r\n").collect();
    let (last, whole) = events.split_last().unwrap();
    assert!(whole.len() > 10 && !last.is_empty());
    for event in whole {
        let (size, chunk) = event.split_once("\r\n").unwrap();
        assert_eq!(usize::from_str_radix(size, 16).unwrap() + 2, chunk.len());
    }
}

async fn a_head_that_the_socket_does_not_take_at_once_comes_whole(way: Way) {
    let fixture = ConnectionFixture::new(way, 60 * SECOND);
    let (mut client, _served) = fixture.connect_narrow().await;
    ask(&mut client, "/large").await;
    fixture.until_open().await;
    let mut read = vec![0; LARGE_HEADER + 4 * EVENT];
    client.read_exact(&mut read).await.unwrap();
    let text = String::from_utf8(read).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&"x".repeat(LARGE_HEADER)));
    assert!(body.starts_with("5\r\n:ok\n\n\r\n"), "{}", &body[..20]);
    assert!(body[10..].contains("\r\ndata: 0000000000 xxx"));
}

async fn a_reset_before_the_head_is_out_leaves_nothing_behind(way: Way) {
    let fixture = ConnectionFixture::new(way, 60 * SECOND);
    let (mut client, served) = fixture.connect_narrow().await;
    ask(&mut client, "/large").await;
    fixture.until_open().await;
    set_zero_linger(&client);
    drop(client);
    timeout(5 * SECOND, served).await.unwrap().unwrap();
    fixture.assert_ended("client_closed");
    assert_eq!(fixture.taken(), 0, "no event before the head");
}

async fn a_head_that_is_never_read_stalls(way: Way) {
    let fixture = ConnectionFixture::new(way, Duration::from_millis(300));
    let (mut client, served) = fixture.connect_narrow().await;
    ask(&mut client, "/large").await;
    timeout(10 * SECOND, served).await.unwrap().unwrap();
    fixture.assert_ended("stalled");
    drop(client);
}

async fn a_reset_is_noticed_as_a_close_is(way: Way) {
    let fixture = ConnectionFixture::new(way, 60 * SECOND);
    let (mut client, served) = fixture.connect().await;
    ask(&mut client, "/stream").await;
    until_blocked(&fixture).await;
    set_zero_linger(&client);
    drop(client);
    timeout(5 * SECOND, served).await.unwrap().unwrap();
    fixture.assert_ended("client_closed");
}

async fn a_client_that_closes_its_side_gets_its_answer_but_no_stream(way: Way) {
    let fixture = ConnectionFixture::new(way, 60 * SECOND);
    for (target, end) in [("/", "\r\n\r\nshort"), ("/stream", "\n\n\r\n")] {
        let (mut client, served) = fixture.connect().await;
        ask(&mut client, target).await;
        client.shutdown().await.unwrap();
        let mut text = Vec::new();
        let end_of_it = timeout(5 * SECOND, client.read_to_end(&mut text)).await.unwrap();
        // Who has sent close_notify gets none for a stream.
        assert!(end_of_it.is_ok() || is_tls(&client) && target == "/stream");
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{target}");
        assert!(text.contains(end), "{target}");
        timeout(5 * SECOND, served).await.unwrap().unwrap();
    }
}

async fn a_head_that_does_not_come_in_time_is_not_waited_for(way: Way) {
    let fixture = ConnectionFixture::with(way, 60 * SECOND, 2 * SECOND, false);
    let (mut client, served) = fixture.connect().await;
    let trickle = async {
        for byte in "GET / HTTP/1.1\r\nhost: test\r\nx: "
            .bytes()
            .chain(std::iter::repeat(b'x'))
        {
            if client.write_all(&[byte]).await.is_err() {
                return;
            }
            // Nothing is waited for: this is how the client writes.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let closed = timeout(20 * SECOND, trickle).await;
    assert!(
        closed.is_ok(),
        "the deadline is for the whole head, not for each byte"
    );
    timeout(5 * SECOND, served).await.unwrap().unwrap();
}

async fn a_panic_of_a_stream_gives_its_place_back(way: Way) {
    let fixture = ConnectionFixture::with(way, 60 * SECOND, SECOND, true);
    let (mut client, served) = fixture.connect().await;
    ask(&mut client, "/stream").await;
    timeout(5 * SECOND, served).await.unwrap().unwrap();
    fixture.assert_ended("panicked");
    let text = metrics::render(&fixture.registry).unwrap();
    assert!(text.contains("riverhead_http_panics_total 1\n"), "{text}");
}

#[tokio::test]
async fn a_connection_keeps_little_in_its_task() {
    let fixture = ConnectionFixture::new(Way(Body, false), SECOND);
    let (client, socket) = connected().await;
    let peer = client.local_addr().unwrap();
    let connection_guard = ConnectionGuard::new(&fixture.metrics, TaskTracker::new().token());
    let connection = serve(
        socket,
        peer,
        Arc::clone(&fixture),
        Arc::clone(&fixture.server),
        connection_guard,
    );
    // Each further `async fn` on the way holds its arguments twice. With those that there were the task had 1,800 bytes.
    let bytes = size_of_val(&connection);
    assert!(bytes <= 768, "{bytes} bytes");
}

/// Makes each of these a test for either sink, with TLS and without.
macro_rules! on_both_sinks {
    ($($test:ident)*) => {$(
        mod $test {
            use super::{Body, Socket, Way};

            #[tokio::test]
            async fn over_the_socket() {
                super::$test(Way(Socket, false)).await;
            }

            #[tokio::test]
            async fn as_a_body() {
                super::$test(Way(Body, false)).await;
            }

            #[tokio::test]
            async fn over_the_socket_sealed() {
                super::$test(Way(Socket, true)).await;
            }

            #[tokio::test]
            async fn as_a_body_sealed() {
                super::$test(Way(Body, true)).await;
            }
        }
    )*};
}

on_both_sinks! {
    a_head_that_the_socket_does_not_take_at_once_comes_whole
    a_reset_before_the_head_is_out_leaves_nothing_behind
    a_head_that_is_never_read_stalls
    a_client_that_does_not_read_is_reset_and_the_log_says_why
    a_client_that_reads_now_and_then_keeps_its_stream
    a_client_that_pauses_costs_no_buffer_of_ours_and_misses_nothing
    every_event_is_one_chunk
    a_reset_is_noticed_as_a_close_is
    a_client_that_closes_its_side_gets_its_answer_but_no_stream
    a_head_that_does_not_come_in_time_is_not_waited_for
    a_panic_of_a_stream_gives_its_place_back
}
