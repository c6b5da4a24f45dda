//! A gateway from its ports to its last connection.

use std::{io::Write, net::SocketAddr, sync::Arc, time::Duration};

use tokio::runtime::Runtime;

use super::{StartError, clusters::Clusters, handover::Sockets, life::Life, logs, signals::Signals};
use crate::{
    catalog::{Catalog, Stream},
    config::{Config, Sections},
    demo, drain,
    health::Readiness,
    http::{self, Gateway},
    kafka::{
        Counters, Profile,
        settings::{BrokerAddr, Settings as ClusterSettings},
    },
    limits::Admission,
    metrics::{self, HttpMetrics, LimitMetrics},
    partition::Directory,
    subscription::Source,
};

/// Runs until a signal, and then until the drain is over; `say_more` is told the addresses once they accept.
pub(super) fn run(
    config: Config,
    profile: Profile,
    sockets: Sockets,
    say_more: impl FnOnce(SocketAddr, SocketAddr),
) -> Result<(), StartError> {
    // The demo's brokers end with it: who comes after it serves another stream.
    let spare = match profile {
        Profile::Real => Some(sockets.spare()?),
        Profile::Embedded => None,
    };
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
    let clusters = Clusters::connect(&config, &directory, profile, &counters)?;
    let (signal, watch) = drain::channel();
    let readiness = Readiness::new();
    let (window, takeover) = (config.http.drain, config.http.takeover);
    let catalog = Arc::new(config.catalog);
    let gateway = Gateway {
        catalog: Arc::clone(&catalog),
        source: Source {
            directory: Arc::clone(&directory),
            history: clusters.history(),
        },
        settings: config.http,
        admission: Admission::new(&config.limits, LimitMetrics::register(&mut registry)),
        readiness: readiness.clone(),
        metrics: HttpMetrics::register(&mut registry),
        registry: Arc::new(registry),
        drain: watch,
    };
    let served = runtime.block_on(async {
        if let Some(predecessor) = &predecessor {
            tokio::select! {
                fit = predecessor.until_fit(&catalog, &directory, takeover) => fit?,
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
        Life::new(serving, signals, spare).live(signal, window).await
    });
    clusters.shutdown(KAFKA_STOP);
    served
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
    stream.description = "Invented edits and log entries of every wiki".into();
    let cluster = ClusterSettings::new("demo", brokers);
    stream.clusters.push(Arc::clone(&cluster.name));
    // One stream cannot contradict itself.
    let catalog = Catalog::new(vec![stream]).unwrap_or_default();
    sections.with(vec![cluster], catalog)
}

/// librdkafka closes its clients in about 100 ms each, with all brokers mute too; beyond this it is not waited for.
const KAFKA_STOP: Duration = Duration::from_secs(5);
