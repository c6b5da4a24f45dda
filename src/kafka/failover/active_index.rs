//! The cluster that a group is read from, as an index that is shared.
//!
//! Not here: the moves that change it (`monitor`).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Index of the cluster that is read, in its group's order of preference. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct ActiveIndex(Arc<AtomicUsize>);

impl ActiveIndex {
    /// Creates an index that starts at `index`.
    pub(super) fn new(index: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(index)))
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn set(&self, index: usize) {
        self.0.store(index, Ordering::Release);
    }
}
