//! A model of a cluster in plain vectors, and the directory over it.

mod fixture;

pub use fixture::{ModelFixture, TOPIC, all, view, write};

use std::{
    collections::HashSet,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures_util::future::BoxFuture;
use riverhead::{
    client::ClientKey,
    event::{Encoding, Headers, Record},
    partition::{Bounds, History, HistoryError, Page, PageBuilder, PartitionLog},
    position::{Epoch, LogTag, Offset, Timestamp},
};

#[derive(Clone, Debug)]
pub struct StoredRecord {
    pub offset: Offset,
    pub epoch: Epoch,
    pub time: Timestamp,
    pub n: u64,
    pub canary: bool,
    /// No client sees it, but every client passes its offset.
    pub tombstone: bool,
}

#[derive(Debug, Default)]
pub struct Partition {
    pub records: Vec<StoredRecord>,
    /// Offsets that the broker has and that cannot be read, in order.
    pub damaged: Vec<Range<Offset>>,
    pub start: Offset,
    pub end: Offset,
    pub epoch: Epoch,
    pub mute: bool,
}

#[derive(Debug, Default)]
pub struct ModelBrokers {
    pub cluster_id: String,
    pub topic_id: u8,
    pub partitions: Vec<Partition>,
    /// The last number written.
    pub n: u64,
    /// The number of requests so far.
    questions: u64,
    pub clock: Timestamp,
    /// With `Some(n)`, every n-th record is a canary.
    pub canary_every: Option<u64>,
    /// Whether new records are tombstones.
    pub quiet: bool,
    /// The numbers of deleted records, which must not be delivered any more.
    pub deleted: HashSet<u64>,
}

/// The brokers as [`History`].
#[derive(Clone, Default)]
pub struct Model(Arc<Mutex<ModelBrokers>>);

impl ModelBrokers {
    pub fn produce(&mut self, partition: usize, records: usize) {
        for index in 0..records {
            self.n += 1;
            self.clock += i64::from(index % 3 == 0);
            let p = &mut self.partitions[partition];
            p.records.push(StoredRecord {
                tombstone: self.quiet,
                offset: p.end,
                epoch: p.epoch,
                time: self.clock,
                n: self.n,
                canary: self
                    .canary_every
                    .is_some_and(|every| self.n.is_multiple_of(every)),
            });
            // Now and then a transaction marker takes an offset.
            p.end += if self.n.is_multiple_of(17) { 2 } else { 1 };
        }
    }

    /// Returns how long an answer takes now, in sixths of the longest time. It depends on requests and
    /// records only, so that a schedule that failed fails again, whatever a page costs in memory by then.
    fn pause(&mut self) -> u32 {
        self.questions += 1;
        ((self.n + self.questions) % 7) as u32
    }

    pub fn tag(&self) -> LogTag {
        LogTag::new(&self.cluster_id, &[self.topic_id; 16])
    }
}

impl Model {
    pub fn lock(&self) -> MutexGuard<'_, ModelBrokers> {
        self.0.lock().unwrap()
    }

    /// Answers after a time that differs from request to request.
    fn answer<T: Send + 'static>(
        &self,
        log: &Arc<PartitionLog>,
        answer: impl FnOnce(&Partition) -> Result<T, HistoryError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, HistoryError>> {
        let (model, log) = (self.clone(), log.clone());
        Box::pin(async move {
            let pause = model.lock().pause();
            if pause > 2 {
                tokio::time::sleep(LONGEST_ANSWER / 6 * pause).await;
            }
            let brokers = model.lock();
            let partition = &brokers.partitions[log.partition().partition as usize];
            if log.is_replaced() || log.tag() != brokers.tag() {
                return Err(HistoryError::Replaced);
            }
            if partition.mute {
                return Err(HistoryError::Unavailable);
            }
            answer(partition)
        })
    }
}

impl Model {
    /// Answers at once, as from memory, about every other time.
    fn at_hand<T>(
        &self,
        log: &PartitionLog,
        answer: impl FnOnce(&Partition) -> Result<T, HistoryError>,
    ) -> Option<T> {
        let brokers = self.lock();
        let partition = &brokers.partitions[log.partition().partition as usize];
        let is_there = (brokers.n + brokers.questions).is_multiple_of(2);
        let is_current = !log.is_replaced() && log.tag() == brokers.tag();
        (is_there && is_current).then(|| answer(partition).ok()).flatten()
    }
}

/// The records of a page of the model: few, so that schedules cross many edges.
const PAGE: Offset = 8;

/// The longest time of an answer.
const LONGEST_ANSWER: Duration = Duration::from_millis(240);

/// Longer than a client waits between requests.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

impl History for Model {
    fn page(
        &self,
        log: &Arc<PartitionLog>,
        offset: Offset,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        let encoding = log.encoding();
        self.answer(log, move |partition| page_at(partition, offset, encoding))
    }

    fn page_at_hand(&self, log: &Arc<PartitionLog>, offset: Offset) -> Option<Arc<Page>> {
        let page = self.at_hand(log, |partition| page_at(partition, offset, log.encoding()));
        // A page that ends at the offset is never at hand.
        page.filter(|page| page.range().contains(&offset))
    }

    fn bounds(&self, log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        self.answer(log, |partition| {
            Ok(Bounds {
                start: partition.start,
                end: partition.end,
                epoch: Some(partition.epoch),
            })
        })
    }

    fn first_at(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
        _client: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        self.answer(log, move |partition| Ok(first_at(partition, time)))
    }

    fn first_at_hand(&self, log: &Arc<PartitionLog>, time: Timestamp) -> Option<Offset> {
        self.at_hand(log, |partition| Ok(first_at(partition, time)))?
    }
}

fn first_at(partition: &Partition, time: Timestamp) -> Option<Offset> {
    let mut records = partition.records.iter();
    let first = records.find(|record| record.time >= time);
    first.map(|record| record.offset)
}

fn page_at(partition: &Partition, offset: Offset, encoding: Encoding) -> Result<Arc<Page>, HistoryError> {
    if offset < partition.start || offset > partition.end {
        return Err(HistoryError::OutOfRange);
    }
    if let Some(range) = partition.damaged.iter().find(|range| range.contains(&offset)) {
        return Ok(Arc::new(Page::unreadable(range.clone())));
    }
    let behind = partition.damaged.iter().rfind(|range| range.end <= offset);
    let before = partition.damaged.iter().find(|range| range.start > offset);
    let start = (offset / PAGE * PAGE).max(partition.start);
    let end = (offset / PAGE * PAGE + PAGE).min(partition.end);
    let start = behind.map_or(start, |range| start.max(range.end));
    let end = before.map_or(end, |range| end.min(range.start));
    Ok(Arc::new(page(partition, start, end, encoding)))
}

fn page(partition: &Partition, start: Offset, end: Offset, encoding: Encoding) -> Page {
    let mut page = PageBuilder::new(start, encoding);
    for stored in partition
        .records
        .iter()
        .filter(|stored| (start..end).contains(&stored.offset))
    {
        let value = format!(r#"{{"n":{}}}"#, stored.n);
        let record = Record {
            offset: stored.offset,
            timestamp: stored.time,
            epoch: stored.epoch,
            key: None,
            headers: Headers::default(),
            value: (!stored.tombstone).then_some(value.as_bytes()),
            canary: stored.canary,
        };
        page.push(&record).unwrap();
    }
    page.finish(end)
}

/// Returns the number of a record, which is in its value.
pub fn number(data: &str) -> u64 {
    let value: serde_json::Value = serde_json::from_str(data).unwrap();
    value["n"].as_u64().unwrap()
}
