//! The list of idle connections, by age and by client. Not here: what an eviction means for a connection (`idle`).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU32,
    sync::Arc,
};

use tokio::{sync::Notify, time::Instant};

use crate::{client::ClientKey, limits::LimitSettings};

/// The peer that a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Client(ClientKey),
    /// A trusted proxy, which has the connections of all of its clients. They count towards the total, and there is no limit per
    /// proxy.
    Proxy,
}

/// The largest number of idle connections.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Capacity {
    pub(super) total: usize,
    pub(super) per_client: usize,
}

impl Capacity {
    pub(super) fn of(settings: &LimitSettings) -> Self {
        let capacity = |setting: NonZeroU32| setting.get() as usize;
        Self {
            total: capacity(settings.connections_without_stream),
            per_client: capacity(settings.connections_without_stream_per_client),
        }
    }
}

/// The idle connections. Every step costs the logarithm of the list's length, which is bounded.
#[derive(Debug, Default)]
pub(super) struct IdleList {
    pub(super) capacity: Capacity,
    next: u64,
    pub(super) by_age: BTreeMap<u64, IdleConnection>,
    /// No value is empty: a client without idle connections is removed.
    pub(super) by_client: HashMap<ClientKey, BTreeSet<u64>>,
}

#[derive(Debug)]
pub(super) struct IdleConnection {
    owner: Owner,
    since: Instant,
    evicted_notify: Arc<Notify>,
}

impl IdleList {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            ..Self::default()
        }
    }

    /// Returns since when the oldest connection is idle, if the list is full.
    pub(super) fn oldest_when_full(&self) -> Option<Instant> {
        let oldest = self.by_age.values().next()?;
        (self.by_age.len() >= self.capacity.total).then_some(oldest.since)
    }

    pub(super) fn add(&mut self, owner: Owner, evicted_notify: Arc<Notify>) -> u64 {
        let id = self.next;
        self.next += 1;
        let since = Instant::now();
        let connection = IdleConnection {
            owner,
            since,
            evicted_notify,
        };
        self.by_age.insert(id, connection);
        if let Owner::Client(client) = owner {
            self.by_client.entry(client).or_default().insert(id);
        }
        id
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<IdleConnection> {
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
    pub(super) fn oldest_above(&self, limit: usize, owner: Owner) -> Option<u64> {
        let Owner::Client(client) = owner else {
            return None;
        };
        let own = self.by_client.get(&client)?;
        own.first().copied().filter(|_| own.len() > limit)
    }

    pub(super) fn evict(&mut self, id: u64) {
        if let Some(waiting) = self.remove(id) {
            waiting.evicted_notify.notify_one();
        }
    }
}
