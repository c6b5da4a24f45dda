//! Live subscriptions that are shared: merged and composed once for all who want the same.
//!
//! A client that catches up runs a [`Subscription`](super::Subscription) of its own. A lane publishes its head, one snapshot
//! of {number of its next batch, where it stands in every partition}; the client goes exactly there, and from then on is an
//! index into the lane's ring. When the ring has moved past it, it goes back to a subscription of its own, at its place.
//!
//! A client that is alone with its view has no lane: whoever invents ten thousand of them gets ten thousand subscriptions.
//! Nor have those who catch up, however many: there is nothing to share until two of them have.

mod budget;
mod catch_up_cache;
mod compressor;
mod group_cursor;
#[cfg(test)]
mod model;
mod ring;
mod run;
mod stalled_streams;
mod subscriber;

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    budget::{Budget, MemoryCost},
    catch_up_cache::CatchUpCache,
    ring::{BatchRing, LaneHead, RingRead},
    stalled_streams::StalledStreams,
};
use super::{
    Batch, ContentCoding, EventFormat, LogSource, SubscribeRequest, Subscription, merge::StreamView,
    snapshot::Snapshot,
};
use crate::{
    client::ClientKey,
    filter::{Filter, FilterRegistry, TooManyFilters},
    partition::{PartitionLog, SharedWaker, WaitList, WakerSet},
    position::{IdForm, Timestamp, TopicSet},
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

/// What all clients of a lane want alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LaneKey {
    topics: TopicSet,
    form: IdForm,
    format: EventFormat,
    coding: ContentCoding,
    filter: Option<Filter>,
    shows_canaries: bool,
}

/// One lane.
struct Lane {
    key: LaneKey,
    /// Changes under the lock of all lanes only.
    subscribers: AtomicUsize,
    /// Those of them who have been at the end of all they read.
    caught_up: AtomicUsize,
    /// Whether it has a task, or had.
    has_task: AtomicBool,
    ring: Mutex<BatchRing>,
    catch_up_cache: Mutex<CatchUpCache>,
    /// How many of the subscribers are not in the lane. What is on the catch-up cache is for them.
    catching_up: AtomicUsize,
    /// Woken for those who are not in the lane yet, when its head moves.
    head_watchers: WakerSet,
    /// Woken for those who are in it and have read all there is, when there is a batch.
    batch_waiters: WaitList,
    /// Whether its subscription waits for Kafka.
    held: AtomicBool,
    budget: Arc<Budget>,
    /// What packing costs in memory, in bytes.
    compressor_bytes: AtomicUsize,
    /// Where it stood before the oldest batch that its compressor may refer to.
    epoch: Mutex<Option<Arc<Snapshot>>>,
    /// Whether its compressor may hold records that have been deleted.
    must_repack: AtomicBool,
    /// Woken for its task.
    task_waker: Arc<SharedWaker>,
    /// Cancelled when nobody follows any more.
    ended: CancellationToken,
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
        let permit = request.filter.as_ref().map(admit).transpose()?;
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

impl LaneKey {
    fn of(request: &SubscribeRequest) -> Self {
        Self {
            topics: request.topics.clone(),
            form: request.form,
            format: request.format,
            coding: request.coding,
            filter: request.filter.clone(),
            shows_canaries: request.shows_canaries,
        }
    }

    /// How many at the end it takes to open the lane. For one alone there is nothing to share; but only lanes pack.
    fn min_subscribers(&self) -> usize {
        match self.coding {
            ContentCoding::Identity => 2,
            ContentCoding::Gzip => 1,
        }
    }

    fn view(&self) -> StreamView {
        StreamView {
            format: self.format,
            form: self.form,
            filter: self.filter.clone(),
            shows_canaries: self.shows_canaries,
        }
    }

    /// The same, from now on.
    fn request(&self, client: ClientKey, now: Timestamp) -> SubscribeRequest {
        SubscribeRequest {
            topics: self.topics.clone(),
            position: None,
            since: None,
            form: self.form,
            format: self.format,
            coding: self.coding,
            filter: self.filter.clone(),
            shows_canaries: self.shows_canaries,
            client,
            now,
        }
    }
}

impl Lane {
    fn new(key: LaneKey, budget: Arc<Budget>) -> Self {
        Self {
            key,
            subscribers: AtomicUsize::new(0),
            caught_up: AtomicUsize::new(0),
            has_task: AtomicBool::new(false),
            ring: Mutex::new(BatchRing::new(budget.tracker())),
            catch_up_cache: Mutex::default(),
            catching_up: AtomicUsize::new(0),
            head_watchers: WakerSet::default(),
            batch_waiters: WaitList::default(),
            held: AtomicBool::new(false),
            budget,
            compressor_bytes: AtomicUsize::new(0),
            epoch: Mutex::default(),
            must_repack: AtomicBool::new(false),
            task_waker: SharedWaker::new(),
            ended: CancellationToken::new(),
        }
    }

    fn share(&self, coming: usize) -> usize {
        self.budget.share(self.subscribers.load(Relaxed), coming)
    }

    /// What its ring may cost, in bytes, when so many bytes of text are about to come into it.
    fn ring_capacity(&self, coming: usize) -> usize {
        let overhead = self.cache_capacity(coming) + self.compressor_bytes.load(Relaxed);
        self.share(coming).saturating_sub(overhead)
    }

    /// What its catch-up cache may cost, in bytes.
    fn cache_capacity(&self, coming: usize) -> usize {
        match self.key.filter {
            None => self.share(coming) / CACHE_DIVISOR,
            Some(_) => 0,
        }
    }

    /// Brings its ring and its catch-up cache down to its share; what that freed.
    fn trim(&self) -> MemoryCost {
        let mut ring = self.ring.lock();
        let mut freed = ring.trim(self.ring_capacity(0));
        self.budget.free(freed);
        drop(ring);
        let mut catch_up_cache = self.catch_up_cache.lock();
        let cache_freed = catch_up_cache.trim(self.cache_capacity(0));
        self.budget.free(cache_freed);
        freed += cache_freed;
        freed
    }

    /// Drops what may hold records that have been deleted from `log`.
    fn drop_deleted(&self, log: &Arc<PartitionLog>) {
        let mut ring = self.ring.lock();
        self.budget.free(ring.drop_deleted(log));
        let head = ring.head();
        drop(ring);
        let mut catch_up_cache = self.catch_up_cache.lock();
        self.budget.free(catch_up_cache.drop_deleted(log));
        drop(catch_up_cache);
        let epoch = self.epoch.lock().clone();
        let refers = |head: LaneHead| head.snapshot.may_hold_deleted(epoch.as_deref(), log);
        if self.compressor_bytes.load(Relaxed) > 0 && head.is_none_or(refers) {
            self.must_repack.store(true, Relaxed);
            self.task_waker.wake();
        }
    }

    /// Moves the head to where the subscription stands; whether that is elsewhere than before.
    fn move_head(&self, subscription: &Subscription) -> bool {
        let mut ring = self.ring.lock();
        let same = |head: LaneHead| subscription.is_at(&head.snapshot);
        let moved = !ring.head().is_some_and(same);
        if moved {
            ring.set_head(Arc::new(subscription.snapshot()));
        }
        moved
    }

    /// Whether anybody else could come to a place that one of its subscribers leaves. What a filter tells of its progress is a
    /// matter of time, not of place.
    fn uses_catch_up_cache(&self) -> bool {
        self.key.filter.is_none()
            && (self.catching_up.load(Relaxed) > 1 || self.catch_up_cache.lock().is_kept())
    }

    /// Drops what is on the catch-up cache when nobody is left who could need it.
    fn clear_unused_cache(&self) {
        if self.catching_up.load(Relaxed) > 1 {
            return;
        }
        let mut catch_up_cache = self.catch_up_cache.lock();
        if !catch_up_cache.is_kept() {
            self.budget.free(catch_up_cache.trim(0));
        }
    }

    fn head(&self) -> Option<LaneHead> {
        self.ring.lock().head()
    }

    /// See [`BatchRing::first_ahead`].
    fn first_ahead(&self, is_ahead: impl Fn(&Snapshot) -> bool) -> Option<LaneHead> {
        self.ring.lock().first_ahead(is_ahead)
    }

    fn reaches(&self, number: u64) -> bool {
        self.ring.lock().reaches(number)
    }

    fn take(&self, number: u64) -> RingRead {
        self.ring.lock().take(number)
    }

    /// Wakes those whom it concerns that the head moved, or that there is a batch.
    fn wake(&self, moved: bool, has_batch: bool, held: bool) {
        if moved || has_batch {
            self.head_watchers.wake_all();
        }
        if self.held.swap(held, Relaxed) != held || has_batch {
            self.batch_waiters.wake_all();
        }
    }

    fn close(&self) {
        let mut ring = self.ring.lock();
        self.budget.free(ring.close());
        drop(ring);
        self.wake(true, true, false);
    }
}

/// What it keeps is no part of what all lanes keep any more.
impl Drop for Lane {
    fn drop(&mut self) {
        let mut freed = self.ring.get_mut().close();
        freed += self.catch_up_cache.get_mut().trim(0);
        self.budget.free(freed);
    }
}

/// A catch-up cache costs at most one part in so many of what its lane may. It is a matter of minutes, and what it has lost is only
/// composed once more.
const CACHE_DIVISOR: usize = 4;

/// One client's part in a lane; the lane ends with the last.
struct LaneGuard {
    lanes: Lanes,
    lane: Arc<Lane>,
    has_caught_up: bool,
}

impl LaneGuard {
    /// It has come to the end of all it reads.
    fn mark_caught_up(&mut self, now: Timestamp) {
        if !std::mem::replace(&mut self.has_caught_up, true) {
            self.lanes.mark_caught_up(&self.lane, now);
        }
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        if self.has_caught_up {
            self.lane.caught_up.fetch_sub(1, Relaxed);
        }
        self.lanes.leave(&self.lane);
    }
}

#[cfg(test)]
pub(super) mod tests {
    pub(crate) use super::group_cursor::tests::Stage;
}
