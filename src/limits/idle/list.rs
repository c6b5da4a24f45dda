//! The list of idle connections, by age and by client. Not here: what an eviction means for a connection (`idle`).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
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

/// The idle connections. Every step costs the logarithm of the list's length, which is bounded. Only to find one that is no newcomer may
/// take a look at each.
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
    /// Until when it is a newcomer, which no other connection should evict.
    newcomer_until: Instant,
    evicted_notify: Arc<Notify>,
}

impl IdleList {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            ..Self::default()
        }
    }

    /// Returns until when the oldest connection is a newcomer, if the list is full.
    pub(super) fn oldest_when_full(&self) -> Option<Instant> {
        let oldest = self.by_age.values().next()?;
        (self.by_age.len() >= self.capacity.total).then_some(oldest.newcomer_until)
    }

    /// Adds a connection, which is a newcomer for this long.
    pub(super) fn add(&mut self, owner: Owner, evicted_notify: Arc<Notify>, newcomer_time: Duration) -> u64 {
        let id = self.next;
        self.next += 1;
        let connection = IdleConnection {
            owner,
            newcomer_until: Instant::now() + newcomer_time,
            evicted_notify,
        };
        self.by_age.insert(id, connection);
        if let Owner::Client(client) = owner {
            self.by_client.entry(client).or_default().insert(id);
        }
        id
    }

    /// Moves a connection to the end, where it is a newcomer for this long. Returns its new id, or `None` if it is not in the list.
    pub(super) fn renew(&mut self, id: u64, newcomer_time: Duration) -> Option<u64> {
        let waiting = self.remove(id)?;
        Some(self.add(waiting.owner, waiting.evicted_notify, newcomer_time))
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

    /// Returns the connection to evict when there are too many: the oldest that is no newcomer, or the oldest if all are.
    pub(super) fn first_to_evict(&self) -> Option<u64> {
        let now = Instant::now();
        let settled = self.by_age.iter().find(|(_, own)| own.newcomer_until <= now);
        settled
            .or_else(|| self.by_age.first_key_value())
            .map(|(id, _)| *id)
    }

    pub(super) fn evict(&mut self, id: u64) {
        if let Some(waiting) = self.remove(id) {
            waiting.evicted_notify.notify_one();
        }
    }
}
