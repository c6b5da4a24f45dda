//! The queue of idle connections: those that have sent no request yet, and those between two requests.
//!
//! Not here: connections with a stream, which hold a permit (`open_streams`), and refusals that are held back (`tarpit`).
//!
//! An idle connection costs a file descriptor, and nothing else counts it: a connection with a stream has a permit, and one that
//! is being answered is done soon, or is held in the tarpit, which has a fixed number of slots. If there are too many, of one
//! client or in all, the connection that has been idle for longest is evicted, and not the newest. An honest client sends its
//! request within a moment and stands far from the end of the queue, while an attacker that holds connections open makes up the
//! rest of it. Refusing the newest would leave the slots to the first to come, which is the attacker.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::settings::LimitSettings;
use crate::{client::ClientKey, metrics::LimitMetrics};

/// Counts connections that wait for a request. Clones share one queue.
#[derive(Clone, Debug)]
pub struct IdleConnections(Arc<IdleInner>);

impl IdleConnections {
    /// Creates an empty queue.
    pub fn new(settings: &LimitSettings, metrics: LimitMetrics) -> Self {
        let list = IdleList {
            capacity: Capacity::of(settings),
            ..IdleList::default()
        };
        Self(Arc::new(IdleInner {
            list: Mutex::new(list),
            freed: Notify::new(),
            metrics,
            is_admin: false,
        }))
    }

    /// Creates the empty queue of the admin listener. It has a small capacity whatever the settings, so that filling it leaves
    /// the descriptors of all other connections alone.
    pub(super) fn for_admin(metrics: LimitMetrics) -> Self {
        let list = IdleList {
            capacity: ADMIN,
            ..IdleList::default()
        };
        Self(Arc::new(IdleInner {
            list: Mutex::new(list),
            freed: Notify::new(),
            metrics,
            is_admin: true,
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

/// What a connection has registered.
#[derive(Debug, Default)]
struct Registration {
    owner: Option<Owner>,
    id: Option<u64>,
}

/// The peer that a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Client(ClientKey),
    /// A trusted proxy, which has the connections of all of its clients. They count towards the total, and there is no limit per
    /// proxy.
    Proxy,
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
        if self.is_admin {
            self.metrics.set_admin_waiting(waiting);
        } else {
            self.metrics.set_waiting(waiting);
        }
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

/// The largest number of idle connections.
#[derive(Clone, Copy, Debug, Default)]
struct Capacity {
    total: usize,
    per_client: usize,
}

impl Capacity {
    fn of(settings: &LimitSettings) -> Self {
        let capacity = |setting: NonZeroU32| setting.get() as usize;
        Self {
            total: capacity(settings.connections_without_stream),
            per_client: capacity(settings.connections_without_stream_per_client),
        }
    }
}

/// The idle connections. Every step costs the logarithm of the list's length, which is bounded.
#[derive(Debug, Default)]
struct IdleList {
    capacity: Capacity,
    next: u64,
    by_age: BTreeMap<u64, IdleConnection>,
    /// No value is empty: a client without idle connections is removed.
    by_client: HashMap<ClientKey, BTreeSet<u64>>,
}

#[derive(Debug)]
struct IdleConnection {
    owner: Owner,
    since: Instant,
    evicted_notify: Arc<Notify>,
}

impl IdleList {
    /// Returns since when the oldest connection is idle, if the list is full.
    fn oldest_when_full(&self) -> Option<Instant> {
        let oldest = self.by_age.values().next();
        oldest
            .filter(|_| self.by_age.len() >= self.capacity.total)
            .map(|oldest| oldest.since)
    }

    fn add(&mut self, owner: Owner, evicted_notify: Arc<Notify>) -> u64 {
        let id = self.next;
        self.next += 1;
        let since = Instant::now();
        self.by_age.insert(
            id,
            IdleConnection {
                owner,
                since,
                evicted_notify,
            },
        );
        if let Owner::Client(client) = owner {
            self.by_client.entry(client).or_default().insert(id);
        }
        id
    }

    fn remove(&mut self, id: u64) -> Option<IdleConnection> {
        let waiting = self.by_age.remove(&id)?;
        if let Owner::Client(client) = waiting.owner
            && let Some(own) = self.by_client.get_mut(&client)
        {
            own.remove(&id);
            if own.is_empty() {
                self.by_client.remove(&client);
            }
        }
        Some(waiting)
    }

    /// Returns the oldest connection of `owner` if that is a client with more than `limit` connections.
    fn oldest_above(&self, limit: usize, owner: Owner) -> Option<u64> {
        let Owner::Client(client) = owner else {
            return None;
        };
        let own = self.by_client.get(&client)?;
        own.first().copied().filter(|_| own.len() > limit)
    }

    fn evict(&mut self, id: u64) {
        if let Some(waiting) = self.remove(id) {
            waiting.evicted_notify.notify_one();
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
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    fn idle(total: u32, per_client: u32) -> IdleConnections {
        let settings = LimitSettings {
            connections_without_stream: NonZeroU32::new(total).unwrap(),
            connections_without_stream_per_client: NonZeroU32::new(per_client).unwrap(),
            ..LimitSettings::default()
        };
        IdleConnections::new(&settings, LimitMetrics::default())
    }

    fn client(number: u8) -> ClientKey {
        ClientKey::of([192, 0, 2, number].into())
    }

    fn enter(idle: &IdleConnections, number: u8) -> IdleGuard {
        let guard = idle.guard();
        guard.enter_as(client(number));
        guard
    }

    fn is_evicted(guard: &IdleGuard) -> bool {
        guard.evicted().now_or_never().is_some()
    }

    #[test]
    fn a_client_with_too_many_loses_its_own_oldest() {
        let idle = idle(10, 2);
        let other = enter(&idle, 2);
        let own: Vec<_> = (0..4).map(|_| enter(&idle, 1)).collect();
        assert_eq!(
            own.iter().map(is_evicted).collect::<Vec<_>>(),
            [true, true, false, false]
        );
        assert!(!is_evicted(&other));
        assert_eq!(idle.count(), 3);
    }

    #[test]
    fn a_full_lobby_loses_the_oldest_of_all() {
        let idle = idle(3, 2);
        let guards: Vec<_> = (0..5).map(|number| enter(&idle, number)).collect();
        let gone = guards.iter().map(is_evicted).collect::<Vec<_>>();
        assert_eq!(gone, [true, true, false, false, false]);
    }

    #[test]
    fn a_proxy_has_as_many_as_there_may_be_in_all_and_no_more() {
        let idle = idle(4, 2);
        let of_a_proxy = || {
            let guard = idle.guard();
            guard.enter_as_proxy();
            guard
        };
        let mut guards: Vec<_> = (0..4).map(|_| of_a_proxy()).collect();
        assert!(!guards.iter().any(is_evicted));
        guards.push(enter(&idle, 1));
        guards.push(of_a_proxy());
        assert_eq!(
            guards.iter().map(is_evicted).collect::<Vec<_>>(),
            [true, true, false, false, false, false]
        );
        assert_eq!(idle.count(), 4);
    }

    #[test]
    fn the_admin_listener_has_a_few_of_its_own() {
        let idle = IdleConnections::for_admin(LimitMetrics::default());
        let guards: Vec<_> = (0..200).map(|number| enter(&idle, number)).collect();
        assert_eq!(idle.count(), ADMIN.total);
        let of_one: Vec<_> = (0..200).map(|_| enter(&idle, 250)).collect();
        let kept = of_one.iter().filter(|guard| !is_evicted(guard)).count();
        assert_eq!(kept, ADMIN.per_client);
        drop(guards);
    }

    #[test]
    fn who_asked_goes_behind_who_is_silent() {
        let idle = idle(2, 2);
        let (active, silent) = (enter(&idle, 1), enter(&idle, 2));
        active.enter();
        let _third = enter(&idle, 3);
        assert!(is_evicted(&silent) && !is_evicted(&active));
    }

    #[test]
    fn who_has_a_stream_is_not_there_and_is_back_behind_it() {
        let idle = idle(1, 1);
        let streaming = enter(&idle, 1);
        streaming.leave();
        assert_eq!(idle.count(), 0);
        let other = enter(&idle, 2);
        assert!(!is_evicted(&streaming));
        streaming.enter();
        assert!(is_evicted(&other));
        drop((streaming, other));
        assert_eq!(idle.count(), 0);
    }

    #[test]
    fn who_asks_in_the_moment_it_is_evicted_may_stay() {
        let idle = idle(1, 1);
        let asking = enter(&idle, 1);
        let _newest = enter(&idle, 2);
        asking.leave();
        assert!(!is_evicted(&asking));
    }

    #[tokio::test(start_paused = true)]
    async fn newcomers_are_not_pushed_out_by_each_other() {
        let idle = idle(2, 2);
        let first = enter(&idle, 1);
        assert!(idle.wait_for_capacity().now_or_never().is_some(), "there is room");
        let _second = enter(&idle, 1);
        let start = Instant::now();
        idle.wait_for_capacity().await;
        assert_eq!(start.elapsed(), NEWCOMER_TIME);
        assert!(
            idle.wait_for_capacity().now_or_never().is_some(),
            "the first is no newcomer any more"
        );
        first.enter();
        idle.wait_for_capacity().await;
        let third = enter(&idle, 2);
        let start = Instant::now();
        let (_, ()) = tokio::join!(idle.wait_for_capacity(), async { third.leave() });
        assert_eq!(
            start.elapsed(),
            Duration::ZERO,
            "a guard that comes free is taken at once"
        );
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_it_may(steps in proptest::collection::vec((0..4_u8, 0..5_u8, 0..40_usize), 0..200)) {
            let idle = idle(9, 3);
            let mut guards = Vec::new();
            for (step, number, index) in steps {
                match (step, guards.get(index)) {
                    (0 | 1, _) => guards.push(enter(&idle, number)),
                    (2, Some(guard)) => IdleGuard::leave(guard),
                    (3, Some(guard)) => IdleGuard::enter(guard),
                    _ => drop(guards.pop()),
                }
                let list = idle.0.list.lock();
                prop_assert!(list.by_age.len() <= 9);
                prop_assert!(list.by_client.values().all(|own| (1..=3).contains(&own.len())));
                let counted: usize = list.by_client.values().map(BTreeSet::len).sum();
                prop_assert_eq!(counted, list.by_age.len());
            }
            drop(guards);
            prop_assert_eq!(idle.count(), 0);
            prop_assert!(idle.0.list.lock().by_client.is_empty());
        }
    }
}
