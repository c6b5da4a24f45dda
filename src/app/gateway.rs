//! A gateway from its ports to its last connection.

use std::{io::Write, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{runtime::Runtime, time::timeout};
use tokio_util::task::TaskTracker;

use super::{
    Reread, StartError,
    clusters::Clusters,
    descriptors,
    handover::{Sockets, Succession},
    health,
    life::Life,
    logs,
    reload::Reload,
    signals::Signals,
    wheel::Wheel,
};
use crate::{
    catalog::{Catalog, Stream},
    client::Trusted,
    config::{Config, Sections},
    demo, drain,
    health::{self as cells, Health, Readiness},
    http::{self, Commands, Gateway},
    kafka::{
        Counters, Profile,
        settings::{BrokerAddr, Settings as ClusterSettings, StateSettings},
    },
    limits::Admission,
    metrics::{self, HttpMetrics, LifeMetrics, LimitMetrics},
    partition::Directory,
    subscription::{Lanes, Source},
};

/// Runs until a signal, and then until the drain is over; `say_more` is told the addresses once they accept. Without
/// `reread` SIGHUP ends it at once, as a closed terminal should.
pub(super) fn run(
    mut config: Config,
    reread: Option<Reread>,
    profile: Profile,
    sockets: Sockets,
    say_more: impl FnOnce(SocketAddr, SocketAddr),
) -> Result<(), StartError> {
    descriptors::fit(&mut config)?;
    let spare = sockets.spare()?;
    let Sockets {
        public,
        admin,
        predecessor,
    } = sockets;
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
    let (window, takeover) = (config.http.drain, config.http.takeover);
    let counts = LifeMetrics::register(&mut registry);
    // The demo's brokers end with it: who comes after it serves another stream.
    let succession = (profile == Profile::Real).then(|| Succession::new(spare, takeover, counts.clone()));
    let trusted = Trusted::new(&config.http.trusted_proxies);
    let admission = Admission::new(&config.limits, LimitMetrics::register(&mut registry));
    let admission = Arc::new(admission);
    let reload = reread.map(|reread| {
        let mut reload = Reload::new(reread, &config, counts);
        subscribe(&mut reload, &trusted, &admission);
        reload.subscribe(clusters.reseed());
        reload
    });
    let commands = Commands::new(&config.admin, Arc::new(Wheel::new(clusters.failover())));
    let gateway = Gateway {
        catalog: Arc::new(config.catalog),
        lanes,
        settings: config.http,
        commands,
        admission,
        trusted,
        readiness: readiness.clone(),
        health: health.clone(),
        metrics: HttpMetrics::register(&mut registry),
        registry: Arc::new(registry),
        drain: watch,
    };
    let served = runtime.block_on(async {
        reload.map(Reload::listen).transpose()?;
        if let Some(predecessor) = &predecessor {
            tokio::select! {
                fit = predecessor.until_fit(&health, takeover) => fit?,
                // Nobody has been served.
                _ = signals.end() => return Ok(()),
            }
        }
        let serving = tokio::spawn(http::serve(public, admin, gateway));
        readiness.set();
        announce(addresses, say_more);
        if let Some(predecessor) = predecessor {
            predecessor.relieve().await;
        }
        let lived = Life::new(serving, signals, succession).live(signal, window).await;
        // A lane ends with its last client; those that a drain cut short go down with the runtime.
        tasks.close();
        let _ = timeout(LANES_STOP, tasks.wait()).await;
        lived
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
    // Its cluster is another in every run: what was kept of the last would refuse this one.
    let sections = Sections {
        state: StateSettings::default(),
        ..sections
    };
    // One stream cannot contradict itself.
    let catalog = Catalog::new(vec![stream]).unwrap_or_default();
    sections.with(vec![cluster], catalog)
}

/// At the demo's lowest rate, one event a second, longer than any pause.
const DEMO_QUIET: Duration = Duration::from_secs(60);

/// A lane sees in no time that its last client is gone.
const LANES_STOP: Duration = Duration::from_millis(500);

/// librdkafka closes its clients in about 100 ms each, with all brokers mute too; beyond this it is not waited for.
const KAFKA_STOP: Duration = Duration::from_secs(5);
