//! The queue of the entries of a slab that were woken and have to be polled, as the members of a group.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Acquire},
        },
    },
};

use futures_util::task::{ArcWake, AtomicWaker};
use parking_lot::Mutex;

/// An entry that was woken. Its key may be another entry's by the time of its turn, and then the number of its waker differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Woken {
    pub(super) key: usize,
    waker: u32,
}

/// The entries that were woken, in the order of their wake-ups.
#[derive(Debug)]
pub(super) struct WakeQueue {
    woken: Mutex<VecDeque<Woken>>,
    task_waker: Arc<AtomicWaker>,
}

/// The waker of one entry. It queues the entry and wakes the write task.
#[derive(Debug)]
pub(super) struct EntryWaker {
    woken: Woken,
    /// Whether the entry is in the queue, or on its way from there to its poll.
    is_queued: AtomicBool,
    wake_queue: Arc<WakeQueue>,
}

impl WakeQueue {
    /// Creates an empty queue. Each entry that is queued wakes `task_waker`.
    pub(in crate::http) fn new(task_waker: &Arc<AtomicWaker>) -> Arc<Self> {
        Arc::new(Self {
            woken: Mutex::default(),
            task_waker: Arc::clone(task_waker),
        })
    }

    /// Moves all entries to `woken`, which must be empty.
    pub(super) fn drain_into(&self, woken: &mut VecDeque<Woken>) {
        mem::swap(&mut *self.woken.lock(), woken);
    }

    /// Returns how many entries are queued.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.woken.lock().len()
    }
}

impl EntryWaker {
    /// Creates the waker of the entry with this key. It counts as queued: the caller polls what is [woken](Self::woken). No other
    /// waker of the key may have this number.
    pub(in crate::http) fn queued(key: usize, number: u32, wake_queue: &Arc<WakeQueue>) -> Arc<Self> {
        Arc::new(Self {
            woken: Woken { key, waker: number },
            is_queued: AtomicBool::new(true),
            wake_queue: Arc::clone(wake_queue),
        })
    }

    /// Returns what it queues.
    pub(super) fn woken(&self) -> Woken {
        self.woken
    }

    /// Whether the entry will be polled because it was woken.
    pub(super) fn is_queued(&self) -> bool {
        self.is_queued.load(Acquire)
    }

    /// Lets the next wake-up queue the entry again. To be called when the entry has left the queue, before it is polled, so that
    /// no wake-up is lost.
    pub(in crate::http) fn reset(&self) {
        self.is_queued.swap(false, AcqRel);
    }
}

impl ArcWake for EntryWaker {
    fn wake_by_ref(waker: &Arc<Self>) {
        if !waker.is_queued.swap(true, AcqRel) {
            waker.wake_queue.woken.lock().push_back(waker.woken);
            waker.wake_queue.task_waker.wake();
        }
    }
}
