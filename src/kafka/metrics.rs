//! What reading Kafka counts. `app` registers it.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::event::EncodeError;

/// The counters of all clusters of a process; clones share them.
#[derive(Clone, Debug, Default)]
pub struct KafkaMetrics {
    /// Records the tail has appended.
    pub records: Family<TopicLabels, Counter>,
    /// Records the tail met that could not be encoded.
    pub bad_records: Family<RejectLabels, Counter>,
    /// Offsets that no broker could be made to give, and that were skipped.
    pub unreadable_offsets: Family<TopicLabels, Counter>,
    /// Bytes received from brokers, as librdkafka's statistics tell.
    pub received_bytes: Family<ClientLabels, Counter>,
    /// Open broker connections, as librdkafka's statistics tell.
    pub connections: Family<ClientLabels, Gauge>,
    /// History pages read from brokers.
    pub pages_read: Family<ClusterLabels, Counter>,
    /// Bytes of keys and values in those pages.
    pub page_bytes: Family<ClusterLabels, Counter>,
    /// Wants of a page that the cache answered.
    pub page_hits: Family<ClusterLabels, Counter>,
    /// Wants of a page that joined a read which was asked for already.
    pub page_joins: Family<ClusterLabels, Counter>,
    /// Errors that librdkafka reported, and reads that timed out.
    pub errors: Family<ErrorLabels, Counter>,
    /// Logs that another took the place of.
    pub replacements: Family<ReplacementLabels, Counter>,
    /// Times that new clients took the place of such as nothing answered any more.
    pub renewals: Family<ClusterLabels, Counter>,
    /// Panics of threads that read Kafka; each was caught, and the thread's work begun anew.
    pub thread_panics: Family<ThreadLabels, Counter>,
    /// Groups of streams that were moved from one cluster to another.
    pub moves: Family<MoveLabels, Counter>,
}

/// A cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClusterLabels {
    /// Its configured name.
    pub cluster: String,
}

/// A topic of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TopicLabels {
    /// The cluster's configured name.
    pub cluster: String,
    /// The topic's name.
    pub topic: String,
}

/// A thread of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ThreadLabels {
    /// The cluster's configured name.
    pub cluster: String,
    /// The thread's name, as the system shows it.
    pub thread: String,
}

/// A kind of bad record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RejectLabels {
    /// The cluster's configured name.
    pub cluster: String,
    /// The topic's name.
    pub topic: String,
    /// What was wrong with it.
    pub reason: String,
}

/// A kind of client of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClientLabels {
    /// The cluster's configured name.
    pub cluster: String,
    /// `tail`, `history`, `questions`, `witness` or `glance`.
    pub client: String,
}

/// A kind of error that a kind of client met.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ErrorLabels {
    /// The cluster's configured name.
    pub cluster: String,
    /// `tail`, `history`, `questions`, `witness` or `glance`.
    pub client: String,
    /// librdkafka's name of the error.
    pub kind: String,
}

/// Why a log was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReplacementLabels {
    /// The cluster's configured name.
    pub cluster: String,
    /// `recreated`, `truncated` or `expired`.
    pub reason: String,
}

/// From which cluster to which.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct MoveLabels {
    /// The configured name of the one that was read before.
    pub from: String,
    /// The configured name of the one that is read now.
    pub to: String,
}

impl KafkaMetrics {
    /// Lets what alerts look at begin at zero: an increase from nothing is none to Prometheus.
    pub(super) fn initialize<'a>(
        &self,
        cluster: &str,
        threads: &[&str],
        topics: impl Iterator<Item = &'a str>,
    ) {
        for reason in REPLACEMENTS {
            let labels = ReplacementLabels {
                cluster: cluster.to_owned(),
                reason: (*reason).to_owned(),
            };
            drop(self.replacements.get_or_create(&labels));
        }
        for thread in threads {
            let labels = ThreadLabels {
                cluster: cluster.to_owned(),
                thread: (*thread).to_owned(),
            };
            drop(self.thread_panics.get_or_create(&labels));
        }
        for topic in topics {
            let labels = TopicLabels {
                cluster: cluster.to_owned(),
                topic: topic.to_owned(),
            };
            drop(self.unreadable_offsets.get_or_create(&labels));
            for reject in EncodeError::ALL {
                let labels = RejectLabels {
                    cluster: cluster.to_owned(),
                    topic: topic.to_owned(),
                    reason: reject.label().to_owned(),
                };
                drop(self.bad_records.get_or_create(&labels));
            }
        }
    }

    /// Registers every family; give a registry that adds the common prefix.
    pub fn register(&self, registry: &mut Registry) {
        let mut add = |name: &str, help: &str, family: &Family<ClusterLabels, Counter>| {
            registry.register(name, help, family.clone());
        };
        add(
            "history_pages",
            "History pages read from brokers",
            &self.pages_read,
        );
        add(
            "history_page_bytes",
            "Bytes of keys and values in history pages read",
            &self.page_bytes,
        );
        add(
            "history_page_hits",
            "Wants of a history page that the cache answered",
            &self.page_hits,
        );
        add(
            "history_page_joins",
            "Wants of a history page that joined a read under way",
            &self.page_joins,
        );
        add(
            "client_renewals",
            "Times that new clients took over from such as nothing answered any more",
            &self.renewals,
        );
        registry.register("records", "Records the tail has read", self.records.clone());
        registry.register(
            "bad_records",
            "Records that could not be encoded, each skipped alone",
            self.bad_records.clone(),
        );
        registry.register(
            "unreadable_offsets",
            "Offsets that could not be read from the brokers, and were skipped",
            self.unreadable_offsets.clone(),
        );
        registry.register(
            "received_bytes",
            "Bytes received from brokers",
            self.received_bytes.clone(),
        );
        registry.register(
            "broker_connections",
            "Open connections to brokers",
            self.connections.clone(),
        );
        registry.register("errors", "Errors met while reading Kafka", self.errors.clone());
        registry.register(
            "thread_panics",
            "Panics of threads that read Kafka, each caught and its work begun anew",
            self.thread_panics.clone(),
        );
        registry.register(
            "failovers",
            "Groups of streams moved from one cluster to another, by command or because the first failed",
            self.moves.clone(),
        );
        registry.register(
            "log_replacements",
            "Logs that another took the place of",
            self.replacements.clone(),
        );
    }
}

/// The reasons that a log is replaced for.
const REPLACEMENTS: &[&str] = &["recreated", "expired", "truncated", "unproven"];
