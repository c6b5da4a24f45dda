//! A gateway from its ports to its last connection.

use std::{io::Write, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{runtime::Runtime, task::JoinHandle, time::timeout};
use tokio_util::task::TaskTracker;

use super::{Reread, StartError, clusters::Clusters, health, logs, reload::Reload, signals::Signals};
use crate::{
    catalog::{Catalog, Stream},
    client::Trusted,
    config::{Config, Sections},
    demo, drain,
    health::{self as cells, Health, Readiness},
    http::{self, Bound, Gateway},
    kafka::{
        Counters, Profile,
        settings::{BrokerAddr, Settings as ClusterSettings},
    },
    limits::Admission,
    metrics::{self, HttpMetrics, LimitMetrics},
    partition::Directory,
    subscription::{Lanes, Source},
};

/// Runs until a signal, and then until the drain is over; `say_more` is told the addresses once they accept. Without
/// `reread` SIGHUP ends it at once, as a closed terminal should.
pub(super) fn run(
    config: Config,
    reread: Option<Reread>,
    profile: Profile,
    say_more: impl FnOnce(SocketAddr, SocketAddr),
) -> Result<(), StartError> {
    let public = bind(config.http.listen)?;
    let admin = bind(config.admin.listen)?;
    let addresses = (public.address(), admin.address());
    let runtime = Runtime::new()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::new()?
    };
    let mut registry = metrics::registry();
    metrics::register_process(&mut registry);
    let counters = Counters::default();
    counters.register(registry.sub_registry_with_prefix("kafka"));
    let directory = Directory::new();
    logs::register(&mut registry, &directory);
    let (signal, watch) = drain::channel();
    let health = Health::new();
    health.set_streams(config.catalog.streams().map(expectation).collect());
    health::register(&mut registry, &health, &watch, &config.limits);
    let clusters = Clusters::connect(&config, &directory, profile, &counters, &health)?;
    let source = Source {
        directory,
        history: clusters.history(),
    };
    let tasks = TaskTracker::new();
    let lanes = Lanes::new(source, config.memory.lanes.get(), tasks.clone());
    logs::register_lanes(&mut registry, &lanes);
    let readiness = Readiness::new();
    let window = config.http.drain;
    let trusted = Trusted::new(&config.http.trusted_proxies);
    let admission = Admission::new(&config.limits, LimitMetrics::register(&mut registry));
    let admission = Arc::new(admission);
    let reload = reread.map(|reread| {
        let mut reload = Reload::new(reread, &config);
        subscribe(&mut reload, &trusted, &admission);
        reload
    });
    let gateway = Gateway {
        catalog: Arc::new(config.catalog),
        lanes,
        settings: config.http,
        admission,
        trusted,
        readiness: readiness.clone(),
        health,
        metrics: HttpMetrics::register(&mut registry),
        registry: Arc::new(registry),
        drain: watch,
    };
    let served = runtime.block_on(async {
        reload.map(Reload::listen).transpose()?;
        let serving = tokio::spawn(http::serve(public, admin, gateway));
        readiness.set();
        announce(addresses, say_more);
        let drained = until_drained(serving, &mut signals, signal, window).await;
        // A lane ends with its last client; those that a drain cut short go down with the runtime.
        tasks.close();
        let _ = timeout(LANES_STOP, tasks.wait()).await;
        drained
    });
    clusters.shutdown(KAFKA_STOP);
    served
}

/// Whoever takes a new configuration while it runs.
fn subscribe(reload: &mut Reload, trusted: &Trusted, admission: &Arc<Admission>) {
    let (trusted, admission) = (trusted.clone(), Arc::clone(admission));
    reload.subscribe(move |config| trusted.set(&config.http.trusted_proxies));
    reload.subscribe(move |config| admission.reload(&config.limits));
}

/// What health is to hold a stream to.
fn expectation(stream: &Stream) -> cells::Stream {
    cells::Stream {
        name: Arc::clone(&stream.name),
        topics: stream.topics.clone(),
        expect_event_within: stream.expect_event_within,
    }
}

fn bind(address: SocketAddr) -> Result<Bound, StartError> {
    Bound::bind(address).map_err(|error| StartError::Bind(address, error))
}

fn announce((public, admin): (SocketAddr, SocketAddr), say_more: impl FnOnce(SocketAddr, SocketAddr)) {
    say(&format!("listening on http://{public}"));
    say(&format!("admin on http://{admin}"));
    say_more(public, admin);
}

/// One line on stdout. Whoever started us may have closed it; that ends nothing.
pub(super) fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

async fn until_drained(
    mut serving: JoinHandle<std::io::Result<()>>,
    signals: &mut Signals,
    signal: drain::Signal,
    window: Duration,
) -> Result<(), StartError> {
    tokio::select! {
        served = &mut serving => return ended(served),
        name = signals.next() => {
            tracing::info!(signal = name, window = ?window, "draining: streams end on event boundaries");
        }
    }
    let drained = timeout(window + DRAIN_SLACK, signal.drain(window));
    tokio::select! {
        done = drained => match done {
            Ok(()) => tracing::info!("drained"),
            Err(_) => tracing::warn!("the drain did not end in time; what is left is cut"),
        },
        name = signals.next() => tracing::warn!(signal = name, "told twice: ending at once"),
    }
    Ok(())
}

fn ended(served: Result<std::io::Result<()>, tokio::task::JoinError>) -> Result<(), StartError> {
    served.map_err(std::io::Error::other)?.map_err(StartError::System)
}

/// The demo's configuration: its own cluster and its one stream, all else as the environment says.
pub(super) fn demo_config(sections: Sections, bootstrap: &[String]) -> Config {
    let brokers = bootstrap
        .iter()
        .filter_map(|address| address.parse::<BrokerAddr>().ok())
        .collect();
    let mut stream = Stream::new(demo::STREAM, demo::TOPICS);
    stream.aliases.push(demo::ALIAS.into());
    stream.filter_fields = demo::FILTER_FIELDS.map(Arc::from).to_vec();
    // The generator writes without pause.
    stream.expect_event_within = Some(DEMO_QUIET);
    stream.description = "Invented edits and log entries of every wiki".into();
    let cluster = ClusterSettings::new("demo", brokers);
    stream.clusters.push(Arc::clone(&cluster.name));
    // One stream cannot contradict itself.
    let catalog = Catalog::new(vec![stream]).unwrap_or_default();
    sections.with(vec![cluster], catalog)
}

/// At the demo's lowest rate, one event a second, longer than any pause.
const DEMO_QUIET: Duration = Duration::from_secs(60);

/// What a drain may take beyond its window: connections get two seconds to write what they have begun.
const DRAIN_SLACK: Duration = Duration::from_secs(5);

/// A lane sees in no time that its last client is gone.
const LANES_STOP: Duration = Duration::from_millis(500);

/// librdkafka closes its clients in about 100 ms each, with all brokers mute too; beyond this it is not waited for.
const KAFKA_STOP: Duration = Duration::from_secs(5);
