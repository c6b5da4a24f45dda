//! What the logs held, as a plain consumer read it, and what the nemesis did to them.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    time::Duration,
};

/// A partition of one of the topics, which are known by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Partition {
    pub(super) topic: usize,
    pub(super) number: i32,
}

/// Where a record is, or was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordPosition {
    pub(super) partition: Partition,
    /// How often the topic had been created again by then.
    pub(super) incarnation: u32,
    /// How often the log had been cut off by then.
    pub(super) era: u32,
    pub(super) offset: i64,
}

/// All logs there ever were.
#[derive(Debug, Default)]
pub(super) struct CommittedRecords {
    /// The newest of each partition; the topic's own number is in `incarnations`.
    logs: BTreeMap<(Partition, u32), PartitionRecords>,
    places: HashMap<u64, RecordPosition>,
    incarnations: HashMap<usize, u32>,
}

/// One incarnation of a partition.
#[derive(Debug)]
pub(super) struct PartitionRecords {
    eras: Vec<Era>,
    /// When the deletion of what is below these offsets began.
    deleted: Vec<(Duration, i64)>,
    /// Offsets that could not be read at some time.
    damaged: Vec<Range<i64>>,
}

/// What was written between two cuts.
#[derive(Debug, Default)]
struct Era {
    /// The end of the log after the cut that it began with.
    base: i64,
    /// Numbers by offset.
    records: BTreeMap<i64, u64>,
}

impl CommittedRecords {
    /// Where the record with this number is; `None` if nobody committed one.
    pub(super) fn find(&self, number: u64) -> Option<RecordPosition> {
        self.places.get(&number).copied()
    }

    /// The incarnation of a topic that there is now.
    pub(super) fn incarnation(&self, topic: usize) -> u32 {
        self.incarnations.get(&topic).copied().unwrap_or_default()
    }

    /// A log, if anything was ever read of it or done to it.
    pub(super) fn log(&self, partition: Partition, incarnation: u32) -> Option<&PartitionRecords> {
        self.logs.get(&(partition, incarnation))
    }

    /// The log of a partition that there is now.
    pub(super) fn newest(&self, partition: Partition) -> Option<&PartitionRecords> {
        self.log(partition, self.incarnation(partition.topic))
    }

    /// All partitions that the newest incarnations of these topics have records of.
    pub(super) fn partitions_of(&self, topics: &[usize]) -> impl Iterator<Item = Partition> {
        let newest = |(partition, incarnation): &&(Partition, u32)| {
            topics.contains(&partition.topic) && self.incarnation(partition.topic) == *incarnation
        };
        self.logs.keys().filter(newest).map(|(partition, _)| *partition)
    }

    /// Takes a record that a plain consumer read.
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

    /// From where on a plain consumer has to read.
    pub(super) fn next(&self, partition: Partition) -> i64 {
        self.newest(partition).map_or(0, PartitionRecords::next)
    }

    /// What is below this offset is being deleted.
    pub(super) fn delete(&mut self, partition: Partition, at: Duration, before: i64) {
        self.newest_mut(partition).deleted.push((at, before));
    }

    /// These offsets cannot be read, for a while at least.
    pub(super) fn damage(&mut self, partition: Partition, offsets: Range<i64>) {
        self.newest_mut(partition).damaged.push(offsets);
    }

    /// An unclean election has cut the log off at this offset.
    pub(super) fn cut(&mut self, partition: Partition, end: i64) {
        let era = Era {
            base: end,
            ..Era::default()
        };
        self.newest_mut(partition).eras.push(era);
    }

    /// The topic is deleted; one that comes under its name is another one.
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
    /// The era that records are added to.
    pub(super) fn era(&self) -> u32 {
        self.eras.len() as u32 - 1
    }

    /// The offset below which everything was deleted by then.
    pub(super) fn deleted_by(&self, at: Duration) -> i64 {
        let begun = self.deleted.iter().filter(|(began, _)| *began <= at);
        begun.map(|(_, before)| *before).max().unwrap_or_default()
    }

    /// The same, by now.
    pub(super) fn start(&self) -> i64 {
        self.deleted_by(Duration::MAX)
    }

    /// Whether nobody can be expected to have read these offsets.
    pub(super) fn is_damaged(&self, from: i64, to: i64) -> bool {
        self.damaged.iter().any(|it| it.start <= from && to <= it.end)
    }

    /// The newest era that has this offset.
    pub(super) fn era_at(&self, offset: i64) -> u32 {
        let found = self.eras.iter().rposition(|era| era.base <= offset);
        found.unwrap_or_default() as u32
    }

    /// The first era behind this one that goes on at an offset which a client was told to go on at.
    pub(super) fn era_from(&self, behind: u32, offset: i64) -> Option<u32> {
        let later = || (0..).zip(&self.eras).filter(move |(era, _)| *era > behind);
        let exact = later().find(|(_, era)| era.base == offset);
        let found = exact.or_else(|| later().filter(|(_, era)| era.base <= offset).last());
        found.map(|(era, _)| era)
    }

    /// The first record that somebody wants on the way from one place, an era and an offset, to another, which is excluded, or to
    /// the end if there is none.
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

    /// One past the last record.
    fn next(&self) -> i64 {
        let newest = self.eras.last();
        let last = newest.and_then(|era| era.records.last_key_value());
        let base = newest.map_or(0, |era| era.base);
        last.map_or(base, |(offset, _)| offset + 1).max(self.start())
    }

    /// False if it was there before the cut already: it was not cut off then.
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
            "what was cut off is nobody's"
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
