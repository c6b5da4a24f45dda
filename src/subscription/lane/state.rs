//! The state of one lane: its key, its ring, its catch-up cache, its memory, its wakers and its members.

use std::{
    mem,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    Lanes,
    budget::{Budget, MemoryCost},
    catch_up_cache::CatchUpCache,
    dispatcher::{DispatchKey, Dispatcher},
    ring::{BatchRing, LaneHead, RingRead},
    shared_head::SharedHead,
};
use crate::{
    client::ClientKey,
    filter::{EventKey, Filter},
    partition::{PartitionLog, SharedWaker, WaitList, WakerSet},
    position::{Timestamp, TopicSet},
    subscription::{ContentCoding, Snapshot, StreamView, SubscribeRequest, Subscription},
};

/// The topics and the view that all clients of a lane have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneKey {
    pub(super) topics: TopicSet,
    pub(super) view: StreamView,
}

impl LaneKey {
    pub(super) fn of(request: &SubscribeRequest) -> Self {
        Self {
            topics: request.topics.clone(),
            view: request.view.clone(),
        }
    }

    /// Returns how many clients must have caught up before the lane's own task starts. One alone has nothing to share, but
    /// only lanes compress.
    pub(super) fn min_subscribers(&self) -> usize {
        match self.view.coding {
            ContentCoding::Identity => 2,
            ContentCoding::Gzip => 1,
        }
    }

    /// Returns the key of the dispatcher that reads for the lane. `None` if the lane reads by itself, because its clients may want
    /// any event.
    pub(super) fn dispatch_key(&self) -> Option<DispatchKey> {
        let required = self.view.filter.as_ref()?.required()?;
        Some(DispatchKey {
            topics: self.topics.clone(),
            restriction: self.view.restriction.clone(),
            fields: required.fields.clone(),
        })
    }

    /// Returns a request for the lane's own subscription, which starts live.
    pub(super) fn request(&self, now: Timestamp) -> SubscribeRequest {
        SubscribeRequest {
            topics: self.topics.clone(),
            position: None,
            ranges: None,
            since: None,
            view: self.view.clone(),
            client: lane_client(),
            now,
        }
    }
}

/// Returns the client on whose account lanes read history: an address of no client, so all lanes together take the turn
/// of one client.
fn lane_client() -> ClientKey {
    ClientKey::of(Ipv4Addr::UNSPECIFIED.into())
}

/// The place of a lane in a dispatcher.
pub(super) struct DispatchPlace {
    pub(super) dispatcher: Arc<Dispatcher<Lane>>,
    pub(super) number: u64,
}

/// One lane.
pub(super) struct Lane {
    pub(super) key: LaneKey,
    /// The number of subscribers. Changes only under the lock of all lanes.
    pub(super) subscribers: AtomicUsize,
    /// The number of subscribers that have reached the end of everything they read.
    pub(super) caught_up: AtomicUsize,
    /// `None` if the lane has a task of its own.
    pub(super) place: Option<DispatchPlace>,
    /// Whether the lane's task was started, or its dispatcher was told to serve it.
    pub(super) has_task: AtomicBool,
    pub(super) ring: Mutex<BatchRing>,
    pub(super) catch_up_cache: Mutex<CatchUpCache>,
    /// The number of subscribers that are not in the lane. The catch-up cache is for them.
    pub(super) catching_up: AtomicUsize,
    /// Woken when the head moves: subscribers that are not in the lane yet.
    pub(super) head_watchers: Arc<WakerSet>,
    /// Woken when there is a batch: subscribers in the lane that have read everything.
    pub(super) batch_waiters: WaitList,
    /// Whether the lane's subscription waits for Kafka.
    pub(super) held: AtomicBool,
    pub(super) budget: Arc<Budget>,
    /// The memory taken by the compressor, in bytes.
    pub(super) compressor_bytes: AtomicUsize,
    /// The position before the oldest batch that the compressor's window may contain.
    pub(super) epoch: Mutex<Option<Arc<Snapshot>>>,
    /// Whether the compressor's window may contain deleted records.
    pub(super) must_repack: AtomicBool,
    /// Wakes the task that reads for the lane.
    pub(super) task_waker: Arc<SharedWaker>,
    /// Cancelled when the last subscriber has left.
    pub(super) ended: CancellationToken,
}

impl Lane {
    pub(super) fn new(key: LaneKey, budget: Arc<Budget>, dispatcher: Option<Arc<Dispatcher<Self>>>) -> Self {
        let place = dispatcher.map(|dispatcher| DispatchPlace {
            number: dispatcher.next_number(),
            dispatcher,
        });
        let dispatcher = place.as_ref().map(|place| &place.dispatcher);
        Self {
            key,
            head_watchers: dispatcher
                .map(|it| Arc::clone(&it.head_watchers))
                .unwrap_or_default(),
            task_waker: dispatcher.map_or_else(SharedWaker::new, |it| Arc::clone(&it.task_waker)),
            place,
            subscribers: AtomicUsize::new(0),
            caught_up: AtomicUsize::new(0),
            has_task: AtomicBool::new(false),
            ring: Mutex::new(BatchRing::new(&budget.tracker)),
            catch_up_cache: Mutex::default(),
            catching_up: AtomicUsize::new(0),
            batch_waiters: WaitList::default(),
            held: AtomicBool::new(false),
            budget,
            compressor_bytes: AtomicUsize::new(0),
            epoch: Mutex::default(),
            must_repack: AtomicBool::new(false),
            ended: CancellationToken::new(),
        }
    }

    /// Whether the lane's batches are compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.key.view.coding != ContentCoding::Identity
    }

    /// Returns the keys of the events that the lane's clients may want, if it has a dispatcher.
    pub(super) fn required_keys(&self) -> &[EventKey] {
        let filter = self.key.view.filter.as_ref();
        filter
            .and_then(Filter::required)
            .map_or(&[], |required| &required.keys)
    }

    /// Continues from this head, and moves with it from now on.
    pub(super) fn follow(&self, head: &Arc<SharedHead>) {
        self.ring.lock().follow(head);
    }

    /// Drops the batches that a lane without events for a while need not keep.
    pub(super) fn trim_idle(&self) {
        let freed = self.ring.lock().trim(IDLE_RING_BYTES);
        self.budget.free(freed);
    }

    pub(super) fn share(&self, coming: usize) -> usize {
        self.budget.share(self.subscribers.load(Relaxed), coming)
    }

    /// Returns the bytes that the ring may take if `coming` bytes of a batch are about to be added.
    pub(super) fn ring_capacity(&self, coming: usize) -> usize {
        let overhead = self.cache_capacity(coming) + self.compressor_bytes.load(Relaxed);
        self.share(coming).saturating_sub(overhead)
    }

    /// Returns the bytes that the catch-up cache may take if `coming` bytes of a batch are about to be added.
    pub(super) fn cache_capacity(&self, coming: usize) -> usize {
        match self.key.view.filter {
            None => self.share(coming) / CACHE_DIVISOR,
            Some(_) => 0,
        }
    }

    /// Trims the ring and the catch-up cache to the lane's share. Returns the memory freed.
    pub(super) fn trim(&self) -> MemoryCost {
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

    /// Drops everything that may contain records deleted from `log`.
    pub(super) fn drop_deleted(&self, log: &Arc<PartitionLog>) {
        let mut ring = self.ring.lock();
        self.budget.free(ring.drop_deleted(log));
        let head = ring.head();
        drop(ring);
        self.budget.free(self.catch_up_cache.lock().drop_deleted(log));
        let epoch = self.epoch.lock().clone();
        let refers = |head: LaneHead| head.snapshot.may_hold_deleted(epoch.as_deref(), log);
        if self.compressor_bytes.load(Relaxed) > 0 && head.is_none_or(refers) {
            self.must_repack.store(true, Relaxed);
            if let Some(place) = &self.place {
                place.dispatcher.must_repack.store(true, Relaxed);
            }
            self.task_waker.wake();
        }
    }

    /// Moves the head to the subscription's position. Returns whether that was a change.
    pub(super) fn move_head(&self, subscription: &Subscription) -> bool {
        let mut ring = self.ring.lock();
        let same = |head: LaneHead| subscription.is_at(&head.snapshot);
        let moved = !ring.head().is_some_and(same);
        if moved {
            ring.set_head(Arc::new(subscription.snapshot()));
        }
        moved
    }

    /// Returns whether another client could come to a position that a subscriber leaves. Not with a filter: its
    /// checkpoints depend on time, and not on the position alone.
    pub(super) fn uses_catch_up_cache(&self) -> bool {
        self.key.view.filter.is_none()
            && (self.catching_up.load(Relaxed) > 1 || self.catch_up_cache.lock().is_kept())
    }

    /// Empties the catch-up cache if no client is left that could use it.
    pub(super) fn clear_unused_cache(&self) {
        if self.catching_up.load(Relaxed) > 1 {
            return;
        }
        let mut catch_up_cache = self.catch_up_cache.lock();
        if !catch_up_cache.is_kept() {
            self.budget.free(catch_up_cache.trim(0));
        }
    }

    pub(super) fn head(&self) -> Option<LaneHead> {
        self.ring.lock().head()
    }

    /// See [`BatchRing::first_ahead`].
    pub(super) fn first_ahead(&self, is_ahead: impl Fn(&Snapshot) -> bool) -> Option<LaneHead> {
        self.ring.lock().first_ahead(is_ahead)
    }

    pub(super) fn reaches(&self, number: u64) -> bool {
        self.ring.lock().reaches(number)
    }

    pub(super) fn take(&self, number: u64) -> RingRead {
        self.ring.lock().take(number)
    }

    /// Wakes subscribers after the head moved, a batch was added, or `held` changed.
    pub(super) fn wake(&self, moved: bool, has_batch: bool, held: bool) {
        if moved || has_batch {
            self.head_watchers.wake_all();
        }
        if self.held.swap(held, Relaxed) != held || has_batch {
            self.batch_waiters.wake_all();
        }
    }

    pub(super) fn close(&self) {
        self.budget.free(self.ring.lock().close());
        self.wake(true, true, false);
    }
}

/// Takes the lane's memory off the budget.
impl Drop for Lane {
    fn drop(&mut self) {
        let mut freed = self.ring.get_mut().close();
        freed += self.catch_up_cache.get_mut().trim(0);
        self.budget.free(freed);
    }
}

/// A subscriber's membership in a lane, ended on drop. The lane ends with its last member.
pub(super) struct LaneGuard {
    pub(super) lanes: Lanes,
    pub(super) lane: Arc<Lane>,
    has_caught_up: bool,
}

impl LaneGuard {
    pub(super) fn new(lanes: Lanes, lane: Arc<Lane>) -> Self {
        Self {
            lanes,
            lane,
            has_caught_up: false,
        }
    }

    /// Records, once, that the client has reached the end of everything it reads.
    pub(super) fn mark_caught_up(&mut self, now: Timestamp) {
        if !mem::replace(&mut self.has_caught_up, true) {
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

/// What a ring keeps when nothing but a checkpoint has come for a while, in bytes. A client that is further behind than that reads
/// the rest by itself. Ten thousand lanes that are mostly idle would otherwise fill their share of the memory.
const IDLE_RING_BYTES: usize = 1024;

/// A catch-up cache takes at most the lane's share divided by this. It is used for minutes only, and what it has
/// dropped is just composed again.
const CACHE_DIVISOR: usize = 4;
