//! Serving many clients of a lane together.
//!
//! Alone, each of 10,000 clients that wait for the same batch would have its own waker, be woken, and read the lane. A
//! group waits once for all of them and holds the new batches for their owner: see
//! [`BatchSource::join_group`](super::BatchSource::join_group).

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use super::{
    Batch, SharedWaker, Snapshot,
    ring::{JoinedBatches, RingRead},
    state::Lane,
};

/// Waits for a lane on behalf of a group of its subscribers.
pub struct GroupCursor {
    lane: Arc<Lane>,
    shared_waker: Arc<SharedWaker>,
    /// The number of the next batch to read.
    number: u64,
    /// Whether the lane waited for Kafka at the last poll.
    held: bool,
    /// Whether there may be more batches without another wake-up.
    has_more: bool,
}

/// The next step for all members of a group.
#[derive(Debug)]
pub enum GroupUpdate {
    /// Every member takes this run if it waits for nothing else: see
    /// [`BatchSource::take_run`](super::BatchSource::take_run).
    BatchRun(BatchRun),
    /// Every member must be polled: the next batch is not the same for all, or the lane is closed, or it has begun or
    /// stopped to wait for Kafka.
    PollEach,
}

/// Consecutive batches of a lane.
#[derive(Debug)]
pub struct BatchRun {
    batches: Vec<Batch>,
    /// The number of each batch.
    numbers: Vec<u64>,
    /// The number after the last batch.
    end: u64,
    /// The position after the last batch, or further if the records after it are seen by no member.
    after: Arc<Snapshot>,
}

/// The most that one run may contain.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimit {
    /// No batch is added once the run has this many.
    pub batches: usize,
    /// No batch is added once the run has this many bytes.
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

    /// Returns what has come since the last call. If there is nothing, the task is woken when something comes.
    ///
    /// A member loses nothing if it is polled once after joining the group, and again whenever it rejects a run.
    pub fn poll_update(&mut self, context: &Context<'_>, most: BatchLimit) -> Poll<GroupUpdate> {
        self.shared_waker.register(context);
        // It was added anew only if it had been woken, which removes it from the list.
        let was_woken = self.lane.batch_waiters.add(&self.shared_waker);
        let has_more = mem::take(&mut self.has_more);
        if !was_woken && !has_more {
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
        let update = batch_run.map(GroupUpdate::BatchRun);
        update.map_or(Poll::Pending, Poll::Ready)
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

    /// Returns the batches, in order.
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// Appends the run that follows this one.
    pub fn extend(&mut self, next: Self) {
        debug_assert_eq!(next.numbers.first(), Some(&self.end));
        self.batches.extend(next.batches);
        self.numbers.extend(next.numbers);
        (self.end, self.after) = (next.end, next.after);
    }

    /// Drops the first `count` batches, once all members have them.
    pub fn drop_first(&mut self, count: usize) {
        self.batches.drain(..count);
        self.numbers.drain(..count);
    }

    /// Returns the number after the last batch, and the position after it.
    pub(super) fn end(&self) -> (u64, &Arc<Snapshot>) {
        (self.end, &self.after)
    }

    /// Returns how many of the batches come before batch `number`. Returns `None` if that number is inside a joined
    /// batch, or before the first.
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
