//! The brokers, their producers and their readers: everything that the nemesis acts on.

use std::{
    fmt, io, thread,
    time::{Duration, Instant},
};

use riverhead_brokers::{
    Acks, Cluster, Corruption, Ledger, NewTopic, Producer, Running, Segment, StoredBatch, scaled,
};

use super::{
    form::key,
    keeper::GatewayRunner,
    truth::{CommittedRecords, Partition},
    witness::read_committed,
};
use crate::progress::Progress;

/// Everything that the nemesis acts on.
pub(super) struct NemesisSetup<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) keeper: GatewayRunner,
    pub(super) topics: Vec<Topic>,
    pub(super) truth: CommittedRecords,
    pub(super) chronicle: EventHistory,
    pub(super) transaction: Transaction,
    pub(super) spoiled: Option<(Segment, StoredBatch)>,
}

/// A transaction.
#[derive(Debug, Default)]
pub(super) enum Transaction {
    #[default]
    None,
    /// An open transaction, whose producer will end it.
    Open(Producer),
    /// An open transaction whose producer, with this id, is gone.
    Left(String),
}

/// A topic and its producer.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    /// The number of partitions; 0 while the topic is deleted.
    pub(super) partitions: usize,
    /// Records per second.
    rate: f64,
    writer: Option<Running>,
    /// The highest acknowledged offset of each partition in this incarnation.
    acknowledged: Vec<i64>,
}

/// The acts, with their times.
pub(super) struct EventHistory {
    pub(super) clock: Instant,
    progress: Progress,
    pub(super) acts: Vec<(Duration, String)>,
}

impl EventHistory {
    pub(super) fn new(clock: Instant, progress: Progress) -> Self {
        Self {
            clock,
            progress,
            acts: Vec::new(),
        }
    }

    /// Records the start of an act.
    pub(super) fn note(&mut self, act: impl fmt::Display) {
        self.progress.say(format_args!("nemesis: {act}"));
        self.acts.push((self.clock.elapsed(), act.to_string()));
    }
}

impl Topic {
    /// Creates a topic that does not exist on the brokers yet.
    pub(super) fn new(name: String, rate: f64) -> Self {
        Self {
            name,
            partitions: 0,
            rate,
            writer: None,
            acknowledged: Vec::new(),
        }
    }
}

impl NemesisSetup<'_> {
    /// Creates a topic with this many partitions and its own configuration.
    pub(super) fn create(&mut self, topic: usize, partitions: usize) {
        let it = &mut self.topics[topic];
        if topic == CUT {
            let replicas: Vec<&[i32]> = [&[1, 2][..], &[2, 1]]
                .into_iter()
                .cycle()
                .take(partitions)
                .collect();
            let new = NewTopic::with_replicas(&it.name, &replicas);
            self.cluster.create(
                &new.config("unclean.leader.election.enable", "true")
                    .config("min.insync.replicas", "1"),
            );
        } else {
            self.cluster.create_topic(&it.name, partitions);
        }
        it.partitions = partitions;
        it.acknowledged = vec![-1; partitions];
    }

    /// Grants the gateway these rights for a topic, and no others.
    pub(super) fn allow(&self, topic: usize, rights: &[&str]) {
        self.cluster.allow(USER, &self.topics[topic].name, rights);
    }

    /// Changes a batch on a disk.
    pub(super) fn spoil(&mut self, segment: Segment, batch: StoredBatch) {
        segment.spoil(batch, Corruption::Payload);
        self.spoiled = Some((segment, batch));
    }

    /// Restores the batch.
    pub(super) fn repair(&mut self) {
        if let Some((segment, batch)) = self.spoiled.take() {
            segment.spoil(batch, Corruption::Payload);
        }
    }

    /// Returns whether a batch is damaged now.
    pub(super) fn is_damaged(&self) -> bool {
        self.spoiled.is_some()
    }

    /// Adds a partition to a topic.
    pub(super) fn grow(&mut self, topic: usize) {
        let it = &mut self.topics[topic];
        it.partitions += 1;
        it.acknowledged.push(-1);
        self.cluster.add_partitions(&it.name, it.partitions);
    }

    /// Starts the producer of a topic.
    pub(super) fn write(&mut self, topic: usize) {
        let it = &mut self.topics[topic];
        if it.partitions == 0 || it.writer.is_some() {
            return;
        }
        let producer = self.cluster.producer(&it.name).rate(it.rate);
        let producer = producer
            .key(|number| key(number).to_string())
            .property("linger.ms", "5");
        it.writer = Some(producer.start().run());
    }

    /// Writes this many records to a topic without a running producer. Each is acknowledged by the leader
    /// alone.
    pub(super) fn write_to_leaders(&mut self, topic: usize, records: u64) {
        let producer = self.cluster.producer(&self.topics[topic].name);
        let producer = producer.key(|number| key(number).to_string());
        // A record that is written again would be there twice.
        let mut producer = producer.acks(Acks::Leader).property("retries", "0").start();
        producer.send(records);
        let ledger = producer.finish();
        self.acknowledge(topic, &ledger);
    }

    /// Writes to a topic in a transaction, and leaves it open. If it is to hang, its producer is gone too.
    pub(super) fn transact(&mut self, topic: usize, hangs: bool) {
        let id = format!("{}-{}", self.topics[topic].name, self.chronicle.acts.len());
        let mut producer = self.transactional(topic, &id);
        producer.begin();
        producer.send(IN_A_TRANSACTION);
        producer.flush();
        self.transaction = match hangs {
            true => Transaction::Left(id),
            false => Transaction::Open(producer),
        };
    }

    /// Ends the open transaction.
    pub(super) fn end_transaction(&mut self, topic: usize, commits: bool) {
        match std::mem::take(&mut self.transaction) {
            Transaction::None => {}
            // The next producer of this id aborts what the previous one left open.
            Transaction::Left(id) => drop(self.transactional(topic, &id)),
            Transaction::Open(mut producer) if commits => {
                producer.commit();
                self.acknowledge(topic, &producer.finish());
            }
            Transaction::Open(mut producer) => producer.abort(),
        }
    }

    /// Returns whether a transaction is open. Records after its start cannot be read yet.
    pub(super) fn is_transacting(&self) -> bool {
        !matches!(self.transaction, Transaction::None)
    }

    fn transactional(&self, topic: usize, id: &str) -> Producer {
        let producer = self.cluster.producer(&self.topics[topic].name).transactional();
        let producer = producer.key(|number| key(number).to_string());
        producer.property("transactional.id", id).start()
    }

    /// Ends the producer of a topic, and waits until its records are acknowledged.
    pub(super) fn hush(&mut self, topic: usize) {
        if let Some(writer) = self.topics[topic].writer.take() {
            let ledger = writer.finish();
            self.acknowledge(topic, &ledger);
        }
    }

    /// Records what brokers have acknowledged. A plain consumer must read at least so far.
    pub(super) fn acknowledge(&mut self, topic: usize, ledger: &Ledger) {
        for (partition, acked) in &ledger.partitions {
            let last = acked.iter().map(|acked| acked.offset).max().unwrap_or(-1);
            if let Some(known) = self.topics[topic].acknowledged.get_mut(*partition as usize) {
                *known = last.max(*known);
            }
        }
    }

    /// Reads a topic up to its end with a plain consumer, and at least up to what was acknowledged.
    ///
    /// # Errors
    /// If the topic cannot be read that far.
    pub(super) fn read_up(&mut self, topic: usize) -> io::Result<()> {
        let deadline = Instant::now() + scaled(READ_UP);
        loop {
            let it = &self.topics[topic];
            let at = |number| self.truth.next(Partition { topic, number });
            let from: Vec<_> = (0..it.partitions as i32).map(at).collect();
            if from.is_empty() {
                return Ok(());
            }
            for record in read_committed(self.cluster, &it.name, &from)? {
                let number = record.partition;
                let partition = Partition { topic, number };
                self.truth.add(partition, record.offset, record.number);
            }
            let acknowledged = self.topics[topic].acknowledged.iter();
            let behind = (0..).zip(acknowledged).find(|(number, last)| {
                self.truth.next(Partition {
                    topic,
                    number: *number,
                }) <= **last
            });
            match behind {
                None => return Ok(()),
                Some(behind) if Instant::now() > deadline => {
                    let name = &self.topics[topic].name;
                    let told = format!("{name}: a plain consumer lacks acknowledged records: {behind:?}");
                    return Err(io::Error::new(io::ErrorKind::TimedOut, told));
                }
                // A leader that was elected a moment ago learns the high watermark from its followers.
                Some(_) => thread::sleep(AGAIN),
            }
        }
    }

    /// Records after this offset are no longer acknowledged.
    pub(super) fn forget_behind(&mut self, partition: Partition, end: i64) {
        if let Some(last) = self.topics[partition.topic]
            .acknowledged
            .get_mut(partition.number as usize)
        {
            *last = (*last).min(end - 1);
        }
    }

    /// All acknowledged records of a topic are gone with it.
    pub(super) fn forget(&mut self, topic: usize) {
        self.topics[topic].partitions = 0;
        self.topics[topic].acknowledged.clear();
    }

    /// Returns the names of all topics.
    pub(super) fn names(&self) -> Vec<String> {
        self.topics.iter().map(|topic| topic.name.clone()).collect()
    }
}

/// The gateway's user name at the brokers.
pub(super) const USER: &str = "gateway";

pub(super) const PASSWORD: &str = "secret";

/// The gateway's rights on a topic.
pub(super) const READER: &[&str] = &["READ", "DESCRIBE"];

/// The topic with unclean elections. It is on the brokers 1 and 2.
pub(super) const CUT: usize = 2;

/// The topic that is deleted and created again.
pub(super) const RECREATED: usize = 3;

/// The number of topics.
pub(super) const TOPICS: usize = 4;

/// The streams and their topics. Each topic is in two streams.
pub(super) const STREAMS: [(&str, &[usize]); 3] = [
    ("one", &[0, 1, CUT]),
    ("two", &[1, CUT, RECREATED]),
    ("three", &[0, RECREATED]),
];

/// The longest time until a plain consumer has read everything after an election.
const READ_UP: Duration = Duration::from_secs(60);

/// The number of records of a transaction.
const IN_A_TRANSACTION: u64 = 30;

const AGAIN: Duration = Duration::from_millis(100);
