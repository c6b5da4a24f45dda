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
    /// The number of the next batch.
    pub(super) number: u64,
    /// The position before that batch.
    pub(super) snapshot: Arc<Snapshot>,
    /// The position at which the client's socket had last taken everything.
    pub(super) written: Arc<Snapshot>,
    /// Woken when there is another batch; `None` until the client first has to wait on its own.
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

    /// Returns the next batch; `None` if it has left the ring. A reader that is `in_group` registers no waker, because
    /// its group is woken.
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
                // Beyond the last batch, if the lane has passed records that its clients do not see.
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
