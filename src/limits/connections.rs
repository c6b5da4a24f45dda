//! How many streams are open on this host, of one client and of all: counted by guards that return themselves.
//!
//! One map for the whole process. A limit per worker once let one address hold a share of every worker, and with that
//! every slot there was.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use dashmap::{DashMap, mapref::entry::Entry};

use super::{refusal::Refusal, settings::Settings};
use crate::{client::ClientKey, metrics::LimitMetrics};

/// Counts open streams. Clones count together.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Counts>);

impl Connections {
    /// Nothing is open yet.
    pub fn new(settings: &Settings, metrics: LimitMetrics) -> Self {
        let total = settings.streams_total;
        Self(Arc::new(Counts {
            held: DashMap::new(),
            total: AtomicU32::new(0),
            per_client: settings.streams_per_client.get(),
            limit: total.get(),
            limit_of_holders: total.get() - newcomers_share(total),
            metrics,
        }))
    }

    /// Lets `client` open one more stream, for as long as the permit is kept.
    ///
    /// # Errors
    /// When it has as many as it may have, or when there is no room: see [`Refusal`].
    pub fn admit(&self, client: ClientKey) -> Result<Permit, Refusal> {
        // The map's lock on the client's entry is held throughout, so that nobody else of the same key is between the
        // look and the count.
        match self.0.held.entry(client) {
            Entry::Occupied(held) if *held.get() >= self.0.per_client => return Err(Refusal::Client),
            Entry::Occupied(mut held) => {
                self.0.take(self.0.limit_of_holders)?;
                *held.get_mut() += 1;
            }
            Entry::Vacant(none) => {
                self.0.take(self.0.limit)?;
                none.insert(1);
            }
        }
        self.0.metrics.admitted();
        Ok(Permit {
            counts: Arc::clone(&self.0),
            client,
        })
    }

    /// How many streams are open.
    pub fn open(&self) -> u32 {
        self.0.total.load(Ordering::Relaxed)
    }

    /// How many clients have a stream open; those that have none cost no memory.
    pub fn clients(&self) -> usize {
        self.0.held.len()
    }
}

/// One admitted stream. Its drop gives the slot back, exactly once.
#[derive(Debug)]
pub struct Permit {
    counts: Arc<Counts>,
    client: ClientKey,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counts.give_back(self.client);
        self.counts.metrics.released();
    }
}

#[derive(Debug)]
struct Counts {
    /// Never zero: who has none is not in it.
    held: DashMap<ClientKey, u32>,
    /// Their sum. Ahead of it for the moment between two steps, never behind.
    total: AtomicU32,
    per_client: u32,
    limit: u32,
    /// The limit for who has a stream already.
    limit_of_holders: u32,
    metrics: LimitMetrics,
}

impl Counts {
    /// Counts one more, up to `limit`. Relaxed, because nothing but the number itself is passed on by it.
    fn take(&self, limit: u32) -> Result<(), Refusal> {
        self.total
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |total| {
                (total < limit).then_some(total + 1)
            })
            .map(drop)
            .map_err(|_| Refusal::Host)
    }

    fn give_back(&self, client: ClientKey) {
        if let Entry::Occupied(mut held) = self.held.entry(client) {
            if *held.get() > 1 {
                *held.get_mut() -= 1;
            } else {
                held.remove();
            }
        }
        self.total.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many of `total` are kept for clients that have no stream yet: an eighth, and at least one.
///
/// Clients that open all they may then fill the host for each other, and not for who comes for the first time. Half would
/// idle while those who are there are refused; a hundredth is gone as soon as a hall full of people connects.
fn newcomers_share(total: NonZeroU32) -> u32 {
    total.get().div_ceil(NEWCOMERS)
}

const NEWCOMERS: u32 = 8;

#[cfg(test)]
mod tests;
