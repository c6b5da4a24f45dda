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

use super::{
    client::{PAGE_BYTES, PAGE_RECORDS},
    cluster::Notice,
    connect::Shared,
    counters::{RejectLabels, TopicLabels},
    damage::{Verdict, is_astray, is_damage},
    guard::{self, Guard},
    large::Large,
    origin::Foreign,
    reader::{Alarm, Queue, Reader, Token, Topic, What},
    session::SessionNumber,
};
use crate::{
    event::{Record, Reject},
    health::{self, Side},
    partition::{Page, PageBuilder, PartitionLog, TopicPartition, tail_records},
    position::{Epoch, Offset},
};
use stuck::Stuck;

/// Tells the tail's thread what to read. Dropping it ends the thread.
pub(super) struct Tail {
    commands: mpsc::Sender<Command>,
    alarm: Alarm,
}

enum Command {
    Start(Arc<PartitionLog>),
    Stop(TopicPartition),
}

impl Tail {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn spawn(
        reader: Reader,
        queue: Queue,
        shared: Shared,
        session: SessionNumber,
        notices: mpsc::Sender<Notice>,
        token: Token,
    ) -> io::Result<Self> {
        let (commands, inbox) = mpsc::channel();
        let alarm = queue.alarm();
        let worker = Worker {
            stuck: Stuck::new(Arc::clone(&shared.damage), alarm.clone()),
            looked: Instant::now(),
            reader,
            queue,
            slots: HashMap::new(),
            touched: Vec::new(),
            large: Large::default(),
            unflushed: 0,
            shared,
            session,
            notices,
            last_complaint: None,
        };
        let (guard, notices) = (Guard::new(&worker.shared, guard::TAIL), worker.notices.clone());
        thread::Builder::new()
            .name(guard::TAIL.to_owned())
            .spawn(move || {
                if guard.catch(|| worker.run(&inbox)).is_none() {
                    // What was read and not yet appended is read again by the next session.
                    let _ = notices.send(Notice::Panicked(session));
                }
                drop(token);
            })?;
        Ok(Self { commands, alarm })
    }

    /// Reads on behind `log`'s end, into it.
    pub(super) fn start(&self, log: Arc<PartitionLog>) {
        self.send(Command::Start(log));
    }

    /// Reads this partition no more.
    pub(super) fn stop(&self, partition: TopicPartition) {
        self.send(Command::Stop(partition));
    }

    fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.alarm.ring();
        }
    }
}

struct Worker {
    reader: Reader,
    queue: Queue,
    slots: HashMap<(Topic, i32), Slot>,
    /// The slots that got records in this turn.
    touched: Vec<(Topic, i32)>,
    large: Large,
    /// Bytes of their values: they are in no ring yet, and in no budget.
    unflushed: usize,
    shared: Shared,
    session: SessionNumber,
    notices: mpsc::Sender<Notice>,
    last_complaint: Option<Instant>,
    stuck: Stuck,
    /// When it was last looked for partitions that stand still.
    looked: Instant,
}

/// One partition that is being read.
struct Slot {
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
    broker_clock: bool,
    health: Option<Arc<health::Partition>>,
}

/// What became of an item.
enum Taken {
    Record,
    Rejected(Arc<PartitionLog>, Offset, Reject),
    /// The page is full, or epochs fell: hand on what there is, and look at the item again.
    Full,
    Fell(Arc<PartitionLog>, Offset),
    /// Another leader wrote it, and where reading began may have been cut off since.
    Doubtful(Arc<PartitionLog>, Offset),
    Fault(Offset, RDKafkaErrorCode, String),
    /// Of a partition that is not read any more.
    Stray,
}

impl Worker {
    fn run(mut self, inbox: &mpsc::Receiver<Command>) {
        while self.obey(inbox) {
            #[cfg(test)]
            guard::trip(&self.shared.cluster);
            self.reader.serve();
            self.queue.fill(Instant::now() + TURN);
            while self.take() {}
            self.flush();
            self.look(Instant::now());
            self.go_on(Instant::now());
        }
    }

    /// Looks at what the statistics tell of each partition. Each fetch tells where the log starts: what lies below that is served no
    /// more. And librdkafka may stand still at what it cannot read without a word: the broker answers, there is more, and it does not
    /// move.
    fn look(&mut self, now: Instant) {
        if now < self.looked + LOOK_EVERY {
            return;
        }
        self.looked = now;
        for slot in self.slots.values() {
            let told = slot
                .health
                .as_ref()
                .and_then(|cell| cell.start_told_since(slot.since));
            if let Some(start) = told {
                self.shared.directory.set_start(&slot.log, start);
            }
            let stuck = slot.health.as_ref().and_then(|cell| cell.stuck_for(now)) >= Some(STUCK);
            if stuck && !self.stuck.has(slot.log.partition(), now) {
                self.stuck.suspect(&slot.log, slot.page.next(), None);
            }
        }
    }

    /// Reads a partition no more until it is known whether it can be. What its queue still has is not to be believed.
    fn suspect(&mut self, key: (Topic, i32), code: RDKafkaErrorCode) {
        self.flush();
        let Some(slot) = self.slots.remove(&key) else {
            return;
        };
        let TopicPartition { topic, partition } = slot.log.partition();
        self.reader.stop(topic, *partition);
        self.stuck.suspect(&slot.log, slot.page.next(), Some(code));
    }

    /// Reads on where it is known by now what can be read.
    fn go_on(&mut self, now: Instant) {
        for (log, verdict) in self.stuck.due(now) {
            if let Verdict::Unreadable(range) = verdict {
                // What lies before it is a hole.
                log.append(PageBuilder::new(log.next(), log.encoding()).finish(range.start));
                log.append(Page::unreadable(log.next()..range.end));
                self.shared.success(log.partition(), Side::Tail);
            }
            self.start(log);
        }
    }

    /// Does what was asked for; whether anybody can still ask. The queue has no item buffered here, so that nothing of a
    /// partition that is stopped comes out any more.
    fn obey(&mut self, inbox: &mpsc::Receiver<Command>) -> bool {
        loop {
            match inbox.try_recv() {
                Ok(Command::Start(log)) => {
                    self.stuck.forget(log.partition());
                    self.start(log);
                }
                Ok(Command::Stop(partition)) => {
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
            Err(code) => self.lose(log, next, code, "cannot be started"),
        }
    }

    fn slot(&self, log: Arc<PartitionLog>, next: Offset) -> Slot {
        let labels = TopicLabels {
            cluster: self.shared.cluster.to_string(),
            topic: log.partition().topic.to_string(),
        };
        Slot {
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
            broker_clock: false,
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
    fn take(&mut self) -> bool {
        let Some(item) = self.queue.front() else {
            return false;
        };
        let key = (item.topic, item.partition);
        if item.broker_clock
            && let Some(slot) = self.slots.get_mut(&key)
        {
            slot.bears_broker_time(&self.shared);
        }
        let size = match &item.what {
            What::Record(record) => record.value.map_or(0, <[u8]>::len),
            _ => 0,
        };
        let taken = match (self.slots.get_mut(&key), item.what) {
            (None, _) => Taken::Stray,
            (Some(slot), What::Record(record)) => slot.take(&record),
            (Some(_), What::End(_)) => Taken::Stray,
            (Some(_), What::Fault { offset, code, reason }) => Taken::Fault(offset, code, reason),
        };
        if !matches!(taken, Taken::Full) {
            self.queue.advance();
            if size > PAGE_BYTES {
                self.large.note(size, Instant::now());
            }
            self.unflushed += size;
        }
        self.settle(key, taken);
        if self.unflushed >= MOST_UNFLUSHED {
            self.flush();
        }
        true
    }

    fn settle(&mut self, key: (Topic, i32), taken: Taken) {
        match taken {
            Taken::Record => self.touch(key),
            Taken::Rejected(log, offset, reject) => {
                self.touch(key);
                self.complain(&log, offset, reject);
            }
            Taken::Full => self.flush(),
            Taken::Fell(log, offset) => self.lost(
                key,
                log,
                offset,
                RDKafkaErrorCode::FencedLeaderEpoch,
                "epochs fell",
            ),
            Taken::Doubtful(log, offset) => self.lost(
                key,
                log,
                offset,
                RDKafkaErrorCode::FencedLeaderEpoch,
                "it begins behind another leader",
            ),
            Taken::Fault(offset, code, reason) => self.fault(key, offset, code, &reason),
            Taken::Stray => {}
        }
    }

    fn touch(&mut self, key: (Topic, i32)) {
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
        if let Some(foreign) = self.reader.foreign() {
            return self.disown(foreign);
        }
        self.shared.status.recorded();
        for key in std::mem::take(&mut self.touched) {
            if let Some(slot) = self.slots.get_mut(&key) {
                slot.flush();
                if !self.stuck.is_empty() {
                    self.stuck.forget(slot.log.partition());
                }
            }
        }
        self.shared.directory.shed(self.room());
    }

    /// What all rings may cost, in bytes. What is on its way to them takes its part.
    fn room(&self) -> usize {
        let (tail, now) = (self.shared.memory.tail, Instant::now());
        match self.large.of_late(now) {
            0 => tail,
            _ => self
                .large
                .beside(tail, tail_records(self.shared.leaders.brokers()), now),
        }
    }

    /// What was read may be another cluster's: nothing of it is kept, and nothing more is read.
    fn disown(&mut self, foreign: Foreign) {
        self.touched.clear();
        self.slots.clear();
        let _ = self.notices.send(Notice::Foreign(self.session, foreign));
    }

    fn fault(&mut self, key: (Topic, i32), offset: Offset, code: RDKafkaErrorCode, reason: &str) {
        self.reader.count(code);
        if let Some(slot) = self.slots.get(&key) {
            self.shared.fault(slot.log.partition(), Side::Tail, code, reason);
        }
        match code {
            code if self.is_astray(key, code, offset) => self.suspect(key, code),
            // librdkafka has stopped this partition, and says so once only.
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                if let Some(log) = self.slots.get(&key).map(|slot| Arc::clone(&slot.log)) {
                    self.lost(key, log, offset, code, reason);
                }
            }
            // The topic may be another one by now; reading goes on as soon as librdkafka can.
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic => {
                let _ = self.notices.send(Notice::Doubt);
            }
            code if is_damage(code) => {
                tracing::debug!(cluster = %self.shared.cluster, offset, "tail: {code:?}: {reason}");
                self.suspect(key, code);
            }
            // Tried again by librdkafka; health tells of it when it persists.
            _ => tracing::debug!(cluster = %self.shared.cluster, offset, "tail: {code:?}: {reason}"),
        }
    }

    fn is_astray(&self, key: (Topic, i32), code: RDKafkaErrorCode, offset: Offset) -> bool {
        let slot = self.slots.get(&key);
        slot.is_some_and(|slot| is_astray(code, offset, slot.page.next()))
    }

    fn lost(
        &mut self,
        key: (Topic, i32),
        log: Arc<PartitionLog>,
        offset: Offset,
        code: RDKafkaErrorCode,
        reason: &str,
    ) {
        self.flush();
        self.slots.remove(&key);
        self.reader
            .stop(&log.partition().topic, log.partition().partition);
        self.lose(log, offset, code, reason);
    }

    fn lose(&self, log: Arc<PartitionLog>, offset: Offset, code: RDKafkaErrorCode, reason: &str) {
        tracing::warn!(
            cluster = %self.shared.cluster, partition = %log.partition(), offset, log = %log.tag(),
            "the tail lost its place: {code:?}: {reason}"
        );
        let _ = self.notices.send(Notice::Lost(log));
    }

    fn complain(&mut self, log: &PartitionLog, offset: Offset, reject: Reject) {
        let partition = log.partition();
        let labels = RejectLabels {
            cluster: self.shared.cluster.to_string(),
            topic: partition.topic.to_string(),
            reason: reject.label().to_owned(),
        };
        let count = self.shared.counters.bad_records.get_or_create_owned(&labels);
        count.inc();
        if self.last_complaint.is_none_or(|at| at.elapsed() >= COMPLAINT) {
            self.last_complaint = Some(Instant::now());
            tracing::warn!(
                cluster = %self.shared.cluster, %partition, offset, bad_so_far = count.get(),
                "a record is skipped: {reject}"
            );
        }
    }
}

impl Slot {
    fn take(&mut self, record: &Record<'_>) -> Taken {
        // Along one log epochs never fall: this is another log, whatever its offsets say.
        if record.epoch >= 0 && record.epoch < self.epoch {
            return Taken::Fell(Arc::clone(&self.log), record.offset);
        }
        if self.unproven && self.epoch >= 0 && record.epoch > self.epoch {
            return Taken::Doubtful(Arc::clone(&self.log), record.offset);
        }
        self.unproven = false;
        let size = record.value.map_or(0, <[u8]>::len);
        let full = self.page.len() as i64 >= PAGE_RECORDS || self.page.bytes() + size > PAGE_BYTES;
        if full && !self.page.is_empty() {
            return Taken::Full;
        }
        self.epoch = self.epoch.max(record.epoch);
        match self.page.push(record) {
            Ok(()) => Taken::Record,
            Err(reject) => Taken::Rejected(Arc::clone(&self.log), record.offset, reject),
        }
    }

    fn bears_broker_time(&mut self, shared: &Shared) {
        if !std::mem::replace(&mut self.broker_clock, true) {
            shared.bears_broker_time(&self.log);
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
            health.arrived(last.timestamp, Instant::now());
        }
        self.log.append(page);
    }
}

/// How long a turn waits for records: what librdkafka has to say waits no longer than this. Commands end the wait.
const TURN: Duration = Duration::from_millis(100);

/// Bytes of records in the hands of a turn, beyond which they are handed on before the turn is over: a turn of large records of
/// many partitions would otherwise hold all of them at once.
const MOST_UNFLUSHED: usize = 4 << 20;

/// How often it is looked at what statistics tell, which come every 2 s.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a partition stands still before somebody looks at it: two statistics, and more than any fetch that goes well.
const STUCK: Duration = Duration::from_secs(3);

/// One bad record in this time is logged; a producer gone bad must not fill the disk.
const COMPLAINT: Duration = Duration::from_secs(1);
