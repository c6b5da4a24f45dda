//! The state of one lane: its ring, its catch-up cache, and who is to be woken.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{
    budget::{Budget, MemoryCost},
    catch_up_cache::CatchUpCache,
    key::LaneKey,
    ring::{BatchRing, LaneHead, RingRead},
};
use crate::{
    partition::{PartitionLog, SharedWaker, WaitList, WakerSet},
    subscription::{Subscription, snapshot::Snapshot},
};

/// One lane.
pub(super) struct Lane {
    pub(super) key: LaneKey,
    /// Changes under the lock of all lanes only.
    pub(super) subscribers: AtomicUsize,
    /// Those of them who have been at the end of all they read.
    pub(super) caught_up: AtomicUsize,
    /// Whether it has a task, or had.
    pub(super) has_task: AtomicBool,
    pub(super) ring: Mutex<BatchRing>,
    pub(super) catch_up_cache: Mutex<CatchUpCache>,
    /// How many of the subscribers are not in the lane. What is on the catch-up cache is for them.
    pub(super) catching_up: AtomicUsize,
    /// Woken for those who are not in the lane yet, when its head moves.
    pub(super) head_watchers: WakerSet,
    /// Woken for those who are in it and have read all there is, when there is a batch.
    pub(super) batch_waiters: WaitList,
    /// Whether its subscription waits for Kafka.
    pub(super) held: AtomicBool,
    pub(super) budget: Arc<Budget>,
    /// What packing costs in memory, in bytes.
    pub(super) compressor_bytes: AtomicUsize,
    /// Where it stood before the oldest batch that its compressor may refer to.
    pub(super) epoch: Mutex<Option<Arc<Snapshot>>>,
    /// Whether its compressor may hold records that have been deleted.
    pub(super) must_repack: AtomicBool,
    /// Woken for its task.
    pub(super) task_waker: Arc<SharedWaker>,
    /// Cancelled when nobody follows any more.
    pub(super) ended: CancellationToken,
}

impl Lane {
    pub(super) fn new(key: LaneKey, budget: Arc<Budget>) -> Self {
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

    pub(super) fn share(&self, coming: usize) -> usize {
        self.budget.share(self.subscribers.load(Relaxed), coming)
    }

    /// What its ring may cost, in bytes, when so many bytes of text are about to come into it.
    pub(super) fn ring_capacity(&self, coming: usize) -> usize {
        let overhead = self.cache_capacity(coming) + self.compressor_bytes.load(Relaxed);
        self.share(coming).saturating_sub(overhead)
    }

    /// What its catch-up cache may cost, in bytes.
    pub(super) fn cache_capacity(&self, coming: usize) -> usize {
        match self.key.view.filter {
            None => self.share(coming) / CACHE_DIVISOR,
            Some(_) => 0,
        }
    }

    /// Brings its ring and its catch-up cache down to its share; what that freed.
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

    /// Drops what may hold records that have been deleted from `log`.
    pub(super) fn drop_deleted(&self, log: &Arc<PartitionLog>) {
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
    pub(super) fn move_head(&self, subscription: &Subscription) -> bool {
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
    pub(super) fn uses_catch_up_cache(&self) -> bool {
        self.key.view.filter.is_none()
            && (self.catching_up.load(Relaxed) > 1 || self.catch_up_cache.lock().is_kept())
    }

    /// Drops what is on the catch-up cache when nobody is left who could need it.
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

    /// Wakes those whom it concerns that the head moved, or that there is a batch.
    pub(super) fn wake(&self, moved: bool, has_batch: bool, held: bool) {
        if moved || has_batch {
            self.head_watchers.wake_all();
        }
        if self.held.swap(held, Relaxed) != held || has_batch {
            self.batch_waiters.wake_all();
        }
    }

    pub(super) fn close(&self) {
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
