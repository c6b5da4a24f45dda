//! What a dispatcher shares with its lanes.
//!
//! Ten thousand lanes that demand different values of one field would each read every event, to find that it is for another lane. A
//! dispatcher reads each event once, and finds the lanes by the event's value.
//!
//! Not here: its task (`dispatch`).

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::shared_head::SharedHead;
use crate::{
    filter::KeyFields,
    partition::{SharedWaker, WakerSet},
    position::{Restriction, TopicSet},
};

/// What all lanes of a dispatcher have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DispatchKey {
    pub(super) topics: TopicSet,
    /// Which partitions of the topics are read; `None` for all.
    pub(super) restriction: Option<Restriction>,
    pub(super) fields: KeyFields,
}

/// A reader that reads once for many lanes. `L` is a lane.
pub(super) struct Dispatcher<L> {
    pub(super) key: DispatchKey,
    pub(super) head: Arc<SharedHead>,
    /// Woken when the head moves: subscribers that are not in their lanes yet.
    pub(super) head_watchers: Arc<WakerSet>,
    /// Wakes the task.
    pub(super) task_waker: Arc<SharedWaker>,
    /// Whether the task was started.
    pub(super) has_task: AtomicBool,
    /// The number of lanes. Changes only under the lock of all lanes.
    pub(super) lanes: AtomicUsize,
    /// Cancelled when the last lane has gone.
    pub(super) ended: CancellationToken,
    /// Whether the compressor of some lane may contain deleted records.
    pub(super) must_repack: AtomicBool,
    /// The changes that the task has not seen yet. `None` once it has ended.
    changes: Mutex<Option<Vec<Change<L>>>>,
    next_number: AtomicU64,
}

/// A change of what a dispatcher has to serve.
pub(super) enum Change<L> {
    /// This lane is to be served. It has this number.
    Added(u64, Arc<L>),
    /// The lane with this number has gone.
    Removed(u64),
}

impl<L> Dispatcher<L> {
    pub(super) fn new(key: DispatchKey) -> Self {
        Self {
            key,
            head: Arc::default(),
            head_watchers: Arc::default(),
            task_waker: SharedWaker::new(),
            has_task: AtomicBool::new(false),
            lanes: AtomicUsize::new(0),
            ended: CancellationToken::new(),
            must_repack: AtomicBool::new(false),
            changes: Mutex::new(Some(Vec::new())),
            next_number: AtomicU64::new(0),
        }
    }

    /// Returns a number for a new lane. None is used twice.
    pub(super) fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Relaxed)
    }

    /// Tells the task of a change.
    pub(super) fn push(&self, change: Change<L>) {
        if let Some(changes) = &mut *self.changes.lock() {
            changes.push(change);
        }
        self.task_waker.wake();
    }

    /// Returns the changes since the last call, in their order.
    pub(super) fn take_changes(&self) -> Vec<Change<L>> {
        self.changes.lock().as_mut().map(mem::take).unwrap_or_default()
    }

    /// Drops all changes from now on. A lane that nobody serves then stays without a head, and its clients continue on their own.
    pub(super) fn close(&self) {
        *self.changes.lock() = None;
    }
}
