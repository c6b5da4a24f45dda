//! The table of open streams on this host, by client, with one permit per stream.
//!
//! Not here: the totals that clients share (`quotas`), and the limits themselves (`policy`). There is one map for the whole
//! process. A limit per worker once let one address hold a share of every worker, and with that every slot of the host.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering},
};

use dashmap::{DashMap, mapref::entry::Entry};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    ClientClass, ClientStreams, ClientUsage, EvictReason, Evictable, NumberedStream, Policy, Quotas, Refusal,
    StreamRequest, StreamSlot, eviction::EvictionCandidates,
};
use crate::{client::ClientKey, metrics::LimitMetrics};

/// The open streams by client. An entry is a slot in use. The code that removes the entry frees the slot, once.
#[derive(Debug)]
pub(super) struct OpenStreams {
    held: DashMap<ClientKey, ClientStreams>,
    quotas: Arc<Quotas>,
    next: AtomicU64,
    candidates: Mutex<EvictionCandidates>,
}

impl OpenStreams {
    /// Creates an empty table.
    pub(super) fn new(metrics: LimitMetrics) -> Arc<Self> {
        Arc::new(Self {
            held: DashMap::new(),
            quotas: Arc::new(Quotas::new(metrics)),
            next: AtomicU64::new(0),
            candidates: Mutex::new(EvictionCandidates::default()),
        })
    }

    /// Admits one more stream, which counts until the permit is dropped.
    ///
    /// If the request is refused and its client has a stream whose peer is dead, that stream is ended and its slot is reused.
    pub(super) fn admit(
        self: &Arc<Self>,
        policy: &Policy,
        request: &StreamRequest,
        stream: &Weak<dyn Evictable>,
    ) -> Result<Permit, Refusal> {
        let admit = || self.try_admit(policy, request, stream);
        let (key, _) = request.limit(policy);
        match admit() {
            Err(_) if self.evict_dead_stream(key) => admit(),
            Err(Refusal::Host) if self.evict_for_newcomer(policy, key) => admit(),
            decided => decided,
        }
    }

    /// Returns the number of open streams.
    pub(super) fn open(&self) -> u32 {
        self.quotas.open()
    }

    /// Returns the number of clients with an open stream. A client without one costs no memory.
    pub(super) fn clients(&self) -> usize {
        self.held.len()
    }

    /// Returns the clients with the most streams, at most `most` of them, the largest first. Looks at every client.
    pub(super) fn top(&self, most: usize) -> Vec<ClientUsage> {
        let mut holders = heaviest(&self.held, 0, most);
        holders.reverse();
        let holding = |(_, key): (u32, ClientKey)| Some(ClientUsage::new(key, &*self.held.get(&key)?));
        holders.into_iter().filter_map(holding).collect()
    }

    #[cfg(test)]
    fn is_clear(&self) -> bool {
        (self.open(), self.clients(), self.quotas.counted()) == (0, 0, (0, 0))
    }

    fn try_admit(
        self: &Arc<Self>,
        policy: &Policy,
        request: &StreamRequest,
        stream: &Weak<dyn Evictable>,
    ) -> Result<Permit, Refusal> {
        let (client, limit) = request.limit(policy);
        let slot = |class| {
            let quota = self.quotas.acquire(policy, request, class)?;
            Ok(StreamSlot {
                number: self.next.fetch_add(1, Ordering::Relaxed),
                opened: Instant::now(),
                stream: Weak::clone(stream),
                principal: request
                    .principal
                    .as_ref()
                    .map(|principal| Arc::clone(&principal.name)),
                _quota: quota,
            })
        };
        // The map's lock on the client's entry is held throughout. So no other request of the same key comes between the check
        // and the count, and the stream numbers of one client only rise.
        let number = match self.held.entry(client) {
            Entry::Occupied(held) if held.get().len() >= limit => {
                let has_own = request
                    .principal
                    .as_ref()
                    .is_some_and(|principal| principal.streams.is_some());
                return Err(if has_own {
                    Refusal::Principal
                } else {
                    Refusal::Client
                });
            }
            Entry::Occupied(mut held) => held.get_mut().push(slot(ClientClass::Existing)?),
            Entry::Vacant(none) => {
                let slot = slot(ClientClass::New)?;
                let number = slot.number;
                none.insert(ClientStreams::new(slot));
                number
            }
        };
        Ok(Permit {
            table: Arc::clone(self),
            client,
            number,
        })
    }

    /// Removes a stream and returns it. Returns `None` if it is gone already.
    fn remove(&self, client: ClientKey, number: u64) -> Option<StreamSlot> {
        let Entry::Occupied(mut held) = self.held.entry(client) else {
            return None;
        };
        let slot = held.get_mut().remove(number);
        if held.get().is_empty() {
            held.remove();
        }
        slot
    }

    /// Ends one dead stream of `client`. Returns false if none of the examined ones is dead.
    fn evict_dead_stream(&self, client: ClientKey) -> bool {
        let some = self.held.get(&client).map(|held| held.sample(MAX_EXAMINED));
        // Outside the map's lock, because asking the kernel takes a microsecond per stream.
        let dead = some.into_iter().flatten().find(|(_, stream)| {
            let stream = stream.upgrade();
            stream.is_some_and(|stream| stream.is_dead())
        });
        dead.is_some_and(|dead| self.evict(client, dead, EvictReason::Dead))
    }

    /// Ends a stream and frees its slot. Returns true also if the stream has ended by itself meanwhile, since the slot is free
    /// then too.
    fn evict(&self, client: ClientKey, (number, stream): NumberedStream, why: EvictReason) -> bool {
        // In this order, so that the slot is not given away before its stream is told.
        if let Some(stream) = stream.upgrade() {
            stream.evict(why);
        }
        drop(self.remove(client, number));
        true
    }

    /// Ends the newest stream of a client that holds more than one and more than the mean, if the policy allows it and `newcomer`
    /// has no stream. Returns whether a slot was freed.
    ///
    /// The newest stream is the one that made its client's share too large, and the one that loses least by ending first.
    fn evict_for_newcomer(&self, policy: &Policy, newcomer: ClientKey) -> bool {
        // After a reload there may be more than one stream too many. Ending one would then not admit the newcomer.
        let one_is_enough = self.quotas.regular_open() <= policy.slots_for(ClientClass::New);
        if !policy.settings.evict_when_full || !one_is_enough || self.held.contains_key(&newcomer) {
            return false;
        }
        let (open, clients) = (self.quotas.open(), self.held.len());
        let mut candidates = self.candidates.lock();
        candidates.refresh(|most| heaviest(&self.held, eviction_threshold(open, clients), most));
        let victim = candidates.next(|client| {
            let held = self.held.get(&client)?;
            is_above_mean(held.len(), open, clients).then(|| held.newest())?
        });
        // The candidates are still locked, so that no other request picks the same stream.
        victim.is_some_and(|(client, newest)| self.evict(client, newest, EvictReason::HostFull))
    }
}

/// One admitted stream. Dropping it frees the slot exactly once, unless the slot was given to another stream before.
pub struct Permit {
    table: Arc<OpenStreams>,
    client: ClientKey,
    number: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        drop(self.table.remove(self.client, self.number));
    }
}

debug_by_name!(Permit);

/// Returns the `most` clients with the most streams among those with more than `floor`, the heaviest last.
fn heaviest(held: &DashMap<ClientKey, ClientStreams>, floor: u32, most: usize) -> Vec<(u32, ClientKey)> {
    let all = held.iter().map(|held| (held.len(), *held.key()));
    let mut above: Vec<_> = all.filter(|(streams, _)| *streams > floor).collect();
    let lighter = above.len().saturating_sub(most);
    if lighter > 0 {
        above.select_nth_unstable(lighter);
        above.drain(..lighter);
    }
    above.sort_unstable();
    above
}

/// Returns the number of streams above which a client may be a candidate. It is at least one, so that a client with a single
/// stream is none, and not above the mean, so that no client above the mean is missed.
fn eviction_threshold(open: u32, clients: usize) -> u32 {
    (open as usize / clients.max(1)).max(1) as u32
}

/// Returns whether `streams` is more than one and more than the mean.
fn is_above_mean(streams: u32, open: u32, clients: usize) -> bool {
    streams > 1 && streams as usize * clients > open as usize
}

/// How many of a client's streams are examined when it is refused. By default these are all of them. A client that is allowed
/// thousands must not have all of them examined for each refusal, and at that size some are always coming and going.
const MAX_EXAMINED: usize = 64;

#[cfg(test)]
mod tests;
