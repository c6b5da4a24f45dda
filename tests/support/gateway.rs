//! A gateway on free ports, and a client that sees every byte.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use riverhead::{
    auth::Authenticator,
    catalog::{Catalog, Stream, StreamName},
    client::{ClientKey, TrustedNetworks},
    discovery::Discovery,
    drain::{self, DrainSignal},
    health::{Health, Readiness},
    http::{
        self, AdminCommands, BoundListener, BoundListeners, ClusterSwitch, Gateway, SwitchError, Switched,
        TlsListener,
        settings::{AdminSettings, HttpSettings, Sink},
    },
    limits::{Admission, settings::LimitSettings},
    metrics::{self, AuthMetrics, HttpMetrics, LimitMetrics, TlsMetrics},
    partition::{Bounds, History, HistoryError, LogDirectory, Page, PartitionLog},
    position::{Offset, Timestamp},
    subscription::{Lanes, LogSource},
    tls::TlsServer,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use super::model::{ModelFixture, TOPIC};

/// The budget of the lanes of a test gateway, in bytes.
const LANES: usize = 16 * 1024 * 1024;

/// The longest wait for something that must happen.
pub const DEADLINE: Duration = Duration::from_secs(10);

tokio::task_local! {
    static SINK: Sink;
}

/// Runs a test whose gateways write streams with this sink.
pub async fn with_sink<T>(sink: Sink, test: impl Future<Output = T>) -> T {
    SINK.scope(sink, test).await
}

/// The certificates of a gateway.
#[derive(Default)]
pub struct TestCertificates {
    pub metrics: TlsMetrics,
    /// Those of the public listener with TLS, if there is to be one.
    pub http: Option<TlsServer>,
    /// Those of the admin listener, if it is to have some.
    pub admin: Option<TlsServer>,
    /// The check of credentials, if any are looked at.
    pub auth: Option<Authenticator>,
    /// The metrics of that check.
    pub auth_metrics: AuthMetrics,
}

/// A gateway in this process, on free ports of the loopback.
pub struct TestGateway {
    pub public: SocketAddr,
    /// The public listener with TLS, if there is one.
    pub https: Option<SocketAddr>,
    pub admin: SocketAddr,
    pub lanes: Lanes,
    pub admission: Arc<Admission>,
    pub signal: DrainSignal,
    /// The health that `/healthz` shows.
    pub health: Health,
    pub served: JoinHandle<std::io::Result<()>>,
}

impl TestGateway {
    /// Starts a gateway with these changes to the default settings. Kafka does not answer.
    pub fn start(change: impl FnOnce(&mut HttpSettings)) -> Self {
        Self::over(catalog(), nothing(), change)
    }

    /// Starts a gateway for these streams, with limits that a test from one address does not reach.
    pub fn over(catalog: Catalog, source: LogSource, change: impl FnOnce(&mut HttpSettings)) -> Self {
        Self::limited(catalog, source, plenty(), change)
    }

    /// Starts a gateway that serves the topic of this model as `edits`.
    pub fn of(fixture: &ModelFixture, change: impl FnOnce(&mut HttpSettings)) -> Self {
        Self::over(edits(), fixture.source.clone(), change)
    }

    /// Starts a gateway for these streams with these limits.
    pub fn limited(
        catalog: Catalog,
        source: LogSource,
        limits: LimitSettings,
        change: impl FnOnce(&mut HttpSettings),
    ) -> Self {
        Self::with_tls(catalog, source, limits, change, TestCertificates::default())
    }

    /// Starts such a gateway with these certificates.
    pub fn with_tls(
        catalog: Catalog,
        source: LogSource,
        limits: LimitSettings,
        change: impl FnOnce(&mut HttpSettings),
        certificates: TestCertificates,
    ) -> Self {
        let mut settings = HttpSettings {
            sink: SINK.try_with(|sink| *sink).unwrap_or_default(),
            ..HttpSettings::default()
        };
        change(&mut settings);
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let (public, admin) = (
            BoundListener::bind(free).unwrap(),
            BoundListener::bind(free).unwrap(),
        );
        let addresses = (public.address(), admin.address());
        let https = certificates.http.map(|tls| TlsListener {
            listener: BoundListener::bind(free).unwrap(),
            tls,
        });
        let https_address = https.as_ref().map(|https| https.listener.address());
        let listeners = BoundListeners {
            http: Some(public),
            https,
            admin,
            admin_tls: certificates.admin,
        };
        let (signal, drain) = drain::channel();
        let mut registry = metrics::registry();
        certificates.metrics.register(&mut registry);
        certificates.auth_metrics.register(&mut registry);
        let readiness = Readiness::new();
        readiness.set();
        let discovery = Discovery::new(Arc::clone(&source.directory), Arc::clone(&source.history));
        let lanes = Lanes::new(source, LANES, TaskTracker::new());
        let admission = Arc::new(Admission::new(&limits, LimitMetrics::register(&mut registry)));
        let health = Health::new();
        let gateway = Gateway {
            commands: commands(),
            trusted: TrustedNetworks::new(&settings.trusted_proxies),
            catalog: Arc::new(catalog),
            lanes: lanes.clone(),
            discovery,
            settings,
            admission: Arc::clone(&admission),
            auth: certificates.auth,
            readiness,
            health: health.clone(),
            metrics: HttpMetrics::register(&mut registry),
            registry: Arc::new(registry),
            drain,
        };
        Self {
            public: addresses.0,
            https: https_address,
            admin: addresses.1,
            lanes,
            admission,
            signal,
            health,
            served: tokio::spawn(http::serve(listeners, gateway)),
        }
    }

    /// Returns the value of a metric, which is given as in the text, by name and labels. Returns 0 if it is
    /// missing.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = get(self.admin, "/metrics", "").await.body;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until a metric has this value.
    pub async fn until_metric(&self, name: &str, value: f64) {
        let start = Instant::now();
        while self.metric(name).await != value {
            assert!(start.elapsed() < DEADLINE, "{name} never became {value}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Returns limits that a test from one address does not reach.
pub fn plenty() -> LimitSettings {
    let plenty = NonZeroU32::new(1_000_000).unwrap();
    LimitSettings {
        streams_per_client: plenty,
        streams_total: plenty,
        requests_per_minute: plenty,
        request_burst: plenty,
        connections_without_stream: plenty,
        connections_without_stream_per_client: plenty,
        ..LimitSettings::default()
    }
}

/// Returns a catalog: `recentchange` (alias `mediawiki.recentchange`) of two topics, and `revision` of one of
/// them.
pub fn catalog() -> Catalog {
    let mut recentchange = Stream::new("recentchange", ["codfw.recentchange", "eqiad.recentchange"]);
    recentchange.aliases.push("mediawiki.recentchange".into());
    let mut revision = Stream::new("revision", ["eqiad.revision"]);
    revision.former_topics.push("eqiad.old-revision".into());
    Catalog::new(vec![recentchange, revision]).unwrap()
}

/// Returns a catalog with the topic of a model as a stream.
pub fn edits() -> Catalog {
    Catalog::new(vec![Stream::new("edits", [TOPIC])]).unwrap()
}

/// The token of the gateway's commands.
pub const TOKEN: &str = "the-token-of-the-gateway";

fn commands() -> AdminCommands {
    let settings = AdminSettings {
        token: Some(TOKEN.parse().unwrap()),
        hosts: ["test", "a"].map(|name| name.parse().unwrap()).into(),
        ..AdminSettings::default()
    };
    AdminCommands::new(&settings, Arc::new(PretendedSwitch))
}

/// Knows the clusters `b`, which serves, and `down`, which does not.
struct PretendedSwitch;

impl ClusterSwitch for PretendedSwitch {
    fn activate_cluster(
        &self,
        stream: &StreamName,
        cluster: &str,
        force: bool,
    ) -> Result<Switched, SwitchError> {
        match cluster {
            "down" if !force => Err(SwitchError::Conflict("it is down".into())),
            "b" | "down" => Ok(Switched {
                streams: vec![stream.to_string()],
                from: "a".into(),
                to: cluster.into(),
            }),
            _ => Err(SwitchError::Unknown(format!("no cluster {cluster}"))),
        }
    }
}

/// Returns a source without logs, whose Kafka does not answer.
pub fn nothing() -> LogSource {
    LogSource {
        directory: LogDirectory::new(),
        history: Arc::new(NoHistory),
    }
}

/// A history whose Kafka does not answer.
struct NoHistory;

impl History for NoHistory {
    fn page(
        &self,
        _log: &Arc<PartitionLog>,
        _offset: Offset,
        _client: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        Box::pin(std::future::pending())
    }

    fn bounds(&self, _log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        Box::pin(std::future::pending())
    }

    fn first_at(
        &self,
        _log: &Arc<PartitionLog>,
        _time: Timestamp,
        _client: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        Box::pin(std::future::pending())
    }
}

/// A parsed response.
#[derive(Debug)]
pub struct TestResponse {
    pub status: u16,
    /// From the status line to the blank line.
    pub head: String,
    pub body: String,
}

impl TestResponse {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (own, value) = line.split_once(": ")?;
        own.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Sends a GET on a new connection. `headers` are whole lines, each with its `\r\n`.
pub async fn get(address: SocketAddr, target: &str, headers: &str) -> TestResponse {
    let request = format!("GET {target} HTTP/1.1\r\nhost: test\r\n{headers}connection: close\r\n\r\n");
    let mut client = TestClient::connect(address).await;
    client.send(&request).await;
    client.answer().await
}

/// A connection whose bytes the test writes and reads itself.
pub struct TestClient {
    socket: TcpStream,
    /// Bytes that were read and not returned yet.
    read: Vec<u8>,
}

impl TestClient {
    pub async fn connect(address: SocketAddr) -> Self {
        Self {
            socket: TcpStream::connect(address).await.unwrap(),
            read: Vec::new(),
        }
    }

    /// Connects from this loopback address.
    pub async fn from(source: [u8; 4], address: SocketAddr) -> Self {
        Self::try_from(source, address).await.unwrap()
    }

    /// Connects from this loopback address. Fails if the connection is refused, or reset before this task has
    /// noticed that it is established.
    pub async fn try_from(source: [u8; 4], address: SocketAddr) -> std::io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        Ok(Self {
            socket: socket.connect(address).await?,
            read: Vec::new(),
        })
    }

    /// Closes the connection with a reset, as for a killed process with unread input.
    pub fn reset(self) {
        socket2::SockRef::from(&self.socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Makes the kernel drop all packets of this connection from now on, as if the network were gone.
    pub fn vanish(&self) {
        // `ret 0`
        let drop_all = [socket2::SockFilter::new(0x06, 0, 0, 0)];
        socket2::SockRef::from(&self.socket)
            .attach_filter(&drop_all)
            .unwrap();
    }

    /// Connects and requests a stream.
    pub async fn stream(address: SocketAddr, target: &str) -> Self {
        Self::ask(address, target, "").await
    }

    /// Connects and requests a stream, with more headers. `headers` are whole lines, each with its `\r\n`.
    pub async fn ask(address: SocketAddr, target: &str, headers: &str) -> Self {
        let mut client = Self::connect(address).await;
        client
            .send(&format!("GET {target} HTTP/1.1\r\nhost: test\r\n{headers}\r\n"))
            .await;
        client
    }

    pub async fn send(&mut self, bytes: &str) {
        self.try_send(bytes).await.unwrap();
    }

    /// Sends bytes. Fails if the connection was closed.
    pub async fn try_send(&mut self, bytes: &str) -> std::io::Result<()> {
        self.socket.write_all(bytes.as_bytes()).await
    }

    /// Closes the sending direction. Responses can still be read.
    pub async fn half_close(&mut self) {
        self.socket.shutdown().await.unwrap();
    }

    /// Reads up to and including `end`.
    pub async fn until(&mut self, end: &str) -> String {
        loop {
            let found = self
                .read
                .windows(end.len())
                .position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let text = self.read.drain(..at + end.len()).collect();
                return String::from_utf8(text).unwrap();
            }
            assert!(self.more().await, "ended before {end:?}: {:?}", self.text());
        }
    }

    /// Reads the next `n` bytes.
    pub async fn exactly(&mut self, n: usize) -> String {
        String::from_utf8(self.exact_bytes(n).await).unwrap()
    }

    async fn exact_bytes(&mut self, n: usize) -> Vec<u8> {
        while self.read.len() < n {
            assert!(self.more().await, "ended early: {:?}", self.text());
        }
        self.read.drain(..n).collect()
    }

    /// Reads the text of the next chunk; empty for the last one.
    pub async fn chunk(&mut self) -> String {
        String::from_utf8(self.chunk_bytes().await).unwrap()
    }

    /// Reads the bytes of the next chunk.
    pub async fn chunk_bytes(&mut self) -> Vec<u8> {
        let size = self.until("\r\n").await;
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        let chunk = self.exact_bytes(size).await;
        assert_eq!(self.exactly(2).await, "\r\n");
        chunk
    }

    /// Reads the head of a response.
    pub async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// Reads until the server closes.
    pub async fn rest(&mut self) -> String {
        while self.more().await {}
        self.text()
    }

    /// Reads one whole response, whose body has a length or lasts to the end of the connection.
    pub async fn answer(&mut self) -> TestResponse {
        let head = self.head().await;
        let body = match header(&head, "content-length") {
            Some(length) => self.exactly(length.parse().unwrap()).await,
            None => self.rest().await,
        };
        let status = head[9..12].parse().unwrap();
        TestResponse { status, head, body }
    }

    /// Reads until an error, and returns it.
    pub async fn error(&mut self) -> std::io::ErrorKind {
        loop {
            match self.try_more().await {
                Ok(0) => panic!("ended without an error"),
                Ok(_) => {}
                Err(error) => return error.kind(),
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    async fn more(&mut self) -> bool {
        self.try_more().await.unwrap() > 0
    }

    async fn try_more(&mut self) -> std::io::Result<usize> {
        let read = self.socket.read_buf(&mut self.read);
        timeout(DEADLINE, read)
            .await
            .expect("something within the deadline")
    }
}
