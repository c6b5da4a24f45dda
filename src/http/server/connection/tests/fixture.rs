//! A server for single connections, and sources of endless streams.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Request;
use hyper::body::Incoming;
use tokio::{io::AsyncWriteExt, net::TcpSocket, task::JoinHandle, time::timeout};
use tokio_util::task::TaskTracker;

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
            connection::{
                serve,
                test_client::{TestClient, TestTls},
            },
            connection_guard::ConnectionGuard,
            context::{ListenerConfig, ServerContext, Timeouts},
            handler::RequestHandler,
            panics::catch_panic,
            test_socket::connected_from,
        },
        settings::Sink,
    },
    metrics::{self, HttpMetrics, Registry, StartPoint},
    subscription::{Batch, BatchSource, EventFormat},
};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const EVENT: usize = 32 * 1024;

/// More than the kernel takes for a peer that does not read. The rest is less than hyper buffers.
pub(super) const LARGE_HEADER: usize = 500 * 1024;

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
pub(super) struct ConnectionFixture {
    pub(super) registry: Registry,
    pub(super) metrics: HttpMetrics,
    watch: drain::DrainWatch,
    taken: Arc<AtomicUsize>,
    broken: bool,
    pub(super) server: Arc<ServerContext>,
    tls: Option<TestTls>,
}

/// How streams are written, and whether over TLS.
#[derive(Clone, Copy)]
pub(super) struct Way(pub(super) Sink, pub(super) bool);

impl ConnectionFixture {
    pub(super) fn new(way: Way, stall_timeout: Duration) -> Arc<Self> {
        Self::with(way, stall_timeout, SECOND, false)
    }

    pub(super) fn with(
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
    pub(super) async fn connect(self: &Arc<Self>) -> (TestClient, JoinHandle<()>) {
        self.connect_with(TcpSocket::new_v4().unwrap()).await
    }

    /// Returns the same for a client whose kernel has hardly any buffer for what the client does not read.
    pub(super) async fn connect_narrow(self: &Arc<Self>) -> (TestClient, JoinHandle<()>) {
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

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) async fn until_open(&self) {
        let open = "riverhead_streams_open{stream=\"recentchange\"} 1\n";
        while !metrics::render(&self.registry).unwrap().contains(open) {
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn assert_ended(&self, reason: &str) {
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

pub(super) async fn ask(client: &mut TestClient, target: &str) {
    let request = format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    client.flush().await.unwrap();
}

/// Waits until no more events are taken from the source. Returns how many were: the kernel holds them, and we do.
pub(super) async fn until_blocked(fixture: &ConnectionFixture) -> usize {
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
