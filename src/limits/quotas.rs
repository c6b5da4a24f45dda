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
    policy::{ClientClass, Policy, SITE_FACTOR},
    refusal::Refusal,
};
use crate::{
    client::{CandidateAddrs, ClientAddr, ClientKey},
    metrics::LimitMetrics,
};

/// Names of streams. One is the rule, and has its room where it is kept: thousands of clients keep it.
pub type StreamNames = SmallVec<[Arc<str>; 1]>;

/// Who asks for a stream, and for what.
#[derive(Clone, Debug)]
pub struct StreamRequest {
    /// Who asks.
    pub client: ClientAddr,
    /// Who else it may be, if that is not known.
    pub candidates: CandidateAddrs,
    /// The stream names, of the catalog, each once.
    pub names: StreamNames,
}

/// The counts. Each may be ahead of what is let in for the moment between two steps, never behind.
#[derive(Debug)]
pub(super) struct Quotas {
    sites: KeyedCounter<ClientKey>,
    names: KeyedCounter<Arc<str>>,
    regular: AtomicU32,
    reserved: AtomicU32,
    metrics: LimitMetrics,
}

impl Quotas {
    pub(super) fn new(metrics: LimitMetrics) -> Self {
        Self {
            sites: KeyedCounter::default(),
            names: KeyedCounter::default(),
            regular: AtomicU32::new(0),
            reserved: AtomicU32::new(0),
            metrics,
        }
    }

    /// How many streams are open.
    pub(super) fn open(&self) -> u32 {
        self.regular_open() + self.reserved.load(Ordering::Relaxed)
    }

    /// How many of them are not on reserved slots.
    pub(super) fn regular_open(&self) -> u32 {
        self.regular.load(Ordering::Relaxed)
    }

    /// How many /48s and names are counted; those without a stream cost no memory.
    #[cfg(test)]
    pub(super) fn counted(&self) -> (usize, usize) {
        (self.sites.0.len(), self.names.0.len())
    }

    /// Counts one more stream, if there is room for it everywhere.
    pub(super) fn acquire(
        self: &Arc<Self>,
        policy: &Policy,
        request: &StreamRequest,
        class: ClientClass,
    ) -> Result<QuotaGuard, Refusal> {
        let mut quota = QuotaGuard {
            quotas: Arc::clone(self),
            site: None,
            names: StreamNames::new(),
            slot: None,
        };
        if let Some(site) = policy.key(request.client).site() {
            let limit = policy
                .stream_limit(request.client, &request.candidates)
                .saturating_mul(SITE_FACTOR);
            quota.site = self.sites.acquire(site, limit).then_some(site);
            quota.site.ok_or(Refusal::Site)?;
        }
        quota.names = self.acquire_names(policy, request)?;
        quota.slot = self.acquire_slot(policy, request, class);
        quota.slot.ok_or(Refusal::Host)?;
        self.metrics.admitted();
        Ok(quota)
    }

    /// Counts against every name, or none. A probe is not held by them: it would see a popular stream as an outage.
    fn acquire_names(&self, policy: &Policy, request: &StreamRequest) -> Result<StreamNames, Refusal> {
        let is_probe = policy.is_probe(request.client);
        let full = request.names.iter().position(|name| {
            let limit = if is_probe {
                u32::MAX
            } else {
                policy.client_limit(name)
            };
            !self.names.acquire(Arc::clone(name), limit)
        });
        let Some(taken) = full else {
            return Ok(request.names.clone());
        };
        request.names[..taken]
            .iter()
            .for_each(|name| self.names.release(name));
        Err(Refusal::Stream)
    }

    fn acquire_slot(&self, policy: &Policy, request: &StreamRequest, class: ClientClass) -> Option<SlotKind> {
        if try_increment(&self.regular, policy.slots_for(class)) {
            return Some(SlotKind::Regular);
        }
        let reserved = policy.is_probe(request.client) && try_increment(&self.reserved, policy.reserved());
        reserved.then_some(SlotKind::Reserved)
    }
}

/// Counts one more, if there are less than `limit`. Relaxed, because nothing but the number itself is passed on by it.
fn try_increment(count: &AtomicU32, limit: u32) -> bool {
    let more = |count: u32| (count < limit).then_some(count + 1);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        .is_ok()
}

/// Where a stream is counted of all that the host may have.
#[derive(Clone, Copy, Debug)]
enum SlotKind {
    Regular,
    Reserved,
}

/// What one stream takes of the totals. Its drop gives it back.
#[derive(Debug)]
pub(super) struct QuotaGuard {
    quotas: Arc<Quotas>,
    site: Option<ClientKey>,
    names: StreamNames,
    slot: Option<SlotKind>,
}

impl Drop for QuotaGuard {
    fn drop(&mut self) {
        if let Some(site) = self.site {
            self.quotas.sites.release(&site);
        }
        for name in &self.names {
            self.quotas.names.release(name);
        }
        if let Some(slot) = self.slot {
            let count = match slot {
                SlotKind::Regular => &self.quotas.regular,
                SlotKind::Reserved => &self.quotas.reserved,
            };
            count.fetch_sub(1, Ordering::Relaxed);
            self.quotas.metrics.released();
        }
    }
}

/// Counts by key; none is zero.
#[derive(Debug)]
struct KeyedCounter<K: Eq + Hash>(DashMap<K, u32>);

impl<K: Eq + Hash> Default for KeyedCounter<K> {
    fn default() -> Self {
        Self(DashMap::new())
    }
}

impl<K: Eq + Hash + Clone> KeyedCounter<K> {
    /// Counts one more under `key`, if there are less than `limit`.
    fn acquire(&self, key: K, limit: u32) -> bool {
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

    fn release(&self, key: &K) {
        if let Entry::Occupied(mut held) = self.0.entry(key.clone()) {
            if *held.get() > 1 {
                *held.get_mut() -= 1;
            } else {
                held.remove();
            }
        }
    }
}
