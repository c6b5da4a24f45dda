//! Events of a cluster while clients read from it.

use proptest::prelude::*;

use super::model::ModelFixture;

/// An event at the brokers, or between them and the gateway.
#[derive(Clone, Debug)]
pub enum ClusterEvent {
    /// A producer writes records.
    Produce { partition: usize, records: usize },
    /// Sets whether further records are invisible to clients.
    Quiet { quiet: bool },
    /// The tail reads what there is.
    Tail { partition: usize },
    /// Pages are dropped from memory.
    EvictPages { pages: usize },
    /// Half of the records are removed by compaction.
    Compact { partition: usize },
    /// The oldest records are deleted.
    Expire { partition: usize, percent: usize },
    /// An unclean election: the log is truncated, a new epoch begins, and other records are written.
    Truncate {
        partition: usize,
        keep_percent: usize,
        records: usize,
    },
    /// The topic is deleted, created again, and written to.
    Recreate { records: usize },
    /// A leader stops answering, or answers again.
    StopAnswering { partition: usize, mute: bool },
    /// Offsets before the next record are damaged on disk.
    Damage { partition: usize, offsets: i64 },
    /// The topic gets one more partition, with records in it before it is noticed.
    AddPartition,
    /// The tail was away for so long that its last position has expired.
    TailLags { partition: usize },
    /// A reload changes what becomes of the records: what is in memory of them is dropped.
    ChangeRules,
}

/// Generates any event, frequent ones more often.
pub fn cluster_event() -> impl Strategy<Value = ClusterEvent> {
    prop_oneof![
        8 => (0..3usize, 1..40usize).prop_map(|(partition, records)| ClusterEvent::Produce { partition, records }),
        8 => (0..3usize).prop_map(|partition| ClusterEvent::Tail { partition }),
        3 => (1..6usize).prop_map(|pages| ClusterEvent::EvictPages { pages }),
        2 => (0..3usize).prop_map(|partition| ClusterEvent::Compact { partition }),
        1 => (0..3usize, 0..100usize).prop_map(|(partition, percent)| ClusterEvent::Expire { partition, percent }),
        1 => (0..3usize, 0..100usize, 0..60usize).prop_map(|(partition, keep_percent, records)| {
            ClusterEvent::Truncate { partition, keep_percent, records }
        }),
        1 => (0..60usize).prop_map(|records| ClusterEvent::Recreate { records }),
        1 => (0..3usize, any::<bool>()).prop_map(|(partition, mute)| ClusterEvent::StopAnswering { partition, mute }),
        1 => (0..3usize, 1..30i64).prop_map(|(partition, offsets)| ClusterEvent::Damage { partition, offsets }),
        1 => Just(ClusterEvent::AddPartition),
        1 => (0..3usize).prop_map(|partition| ClusterEvent::TailLags { partition }),
        1 => any::<bool>().prop_map(|quiet| ClusterEvent::Quiet { quiet }),
        1 => Just(ClusterEvent::ChangeRules),
    ]
}

impl ModelFixture {
    /// Applies an event.
    pub fn apply(&self, cluster_event: &ClusterEvent) {
        let count = self.model.lock().partitions.len();
        match *cluster_event {
            ClusterEvent::Produce { partition, records } => {
                self.model.lock().produce(partition % count, records)
            }
            ClusterEvent::Quiet { quiet } => self.model.lock().quiet = quiet,
            ClusterEvent::Tail { partition } => self.tail(partition % count),
            ClusterEvent::EvictPages { pages } => {
                for log in self.source.directory.all() {
                    (0..pages).for_each(|_| _ = log.evict_oldest());
                }
            }
            ClusterEvent::Compact { partition } => {
                self.model.lock().partitions[partition % count]
                    .records
                    .retain(|record| record.n % 2 == 0);
            }
            ClusterEvent::Expire { partition, percent } => self.expire(partition % count, percent),
            ClusterEvent::Truncate {
                partition,
                keep_percent,
                records,
            } => self.truncate(partition % count, keep_percent, records),
            ClusterEvent::Recreate { records } => self.recreate(records),
            ClusterEvent::StopAnswering { partition, mute } => {
                self.model.lock().partitions[partition % count].mute = mute
            }
            ClusterEvent::Damage { partition, offsets } => self.damage(partition % count, offsets),
            ClusterEvent::AddPartition if count < MOST_PARTITIONS => self.add_partition(),
            ClusterEvent::AddPartition => {}
            ClusterEvent::TailLags { partition } => self.tail_lags(partition % count),
            ClusterEvent::ChangeRules => {
                for log in self.source.directory.all() {
                    let successor = log.successor(log.encoding(), None);
                    self.source.directory.put_successor(successor);
                }
            }
        }
    }

    /// Makes every leader answer, and the tail read everything.
    pub fn restore(&self) {
        let mut brokers = self.model.lock();
        brokers
            .partitions
            .iter_mut()
            .for_each(|partition| partition.mute = false);
        let count = brokers.partitions.len();
        drop(brokers);
        (0..count).for_each(|partition| self.tail(partition));
    }
}

/// The most partitions that a schedule creates.
const MOST_PARTITIONS: usize = 4;
