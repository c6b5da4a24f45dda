//! Decides for every partition which log is current, and where its tail begins.
//!
//! One thread owns these decisions. It waits for nobody: looks at the topology and questions to leaders are asked of
//! other threads, and their answers come in as notices.

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    backoff::Backoff,
    connect::{Shared, Watches},
    counters::ReplacementLabels,
    history::Pool,
    lookout::{Lookout, Topology},
    reader::{Token, TopicInfo},
    silence::Silence,
    tail::Tail,
};
use crate::{
    event::Encoding,
    health,
    partition::{Bounds, HistoryError, PartitionLog, TopicPartition},
    position::{LogTag, Offset},
};

/// What the supervisor hears.
pub(super) enum Notice {
    /// A look at the topology.
    Topology(Topology),
    /// A look that no broker answered.
    Silence,
    /// The bounds of a partition, asked for with this ticket.
    Bounds(TopicPartition, Ticket, Result<Bounds, HistoryError>),
    /// The tail lost its place in this log: the offset it wants is out of range.
    Lost(Arc<PartitionLog>),
    /// Something suggests that the topology has changed.
    Doubt,
    /// The end.
    Stop,
}

/// Tells an answer to the question that stands from one to a question that does not any more.
pub(super) type Ticket = u64;

/// Decides; see the module.
pub(super) struct Supervisor {
    shared: Shared,
    topics: Vec<Topic>,
    pool: Arc<Pool>,
    tail: Tail,
    lookout: Lookout,
    notices: mpsc::Sender<Notice>,
    inbox: mpsc::Receiver<Notice>,
    tickets: Ticket,
    silence: Silence,
}

struct Topic {
    name: Arc<str>,
    encoding: Encoding,
    id: Option<[u8; 16]>,
    /// Ids it had before: a broker that lags behind may still tell them.
    retired: Vec<[u8; 16]>,
    /// Whether a look has told anything definite of it.
    seen: bool,
    partitions: Vec<Partition>,
}

struct Partition {
    tag: LogTag,
    state: State,
    backoff: Backoff,
}

enum State {
    /// The leader has been asked for the bounds.
    Asked(Ticket, From),
    /// It did not answer; it is asked again then.
    Waiting(Instant, From),
    /// The tail reads into this log.
    Reading(Arc<PartitionLog>),
}

/// Where the tail of a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// At its end: it was there when we came.
    End,
    /// At its start: it came after us, and nothing of it may be lost.
    Start,
    /// The tail wanted this offset, which is out of range.
    Lost(Offset),
}

impl Supervisor {
    pub(super) fn new(
        shared: Shared,
        topics: Vec<(Arc<str>, Encoding)>,
        pool: Arc<Pool>,
        (tail, lookout): (Tail, Lookout),
        (notices, inbox): (mpsc::Sender<Notice>, mpsc::Receiver<Notice>),
    ) -> Self {
        let names = topics.iter().map(|(name, _)| Arc::clone(name)).collect();
        Self {
            shared,
            topics: topics.into_iter().map(Topic::new).collect(),
            pool,
            tail,
            lookout,
            notices,
            inbox,
            tickets: 0,
            silence: Silence::new(names),
        }
    }

    /// Starts the thread, which lets go of what it holds when it ends.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn spawn(self, held: (Token, Watches)) -> io::Result<()> {
        thread::Builder::new()
            .name("kafka-cluster".to_owned())
            .spawn(move || {
                self.run();
                drop(held);
            })?;
        Ok(())
    }

    fn run(mut self) {
        loop {
            match self.inbox.recv_timeout(self.pause()) {
                Ok(Notice::Topology(topology)) => {
                    self.silence.broken(&self.shared);
                    self.survey(topology);
                }
                Ok(Notice::Silence) => self.silence.heard(&self.shared),
                Ok(Notice::Bounds(partition, ticket, result)) => self.answer(&partition, ticket, result),
                Ok(Notice::Lost(log)) => self.lost(&log),
                Ok(Notice::Doubt) => self.lookout.look(),
                Err(mpsc::RecvTimeoutError::Timeout) => self.ask_again(),
                Ok(Notice::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// How long until a partition is to be asked for again.
    fn pause(&self) -> Duration {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        let due = partitions.filter_map(Partition::due).min();
        due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()))
    }

    fn survey(&mut self, topology: Topology) {
        self.shared.health.described(&topology.cluster_id, Instant::now());
        for (at, info) in topology.topics.into_iter().enumerate() {
            match info {
                Ok(info) => self.learn(at, &topology.cluster_id, &info),
                // Partitions that appear from now on came after us. What was there stays until another topic has the name.
                Err(code) if is_absent(code) => {
                    self.topics[at].seen = true;
                    self.shared.health.set_missing(&self.topics[at].name);
                }
                Err(code) => {
                    tracing::debug!(cluster = %self.shared.cluster, topic = %self.topics[at].name, "{code:?}");
                }
            }
        }
    }

    fn learn(&mut self, at: usize, cluster_id: &str, info: &TopicInfo) {
        let topic = &mut self.topics[at];
        if topic.retired.contains(&info.id) {
            return;
        }
        self.shared.leaders.set(&topic.name, &info.leaders);
        self.shared
            .health
            .set_leaders(&topic.name, &info.leaders, Instant::now());
        self.shared
            .directory
            .announce(&topic.name, info.leaders.len() as i32);
        let recreated = topic.id.is_some_and(|id| id != info.id);
        let from = if topic.seen { From::Start } else { From::End };
        topic.retired.extend(topic.id.filter(|_| recreated));
        topic.id = Some(info.id);
        topic.seen = true;
        let tag = LogTag::new(cluster_id, &info.id);
        if recreated {
            self.recreate(at, tag, info.leaders.len());
        }
        let known = self.topics[at].partitions.len();
        for partition in known..info.leaders.len() {
            let added = Partition::new(tag, from);
            self.topics[at].partitions.push(added);
            self.ask(at, partition, from);
        }
    }

    /// The topic's name is another topic's now: what is read from here on is of other logs. Of a partition that the new
    /// topic lacks the old log stays, and nothing more is read.
    fn recreate(&mut self, at: usize, tag: LogTag, partitions: usize) {
        let topic = &self.topics[at];
        tracing::warn!(
            cluster = %self.shared.cluster, topic = %topic.name, log = %tag,
            "the topic was deleted and created again; its partitions are read from their start"
        );
        for number in 0..topic.partitions.len() {
            self.tail.stop(self.topics[at].partition(number));
        }
        self.topics[at].partitions.truncate(partitions);
        for number in 0..self.topics[at].partitions.len() {
            self.topics[at].partitions[number].tag = tag;
            self.ask(at, number, From::Start);
        }
    }

    fn lost(&mut self, log: &Arc<PartitionLog>) {
        let Some((at, number)) = self.find(log.partition()) else {
            return;
        };
        // A notice of a log that is not the current one any more is old news.
        if matches!(&self.topics[at].partitions[number].state, State::Reading(current) if Arc::ptr_eq(current, log))
        {
            self.lookout.look();
            // Not at once: a place that is lost again and again must not keep us busy.
            let again = Instant::now() + RETRY_FIRST;
            self.topics[at].partitions[number].state = State::Waiting(again, From::Lost(log.end().offset));
            if let Some(cell) = self.cell(log.partition()) {
                cell.lost(Instant::now());
            }
        }
    }

    fn ask_again(&mut self) {
        let now = Instant::now();
        for at in 0..self.topics.len() {
            for number in 0..self.topics[at].partitions.len() {
                if let State::Waiting(due, from) = self.topics[at].partitions[number].state
                    && due <= now
                {
                    self.ask(at, number, from);
                }
            }
        }
    }

    fn ask(&mut self, at: usize, number: usize, from: From) {
        self.tickets += 1;
        let ticket = self.tickets;
        let topic = &mut self.topics[at];
        topic.partitions[number].state = State::Asked(ticket, from);
        let partition = topic.partition(number);
        let (notices, answered) = (self.notices.clone(), partition.clone());
        self.pool.ask_bounds(partition, move |result| {
            let _ = notices.send(Notice::Bounds(answered, ticket, result));
        });
    }

    fn answer(&mut self, partition: &TopicPartition, ticket: Ticket, result: Result<Bounds, HistoryError>) {
        let Some((at, number)) = self.find(partition) else {
            return;
        };
        let State::Asked(asked, from) = self.topics[at].partitions[number].state else {
            return;
        };
        if asked != ticket {
            return;
        }
        match result {
            Ok(bounds) => self.begin(at, number, from, bounds),
            Err(_) => {
                let partition = &mut self.topics[at].partitions[number];
                partition.state = State::Waiting(Instant::now() + partition.backoff.step(), from);
            }
        }
    }

    fn begin(&mut self, at: usize, number: usize, from: From, bounds: Bounds) {
        let next = from.next(bounds);
        let topic = &mut self.topics[at];
        let id = topic.partition(number);
        let partition = &mut topic.partitions[number];
        let log = PartitionLog::new(id.clone(), partition.tag, topic.encoding, next);
        partition.backoff.reset();
        partition.state = State::Reading(Arc::clone(&log));
        let old = self.shared.directory.get(&id.topic, id.partition);
        self.shared.directory.put(Arc::clone(&log));
        if let Some(old) = old {
            self.pool.forget(&old);
            self.report(&old, &log, bounds);
        }
        if let Some(cell) = self.cell(&id) {
            cell.reading(Instant::now());
        }
        self.tail.start(log);
    }

    fn cell(&self, partition: &TopicPartition) -> Option<Arc<health::Partition>> {
        self.shared
            .health
            .partition(&partition.topic, partition.partition)
    }

    fn report(&self, old: &PartitionLog, new: &PartitionLog, bounds: Bounds) {
        let at = old.end().offset;
        let reason = match () {
            () if old.tag() != new.tag() => "recreated",
            () if at < bounds.start => "expired",
            () => "truncated",
        };
        let labels = ReplacementLabels {
            cluster: self.shared.cluster.to_string(),
            reason: reason.to_owned(),
        };
        self.shared.counters.replacements.get_or_create(&labels).inc();
        tracing::warn!(
            cluster = %self.shared.cluster, partition = %new.partition(), reason, read_up_to = at,
            start = bounds.start, end = bounds.end, next = new.end().offset, log = %new.tag(), "the log was replaced"
        );
    }

    fn find(&self, partition: &TopicPartition) -> Option<(usize, usize)> {
        let at = self
            .topics
            .iter()
            .position(|topic| topic.name == partition.topic)?;
        let number = usize::try_from(partition.partition).ok()?;
        (number < self.topics[at].partitions.len()).then_some((at, number))
    }
}

impl Topic {
    fn new((name, encoding): (Arc<str>, Encoding)) -> Self {
        Self {
            name,
            encoding,
            id: None,
            retired: Vec::new(),
            seen: false,
            partitions: Vec::new(),
        }
    }

    fn partition(&self, number: usize) -> TopicPartition {
        TopicPartition {
            topic: Arc::clone(&self.name),
            partition: number as i32,
        }
    }
}

impl Partition {
    fn new(tag: LogTag, from: From) -> Self {
        Self {
            tag,
            state: State::Waiting(Instant::now(), from),
            backoff: Backoff::new(RETRY_FIRST, RETRY_MOST),
        }
    }

    fn due(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(due, _) => Some(due),
            State::Asked(..) | State::Reading(_) => None,
        }
    }
}

impl From {
    fn next(self, bounds: Bounds) -> Offset {
        match self {
            Self::Start => bounds.start,
            // Expired before it was read: go on with what is left. Truncated: everything below the new end is history, for
            // what stands at offsets already read may be other records now.
            Self::Lost(at) if at < bounds.start => bounds.start,
            Self::End | Self::Lost(_) => bounds.end,
        }
    }
}

fn is_absent(code: rdkafka::types::RDKafkaErrorCode) -> bool {
    use rdkafka::types::RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition
    )
}

/// A leader that cannot be reached costs one request in this time.
const RETRY_MOST: Duration = Duration::from_secs(2);

const RETRY_FIRST: Duration = Duration::from_millis(100);

/// Nothing to do until a notice comes.
const IDLE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_tail_begins() {
        let bounds = Bounds {
            start: 10,
            end: 20,
            epoch: None,
        };
        assert_eq!(From::End.next(bounds), 20);
        assert_eq!(From::Start.next(bounds), 10);
        assert_eq!(From::Lost(5).next(bounds), 10, "expired");
        assert_eq!(From::Lost(30).next(bounds), 20, "truncated");
        assert_eq!(
            From::Lost(15).next(bounds),
            20,
            "truncated, and grown beyond since"
        );
    }
}
