//! The log that takes the place of another when the records of a partition become other events than before.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;

use super::{LogStart, PageRing, PartitionLog};
use crate::{
    event::{Encoding, Transform},
    position::{LogPosition, Offset},
};

impl PartitionLog {
    /// Returns an empty log that continues this one at its end: the same log of Kafka, whose records become other events from now
    /// on. Records before its end are read from history.
    pub fn successor(&self, encoding: Encoding, transform: Option<Arc<dyn Transform>>) -> Arc<Self> {
        let (next, end) = (self.next(), self.end());
        let log = Self::with_transform(self.partition.clone(), self.tag, encoding, transform, next);
        log.set_leader_epoch(end.epoch.or(self.leader_epoch()));
        log.set_overlap(self.overlap());
        *log.ring.write() = PageRing::new(LogPosition { offset: next, ..end });
        log
    }

    /// Makes all records of the log count as deleted, so that every cache drops the events that they became. To be called once a
    /// successor has taken over the log's start.
    pub(in crate::partition) fn withdraw(&self) {
        let start = LogStart {
            start: AtomicI64::new(WITHDRAWN),
            deleted_at: Mutex::new(Some(Instant::now())),
        };
        *self.log_start.write() = Arc::new(start);
    }

    /// Whether a [successor](Self::successor) has taken the place of the log, so that nothing that was made of it is to be kept.
    pub fn is_withdrawn(&self) -> bool {
        self.log_start.read().start.load(Ordering::Acquire) == WITHDRAWN
    }
}

/// The start of a log that was withdrawn, which is behind all records.
const WITHDRAWN: Offset = Offset::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Record,
        partition::{LogDirectory, LogRead, PageBuilder, TopicPartition},
        position::LogTag,
    };

    #[test]
    fn a_successor_goes_on_at_the_end_and_what_was_before_is_dropped_from_every_cache() {
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        let old = PartitionLog::new(partition, LogTag::from_bits(1, 1), Encoding::default(), 10);
        let mut page = PageBuilder::of(&old, 10);
        let record = Record {
            timestamp: 7,
            epoch: 3,
            ..Record::bare(10, Some(b"{}"))
        };
        assert_eq!(page.push(&record), Ok(()));
        old.append(page.finish(12));
        let directory = LogDirectory::new();
        directory.put(Arc::clone(&old));
        directory.set_start(&old, 4);
        directory.take_deleted();

        let new = old.successor(old.encoding(), None);
        directory.put_successor(Arc::clone(&new));
        assert_eq!((new.next(), new.tail_start(), new.start()), (12, 12, 4));
        assert_eq!((new.end().epoch, new.end().timestamp), (Some(3), Some(7)));
        assert!(matches!(new.read(10), LogRead::Below), "its records are history");
        assert!(old.is_replaced() && old.bytes() == 0);
        // An answer that was on its way does not make its records count again.
        directory.set_start(&old, 5);
        let dropped = directory.take_deleted();
        assert!(dropped.len() == 1 && Arc::ptr_eq(&dropped[0], &old));
        assert_eq!(old.start(), WITHDRAWN);
        directory.set_start(&new, 6);
        assert_eq!(new.start(), 6);
        assert_eq!(directory.remove_topic("t").len(), 1);
        assert!(new.is_replaced() && directory.get("t", 0).is_none());
    }
}
