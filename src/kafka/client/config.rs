//! The configuration of each librdkafka client.
//!
//! There is no `group.id` anywhere. With one, librdkafka looks up the group's coordinator as soon as it connects, and the
//! broker creates `__consumer_offsets` for that, whatever else the client does.

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use crate::kafka::{settings::ClusterSettings, shared::BrokerProfile};

/// The purpose of a client. It also names the client in logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) enum ClientKind {
    /// Reads every partition at its end, and refreshes the metadata.
    Tail,
    /// Reads pages that have left memory, with fetches of [`FETCH_BYTES`].
    History,
    /// Reads pages too, for clients that read on from a place, with fetches of [`RUN_FETCH_BYTES`].
    HistoryRun,
    /// Asks leaders for the bounds of partitions, and for the offsets of timestamps.
    OffsetQueries,
    /// Asks every broker for its view of the topics, and shows which brokers are connected.
    StallDetector,
    /// Is opened to ask one question, and closed.
    OneShot,
    /// Searches for the readable rest of a damaged log. Open only during a search.
    Search,
}

impl ClientKind {
    /// Returns the value of the label `client`, which is public and older than the names in the code.
    pub(in crate::kafka) fn name(self) -> &'static str {
        match self {
            Self::Tail => "tail",
            Self::History | Self::HistoryRun => "history",
            Self::OffsetQueries => "questions",
            Self::StallDetector => "witness",
            Self::OneShot => "glance",
            Self::Search => "search",
        }
    }

    /// Returns the client id, by which brokers know the client: quotas may be set for it.
    pub(in crate::kafka) fn id(self) -> String {
        format!("riverhead-{}", self.name())
    }
}

/// Returns the configuration of one client: our defaults, overridden by the user's properties, overridden by what riverhead
/// requires. It lacks the bootstrap brokers, which change
/// ([`ClusterIdentity`](crate::kafka::identity::cluster::ClusterIdentity)).
pub(in crate::kafka) fn client_config(
    settings: &ClusterSettings,
    kind: ClientKind,
    profile: BrokerProfile,
) -> ClientConfig {
    let mut config = ClientConfig::new();
    set(&mut config, DEFAULTS);
    for (key, value) in &settings.librdkafka {
        config.set(key, value);
    }
    set(&mut config, REQUIRED);
    set(
        &mut config,
        match kind {
            ClientKind::Tail => TAIL,
            ClientKind::History | ClientKind::HistoryRun => HISTORY,
            ClientKind::OffsetQueries => OFFSET_QUERIES,
            ClientKind::StallDetector => STALL_DETECTOR,
            ClientKind::OneShot => ONE_SHOT,
            ClientKind::Search => SEARCH,
        },
    );
    if kind == ClientKind::History {
        config.set("max.partition.fetch.bytes", FETCH_BYTES.to_string());
    }
    if profile == BrokerProfile::Embedded && !matches!(kind, ClientKind::OneShot | ClientKind::Search) {
        set(&mut config, EMBEDDED);
        if matches!(kind, ClientKind::History | ClientKind::HistoryRun) {
            set(&mut config, EMBEDDED_HISTORY);
        }
    }
    // A user's group would bring the coordinator back. The configuration already refuses these keys; this is the second check.
    for key in ["group.id", "group.instance.id", "group.protocol", "debug"] {
        config.remove(key);
    }
    config.set("client.id", kind.id());
    config.set_log_level(RDKafkaLogLevel::Info);
    config
}

fn set(config: &mut ClientConfig, table: &[(&str, &str)]) {
    for (key, value) in table {
        config.set(*key, *value);
    }
}

/// The most records of a history page.
pub(in crate::kafka) const PAGE_RECORDS: i64 = 1024;

/// The most bytes of values in a history page, unless a single record is larger.
pub(in crate::kafka) const PAGE_BYTES: usize = 1 << 20;

/// Bytes that the first fetches of a place ask for. A client that wants a few events costs one of them; a broker returns at least
/// one batch of the producer, however large. With 256 KiB, the head of the response and the last batch, which is cut, would exceed
/// what a look may cost.
pub(in crate::kafka) const FETCH_BYTES: usize = 224 << 10;

/// Bytes that a fetch asks for of a partition that a client reads on. Each fetch costs a broker and librdkafka some 0.1 ms and a
/// round trip, so a replay with fetches of 224 KiB is a third slower.
pub(in crate::kafka) const RUN_FETCH_BYTES: usize = 1 << 20;

/// Bytes that are read in a row from a place with small fetches before large ones follow. Most clients that want a few events are
/// gone by then; to a replay they cost some milliseconds.
pub(in crate::kafka) const RUN_AFTER: usize = 2 * FETCH_BYTES;

/// Defaults that the user may override.
const DEFAULTS: &[(&str, &str)] = &[
    // A leader that does not answer holds its partitions for one to two of these. The default of 60 s would be over a minute.
    ("socket.timeout.ms", "5000"),
    // Covers TCP, TLS and SASL. The default of 30 s lets connections to a dead broker linger in SYN_SENT.
    ("socket.connection.setup.timeout.ms", "5000"),
    ("api.version.request.timeout.ms", "5000"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "2000"),
    // Bounds how long a deposed leader that still answers holds a reader, and how late replaced brokers are learned of.
    ("topic.metadata.refresh.interval.ms", "5000"),
    // A name may stand for all brokers: each of its addresses is tried.
    ("client.dns.lookup", "use_all_dns_ips"),
    // When all known brokers are gone, librdkafka begins again with the bootstrap list.
    ("metadata.recovery.strategy", "rebootstrap"),
    ("metadata.recovery.rebootstrap.trigger.ms", "30000"),
    ("retry.backoff.max.ms", "500"),
    ("enable.metrics.push", "false"),
    ("log.connection.close", "false"),
];

/// Properties that riverhead relies on. They override the user's.
const REQUIRED: &[(&str, &str)] = &[
    // Any other value skips records silently when an offset is out of range.
    ("auto.offset.reset", "error"),
    // Clients must not see records of a transaction that is not committed.
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("allow.auto.create.topics", "false"),
    // Bytes that changed on a broker's disk must not reach a client. CRC-32C is an instruction of the processor: librdkafka's
    // function takes 25 ns for 700 bytes that are in the cache (28 GB/s, five rounds within 1 %).
    ("check.crcs", "true"),
    ("fetch.min.bytes", "1"),
    ("fetch.error.backoff.ms", "100"),
    // The default of 1 s shows up as reads of 1 s whenever a queue was full.
    ("fetch.queue.backoff.ms", "10"),
    ("max.partition.fetch.bytes", "1048576"),
    // An answer holds this much, or one batch of records that is larger. The default of 50 MiB for each broker is more than all
    // else that a cluster costs. A fetch of 4 MiB costs no more per byte.
    ("fetch.max.bytes", "4194304"),
    ("statistics.interval.ms", "5000"),
];

const TAIL: &[(&str, &str)] = &[
    // Health knows of a partition nothing older than this. 2 kB a partition, parsed in microseconds.
    ("statistics.interval.ms", "2000"),
    ("enable.partition.eof", "false"),
    // A fetch returns as soon as there is a byte. This bounds how long a partition waits that is added to a broker with a fetch
    // in progress.
    ("fetch.wait.max.ms", "100"),
    // All partitions share one queue, so these bound the whole tail, apart from one answer of each broker that is on its way.
    // The tail's thread empties the queue every few milliseconds: 8 MiB are enough for a gigabyte a second.
    ("queued.min.messages", "20000"),
    ("queued.max.messages.kbytes", "8192"),
];

const HISTORY: &[(&str, &str)] = &[
    // The end-of-partition event is the only sign that a page reached the end of a log whose last offset is a transaction
    // marker.
    ("enable.partition.eof", "true"),
    // librdkafka looks after this time whether a queue is empty again. The pause between two fetches is part of a page's time.
    ("fetch.queue.backoff.ms", "1"),
    // One fetch is in flight per broker, so a page waits for the one before it, even if that found nothing.
    ("fetch.wait.max.ms", "10"),
    // A partition is fetched only while its queue is empty. The reader empties the queue early if it reads on, and otherwise leaves
    // one record in it (`KafkaQueue::hold_back`). Per partition, because every partition has a queue of its own.
    ("queued.min.messages", "1"),
    ("queued.max.messages.kbytes", "1024"),
    // Idle connections are closed: most of the time no client reads history.
    ("connections.max.idle.ms", "60000"),
];

const OFFSET_QUERIES: &[(&str, &str)] = &[
    // Idle connections are closed: most of the time there is no query.
    ("connections.max.idle.ms", "60000"),
];

const STALL_DETECTOR: &[(&str, &str)] = &[
    // This client reads no partition, so its statistics are short.
    ("statistics.interval.ms", "1000"),
];

const ONE_SHOT: &[(&str, &str)] = &[
    // The watermark is compared with the tail's, which are high watermarks too.
    ("isolation.level", "read_uncommitted"),
    ("statistics.interval.ms", "0"),
];

const SEARCH: &[(&str, &str)] = &[
    // Records of an aborted transaction are of no interest, but show that there is something to read.
    ("isolation.level", "read_uncommitted"),
    ("enable.partition.eof", "true"),
    ("fetch.wait.max.ms", "10"),
    ("fetch.queue.backoff.ms", "1"),
    // librdkafka doubles the size it asks for when nothing of an answer parses; this bounds it. A batch is returned whole all
    // the same.
    ("fetch.max.bytes", "1048576"),
    ("queued.min.messages", "1"),
    ("queued.max.messages.kbytes", "1024"),
    // Statistics tell whether a quota delays the answers of a search.
    ("statistics.interval.ms", "1000"),
];

/// librdkafka's mock brokers never wake a waiting fetch when something is produced: it waits its full time.
const EMBEDDED: &[(&str, &str)] = &[("fetch.wait.max.ms", "10"), ("statistics.interval.ms", "500")];

/// The mock brokers answer a fetch with one batch of a partition, which may be a single record. A page of them needs many fetches
/// without a pause.
const EMBEDDED_HISTORY: &[(&str, &str)] = &[("queued.min.messages", "1024")];

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(extra: &[(&str, &str)]) -> ClusterSettings {
        let brokers = ["a:1", "b:2"].map(|broker| broker.parse().expect("an address"));
        let mut settings = ClusterSettings::new("main", brokers.to_vec());
        settings.librdkafka = extra
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        settings
    }

    #[test]
    fn no_client_has_a_group_even_if_the_user_asks_for_one() {
        let settings = settings(&[("group.id", "x"), ("group.instance.id", "y")]);
        for kind in [
            ClientKind::Tail,
            ClientKind::History,
            ClientKind::HistoryRun,
            ClientKind::StallDetector,
            ClientKind::OneShot,
            ClientKind::Search,
        ] {
            let config = client_config(&settings, kind, BrokerProfile::Real);
            assert!(config.config_map().keys().all(|key| !key.starts_with("group.")));
            config
                .create_native_config()
                .expect("librdkafka accepts every key and value");
        }
    }

    #[test]
    fn the_user_tunes_timeouts_but_not_what_we_rest_on() {
        let settings = settings(&[
            ("socket.timeout.ms", "30000"),
            ("auto.offset.reset", "latest"),
            ("check.crcs", "false"),
            ("sasl.mechanism", "PLAIN"),
        ]);
        let config = client_config(&settings, ClientKind::Tail, BrokerProfile::Real);
        assert_eq!(config.get("socket.timeout.ms"), Some("30000"));
        assert_eq!(config.get("auto.offset.reset"), Some("error"));
        assert_eq!(config.get("check.crcs"), Some("true"));
        assert_eq!(config.get("sasl.mechanism"), Some("PLAIN"));
    }
}
