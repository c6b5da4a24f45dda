//! Which streams are open on this host, and whose: counted by guards that return themselves.
//!
//! One map for the whole process. A limit per worker once let one address hold a share of every worker, and with that
//! every slot there was.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use dashmap::{DashMap, mapref::entry::Entry};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    client_streams::{ClientStreams, EvictReason, Evictable, NumberedStream, StreamSlot},
    eviction::EvictionCandidates,
    policy::{ClientClass, Policy},
    quotas::{Quotas, StreamRequest},
    refusal::Refusal,
    report::ClientUsage,
};
use crate::{client::ClientKey, metrics::LimitMetrics};

/// The open streams. Clones count together.
#[derive(Clone, Debug)]
pub(super) struct OpenStreams(Arc<StreamTable>);

impl OpenStreams {
    /// Nothing is open yet.
    pub(super) fn new(metrics: LimitMetrics) -> Self {
        Self(Arc::new(StreamTable {
            held: DashMap::new(),
            quotas: Arc::new(Quotas::new(metrics)),
            next: AtomicU64::new(0),
            candidates: Mutex::new(EvictionCandidates::default()),
        }))
    }

    /// Lets one more stream be open, for as long as the permit is kept.
    ///
    /// Who is refused, and has a stream whose client is gone, gets that one's place.
    pub(super) fn admit(
        &self,
        policy: &Policy,
        request: &StreamRequest,
        stream: &Weak<dyn Evictable>,
    ) -> Result<Permit, Refusal> {
        let admit = || StreamTable::admit(&self.0, policy, request, stream);
        let key = policy.key(request.client);
        match admit() {
            Err(_) if self.0.evict_dead_stream(key) => admit(),
            Err(Refusal::Host) if self.0.evict_for_newcomer(policy, key) => admit(),
            decided => decided,
        }
    }

    /// How many streams are open.
    pub(super) fn open(&self) -> u32 {
        self.0.quotas.open()
    }

    /// How many clients have a stream open; those that have none cost no memory.
    pub(super) fn clients(&self) -> usize {
        self.0.held.len()
    }

    /// Who holds most, at most so many. Looks at every client.
    pub(super) fn top(&self, most: usize) -> Vec<ClientUsage> {
        let mut holders = heaviest(&self.0.held, 0, most);
        holders.reverse();
        let holding = |(_, key): (u32, ClientKey)| Some(ClientUsage::new(key, &*self.0.held.get(&key)?));
        holders.into_iter().filter_map(holding).collect()
    }

    #[cfg(test)]
    fn is_clear(&self) -> bool {
        (self.open(), self.clients(), self.0.quotas.counted()) == (0, 0, (0, 0))
    }
}

/// One admitted stream. Its drop gives the slot back, exactly once, unless somebody else has it by then.
pub struct Permit {
    table: Arc<StreamTable>,
    client: ClientKey,
    number: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        drop(self.table.remove(self.client, self.number));
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("client", &self.client)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// The streams by client. A slot in it is a place taken; whoever takes it out gives the place back, once.
#[derive(Debug)]
struct StreamTable {
    held: DashMap<ClientKey, ClientStreams>,
    quotas: Arc<Quotas>,
    next: AtomicU64,
    candidates: Mutex<EvictionCandidates>,
}

impl StreamTable {
    fn admit(
        this: &Arc<Self>,
        policy: &Policy,
        request: &StreamRequest,
        stream: &Weak<dyn Evictable>,
    ) -> Result<Permit, Refusal> {
        let client = policy.key(request.client);
        let slot = |class| {
            let quota = this.quotas.acquire(policy, request, class)?;
            Ok(StreamSlot {
                number: this.next.fetch_add(1, Ordering::Relaxed),
                opened: Instant::now(),
                stream: Weak::clone(stream),
                _quota: quota,
            })
        };
        // The map's lock on the client's entry is held throughout, so that nobody else of the same key is between the
        // look and the count, and numbers in a holder rise.
        let number = match this.held.entry(client) {
            Entry::Occupied(held)
                if held.get().len() >= policy.stream_limit(request.client, &request.candidates) =>
            {
                return Err(Refusal::Client);
            }
            Entry::Occupied(mut held) => {
                let slot = slot(ClientClass::Existing)?;
                let number = slot.number;
                held.get_mut().push(slot);
                number
            }
            Entry::Vacant(none) => {
                let slot = slot(ClientClass::New)?;
                let number = slot.number;
                none.insert(ClientStreams::new(slot));
                number
            }
        };
        Ok(Permit {
            table: Arc::clone(this),
            client,
            number,
        })
    }

    /// Takes a slot out, if it is still there.
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

    /// Ends one stream of `client` that is dead, if one of those looked at is.
    fn evict_dead_stream(&self, client: ClientKey) -> bool {
        let some = self.held.get(&client).map(|held| held.sample(EXAMINED));
        // Behind the lock: to ask the kernel takes a microsecond a stream.
        let dead = some.into_iter().flatten().find(|(_, stream)| {
            let stream = stream.upgrade();
            stream.is_some_and(|stream| stream.is_dead())
        });
        dead.is_some_and(|dead| self.evict(client, dead, EvictReason::Dead))
    }

    /// Tells a stream to go, and gives its place back. True, because the place is free also when the stream has gone by
    /// itself meanwhile.
    fn evict(&self, client: ClientKey, (number, stream): NumberedStream, why: EvictReason) -> bool {
        // In this order: nobody has its place while it does not know yet.
        if let Some(stream) = stream.upgrade() {
            stream.evict(why);
        }
        drop(self.remove(client, number));
        true
    }

    /// When the policy says so, and `newcomer` has none: ends the newest stream of somebody who holds more than one, and
    /// more than the mean.
    ///
    /// The newest: it is what made its client's share too large, and who is ended first has lost least.
    fn evict_for_newcomer(&self, policy: &Policy, newcomer: ClientKey) -> bool {
        // Behind a reload there may be more than one too many: then one end would help nobody.
        let one_is_enough = self.quotas.regular_open() <= policy.slots_for(ClientClass::New);
        if !policy.evicts_when_full() || !one_is_enough || self.held.contains_key(&newcomer) {
            return false;
        }
        let (open, clients) = (self.quotas.open(), self.held.len());
        let mut candidates = self.candidates.lock();
        candidates.refresh(|most| heaviest(&self.held, eviction_threshold(open, clients), most));
        let victim = candidates.next(|client| {
            let held = self.held.get(&client)?;
            is_above_mean(held.len(), open, clients)
                .then(|| held.newest())
                .flatten()
        });
        // Still under the census, so that nobody else picks the same.
        victim.is_some_and(|(client, newest)| self.evict(client, newest, EvictReason::HostFull))
    }
}

/// Clients that hold more than `floor`, the `most` heaviest of them, the heaviest last.
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

/// More than this is more than one; and no less than the mean, so that nobody above it is left out.
fn eviction_threshold(open: u32, clients: usize) -> u32 {
    (open as usize / clients.max(1)).max(1) as u32
}

/// Whether so many are more than one, and more than the mean.
fn is_above_mean(streams: u32, open: u32, clients: usize) -> bool {
    streams > 1 && streams as usize * clients > open as usize
}

/// How many of a client's streams are looked at when it is refused. All of them, by default; whoever is allowed thousands
/// must not have all of them looked at for each refusal, and at that size some are always coming and going.
const EXAMINED: usize = 64;

#[cfg(test)]
mod tests;
