//! Starts the threads that read a cluster, and stops them in order.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use super::{
    client::config::{ClientKind, client_config},
    damage,
    history::HistoryPool,
    identity::cluster::ClusterIdentity,
    log_append_time::LogAppendTimeTopics,
    metrics::KafkaMetrics,
    settings::ClusterSettings,
    shared::{BrokerProfile, ClusterShared, ConnectError, MemoryLimits},
    shutdown_guard::ShutdownGuard,
    supervisor::{
        Supervisor, SupervisorEvent, handle::ClusterHandle, session::SessionFactory, topics::TopicState,
    },
    threads::THREADS,
    watchdog::{bootstrap_check, stall_detector},
};
use crate::{
    event::Encoding,
    health::Health,
    partition::{History, LogDirectory},
};

/// How a cluster is read, beside its settings.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The memory limits for pages.
    pub memory: MemoryLimits,
    /// The kind of its brokers.
    pub profile: BrokerProfile,
    /// The metrics to count in.
    pub counters: KafkaMetrics,
    /// Topics that are only watched until failover activates them here.
    pub standby: BTreeSet<Arc<str>>,
    /// The topics whose brokers set the timestamps, of all clusters together.
    pub log_append_time_topics: LogAppendTimeTopics,
    /// The directory that keeps what is known of the cluster over a restart; `None` keeps nothing.
    pub state: Option<PathBuf>,
    /// Where the health of the cluster is reported.
    pub health: Health,
}

/// A cluster that is being read. Dropping it ends the reading; [`shutdown`](Self::shutdown) also waits for the end.
pub struct Cluster {
    handle: ClusterHandle,
    pool: Arc<HistoryPool>,
    gone: mpsc::Receiver<Infallible>,
}

/// Begins to read `topics` of a cluster into `directory`. Never waits for Kafka.
///
/// A partition that the first metadata refresh shows is read from its end on, one that appears later from its start.
///
/// # Errors
/// Returns an error if librdkafka rejects the settings, or if the system cannot start a thread.
pub fn connect(
    settings: &ClusterSettings,
    topics: Vec<(Arc<str>, Encoding)>,
    directory: Arc<LogDirectory>,
    options: ClusterOptions,
) -> Result<Cluster, ConnectError> {
    let name = Arc::clone(&settings.name);
    let bootstrap = settings.bootstrap.iter().map(ToString::to_string).collect();
    let shared = ClusterShared {
        health: options.health.cluster(&name, bootstrap, Instant::now()),
        cluster: Arc::clone(&name),
        directory,
        leaders: Arc::default(),
        identity: ClusterIdentity::new(settings, options.state.as_deref()),
        status: Arc::default(),
        log_append_time_topics: options.log_append_time_topics.clone(),
        renew_after: settings.renew_after,
        overlap: settings.failover_overlap,
        memory: options.memory,
        counters: options.counters.clone(),
        damage: Arc::default(),
    };
    shared
        .health
        .set_transaction_patience(settings.transaction_patience);
    shared
        .counters
        .initialize(&name, THREADS, topics.iter().map(|(topic, _)| &**topic));
    let (shutdown_guard, gone) = mpsc::channel();
    let (events, inbox) = mpsc::channel();
    let configs = [
        ClientKind::History,
        ClientKind::HistoryRun,
        ClientKind::OffsetQueries,
    ]
    .map(|kind| client_config(settings, kind, options.profile));
    let pool = HistoryPool::new(
        &shared,
        configs,
        settings.history_rate.get(),
        shutdown_guard.clone(),
    );
    // From here on an error drops the cluster, which ends the threads that have been started.
    let cluster = Cluster {
        handle: ClusterHandle {
            name,
            events: events.clone(),
            identity: Arc::clone(&shared.identity),
            status: Arc::clone(&shared.status),
            health: Arc::clone(&shared.health),
        },
        pool,
        gone,
    };
    let config = client_config(settings, ClientKind::Tail, options.profile);
    let names: Vec<_> = topics.iter().map(|(topic, _)| Arc::clone(topic)).collect();
    damage::spawn(
        client_config(settings, ClientKind::Search, options.profile),
        &shared,
        shutdown_guard.clone(),
    )
    .map_err(|error| ConnectError::Thread(settings.name.to_string(), error))?;
    let monitors = start_monitors(
        settings,
        options.profile,
        &names,
        &shared,
        (&events, &shutdown_guard),
    )?;
    let mut sessions = SessionFactory::new(
        config,
        shared.clone(),
        names,
        events.clone(),
        shutdown_guard.clone(),
    );
    let session = sessions.open()?;
    let topics = topics.into_iter().map(|(name, encoding)| {
        let active = !options.standby.contains(&name);
        TopicState::new(name, encoding, active)
    });
    let pool = Arc::clone(&cluster.pool);
    Supervisor::new(
        shared,
        topics.collect(),
        pool,
        (sessions, session),
        (events, inbox),
    )
    .spawn((shutdown_guard, monitors))
    .map_err(|error| ConnectError::Thread(settings.name.to_string(), error))?;
    Ok(cluster)
}

/// The ends of the channels that keep the monitors running. Dropping one ends its thread.
type MonitorHandles = [mpsc::Sender<()>; 2];

/// Starts the threads that watch the state of the cluster and read no records.
fn start_monitors(
    settings: &ClusterSettings,
    profile: BrokerProfile,
    topics: &[Arc<str>],
    shared: &ClusterShared,
    (events, shutdown_guard): (&mpsc::Sender<SupervisorEvent>, &ShutdownGuard),
) -> Result<MonitorHandles, ConnectError> {
    let thread = |error| ConnectError::Thread(settings.name.to_string(), error);
    let configs =
        [ClientKind::StallDetector, ClientKind::OneShot].map(|kind| client_config(settings, kind, profile));
    let (stop_stalls, stopped) = mpsc::channel();
    let started = stall_detector::spawn(
        configs,
        topics.to_vec(),
        shared.clone(),
        events.clone(),
        stopped,
        shutdown_guard.clone(),
    );
    started.map_err(thread)?;
    let (stop_bootstrap, stopped) = mpsc::channel();
    bootstrap_check::spawn(shared, stopped, shutdown_guard.clone()).map_err(thread)?;
    Ok([stop_stalls, stop_bootstrap])
}

impl Cluster {
    /// Returns the configured name of the cluster.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// Returns the handle for status, failover and changes of the bootstrap list.
    pub fn handle(&self) -> &ClusterHandle {
        &self.handle
    }

    /// Returns the reader of history, for the logs that this cluster has put into the directory.
    pub fn history(&self) -> Arc<dyn History> {
        Arc::clone(&self.pool) as Arc<dyn History>
    }

    /// Ends all reading and waits until every thread and connection is gone, for `within` at most. Returns whether they are
    /// gone. The tail ends first, so that no log grows any more; history ends with it. A blocking call.
    pub fn shutdown(self, within: Duration) -> bool {
        self.stop();
        matches!(
            self.gone.recv_timeout(within),
            Err(mpsc::RecvTimeoutError::Disconnected)
        )
    }

    fn stop(&self) {
        let _ = self.handle.events.send(SupervisorEvent::Stop);
        self.pool.close();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}
