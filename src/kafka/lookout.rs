//! Watches a cluster's topology: its id, the topics' ids, partitions and leaders.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use parking_lot::RwLock;
use rdkafka::types::RDKafkaErrorCode;

use super::{
    backoff::Backoff,
    cluster::Notice,
    reader::{Reader, Token, TopicInfo},
};
use crate::partition::TopicPartition;

/// What one look showed.
#[derive(Debug)]
pub(super) struct Topology {
    /// The cluster's id.
    pub(super) cluster_id: Arc<str>,
    /// Each topic, in the order asked for.
    pub(super) topics: Vec<Result<TopicInfo, RDKafkaErrorCode>>,
}

/// Asks for a look before its time. Dropping it ends the thread.
pub(super) struct Lookout(mpsc::Sender<()>);

impl Lookout {
    /// Starts the thread; its first look is at once.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn spawn(
        reader: Reader,
        topics: Vec<Arc<str>>,
        notices: mpsc::Sender<Notice>,
        token: Token,
    ) -> io::Result<Self> {
        let (nudge, nudges) = mpsc::channel();
        let watch = Watch {
            reader,
            topics,
            cluster_id: None,
        };
        thread::Builder::new()
            .name("kafka-lookout".to_owned())
            .spawn(move || {
                watch.run(&nudges, &notices);
                drop(token);
            })?;
        Ok(Self(nudge))
    }

    /// Looks again now.
    pub(super) fn look(&self) {
        let _ = self.0.send(());
    }
}

/// A thread of its own, so that a mute broker that a look has to wait for holds up nothing else.
struct Watch {
    reader: Reader,
    topics: Vec<Arc<str>>,
    cluster_id: Option<Arc<str>>,
}

impl Watch {
    fn run(mut self, nudges: &mpsc::Receiver<()>, notices: &mpsc::Sender<Notice>) {
        let mut backoff = Backoff::new(RETRY_FIRST, EVERY);
        loop {
            let pause = match self.look() {
                Ok(topology) => {
                    backoff.reset();
                    if notices.send(Notice::Topology(topology)).is_err() {
                        return;
                    }
                    EVERY
                }
                Err(code) => {
                    self.reader.count(code);
                    if notices.send(Notice::Silence).is_err() {
                        return;
                    }
                    backoff.step()
                }
            };
            match nudges.recv_timeout(pause) {
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                // What many partitions ask for at once is one look.
                Ok(()) => while nudges.try_recv().is_ok() {},
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn look(&mut self) -> Result<Topology, RDKafkaErrorCode> {
        let cluster_id = match &self.cluster_id {
            Some(id) => Arc::clone(id),
            None => self
                .reader
                .cluster_id(ANSWER)
                .ok_or(RDKafkaErrorCode::AllBrokersDown)?
                .into(),
        };
        let topics = self.reader.describe(&self.topics, ANSWER)?;
        self.cluster_id = Some(Arc::clone(&cluster_id));
        Ok(Topology { cluster_id, topics })
    }
}

/// Who leads each partition, as the last look showed: which history reader to ask.
#[derive(Debug, Default)]
pub(super) struct Leaders(RwLock<HashMap<Arc<str>, Vec<Option<i32>>>>);

impl Leaders {
    /// The broker that leads this partition; `None` while nobody does, or nothing is known.
    pub(super) fn of(&self, partition: &TopicPartition) -> Option<i32> {
        let leaders = self.0.read();
        let at = usize::try_from(partition.partition).ok()?;
        *leaders.get(&partition.topic)?.get(at)?
    }

    /// Takes what a look has shown.
    pub(super) fn set(&self, topic: &Arc<str>, leaders: &[Option<i32>]) {
        self.0.write().insert(Arc::clone(topic), leaders.to_vec());
    }
}

/// The only sign of a topic that was deleted and created again with a longer log is its id, and of added partitions their
/// number: until the next look records of the new log pass as the old one's. One small request each time.
const EVERY: Duration = Duration::from_secs(2);

const RETRY_FIRST: Duration = Duration::from_millis(100);

/// One look may sit on a mute broker; the next asks another.
const ANSWER: Duration = Duration::from_secs(2);
