//! Decides for every partition which log is current, and where its tail begins.
//!
//! One thread owns these decisions. It waits for nobody: looks at the topology and questions to leaders are asked of
//! other threads, and their answers come in as notices.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    connect::{Shared, Watches},
    counters::{ClusterLabels, ReplacementLabels},
    history::Pool,
    lookout::Topology,
    online,
    origin::Foreign,
    reader::{Token, TopicInfo},
    session::{Session, SessionNumber, Sessions},
    settings::BrokerAddr,
    silence::Silence,
    topics::{From, Partition, RETRY_FIRST, State, Topic, is_absent},
};
use crate::{
    health,
    partition::{Bounds, HistoryError, PartitionLog, TopicPartition},
    position::LogTag,
};

/// What the supervisor hears.
pub(super) enum Notice {
    /// A look at the topology.
    Topology(Topology),
    /// A look that no broker answered.
    Silence,
    /// What answers this session is another cluster.
    Foreign(SessionNumber, Foreign),
    /// The brokers to ask first that are another cluster's.
    Sifted(BTreeSet<BrokerAddr>),
    /// There are other brokers to ask first.
    Reseeded,
    /// The bounds of a partition, asked for with this ticket.
    Bounds(TopicPartition, Ticket, Result<Bounds, HistoryError>),
    /// The tail lost its place in this log: the offset it wants is out of range.
    Lost(Arc<PartitionLog>),
    /// Something suggests that the topology has changed.
    Doubt,
    /// Read these topics from here.
    Take(Vec<Arc<str>>),
    /// Read them no more; this is called when their logs are gone.
    Release(Vec<Arc<str>>, Box<dyn FnOnce() + Send>),
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
    sessions: Sessions,
    /// None while the brokers that answer are another cluster's.
    session: Option<Session>,
    /// When to look once more for brokers of the right cluster.
    sift_at: Option<Instant>,
    notices: mpsc::Sender<Notice>,
    inbox: mpsc::Receiver<Notice>,
    tickets: Ticket,
    silence: Silence,
    /// What the newest look showed.
    topology: Option<Topology>,
}

impl Supervisor {
    pub(super) fn new(
        shared: Shared,
        topics: Vec<Topic>,
        pool: Arc<Pool>,
        (sessions, session): (Sessions, Session),
        (notices, inbox): (mpsc::Sender<Notice>, mpsc::Receiver<Notice>),
    ) -> Self {
        let active = topics.iter().any(|topic: &Topic| topic.active);
        shared.health.set_active(active);
        Self {
            shared,
            topics,
            pool,
            sessions,
            session: Some(session),
            sift_at: None,
            notices,
            inbox,
            tickets: 0,
            silence: Silence::new(),
            topology: None,
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
                Ok(Notice::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Ok(notice) => self.take_notice(notice),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.ask_again();
                    self.sift_again();
                }
            }
        }
    }

    fn take_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Topology(topology) => self.see(topology),
            Notice::Silence => self.hear_nothing(),
            Notice::Foreign(session, foreign) => self.refuse(session, foreign),
            Notice::Sifted(foreign) => self.begin_anew(foreign),
            Notice::Reseeded => self.sift_at = self.sift_at.map(|_| Instant::now()),
            Notice::Bounds(partition, ticket, result) => self.answer(&partition, ticket, result),
            Notice::Lost(log) => self.lost(&log),
            Notice::Doubt => self.look(),
            Notice::Take(topics) => self.take_over(&topics),
            Notice::Release(topics, then) => {
                self.release(&topics);
                then();
            }
            // The loop has seen to it.
            Notice::Stop => {}
        }
    }

    /// How long until something is to be done again.
    fn pause(&self) -> Duration {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        let due = partitions.filter_map(Partition::due).chain(self.sift_at).min();
        due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()))
    }

    fn look(&self) {
        if let Some(session) = &self.session {
            session.lookout.look();
        }
    }

    fn see(&mut self, topology: Topology) {
        self.shared.status.answered();
        self.shared.health.set_refused(None);
        if self.silence.broken() {
            tracing::info!(cluster = %self.shared.cluster, "brokers answer again");
            self.tell_reachable(true);
        }
        self.survey(&topology);
        self.topology = Some(topology);
    }

    fn hear_nothing(&mut self) {
        self.shared.status.silent();
        if self.silence.heard() {
            tracing::warn!(cluster = %self.shared.cluster, "no broker answers; streams are held");
            self.tell_reachable(false);
        }
        self.renew_if_dead();
    }

    fn tell_reachable(&self, reachable: bool) {
        for topic in self.topics.iter().filter(|topic| topic.active) {
            self.shared.directory.set_reachable(&topic.name, reachable);
        }
    }

    /// librdkafka comes back by itself from almost anything. A client that has neither read a record nor got an answer for
    /// long is replaced all the same: its list of brokers may be of the past, and another begins with ours.
    fn renew_if_dead(&mut self) {
        let Some(session) = &self.session else { return };
        let recorded = self.shared.status.recorded_at();
        let quiet = recorded.map_or(Duration::MAX, |at| at.elapsed());
        let dead = self.silence.lasts().min(quiet).min(session.opened.elapsed());
        if dead >= self.shared.renew_after && self.sessions.may_open() {
            tracing::warn!(
                cluster = %self.shared.cluster, silent = ?self.silence.lasts(),
                "neither a record nor an answer for long: new clients take over at the last offsets"
            );
            self.begin_anew(BTreeSet::new());
        }
    }

    /// The brokers are those of another cluster: nothing of it is served.
    fn refuse(&mut self, session: SessionNumber, foreign: Foreign) {
        if self
            .session
            .as_ref()
            .is_none_or(|current| current.number != session)
        {
            return;
        }
        tracing::error!(cluster = %self.shared.cluster, "refused: {foreign}");
        self.shared.health.set_refused(Some(foreign.to_string()));
        self.shared.status.foreign(foreign);
        self.session = None;
        self.pool.renew();
        if self.silence.declare() {
            self.tell_reachable(false);
        }
        self.sift();
    }

    fn sift_again(&mut self) {
        if self.sift_at.is_some_and(|due| due <= Instant::now()) {
            self.sift();
        }
    }

    /// Finds out which brokers are the wrong ones, on a thread of its own.
    fn sift(&mut self) {
        self.sift_at = Some(Instant::now() + SIFT_EVERY);
        let Some(topic) = self.topics.first().map(|topic| Arc::clone(&topic.name)) else {
            return;
        };
        let (notices, origin) = (self.notices.clone(), Arc::clone(&self.shared.origin));
        let config = self.sessions.config().clone();
        let sifting = thread::Builder::new().name("kafka-sift".to_owned());
        let spawned = sifting.spawn(move || {
            let brokers = origin.seeds.all();
            let foreign = online::foreigners(&config, brokers, &topic, &origin);
            let _ = notices.send(Notice::Sifted(foreign));
        });
        if let Err(error) = spawned {
            tracing::error!(cluster = %self.shared.cluster, "no thread to look for other brokers: {error}");
        }
    }

    /// New clients, which do not ask these brokers first.
    fn begin_anew(&mut self, foreign: BTreeSet<BrokerAddr>) {
        self.shared.origin.seeds.exclude(foreign);
        if self.shared.origin.seeds.usable().is_empty() || !self.sessions.may_open() {
            return;
        }
        match self.sessions.open() {
            Ok(session) => self.session = Some(session),
            Err(error) => return tracing::error!("{error}"),
        }
        self.sift_at = None;
        self.pool.renew();
        let labels = ClusterLabels {
            cluster: self.shared.cluster.to_string(),
        };
        self.shared.counters.renewals.get_or_create(&labels).inc();
        self.hand_over();
    }

    /// Gives the new session's tail what the one before it read, from the last offset on. What both have read in between
    /// the log takes once.
    fn hand_over(&mut self) {
        let Some(session) = &self.session else { return };
        for partition in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            match &partition.state {
                State::Reading(log) => session.tail.start(Arc::clone(log)),
                // Whoever was asked may be gone.
                State::Asked(_, from) => partition.state = State::Waiting(Instant::now(), *from),
                State::Waiting(..) => {}
            }
        }
    }

    /// Reads these topics from their ends on; what positions point to before that is history.
    fn take_over(&mut self, topics: &[Arc<str>]) {
        for topic in self
            .topics
            .iter_mut()
            .filter(|topic| topics.contains(&topic.name))
        {
            topic.set_active(true);
            self.shared.health.set_active(true);
            let reachable = !self.silence.is_told();
            self.shared.directory.set_reachable(&topic.name, reachable);
        }
        if let Some(topology) = self.topology.clone() {
            self.survey(&topology);
        }
        self.look();
    }

    fn release(&mut self, topics: &[Arc<str>]) {
        for at in 0..self.topics.len() {
            if !topics.contains(&self.topics[at].name) {
                continue;
            }
            for number in 0..self.topics[at].partitions.len() {
                self.stop(at, number);
            }
            self.topics[at].set_active(false);
            self.shared.health.forget(&self.topics[at].name);
            for log in self.shared.directory.withdraw(&self.topics[at].name) {
                self.pool.forget(&log);
            }
        }
        let active = self.topics.iter().any(|topic| topic.active);
        self.shared.health.set_active(active);
    }

    fn tell_missing(&self, at: usize) {
        if self.topics[at].active {
            self.shared.health.set_missing(&self.topics[at].name);
        }
    }

    fn stop(&self, at: usize, number: usize) {
        if let Some(session) = &self.session {
            session.tail.stop(self.topics[at].partition(number));
        }
    }

    fn survey(&mut self, topology: &Topology) {
        self.shared.health.described(&topology.cluster_id, Instant::now());
        for (at, info) in topology.topics.iter().enumerate() {
            match info {
                Ok(info) => self.learn(at, &topology.cluster_id, info),
                // Partitions that appear from now on came after us. What was there stays until another topic has the name.
                Err(code) if is_absent(*code) => {
                    self.topics[at].seen = true;
                    self.shared.status.lead(&self.topics[at].name, 0, 0);
                    self.tell_missing(at);
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
        let led = info.leaders.iter().flatten().count();
        self.shared.status.lead(&topic.name, info.leaders.len(), led);
        if !topic.active {
            return;
        }
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
            self.stop(at, number);
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
            self.look();
            let (offset, now) = (log.end().offset, Instant::now());
            let partition = &mut self.topics[at].partitions[number];
            let before = partition.lost.replace((offset, now));
            let again = before.is_some_and(|(at, when)| at == offset && now - when < DISAGREE);
            // Not at once: a place that is lost again and again must not keep us busy.
            let pause = if again { RETRY_LOST_AGAIN } else { RETRY_FIRST };
            partition.state = State::Waiting(now + pause, From::Lost(offset));
            if again {
                // What history told was of no use to the tail: it believes a leader that was cut off, and may for as long as
                // that answers. Others begin with what the brokers say now.
                tracing::warn!(
                    cluster = %self.shared.cluster, partition = %log.partition(), offset,
                    "the tail and the readers of history go by different leaders; these begin anew"
                );
                self.pool.renew();
            }
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
        log.set_leader_epoch(bounds.epoch);
        if self.shared.clocks.are_brokers(&id.topic) {
            log.set_overlap(self.shared.overlap);
        }
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
        // Without a session the next one begins with it.
        if let Some(session) = &self.session {
            session.tail.start(log);
        }
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
            () if at > bounds.end => "truncated",
            // Whether it is another is found out for each client, whose id tells what it has read.
            () => "unproven",
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

/// A place that the tail loses twice within this time was not lost to what happened, but to what we were told.
const DISAGREE: Duration = Duration::from_secs(5);

/// What new readers of history get to connect and learn.
const RETRY_LOST_AGAIN: Duration = Duration::from_secs(1);

/// Nothing to do until a notice comes.
const IDLE: Duration = Duration::from_secs(3600);

/// How often brokers of another cluster are asked whether they are ours again; each is one small connection.
const SIFT_EVERY: Duration = Duration::from_secs(10);
