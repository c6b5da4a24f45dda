//! One client's reader over all partitions of its streams.

mod boost;
mod head;
mod merge;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::Sleep;

use super::{
    Batch, BatchBuilder, BytesTracker, EventFormat, Gap, LogSource, MAX_BATCH_BYTES, PartitionPoll,
    PartitionReader, ReadContext, RequiredProof, Snapshot, StreamView, SubscribeRequest, UnwrittenOffsets,
    batch, buffer_pool::MIN_TEXT_BYTES, filter_state::FilterState, gap, oversize,
    partition_set::PartitionSet,
};
use crate::{
    client::ClientKey,
    partition::Cursor,
    position::{IdWriter, Offset, Timestamp},
};

/// One client's reader: it merges the partitions of the client's streams by (timestamp, topic, partition), with one
/// position.
///
/// Order is promised within a partition only. The merge never waits for a partition that has nothing to give, and only
/// a moment for one that is fetching a page.
pub struct Subscription {
    read_context: ReadContext,
    partitions: PartitionSet,
    view: StreamView,
    filter_state: Option<FilterState>,
    /// The writer of ids, created when the first id is written: most clients continue in a lane before that. Also
    /// `None` after the set of partitions has changed.
    id: Option<IdWriter>,
    /// Whether the id lags behind the partitions' positions. It is brought up to date when it is next written.
    is_id_stale: bool,
    /// Gaps that were found but not sent yet.
    gaps: Vec<Gap>,
    /// Counts the bytes of the batches, if set.
    tracker: Option<Arc<BytesTracker>>,
    /// The next offset of each partition at the last [`mark_written`](Self::mark_written); empty before that.
    marked: Vec<Offset>,
    /// The size of the last batch in bytes: the next is likely to be as large.
    size_hint: usize,
    /// Runs while the merge waits for a partition that is fetching a page.
    merge_timer: Option<Pin<Box<Sleep>>>,
    /// The number of events that it has passed.
    passed: u64,
}

impl Subscription {
    /// Starts at the request's position. Never blocks: whatever needs Kafka is determined while the subscription is
    /// polled.
    pub fn start(source: &LogSource, request: SubscribeRequest) -> Self {
        let read_context = ReadContext::new(source, request.client, request.now);
        let view = request.view.clone();
        let mut subscription = Self::of(read_context, PartitionSet::of(request), view);
        subscription.refresh();
        subscription
    }

    /// Starts like [`start`](Self::start), but for a lane: a partition starts only once the epoch of the record before
    /// its start, or else the leader's epoch, is known.
    pub(super) fn start_proven(source: &LogSource, request: SubscribeRequest) -> Self {
        let mut subscription = Self::start(source, request);
        subscription.read_context.proof = RequiredProof::RecordOrLeader;
        subscription
    }

    /// Continues from `snapshot`, with everything that has arrived since.
    pub(super) fn from_snapshot(
        source: &LogSource,
        snapshot: &Snapshot,
        (client, now): (ClientKey, Timestamp),
        view: StreamView,
    ) -> Self {
        let read_context = ReadContext::new(source, client, now);
        let readers = snapshot.partitions.iter();
        let readers = readers.map(|saved| PartitionReader::at(saved, &read_context));
        let partitions = PartitionSet::at(snapshot.topics.clone(), readers.collect(), now);
        let mut subscription = Self::of(read_context, partitions, view);
        subscription.gaps.clone_from(&snapshot.gaps);
        subscription
    }

    fn of(read_context: ReadContext, partitions: PartitionSet, view: StreamView) -> Self {
        Self {
            id: None,
            is_id_stale: false,
            read_context,
            partitions,
            filter_state: view.filter.clone().map(FilterState::new),
            view,
            gaps: Vec::new(),
            tracker: None,
            marked: Vec::new(),
            size_hint: 0,
            merge_timer: None,
            passed: 0,
        }
    }

    /// Counts the batches with `tracker` from now on.
    pub(super) fn set_tracker(&mut self, tracker: &Arc<BytesTracker>) {
        self.tracker = Some(Arc::clone(tracker));
    }

    /// Records that the client's socket has taken everything it was given.
    pub(super) fn mark_written(&mut self) {
        let cursors = self.partitions.readers.iter().map(PartitionReader::cursor);
        self.marked.clear();
        self.marked
            .extend(cursors.map(|cursor| cursor.map_or(0, Cursor::next)));
    }

    /// Returns the offsets of the events given since the last [`mark_written`](Self::mark_written).
    pub(super) fn unwritten_offsets(&self) -> UnwrittenOffsets {
        // For a partition added since, it is not known where it began.
        let marked = self.marked.iter().copied().chain(std::iter::repeat(0));
        let readers = self.partitions.readers.iter().zip(marked);
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
        self.read_context.shared_waker.register(context);
        self.refresh();
        let mut heads = ready!(self.poll_heads(context));
        let mut batch =
            BatchBuilder::with_capacity_hint(self.size_hint, self.max_batch_bytes(), self.view.format)
                .with_buffer(self.buffer());
        self.write_gaps(&mut batch);
        // A gap is sent before the events after it.
        let more = self.gaps.is_empty() && self.merge(context, &mut heads, &mut batch);
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
        self.read_context.shared_waker.register(context);
        self.refresh();
        let mut is_decided = self.partitions.is_known();
        for reader in &mut self.partitions.readers {
            let first = reader.poll_first(context, &self.read_context, &mut self.gaps);
            is_decided &= first.is_ready();
        }
        // Usually some have been determined now.
        self.is_id_stale = true;
        match self.gaps.first() {
            Some(gap) => Poll::Ready(Err(gap.clone())),
            None if is_decided => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    /// Determines where each partition is read, as far as is known by now.
    pub(super) fn resolve_positions(&mut self, context: &mut Context<'_>) {
        self.read_context.shared_waker.register(context);
        self.refresh();
        for index in 0..self.partitions.readers.len() {
            // Polling a partition that is read already would fetch a page, which nothing takes here.
            if !self.partitions.readers[index].is_determined() {
                self.poll_partition(index, context);
            }
        }
    }

    /// Returns whether every partition's start is determined.
    pub(super) fn is_determined(&self) -> bool {
        self.partitions.is_determined()
    }

    /// Stops wake-ups until the next poll.
    pub(super) fn stop_waking(&self) {
        self.read_context.shared_waker.clear();
    }

    /// Cancels page fetches, because the client takes nothing for now.
    pub(super) fn cancel_fetches(&mut self) {
        let readers = self.partitions.readers.iter_mut();
        let cursors = readers.filter_map(PartitionReader::cursor_mut);
        cursors.for_each(Cursor::cancel_fetch);
    }

    /// Advances to `snapshot`, which another client reached from the same position.
    pub(super) fn advance_to(&mut self, snapshot: &Snapshot) {
        for (reader, saved) in self.partitions.readers.iter_mut().zip(&snapshot.partitions) {
            reader.advance_to(saved);
        }
        self.is_id_stale = true;
        // Any fetch that it waited for is now behind the position.
        self.merge_timer = None;
    }

    /// Returns a snapshot of the current position.
    pub(super) fn snapshot(&self) -> Snapshot {
        let partitions = self.partitions.readers.iter().map(PartitionReader::snapshot);
        Snapshot {
            topics: self.partitions.topics.clone(),
            partitions: partitions.collect(),
            gaps: self.gaps.clone(),
            resumable: self.gaps.is_empty() && self.is_determined(),
        }
    }

    /// Returns whether every partition is read up to its end, as far as the tail has read it.
    pub(super) fn is_at_end(&self) -> bool {
        self.partitions.is_at_end()
    }

    /// Returns whether reading on leads to `other`, which must be determined: the same partitions in the same logs, at
    /// offsets not below those here, and with proof at least as good.
    pub(super) fn can_reach(&self, other: &Snapshot) -> bool {
        self.partitions.compare(other, |own, other| own <= other)
    }

    /// Returns whether the position equals `other`, which must be determined, with no gap left to send.
    pub(super) fn is_at(&self, other: &Snapshot) -> bool {
        self.gaps.is_empty() && self.partitions.compare(other, |own, other| own == other)
    }

    /// Reads no further than `limit` in each partition; `None` removes the limit. `limit` must be
    /// [reachable](Self::can_reach).
    pub(super) fn set_limit(&mut self, limit: Option<&Snapshot>) {
        self.partitions.set_limit(limit);
    }

    /// Returns whether no event can come: Kafka does not answer, or no leader of any of the partitions has answered
    /// yet.
    pub fn is_held(&self) -> bool {
        !self.partitions.is_reachable(&self.read_context.source.directory)
            || !self.partitions.readers.iter().any(PartitionReader::is_determined)
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

    /// Moves gaps into the batch, as many as fit.
    fn write_gaps(&mut self, batch: &mut BatchBuilder) {
        let mut written = 0;
        while written < self.gaps.len() && batch.has_room_for(gap::MAX_GAP_BYTES) {
            batch.gap(self.gaps[written].clone());
            written += 1;
        }
        self.gaps.drain(..written);
    }

    /// Returns the id, brought up to the partitions' positions. Events that were filtered out move the positions
    /// without writing an id.
    fn fresh_id(&mut self) -> &mut IdWriter {
        let is_stale = std::mem::take(&mut self.is_id_stale);
        if let Some(id) = &mut self.id
            && is_stale
        {
            id.set_all(self.partitions.readers.iter().map(|reader| reader.place));
        }
        self.id.get_or_insert_with(|| {
            let id = IdWriter::new(self.view.form, self.partitions.entries());
            if self.view.format == EventFormat::Sse && !id.is_readable() {
                oversize::warn(self.partitions.readers.len());
            }
            id
        })
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
            && self.gaps.is_empty()
            && let Poll::Ready(skipped) = filter_state.poll_due(context)
        {
            filter_state.record_id();
            let told = filter_state.tells_skipped().then_some(skipped);
            batch.checkpoint(told, self.fresh_id());
        }
    }

    /// Returns a batch with only a checkpoint of the current position; `None` while it is no position to resume from.
    pub(super) fn checkpoint_now(&self) -> Option<Batch> {
        if !self.gaps.is_empty() {
            return None;
        }
        let entries = self.partitions.entries().collect();
        batch::checkpoint(&self.view, entries, self.tracker.as_ref())
    }

    /// Updates the set of partitions from the directory. If it has changed, the id has other entries.
    fn refresh(&mut self) {
        let directory = &self.read_context.source.directory;
        if self.partitions.refresh(directory, &mut self.gaps) {
            self.id = None;
        }
    }

    fn poll_partition(&mut self, index: usize, context: &mut Context<'_>) -> PartitionPoll {
        let reader = &mut self.partitions.readers[index];
        let place = reader.place;
        let polled = reader.poll(context, &self.read_context, &mut self.gaps);
        // The id is only marked as stale, because hundreds of partitions may be determined at once.
        self.is_id_stale |= reader.place != place;
        polled
    }
}

#[cfg(test)]
mod tests;
