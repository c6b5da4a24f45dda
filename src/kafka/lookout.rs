//! Watches a cluster's topology: its id, the topics' ids, partitions and leaders.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use parking_lot::RwLock;
use rdkafka::types::RDKafkaErrorCode;

use super::{
    backoff::Backoff,
    cluster::Notice,
    connect::Shared,
    guard::{self, Guard},
    origin::{Foreign, Introduced},
    reader::{Reader, Token, TopicInfo},
    session::SessionNumber,
};
use crate::partition::TopicPartition;

/// What one look showed.
#[derive(Clone, Debug)]
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
        shared: Shared,
        session: SessionNumber,
        notices: mpsc::Sender<Notice>,
        token: Token,
    ) -> io::Result<Self> {
        let (nudge, nudges) = mpsc::channel();
        let watch = Watch {
            reader,
            topics,
            shared,
            session,
            home: None,
        };
        let guard = Guard::new(&watch.shared, guard::LOOKOUT);
        thread::Builder::new()
            .name(guard::LOOKOUT.to_owned())
            .spawn(move || {
                if guard.catch(|| watch.run(&nudges, &notices)).is_none() {
                    let _ = notices.send(Notice::Panicked(session));
                }
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
    shared: Shared,
    session: SessionNumber,
    /// What the cluster said of itself; `None` before it did, and after a look that showed nothing.
    home: Option<Home>,
}

/// A cluster that is the one that is read, as far as is known.
struct Home {
    cluster_id: Arc<str>,
    asked: Instant,
}

/// Why a look showed nothing.
enum Blind {
    Silence(RDKafkaErrorCode),
    Foreign(Foreign),
}

impl Watch {
    fn run(mut self, nudges: &mpsc::Receiver<()>, notices: &mpsc::Sender<Notice>) {
        let mut backoff = Backoff::new(RETRY_FIRST, EVERY);
        loop {
            #[cfg(test)]
            guard::trip(&self.shared.cluster);
            let began = Instant::now();
            let (pause, notice) = match self.look() {
                Ok(topology) => {
                    backoff.reset();
                    (EVERY, Notice::Topology(topology))
                }
                Err(Blind::Silence(code)) => {
                    self.reader.count(code);
                    (backoff.step(), Notice::Silence)
                }
                Err(Blind::Foreign(foreign)) => (EVERY, Notice::Foreign(self.session, foreign)),
            };
            if notices.send(notice).is_err() {
                return;
            }
            match nudges.recv_timeout(pause) {
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                // What many partitions ask for at once is one look, and what they ask for without end are few.
                Ok(()) => {
                    thread::sleep(RETRY_FIRST.saturating_sub(began.elapsed()));
                    while nudges.try_recv().is_ok() {}
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn look(&mut self) -> Result<Topology, Blind> {
        // Put back only when all was answered: topics are asked of the controller that the newest answer named, and if it is
        // gone, only home, which any broker answers, names another.
        let home = match self.home.take() {
            Some(home) if home.asked.elapsed() < HOME_EVERY => home,
            _ => self.ask_home()?,
        };
        let topics = self.reader.describe(&self.topics, ANSWER)?;
        // This answer, too, says which cluster it is of.
        if let Some(foreign) = self.reader.foreign() {
            return Err(Blind::Foreign(foreign));
        }
        let cluster_id = Arc::clone(&home.cluster_id);
        self.home = Some(home);
        Ok(Topology { cluster_id, topics })
    }

    fn ask_home(&self) -> Result<Home, Blind> {
        let Some(any) = self.topics.first() else {
            return Err(Blind::Silence(RDKafkaErrorCode::InvalidTopic));
        };
        let asked = Instant::now();
        let (told, Introduced { by, brokers }) = self.reader.home(any, ANSWER)?;
        self.shared.health.introduced(&by, brokers, Instant::now());
        let cluster_id = Arc::clone(&told.cluster_id);
        // Before anything else of it is believed.
        self.shared.origin.hear(told)?;
        Ok(Home { cluster_id, asked })
    }
}

impl From<RDKafkaErrorCode> for Blind {
    fn from(code: RDKafkaErrorCode) -> Self {
        Self::Silence(code)
    }
}

impl From<Foreign> for Blind {
    fn from(foreign: Foreign) -> Self {
        Self::Foreign(foreign)
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

    /// Returns how many brokers lead a partition.
    pub(super) fn brokers(&self) -> usize {
        let topics = self.0.read();
        let leaders: HashSet<_> = topics.values().flatten().flatten().collect();
        leaders.len()
    }

    /// Takes what a look has shown.
    pub(super) fn set(&self, topic: &Arc<str>, leaders: &[Option<i32>]) {
        self.0.write().insert(Arc::clone(topic), leaders.to_vec());
    }
}

/// The only sign of a topic that was deleted and created again with a longer log is its id, and of added partitions their
/// number: until the next look records of the new log pass as the old one's. One small request each time.
const EVERY: Duration = Duration::from_secs(2);

/// How often the cluster is asked for its brokers, which are where to begin when all that are connected are gone: what is noted
/// of them may be this old. Asked at each look, it was 1 % of what 10 records/s bring of a cluster of one broker.
const HOME_EVERY: Duration = Duration::from_secs(10);

const RETRY_FIRST: Duration = Duration::from_millis(100);

/// One look may sit on a mute broker; the next asks another.
const ANSWER: Duration = Duration::from_secs(2);
