//! Counters for what many clients share: the streams of an IPv6 /48, of a stream name, and of the host.
//!
//! Not here: the streams of one client (`client_streams`).

use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use dashmap::{DashMap, mapref::entry::Entry};
use smallvec::SmallVec;

use super::{ClientClass, Policy, Refusal, SITE_FACTOR};
use crate::{
    client::{CandidateAddrs, ClientAddr, ClientKey},
    metrics::LimitMetrics,
};

/// Stream names. One name is the usual case and is stored inline, since thousands of clients keep such a list.
pub type StreamNames = SmallVec<[Arc<str>; 1]>;

/// A request for a stream: its client and the stream names.
#[derive(Clone, Debug)]
pub struct StreamRequest {
    /// The client's address.
    pub client: ClientAddr,
    /// The addresses that the client may have, if its own is not known.
    pub candidates: CandidateAddrs,
    /// Whom the request's credential stands for, if it has one.
    pub principal: Option<RequestPrincipal>,
    /// The stream names from the catalog, each once.
    pub names: StreamNames,
}

/// The principal of a request, as far as limits know it.
#[derive(Clone, Debug)]
pub struct RequestPrincipal {
    /// The key that it is counted under if it has a limit of its own.
    pub key: ClientKey,
    /// The name for operators.
    pub name: Arc<String>,
    /// How many streams it may have. `None` if it counts as a client of its address.
    pub streams: Option<NonZeroU32>,
}

impl StreamRequest {
    /// Returns the key that the stream is counted under, and how many streams that key may have. A principal with a limit of its own
    /// does not count at its address: a backend with a thousand users has one address.
    pub(super) fn limit(&self, policy: &Policy) -> (ClientKey, u32) {
        match self.principal_limit() {
            Some((key, streams)) => (key, streams.get()),
            None => (
                policy.key(self.client),
                policy.stream_limit(self.client, &self.candidates),
            ),
        }
    }

    fn principal_limit(&self) -> Option<(ClientKey, NonZeroU32)> {
        let principal = self.principal.as_ref()?;
        Some((principal.key, principal.streams?))
    }
}

/// The counters. Between two steps of an admission, each may be ahead of the streams that are admitted. None is ever behind.
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
            sites: KeyedCounter(DashMap::new()),
            names: KeyedCounter(DashMap::new()),
            regular: AtomicU32::new(0),
            reserved: AtomicU32::new(0),
            metrics,
        }
    }

    /// Returns the number of open streams.
    pub(super) fn open(&self) -> u32 {
        self.regular_open() + self.reserved.load(Ordering::Relaxed)
    }

    /// Returns the number of open streams that are not on reserved slots.
    pub(super) fn regular_open(&self) -> u32 {
        self.regular.load(Ordering::Relaxed)
    }

    /// Returns how many /48s and how many names are counted. Those without a stream cost no memory.
    #[cfg(test)]
    pub(super) fn counted(&self) -> (usize, usize) {
        (self.sites.0.len(), self.names.0.len())
    }

    /// Counts one more stream if every limit has room for it.
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
        let (key, limit) = request.limit(policy);
        if let Some(site) = key.site() {
            let is_free = self.sites.acquire(site, limit.saturating_mul(SITE_FACTOR));
            quota.site = is_free.then_some(site);
            quota.site.ok_or(Refusal::Site)?;
        }
        quota.names = self.acquire_names(policy, request)?;
        quota.slot = self.acquire_slot(policy, request, class);
        quota.slot.ok_or(Refusal::Host)?;
        self.metrics.admitted.inc();
        Ok(quota)
    }

    /// Counts against every name, or against none. The limits of names do not apply to a probe, which would take a popular stream
    /// for an outage.
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
        for name in &request.names[..taken] {
            self.names.release(name);
        }
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

/// Counts one more if the count is less than `limit`, and returns whether it did. The ordering is relaxed, because no other data
/// is published through the counter.
fn try_increment(count: &AtomicU32, limit: u32) -> bool {
    let more = |count: u32| (count < limit).then_some(count + 1);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        .is_ok()
}

/// The counter of the host's slots that a stream is counted in.
#[derive(Clone, Copy, Debug)]
enum SlotKind {
    Regular,
    Reserved,
}

/// One stream's share of the totals. Dropping it gives the share back.
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
        let count = match self.slot {
            Some(SlotKind::Regular) => &self.quotas.regular,
            Some(SlotKind::Reserved) => &self.quotas.reserved,
            None => return,
        };
        count.fetch_sub(1, Ordering::Relaxed);
        self.quotas.metrics.admitted.dec();
    }
}

/// Counters by key. A counter that falls to zero is removed.
#[derive(Debug)]
struct KeyedCounter<K: Eq + Hash>(DashMap<K, u32>);

impl<K: Eq + Hash + Clone> KeyedCounter<K> {
    /// Counts one more under `key` if the count is less than `limit`. Returns whether it did.
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
