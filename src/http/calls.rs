//! Which clients of a shard have to be polled.

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
pub(super) struct Calls {
    keys: Mutex<VecDeque<usize>>,
    shard: Arc<AtomicWaker>,
}

/// One client's way to be polled.
#[derive(Debug)]
pub(super) struct Call {
    key: usize,
    /// Whether its key is among those to be polled.
    waits: AtomicBool,
    calls: Arc<Calls>,
}

impl Calls {
    /// None yet. Each wakes `shard`.
    pub(super) fn new(shard: &Arc<AtomicWaker>) -> Arc<Self> {
        Arc::new(Self {
            keys: Mutex::default(),
            shard: Arc::clone(shard),
        })
    }

    /// Moves them all to `keys`, which is empty.
    pub(super) fn drain_into(&self, keys: &mut VecDeque<usize>) {
        mem::swap(&mut *self.keys.lock(), keys);
    }
}

impl Call {
    /// One that is not made yet.
    pub(super) fn new(key: usize, calls: &Arc<Calls>) -> Arc<Self> {
        Arc::new(Self {
            key,
            waits: AtomicBool::new(false),
            calls: Arc::clone(calls),
        })
    }

    /// Whoever wakes it from now on makes another. Poll only after this.
    pub(super) fn answer(&self) {
        self.waits.swap(false, AcqRel);
    }
}

impl ArcWake for Call {
    fn wake_by_ref(call: &Arc<Self>) {
        if !call.waits.swap(true, AcqRel) {
            call.calls.keys.lock().push_back(call.key);
            call.calls.shard.wake();
        }
    }
}
