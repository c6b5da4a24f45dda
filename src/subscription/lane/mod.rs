//! Lanes: live subscriptions that are merged and encoded once for all clients with the same topics and view.
//!
//! A client that catches up runs a [`Subscription`](super::Subscription) of its own. A lane publishes its head, a
//! snapshot of its position in every partition with the number of its next batch. The client's subscription goes
//! exactly there, and from then on the client is an index into the lane's ring. If the ring moves past the client, it
//! returns to a subscription of its own, at its position.
//!
//! Lanes whose filters demand certain values of the same fields are served together, by a dispatcher: it reads each event once, and
//! finds the lanes that may want it by its values. So ten thousand tenants of a stream cost an event what ten cost.
//!
//! A client that is alone with any other view has no lane: ten thousand invented views are ten thousand subscriptions.
//! Clients that catch up have none either, however many they are: there is nothing to share until two of them have
//! caught up.
//!
//! Not here: writing to sockets (`http::delivery`), and the loop that serves a group of clients (`http::fanout`).

mod batch_source;
mod bounded;
mod budget;
mod catch_up;
mod catch_up_cache;
mod compressor;
mod dispatch;
mod dispatcher;
mod group_cursor;
#[cfg(test)]
mod model;
mod packers;
mod ring;
mod run;
mod shared_head;
mod stalled_streams;
mod state;
mod subscriber;

use std::{
    collections::HashMap,
    convert::Infallible,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
};

use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use self::{
    budget::Budget,
    dispatcher::{Change, DispatchKey, Dispatcher},
    packers::Packers,
    stalled_streams::StalledStreams,
    state::{DispatchPlace, Lane, LaneGuard, LaneKey},
};
use super::{Batch, LogSource, Snapshot, SubscribeRequest};
use crate::{
    filter::{FieldsPermit, FilterPermit, FilterRegistry, TooManyFilters},
    partition::{PartitionLog, SharedWaker},
    position::Timestamp,
};

pub use batch_source::{BatchSource, LaneId};
pub use bounded::BoundedRead;
pub use group_cursor::{BatchLimit, BatchRun, GroupCursor, GroupUpdate};
pub use stalled_streams::{ResetHandle, StallGuard, UnwrittenBytes};
pub use subscriber::LaneSubscriber;

/// All lanes of a process.
#[derive(Clone)]
pub struct Lanes(Arc<LanesInner>);

struct LanesInner {
    source: LogSource,
    lanes: Mutex<LaneMaps>,
    budget: Arc<Budget>,
    tasks: TaskTracker,
    filters: FilterRegistry,
    stalled_streams: StalledStreams,
    packers: Packers,
    /// In bytes.
    composed: AtomicU64,
}

#[derive(Default)]
struct LaneMaps {
    lanes: HashMap<LaneKey, Arc<Lane>>,
    dispatchers: HashMap<DispatchKey, Arc<Dispatcher<Lane>>>,
}

/// The uses of a filter and of a set of fields that a subscriber has.
struct ViewPermits {
    _filter: Option<FilterPermit>,
    _fields: Option<FieldsPermit>,
}

impl Lanes {
    /// Creates an empty set of lanes. All batches together take at most `budget` bytes. Each lane in use runs as one of
    /// `tasks`, which ends when the lane's last subscriber is dropped.
    pub fn new(source: LogSource, budget: usize, tasks: TaskTracker) -> Self {
        let filters = FilterRegistry::with_limit(budget::for_filters(budget));
        let budget = Arc::new(Budget::new(budget, filters.clone()));
        Self(Arc::new(LanesInner {
            source,
            lanes: Mutex::default(),
            packers: Packers::new(&budget),
            budget,
            tasks,
            filters,
            stalled_streams: StalledStreams::default(),
            composed: AtomicU64::new(0),
        }))
    }

    /// Subscribes to what `request` asks for, from its position. Must be called inside a runtime.
    ///
    /// # Errors
    /// Fails if the request has a filter or a set of fields that is not in use yet, and too many are in use.
    pub fn subscribe(&self, mut request: SubscribeRequest) -> Result<LaneSubscriber, TooManyFilters> {
        let permits = self.admit_view(&mut request)?;
        let member = self.join(LaneKey::of(&request));
        Ok(LaneSubscriber::new(member, permits, request))
    }

    /// Counts the filter and the fields of a request, and puts in those that were counted for equal ones.
    fn admit_view(&self, request: &mut SubscribeRequest) -> Result<Option<Box<ViewPermits>>, TooManyFilters> {
        let (client, filters) = (request.client, &self.0.filters);
        let view = &mut request.view;
        let filter = view.filter.as_ref().map(|filter| filters.admit(client, filter));
        let fields = view
            .fields
            .as_ref()
            .map(|fields| filters.admit_fields(client, fields));
        let (filter, fields) = (filter.transpose()?, fields.transpose()?);
        if filter.is_none() && fields.is_none() {
            return Ok(None);
        }
        view.filter = filter.as_ref().map(|permit| permit.filter().clone());
        view.fields = fields.as_ref().map(|permit| Arc::clone(permit.fields()));
        Ok(Some(Box::new(ViewPermits {
            _filter: filter,
            _fields: fields,
        })))
    }

    /// Drops records that were deleted from Kafka from every ring and cache, as soon as the deletion is known. Never
    /// ends.
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

    /// Returns the source of all events.
    pub fn source(&self) -> &LogSource {
        &self.0.source
    }

    /// Returns the number of lanes, those with a single client included.
    pub fn count(&self) -> usize {
        self.0.lanes.lock().lanes.len()
    }

    /// Returns the memory taken by rings, catch-up caches and every batch that exists, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.budget.used()
    }

    /// Returns the memory taken by the filters in use, in bytes.
    pub fn filter_bytes(&self) -> usize {
        self.0.filters.bytes()
    }

    /// Returns the bytes of events encoded so far, however many clients got them.
    pub fn composed(&self) -> u64 {
        self.0.composed.load(Relaxed)
    }

    /// Records that a client's socket does not take what it was given. If clients hold more than the budget, those that
    /// hold most and have taken nothing for longest are reset, perhaps this one. Returns `None` while all batches
    /// together are small.
    pub fn track_stalled(
        &self,
        unwritten: UnwrittenBytes,
        reset_handle: impl FnOnce() -> Arc<dyn ResetHandle>,
    ) -> Option<StallGuard> {
        if !self.0.budget.tracker.is_under_pressure() {
            return None;
        }
        let key = self.0.stalled_streams.insert(unwritten, reset_handle());
        let lanes = self.clone();
        self.evict_excess();
        Some(StallGuard::new(lanes, key))
    }

    /// Frees memory beyond the budget: first from rings and caches, then by resetting clients.
    fn evict_excess(&self) {
        self.trim();
        let (limit, excess) = (self.0.budget.limit, self.0.budget.excess());
        if excess > 0 {
            let chosen = self.0.stalled_streams.choose_to_reset(limit, excess);
            // Called without a lock, because it wakes the clients.
            chosen.iter().for_each(|reset_handle| reset_handle.reset());
        }
    }

    fn note_composed(&self, batch: &Batch) {
        self.0.composed.fetch_add(batch.size() as u64, Relaxed);
    }

    fn join(&self, key: LaneKey) -> LaneGuard {
        let mut maps = self.0.lanes.lock();
        let known = maps.lanes.get(&key).cloned();
        let lane = known.unwrap_or_else(|| maps.add(key, &self.0.budget));
        self.0.budget.subscribers.fetch_add(1, Relaxed);
        lane.subscribers.fetch_add(1, Relaxed);
        LaneGuard::new(self.clone(), lane)
    }

    /// Counts a subscriber that has caught up. The lane is served by its dispatcher from the first one on, and by a task of its
    /// own once there are enough of them.
    fn mark_caught_up(&self, lane: &Arc<Lane>, now: Timestamp) {
        let before = lane.caught_up.fetch_add(1, Relaxed);
        if let Some(place) = &lane.place {
            if !lane.has_task.swap(true, Relaxed) {
                self.dispatch(lane, place, now);
            }
        } else if before + 1 >= lane.key.min_subscribers() && !lane.has_task.swap(true, Relaxed) {
            self.0.tasks.spawn(run::run(self.clone(), Arc::clone(lane), now));
        }
    }

    /// Lets the dispatcher serve a lane. Its task is started for the first one.
    fn dispatch(&self, lane: &Arc<Lane>, place: &DispatchPlace, now: Timestamp) {
        let DispatchPlace { dispatcher, number } = place;
        dispatcher.push(Change::Added(*number, Arc::clone(lane)));
        if !dispatcher.has_task.swap(true, Relaxed) {
            let request = lane.key.request(now);
            let task = dispatch::run(self.clone(), Arc::clone(dispatcher), request);
            self.0.tasks.spawn(task);
        }
    }

    fn leave(&self, lane: &Lane) {
        let mut maps = self.0.lanes.lock();
        self.0.budget.subscribers.fetch_sub(1, Relaxed);
        if lane.subscribers.fetch_sub(1, Relaxed) == 1 {
            maps.remove(lane);
            lane.ended.cancel();
        }
    }

    /// Adds a batch to a lane's ring; `after` is the position after it.
    fn publish(&self, lane: &Lane, batch: Batch, after: Arc<Snapshot>) {
        let room = lane.ring_capacity(batch.size());
        self.note_composed(&batch);
        let mut ring = lane.ring.lock();
        // Accounted for under the lock, so that no other thread subtracts these bytes before they are added.
        let (added, freed) = ring.push(batch, Arc::clone(&after), room);
        self.0.budget.account(added, freed);
        drop(ring);
        // It may have been composed while the ring was cleared.
        after.withdrawn_logs().for_each(|log| lane.drop_deleted(log));
        lane.clear_unused_cache();
        self.trim();
    }

    /// Adds a batch composed by a client that catches up to the lane's cache.
    fn cache_batch(&self, lane: &Lane, before: Snapshot, batch: Batch, after: Snapshot) {
        let room = lane.cache_capacity(batch.size());
        let mut catch_up_cache = lane.catch_up_cache.lock();
        let after = Arc::new(after);
        let (added, freed) = catch_up_cache.put(before, batch, Arc::clone(&after), room);
        self.0.budget.account(added, freed);
        drop(catch_up_cache);
        after.withdrawn_logs().for_each(|log| lane.drop_deleted(log));
        self.trim();
    }

    /// Drops every batch that may contain records deleted from `log`. A client that was to get one continues with a
    /// subscription of its own, and gets a gap for what is lost.
    fn drop_deleted(&self, log: &Arc<PartitionLog>) {
        let topic = &log.partition().topic;
        let maps = self.0.lanes.lock();
        let concerned = maps.lanes.values().filter(|lane| lane.key.topics.contains(topic));
        let concerned: Vec<_> = concerned.cloned().collect();
        drop(maps);
        concerned.iter().for_each(|lane| lane.drop_deleted(log));
    }

    /// Trims rings and catch-up caches to their lane's share while more than the limit is in use. Other lanes may have
    /// gained a part of it since, or sockets may hold more.
    fn trim(&self) {
        // A batch that leaves a ring but is still held by a socket shrinks the shares of all lanes. So the loop runs
        // until nothing more can be freed.
        while self.0.budget.excess() > 0 {
            let maps = self.0.lanes.lock();
            let freed = maps.lanes.values().map(|lane| lane.trim().total());
            if freed.sum::<usize>() == 0 {
                return;
            }
        }
    }
}

impl LaneMaps {
    /// Adds a lane, and its dispatcher if it is the first that needs it.
    fn add(&mut self, key: LaneKey, budget: &Arc<Budget>) -> Arc<Lane> {
        let dispatcher = key.dispatch_key().map(|key| {
            let new = || Arc::new(Dispatcher::new(key.clone()));
            let dispatcher = self.dispatchers.entry(key.clone()).or_insert_with(new);
            dispatcher.lanes.fetch_add(1, Relaxed);
            Arc::clone(dispatcher)
        });
        let lane = Arc::new(Lane::new(key.clone(), Arc::clone(budget), dispatcher));
        self.lanes.insert(key, Arc::clone(&lane));
        lane
    }

    /// Removes a lane, and its dispatcher if it was the last that needed it.
    fn remove(&mut self, lane: &Lane) {
        self.lanes.remove(&lane.key);
        let Some(DispatchPlace { dispatcher, number }) = &lane.place else {
            return;
        };
        if dispatcher.lanes.fetch_sub(1, Relaxed) == 1 {
            self.dispatchers.remove(&dispatcher.key);
            dispatcher.ended.cancel();
        } else if lane.has_task.load(Relaxed) {
            dispatcher.push(Change::Removed(*number));
        }
    }
}

debug_by_name!(Lanes);

#[cfg(test)]
pub(super) mod tests {
    pub(crate) use super::group_cursor::tests::Stage;
}
