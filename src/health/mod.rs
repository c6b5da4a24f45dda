//! The health of clusters, brokers, partitions and streams: cells that `kafka` writes and `http` reads.
//!
//! `kafka` writes what it sees, with the time; this module has no timer. A cell is judged when it is read, against the
//! reader's clock. So a writer that died shows by itself: its last facts grow old. There are three states and no fourth: a
//! state that cannot be determined within its deadline is failing.
//!
//! Not here: the requests to brokers (`kafka`), and the HTTP response with a report (`http::routes::admin`).

mod advertised;
mod bootstrap;
mod broker;
mod cause;
mod cluster;
mod fault;
mod fetch_statistics;
mod partition;
mod readiness;
mod report;
mod state;
mod stream;
mod stream_config;
mod topic;

pub use broker::BrokerConnection;
pub use cluster::ClusterHealth;
pub use fault::{FaultEvent, FaultSource};
pub use fetch_statistics::FetchStatistics;
pub use partition::{OtherWatermark, PartitionHealth};
pub use readiness::Readiness;
pub use report::{
    BrokerReport, ClusterReport, HealthReport, PartitionReport, StreamConfigReport, StreamReport, TlsReport,
    TopicReport,
};
pub use state::{HealthState, Verdict};
pub use stream::ExpectedStream;
pub use stream_config::StreamConfigHealth;
pub use topic::TopicFault;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use parking_lot::RwLock;

/// All cells of a process. Clones share the same cells.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<HealthInner>);

#[derive(Debug, Default)]
struct HealthInner {
    clusters: RwLock<BTreeMap<Arc<str>, Arc<ClusterHealth>>>,
    streams: RwLock<Vec<ExpectedStream>>,
    /// Each listener with TLS, and what an operator should know of its certificates.
    tls: RwLock<BTreeMap<&'static str, Option<String>>>,
    /// `None` if no streams are configured elsewhere.
    stream_config: RwLock<Option<StreamConfigHealth>>,
}

impl Health {
    /// Returns health without any cells.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the cell of the cluster called `name`, which is read from `now` on. `bootstrap` is its list, as `host:port`. An
    /// existing cell keeps its facts.
    pub fn cluster(&self, name: &Arc<str>, bootstrap: Vec<String>, now: Instant) -> Arc<ClusterHealth> {
        let mut clusters = self.0.clusters.write();
        let cell = clusters
            .entry(Arc::clone(name))
            .or_insert_with(|| Arc::new(ClusterHealth::new(Arc::clone(name), now)));
        cell.set_bootstrap(bootstrap);
        Arc::clone(cell)
    }

    /// Removes the cell of a cluster that is not read any more.
    pub fn remove_cluster(&self, name: &str) {
        self.0.clusters.write().remove(name);
    }

    /// Sets the streams of the catalog.
    pub fn set_streams(&self, streams: Vec<ExpectedStream>) {
        *self.0.streams.write() = streams;
    }

    /// Sets what an operator should know of the certificates that a listener serves: `None` if they are as they should be.
    pub fn set_tls(&self, listener: &'static str, complaint: Option<String>) {
        self.0.tls.write().insert(listener, complaint);
    }

    /// Sets what is known of the streams that are configured elsewhere: `None` if there are none.
    pub fn set_stream_config(&self, known: Option<StreamConfigHealth>) {
        *self.0.stream_config.write() = known;
    }

    /// Returns whether every cluster that streams are read from has told its topology, and is trusted.
    pub fn is_described(&self) -> bool {
        let clusters = self.0.clusters.read();
        clusters.values().all(|cluster| cluster.is_described())
    }

    /// Judges everything and returns the report.
    pub fn report(&self, now: Instant) -> HealthReport {
        let clusters: Vec<_> = self.0.clusters.read().values().cloned().collect();
        let streams = self.0.streams.read();
        let quiet = stream::QuietStreams::of(&streams, &clusters, now);
        let mut clusters: Vec<_> = clusters.iter().map(|cell| cell.report(now)).collect();
        quiet.degrade(&mut clusters);
        clusters.iter_mut().for_each(ClusterReport::settle);
        let streams = streams.iter().map(|stream| stream.report(&clusters, &quiet));
        let streams: Vec<_> = streams.collect();
        let tls = self.0.tls.read();
        let tls = tls
            .iter()
            .map(|(listener, complaint)| TlsReport::new(listener, complaint.as_deref()));
        let tls: Vec<_> = tls.collect();
        let stream_config = self.0.stream_config.read();
        let stream_config = stream_config.as_ref().map(|known| known.report(now));
        let Verdict { state, reason } = report::overall(&clusters, &streams, &tls, stream_config.as_ref());
        HealthReport {
            state,
            reason,
            streams,
            clusters,
            tls,
            stream_config,
        }
    }
}

#[cfg(test)]
mod tests;
