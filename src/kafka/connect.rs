//! Starts the threads that read a cluster, and stops them in order.

use std::{
    convert::Infallible,
    sync::{Arc, mpsc},
    time::Duration,
};

use super::{
    client::config::{ClientKind, client_config},
    damage,
    history::HistoryPool,
    settings::ClusterSettings,
    shared::{ClusterOptions, ClusterShared, ConnectError, TopicSettings},
    supervisor::{Supervisor, SupervisorEvent, handle::ClusterHandle, topics::TopicState},
    threads::THREADS,
    watchdog::{bootstrap_check, stall_detector},
};
use crate::partition::{History, LogDirectory};

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
    topics: Vec<TopicSettings>,
    directory: Arc<LogDirectory>,
    options: ClusterOptions,
) -> Result<Cluster, ConnectError> {
    let shared = ClusterShared::new(settings, directory, &options);
    shared.counters.initialize(&shared.cluster, THREADS);
    let names: Vec<_> = topics.iter().map(|topic| Arc::clone(&topic.name)).collect();
    names
        .iter()
        .for_each(|topic| shared.counters.initialize_topic(&shared.cluster, topic));
    shared.topics.set(names.into());
    let (shutdown_guard, gone) = mpsc::channel();
    let (events, inbox) = mpsc::channel();
    let configs = [ClientKind::History, ClientKind::OffsetQueries]
        .map(|kind| client_config(settings, kind, options.profile));
    let rate = settings.history_rate.get();
    let pool = HistoryPool::new(&shared, configs, rate, shutdown_guard.clone());
    // From here on an error drops the cluster, which ends the threads that have been started.
    let cluster = Cluster {
        handle: ClusterHandle {
            shared: shared.clone(),
            events: events.clone(),
        },
        pool: Arc::clone(&pool),
        gone,
    };
    let thread = |error| ConnectError::Thread(settings.name.to_string(), error);
    damage::spawn(&shared, shutdown_guard.clone()).map_err(thread)?;
    // Dropping one of these ends its thread.
    let monitors = [
        stall_detector::spawn(&shared, events.clone(), shutdown_guard.clone()).map_err(thread)?,
        bootstrap_check::spawn(&shared, shutdown_guard.clone()).map_err(thread)?,
    ];
    let topics = topics.into_iter().map(TopicState::new);
    let supervisor = Supervisor::new(shared, topics.collect(), pool, (events, inbox), shutdown_guard)?;
    supervisor.spawn(monitors).map_err(thread)?;
    Ok(cluster)
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
