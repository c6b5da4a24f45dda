//! The queue of idle connections: those that have sent no request yet, and those between two requests.
//!
//! Not here: connections with a stream, which hold a permit (`open_streams`), and refusals that are held back (`tarpit`).
//!
//! An idle connection costs a file descriptor, and nothing else counts it: a connection with a stream has a permit, and one that
//! is being answered is done soon, or is held in the tarpit, which has a fixed number of slots. If there are too many, of one
//! client or in all, the connection that has been idle for longest is evicted, and not the newest. An honest client sends its
//! request within a moment and stands far from the end of the queue, while an attacker that holds connections open makes up the
//! rest of it. Refusing the newest would leave the slots to the first to come, which is the attacker.
//!
//! A TLS handshake is not done within that moment: it waits for our processors, and for one round trip or two. So each of its
//! steps moves the connection to the end of the queue. A handshake has a few steps, so that nobody stays in the queue by them.

mod list;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout, timeout_at},
};

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

    /// Waits while the queue is full and its oldest connection is still a newcomer, for at most two seconds. When all clients
    /// connect at once, as after a restart, accepting is faster than answering. The first connections would then be evicted before
    /// their requests had been read. Those that are not accepted yet wait in the kernel, and none of them is reset.
    pub async fn wait_for_capacity(&self) {
        let wait = async {
            while let Some(until) = self.0.newcomer_when_full() {
                // Another may be the oldest by then.
                let _ = timeout_at(until, self.0.freed.notified()).await;
            }
        };
        // If the wait times out, the new connection evicts the oldest.
        let _ = timeout(LONGEST_WAIT, wait).await;
    }

    /// Returns the number of idle connections.
    pub fn count(&self) -> usize {
        self.0.list.lock().by_age.len()
    }
}

/// What an idle connection waits for. It decides for how long the connection is a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleWait {
    /// The client's first bytes, or its next request.
    Client,
    /// Our processors, which are to work on its handshake.
    Turn,
    /// The client's answer to what we have written in the handshake, or the request behind it.
    RoundTrip,
}

impl IdleWait {
    fn newcomer_time(self) -> Duration {
        match self {
            Self::Client => NEWCOMER_TIME,
            Self::Turn => TURN_TIME,
            Self::RoundTrip => ROUND_TRIP_TIME,
        }
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

    /// Moves to the end of the queue, because the connection's handshake has gone on and waits for something else now. Does nothing if
    /// the connection is not in the queue, or was evicted.
    pub fn renew(&self, wait: IdleWait) {
        let mut held = self.held.lock();
        if let Some(id) = held.id
            && let Some(id) = self.inner.list.lock().renew(id, wait.newcomer_time())
        {
            held.id = Some(id);
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

    /// Whether the connection was evicted: its registration is not in the list any more.
    pub fn is_evicted(&self) -> bool {
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
    /// Returns until when the oldest connection is a newcomer, if it is one and the list is full.
    fn newcomer_when_full(&self) -> Option<Instant> {
        let oldest = self.list.lock().oldest_when_full();
        oldest.filter(|until| *until > Instant::now())
    }

    fn enter(&self, owner: Owner, evicted_notify: Arc<Notify>) -> u64 {
        let mut list = self.list.lock();
        let id = list.add(owner, evicted_notify, IdleWait::Client.newcomer_time());
        if let Some(oldest) = list.oldest_above(list.capacity.per_client, owner) {
            list.evict(oldest);
            self.record_eviction("client");
        } else if list.by_age.len() > list.capacity.total {
            let first = list.first_to_evict();
            first.into_iter().for_each(|first| list.evict(first));
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

/// How long a connection is a newcomer whose handshake waits for its turn, which is no fault of its client's. With the default length
/// of the list and an RSA key, the turns of all take one processor a second.
const TURN_TIME: Duration = Duration::from_secs(2);

/// How long a connection is a newcomer that was answered in its handshake. It covers a round trip around the world, and a mobile
/// line. With the default length of the list, an attack by many addresses that begin handshakes and end none still lets us accept
/// 1,000 connections a second, about as many as one processor has handshakes for.
const ROUND_TRIP_TIME: Duration = Duration::from_millis(500);

/// How long accepting waits for newcomers. Connections that take turns in being newcomers must not keep all others out.
const LONGEST_WAIT: Duration = TURN_TIME;

/// How many connections to the admin listener may be idle, in all and of one client. It is enough for scrapes of several
/// Prometheus servers, probes of an orchestrator, and people with browsers. Their descriptors are among those that are kept for
/// other things than streams.
const ADMIN: Capacity = Capacity {
    total: 64,
    per_client: 32,
};

#[cfg(test)]
mod tests;
