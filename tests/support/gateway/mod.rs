//! A gateway on free ports.

mod client;

pub use client::{TestClient, TestResponse, get};

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
        self, AdminCommands, BoundListener, BoundListeners, CatalogSwitch, ClusterSwitch, ConfigReport,
        Gateway, SwitchError, Switched, TlsListener,
        settings::{AdminSettings, HttpSettings, Sink},
    },
    limits::{Admission, settings::LimitSettings},
    metrics::{self, AuthMetrics, HttpMetrics, LimitMetrics, TlsMetrics},
    partition::{Bounds, History, HistoryError, LogDirectory, MemorySettings, Page, PartitionLog},
    position::{Offset, Timestamp},
    subscription::{Lanes, LogSource},
    tls::TlsServer,
};
use tokio::{task::JoinHandle, time::sleep};
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
    /// What `/admin/config` shows.
    pub config_report: ConfigReport,
    /// Puts other streams in force.
    pub switch: CatalogSwitch,
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
        certificates.metrics.add_to(&mut registry);
        certificates.auth_metrics.add_to(&mut registry);
        let readiness = Readiness::new();
        readiness.set();
        let discovery = Discovery::new(Arc::clone(&source.directory), Arc::clone(&source.history));
        let lanes = Lanes::new(source, LANES, TaskTracker::new());
        let admission = Arc::new(Admission::new(&limits, LimitMetrics::register(&mut registry)));
        let (health, config_report) = (Health::new(), ConfigReport::default());
        let (catalog, open_streams) = (catalog.into(), Default::default());
        let metrics = HttpMetrics::register(&mut registry);
        let switch = CatalogSwitch::new(&catalog, &open_streams, &metrics);
        let gateway = Gateway {
            commands: commands(),
            trusted: TrustedNetworks::new(&settings.trusted_proxies),
            catalog,
            open_streams,
            lanes: lanes.clone(),
            discovery,
            settings,
            admission: Arc::clone(&admission),
            auth: certificates.auth,
            readiness,
            health: health.clone(),
            metrics,
            registry: Arc::new(registry),
            config_report: config_report.clone(),
            budgets: MemorySettings::default(),
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
            config_report,
            switch,
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
