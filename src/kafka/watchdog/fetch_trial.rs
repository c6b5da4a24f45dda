//! Tries to read each partition of some topics once, for `check-config`. Some faults only a fetch shows, for example a missing
//! right.
//!
//! Not here: why a partition delivers nothing although librdkafka reports no error (`silence`).

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

use super::silence::{self, ErrorText};
use crate::{
    health::BrokerConnection,
    kafka::{
        client::{
            config::{ClientKind, client_config},
            context::Context,
            raw::{ItemKind, KafkaQueue, KafkaReader, TopicRef},
        },
        damage::{is_damage, is_out_of_range},
        faults,
        identity::cluster::AdvertisedBrokers,
        settings::ClusterSettings,
        shared::{BrokerProfile, ClusterShared},
    },
    partition::TopicPartition,
};

/// A partition that could not be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadablePartition {
    /// The topic of the partition.
    pub topic: Arc<str>,
    /// The number of the partition.
    pub partition: i32,
    /// The error's name, or that nothing arrived in time.
    pub error: String,
    /// The text for the error; may be empty.
    pub message: String,
}

/// Fetches the last record of each partition of these topics, given with their numbers of partitions. Returns the partitions
/// that cannot be read. Of a topic with very many partitions only the first `MAX_PARTITIONS` are tried. A blocking call that
/// takes `within` and a few seconds more.
///
/// # Errors
/// Returns an error if librdkafka rejects the settings.
pub fn try_fetches(
    settings: &ClusterSettings,
    topics: &[(Arc<str>, usize)],
    within: Duration,
) -> Result<Vec<UnreadablePartition>, String> {
    let trials = thread::scope(|scope| {
        let trials = CLIENTS.map(|client| scope.spawn(move || try_as(client, settings, topics, within)));
        trials.map(|trial| {
            trial
                .join()
                .unwrap_or_else(|_| Err("the trial panicked".to_owned()))
        })
    });
    let mut unreadable = Vec::<UnreadablePartition>::new();
    for trial in trials {
        for found in trial? {
            let same = |known: &UnreadablePartition| {
                (&known.topic, known.partition) == (&found.topic, found.partition)
            };
            if !unreadable.iter().any(same) {
                unreadable.push(found);
            }
        }
    }
    unreadable.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    Ok(unreadable)
}

/// Fetches under the client id of one of riverhead's clients.
fn try_as(
    client: ClientKind,
    settings: &ClusterSettings,
    topics: &[(Arc<str>, usize)],
    within: Duration,
) -> Result<Vec<UnreadablePartition>, String> {
    let deadline = Instant::now() + within;
    let shared = ClusterShared::standalone(settings);
    let reader = open(client, settings, &shared).map_err(|error| error.to_string())?;
    let queue = reader.queue().map_err(|code| code.to_string())?;
    // The advertised addresses are worth reporting if no broker answers there.
    if let Some((topic, _)) = topics.first()
        && let Ok((_, advertised)) = reader.cluster_info(topic, ADVERTISED_TIMEOUT)
    {
        record_brokers(&shared, advertised);
    }
    let mut trial = FetchTrial {
        reader,
        queue,
        waiting: HashMap::new(),
        refused: Vec::new(),
    };
    for (topic, partitions) in topics {
        for partition in (0..).take((*partitions).min(MAX_PARTITIONS)) {
            trial.start(topic, partition);
        }
    }
    while !trial.waiting.is_empty() && Instant::now() < deadline {
        trial.poll(deadline);
    }
    Ok(trial.into_failures(&shared, within))
}

/// Opens a client that reads as a history reader does, under the client id of `client`.
fn open(
    client: ClientKind,
    settings: &ClusterSettings,
    shared: &ClusterShared,
) -> Result<KafkaReader, KafkaError> {
    let mut config = client_config(settings, ClientKind::History, BrokerProfile::Real);
    config.set("client.id", client.id());
    // An address that drops packets is to be reported before the time is over.
    config.set("socket.connection.setup.timeout.ms", SETUP_TIMEOUT_MS);
    // Statistics tell that a broker throttles, and the trial is short.
    config.set("statistics.interval.ms", STATISTICS_INTERVAL_MS);
    let (shutdown_guard, _ends) = mpsc::channel();
    let context = Context::new(shared, ClientKind::History);
    KafkaReader::open(&config, context, &shared.identity, shutdown_guard)
}

/// Records the brokers that the cluster advertises: those that may be wrong, and those that statistics are about.
fn record_brokers(shared: &ClusterShared, AdvertisedBrokers { by, brokers }: AdvertisedBrokers) {
    let now = Instant::now();
    let connection = |(id, address): &(i32, String)| BrokerConnection {
        id: *id,
        address: address.as_str().into(),
        state: "INIT".to_owned(),
        connects: 0,
        disconnects: 0,
        rtt: None,
    };
    shared
        .health
        .set_brokers(brokers.iter().map(connection).collect(), now);
    shared.health.set_advertised(&by, brokers, now);
}

/// A trial under way.
struct FetchTrial {
    reader: KafkaReader,
    queue: KafkaQueue,
    /// The partitions without an item so far, each with its last error that may pass.
    waiting: HashMap<(TopicRef, i32), (Arc<str>, Option<ErrorText>)>,
    refused: Vec<UnreadablePartition>,
}

impl FetchTrial {
    fn start(&mut self, topic: &Arc<str>, partition: i32) {
        match self.reader.start(topic, partition, LAST_RECORD, &self.queue) {
            Ok(id) => _ = self.waiting.insert((id, partition), (Arc::clone(topic), None)),
            Err(code) => self.add_failure(Arc::clone(topic), partition, (faults::name(code), String::new())),
        }
    }

    /// Handles the items of one turn: a record or an end shows that a partition can be read.
    fn poll(&mut self, deadline: Instant) {
        self.reader.poll_events();
        self.queue.fill(deadline.min(Instant::now() + POLL_TIMEOUT));
        while let Some(item) = self.queue.front() {
            let key = (item.topic, item.partition);
            match item.kind {
                ItemKind::Record(_) | ItemKind::End(_) => _ = self.waiting.remove(&key),
                // The log was emptied, but its leader allowed the fetch.
                ItemKind::Fault { code, .. } if is_out_of_range(code) => _ = self.waiting.remove(&key),
                ItemKind::Fault { code, reason, .. } => {
                    let why = (faults::name(code), reason);
                    if is_final(code)
                        && let Some((topic, _)) = self.waiting.remove(&key)
                    {
                        self.add_failure(topic, key.1, why);
                    } else if let Some((_, last)) = self.waiting.get_mut(&key) {
                        *last = Some(why);
                    }
                }
            }
            self.queue.advance();
        }
    }

    fn add_failure(&mut self, topic: Arc<str>, partition: i32, (error, message): ErrorText) {
        self.refused.push(UnreadablePartition {
            topic,
            partition,
            error,
            message,
        });
    }

    /// Returns the partitions that could not be read. Those without an item and without an error get the reason that the cluster
    /// gives, if there is one.
    fn into_failures(mut self, shared: &ClusterShared, within: Duration) -> Vec<UnreadablePartition> {
        let (mut silent, mut failed) = (Vec::new(), Vec::new());
        for ((_, partition), (topic, last)) in std::mem::take(&mut self.waiting) {
            match last {
                Some(why) => failed.push((topic, partition, why)),
                None => silent.push(TopicPartition { topic, partition }),
            }
        }
        let causes = silence::causes(&self.reader, &shared.health, &silent, within);
        for (TopicPartition { topic, partition }, why) in silent.into_iter().zip(causes) {
            self.add_failure(topic, partition, why);
        }
        for (topic, partition, why) in failed {
            self.add_failure(topic, partition, why);
        }
        self.refused
    }
}

/// Returns whether this error is final. librdkafka reports it once, and goes on behind damaged records as if they had been
/// read.
fn is_final(code: RDKafkaErrorCode) -> bool {
    // A broker reports this for transient faults, too.
    let may_pass = code == RDKafkaErrorCode::Unknown;
    code == RDKafkaErrorCode::TopicAuthorizationFailed || (is_damage(code) && !may_pass)
}

/// librdkafka's offset for the record before the end (`RD_KAFKA_OFFSET_TAIL(1)`).
const LAST_RECORD: i64 = -2001;

/// The timeout of a connection's setup, in ms: less than the whole trial.
const SETUP_TIMEOUT_MS: &str = "3000";

/// The timeout for the brokers' advertised addresses.
const ADVERTISED_TIMEOUT: Duration = Duration::from_secs(2);

/// The clients whose ids are used: brokers may limit each client id by a quota of its own.
const CLIENTS: [ClientKind; 2] = [ClientKind::Tail, ClientKind::History];

/// The time between statistics, in ms: a fraction of the trial.
const STATISTICS_INTERVAL_MS: &str = "500";

/// The longest wait of a turn. librdkafka expects a poll every second.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);

/// The most partitions of a topic that are tried. Rights are granted by topic, and in most clusters every broker leads one of
/// this many partitions.
const MAX_PARTITIONS: usize = 64;
