//! Live subscriptions that are shared: merged and composed once for all who want the same.
//!
//! A client that catches up runs a [`Subscription`](super::Subscription) of its own. A lane publishes its head, one snapshot
//! of {number of its next batch, where it stands in every partition}; the client goes exactly there, and from then on is an
//! index into the lane's ring. When the ring has moved past it, it goes back to a subscription of its own, at its place.
//!
//! A client that is alone with its view has no lane: whoever invents ten thousand of them gets ten thousand subscriptions.
//! Nor have those who catch up, however many: there is nothing to share until two of them have.

mod budget;
mod catch_up;
mod catch_up_cache;
mod compressor;
mod group_cursor;
mod guard;
mod key;
mod lane_reader;
#[cfg(test)]
mod model;
mod ring;
mod run;
mod stalled_streams;
mod state;
mod subscriber;

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use self::{budget::Budget, guard::LaneGuard, key::LaneKey, stalled_streams::StalledStreams, state::Lane};
use super::{Batch, LogSource, SubscribeRequest, snapshot::Snapshot};
use crate::{
    filter::{FilterRegistry, TooManyFilters},
    partition::{PartitionLog, SharedWaker},
    position::Timestamp,
};

pub use group_cursor::{BatchLimit, BatchRun, GroupCursor, GroupUpdate};
pub use stalled_streams::{ResetHandle, StallGuard, UnwrittenBytes};
pub use subscriber::{LaneId, LaneSubscriber};

/// All lanes of a process.
#[derive(Clone)]
pub struct Lanes(Arc<LanesInner>);

struct LanesInner {
    source: LogSource,
    lanes: Mutex<HashMap<LaneKey, Arc<Lane>>>,
    budget: Arc<Budget>,
    tasks: TaskTracker,
    filters: FilterRegistry,
    stalled_streams: StalledStreams,
    /// In bytes.
    composed: AtomicU64,
}

impl Lanes {
    /// None yet. All that is composed costs at most `budget` bytes; each lane that has an audience is one of `tasks`, and
    /// ends when its last subscriber is dropped.
    pub fn new(source: LogSource, budget: usize, tasks: TaskTracker) -> Self {
        let filters = FilterRegistry::with_limit(budget::for_filters(budget));
        Self(Arc::new(LanesInner {
            source,
            lanes: Mutex::default(),
            budget: Arc::new(Budget::new(budget, filters.clone())),
            tasks,
            filters,
            stalled_streams: StalledStreams::default(),
            composed: AtomicU64::new(0),
        }))
    }

    /// Follows what `request` asks for, from where it wants to. Inside a runtime.
    ///
    /// # Errors
    /// When it asks for a filter that is not in use yet, and too many are.
    pub fn subscribe(&self, request: SubscribeRequest) -> Result<LaneSubscriber, TooManyFilters> {
        let admit = |filter| self.0.filters.admit(request.client, filter);
        let permit = request.view.filter.as_ref().map(admit).transpose()?;
        let member = self.join(LaneKey::of(&request));
        Ok(LaneSubscriber::new(member, permit, request))
    }

    /// Drops what has been deleted from Kafka wherever it is kept, as soon as that is known. It does not end by itself.
    pub async fn drop_deleted_records(self) -> Infallible {
        let LogSource { directory, history } = &self.0.source;
        let shared_waker = SharedWaker::new();
        directory.subscribe_to_deletions(&shared_waker);
        poll_fn(|context| {
            shared_waker.register(context);
            for log in directory.take_deleted() {
                history.drop_deleted(&log);
                self.drop_deleted(&log);
            }
            Poll::Pending
        })
        .await
    }

    /// What their events come from.
    pub fn source(&self) -> &LogSource {
        &self.0.source
    }

    /// How many lanes are followed, those of a single client included.
    pub fn count(&self) -> usize {
        self.0.lanes.lock().len()
    }

    /// What all rings and catch-up caches cost in memory, and all batches that somebody holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.budget.used()
    }

    /// What the filters in use cost in memory, in bytes.
    pub fn filter_bytes(&self) -> usize {
        self.0.filters.bytes()
    }

    /// How many bytes of events have been composed so far, however many clients got them.
    pub fn composed(&self) -> u64 {
        self.0.composed.load(Relaxed)
    }

    /// Notes that a client's socket does not take what it was given. When clients hold more than there is, those who hold most, and
    /// have taken nothing for longest, are reset, which may be this one. `None` while all that is composed is little.
    pub fn track_stalled(
        &self,
        unwritten: UnwrittenBytes,
        reset_handle: impl FnOnce() -> Arc<dyn ResetHandle>,
    ) -> Option<StallGuard> {
        if !self.0.budget.tracker().is_under_pressure() {
            return None;
        }
        let key = self.0.stalled_streams.insert(unwritten, reset_handle());
        let lanes = self.clone();
        self.evict_excess();
        Some(StallGuard::new(lanes, key))
    }

    /// Has clients give back what they hold beyond the budget.
    fn evict_excess(&self) {
        self.trim();
        match self.0.budget.excess() {
            0 => {}
            // Not under a lock: they are woken by it.
            excess => {
                let chosen = self
                    .0
                    .stalled_streams
                    .choose_to_reset(self.0.budget.limit(), excess);
                chosen.iter().for_each(|reset_handle| reset_handle.reset());
            }
        }
    }

    /// Counts a copy of what was composed, for one client alone.
    pub fn track_copy(&self, copy: Vec<u8>) -> Bytes {
        self.0.budget.tracker().track(copy)
    }

    fn note_composed(&self, batch: &Batch) {
        self.0.composed.fetch_add(batch.size() as u64, Relaxed);
    }

    fn join(&self, key: LaneKey) -> LaneGuard {
        let mut lanes = self.0.lanes.lock();
        let new = || Arc::new(Lane::new(key.clone(), Arc::clone(&self.0.budget)));
        let lane = Arc::clone(lanes.entry(key.clone()).or_insert_with(new));
        self.0.budget.add_subscriber();
        lane.subscribers.fetch_add(1, Relaxed);
        LaneGuard {
            lanes: self.clone(),
            lane,
            has_caught_up: false,
        }
    }

    /// Counts one who has come to the end, and opens the lane when they are enough.
    fn mark_caught_up(&self, lane: &Arc<Lane>, now: Timestamp) {
        let before = lane.caught_up.fetch_add(1, Relaxed);
        if before + 1 >= lane.key.min_subscribers() && !lane.has_task.swap(true, Relaxed) {
            self.0.tasks.spawn(run::run(self.clone(), Arc::clone(lane), now));
        }
    }

    fn leave(&self, lane: &Lane) {
        let mut lanes = self.0.lanes.lock();
        self.0.budget.remove_subscriber();
        if lane.subscribers.fetch_sub(1, Relaxed) == 1 {
            lanes.remove(&lane.key);
            lane.ended.cancel();
        }
    }

    /// Adds a batch to a lane's ring; `after` is where it leads.
    fn publish(&self, lane: &Lane, batch: Batch, after: Snapshot) {
        let room = lane.ring_capacity(batch.size());
        self.note_composed(&batch);
        let mut ring = lane.ring.lock();
        // Under the lock, so that nobody accounts for less before this accounts for more.
        let (added, freed) = ring.push(batch, Arc::new(after), room);
        self.0.budget.account(added, freed);
        drop(ring);
        lane.clear_unused_cache();
        self.trim();
    }

    /// Keeps a batch of one who catches up for the others who do.
    fn cache_batch(&self, lane: &Lane, before: Snapshot, batch: Batch, after: Snapshot) {
        let room = lane.cache_capacity(batch.size());
        let mut catch_up_cache = lane.catch_up_cache.lock();
        let (added, freed) = catch_up_cache.put(before, batch, Arc::new(after), room);
        self.0.budget.account(added, freed);
        drop(catch_up_cache);
        self.trim();
    }

    /// Drops every batch in which records may be that have been deleted from `log`. Whoever was to get it goes on by itself, and
    /// is told what is lost.
    fn drop_deleted(&self, log: &Arc<PartitionLog>) {
        let topic = &log.partition().topic;
        let lanes = self.0.lanes.lock();
        let concerned = lanes.values().filter(|lane| lane.key.topics.contains(topic));
        let concerned: Vec<_> = concerned.cloned().collect();
        drop(lanes);
        concerned.iter().for_each(|lane| lane.drop_deleted(log));
    }

    /// Brings every ring down to its lane's share while more is used than there is: others may have got a part of it since, or
    /// sockets hold more than they did.
    fn trim(&self) {
        // What leaves a ring, and is held by a socket still, leaves less for the others: until nothing more can be freed.
        while self.0.budget.is_exceeded() {
            let lanes = self.0.lanes.lock();
            let freed = lanes.values().map(|lane| lane.trim().total());
            if freed.sum::<usize>() == 0 {
                return;
            }
        }
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lanes({}, {} bytes)", self.count(), self.bytes())
    }
}

#[cfg(test)]
pub(super) mod tests {
    pub(crate) use super::group_cursor::tests::Stage;
}
