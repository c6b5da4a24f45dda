//! The queue of idle connections: those that have sent no request yet, and those between two requests.
//!
//! Not here: connections with a stream, which hold a permit (`open_streams`), and refusals that are held back (`tarpit`).
//!
//! An idle connection costs a file descriptor, and nothing else counts it: a connection with a stream has a permit, and one that
//! is being answered is done soon, or is held in the tarpit, which has a fixed number of slots. If there are too many, of one
//! client or in all, the connection that has been idle for longest is evicted, and not the newest. An honest client sends its
//! request within a moment and stands far from the end of the queue, while an attacker that holds connections open makes up the
//! rest of it. Refusing the newest would leave the slots to the first to come, which is the attacker.

mod list;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::timeout_at};

use self::list::{Capacity, IdleList, Owner};
use super::LimitSettings;
use crate::{client::ClientKey, metrics::LimitMetrics};

/// Counts connections that wait for a request. Clones share one queue.
#[derive(Clone, Debug)]
pub struct IdleConnections(Arc<IdleInner>);

impl IdleConnections {
    /// Creates an empty queue.
    pub fn new(settings: &LimitSettings, metrics: LimitMetrics) -> Self {
        Self::of(Capacity::of(settings), metrics, false)
    }

    /// Creates the empty queue of the admin listener. It has a small capacity whatever the settings, so that filling it leaves
    /// the descriptors of all other connections alone.
    pub(super) fn for_admin(metrics: LimitMetrics) -> Self {
        Self::of(ADMIN, metrics, true)
    }

    fn of(capacity: Capacity, metrics: LimitMetrics, is_admin: bool) -> Self {
        Self(Arc::new(IdleInner {
            list: Mutex::new(IdleList::new(capacity)),
            freed: Notify::new(),
            metrics,
            is_admin,
        }))
    }

    /// Applies another capacity to later connections. No connection is evicted for it.
    pub(super) fn reload(&self, settings: &LimitSettings) {
        self.0.list.lock().capacity = Capacity::of(settings);
    }

    /// Returns a guard for a connection that has not entered yet.
    pub fn guard(&self) -> IdleGuard {
        IdleGuard {
            inner: Arc::clone(&self.0),
            evicted_notify: Arc::default(),
            held: Mutex::default(),
        }
    }

    /// Waits while the queue is full and its oldest connection is still a newcomer. When all clients connect at once, as after a
    /// restart, accepting is faster than answering. The first connections would then be evicted before their requests had been
    /// read.
    pub async fn wait_for_capacity(&self) {
        let oldest = self.0.list.lock().oldest_when_full();
        if let Some(since) = oldest {
            // If the wait times out, the new connection evicts the oldest.
            let _ = timeout_at(since + NEWCOMER_TIME, self.0.freed.notified()).await;
        }
    }

    /// Returns the number of idle connections.
    pub fn count(&self) -> usize {
        self.0.list.lock().by_age.len()
    }
}

/// One connection's registration. Dropping it removes the connection from the queue.
#[derive(Debug)]
pub struct IdleGuard {
    inner: Arc<IdleInner>,
    /// Notified when the connection should check whether it was evicted.
    evicted_notify: Arc<Notify>,
    held: Mutex<Registration>,
}

/// The entry of a connection in the queue.
#[derive(Debug, Default)]
struct Registration {
    owner: Option<Owner>,
    id: Option<u64>,
}

impl IdleGuard {
    /// Enters as a connection of `client`. Another connection may be evicted for it.
    pub fn enter_as(&self, client: ClientKey) {
        self.enter_for(Owner::Client(client));
    }

    /// Enters as a connection of a trusted proxy. Another connection may be evicted for it.
    pub fn enter_as_proxy(&self) {
        self.enter_for(Owner::Proxy);
    }

    fn enter_for(&self, owner: Owner) {
        let mut held = self.held.lock();
        self.inner.leave(held.id.take());
        *held = Registration {
            owner: Some(owner),
            id: Some(self.inner.enter(owner, Arc::clone(&self.evicted_notify))),
        };
    }

    /// Enters again at the end of the queue, after the connection was active. Does nothing if it never entered.
    pub fn enter(&self) {
        let owner = self.held.lock().owner;
        if let Some(owner) = owner {
            self.enter_for(owner);
        }
    }

    /// Leaves the queue: an active connection is counted elsewhere. If it was evicted at the same moment, it may stay open.
    pub fn leave(&self) {
        self.inner.leave(self.held.lock().id.take());
    }

    /// Waits until the connection is evicted.
    pub async fn evicted(&self) {
        while !self.is_evicted() {
            self.evicted_notify.notified().await;
        }
    }

    /// Returns whether its registration is not in the list any more.
    fn is_evicted(&self) -> bool {
        let id = self.held.lock().id;
        id.is_some_and(|id| !self.inner.list.lock().by_age.contains_key(&id))
    }
}

impl Drop for IdleGuard {
    fn drop(&mut self) {
        self.leave();
    }
}

#[derive(Debug)]
struct IdleInner {
    list: Mutex<IdleList>,
    freed: Notify,
    metrics: LimitMetrics,
    is_admin: bool,
}

impl IdleInner {
    fn enter(&self, owner: Owner, evicted_notify: Arc<Notify>) -> u64 {
        let mut list = self.list.lock();
        let id = list.add(owner, evicted_notify);
        if let Some(oldest) = list.oldest_above(list.capacity.per_client, owner) {
            list.evict(oldest);
            self.record_eviction("client");
        } else if list.by_age.len() > list.capacity.total {
            let oldest = list.by_age.keys().next().copied();
            oldest.into_iter().for_each(|oldest| list.evict(oldest));
            self.record_eviction("host");
        }
        self.update_metrics(list.by_age.len());
        id
    }

    fn record_eviction(&self, reason: &'static str) {
        self.metrics
            .sent_away(if self.is_admin { "admin" } else { reason });
    }

    fn update_metrics(&self, waiting: usize) {
        let gauge = match self.is_admin {
            true => &self.metrics.admin_waiting,
            false => &self.metrics.waiting,
        };
        gauge.set(waiting as i64);
    }

    fn leave(&self, id: Option<u64>) {
        let Some(id) = id else { return };
        let mut list = self.list.lock();
        if list.remove(id).is_some() {
            self.update_metrics(list.by_age.len());
            self.freed.notify_one();
        }
    }
}

/// How long a connection is a newcomer. A client's request follows its handshake at once, however slow the line, so this is time
/// for us to read it. With the default length of the list it still admits 20,000 connections a second, so that a client behind an
/// attack of thousands does not wait.
const NEWCOMER_TIME: Duration = Duration::from_millis(25);

/// How many connections to the admin listener may be idle, in all and of one client. It is enough for scrapes of several
/// Prometheus servers, probes of an orchestrator, and people with browsers. Their descriptors are among those that are kept for
/// other things than streams.
const ADMIN: Capacity = Capacity {
    total: 64,
    per_client: 32,
};

#[cfg(test)]
mod tests;
