//! A client in its lane: an index into the lane's ring.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    ring::{LaneHead, RingRead},
    state::Lane,
};
use crate::{
    partition::SharedWaker,
    subscription::{Batch, snapshot::Snapshot},
};

/// A client in its lane.
pub(super) struct LaneReader {
    /// The number of the batch it wants next.
    pub(super) number: u64,
    /// Where it stands before that.
    pub(super) snapshot: Arc<Snapshot>,
    /// Where it stood when its client had taken all that it was given.
    pub(super) written: Arc<Snapshot>,
    /// Woken when there is more; `None` as long as it never had to wait by itself.
    shared_waker: Option<Arc<SharedWaker>>,
}

impl LaneReader {
    pub(super) fn new(head: LaneHead) -> Self {
        Self {
            number: head.number,
            written: Arc::clone(&head.snapshot),
            snapshot: head.snapshot,
            shared_waker: None,
        }
    }

    /// What comes next; `None` when that has left the ring. One `in_group` is not woken.
    pub(super) fn poll_ring(
        &mut self,
        context: &Context<'_>,
        lane: &Lane,
        in_group: bool,
    ) -> Poll<Option<Batch>> {
        let mut waits = in_group;
        loop {
            match lane.take(self.number) {
                RingRead::Batches(batches) => {
                    self.number += batches.count;
                    self.snapshot = batches.after;
                    return Poll::Ready(Some(batches.batch));
                }
                RingRead::Gone => return Poll::Ready(None),
                // Further than behind its last batch, if the lane has passed what nobody sees.
                RingRead::Empty(snapshot) => self.snapshot = snapshot,
            }
            if waits {
                return Poll::Pending;
            }
            let shared_waker = self.shared_waker.get_or_insert_with(SharedWaker::new);
            shared_waker.register(context);
            lane.batch_waiters.add(shared_waker);
            waits = true;
        }
    }
}
