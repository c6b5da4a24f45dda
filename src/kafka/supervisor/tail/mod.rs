//! The tail: reads every partition of a cluster at its end, once for all clients of riverhead, on one thread.
//!
//! Not here: where a partition's tail begins (`supervisor::tail_start`), and the search for damaged records (`damage`).

mod faults;
mod partition;
mod run;
mod stuck;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, mpsc},
    time::Instant,
};

use super::event::SessionLink;
use crate::{
    kafka::{
        client::{
            large_records::LargeRecords,
            raw::{KafkaQueue, KafkaReader, QueueWaker, TopicRef},
        },
        shared::ClusterShared,
        threads,
    },
    partition::{PartitionLog, TopicPartition},
};
use partition::PartitionTail;
use stuck::StuckPartitions;

/// The handle of the tail's thread. Dropping it ends the thread.
pub(super) struct Tail {
    commands: mpsc::Sender<TailCommand>,
    waker: QueueWaker,
}

/// A command to the tail's thread.
enum TailCommand {
    Start(Arc<PartitionLog>),
    Stop(TopicPartition),
    /// Forget topics that are not read any more, and whose partitions were stopped.
    Forget(Vec<Arc<str>>),
}

/// The state of the tail's thread.
struct TailWorker {
    reader: KafkaReader,
    queue: KafkaQueue,
    slots: HashMap<(TopicRef, i32), PartitionTail>,
    /// The partitions that got records in this turn.
    touched: Vec<(TopicRef, i32)>,
    large: LargeRecords,
    /// Bytes of the values read in this turn, which are in no ring yet, and in no budget.
    unflushed: usize,
    shared: ClusterShared,
    link: SessionLink,
    last_reject_logged: Option<Instant>,
    stuck: StuckPartitions,
    /// When the statistics were last checked.
    checked_at: Instant,
}

impl Tail {
    /// Starts the thread, which reads no partition yet.
    ///
    /// # Errors
    /// Returns an error if the system cannot start a thread.
    pub(super) fn spawn(
        reader: KafkaReader,
        queue: KafkaQueue,
        shared: &ClusterShared,
        link: SessionLink,
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
            shared: shared.clone(),
            link: link.clone(),
            last_reject_logged: None,
        };
        // Records that were read but not yet appended when it panics are read again by the next session.
        link.spawn(threads::TAIL, shared, move || worker.run(&inbox))?;
        Ok(Self { commands, waker })
    }

    /// Reads the partition from the end of `log` on, and appends to it.
    pub(super) fn start(&self, log: Arc<PartitionLog>) {
        self.send(TailCommand::Start(log));
    }

    /// Stops reading this partition.
    pub(super) fn stop(&self, partition: TopicPartition) {
        self.send(TailCommand::Stop(partition));
    }

    /// Forgets topics that are not read any more, after their partitions were stopped, and removes their metrics.
    pub(super) fn forget(&self, topics: Vec<Arc<str>>) {
        self.send(TailCommand::Forget(topics));
    }

    fn send(&self, command: TailCommand) {
        if self.commands.send(command).is_ok() {
            self.waker.wake();
        }
    }
}
