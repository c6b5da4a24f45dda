//! The queue of the members of a group that were woken and have to be polled.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
};

use futures_util::task::{ArcWake, AtomicWaker};
use parking_lot::Mutex;

/// The keys of the members that were woken, in the order of their wake-ups.
#[derive(Debug)]
pub(super) struct WakeQueue {
    keys: Mutex<VecDeque<usize>>,
    task_waker: Arc<AtomicWaker>,
}

/// The waker of one entry, as a member of a group is. It queues the key of the entry and wakes the write task.
#[derive(Debug)]
pub(super) struct EntryWaker {
    key: usize,
    /// Whether the key is in the queue, or the entry is about to be polled.
    is_queued: AtomicBool,
    wake_queue: Arc<WakeQueue>,
}

impl WakeQueue {
    /// Creates an empty queue. Each key that is queued wakes `task_waker`.
    pub(in crate::http) fn new(task_waker: &Arc<AtomicWaker>) -> Arc<Self> {
        Arc::new(Self {
            keys: Mutex::default(),
            task_waker: Arc::clone(task_waker),
        })
    }

    /// Moves all keys to `keys`, which must be empty.
    pub(super) fn drain_into(&self, keys: &mut VecDeque<usize>) {
        mem::swap(&mut *self.keys.lock(), keys);
    }
}

impl EntryWaker {
    /// Creates the waker of the member with this key, which is not queued yet.
    pub(in crate::http) fn new(key: usize, wake_queue: &Arc<WakeQueue>) -> Arc<Self> {
        Arc::new(Self {
            key,
            is_queued: AtomicBool::new(false),
            wake_queue: Arc::clone(wake_queue),
        })
    }

    /// Lets the next wake-up queue the key again. To be called before the member is polled, so that no wake-up is lost.
    pub(in crate::http) fn reset(&self) {
        self.is_queued.swap(false, AcqRel);
    }
}

impl ArcWake for EntryWaker {
    fn wake_by_ref(waker: &Arc<Self>) {
        if !waker.is_queued.swap(true, AcqRel) {
            waker.wake_queue.keys.lock().push_back(waker.key);
            waker.wake_queue.task_waker.wake();
        }
    }
}
