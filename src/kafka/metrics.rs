//! The metrics of reading Kafka, with their labels.
//!
//! Not here: the registry and the common prefix of the names (`app`).

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

use crate::{
    event::{EncodeError, TransformCounts},
    metrics::metric_set,
};

metric_set! {
    /// The metrics of all clusters of a process. Clones share them.
    pub struct KafkaMetrics {
        /// History pages read from brokers.
        pub pages_read: Family<ClusterLabels, Counter> = "history_pages", "History pages read from brokers";
        /// Bytes of keys and values in those pages.
        pub page_bytes: Family<ClusterLabels, Counter> = "history_page_bytes",
            "Bytes of keys and values in history pages read";
        /// Page requests that the cache answered.
        pub page_hits: Family<ClusterLabels, Counter> = "history_page_hits",
            "Requests for a history page answered from the cache";
        /// Page requests that joined a read in progress.
        pub page_joins: Family<ClusterLabels, Counter> = "history_page_joins",
            "Requests for a history page that joined a read in progress";
        /// Records that the tail has appended.
        pub records: Family<TopicLabels, Counter> = "records", "Records the tail has read";
        /// Records in the tail that could not be encoded, and were skipped.
        pub bad_records: Family<RejectLabels, Counter> = "bad_records",
            "Records skipped because they could not be encoded, by reason";
        /// Records of the tail that were left out because `drop` matched them.
        pub dropped_records: Family<TopicLabels, Counter> = "dropped_records",
            "Records left out because `drop` of their stream matched them";
        /// Records in the tail of which `redact` has removed or blanked something.
        pub redacted_records: Family<TopicLabels, Counter> = "redacted_records",
            "Records of which `redact` of their stream has removed or blanked something";
        /// Offsets that no broker could serve, and that were skipped.
        pub unreadable_offsets: Family<TopicLabels, Counter> = "unreadable_offsets",
            "Offsets that could not be read from the brokers, and were skipped";
        /// Bytes received from brokers, by librdkafka's statistics.
        pub received_bytes: Family<ClientLabels, Counter> = "received_bytes", "Bytes received from brokers";
        /// Open connections to brokers, by librdkafka's statistics.
        pub connections: Family<ClientLabels, Gauge> = "broker_connections", "Open connections to brokers";
        /// Errors that librdkafka reported, and reads that timed out.
        pub errors: Family<ErrorLabels, Counter> = "errors", "Errors met while reading Kafka";
        /// Panics of threads that read Kafka. Each was caught, and the work of the thread was restarted.
        pub thread_panics: Family<ThreadLabels, Counter> = "thread_panics",
            "Panics of threads that read Kafka; each was caught and the thread restarted";
        /// Times that the Kafka clients were replaced: no broker answered, the broker in use was cut off, the cluster was the wrong
        /// one, or a thread panicked.
        pub renewals: Family<ClusterLabels, Counter> = "client_renewals",
            "Times that the Kafka clients were replaced, because no broker answered them or to avoid a \
             broker";
        /// Groups of streams that were moved from one cluster to another.
        pub moves: Family<MoveLabels, Counter> = "failovers",
            "Groups of streams moved from one cluster to another, by command or because the active cluster \
             failed";
        /// Logs that were replaced by another log of the same partition.
        pub replacements: Family<ReplacementLabels, Counter> = "log_replacements",
            "Logs replaced by another log of their partition, by reason";
    }
}

/// The labels of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClusterLabels {
    /// The cluster's configured name.
    pub cluster: String,
}

/// The labels of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TopicLabels {
    /// The cluster's configured name.
    pub cluster: String,
    /// The topic's name.
    pub topic: String,
}

impl TopicLabels {
    pub(super) fn new(cluster: &str, topic: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            topic: topic.to_owned(),
        }
    }
}

/// The labels of a thread of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ThreadLabels {
    /// The cluster's configured name.
    pub cluster: String,
    /// The thread's name, as the system shows it.
    pub thread: String,
}

/// The labels of a kind of rejected record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RejectLabels {
    /// The cluster's configured name.
    pub cluster: String,
    /// The topic's name.
    pub topic: String,
    /// Why the record was rejected.
    pub reason: String,
}

impl RejectLabels {
    pub(super) fn new(cluster: &str, topic: &str, why: EncodeError) -> Self {
        Self {
            cluster: cluster.to_owned(),
            topic: topic.to_owned(),
            reason: why.label().to_owned(),
        }
    }
}

/// The labels of a kind of client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClientLabels {
    /// The cluster's configured name.
    pub cluster: String,
    /// `tail`, `history`, `questions`, `witness`, `glance` or `search`.
    pub client: String,
}

/// The labels of a kind of error, by the kind of client that met it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ErrorLabels {
    /// The cluster's configured name.
    pub cluster: String,
    /// `tail`, `history`, `questions`, `witness`, `glance` or `search`.
    pub client: String,
    /// librdkafka's name of the error.
    pub kind: String,
}

/// The labels of a log replacement.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReplacementLabels {
    /// The cluster's configured name.
    pub cluster: String,
    /// `recreated`, `expired`, `truncated` or `unproven`.
    pub reason: String,
}

/// The labels of a move between clusters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct MoveLabels {
    /// The configured name of the cluster that was read before.
    pub from: String,
    /// The configured name of the cluster that is read now.
    pub to: String,
}

impl KafkaMetrics {
    /// Creates at zero the series that alerts look at: to Prometheus an increase from no series is none.
    pub(super) fn initialize(&self, cluster: &str, threads: &[&str]) {
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
    }

    /// Creates at zero the series of a topic that alerts look at.
    pub(super) fn initialize_topic(&self, cluster: &str, topic: &str) {
        let labels = TopicLabels::new(cluster, topic);
        drop(self.unreadable_offsets.get_or_create(&labels));
        for reject in EncodeError::ALL {
            let labels = RejectLabels::new(cluster, topic, reject);
            drop(self.bad_records.get_or_create(&labels));
        }
    }

    /// Removes the series of a topic that is not read any more.
    pub(super) fn remove_topic(&self, cluster: &str, topic: &str) {
        let labels = TopicLabels::new(cluster, topic);
        let families = [
            &self.records,
            &self.dropped_records,
            &self.redacted_records,
            &self.unreadable_offsets,
        ];
        for family in families {
            family.remove(&labels);
        }
        for reject in EncodeError::ALL {
            self.bad_records
                .remove(&RejectLabels::new(cluster, topic, reject));
        }
    }

    /// Returns the counters of what is dropped and redacted in a topic. They exist only for topics that have rules for it.
    pub(super) fn transformed(&self, labels: &TopicLabels) -> TransformCounters {
        TransformCounters {
            dropped: self.dropped_records.get_or_create_owned(labels),
            redacted: self.redacted_records.get_or_create_owned(labels),
        }
    }
}

/// The counters of what is dropped and redacted in a topic.
#[derive(Debug)]
pub(super) struct TransformCounters {
    dropped: Counter,
    redacted: Counter,
}

impl TransformCounters {
    pub(super) fn add(&self, counts: TransformCounts) {
        self.dropped.inc_by(counts.dropped);
        self.redacted.inc_by(counts.redacted);
    }
}

/// The reasons for a log replacement.
const REPLACEMENTS: &[&str] = &["recreated", "expired", "truncated", "unproven"];
