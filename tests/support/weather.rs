//! What happens to a cluster while clients read from it.

use proptest::prelude::*;

use super::model::House;

/// What happens next, to the brokers or between them and the house.
#[derive(Clone, Debug)]
pub enum Weather {
    /// A producer writes.
    Produce { partition: usize, records: usize },
    /// From now on what it writes is seen by nobody, or is again.
    Quiet { quiet: bool },
    /// The tail reads what there is.
    Tail { partition: usize },
    /// Memory is short.
    Shed { pages: usize },
    /// Half of the records are superseded.
    Compact { partition: usize },
    /// The oldest records are deleted.
    Expire { partition: usize, percent: usize },
    /// An unclean election: the log is cut, a new epoch begins and other records are written.
    Truncate {
        partition: usize,
        keep_percent: usize,
        records: usize,
    },
    /// The topic is deleted and created again, and written to.
    Recreate { records: usize },
    /// A leader stops answering, or answers again.
    Mute { partition: usize, mute: bool },
    /// The disk has bytes that changed, in front of what is written next.
    Damage { partition: usize, offsets: i64 },
    /// The topic gets one more partition, with records in it before anybody looks.
    AddPartition,
    /// The tail was away so long that what it read last has expired.
    TailLags { partition: usize },
}

/// Any of it, the everyday things more often.
pub fn weather() -> impl Strategy<Value = Weather> {
    prop_oneof![
        8 => (0..3usize, 1..40usize).prop_map(|(partition, records)| Weather::Produce { partition, records }),
        8 => (0..3usize).prop_map(|partition| Weather::Tail { partition }),
        3 => (1..6usize).prop_map(|pages| Weather::Shed { pages }),
        2 => (0..3usize).prop_map(|partition| Weather::Compact { partition }),
        1 => (0..3usize, 0..100usize).prop_map(|(partition, percent)| Weather::Expire { partition, percent }),
        1 => (0..3usize, 0..100usize, 0..60usize).prop_map(|(partition, keep_percent, records)| {
            Weather::Truncate { partition, keep_percent, records }
        }),
        1 => (0..60usize).prop_map(|records| Weather::Recreate { records }),
        1 => (0..3usize, any::<bool>()).prop_map(|(partition, mute)| Weather::Mute { partition, mute }),
        1 => (0..3usize, 1..30i64).prop_map(|(partition, offsets)| Weather::Damage { partition, offsets }),
        1 => Just(Weather::AddPartition),
        1 => (0..3usize).prop_map(|partition| Weather::TailLags { partition }),
        1 => any::<bool>().prop_map(|quiet| Weather::Quiet { quiet }),
    ]
}

impl House {
    /// Lets it happen.
    pub fn suffer(&self, weather: &Weather) {
        let count = self.model.lock().partitions.len();
        match *weather {
            Weather::Produce { partition, records } => self.model.lock().produce(partition % count, records),
            Weather::Quiet { quiet } => self.model.lock().quiet = quiet,
            Weather::Tail { partition } => self.tail(partition % count),
            Weather::Shed { pages } => {
                for log in self.source.directory.all() {
                    (0..pages).for_each(|_| _ = log.shed());
                }
            }
            Weather::Compact { partition } => {
                self.model.lock().partitions[partition % count]
                    .records
                    .retain(|record| record.n % 2 == 0);
            }
            Weather::Expire { partition, percent } => self.expire(partition % count, percent),
            Weather::Truncate {
                partition,
                keep_percent,
                records,
            } => self.truncate(partition % count, keep_percent, records),
            Weather::Recreate { records } => self.recreate(records),
            Weather::Mute { partition, mute } => self.model.lock().partitions[partition % count].mute = mute,
            Weather::Damage { partition, offsets } => self.damage(partition % count, offsets),
            Weather::AddPartition if count < MOST_PARTITIONS => self.add_partition(),
            Weather::AddPartition => {}
            Weather::TailLags { partition } => self.tail_lags(partition % count),
        }
    }

    /// Everybody answers, and the tail has read all there is.
    pub fn clear_up(&self) {
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

/// So many partitions schedules add up to.
const MOST_PARTITIONS: usize = 4;
