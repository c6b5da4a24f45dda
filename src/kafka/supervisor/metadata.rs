//! The metadata refresh: asks the cluster for its id and for the topics' ids, partitions and leaders.
//!
//! Not here: what a refresh changes (`topology`), and the outage when it fails (`reachability`).

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::event::{SessionLink, SupervisorEvent, Topology};
use crate::kafka::{
    backoff::Backoff,
    client::raw::KafkaReader,
    identity::cluster::{AdvertisedBrokers, WrongCluster},
    shared::ClusterShared,
    threads,
};

/// The handle of the refreshing thread. Dropping it ends the thread.
pub(super) struct MetadataWatcher(mpsc::Sender<()>);

impl MetadataWatcher {
    /// Starts the thread. Its first refresh is at once.
    ///
    /// # Errors
    /// Returns an error if the system cannot start a thread.
    pub(super) fn spawn(reader: KafkaReader, shared: &ClusterShared, link: SessionLink) -> io::Result<Self> {
        let (refresh_tx, refresh_rx) = mpsc::channel();
        let refresher = MetadataRefresher {
            reader,
            shared: shared.clone(),
            link: link.clone(),
            identified: None,
        };
        let run = move || refresher.run(&refresh_rx);
        link.spawn(threads::METADATA_WATCHER, shared, run)?;
        Ok(Self(refresh_tx))
    }

    /// Requests a refresh now.
    pub(super) fn refresh(&self) {
        let _ = self.0.send(());
    }
}

/// Refreshes the metadata on a thread of its own, so that a broker that does not answer holds up nothing else.
struct MetadataRefresher {
    reader: KafkaReader,
    shared: ClusterShared,
    link: SessionLink,
    /// The identity that the cluster reported; `None` before the first report, and after a failed refresh.
    identified: Option<IdentifiedCluster>,
}

/// A cluster that has been accepted as the one that is read.
struct IdentifiedCluster {
    cluster_id: Arc<str>,
    asked_at: Instant,
}

/// Why a refresh failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum RefreshError {
    NoAnswer(#[from] RDKafkaErrorCode),
    WrongCluster(#[from] WrongCluster),
}

impl MetadataRefresher {
    /// Refreshes the metadata regularly, on request, and with a backoff after a failure, until the handle or the supervisor is
    /// gone.
    fn run(mut self, refresh_rx: &mpsc::Receiver<()>) {
        let mut backoff = Backoff::new(RETRY_FIRST, REFRESH_EVERY);
        loop {
            #[cfg(test)]
            threads::panic_if_requested(&self.shared.cluster);
            let began = Instant::now();
            let (pause, event) = match self.refresh() {
                Ok(topology) => {
                    backoff.reset();
                    (REFRESH_EVERY, SupervisorEvent::Topology(topology))
                }
                Err(RefreshError::NoAnswer(code)) => {
                    self.reader.count_error(code);
                    (backoff.next_delay(), SupervisorEvent::RefreshFailed)
                }
                Err(RefreshError::WrongCluster(wrong_cluster)) => (
                    REFRESH_EVERY,
                    SupervisorEvent::WrongCluster(self.link.number, wrong_cluster),
                ),
            };
            if self.link.events.send(event).is_err() {
                return;
            }
            match refresh_rx.recv_timeout(pause) {
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                // Requests of many partitions at once are answered by one refresh, and endless requests by few.
                Ok(()) => {
                    thread::sleep(RETRY_FIRST.saturating_sub(began.elapsed()));
                    while refresh_rx.try_recv().is_ok() {}
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Refreshes the metadata once, checking that the answers come from the right cluster.
    ///
    /// # Errors
    /// Returns why the refresh failed.
    fn refresh(&mut self) -> Result<Topology, RefreshError> {
        let topics = self.shared.topics.get();
        // Put back only if everything was answered. Topics are asked of the controller that the newest answer named. If that is
        // gone, only the request for the cluster's identity, which any broker answers, names another.
        let identified = match self.identified.take() {
            Some(identified) if identified.asked_at.elapsed() < IDENTIFY_EVERY => identified,
            _ => self.identify(&topics)?,
        };
        let described = self.reader.describe_topics(&topics, ANSWER_TIMEOUT)?;
        // This answer, too, carries the id of its cluster.
        if let Some(wrong_cluster) = self.reader.wrong_cluster() {
            return Err(RefreshError::WrongCluster(wrong_cluster));
        }
        let cluster_id = Arc::clone(&identified.cluster_id);
        self.identified = Some(identified);
        Ok(Topology {
            cluster_id,
            topics: topics.iter().cloned().zip(described).collect(),
        })
    }

    /// Asks the cluster for its id and its brokers.
    ///
    /// # Errors
    /// Returns an error if no broker answers, or if the id is another one than the pinned one.
    fn identify(&self, topics: &[Arc<str>]) -> Result<IdentifiedCluster, RefreshError> {
        let Some(any) = topics.first() else {
            return Err(RefreshError::NoAnswer(RDKafkaErrorCode::InvalidTopic));
        };
        let asked_at = Instant::now();
        let (info, AdvertisedBrokers { by, brokers }) = self.reader.cluster_info(any, ANSWER_TIMEOUT)?;
        self.shared.health.set_advertised(&by, brokers, Instant::now());
        let cluster_id = Arc::clone(&info.cluster_id);
        // Checked before anything else of the answer is used.
        self.shared.identity.accept(info)?;
        Ok(IdentifiedCluster { cluster_id, asked_at })
    }
}

/// How often the metadata is refreshed. The only sign of a topic that was deleted and created again with a longer log is its
/// id, and of added partitions their number. Until the next refresh, records of the new log pass as the old one's. One small
/// request each time.
const REFRESH_EVERY: Duration = Duration::from_secs(2);

/// How often the cluster is asked for its id and brokers. The brokers are where to begin when all connected ones are gone; the
/// saved list may be this old. Asked at each refresh, it was 1 % of the bytes that 10 records/s cause in a cluster of one
/// broker.
const IDENTIFY_EVERY: Duration = Duration::from_secs(10);

/// The first pause after a failed refresh, and the least time between two requested ones.
const RETRY_FIRST: Duration = Duration::from_millis(100);

/// The timeout of a request. One refresh may wait for a broker that does not answer; the next one asks another.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
