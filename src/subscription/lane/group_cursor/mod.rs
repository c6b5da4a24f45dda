//! Many of a lane's clients, served together.
//!
//! By itself, each of 10,000 who wait for the same batch has a waker of its own, is woken, and asks the lane. A group waits in the
//! place of all of them, and has what comes ready for whoever has them: see [`LaneSubscriber::join_group`](super::LaneSubscriber::join_group).

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use super::{
    ring::{JoinedBatches, RingRead},
    state::Lane,
};
use crate::{
    partition::SharedWaker,
    subscription::{Batch, snapshot::Snapshot},
};

/// Waits for a lane in the place of some of those in it.
pub struct GroupCursor {
    lane: Arc<Lane>,
    shared_waker: Arc<SharedWaker>,
    /// The number of the next batch it looks for.
    number: u64,
    /// Whether the lane waited for Kafka at the last look.
    held: bool,
    /// Whether there may be more although nobody rang.
    has_more: bool,
}

/// What all in a group have to be served with.
#[derive(Debug)]
pub enum GroupUpdate {
    /// Each gets it, if it waits for nothing but that: see [`LaneSubscriber::take_run`](super::LaneSubscriber::take_run).
    BatchRun(BatchRun),
    /// Each has to be asked: it is not the same for all, or the lane is closed, or waits for Kafka, or does not any more.
    PollEach,
}

/// Batches of a lane, one behind the other.
#[derive(Debug)]
pub struct BatchRun {
    batches: Vec<Batch>,
    /// The number of each.
    numbers: Vec<u64>,
    /// The number behind the last.
    end: u64,
    /// Where the last leads, or further if nobody sees what is there.
    after: Arc<Snapshot>,
}

/// How much may be in one run.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimit {
    /// Once it holds so many batches, no more are added.
    pub batches: usize,
    /// Once it holds so many bytes, no more are added.
    pub bytes: usize,
}

impl GroupCursor {
    pub(super) fn new(lane: &Arc<Lane>) -> Self {
        Self {
            lane: Arc::clone(lane),
            shared_waker: SharedWaker::new(),
            number: lane.ring.lock().end(),
            held: lane.held.load(Relaxed),
            has_more: false,
        }
    }

    /// What has come since the last call; if nothing has, the task is woken when something does.
    ///
    /// Who gets all that this finds misses nothing, if it is asked itself once after it sat in, and whenever it does not take a
    /// run.
    pub fn poll_update(&mut self, context: &Context<'_>, most: BatchLimit) -> Poll<GroupUpdate> {
        self.shared_waker.register(context);
        // It is not among those who wait any more: it was woken.
        let was_rung = self.lane.batch_waiters.add(&self.shared_waker);
        let has_more = mem::take(&mut self.has_more);
        if !was_rung && !has_more {
            return Poll::Pending;
        }
        let held = self.lane.held.load(Relaxed);
        if mem::replace(&mut self.held, held) != held {
            self.number = self.lane.ring.lock().end();
            return Poll::Ready(GroupUpdate::PollEach);
        }
        self.take(most)
    }

    fn take(&mut self, most: BatchLimit) -> Poll<GroupUpdate> {
        let mut ring = self.lane.ring.lock();
        let mut batch_run: Option<BatchRun> = None;
        let mut bytes = 0;
        loop {
            match ring.take(self.number) {
                RingRead::Batches(JoinedBatches { batch, count, after }) if batch.is_plain() => {
                    let batch_run = batch_run.get_or_insert_with(|| BatchRun::new(Arc::clone(&after)));
                    bytes += batch.size();
                    batch_run.push(self.number, batch, count, after);
                    self.number = batch_run.end;
                    self.has_more = batch_run.batches.len() >= most.batches || bytes >= most.bytes;
                    if self.has_more {
                        break;
                    }
                }
                RingRead::Empty(snapshot) => {
                    batch_run
                        .iter_mut()
                        .for_each(|batch_run| batch_run.after = Arc::clone(&snapshot));
                    break;
                }
                RingRead::Batches(_) | RingRead::Gone => {
                    self.number = ring.end();
                    return Poll::Ready(GroupUpdate::PollEach);
                }
            }
        }
        batch_run.map_or(Poll::Pending, |batch_run| {
            Poll::Ready(GroupUpdate::BatchRun(batch_run))
        })
    }
}

impl BatchRun {
    fn new(after: Arc<Snapshot>) -> Self {
        Self {
            batches: Vec::new(),
            numbers: Vec::new(),
            end: 0,
            after,
        }
    }

    /// Its batches, in order.
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// Adds what came next.
    pub fn extend(&mut self, next: Self) {
        debug_assert_eq!(next.numbers.first(), Some(&self.end));
        self.batches.extend(next.batches);
        self.numbers.extend(next.numbers);
        (self.end, self.after) = (next.end, next.after);
    }

    /// Drops the first `count` batches: all have had them.
    pub fn drop_first(&mut self, count: usize) {
        self.batches.drain(..count);
        self.numbers.drain(..count);
    }

    /// The number behind its last batch, and where that leads.
    pub(super) fn end(&self) -> (u64, &Arc<Snapshot>) {
        (self.end, &self.after)
    }

    /// How many of its batches one has had who wants the batch `number` next; `None` if that is in the midst of one, or before
    /// the first.
    pub(super) fn count_before(&self, number: u64) -> Option<usize> {
        if number >= self.end {
            return Some(self.batches.len());
        }
        self.numbers.binary_search(&number).ok()
    }

    fn push(&mut self, number: u64, batch: Batch, count: u64, after: Arc<Snapshot>) {
        self.batches.push(batch);
        self.numbers.push(number);
        self.end = number + count;
        self.after = after;
    }
}

#[cfg(test)]
pub(crate) mod tests;
