//! Tries to read each partition of some topics once, for `check-config`. Some faults only a fetch shows, for example a missing
//! right.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use crate::kafka::{
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
    /// librdkafka's text for the error; may be empty.
    pub message: String,
}

/// Fetches the last record of each partition of these topics, given with their numbers of partitions. Returns the partitions
/// that cannot be read. Of a topic with very many partitions only the first `MAX_PARTITIONS` are tried. A blocking call that
/// takes `within` and a little more.
///
/// # Errors
/// Returns an error if librdkafka rejects the settings.
pub fn try_fetches(
    settings: &ClusterSettings,
    topics: &[(Arc<str>, usize)],
    within: Duration,
) -> Result<Vec<UnreadablePartition>, String> {
    let deadline = Instant::now() + within;
    let shared = ClusterShared::standalone(settings);
    let (shutdown_guard, _ends) = mpsc::channel();
    let mut config = client_config(settings, ClientKind::History, BrokerProfile::Real);
    // An address that drops packets is to be reported before the time is over.
    config.set("socket.connection.setup.timeout.ms", SETUP_TIMEOUT_MS);
    let context = Context::new(&shared, ClientKind::History);
    let reader = KafkaReader::open(&config, context, &shared.identity, shutdown_guard)
        .map_err(|error| error.to_string())?;
    let queue = reader.queue().map_err(|code| code.to_string())?;
    // The advertised addresses are worth reporting if no broker answers there.
    if let Some((topic, _)) = topics.first()
        && let Ok((_, AdvertisedBrokers { by, brokers })) = reader.cluster_info(topic, ADVERTISED_TIMEOUT)
    {
        shared.health.set_advertised(&by, brokers, Instant::now());
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
    let silence = || {
        let errors = shared.health.errors();
        let colon = if errors.is_empty() { "" } else { ": " };
        format!("nothing arrived within {} s{colon}{errors}", within.as_secs())
    };
    let why = shared.health.astray(Instant::now()).unwrap_or_else(silence);
    Ok(trial.into_failures(&why))
}

/// An error's name, or that nothing arrived in time, and librdkafka's text for it.
type ErrorText = (String, String);

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

    /// Returns the partitions that could not be read, sorted. Those without an item and without an error get the reason
    /// `silence`.
    fn into_failures(mut self, silence: &str) -> Vec<UnreadablePartition> {
        for ((_, partition), (topic, last)) in std::mem::take(&mut self.waiting) {
            let why = last.unwrap_or_else(|| (silence.to_owned(), String::new()));
            self.add_failure(topic, partition, why);
        }
        self.refused
            .sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
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

/// The longest wait of a turn. librdkafka expects a poll every second.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);

/// The most partitions of a topic that are tried. Rights are granted by topic, and in most clusters every broker leads one of
/// this many partitions.
const MAX_PARTITIONS: usize = 64;
