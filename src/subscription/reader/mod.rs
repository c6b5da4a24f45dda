//! One client's reader over all partitions of its streams.

mod boost;
mod compose;
mod head;
mod id_tracker;
mod merge;
mod merged;

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use self::compose::Composer;
use super::{
    Batch, BatchBuilder, BytesTracker, EndEvent, EventFormat, Gap, LogSource, MAX_BATCH_BYTES,
    PartitionReader, ReadEnd, Snapshot, StreamView, SubscribeRequest, UnwrittenOffsets, batch,
    buffer_pool::MIN_TEXT_BYTES, filter_state::FilterState,
};
use crate::{
    client::ClientKey,
    partition::Cursor,
    position::{Offset, Timestamp},
};

pub(super) use id_tracker::{IdTracker, Positions};
pub(super) use merged::{EventSink, MergedEvent, MergedPartitions};

/// One client's reader: it merges the partitions of the client's streams, with one position.
pub struct Subscription {
    merged: MergedPartitions,
    view: StreamView,
    filter_state: Option<FilterState>,
    id: IdTracker,
    /// Counts the bytes of the batches, if set.
    tracker: Option<Arc<BytesTracker>>,
    /// The next offset of each partition at the last [`mark_written`](Self::mark_written); empty before that.
    marked: Vec<Offset>,
    /// The most events of the next batch.
    most_events: u32,
    /// The size of the last batch in bytes: the next is likely to be as large.
    size_hint: usize,
}

impl Subscription {
    /// Starts at the request's position. Never blocks: whatever needs Kafka is determined while the subscription is
    /// polled.
    pub fn start(source: &LogSource, request: SubscribeRequest) -> Self {
        let view = request.view.clone();
        Self::of(MergedPartitions::start(source, request), view)
    }

    /// Starts like [`start`](Self::start), and ends there. After that it gives no more events.
    pub(super) fn start_bounded(source: &LogSource, request: SubscribeRequest, end: ReadEnd) -> Self {
        let view = request.view.clone();
        Self::of(MergedPartitions::start_bounded(source, request, end), view)
    }

    /// Starts like [`start`](Self::start), but for a lane. See [`MergedPartitions::start_proven`].
    pub(super) fn start_proven(source: &LogSource, request: SubscribeRequest) -> Self {
        let mut subscription = Self::start(source, request);
        subscription.merged.require_proof();
        subscription
    }

    /// Continues from `snapshot`, with everything that has arrived since.
    pub(super) fn from_snapshot(
        source: &LogSource,
        snapshot: &Snapshot,
        client: (ClientKey, Timestamp),
        view: StreamView,
    ) -> Self {
        let restriction = view.restriction.clone();
        let merged = MergedPartitions::from_snapshot(source, snapshot, restriction, client);
        Self::of(merged, view)
    }

    fn of(merged: MergedPartitions, view: StreamView) -> Self {
        Self {
            merged,
            id: IdTracker::new(view.form, view.format == EventFormat::Sse),
            filter_state: view.filter.clone().map(FilterState::new),
            view,
            tracker: None,
            marked: Vec::new(),
            most_events: u32::MAX,
            size_hint: 0,
        }
    }

    /// Counts the batches with `tracker` from now on.
    pub(super) fn set_tracker(&mut self, tracker: &Arc<BytesTracker>) {
        self.tracker = Some(Arc::clone(tracker));
    }

    /// Records that the client's socket has taken everything it was given.
    pub(super) fn mark_written(&mut self) {
        let cursors = self.merged.partitions.readers.iter().map(PartitionReader::cursor);
        self.marked.clear();
        self.marked
            .extend(cursors.map(|cursor| cursor.map_or(0, Cursor::next)));
    }

    /// Returns the offsets of the events given since the last [`mark_written`](Self::mark_written).
    pub(super) fn unwritten_offsets(&self) -> UnwrittenOffsets {
        // For a partition added since, it is not known where it began.
        let marked = self.marked.iter().copied().chain(std::iter::repeat(0));
        let readers = self.merged.partitions.readers.iter().zip(marked);
        let ranges = readers.filter_map(|(reader, from)| {
            let cursor = reader.cursor()?;
            // The log was truncated since, and read again.
            let from = if from <= cursor.next() { from } else { 0 };
            Some((Arc::clone(cursor.log()), from..cursor.next()))
        });
        UnwrittenOffsets::of(ranges)
    }

    /// Waits for the next events. The sequence of batches has no end.
    pub fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        self.merged.begin_poll(context);
        let mut heads = ready!(self.merged.poll_heads(context));
        let mut batch =
            BatchBuilder::with_capacity_hint(self.size_hint, self.max_batch_bytes(), self.view.format)
                .with_buffer(self.buffer());
        batch.gaps(&mut self.merged.gaps);
        // A gap is sent before the events after it.
        let more = self.merged.gaps.is_empty() && self.merge(context, &mut heads, &mut batch);
        self.checkpoint(context, &mut batch);
        match batch.finish(self.tracker.as_ref()) {
            Some(batch) => {
                self.size_hint = batch.bytes.len();
                Poll::Ready(batch)
            }
            None => {
                if more {
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }

    /// Waits until it is known whether the position can be resumed without a gap: until the first event of every
    /// partition has been read, or none is available for now, or one partition has a gap. For `?on_gap=fail`, before
    /// the first [`poll_batch`](Self::poll_batch).
    pub fn poll_gap_check(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gap>> {
        self.merged.poll_gap_check(context)
    }

    /// Determines where each partition is read, as far as is known by now.
    pub(super) fn resolve_positions(&mut self, context: &mut Context<'_>) {
        self.merged.resolve_positions(context);
    }

    /// Returns whether every partition's start is determined.
    pub(super) fn is_determined(&self) -> bool {
        self.merged.partitions.is_determined()
    }

    /// Stops wake-ups until the next poll.
    pub(super) fn stop_waking(&self) {
        self.merged.read_context.shared_waker.clear();
    }

    /// Cancels page fetches, because the client takes nothing for now.
    pub(super) fn cancel_fetches(&mut self) {
        let readers = self.merged.partitions.readers.iter_mut();
        let cursors = readers.filter_map(PartitionReader::cursor_mut);
        cursors.for_each(Cursor::cancel_fetch);
    }

    /// Advances to `snapshot`, which another client reached from the same position.
    pub(super) fn advance_to(&mut self, snapshot: &Snapshot) {
        self.merged.advance_to(snapshot);
    }

    /// Returns a snapshot of the current position.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.merged.snapshot()
    }

    /// Returns whether every partition is read up to its end, as far as the tail has read it.
    pub(super) fn is_at_end(&self) -> bool {
        self.merged.partitions.is_at_end()
    }

    /// Returns whether reading on leads to `other`, which must be determined: the same partitions in the same logs, at
    /// offsets not below those here, and with proof at least as good.
    pub(super) fn can_reach(&self, other: &Snapshot) -> bool {
        self.merged.partitions.compare(other, |own, other| own <= other)
    }

    /// Returns whether the position equals `other`, which must be determined, with no gap left to send.
    pub(super) fn is_at(&self, other: &Snapshot) -> bool {
        self.merged.is_at(other)
    }

    /// Reads no further than `limit` in each partition; `None` removes the limit. `limit` must be
    /// [reachable](Self::can_reach).
    pub(super) fn set_limit(&mut self, limit: Option<&Snapshot>) {
        self.merged.partitions.set_limit(limit);
    }

    /// Returns whether no event can come: Kafka does not answer, or no leader of any of the partitions has answered
    /// yet.
    pub fn is_held(&self) -> bool {
        self.merged.is_held()
    }

    /// Gives at most this many events in the next batch. Without events it gives gaps only.
    pub(super) fn set_most_events(&mut self, events: u64) {
        self.most_events = u32::try_from(events).unwrap_or(u32::MAX);
    }

    /// Returns whether gaps were found that were not given yet. The position is already behind them.
    pub(super) fn has_gaps(&self) -> bool {
        !self.merged.gaps.is_empty()
    }

    /// Returns whether everything before the end of a bounded read has been given.
    pub(super) fn is_done(&self) -> bool {
        self.merged.is_done()
    }

    /// Returns a batch with only the end of a bounded read.
    pub(super) fn end_batch(&mut self, end: &EndEvent) -> Option<Batch> {
        let mut batch = BatchBuilder::with_capacity_hint(0, MAX_BATCH_BYTES, self.view.format);
        batch.end(end, self.id.at(self.merged.positions()));
        batch.finish(self.tracker.as_ref())
    }

    /// Returns a buffer for the next batch. It has no memory yet unless the client is likely to take a full batch.
    fn buffer(&self) -> Vec<u8> {
        let tracker = self.tracker.as_ref();
        tracker
            .filter(|_| self.size_hint.min(self.max_batch_bytes()) >= MIN_TEXT_BYTES)
            .map_or_else(Vec::new, |tracker| tracker.buffer())
    }

    fn max_batch_bytes(&self) -> usize {
        let tracker = self.tracker.as_ref();
        tracker.map_or(MAX_BATCH_BYTES, |tracker| tracker.max_batch_bytes())
    }

    /// Adds events to the batch, oldest first. Returns false if there are no more, true if it stopped for another
    /// reason.
    fn merge(
        &mut self,
        context: &mut Context<'_>,
        heads: &mut [Option<head::MergeHead>],
        batch: &mut BatchBuilder,
    ) -> bool {
        let scan = match self.filter_state {
            Some(_) => SCAN_FILTERED,
            None => SCAN,
        };
        let mut composer = Composer {
            shows_canaries: self.view.shows_canaries,
            filter_state: self.filter_state.as_mut(),
            fields: self.view.fields.as_deref(),
            id: &mut self.id,
            batch,
            most_events: self.most_events,
        };
        self.merged.merge(context, heads, scan, &mut composer)
    }

    /// Adds a checkpoint if the filter has accepted nothing for a while. JSON lines have no ids, and so no checkpoints.
    fn checkpoint(&mut self, context: &mut Context<'_>, batch: &mut BatchBuilder) {
        let Some(filter_state) = &mut self.filter_state else {
            return;
        };
        if batch.has_events() {
            return filter_state.record_id();
        }
        // An id after a gap that has not been sent yet would hide the gap.
        if self.view.format == EventFormat::Sse
            && batch.is_empty()
            && self.merged.gaps.is_empty()
            && let Poll::Ready(skipped) = filter_state.poll_due(context)
        {
            filter_state.record_id();
            let told = self.view.tells_skipped().then_some(skipped);
            batch.checkpoint(told, self.id.at(self.merged.positions()));
        }
    }

    /// Returns a batch with only a checkpoint of the current position; `None` while it is no position to resume from.
    pub(super) fn checkpoint_now(&self) -> Option<Batch> {
        if !self.merged.gaps.is_empty() {
            return None;
        }
        let entries = self.merged.partitions.entries().collect();
        batch::checkpoint(&self.view, entries, self.tracker.as_ref())
    }
}

/// The most events examined in one poll, so that a run of skipped ones does not keep a thread from its other clients.
const SCAN: usize = 10_000;

/// The same with a filter, which reads every document: 3 us each, and 7 us with the most expensive filter allowed (in a
/// build for tests).
pub(super) const SCAN_FILTERED: usize = 500;

#[cfg(test)]
mod tests;
