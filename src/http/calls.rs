//! Which clients of a shard have to be polled.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::AcqRel},
    },
};

use futures_util::task::ArcWake;
use parking_lot::Mutex;

use crate::partition::Bell;

/// The keys of clients that were woken, in the order in which they were.
#[derive(Debug)]
pub(super) struct Calls {
    keys: Mutex<VecDeque<usize>>,
    /// The shard's.
    bell: Arc<Bell>,
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
    /// None yet. Whoever looks for them listens to `bell` first.
    pub(super) fn new(bell: &Arc<Bell>) -> Arc<Self> {
        Arc::new(Self {
            keys: Mutex::default(),
            bell: Arc::clone(bell),
        })
    }

    /// All keys there are, in the room of `served`, which are none any more.
    pub(super) fn swap(&self, served: &mut VecDeque<usize>) {
        mem::swap(&mut *self.keys.lock(), served);
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
            call.calls.bell.ring();
        }
    }
}
