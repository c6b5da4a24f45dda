//! The contents of the logs, as a plain consumer read them, and what the nemesis did to them.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    time::Duration,
};

/// A partition of one of the topics, which are identified by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Partition {
    pub(super) topic: usize,
    pub(super) number: i32,
}

/// The place of a record, in the past or now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordPosition {
    pub(super) partition: Partition,
    /// How often the topic had been recreated by then.
    pub(super) incarnation: u32,
    /// How often the log had been truncated by then.
    pub(super) era: u32,
    pub(super) offset: i64,
}

/// All logs that ever existed.
#[derive(Debug, Default)]
pub(super) struct CommittedRecords {
    /// By partition and incarnation. The newest incarnation of each topic is in `incarnations`.
    logs: BTreeMap<(Partition, u32), PartitionRecords>,
    places: HashMap<u64, RecordPosition>,
    incarnations: HashMap<usize, u32>,
}

/// One incarnation of a partition.
#[derive(Debug)]
pub(super) struct PartitionRecords {
    eras: Vec<Era>,
    /// When the deletion of records below these offsets began.
    deleted: Vec<(Duration, i64)>,
    /// Offsets that could not be read at some time.
    damaged: Vec<Range<i64>>,
}

/// The records written between two truncations.
#[derive(Debug, Default)]
struct Era {
    /// The end of the log after the truncation that began this era.
    base: i64,
    /// The numbers by offset.
    records: BTreeMap<i64, u64>,
}

impl CommittedRecords {
    /// Returns the place of the record with this number; `None` if none was committed.
    pub(super) fn find(&self, number: u64) -> Option<RecordPosition> {
        self.places.get(&number).copied()
    }

    /// Returns the current incarnation of a topic.
    pub(super) fn incarnation(&self, topic: usize) -> u32 {
        self.incarnations.get(&topic).copied().unwrap_or_default()
    }

    /// Returns a log, if anything was ever read from it or done to it.
    pub(super) fn log(&self, partition: Partition, incarnation: u32) -> Option<&PartitionRecords> {
        self.logs.get(&(partition, incarnation))
    }

    /// Returns the current log of a partition.
    pub(super) fn newest(&self, partition: Partition) -> Option<&PartitionRecords> {
        self.log(partition, self.incarnation(partition.topic))
    }

    /// Returns all partitions of these topics of whose newest incarnation there are records.
    pub(super) fn partitions_of(&self, topics: &[usize]) -> impl Iterator<Item = Partition> {
        let newest = |(partition, incarnation): &&(Partition, u32)| {
            topics.contains(&partition.topic) && self.incarnation(partition.topic) == *incarnation
        };
        self.logs.keys().filter(newest).map(|(partition, _)| *partition)
    }

    /// Adds a record that a plain consumer read.
    pub(super) fn add(&mut self, partition: Partition, offset: i64, number: u64) {
        let incarnation = self.incarnation(partition.topic);
        let log = self.logs.entry((partition, incarnation)).or_default();
        if !log.add(offset, number) {
            return;
        }
        let place = RecordPosition {
            partition,
            incarnation,
            era: log.era(),
            offset,
        };
        self.places.insert(number, place);
    }

    /// Returns the offset from which a plain consumer has to read on.
    pub(super) fn next(&self, partition: Partition) -> i64 {
        self.newest(partition).map_or(0, PartitionRecords::next)
    }

    /// Records that records below this offset are being deleted.
    pub(super) fn delete(&mut self, partition: Partition, at: Duration, before: i64) {
        self.newest_mut(partition).deleted.push((at, before));
    }

    /// Records that these offsets cannot be read, at least for a time.
    pub(super) fn damage(&mut self, partition: Partition, offsets: Range<i64>) {
        self.newest_mut(partition).damaged.push(offsets);
    }

    /// Records that an unclean election has truncated the log at this offset.
    pub(super) fn cut(&mut self, partition: Partition, end: i64) {
        let era = Era {
            base: end,
            ..Era::default()
        };
        self.newest_mut(partition).eras.push(era);
    }

    /// Records that the topic is deleted. A later topic of its name is a new incarnation.
    pub(super) fn recreate(&mut self, topic: usize) {
        *self.incarnations.entry(topic).or_default() += 1;
    }

    fn newest_mut(&mut self, partition: Partition) -> &mut PartitionRecords {
        let incarnation = self.incarnation(partition.topic);
        self.logs.entry((partition, incarnation)).or_default()
    }
}

impl Default for PartitionRecords {
    fn default() -> Self {
        Self {
            eras: vec![Era::default()],
            deleted: Vec::new(),
            damaged: Vec::new(),
        }
    }
}

impl PartitionRecords {
    /// Returns the era that records are added to.
    pub(super) fn era(&self) -> u32 {
        self.eras.len() as u32 - 1
    }

    /// Returns the offset below which everything was deleted at this time.
    pub(super) fn deleted_by(&self, at: Duration) -> i64 {
        let begun = self.deleted.iter().filter(|(began, _)| *began <= at);
        begun.map(|(_, before)| *before).max().unwrap_or_default()
    }

    /// Returns the offset below which everything is deleted now.
    pub(super) fn start(&self) -> i64 {
        self.deleted_by(Duration::MAX)
    }

    /// Returns whether some of these offsets were unreadable, so that they cannot be expected.
    pub(super) fn is_damaged(&self, from: i64, to: i64) -> bool {
        self.damaged.iter().any(|it| it.start <= from && to <= it.end)
    }

    /// Returns the newest era that has this offset.
    pub(super) fn era_at(&self, offset: i64) -> u32 {
        let found = self.eras.iter().rposition(|era| era.base <= offset);
        found.unwrap_or_default() as u32
    }

    /// Returns the first era after this one that continues at the offset that a gap names.
    pub(super) fn era_from(&self, behind: u32, offset: i64) -> Option<u32> {
        let later = || (0..).zip(&self.eras).filter(move |(era, _)| *era > behind);
        let exact = later().find(|(_, era)| era.base == offset);
        let found = exact.or_else(|| later().filter(|(_, era)| era.base <= offset).last());
        found.map(|(era, _)| era)
    }

    /// Returns the first requested record between one place, an era and an offset, and another one, which is
    /// excluded, or the end.
    pub(super) fn first_between(
        &self,
        (from_era, from): (u32, i64),
        to: Option<(u32, i64)>,
        wants: impl Fn(i64, u64) -> bool,
    ) -> Option<(i64, u64)> {
        let (to_era, to) = to.unwrap_or((self.era(), i64::MAX));
        let eras = self.eras.get(from_era as usize..=to_era as usize)?;
        eras.iter().enumerate().find_map(|(index, era)| {
            let low = if index == 0 { from } else { era.base };
            let cut = eras[index + 1..].iter().map(|later| later.base).min();
            let last = index + 1 == eras.len();
            let high = if last { to } else { cut.unwrap_or(to) };
            if low >= high {
                return None;
            }
            let mut records = era.records.range(low..high);
            let found = records.find(|(offset, number)| wants(**offset, **number))?;
            Some((*found.0, *found.1))
        })
    }

    /// Returns the offset after the last record.
    fn next(&self) -> i64 {
        let newest = self.eras.last();
        let last = newest.and_then(|era| era.records.last_key_value());
        let base = newest.map_or(0, |era| era.base);
        last.map_or(base, |(offset, _)| offset + 1).max(self.start())
    }

    /// Adds a record. Returns false if it was there before the truncation, so that it was not lost.
    fn add(&mut self, offset: i64, number: u64) -> bool {
        let Some((newest, before)) = self.eras.split_last_mut() else {
            return false;
        };
        let survived =
            newest.records.is_empty() && before.iter().any(|era| era.records.get(&offset) == Some(&number));
        if survived {
            newest.base = offset + 1;
        } else {
            newest.records.insert(offset, number);
        }
        !survived
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: Partition = Partition { topic: 0, number: 0 };

    fn cut_twice() -> CommittedRecords {
        let mut truth = CommittedRecords::default();
        (0..10).for_each(|offset| truth.add(PARTITION, offset, offset as u64));
        truth.cut(PARTITION, 6);
        (6..12).for_each(|offset| truth.add(PARTITION, offset, 100 + offset as u64));
        truth.cut(PARTITION, 8);
        truth.add(PARTITION, 8, 208);
        truth
    }

    fn between(truth: &CommittedRecords, from: (u32, i64), to: Option<(u32, i64)>) -> Option<u64> {
        let log = truth.newest(PARTITION).unwrap();
        log.first_between(from, to, |_, _| true).map(|(_, number)| number)
    }

    #[test]
    fn who_follows_a_log_over_cuts_comes_by_what_survived() {
        let truth = cut_twice();
        assert_eq!(between(&truth, (0, 5), Some((2, 8))), Some(5));
        assert_eq!(between(&truth, (0, 6), Some((1, 7))), Some(106));
        assert_eq!(
            between(&truth, (0, 6), Some((1, 6))),
            None,
            "truncated records are not expected"
        );
        assert_eq!(
            between(&truth, (0, 9), Some((1, 8))),
            Some(106),
            "was ahead of the cut"
        );
        assert_eq!(between(&truth, (1, 8), None), Some(208));
        assert_eq!(between(&truth, (2, 9), None), None);
    }

    #[test]
    fn a_place_that_a_client_is_told_of_is_found_in_its_era() {
        let truth = cut_twice();
        let log = truth.newest(PARTITION).unwrap();
        assert_eq!(log.era_from(0, 6), Some(1));
        assert_eq!(log.era_from(0, 8), Some(2));
        assert_eq!(log.era_from(1, 9), Some(2));
        assert_eq!(log.era_from(2, 9), None);
    }

    #[test]
    fn records_that_an_election_spared_are_where_they_were() {
        let mut truth = CommittedRecords::default();
        (0..4).for_each(|offset| truth.add(PARTITION, offset, offset as u64));
        truth.cut(PARTITION, 2);
        (2..4).for_each(|offset| truth.add(PARTITION, offset, offset as u64));
        truth.add(PARTITION, 4, 4);
        assert_eq!(truth.find(3).unwrap().era, 0);
        assert_eq!(truth.find(4).unwrap().era, 1);
        assert_eq!(between(&truth, (0, 4), Some((1, 4))), None);
    }
}
