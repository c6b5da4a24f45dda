//! What many clients share: places of a /48, of a stream's name, and of the host.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use dashmap::{DashMap, mapref::entry::Entry};
use smallvec::SmallVec;

use super::{
    policy::{CLIENTS_OF_A_SITE, Policy, Standing},
    refusal::Refusal,
};
use crate::{
    client::{ClientAddr, ClientKey, Named},
    metrics::LimitMetrics,
};

/// Names of streams. One is the rule, and has its room where it is kept: thousands of clients keep it.
pub type Names = SmallVec<[Arc<str>; 1]>;

/// Who asks for a stream, and for what.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Who asks.
    pub client: ClientAddr,
    /// Who else it may be, if that is not known.
    pub named: Named,
    /// The stream names, of the catalog, each once.
    pub names: Names,
}

/// The counts. Each may be ahead of what is let in for the moment between two steps, never behind.
#[derive(Debug)]
pub(super) struct Totals {
    sites: Tally<ClientKey>,
    names: Tally<Arc<str>>,
    seats: AtomicU32,
    reserved: AtomicU32,
    metrics: LimitMetrics,
}

impl Totals {
    pub(super) fn new(metrics: LimitMetrics) -> Self {
        Self {
            sites: Tally::default(),
            names: Tally::default(),
            seats: AtomicU32::new(0),
            reserved: AtomicU32::new(0),
            metrics,
        }
    }

    /// How many streams are open.
    pub(super) fn open(&self) -> u32 {
        self.seated() + self.reserved.load(Ordering::Relaxed)
    }

    /// How many of them are not on reserved seats.
    pub(super) fn seated(&self) -> u32 {
        self.seats.load(Ordering::Relaxed)
    }

    /// How many /48s and names are counted; those without a stream cost no memory.
    #[cfg(test)]
    pub(super) fn counted(&self) -> (usize, usize) {
        (self.sites.0.len(), self.names.0.len())
    }

    /// Counts one more stream, if there is room for it everywhere.
    pub(super) fn take(
        self: &Arc<Self>,
        policy: &Policy,
        wish: &Wish,
        standing: Standing,
    ) -> Result<Share, Refusal> {
        let mut share = Share {
            totals: Arc::clone(self),
            site: None,
            names: Names::new(),
            seat: None,
        };
        if let Some(site) = policy.key(wish.client).site() {
            let limit = policy
                .streams_of(wish.client, &wish.named)
                .saturating_mul(CLIENTS_OF_A_SITE);
            share.site = self.sites.take(site, limit).then_some(site);
            share.site.ok_or(Refusal::Site)?;
        }
        share.names = self.take_names(policy, wish)?;
        share.seat = self.take_seat(policy, wish, standing);
        share.seat.ok_or(Refusal::Host)?;
        self.metrics.admitted();
        Ok(share)
    }

    /// Counts against every name, or none. A probe is not held by them: it would see a popular stream as an outage.
    fn take_names(&self, policy: &Policy, wish: &Wish) -> Result<Names, Refusal> {
        let is_probe = policy.is_probe(wish.client);
        let full = wish.names.iter().position(|name| {
            let limit = if is_probe {
                u32::MAX
            } else {
                policy.clients_of(name)
            };
            !self.names.take(Arc::clone(name), limit)
        });
        let Some(taken) = full else {
            return Ok(wish.names.clone());
        };
        wish.names[..taken]
            .iter()
            .for_each(|name| self.names.give_back(name));
        Err(Refusal::Stream)
    }

    fn take_seat(&self, policy: &Policy, wish: &Wish, standing: Standing) -> Option<Seat> {
        if one_more(&self.seats, policy.seats_for(standing)) {
            return Some(Seat::Usual);
        }
        let reserved = policy.is_probe(wish.client) && one_more(&self.reserved, policy.reserved());
        reserved.then_some(Seat::Reserved)
    }
}

/// Counts one more, if there are less than `limit`. Relaxed, because nothing but the number itself is passed on by it.
fn one_more(count: &AtomicU32, limit: u32) -> bool {
    let more = |count: u32| (count < limit).then_some(count + 1);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        .is_ok()
}

/// Where a stream is counted of all that the host may have.
#[derive(Clone, Copy, Debug)]
enum Seat {
    Usual,
    Reserved,
}

/// What one stream takes of the totals. Its drop gives it back.
#[derive(Debug)]
pub(super) struct Share {
    totals: Arc<Totals>,
    site: Option<ClientKey>,
    names: Names,
    seat: Option<Seat>,
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(site) = self.site {
            self.totals.sites.give_back(&site);
        }
        for name in &self.names {
            self.totals.names.give_back(name);
        }
        if let Some(seat) = self.seat {
            let count = match seat {
                Seat::Usual => &self.totals.seats,
                Seat::Reserved => &self.totals.reserved,
            };
            count.fetch_sub(1, Ordering::Relaxed);
            self.totals.metrics.released();
        }
    }
}

/// Counts by key; none is zero.
#[derive(Debug)]
struct Tally<K: Eq + Hash>(DashMap<K, u32>);

impl<K: Eq + Hash> Default for Tally<K> {
    fn default() -> Self {
        Self(DashMap::new())
    }
}

impl<K: Eq + Hash + Clone> Tally<K> {
    /// Counts one more under `key`, if there are less than `limit`.
    fn take(&self, key: K, limit: u32) -> bool {
        match self.0.entry(key) {
            Entry::Occupied(mut held) => {
                let fits = *held.get() < limit;
                *held.get_mut() += u32::from(fits);
                fits
            }
            Entry::Vacant(none) if limit > 0 => {
                none.insert(1);
                true
            }
            Entry::Vacant(_) => false,
        }
    }

    fn give_back(&self, key: &K) {
        if let Entry::Occupied(mut held) = self.0.entry(key.clone()) {
            if *held.get() > 1 {
                *held.get_mut() -= 1;
            } else {
                held.remove();
            }
        }
    }
}
