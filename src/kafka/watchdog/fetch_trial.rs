//! Tries to read each partition of some topics once: what only a fetch shows, such as a right that is missing.

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
    damage::is_damage,
    faults,
    identity::cluster::AdvertisedBrokers,
    settings::ClusterSettings,
    shared::{BrokerProfile, ClusterShared},
};

/// A partition that was not read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadablePartition {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its number.
    pub partition: i32,
    /// The error's name, or that nothing came.
    pub error: String,
    /// What librdkafka says of it; may be empty.
    pub message: String,
}

/// Fetches the last record of each partition of these topics, given with their numbers of partitions; returns those that
/// cannot be read. Of a topic of very many partitions only the first are tried. A blocking call, of `within` and a little.
///
/// # Errors
/// When librdkafka does not accept the settings.
pub fn try_fetches(
    settings: &ClusterSettings,
    topics: &[(Arc<str>, usize)],
    within: Duration,
) -> Result<Vec<UnreadablePartition>, String> {
    let deadline = Instant::now() + within;
    let shared = ClusterShared::standalone(settings);
    let (shutdown_guard, _ends) = mpsc::channel();
    let mut config = client_config(settings, ClientKind::History, BrokerProfile::Real);
    // An address that drops what is sent to it is to be told of before the time is over.
    config.set("socket.connection.setup.timeout.ms", SETUP);
    let context = Context::new(&shared, ClientKind::History);
    let reader = KafkaReader::open(&config, context, &shared.identity, shutdown_guard)
        .map_err(|error| error.to_string())?;
    let queue = reader.queue().map_err(|code| code.to_string())?;
    // Where it sends us is worth telling when nobody answers there.
    if let Some((topic, _)) = topics.first()
        && let Ok((_, AdvertisedBrokers { by, brokers })) = reader.cluster_info(topic, HOME)
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
        let heard = shared.health.errors();
        let colon = if heard.is_empty() { "" } else { ": " };
        format!("nothing came within {} s{colon}{heard}", within.as_secs())
    };
    let why = shared.health.astray(Instant::now()).unwrap_or_else(silence);
    Ok(trial.into_failures(&why))
}

/// An error's name, or that nothing came, and what librdkafka says of it.
type ErrorText = (String, String);

struct FetchTrial {
    reader: KafkaReader,
    queue: KafkaQueue,
    /// Those of which nothing has come, each with the last error that may pass.
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

    fn poll(&mut self, deadline: Instant) {
        self.reader.poll_events();
        self.queue.fill(deadline.min(Instant::now() + POLL_TIMEOUT));
        while let Some(item) = self.queue.front() {
            let key = (item.topic, item.partition);
            match item.kind {
                ItemKind::Record(_) | ItemKind::End(_) => _ = self.waiting.remove(&key),
                // The log was emptied: its leader let us look.
                ItemKind::Fault {
                    code: RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset,
                    ..
                } => _ = self.waiting.remove(&key),
                ItemKind::Fault { code, reason, .. } => {
                    let why = (faults::name(code), reason);
                    match self.waiting.get_mut(&key) {
                        Some(_) if is_final(code) => {
                            if let Some((topic, _)) = self.waiting.remove(&key) {
                                self.add_failure(topic, key.1, why);
                            }
                        }
                        Some((_, last)) => *last = Some(why),
                        None => {}
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

    fn into_failures(mut self, silence: &str) -> Vec<UnreadablePartition> {
        for ((_, partition), (topic, last)) in std::mem::take(&mut self.waiting) {
            self.add_failure(
                topic,
                partition,
                last.unwrap_or_else(|| (silence.to_owned(), String::new())),
            );
        }
        self.refused
            .sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        self.refused
    }
}

/// Whether there is nothing to wait for after this error: librdkafka tells of it once, and goes on behind what is damaged as if that
/// had been read.
fn is_final(code: RDKafkaErrorCode) -> bool {
    // A broker says this for what passes, too.
    let may_pass = code == RDKafkaErrorCode::Unknown;
    code == RDKafkaErrorCode::TopicAuthorizationFailed || (is_damage(code) && !may_pass)
}

/// librdkafka's offset for the record before the end (`RD_KAFKA_OFFSET_TAIL(1)`).
const LAST_RECORD: i64 = -2001;

/// What a connection gets, in ms: less than the whole trial.
const SETUP: &str = "3000";

/// What a broker gets to say where the others are.
const HOME: Duration = Duration::from_secs(2);

/// How long the thread rests at most: librdkafka wants to be heard every second.
const POLL_TIMEOUT: Duration = Duration::from_millis(200);

/// Rights are those of a topic, and so many partitions are led by every broker of most clusters.
const MAX_PARTITIONS: usize = 64;
