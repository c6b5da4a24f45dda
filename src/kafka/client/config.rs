//! How our clients of Kafka are configured.
//!
//! There is no `group.id` anywhere: with it librdkafka asks for the group's coordinator as soon as it connects, and the
//! broker creates `__consumer_offsets` for that, whatever else the client does.

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use crate::kafka::{settings::ClusterSettings, shared::BrokerProfile};

/// What a client is for; it also names the client in logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) enum ClientKind {
    /// Reads every partition at its end, and looks after the cluster's topology.
    Tail,
    /// Reads pages that have left memory.
    History,
    /// Asks leaders where partitions begin and end, and where a time is in them.
    OffsetQueries,
    /// Asks every broker how it is.
    StallDetector,
    /// Is opened to ask something once, and closed.
    OneShot,
    /// Finds out what of a log cannot be read; open only meanwhile.
    Search,
}

impl ClientKind {
    pub(in crate::kafka) fn name(self) -> &'static str {
        match self {
            Self::Tail => "tail",
            Self::History => "history",
            Self::OffsetQueries => "questions",
            Self::StallDetector => "witness",
            Self::OneShot => "glance",
            Self::Search => "search",
        }
    }
}

/// The configuration of one client: our advice, under what the user says, under what riverhead rests on. All but the
/// brokers to ask first, which change ([`ClusterIdentity`](crate::kafka::identity::cluster::ClusterIdentity)).
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
            ClientKind::History => HISTORY,
            ClientKind::OffsetQueries => OFFSET_QUERIES,
            ClientKind::StallDetector => STALL_DETECTOR,
            ClientKind::OneShot => ONE_SHOT,
            ClientKind::Search => SEARCH,
        },
    );
    if profile == BrokerProfile::Embedded && !matches!(kind, ClientKind::OneShot | ClientKind::Search) {
        set(&mut config, EMBEDDED);
    }
    // A user's group would bring the coordinator back; the configuration refuses these, and this is the second lock.
    for key in ["group.id", "group.instance.id", "group.protocol", "debug"] {
        config.remove(key);
    }
    config.set("client.id", format!("riverhead-{}", kind.name()));
    config.set_log_level(RDKafkaLogLevel::Info);
    config
}

fn set(config: &mut ClientConfig, table: &[(&str, &str)]) {
    for (key, value) in table {
        config.set(*key, *value);
    }
}

/// Records of a history page, and how many a history client keeps ready: fewer stall its reads for 10 ms and more, many
/// more fetch what nobody asked for.
pub(in crate::kafka) const PAGE_RECORDS: i64 = 1024;

/// Bytes of values in a history page, and what one fetch may bring of a partition: the producer's batch is the unit of
/// over-fetch, and a fetch just above the page costs least.
pub(in crate::kafka) const PAGE_BYTES: usize = 1 << 20;

/// What the user may change.
const DEFAULTS: &[(&str, &str)] = &[
    // A mute leader holds its partitions for one to two of these; the default of 60 s would be over a minute.
    ("socket.timeout.ms", "5000"),
    // Covers TCP, TLS and SASL; the default of 30 s lets connections to a dead broker linger in SYN_SENT.
    ("socket.connection.setup.timeout.ms", "5000"),
    ("api.version.request.timeout.ms", "5000"),
    ("socket.keepalive.enable", "true"),
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "2000"),
    // Bounds how long a split leader that still answers holds a reader, and learns replaced brokers in time.
    ("topic.metadata.refresh.interval.ms", "5000"),
    // A name may stand for all brokers: each of its addresses is tried.
    ("client.dns.lookup", "use_all_dns_ips"),
    // When all known brokers are gone, begin again with the bootstrap list.
    ("metadata.recovery.strategy", "rebootstrap"),
    ("metadata.recovery.rebootstrap.trigger.ms", "30000"),
    ("retry.backoff.max.ms", "500"),
    ("enable.metrics.push", "false"),
    ("log.connection.close", "false"),
];

/// What riverhead rests on.
const REQUIRED: &[(&str, &str)] = &[
    // Any other value jumps over records without a word when an offset is out of range.
    ("auto.offset.reset", "error"),
    // Nobody is to see what a transaction has not committed.
    ("isolation.level", "read_committed"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("allow.auto.create.topics", "false"),
    // Bytes that changed on a broker's disk must not reach a client. CRC-32C is an instruction of the processor: librdkafka's own
    // function takes 25 ns for 700 bytes that are in the cache (28 GB/s, five rounds within 1 %).
    ("check.crcs", "true"),
    ("fetch.min.bytes", "1"),
    ("fetch.error.backoff.ms", "100"),
    // The default of 1 s shows up as reads of 1 s whenever a queue was full.
    ("fetch.queue.backoff.ms", "10"),
    ("max.partition.fetch.bytes", "1048576"),
    // An answer holds as much, or one batch of records that is larger. The default of 50 MiB, for each broker, is more than all else
    // that a cluster costs; a fetch that brings 4 MiB costs no more for a byte.
    ("fetch.max.bytes", "4194304"),
    ("statistics.interval.ms", "5000"),
];

const TAIL: &[(&str, &str)] = &[
    // What health knows of a partition is never older than this; 2 kB a partition, parsed in microseconds.
    ("statistics.interval.ms", "2000"),
    ("enable.partition.eof", "false"),
    // A fetch returns as soon as there is a byte; this bounds how long a partition waits that joins a polling broker.
    ("fetch.wait.max.ms", "100"),
    // All partitions share one queue, so these bound the whole tail, but for an answer of each broker that is on its way. The
    // tail's thread empties it every few milliseconds: 8 MiB are enough for a gigabyte a second.
    ("queued.min.messages", "20000"),
    ("queued.max.messages.kbytes", "8192"),
];

const HISTORY: &[(&str, &str)] = &[
    // The only sign that a page reached the end of a log whose last offset is a transaction marker.
    ("enable.partition.eof", "true"),
    // A fetch fills a queue, and a page may need two: the pause between them is part of the page's time.
    ("fetch.queue.backoff.ms", "1"),
    // One fetch is in flight per broker, so a page waits for the one before it, even if that found nothing.
    ("fetch.wait.max.ms", "10"),
    // Per partition, as every partition has a queue of its own.
    ("queued.min.messages", "1024"),
    ("queued.max.messages.kbytes", "1024"),
    // Planned closes: most of the time nobody reads history.
    ("connections.max.idle.ms", "60000"),
];

const OFFSET_QUERIES: &[(&str, &str)] = &[
    // Planned closes: most of the time nobody asks.
    ("connections.max.idle.ms", "60000"),
];

const STALL_DETECTOR: &[(&str, &str)] = &[
    // It reads no partition, so its statistics are short.
    ("statistics.interval.ms", "1000"),
];

const ONE_SHOT: &[(&str, &str)] = &[
    // A watermark is compared with the tail's, which are high watermarks too.
    ("isolation.level", "read_uncommitted"),
    ("statistics.interval.ms", "0"),
];

const SEARCH: &[(&str, &str)] = &[
    // What a transaction has aborted is of no interest, but shows that there is something to read.
    ("isolation.level", "read_uncommitted"),
    ("enable.partition.eof", "true"),
    ("fetch.wait.max.ms", "10"),
    ("fetch.queue.backoff.ms", "1"),
    // librdkafka doubles what it asks for when nothing of an answer parses; this bounds it. A batch comes whole all the same.
    ("fetch.max.bytes", "1048576"),
    ("queued.min.messages", "1"),
    ("queued.max.messages.kbytes", "1024"),
    // Tells whether a quota holds back what is looked for.
    ("statistics.interval.ms", "1000"),
];

/// librdkafka's own brokers never wake a waiting fetch when something is produced: they sleep it out.
const EMBEDDED: &[(&str, &str)] = &[("fetch.wait.max.ms", "10"), ("statistics.interval.ms", "500")];

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
