//! The directory over a model, and what clients read of it.

use std::{future::poll_fn, sync::Arc, time::Duration};

use riverhead::{
    client::ClientKey,
    event::Encoding,
    filter::Filter,
    partition::{LogDirectory, Page, PartitionLog, TopicPartition},
    position::{IdForm, Offset, decode},
    sse::{SseMessage, SseReader},
    subscription::{LogSource, StreamView, SubscribeRequest, Subscription},
};

use super::{LONGEST_ANSWER, LONGEST_PAUSE, Model, PAGE, Partition, StoredRecord, page};

/// The topic of the model.
pub const TOPIC: &str = "edits";

/// A directory over a model, updated as the supervisor and the tail do.
pub struct ModelFixture {
    pub model: Model,
    pub source: LogSource,
}

impl ModelFixture {
    /// Creates a topic with this many empty partitions, in the directory.
    pub fn new(partitions: usize) -> Self {
        let model = Model::default();
        let mut brokers = model.lock();
        brokers.cluster_id = "model".into();
        brokers.clock = 1_790_000_000_000;
        brokers
            .partitions
            .extend((0..partitions).map(|_| Partition::default()));
        drop(brokers);
        let source = LogSource {
            directory: LogDirectory::new(),
            history: Arc::new(model.clone()),
        };
        let fixture = Self { model, source };
        fixture.publish_all();
        fixture
    }

    /// Returns a subscription that begins at `id`.
    pub fn subscribe(&self, id: Option<&str>, form: IdForm) -> Subscription {
        Subscription::start(&self.source, self.request(id, form))
    }

    /// Returns a subscription that begins at `id`, to what this filter accepts.
    pub fn filtered(&self, id: Option<&str>, form: IdForm, filter: Option<&str>) -> SubscribeRequest {
        let filter = filter.map(|text| Filter::parse(text).expect("a filter"));
        let mut request = self.request(id, form);
        request.view.filter = filter;
        request
    }

    /// Returns a request that begins at `id`, or with new records.
    pub fn request(&self, id: Option<&str>, form: IdForm) -> SubscribeRequest {
        SubscribeRequest {
            topics: [TOPIC].into(),
            position: id.map(|id| decode(id.as_bytes()).expect("an id")),
            ranges: None,
            since: None,
            view: view(form),
            client: ClientKey::of([127, 0, 0, 1].into()),
            now: self.model.lock().clock,
        }
    }

    /// Publishes a log as the supervisor does: it begins at its end, or at its start if it is new to
    /// riverhead.
    pub fn publish(&self, partition: usize, next: Offset) {
        let brokers = self.model.lock();
        let name = TopicPartition {
            topic: TOPIC.into(),
            partition: partition as i32,
        };
        let log = PartitionLog::new(name, brokers.tag(), Encoding::default(), next);
        drop(brokers);
        self.source.directory.put(log);
    }

    pub fn publish_all(&self) {
        let count = self.model.lock().partitions.len();
        self.source
            .directory
            .set_partition_count(&TOPIC.into(), count as i32);
        for partition in 0..count {
            let start = self.model.lock().partitions[partition].start;
            self.publish(partition, start);
        }
    }

    /// Writes this many records, which the tail reads at once.
    pub fn write(&self, partition: usize, records: usize) {
        self.model.lock().produce(partition, records);
        self.tail(partition);
    }

    pub fn tail(&self, partition: usize) {
        let log = self.source.directory.get(TOPIC, partition as i32).unwrap();
        let brokers = self.model.lock();
        let model = &brokers.partitions[partition];
        let ahead = model.damaged.iter().filter(|range| range.end > log.next());
        for range in ahead.cloned().collect::<Vec<_>>() {
            if range.start > log.next() {
                log.append(page(model, log.next(), range.start, log.encoding()));
            }
            log.append(Page::unreadable(log.next()..range.end));
        }
        let end = model.end.max(log.next());
        let page = page(model, log.next(), end, log.encoding());
        drop(brokers);
        if !page.events().is_empty() {
            log.append(page);
        }
    }

    /// Damages this many of the next offsets on disk, before any client has read them.
    pub fn damage(&self, partition: usize, offsets: Offset) {
        let mut brokers = self.model.lock();
        let model = &mut brokers.partitions[partition];
        let range = model.end..model.end + offsets;
        model.end = range.end;
        match model.damaged.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => model.damaged.push(range),
        }
    }

    pub fn expire(&self, partition: usize, percent: usize) {
        let mut brokers = self.model.lock();
        let p = &mut brokers.partitions[partition];
        p.start += (p.end - p.start) * percent as i64 / 100;
        let start = p.start;
        let deleted = p.records.extract_if(.., |record| record.offset < start);
        let deleted: Vec<_> = deleted.map(|record| record.n).collect();
        brokers.deleted.extend(deleted);
        drop(brokers);
        // The next fetch shows it.
        let log = self.source.directory.get(TOPIC, partition as i32).unwrap();
        self.source.directory.set_start(&log, start);
        self.catch_up_if_expired(partition);
    }

    /// If the tail's position has expired, makes the tail continue at the start.
    pub fn catch_up_if_expired(&self, partition: usize) {
        let start = self.model.lock().partitions[partition].start;
        if self.source.directory.get(TOPIC, partition as i32).unwrap().next() < start {
            self.publish(partition, start);
        }
    }

    pub fn truncate(&self, partition: usize, keep_percent: usize, records: usize) {
        let mut brokers = self.model.lock();
        let p = &mut brokers.partitions[partition];
        let end = p.start + (p.end - p.start) * keep_percent as i64 / 100;
        p.records.retain(|record| record.offset < end);
        p.damaged.retain_mut(|range| {
            range.end = range.end.min(end);
            !range.is_empty()
        });
        p.end = end;
        p.epoch += 2;
        brokers.produce(partition, records);
        let end = brokers.partitions[partition].end;
        drop(brokers);
        self.publish(partition, end);
    }

    pub fn recreate(&self, records: usize) {
        let mut brokers = self.model.lock();
        brokers.topic_id += 1;
        let count = brokers.partitions.len();
        brokers.partitions = (0..count).map(|_| Partition::default()).collect();
        (0..count).for_each(|partition| brokers.produce(partition, records));
        drop(brokers);
        self.publish_all();
    }

    /// Moves to another cluster with the same records at offsets that are higher by `shift`: the old logs end
    /// first, and the tails begin at the new ends.
    pub fn fail_over(&self, shift: Offset) {
        self.source.directory.remove_logs(TOPIC);
        let mut brokers = self.model.lock();
        brokers.cluster_id.push('\'');
        for partition in &mut brokers.partitions {
            partition.start += shift;
            partition.end += shift;
            partition.epoch = 0;
            // The other cluster has another disk.
            partition.damaged.clear();
            for record in &mut partition.records {
                record.offset += shift;
                record.epoch = 0;
            }
        }
        let count = brokers.partitions.len();
        drop(brokers);
        (0..count).for_each(|partition| self.tail_lags(partition));
    }

    pub fn add_partition(&self) {
        let mut brokers = self.model.lock();
        brokers.partitions.push(Partition::default());
        let partition = brokers.partitions.len() - 1;
        brokers.produce(partition, 5);
        drop(brokers);
        self.source
            .directory
            .set_partition_count(&TOPIC.into(), partition as i32 + 1);
        self.publish(partition, 0);
    }

    /// Returns how long a client may receive nothing although there is an event for it. Each page before that
    /// event may contain invisible records only, and the merge passes them one page at a time.
    pub fn longest_silence(&self) -> Duration {
        let brokers = self.model.lock();
        let pages = brokers
            .partitions
            .iter()
            .map(|partition| (partition.end - partition.start) / PAGE + 2);
        LONGEST_PAUSE + LONGEST_ANSWER * pages.sum::<Offset>() as u32
    }

    pub fn tail_lags(&self, partition: usize) {
        let end = self.model.lock().partitions[partition].end;
        self.publish(partition, end);
    }
}

/// Returns a view of all events but canaries, as plain Server-Sent Events.
pub fn view(form: IdForm) -> StreamView {
    StreamView {
        form,
        ..StreamView::default()
    }
}

/// Returns all events that a client receives, until nothing has arrived for longer than any pause in the model.
pub async fn all(subscription: &mut Subscription) -> Vec<SseMessage> {
    let mut reader = SseReader::new(1024 * 1024);
    let mut messages = Vec::new();
    loop {
        let batch = poll_fn(|context| subscription.poll_batch(context));
        let Ok(batch) = tokio::time::timeout(Duration::from_secs(20), batch).await else {
            return messages;
        };
        reader.push(&batch.bytes).unwrap();
        messages.extend(std::iter::from_fn(|| reader.next_message()));
    }
}

/// Writes a record for each of these times, which the tail reads; -1 for no time.
pub fn write(fixture: &ModelFixture, partition: usize, times: &[i64]) {
    let mut brokers = fixture.model.lock();
    for time in times {
        brokers.n += 1;
        let n = brokers.n;
        let partition = &mut brokers.partitions[partition];
        partition.records.push(StoredRecord {
            offset: partition.end,
            epoch: partition.epoch,
            time: *time,
            n,
            canary: false,
            tombstone: false,
        });
        partition.end += 1;
    }
    drop(brokers);
    fixture.tail(partition);
}
