//! History reads, routed to the cluster from which a topic is read now.
//!
//! Not here: the choice of that cluster (`failover`).

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;

use super::group::ActiveIndex;
use crate::{
    catalog::StreamGroup,
    client::ClientKey,
    kafka::connect::Cluster,
    partition::{Bounds, History, HistoryError, HistoryFuture, Page, PartitionLog},
    position::{Offset, Timestamp},
};

/// Topic to its clusters. Both change at run time.
#[derive(Default)]
pub(super) struct HistoryRouter(RwLock<Routes>);

#[derive(Default)]
struct Routes {
    routes: HashMap<Arc<str>, TopicRoute>,
    /// The histories of all clusters, each once.
    all: Vec<Arc<dyn History>>,
}

/// A topic's clusters in order of preference, and the one it is read from.
#[derive(Clone)]
struct TopicRoute {
    histories: Vec<Arc<dyn History>>,
    active: ActiveIndex,
}

impl HistoryRouter {
    /// Routes all topics in `groups`, and no others.
    pub(super) fn set<'a>(
        &self,
        groups: impl Iterator<Item = (&'a StreamGroup, &'a ActiveIndex)>,
        clusters: &[Cluster],
    ) {
        let history = |name: &Arc<str>| {
            let cluster = clusters.iter().find(|cluster| cluster.name() == &**name);
            cluster.map(Cluster::history)
        };
        let routes = groups.flat_map(|(group, active)| {
            let route = TopicRoute {
                histories: group.clusters.iter().filter_map(history).collect(),
                active: active.clone(),
            };
            let topics = group.topics.iter().cloned();
            topics.map(move |topic| (topic, route.clone()))
        });
        let routes = Routes {
            routes: routes.collect(),
            all: clusters.iter().map(Cluster::history).collect(),
        };
        *self.0.write() = routes;
    }

    /// Runs a call on the cluster that is read now. A log of the previous cluster is marked as replaced, so every call for it
    /// fails.
    fn ask<T: Send + 'static>(
        &self,
        log: &Arc<PartitionLog>,
        ask: impl FnOnce(&dyn History) -> HistoryFuture<T>,
    ) -> HistoryFuture<T> {
        match self.active(log) {
            Some(history) => ask(&*history),
            None => Box::pin(std::future::ready(Err(HistoryError::Unavailable))),
        }
    }

    /// Returns the history of the cluster that is read now.
    fn active(&self, log: &PartitionLog) -> Option<Arc<dyn History>> {
        let routes = self.0.read();
        let route = routes.routes.get(&log.partition().topic)?;
        route.histories.get(route.active.get()).cloned()
    }
}

impl History for HistoryRouter {
    fn page(&self, log: &Arc<PartitionLog>, offset: Offset, client: ClientKey) -> HistoryFuture<Arc<Page>> {
        self.ask(log, |history| history.page(log, offset, client))
    }

    fn page_at_hand(&self, log: &Arc<PartitionLog>, offset: Offset) -> Option<Arc<Page>> {
        self.active(log)?.page_at_hand(log, offset)
    }

    fn bounds(&self, log: &Arc<PartitionLog>) -> HistoryFuture<Bounds> {
        self.ask(log, |history| history.bounds(log))
    }

    fn first_at(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
        client: ClientKey,
    ) -> HistoryFuture<Option<Offset>> {
        self.ask(log, |history| history.first_at(log, time, client))
    }

    fn first_at_hand(&self, log: &Arc<PartitionLog>, time: Timestamp) -> Option<Offset> {
        self.active(log)?.first_at_hand(log, time)
    }

    fn drop_deleted(&self, log: &Arc<PartitionLog>) {
        if let Some(history) = self.active(log) {
            history.drop_deleted(log);
        }
    }

    fn bytes(&self) -> usize {
        let routes = self.0.read();
        routes.all.iter().map(|history| history.bytes()).sum()
    }
}
