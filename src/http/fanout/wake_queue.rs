//! Which clients of a write task have to be polled.

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

/// The keys of clients that were woken, in the order in which they were.
#[derive(Debug)]
pub(super) struct WakeQueue {
    keys: Mutex<VecDeque<usize>>,
    task_waker: Arc<AtomicWaker>,
}

/// One client's way to be polled.
#[derive(Debug)]
pub(super) struct ClientWaker {
    key: usize,
    /// Whether its key is among those to be polled.
    is_queued: AtomicBool,
    wake_queue: Arc<WakeQueue>,
}

impl WakeQueue {
    /// None yet. Each wakes `task_waker`.
    pub(in crate::http) fn new(task_waker: &Arc<AtomicWaker>) -> Arc<Self> {
        Arc::new(Self {
            keys: Mutex::default(),
            task_waker: Arc::clone(task_waker),
        })
    }

    /// Moves them all to `keys`, which is empty.
    pub(super) fn drain_into(&self, keys: &mut VecDeque<usize>) {
        mem::swap(&mut *self.keys.lock(), keys);
    }
}

impl ClientWaker {
    /// One that is not made yet.
    pub(in crate::http) fn new(key: usize, wake_queue: &Arc<WakeQueue>) -> Arc<Self> {
        Arc::new(Self {
            key,
            is_queued: AtomicBool::new(false),
            wake_queue: Arc::clone(wake_queue),
        })
    }

    /// Whoever wakes it from now on makes another. Poll only after this.
    pub(in crate::http) fn reset(&self) {
        self.is_queued.swap(false, AcqRel);
    }
}

impl ArcWake for ClientWaker {
    fn wake_by_ref(waker: &Arc<Self>) {
        if !waker.is_queued.swap(true, AcqRel) {
            waker.wake_queue.keys.lock().push_back(waker.key);
            waker.wake_queue.task_waker.wake();
        }
    }
}
