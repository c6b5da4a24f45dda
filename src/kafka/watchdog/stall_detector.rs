//! The stall detector: asks every broker by itself whether it answers, and which broker it takes for each partition's leader.
//!
//! A leader that was cut off from the others goes on answering its readers, without errors and without new records: its high
//! watermark does not move. librdkafka follows it for as long as it answers. The sign of such a stall is that another broker
//! names another leader, and that this one's watermark moves. So the log end of each idle partition is asked through a client
//! that knows nothing but one *other* broker, which is closed again at once.
//!
//! Connections: one client that is always open, and at most one one-shot client at a time. A client has at most one connection
//! to each broker and to a bootstrap address.
//!
//! Not here: the verdict that a partition is stalled (`crate::health`), and the replacement of the clients (`supervisor`).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use super::contradiction::{IdlePartition, SuspectPartitions, find_contradiction, partitions_of};
use crate::{
    health::OtherWatermark,
    kafka::{
        client::{
            config::{ClientKind, client_config},
            context::Context,
            raw::{KafkaReader, OffsetSpec, TopicDescriptions},
        },
        shared::ClusterShared,
        shutdown_guard::ShutdownGuard,
        supervisor::SupervisorEvent,
        threads::{self, PanicHandler},
    },
};

/// Starts the thread. It ends when the returned sender is dropped.
///
/// # Errors
/// Returns an error if the system cannot start a thread.
pub(in crate::kafka) fn spawn(
    shared: &ClusterShared,
    events: mpsc::Sender<SupervisorEvent>,
    shutdown_guard: ShutdownGuard,
) -> io::Result<mpsc::Sender<()>> {
    let (stop, stopped) = mpsc::channel();
    let handler = PanicHandler::new(shared, threads::STALL_DETECTOR);
    let mut detector = StallDetector {
        reader: None,
        topics: shared.topics.get(),
        shared: shared.clone(),
        events,
        shutdown_guard,
        next: 0,
        last_answer: Instant::now(),
        last_routine: Instant::now(),
    };
    threads::spawn(threads::STALL_DETECTOR, move || {
        let wait = |pause| stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout);
        handler.run_with_restarts(wait, || detector.run(&stopped));
    })?;
    Ok(stop)
}

/// The state of the thread.
struct StallDetector {
    /// The client; `None` before the first, and after no broker has answered it for too long.
    reader: Option<KafkaReader>,
    /// The topics at the last check.
    topics: Arc<[Arc<str>]>,
    shared: ClusterShared,
    events: mpsc::Sender<SupervisorEvent>,
    shutdown_guard: ShutdownGuard,
    /// The index of the broker whose turn it is in the routine checks.
    next: usize,
    /// When a broker last answered.
    last_answer: Instant,
    last_routine: Instant,
}

impl StallDetector {
    fn run(&mut self, stopped: &mpsc::Receiver<()>) {
        self.reader = None;
        let mut due = Instant::now();
        while stopped.recv_timeout(POLL_TIMEOUT) == Err(mpsc::RecvTimeoutError::Timeout) {
            #[cfg(test)]
            threads::panic_if_requested(&self.shared.cluster);
            let Some(reader) = self.reader.clone().or_else(|| self.open()) else {
                continue;
            };
            reader.poll_events();
            if due <= Instant::now() {
                self.check(&reader);
                due = Instant::now() + CHECK_EVERY;
            }
        }
    }

    /// Opens a client that begins with every known address: those that are configured, and those learned since.
    fn open(&mut self) -> Option<KafkaReader> {
        self.last_answer = Instant::now();
        // The tail's client was accepted with the same settings, so an error here is a lack of threads or memory, which may
        // pass.
        let opened = KafkaReader::of_kind(ClientKind::StallDetector, &self.shared, &self.shutdown_guard);
        self.reader = opened.ok();
        self.reader.clone()
    }

    /// Asks every broker once, and checks idle partitions through one of them.
    fn check(&mut self, reader: &KafkaReader) {
        self.topics = self.shared.topics.get();
        let brokers: BTreeMap<_, _> = self.shared.health.brokers().into_iter().collect();
        let ids: Vec<_> = brokers.keys().copied().collect();
        let views = self.describe_each(reader, &ids);
        let seen = views.iter().flat_map(|(_, view)| view.iter().flatten());
        let replicas: BTreeSet<_> = seen.flat_map(|topic| topic.replicas.iter().copied()).collect();
        if !views.is_empty() {
            self.last_answer = Instant::now();
            self.shared.health.set_replicas(replicas);
        } else if self.last_answer.elapsed() >= REOPEN_AFTER {
            self.reader = None;
        }
        if let Some((via, suspects)) = self.next_check(&views)
            && let Some(address) = brokers.get(&via)
        {
            self.check_via(via, address, suspects);
        }
        self.report_stalled(&brokers);
    }

    /// Reports the broker from which most of the stalled partitions are fetched.
    fn report_stalled(&self, brokers: &BTreeMap<i32, Arc<str>>) {
        let now = Instant::now();
        let mut stalled = BTreeMap::<i32, usize>::new();
        for (_, _, cell) in self.shared.health.partitions() {
            // A broker that throttles us answers no fetch because of that, and is not cut off.
            if let Some(broker) = cell.stalled_at(now)
                && self.shared.health.throttling(broker, now).is_none()
            {
                *stalled.entry(broker).or_default() += 1;
            }
        }
        let most = stalled.into_iter().max_by_key(|(_, partitions)| *partitions);
        let address = most.and_then(|(broker, _)| brokers.get(&broker)?.parse().ok());
        if let Some(address) = address {
            // The supervisor may have ended.
            let _ = self.events.send(SupervisorEvent::Stalled(address));
        }
    }

    /// Returns the description by each broker that answers.
    fn describe_each(&self, reader: &KafkaReader, brokers: &[i32]) -> Vec<(i32, TopicDescriptions)> {
        let answers = reader.describe_topics_by(brokers, &self.topics, ANSWER_TIMEOUT);
        let descriptions = brokers.iter().zip(answers).filter_map(|(id, answer)| {
            let view = answer.ok()?;
            self.shared.health.record_answer(*id, Instant::now());
            Some((*id, view))
        });
        descriptions.collect()
    }

    /// Returns the broker to check through, and the partitions. Partitions for which a broker names another leader than the one
    /// that is fetched from come first. Now and then all idle partitions are checked, because our own client can be the one
    /// that is stuck.
    fn next_check(&mut self, views: &[(i32, TopicDescriptions)]) -> Option<(i32, SuspectPartitions)> {
        let idle = self.idle_partitions();
        if let Some(contradicted) = find_contradiction(&self.topics, views, &idle) {
            return Some(contradicted);
        }
        let throttled = idle.iter().any(|(_, _, from)| self.is_throttled(*from));
        let pause = if throttled { CHECK_EVERY } else { ROUTINE_EVERY };
        if idle.is_empty() || self.last_routine.elapsed() < pause {
            return None;
        }
        self.last_routine = Instant::now();
        self.next = self.next.wrapping_add(1);
        let (via, _) = views.get(self.next % views.len().max(1))?;
        Some((*via, partitions_of(idle.iter())))
    }

    /// Returns the partitions whose high watermark has not moved for a while, each with the broker it is fetched from.
    fn idle_partitions(&self) -> Vec<IdlePartition> {
        let partitions = self.shared.health.partitions().into_iter();
        partitions
            .filter_map(|(topic, number, cell)| {
                let (since, _, from) = cell.still_since()?;
                let elapsed = since.elapsed();
                let is_still =
                    elapsed >= IDLE_AFTER || (elapsed >= IDLE_AFTER_THROTTLED && self.is_throttled(from));
                is_still.then_some((topic, number, from))
            })
            .collect()
    }

    /// Returns whether this broker delays us for a quota.
    fn is_throttled(&self, broker: Option<i32>) -> bool {
        let pause = broker.and_then(|broker| self.shared.health.throttling(broker, Instant::now()));
        pause.is_some()
    }

    /// Asks the leaders that broker `via` names for the ends of these partitions, and reports the ends to health.
    fn check_via(&self, via: i32, address: &str, suspects: SuspectPartitions) {
        let (shared, kind) = (&self.shared, ClientKind::OneShot);
        let mut config = client_config(&shared.settings, kind, shared.profile);
        config.set("bootstrap.servers", address);
        let context = Context::new(shared, kind);
        let opened = KafkaReader::open(&config, context, &shared.identity, self.shutdown_guard.clone());
        let Ok(reader) = opened else { return };
        for (partition, high) in log_ends(&reader, suspects) {
            if let Some(cell) = self.shared.health.partition(&partition.0, partition.1) {
                cell.seen_elsewhere(OtherWatermark { via, high }, Instant::now());
            }
        }
        reader.poll_events();
    }
}

/// Returns the ends of these partitions. All are asked in one request if that succeeds. One partition that is refused spoils
/// the answer for all; then a few are asked one by one.
fn log_ends(reader: &KafkaReader, partitions: SuspectPartitions) -> Vec<((Arc<str>, i32), i64)> {
    if let Ok(found) = reader.query_offsets(&partitions, OffsetSpec::End, CHECK_TIMEOUT) {
        let pairs = partitions.into_iter().zip(found);
        let ends = pairs.filter_map(|(partition, found)| Some((partition, found.ok()?.offset?)));
        return ends.collect();
    }
    let ask = |partition: (Arc<str>, i32)| {
        let one = std::slice::from_ref(&partition);
        let found = reader.query_offsets(one, OffsetSpec::End, CHECK_TIMEOUT / 4);
        let end = found.ok()?.pop()?.ok()?.offset?;
        Some((partition, end))
    };
    let few = partitions.into_iter().take(MAX_SINGLE_QUERIES);
    few.filter_map(ask).collect()
}

/// The longest wait of a turn. librdkafka expects a poll every second.
const POLL_TIMEOUT: Duration = Duration::from_millis(250);

/// How often every broker is asked, which costs a few bytes each. Two lost answers in a row make a broker unreachable.
const CHECK_EVERY: Duration = Duration::from_secs(3);

/// The timeout of an answer, as of any request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// After this time without a new high watermark a partition is idle: longer than an election, and than statistics need to show
/// a record. With the confirmation that health waits for, and a turn lost on the broker that leads us astray, a stall is
/// reported in 20 s.
const IDLE_AFTER: Duration = Duration::from_secs(5);

/// The same where a quota may delay records. That a quota delays records is reported in 10 s, of which a turn and the
/// confirmation take 8.
const IDLE_AFTER_THROTTLED: Duration = Duration::from_millis(1500);

/// A client that no broker has answered for this time is replaced. It may know only brokers that are gone; a new one begins
/// with the bootstrap list.
const REOPEN_AFTER: Duration = Duration::from_secs(30);

/// How often idle partitions are checked while no broker names another leader: most of them just have no new records. Where a
/// quota may delay records they are checked each turn.
const ROUTINE_EVERY: Duration = Duration::from_secs(15);

/// The time for a one-shot client to connect, fetch metadata and ask.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// The most partitions that are asked one by one. A check must not take longer than the pause before the next one.
const MAX_SINGLE_QUERIES: usize = 4;
