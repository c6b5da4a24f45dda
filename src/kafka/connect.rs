//! Starts what reads a cluster, and ends it in order.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    io,
    path::PathBuf,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

use super::{
    bootstrap,
    client::{self, Kind},
    clocks::Clocks,
    cluster::{Notice, Supervisor},
    counters::Counters,
    damage::Damage,
    handle::Handle,
    history::Pool,
    lookout::Leaders,
    origin::Origin,
    reader::Token,
    session::Sessions,
    settings::Settings,
    status::Status,
    topics::Topic,
    witness,
};
use crate::{
    event::Encoding,
    health::{self, Health},
    partition::{Directory, History, PartitionLog},
};

/// How a cluster is read, beside its settings.
#[derive(Clone, Debug)]
pub struct Options {
    /// What pages may cost.
    pub memory: Memory,
    /// What kind of brokers these are.
    pub profile: Profile,
    /// Where to count.
    pub counters: Counters,
    /// Topics that are watched only, until they are to be read from here.
    pub standby: BTreeSet<Arc<str>>,
    /// The topics whose brokers set the timestamps, of all clusters together.
    pub clocks: Clocks,
    /// The directory where what is known of the cluster is kept over a restart, if it is.
    pub state: Option<PathBuf>,
    /// Where to say how the cluster is.
    pub health: Health,
}

/// What pages may cost, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All tail rings of the directory together.
    pub tail: usize,
    /// The cache of history pages.
    pub history: usize,
}

/// What kind of brokers are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Real ones.
    #[default]
    Real,
    /// Those inside librdkafka, which answer a waiting fetch only when its time is over.
    Embedded,
}

/// A cluster cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// librdkafka does not accept the settings.
    #[error("cluster `{0}`: {1}")]
    Settings(String, KafkaError),
    /// librdkafka cannot make what is needed.
    #[error("cluster `{0}`: {1}")]
    Client(String, RDKafkaErrorCode),
    /// The system has no thread to give.
    #[error("cluster `{0}`: no thread: {1}")]
    Thread(String, io::Error),
}

/// A cluster that is being read. Dropping it ends the reading; [`shutdown`](Self::shutdown) also waits for it.
pub struct Cluster {
    handle: Handle,
    pool: Arc<Pool>,
    gone: mpsc::Receiver<Infallible>,
}

/// What the parts of a cluster share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) cluster: Arc<str>,
    pub(super) directory: Arc<Directory>,
    pub(super) leaders: Arc<Leaders>,
    pub(super) origin: Arc<Origin>,
    pub(super) status: Arc<Status>,
    pub(super) clocks: Clocks,
    pub(super) renew_after: Duration,
    pub(super) overlap: Duration,
    pub(super) memory: Memory,
    pub(super) counters: Counters,
    pub(super) health: Arc<health::Cluster>,
    pub(super) damage: Arc<Damage>,
}

impl Shared {
    /// A record of this log bears its broker's time.
    pub(super) fn bears_broker_time(&self, log: &PartitionLog) {
        let topic = &log.partition().topic;
        self.clocks.add(topic);
        self.status.broker_clock(topic);
        log.set_overlap(self.overlap);
    }
}

#[cfg(test)]
impl Shared {
    /// That of a cluster that nobody reads.
    pub(super) fn of_nothing() -> Self {
        Self::apart(&Settings::new("main", Vec::new()))
    }
}

impl Shared {
    /// That of a client which asks something once, and shares it with no other.
    pub(super) fn apart(settings: &Settings) -> Self {
        Self {
            cluster: Arc::clone(&settings.name),
            directory: Directory::new(),
            leaders: Arc::default(),
            origin: Origin::new(settings, None),
            status: Arc::default(),
            clocks: Clocks::default(),
            renew_after: Duration::MAX,
            overlap: Duration::ZERO,
            memory: Memory { tail: 0, history: 0 },
            counters: Counters::default(),
            damage: Arc::default(),
            health: Health::new().cluster(&settings.name, Vec::new(), Instant::now()),
        }
    }
}

/// Begins to read `topics` of a cluster into `directory`. Never waits for Kafka.
///
/// A partition that is there at the first look is read from its end on, one that appears later from its start.
///
/// # Errors
/// When librdkafka refuses the settings, or the system another thread.
pub fn connect(
    settings: &Settings,
    topics: Vec<(Arc<str>, Encoding)>,
    directory: Arc<Directory>,
    options: Options,
) -> Result<Cluster, ConnectError> {
    let name = Arc::clone(&settings.name);
    let seeds = settings.bootstrap.iter().map(ToString::to_string).collect();
    let shared = Shared {
        health: options.health.cluster(&name, seeds, Instant::now()),
        cluster: Arc::clone(&name),
        directory,
        leaders: Arc::default(),
        origin: Origin::new(settings, options.state.as_deref()),
        status: Arc::default(),
        clocks: options.clocks.clone(),
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
        .begin(&name, topics.iter().map(|(topic, _)| &**topic));
    let (token, gone) = mpsc::channel();
    let inbox = mpsc::channel();
    let configs =
        [Kind::History, Kind::Questions].map(|kind| client::config(settings, kind, options.profile));
    let pool = Pool::new(&shared, configs, settings.history_rate.get(), token.clone());
    // From here on a fault drops the cluster, which ends what has been started.
    let cluster = Cluster {
        handle: Handle {
            name,
            notices: inbox.0.clone(),
            origin: Arc::clone(&shared.origin),
            status: Arc::clone(&shared.status),
            health: Arc::clone(&shared.health),
        },
        pool,
        gone,
    };
    let config = client::config(settings, Kind::Tail, options.profile);
    let names: Vec<_> = topics.iter().map(|(topic, _)| Arc::clone(topic)).collect();
    Damage::spawn(
        client::config(settings, Kind::Search, options.profile),
        &shared,
        token.clone(),
    )
    .map_err(|error| ConnectError::Thread(settings.name.to_string(), error))?;
    let watches = watch(settings, options.profile, &names, &shared, (&inbox.0, &token))?;
    let notices = inbox.0.clone();
    let mut sessions = Sessions::new(config, shared.clone(), names, notices, token.clone());
    let session = sessions.open()?;
    let topics = topics.into_iter().map(|(name, encoding)| {
        let active = !options.standby.contains(&name);
        Topic::new(name, encoding, active)
    });
    let pool = Arc::clone(&cluster.pool);
    Supervisor::new(shared, topics.collect(), pool, (sessions, session), inbox)
        .spawn((token, watches))
        .map_err(|error| ConnectError::Thread(settings.name.to_string(), error))?;
    Ok(cluster)
}

/// What ends the watches when it is dropped.
pub(super) type Watches = [mpsc::Sender<()>; 2];

/// Starts those who ask how the cluster is, and read nothing.
fn watch(
    settings: &Settings,
    profile: Profile,
    topics: &[Arc<str>],
    shared: &Shared,
    (notices, token): (&mpsc::Sender<Notice>, &Token),
) -> Result<Watches, ConnectError> {
    let thread = |error| ConnectError::Thread(settings.name.to_string(), error);
    let configs = [Kind::Witness, Kind::Glance].map(|kind| client::config(settings, kind, profile));
    let (end_witness, over) = mpsc::channel();
    let witness = witness::watch(
        configs,
        topics.to_vec(),
        shared.clone(),
        notices.clone(),
        over,
        token.clone(),
    );
    witness.map_err(thread)?;
    let (end_bootstrap, over) = mpsc::channel();
    bootstrap::watch(shared, over, token.clone()).map_err(thread)?;
    Ok([end_witness, end_bootstrap])
}

impl Cluster {
    /// Its configured name.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// For those who decide and tell.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Reads of what is not in memory, for the logs that this cluster has put into the directory.
    pub fn history(&self) -> Arc<dyn History> {
        Arc::clone(&self.pool) as Arc<dyn History>
    }

    /// Ends all reading and waits until every thread and connection is gone, at most `within`; whether they are. The tail
    /// ends first, so that no log grows any more, history with it. A blocking call.
    pub fn shutdown(self, within: Duration) -> bool {
        self.stop();
        matches!(
            self.gone.recv_timeout(within),
            Err(mpsc::RecvTimeoutError::Disconnected)
        )
    }

    fn stop(&self) {
        let _ = self.handle.notices.send(Notice::Stop);
        self.pool.close();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}
