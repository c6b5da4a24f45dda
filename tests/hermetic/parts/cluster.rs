//! Topics in plain vectors, and the directory over them. Streams share the topics.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use futures_util::future::{BoxFuture, ready};
use riverhead::{
    catalog::{Catalog, RecordRules, RedactRule, Stream},
    client::ClientKey,
    encoding::Payload,
    event::{Encoding, Headers, Record, Transform},
    partition::{
        Bounds, History, HistoryError, LogDirectory, Page, PageBuilder, PartitionLog, TopicPartition,
    },
    position::{LogTag, Offset, Timestamp},
    redaction::Redaction,
    subscription::LogSource,
};

/// The topics. Their names differ in length, and so do the shares of their partitions.
pub(super) const TOPICS: [&str; 3] = ["a", "eqiad.edits", "codfw.page-create"];

/// A topic that no cluster has.
const FURTHER: &str = "further";

/// Each stream with the indexes of its topics.
pub(super) const STREAMS: [(&str, &[usize]); 3] =
    [("left", &[0, 1]), ("right", &[1, 2]), ("all", &[0, 1, 2])];

/// A record, with a number of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredRecord {
    pub(super) topic: usize,
    pub(super) partition: i32,
    pub(super) offset: Offset,
    time: Timestamp,
    pub(super) n: u64,
}

#[derive(Default)]
struct Records {
    /// By topic and partition.
    partitions: BTreeMap<(usize, i32), Vec<StoredRecord>>,
    /// Where logs start from which records were deleted.
    starts: BTreeMap<(usize, i32), Offset>,
    /// In the order in which they were deleted.
    deleted: Vec<StoredRecord>,
    /// How each topic's events became redacted, or no longer, in that order.
    redactions: Vec<(usize, bool)>,
    n: u64,
}

/// The brokers as [`History`].
#[derive(Clone, Default)]
struct Brokers(Arc<Mutex<Records>>);

/// The cluster.
pub(super) struct Cluster {
    brokers: Brokers,
    pub(super) source: LogSource,
}

impl StoredRecord {
    /// Returns the value, as it is or as it is redacted.
    pub(super) fn value(&self, is_redacted: bool) -> String {
        let Self {
            topic, partition, n, ..
        } = self;
        let (topic, x) = (TOPICS[*topic], self.x(is_redacted));
        format!(r#"{{"t":"{topic}", "p":{partition},"n":{n},"m":{{"n":{n},"x":{x}}}}}"#)
    }

    /// Returns the value of `m.x`.
    pub(super) fn x(&self, is_redacted: bool) -> String {
        match is_redacted {
            true => format!(r#"[{{"y":{}.0}},{{}}]"#, self.n),
            false => format!(r#"[{{"y":{}.0,"z":"\u00e9"}},{{"z":1}}]"#, self.n),
        }
    }
}

/// Returns the rules of a topic whose events are redacted.
fn redaction() -> Arc<dyn Transform> {
    let remove = RedactRule {
        remove: vec!["m.x.z".into()],
        ..RedactRule::default()
    };
    let rules = RecordRules {
        redact: vec![remove],
        ..RecordRules::default()
    };
    Arc::new(Redaction::compile(&rules, Payload::Json).unwrap())
}

impl Records {
    /// Returns where a log starts, and its records.
    fn of_log(&self, log: &PartitionLog) -> (Offset, Vec<StoredRecord>) {
        let TopicPartition { topic, partition } = log.partition();
        let topic = TOPICS.iter().position(|own| **own == **topic).unwrap();
        let key = (topic, *partition);
        let start = self.starts.get(&key).copied().unwrap_or(0);
        (start, self.partitions.get(&key).cloned().unwrap_or_default())
    }
}

fn end_of(records: &[StoredRecord]) -> Offset {
    records.last().map_or(0, |last| last.offset + 1)
}

fn page(log: &PartitionLog, start: Offset, records: impl Iterator<Item = StoredRecord>, end: Offset) -> Page {
    let mut page = PageBuilder::of(log, start);
    for stored in records {
        let value = stored.value(false);
        let record = Record {
            offset: stored.offset,
            timestamp: stored.time,
            epoch: 3,
            key: None,
            headers: Headers::default(),
            value: Some(value.as_bytes()),
            canary: false,
        };
        page.push(&record).unwrap();
    }
    page.finish(end)
}

impl Cluster {
    /// Creates the topics with these numbers of partitions, which are empty.
    pub(super) fn new(partitions: [i32; 3]) -> Self {
        let brokers = Brokers::default();
        let source = LogSource {
            directory: LogDirectory::new(),
            history: Arc::new(brokers.clone()),
        };
        let cluster = Self { brokers, source };
        cluster.source.directory.set_absent(&FURTHER.into());
        for (topic, count) in partitions.into_iter().enumerate() {
            cluster.source.directory.set_absent(&TOPICS[topic].into());
            (0..count).for_each(|_| cluster.add_partition(topic));
        }
        cluster
    }

    pub(super) fn catalog() -> Catalog {
        Self::catalog_with(false)
    }

    /// Returns the streams, each with a further topic that does not exist, or that it has had.
    pub(super) fn catalog_with(further: bool) -> Catalog {
        let streams = STREAMS.map(|(name, indexes)| {
            let further = further.then_some(FURTHER);
            let topics = indexes.iter().map(|index| TOPICS[*index]).chain(further);
            let mut stream = Stream::new(name, topics);
            if further.is_none() {
                stream.former_topics.push(FURTHER.into());
            }
            stream
        });
        Catalog::new(streams.into()).unwrap()
    }

    pub(super) fn count(&self, topic: usize) -> i32 {
        let count = self.source.directory.partitions(TOPICS[topic]);
        count.unwrap_or(0)
    }

    pub(super) fn add_partition(&self, topic: usize) {
        let (name, partition): (Arc<str>, i32) = (TOPICS[topic].into(), self.count(topic));
        self.source.directory.set_partition_count(&name, partition + 1);
        let tag = LogTag::new("cluster", &[topic as u8; 16]);
        let partition = TopicPartition {
            topic: name,
            partition,
        };
        let transform = self.is_redacted(topic).then(redaction);
        let log = PartitionLog::with_transform(partition, tag, Encoding::default(), transform, 0);
        log.set_leader_epoch(Some(3));
        self.source.directory.put(log);
    }

    /// Writes this many records, which the tail reads at once.
    pub(super) fn write(&self, topic: usize, partition: i32, count: usize) {
        let log = self.source.directory.get(TOPICS[topic], partition).unwrap();
        let mut brokers = self.brokers.0.lock().unwrap();
        let mut new = Vec::new();
        for _ in 0..count {
            brokers.n += 1;
            let n = brokers.n;
            let records = brokers.partitions.entry((topic, partition)).or_default();
            let record = StoredRecord {
                topic,
                partition,
                // Now and then a transaction marker takes an offset.
                offset: end_of(records) + i64::from(n.is_multiple_of(5)),
                time: 1_790_000_000_000 + n as i64,
                n,
            };
            records.push(record);
            new.push(record);
        }
        drop(brokers);
        let end = end_of(&new);
        log.append(page(&log, log.next(), new.into_iter(), end));
    }

    /// Drops the oldest pages of all partitions from memory.
    pub(super) fn evict(&self) {
        for log in self.source.directory.all() {
            log.evict_oldest();
        }
    }

    /// Deletes this percentage of a log, from its start on. Less than all.
    pub(super) fn delete(&self, topic: usize, partition: i32, percent: usize) {
        let Some(log) = self.source.directory.get(TOPICS[topic], partition) else {
            return;
        };
        let mut brokers = self.brokers.0.lock().unwrap();
        let key = (topic, partition);
        let records = brokers.partitions.entry(key).or_default();
        let gone: Vec<_> = records.drain(..records.len() * percent / 100).collect();
        let Some(last) = gone.last() else { return };
        let start = last.offset + 1;
        brokers.starts.insert(key, start);
        brokers.deleted.extend(gone);
        drop(brokers);
        self.source.directory.set_start(&log, start);
    }

    /// Changes what the events of a topic are, as a reload does.
    pub(super) fn redact(&self, topic: usize, is_redacted: bool) {
        if self.is_redacted(topic) == is_redacted {
            return;
        }
        self.brokers
            .0
            .lock()
            .unwrap()
            .redactions
            .push((topic, is_redacted));
        let directory = &self.source.directory;
        for partition in 0..self.count(topic) {
            let log = directory.get(TOPICS[topic], partition).unwrap();
            let transform = is_redacted.then(redaction);
            directory.put_successor(log.successor(log.encoding(), transform));
        }
    }

    fn is_redacted(&self, topic: usize) -> bool {
        let brokers = self.brokers.0.lock().unwrap();
        let last = brokers.redactions.iter().rfind(|(of, _)| *of == topic);
        last.is_some_and(|(_, is_redacted)| *is_redacted)
    }

    pub(super) fn count_redactions(&self) -> usize {
        self.brokers.0.lock().unwrap().redactions.len()
    }

    /// Returns whether events of a topic may be redacted, or not, for a connection that was opened after so many changes of that.
    pub(super) fn may_be(&self, topic: usize, is_redacted: bool, changes: usize) -> bool {
        let brokers = self.brokers.0.lock().unwrap();
        let of_topic = |(of, state): &(usize, bool)| (*of == topic).then_some(*state);
        let before = brokers.redactions[..changes].iter().rev().find_map(of_topic);
        let since = brokers.redactions[changes..].iter().filter_map(of_topic);
        since
            .chain([before.unwrap_or(false)])
            .any(|state| state == is_redacted)
    }

    /// Returns the records that were deleted, in that order, without so many of the first.
    pub(super) fn deleted(&self, without: usize) -> Vec<StoredRecord> {
        self.brokers.0.lock().unwrap().deleted[without..].to_vec()
    }

    pub(super) fn count_deleted(&self) -> usize {
        self.brokers.0.lock().unwrap().deleted.len()
    }

    /// Returns all records of these topics.
    pub(super) fn records(&self, topics: &[usize]) -> Vec<StoredRecord> {
        let brokers = self.brokers.0.lock().unwrap();
        let records = brokers.partitions.values().flatten();
        records
            .filter(|record| topics.contains(&record.topic))
            .copied()
            .collect()
    }
}

impl History for Brokers {
    fn page(
        &self,
        log: &Arc<PartitionLog>,
        offset: Offset,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        let (log_start, records) = self.0.lock().unwrap().of_log(log);
        let (aligned, last) = (offset / 8 * 8, end_of(&records));
        let (start, end) = (aligned.max(log_start), (aligned + 8).min(last));
        let within = records
            .into_iter()
            .filter(move |record| (start..end).contains(&record.offset));
        Box::pin(ready(match offset {
            _ if !(log_start..=last).contains(&offset) => Err(HistoryError::OutOfRange),
            _ => Ok(Arc::new(page(log, start, within, end))),
        }))
    }

    fn bounds(&self, log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        let (start, records) = self.0.lock().unwrap().of_log(log);
        let end = end_of(&records);
        Box::pin(ready(Ok(Bounds {
            start,
            end,
            epoch: Some(3),
        })))
    }

    fn first_at(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        let (_, records) = self.0.lock().unwrap().of_log(log);
        let first = records.into_iter().find(|record| record.time >= time);
        Box::pin(ready(Ok(first.map(|record| record.offset))))
    }
}
