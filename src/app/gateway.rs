//! A gateway from its ports to its last connection.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{runtime::Runtime, task::JoinHandle, time::timeout};
use tokio_util::task::TaskTracker;

use super::{
    Reread, StartError,
    clusters::Clusters,
    descriptors,
    handover::{Sockets, Succession},
    health,
    life::Life,
    log_lines, logs,
    reload::Reload,
    signals::Signals,
    wheel::Wheel,
};
use crate::{
    catalog::{Catalog, Stream},
    client::Trusted,
    config::Config,
    drain,
    health::{self as cells, Health, Readiness},
    http::{self, Commands, Gateway},
    kafka::{Counters, Profile},
    limits::Admission,
    log,
    metrics::{self, HttpMetrics, LifeMetrics, LimitMetrics, Registry},
    partition::Directory,
    subscription::{Lanes, Source},
};

/// Runs until a signal, and then until the drain is over; `say_more` is told the addresses once they accept. Without
/// `reread` SIGHUP ends it at once, as a closed terminal should.
pub(super) fn run(
    mut config: Config,
    reread: Option<Reread>,
    profile: Profile,
    say_more: impl FnOnce(SocketAddr, SocketAddr),
) -> Result<(), StartError> {
    descriptors::fit(&mut config)?;
    let sockets = listen(&config, profile)?;
    let spare = sockets.spare()?;
    let runtime = Runtime::new()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let (signal, watch) = drain::channel();
    let Built {
        gateway,
        clusters,
        tasks,
        reload,
        counts,
    } = build(config, reread, profile, watch)?;
    let (window, takeover) = (gateway.settings.drain, gateway.settings.takeover);
    // The demo's brokers end with it: who comes after it serves another stream.
    let succession = (profile == Profile::Real).then(|| Succession::new(spare, takeover, counts));
    let served = runtime.block_on(async {
        // It ends with the runtime.
        tokio::spawn(gateway.lanes.clone().drop_deleted_records());
        reload.map(Reload::listen).transpose()?;
        tokio::select! {
            fit = sockets.until_fit(&gateway.health, takeover) => fit?,
            // Nobody has been served.
            _ = signals.end() => return Ok(()),
        }
        let serving = open(sockets, gateway, say_more).await;
        let lived = Life::new(serving, signals, succession).live(signal, window).await;
        // A lane ends with its last client; those that a drain cut short go down with the runtime.
        tasks.close();
        let _ = timeout(LANES_STOP, tasks.wait()).await;
        lived
    });
    clusters.shutdown(KAFKA_STOP);
    served
}

/// What stands before anybody is served.
struct Built {
    gateway: Gateway,
    clusters: Clusters,
    /// Those of the lanes.
    tasks: TaskTracker,
    reload: Option<Reload>,
    counts: LifeMetrics,
}

/// From Kafka up to HTTP, each part on those before it. Kafka is being read from here on.
fn build(
    config: Config,
    reread: Option<Reread>,
    profile: Profile,
    drain: drain::Watch,
) -> Result<Built, StartError> {
    let (mut registry, counters) = registry();
    let directory = Directory::new();
    logs::register(&mut registry, &directory);
    let health = watched(&config.catalog);
    health::register(&mut registry, &health, &drain, &config.limits);
    let clusters = Clusters::connect(&config, &directory, profile, &counters, &health)?;
    let source = Source {
        directory,
        history: clusters.history(),
    };
    let tasks = TaskTracker::new();
    let lanes = Lanes::new(source, config.memory.lanes.get(), tasks.clone());
    logs::register_lanes(&mut registry, &lanes);
    let counts = LifeMetrics::register(&mut registry);
    let trusted = Trusted::new(&config.http.trusted_proxies);
    let admission = Admission::new(&config.limits, LimitMetrics::register(&mut registry));
    let admission = Arc::new(admission);
    let commands = Commands::new(&config.admin, Arc::new(Wheel::new(clusters.failover())));
    let reload = reread.map(|reread| Reload::new(reread, &config, counts.clone()));
    let reload = reload.map(|reload| subscribed(reload, &trusted, &admission, &clusters));
    let reload = reload.map(|mut reload| {
        let hosts = commands.hosts();
        reload.subscribe(move |config| hosts.set(&config.admin.hosts));
        reload
    });
    let gateway = Gateway {
        catalog: Arc::new(config.catalog),
        lanes,
        settings: config.http,
        commands,
        admission,
        trusted,
        readiness: Readiness::new(),
        health,
        metrics: HttpMetrics::register(&mut registry),
        registry: Arc::new(registry),
        drain,
    };
    Ok(Built {
        gateway,
        clusters,
        tasks,
        reload,
        counts,
    })
}

fn listen(config: &Config, profile: Profile) -> Result<Sockets, StartError> {
    let (public, admin) = (config.http.listen, config.admin.listen);
    match profile {
        Profile::Real => Sockets::inherit(public, admin),
        // Its brokers have threads by now.
        Profile::Embedded => Sockets::bind(public, admin),
    }
}

/// With what this process is, and what Kafka's clients count.
fn registry() -> (Registry, Counters) {
    let mut registry = metrics::registry();
    metrics::register_process(&mut registry);
    log_lines::register(&mut registry);
    let counters = Counters::default();
    counters.register(registry.sub_registry_with_prefix("kafka"));
    (registry, counters)
}

/// With whoever takes a new configuration while it runs.
fn subscribed(
    mut reload: Reload,
    trusted: &Trusted,
    admission: &Arc<Admission>,
    clusters: &Clusters,
) -> Reload {
    let (trusted, admission) = (trusted.clone(), Arc::clone(admission));
    reload.subscribe(move |config| trusted.set(&config.http.trusted_proxies));
    reload.subscribe(move |config| admission.reload(&config.limits));
    reload.subscribe(clusters.reseed());
    reload
}

/// Lets everybody in, and then says so.
async fn open(
    sockets: Sockets,
    gateway: Gateway,
    say_more: impl FnOnce(SocketAddr, SocketAddr),
) -> JoinHandle<io::Result<()>> {
    let (addresses, readiness) = (sockets.addresses(), gateway.readiness.clone());
    let serving = tokio::spawn(http::serve(sockets.public, sockets.admin, gateway));
    readiness.set();
    announce(addresses, say_more);
    if let Some(predecessor) = sockets.predecessor {
        predecessor.relieve().await;
    }
    serving
}

/// The health of these streams.
fn watched(catalog: &Catalog) -> Health {
    let health = Health::new();
    health.set_streams(catalog.streams().map(expectation).collect());
    health
}

/// What health is to hold a stream to.
fn expectation(stream: &Stream) -> cells::Stream {
    cells::Stream {
        name: Arc::clone(&stream.name),
        topics: stream.topics.clone(),
        expect_event_within: stream.expect_event_within,
    }
}

fn announce((public, admin): (SocketAddr, SocketAddr), say_more: impl FnOnce(SocketAddr, SocketAddr)) {
    say(&format!("listening on http://{public}"));
    say(&format!("admin on http://{admin}"));
    say_more(public, admin);
}

/// One line on stdout. Whoever started us may have closed it, or may not read it; that ends nothing.
pub(super) fn say(line: &str) {
    log::write_within_patience(io::stdout(), format!("{line}\n"));
}

/// A lane sees in no time that its last client is gone.
const LANES_STOP: Duration = Duration::from_millis(500);

/// librdkafka closes its clients in about 100 ms each, with all brokers mute too; beyond this it is not waited for.
const KAFKA_STOP: Duration = Duration::from_secs(5);
