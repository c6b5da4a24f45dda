//! Reads every partition of a cluster at its end, once for all clients, on one thread.

mod stuck;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use prometheus_client::metrics::counter::Counter;
use rdkafka::types::RDKafkaErrorCode;

use super::{SupervisorEvent, event::SessionNumber};
use crate::{
    event::{EncodeError, Record},
    health::{self, FaultSource},
    kafka::{
        client::{
            config::{PAGE_BYTES, PAGE_RECORDS},
            large_records::LargeRecords,
            raw::{ItemKind, KafkaQueue, KafkaReader, QueueWaker, TopicRef},
        },
        damage::{SearchOutcome, is_damage, is_implausible_offset},
        identity::cluster::WrongCluster,
        metrics::{RejectLabels, TopicLabels},
        shared::ClusterShared,
        shutdown_guard::ShutdownGuard,
        threads::{self, PanicHandler},
    },
    partition::{Page, PageBuilder, PartitionLog, TopicPartition, tail_records},
    position::{Epoch, Offset},
};
use stuck::StuckPartitions;

/// Tells the tail's thread what to read. Dropping it ends the thread.
pub(super) struct Tail {
    commands: mpsc::Sender<TailCommand>,
    waker: QueueWaker,
}

enum TailCommand {
    Start(Arc<PartitionLog>),
    Stop(TopicPartition),
}

impl Tail {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn spawn(
        reader: KafkaReader,
        queue: KafkaQueue,
        shared: ClusterShared,
        session: SessionNumber,
        events: mpsc::Sender<SupervisorEvent>,
        shutdown_guard: ShutdownGuard,
    ) -> io::Result<Self> {
        let (commands, inbox) = mpsc::channel();
        let waker = queue.waker();
        let worker = TailWorker {
            stuck: StuckPartitions::new(Arc::clone(&shared.damage), waker.clone()),
            checked_at: Instant::now(),
            reader,
            queue,
            slots: HashMap::new(),
            touched: Vec::new(),
            large: LargeRecords::default(),
            unflushed: 0,
            shared,
            session,
            events,
            last_reject_logged: None,
        };
        let (guard, events) = (
            PanicHandler::new(&worker.shared, threads::TAIL),
            worker.events.clone(),
        );
        thread::Builder::new()
            .name(threads::TAIL.to_owned())
            .spawn(move || {
                if guard.catch(|| worker.run(&inbox)).is_none() {
                    // What was read and not yet appended is read again by the next session.
                    let _ = events.send(SupervisorEvent::Panicked(session));
                }
                drop(shutdown_guard);
            })?;
        Ok(Self { commands, waker })
    }

    /// Reads on behind `log`'s end, into it.
    pub(super) fn start(&self, log: Arc<PartitionLog>) {
        self.send(TailCommand::Start(log));
    }

    /// Reads this partition no more.
    pub(super) fn stop(&self, partition: TopicPartition) {
        self.send(TailCommand::Stop(partition));
    }

    fn send(&self, command: TailCommand) {
        if self.commands.send(command).is_ok() {
            self.waker.wake();
        }
    }
}

struct TailWorker {
    reader: KafkaReader,
    queue: KafkaQueue,
    slots: HashMap<(TopicRef, i32), PartitionTail>,
    /// The slots that got records in this turn.
    touched: Vec<(TopicRef, i32)>,
    large: LargeRecords,
    /// Bytes of their values: they are in no ring yet, and in no budget.
    unflushed: usize,
    shared: ClusterShared,
    session: SessionNumber,
    events: mpsc::Sender<SupervisorEvent>,
    last_reject_logged: Option<Instant>,
    stuck: StuckPartitions,
    /// When it was last looked for partitions that stand still.
    checked_at: Instant,
}

/// One partition that is being read.
struct PartitionTail {
    log: Arc<PartitionLog>,
    /// When reading began.
    since: Instant,
    page: PageBuilder,
    epoch: Epoch,
    /// Nothing was read yet. librdkafka asks a new leader whether its log is the old one's, but only behind a record that it
    /// has read itself.
    unproven: bool,
    records: Counter,
    /// A record has shown that the broker sets the timestamps.
    is_log_append_time: bool,
    health: Option<Arc<health::PartitionHealth>>,
}

/// What became of an item.
enum ItemOutcome {
    Record,
    Rejected(Arc<PartitionLog>, Offset, EncodeError),
    /// The page is full, or epochs fell: hand on what there is, and look at the item again.
    PageFull,
    EpochFell(Arc<PartitionLog>, Offset),
    /// Another leader wrote it, and where reading began may have been cut off since.
    Unproven(Arc<PartitionLog>, Offset),
    Fault(Offset, RDKafkaErrorCode, String),
    /// Of a partition that is not read any more.
    Stray,
}

impl TailWorker {
    fn run(mut self, inbox: &mpsc::Receiver<TailCommand>) {
        while self.apply_commands(inbox) {
            #[cfg(test)]
            threads::panic_if_requested(&self.shared.cluster);
            self.reader.poll_events();
            self.queue.fill(Instant::now() + POLL_TIMEOUT);
            while self.take_item() {}
            self.flush();
            self.check_statistics(Instant::now());
            self.resume_searched(Instant::now());
        }
    }

    /// Looks at what the statistics tell of each partition. Each fetch tells where the log starts: what lies below that is served no
    /// more. And librdkafka may stand still at what it cannot read without a word: the broker answers, there is more, and it does not
    /// move.
    fn check_statistics(&mut self, now: Instant) {
        if now < self.checked_at + CHECK_EVERY {
            return;
        }
        self.checked_at = now;
        for slot in self.slots.values() {
            let log_start = slot
                .health
                .as_ref()
                .and_then(|cell| cell.start_told_since(slot.since));
            if let Some(start) = log_start {
                self.shared.directory.set_start(&slot.log, start);
            }
            let stuck = slot.health.as_ref().and_then(|cell| cell.stuck_for(now)) >= Some(STUCK);
            if stuck && !self.stuck.is_pending(slot.log.partition(), now) {
                self.stuck.add(&slot.log, slot.page.next(), None);
            }
        }
    }

    /// Reads a partition no more until it is known whether it can be. What its queue still has is not to be believed.
    fn suspend(&mut self, key: (TopicRef, i32), code: RDKafkaErrorCode) {
        self.flush();
        let Some(slot) = self.slots.remove(&key) else {
            return;
        };
        let TopicPartition { topic, partition } = slot.log.partition();
        self.reader.stop(topic, *partition);
        self.stuck.add(&slot.log, slot.page.next(), Some(code));
    }

    /// Reads on where it is known by now what can be read.
    fn resume_searched(&mut self, now: Instant) {
        for (log, outcome) in self.stuck.take_due(now) {
            if let SearchOutcome::Unreadable(range) = outcome {
                // What lies before it is a hole.
                log.append(PageBuilder::new(log.next(), log.encoding()).finish(range.start));
                log.append(Page::unreadable(log.next()..range.end));
                self.shared.record_success(log.partition(), FaultSource::Tail);
            }
            self.start(log);
        }
    }

    /// Does what was asked for; whether anybody can still ask. The queue has no item buffered here, so that nothing of a
    /// partition that is stopped comes out any more.
    fn apply_commands(&mut self, inbox: &mpsc::Receiver<TailCommand>) -> bool {
        loop {
            match inbox.try_recv() {
                Ok(TailCommand::Start(log)) => {
                    self.stuck.forget(log.partition());
                    self.start(log);
                }
                Ok(TailCommand::Stop(partition)) => {
                    self.stuck.forget(&partition);
                    self.stop(&partition);
                }
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn start(&mut self, log: Arc<PartitionLog>) {
        let TopicPartition { topic, partition } = log.partition().clone();
        self.stop(log.partition());
        let next = log.end().offset;
        match self.reader.start(&topic, partition, next, &self.queue) {
            Ok(id) => {
                let slot = self.slot(log, next);
                self.slots.insert((id, partition), slot);
            }
            Err(code) => self.report_lost(log, next, code, "cannot be started"),
        }
    }

    fn slot(&self, log: Arc<PartitionLog>, next: Offset) -> PartitionTail {
        let labels = TopicLabels {
            cluster: self.shared.cluster.to_string(),
            topic: log.partition().topic.to_string(),
        };
        PartitionTail {
            since: Instant::now(),
            page: PageBuilder::new(next, log.encoding()),
            epoch: log.end().epoch.or(log.leader_epoch()).unwrap_or(-1),
            unproven: next > 0,
            health: self
                .shared
                .health
                .partition(&log.partition().topic, log.partition().partition),
            log,
            records: self.shared.counters.records.get_or_create_owned(&labels),
            is_log_append_time: false,
        }
    }

    fn stop(&mut self, partition: &TopicPartition) {
        let old = self.slots.len();
        self.slots.retain(|_, slot| slot.log.partition() != partition);
        if self.slots.len() < old {
            self.reader.stop(&partition.topic, partition.partition);
        }
    }

    /// Handles the front item; whether there was one.
    fn take_item(&mut self) -> bool {
        let Some(item) = self.queue.front() else {
            return false;
        };
        let key = (item.topic, item.partition);
        if item.is_log_append_time
            && let Some(slot) = self.slots.get_mut(&key)
        {
            slot.note_log_append_time(&self.shared);
        }
        let size = match &item.kind {
            ItemKind::Record(record) => record.value.map_or(0, <[u8]>::len),
            _ => 0,
        };
        let outcome = match (self.slots.get_mut(&key), item.kind) {
            (None, _) => ItemOutcome::Stray,
            (Some(slot), ItemKind::Record(record)) => slot.push(&record),
            (Some(_), ItemKind::End(_)) => ItemOutcome::Stray,
            (Some(_), ItemKind::Fault { offset, code, reason }) => ItemOutcome::Fault(offset, code, reason),
        };
        if !matches!(outcome, ItemOutcome::PageFull) {
            self.queue.advance();
            if size > PAGE_BYTES {
                self.large.record(size, Instant::now());
            }
            self.unflushed += size;
        }
        self.apply(key, outcome);
        if self.unflushed >= MAX_UNFLUSHED {
            self.flush();
        }
        true
    }

    fn apply(&mut self, key: (TopicRef, i32), outcome: ItemOutcome) {
        match outcome {
            ItemOutcome::Record => self.touch(key),
            ItemOutcome::Rejected(log, offset, reject) => {
                self.touch(key);
                self.log_reject(&log, offset, reject);
            }
            ItemOutcome::PageFull => self.flush(),
            ItemOutcome::EpochFell(log, offset) => self.stop_lost(
                key,
                log,
                offset,
                RDKafkaErrorCode::FencedLeaderEpoch,
                "epochs fell",
            ),
            ItemOutcome::Unproven(log, offset) => self.stop_lost(
                key,
                log,
                offset,
                RDKafkaErrorCode::FencedLeaderEpoch,
                "it begins behind another leader",
            ),
            ItemOutcome::Fault(offset, code, reason) => self.handle_fault(key, offset, code, &reason),
            ItemOutcome::Stray => {}
        }
    }

    fn touch(&mut self, key: (TopicRef, i32)) {
        // Records come in runs of one partition.
        if self.touched.last() != Some(&key) {
            self.touched.push(key);
        }
    }

    /// Appends what this turn has read to the logs.
    fn flush(&mut self) {
        self.unflushed = 0;
        if self.touched.is_empty() {
            return;
        }
        if let Some(wrong_cluster) = self.reader.wrong_cluster() {
            return self.discard(wrong_cluster);
        }
        self.shared.status.record_read();
        for key in std::mem::take(&mut self.touched) {
            if let Some(slot) = self.slots.get_mut(&key) {
                slot.flush();
                if !self.stuck.is_empty() {
                    self.stuck.forget(slot.log.partition());
                }
            }
        }
        self.shared.directory.evict_to(self.ring_budget());
    }

    /// What all rings may cost, in bytes. What is on its way to them takes its part.
    fn ring_budget(&self) -> usize {
        let (tail, now) = (self.shared.memory.tail, Instant::now());
        match self.large.recent_max(now) {
            0 => tail,
            _ => self
                .large
                .remaining_budget(tail, tail_records(self.shared.leaders.broker_count()), now),
        }
    }

    /// What was read may be another cluster's: nothing of it is kept, and nothing more is read.
    fn discard(&mut self, wrong_cluster: WrongCluster) {
        self.touched.clear();
        self.slots.clear();
        let _ = self
            .events
            .send(SupervisorEvent::WrongCluster(self.session, wrong_cluster));
    }

    fn handle_fault(&mut self, key: (TopicRef, i32), offset: Offset, code: RDKafkaErrorCode, reason: &str) {
        self.reader.count_error(code);
        if let Some(slot) = self.slots.get(&key) {
            self.shared
                .record_fault(slot.log.partition(), FaultSource::Tail, code, reason);
        }
        match code {
            code if self.is_implausible_offset(key, code, offset) => self.suspend(key, code),
            // librdkafka has stopped this partition, and says so once only.
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                if let Some(log) = self.slots.get(&key).map(|slot| Arc::clone(&slot.log)) {
                    self.stop_lost(key, log, offset, code, reason);
                }
            }
            // The topic may be another one by now; reading goes on as soon as librdkafka can.
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic => {
                let _ = self.events.send(SupervisorEvent::RefreshNeeded);
            }
            code if is_damage(code) => {
                tracing::debug!(cluster = %self.shared.cluster, offset, "tail: {code:?}: {reason}");
                self.suspend(key, code);
            }
            // Tried again by librdkafka; health tells of it when it persists.
            _ => tracing::debug!(cluster = %self.shared.cluster, offset, "tail: {code:?}: {reason}"),
        }
    }

    fn is_implausible_offset(&self, key: (TopicRef, i32), code: RDKafkaErrorCode, offset: Offset) -> bool {
        let slot = self.slots.get(&key);
        slot.is_some_and(|slot| is_implausible_offset(code, offset, slot.page.next()))
    }

    fn stop_lost(
        &mut self,
        key: (TopicRef, i32),
        log: Arc<PartitionLog>,
        offset: Offset,
        code: RDKafkaErrorCode,
        reason: &str,
    ) {
        self.flush();
        self.slots.remove(&key);
        self.reader
            .stop(&log.partition().topic, log.partition().partition);
        self.report_lost(log, offset, code, reason);
    }

    fn report_lost(&self, log: Arc<PartitionLog>, offset: Offset, code: RDKafkaErrorCode, reason: &str) {
        tracing::warn!(
            cluster = %self.shared.cluster, partition = %log.partition(), offset, log = %log.tag(),
            "the tail lost its place: {code:?}: {reason}"
        );
        let _ = self.events.send(SupervisorEvent::PositionLost(log));
    }

    fn log_reject(&mut self, log: &PartitionLog, offset: Offset, reject: EncodeError) {
        let partition = log.partition();
        let labels = RejectLabels {
            cluster: self.shared.cluster.to_string(),
            topic: partition.topic.to_string(),
            reason: reject.label().to_owned(),
        };
        let count = self.shared.counters.bad_records.get_or_create_owned(&labels);
        count.inc();
        if self
            .last_reject_logged
            .is_none_or(|at| at.elapsed() >= REJECT_LOG_EVERY)
        {
            self.last_reject_logged = Some(Instant::now());
            tracing::warn!(
                cluster = %self.shared.cluster, %partition, offset, bad_so_far = count.get(),
                "a record is skipped: {reject}"
            );
        }
    }
}

impl PartitionTail {
    fn push(&mut self, record: &Record<'_>) -> ItemOutcome {
        // Along one log epochs never fall: this is another log, whatever its offsets say.
        if record.epoch >= 0 && record.epoch < self.epoch {
            return ItemOutcome::EpochFell(Arc::clone(&self.log), record.offset);
        }
        if self.unproven && self.epoch >= 0 && record.epoch > self.epoch {
            return ItemOutcome::Unproven(Arc::clone(&self.log), record.offset);
        }
        self.unproven = false;
        let size = record.value.map_or(0, <[u8]>::len);
        let full = self.page.len() as i64 >= PAGE_RECORDS || self.page.bytes() + size > PAGE_BYTES;
        if full && !self.page.is_empty() {
            return ItemOutcome::PageFull;
        }
        self.epoch = self.epoch.max(record.epoch);
        match self.page.push(record) {
            Ok(()) => ItemOutcome::Record,
            Err(reject) => ItemOutcome::Rejected(Arc::clone(&self.log), record.offset, reject),
        }
    }

    fn note_log_append_time(&mut self, shared: &ClusterShared) {
        if !std::mem::replace(&mut self.is_log_append_time, true) {
            shared.note_log_append_time(&self.log);
        }
    }

    fn flush(&mut self) {
        if self.page.is_empty() {
            return;
        }
        let next = self.page.next();
        let page = std::mem::replace(&mut self.page, PageBuilder::new(next, self.log.encoding()));
        self.records.inc_by(page.len() as u64);
        let page = page.finish(next);
        if let (Some(health), Some(last)) = (&self.health, page.events().last()) {
            health.record_arrival(last.timestamp, Instant::now());
        }
        self.log.append(page);
    }
}

/// How long a turn waits for records: what librdkafka has to say waits no longer than this. Commands end the wait.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// Bytes of records in the hands of a turn, beyond which they are handed on before the turn is over: a turn of large records of
/// many partitions would otherwise hold all of them at once.
const MAX_UNFLUSHED: usize = 4 << 20;

/// How often it is looked at what statistics tell, which come every 2 s.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long a partition stands still before somebody looks at it: two statistics, and more than any fetch that goes well.
const STUCK: Duration = Duration::from_secs(3);

/// One bad record in this time is logged; a producer gone bad must not fill the disk.
const REJECT_LOG_EVERY: Duration = Duration::from_secs(1);
