//! A gateway's run, from binding its ports to closing its last connection.

use std::{io, mem, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::task::TaskTracker;

use super::{
    ConfigLoader, StartError,
    auth::Authentication,
    cluster_switch::FailoverSwitch,
    clusters::Clusters,
    config_history::ConfigHistory,
    descriptors,
    former_topics::FormerTopics,
    handover::{HotRestart, ListenAddresses, ListenSockets, Predecessor},
    health,
    lifecycle::Lifecycle,
    passed_keys::PassedKeys,
    reload::{ConfigReloader, ReloadTrigger},
    scrape,
    signals::Signals,
    started::StartedConfig,
    streams::{StreamReloader, expected_streams},
    tls::TlsServers,
};
use crate::{
    catalog::CurrentCatalog,
    client::TrustedNetworks,
    config::Config,
    discovery::Discovery,
    drain,
    health::{Health, Readiness},
    http::{
        self, AdminCommands, BoundListeners, CatalogSwitch, ConfigReport, Gateway, OpenStreams, TlsListener,
    },
    kafka::{BrokerProfile, KafkaMetrics},
    limits::Admission,
    log,
    metrics::{self, EventStreamsMetrics, HttpMetrics, LifecycleMetrics, LimitMetrics, Registry, TlsMetrics},
    partition::LogDirectory,
    subscription::{Lanes, LogSource},
};

/// Runs until a signal, and then until the drain is over. `on_listening` gets the addresses once they accept. Without
/// `load_config`, SIGHUP ends the process at once, as a closed terminal should.
pub(super) fn run(
    mut config: Config,
    load_config: Option<ConfigLoader>,
    profile: BrokerProfile,
    on_listening: impl FnOnce(ListenAddresses),
) -> Result<(), StartError> {
    descriptors::fit(&mut config)?;
    let tls_metrics = TlsMetrics::default();
    let tls = TlsServers::load(&config, &tls_metrics)?;
    let auth = Authentication::load(&config)?;
    let mut sockets = listen(&config, profile)?;
    let keys = PassedKeys::new(&tls, &auth);
    keys.take(&mem::take(&mut sockets.ticket_keys));
    let spare = sockets.spare()?;
    let runtime = Runtime::new()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    // From here on it does not end this process, which may wait for its streams now.
    let hangup = load_config.as_ref().map(|_| runtime.block_on(hangup()));
    let started = StartedConfig::read(config, &runtime);
    let (signal, watch) = drain::channel();
    let Components {
        gateway,
        clusters,
        tasks,
        reload,
        counts,
    } = build(started, load_config, profile, watch, &tls, &tls_metrics, &auth)?;
    let (window, takeover) = (gateway.settings.drain, gateway.settings.takeover);
    // The demo's brokers end with it, so that a successor would serve another stream.
    let hot_restart = (profile == BrokerProfile::Real)
        .then(|| HotRestart::new(spare, keys, auth.clone(), takeover, counts));
    let served = runtime.block_on(async {
        // The task ends with the runtime.
        tokio::spawn(gateway.lanes.clone().drop_deleted_records());
        let hangup = hangup.transpose()?;
        let reload = reload.zip(hangup).map(|(reload, hangup)| reload.listen(hangup));
        tls.watch(&gateway.health);
        auth.start();
        let ready = wait_ready(&sockets, &gateway.health, takeover, &auth);
        tokio::select! {
            fit = ready => fit?,
            // Nothing has been served yet.
            _ = signals.wait_for_shutdown() => return Ok(()),
        }
        let predecessor = sockets.predecessor.take();
        if predecessor.is_some() {
            auth.follow_revocations(window + PREDECESSOR_SLACK);
            reload_if_any(reload.as_ref()).await;
        }
        let serving = open(sockets, tls, gateway, on_listening);
        if let Some(predecessor) = predecessor {
            take_over(predecessor, reload).await;
        }
        let lifecycle = Lifecycle {
            serving,
            signals,
            hot_restart,
        };
        let lived = lifecycle.run(signal, window).await;
        // A lane ends with its last client. Lanes whose clients are cut off by the end of the drain end with the runtime.
        tasks.close();
        let _ = timeout(LANES_TIMEOUT, tasks.wait()).await;
        lived
    });
    clusters.shutdown(KAFKA_TIMEOUT);
    served
}

/// The parts that are built before anything is served.
struct Components {
    gateway: Gateway,
    clusters: Clusters,
    /// The tasks of the lanes.
    tasks: TaskTracker,
    reload: Option<ConfigReloader>,
    counts: LifecycleMetrics,
}

/// Builds the parts from Kafka up to HTTP, each on those before it. Kafka is being read from here on.
fn build(
    mut started: StartedConfig,
    load_config: Option<ConfigLoader>,
    profile: BrokerProfile,
    drain: drain::DrainWatch,
    tls: &TlsServers,
    tls_metrics: &TlsMetrics,
    auth: &Authentication,
) -> Result<Components, StartError> {
    let (mut registry, counters, counts) = registry(tls_metrics, auth);
    let directory = LogDirectory::new();
    scrape::register_logs(&mut registry, &directory);
    let health = create_health(&mut started, &mut registry, &drain);
    let config = started.config;
    let clusters = Clusters::connect(&config, &directory, profile, &counters, &health)?;
    let source = LogSource {
        directory,
        history: clusters.history(),
    };
    let discovery = Discovery::new(Arc::clone(&source.directory), Arc::clone(&source.history));
    let tasks = TaskTracker::new();
    let lanes = Lanes::new(source, config.memory.lanes.get(), tasks.clone());
    scrape::register_lanes(&mut registry, &lanes);
    let admission = Admission::new(&config.limits, LimitMetrics::register(&mut registry));
    let cluster_switch = Arc::new(FailoverSwitch::new(clusters.failover()));
    let config_report = ConfigReport::default();
    let history = ConfigHistory::new(&config.shown, config_report.clone());
    let gateway = Gateway {
        commands: AdminCommands::new(&config.admin, cluster_switch),
        trusted: TrustedNetworks::new(&config.http.trusted_proxies),
        metrics: http_metrics(&config, &mut registry),
        catalog: CurrentCatalog::from(config.catalog),
        open_streams: OpenStreams::default(),
        lanes,
        discovery,
        settings: config.http,
        admission: Arc::new(admission),
        auth: auth.authenticator(),
        readiness: Readiness::new(),
        health,
        registry: Arc::new(registry),
        config_report,
        budgets: config.memory,
        drain,
    };
    let reload = load_config.map(|load_config| {
        let mut reload = ConfigReloader::new(load_config, &started.of_file, history, counts.clone());
        subscribe_all(&mut reload, &gateway, tls, auth);
        change_streams(&mut reload, &gateway, &clusters, started.former_topics);
        reload.read_streams(started.stream_config);
        reload
    });
    Ok(Components {
        gateway,
        clusters,
        tasks,
        reload,
        counts,
    })
}

/// Handles SIGHUP from now on, which would end the process otherwise. Must be called inside a runtime.
async fn hangup() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

fn listen(config: &Config, profile: BrokerProfile) -> Result<ListenSockets, StartError> {
    let addresses = ListenAddresses::of(config);
    match profile {
        BrokerProfile::Real => ListenSockets::inherit(addresses),
        // The embedded brokers have started threads already.
        BrokerProfile::Embedded => ListenSockets::bind(addresses),
    }
}

/// Creates the registry with the metrics of this process, of TLS and authentication, and of Kafka's clients.
fn registry(tls_metrics: &TlsMetrics, auth: &Authentication) -> (Registry, KafkaMetrics, LifecycleMetrics) {
    let mut registry = metrics::registry();
    tls_metrics.add_to(&mut registry);
    auth.register(&mut registry);
    metrics::register_process(&mut registry);
    scrape::register_log_lines(&mut registry);
    let counters = KafkaMetrics::default();
    counters.add_to(registry.sub_registry_with_prefix("kafka"));
    let counts = LifecycleMetrics::default();
    counts.add_to(&mut registry);
    (registry, counters, counts)
}

/// Creates what is known of health, for the streams that are expected, and registers its metrics.
fn create_health(started: &mut StartedConfig, registry: &mut Registry, drain: &drain::DrainWatch) -> Health {
    let health = Health::new();
    started.stream_config.report_to(&health, registry);
    health.set_streams(expected_streams(&started.config.catalog));
    health::register(registry, &health, drain, &started.config.limits);
    health
}

/// Registers the metrics of HTTP, with those of EventStreams if the configuration asks for them.
fn http_metrics(config: &Config, registry: &mut Registry) -> HttpMetrics {
    let mut metrics = HttpMetrics::register(registry);
    metrics.eventstreams = EventStreamsMetrics::of(&config.metrics);
    metrics
}

/// Subscribes every part of the gateway that can apply a new configuration at run time.
fn subscribe_all(reload: &mut ConfigReloader, gateway: &Gateway, tls: &TlsServers, auth: &Authentication) {
    let (trusted, admission) = (gateway.trusted.clone(), Arc::clone(&gateway.admission));
    reload.subscribe(move |config| trusted.set(&config.http.trusted_proxies));
    reload.subscribe_to_streams(move |config| admission.reload(&config.limits));
    let hosts = gateway.commands.hosts();
    reload.subscribe(move |config| hosts.set(&config.admin.hosts));
    let (tls, auth) = (tls.clone(), auth.clone());
    reload.subscribe(move |config| tls.reload(config));
    reload.subscribe_async(move |config| auth.reload(config));
}

/// Lets a new configuration change what is read from Kafka: the bootstrap brokers, the clusters, the topics and the streams.
fn change_streams(
    reload: &mut ConfigReloader,
    gateway: &Gateway,
    clusters: &Clusters,
    former_topics: Arc<Mutex<FormerTopics>>,
) {
    let reseeded = clusters.clone();
    reload.subscribe(move |config| reseeded.reseed(config));
    reload.change_streams(StreamReloader {
        clusters: clusters.clone(),
        former_topics,
        switch: CatalogSwitch::new(&gateway.catalog, &gateway.open_streams, &gateway.metrics),
        health: gateway.health.clone(),
    });
}

/// Waits until this process can take over from its predecessor, if it has one, and has tried to fetch the keys of all issuers.
async fn wait_ready(
    sockets: &ListenSockets,
    health: &Health,
    takeover: Duration,
    auth: &Authentication,
) -> Result<(), StartError> {
    tokio::join!(sockets.wait_ready(health, takeover), auth.first_keys()).0
}

/// Tells the predecessor that this process serves, and applies what the predecessor was told until it noticed.
async fn take_over(predecessor: Predecessor, reload: Option<ReloadTrigger>) {
    predecessor.announce_ready().await;
    tokio::spawn(async move {
        predecessor.stopped().await;
        reload_if_any(reload.as_ref()).await;
    });
}

/// Reads the configuration and its files again: the predecessor may have got a SIGHUP or a command to revoke since this process has
/// read them.
async fn reload_if_any(reload: Option<&ReloadTrigger>) {
    if let Some(reload) = reload {
        reload.reload().await;
    }
}

/// Starts accepting, and then announces it.
fn open(
    sockets: ListenSockets,
    tls: TlsServers,
    gateway: Gateway,
    on_listening: impl FnOnce(ListenAddresses),
) -> JoinHandle<io::Result<()>> {
    let (addresses, readiness) = (sockets.addresses(), gateway.readiness.clone());
    let is_admin_tls = tls.admin.is_some();
    let https = sockets.https.zip(tls.http);
    let listeners = BoundListeners {
        http: sockets.http,
        https: https.map(|(listener, tls)| TlsListener { listener, tls }),
        admin: sockets.admin,
        admin_tls: tls.admin,
    };
    let serving = tokio::spawn(http::serve(listeners, gateway));
    readiness.set();
    announce(addresses, is_admin_tls);
    on_listening(addresses);
    serving
}

/// Tells whoever has started this process where it accepts connections.
fn announce(addresses: ListenAddresses, is_admin_tls: bool) {
    if let Some(http) = addresses.http {
        print_line(&format!("listening on http://{http}"));
    }
    if let Some(https) = addresses.https {
        print_line(&format!("tls on https://{https}"));
    }
    let scheme = if is_admin_tls { "https" } else { "http" };
    print_line(&format!("admin on {scheme}://{}", addresses.admin));
}

/// Writes one line to stdout. The parent process may have closed it, or may not read it. Neither is an error.
pub(super) fn print_line(line: &str) {
    log::write_with_timeout(io::stdout(), format!("{line}\n"));
}

/// How much longer than the window of a drain a predecessor may live: its drain window may have been another.
const PREDECESSOR_SLACK: Duration = Duration::from_secs(10);

/// How long lanes are waited for. A lane notices at once that its last client is gone.
const LANES_TIMEOUT: Duration = Duration::from_millis(500);

/// How long Kafka's clients are waited for. librdkafka closes its clients in about 100 ms each, also if no broker answers.
const KAFKA_TIMEOUT: Duration = Duration::from_secs(5);
