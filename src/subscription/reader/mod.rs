//! Many cursors, one order, one position.

mod boost;
mod head;
mod merge;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::time::Sleep;

use self::boost::PassedEvents;
use super::{
    batch::Batch,
    batch_builder::{self, BatchBuilder},
    filter_state::FilterState,
    gap::{self, Gap},
    log_source::LogSource,
    oversize,
    partition_reader::{PartitionPoll, PartitionReader},
    partition_set::PartitionSet,
    read_context::ReadContext,
    request::SubscribeRequest,
    resume::RequiredProof,
    snapshot::Snapshot,
    tracker::{BytesTracker, MAX_BATCH_BYTES},
    unwritten_offsets::UnwrittenOffsets,
    view::{EventFormat, StreamView},
};
use crate::{
    client::ClientKey,
    partition::Cursor,
    position::{IdWriter, Offset, Timestamp},
};

/// A client's place in its streams.
///
/// It merges what its partitions have to give by (timestamp, topic, partition). Order is promised within a partition
/// only, and the merge never waits for a partition that has nothing to give, nor longer than a moment for one that reads.
pub struct Subscription {
    read_context: ReadContext,
    partition_set: PartitionSet,
    view: StreamView,
    filter_state: Option<FilterState>,
    /// Made when the first id is written: most clients go on in a lane before that. `None` also while it is of other parts.
    id: Option<IdWriter>,
    /// Whether the id is behind the places: it is brought up to them when it is written.
    is_id_stale: bool,
    /// Found, and not told yet.
    gaps: Vec<Gap>,
    /// Where its batches are counted, if anywhere.
    tracker: Option<Arc<BytesTracker>>,
    /// Where each part stood at the last [`mark_written`](Self::mark_written); empty before any.
    marked: Vec<Offset>,
    /// Bytes of the last batch: the next is likely to have as many.
    size_hint: usize,
    /// Runs while the merge waits for a partition that reads.
    merge_timer: Option<Pin<Box<Sleep>>>,
    passed: PassedEvents,
}

impl Subscription {
    /// Begins at the request's position. Never waits: what needs Kafka is found out while it is polled.
    pub fn start(source: &LogSource, request: SubscribeRequest) -> Self {
        let read_context = ReadContext::new(source, request.client, request.now);
        let view = request.view.clone();
        let mut subscription = Self::of(read_context, PartitionSet::of(request), view);
        subscription.refresh();
        subscription
    }

    /// One that begins as [`start`](Self::start), but nowhere before it knows what record stands before that. For lanes.
    pub(super) fn start_proven(source: &LogSource, request: SubscribeRequest) -> Self {
        let mut subscription = Self::start(source, request);
        subscription.read_context.proof = RequiredProof::RecordOrLeader;
        subscription
    }

    /// Goes on from `snapshot`, with whatever came since.
    pub(super) fn from_snapshot(
        source: &LogSource,
        snapshot: &Snapshot,
        (client, now): (ClientKey, Timestamp),
        view: StreamView,
    ) -> Self {
        let read_context = ReadContext::new(source, client, now);
        let parts = snapshot
            .parts
            .iter()
            .map(|saved| PartitionReader::at(saved, &read_context))
            .collect();
        let partition_set = PartitionSet::at(snapshot.topics.clone(), parts, now);
        let mut subscription = Self::of(read_context, partition_set, view);
        subscription.gaps.clone_from(&snapshot.gaps);
        subscription
    }

    fn of(read_context: ReadContext, partition_set: PartitionSet, view: StreamView) -> Self {
        Self {
            id: None,
            is_id_stale: false,
            read_context,
            partition_set,
            filter_state: view.filter.clone().map(FilterState::new),
            view,
            gaps: Vec::new(),
            tracker: None,
            marked: Vec::new(),
            size_hint: 0,
            merge_timer: None,
            passed: PassedEvents::default(),
        }
    }

    /// Counts its batches among `tracker` from now on.
    pub(super) fn set_tracker(&mut self, tracker: &Arc<BytesTracker>) {
        self.tracker = Some(Arc::clone(tracker));
    }

    /// Remembers where it stands: its client has taken all that it was given.
    pub(super) fn mark_written(&mut self) {
        let cursors = self.partition_set.parts.iter().map(PartitionReader::cursor);
        self.marked.clear();
        self.marked
            .extend(cursors.map(|cursor| cursor.map_or(0, Cursor::next)));
    }

    /// Returns what was given since the last [`mark_written`](Self::mark_written).
    pub(super) fn unwritten_offsets(&self) -> UnwrittenOffsets {
        // Of one that came since it is not known where it began.
        let marked = self.marked.iter().copied().chain(std::iter::repeat(0));
        let ranges = self
            .partition_set
            .parts
            .iter()
            .zip(marked)
            .filter_map(|(part, from)| {
                let cursor = part.cursor()?;
                // Cut off since, and read again.
                let from = if from <= cursor.next() { from } else { 0 };
                Some((Arc::clone(cursor.log()), from..cursor.next()))
            });
        UnwrittenOffsets::of(ranges)
    }

    /// The next events, as soon as there are any. It does not end by itself.
    pub fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        self.read_context.shared_waker.register(context);
        self.refresh();
        let mut heads = ready!(self.poll_heads(context));
        let mut batch =
            BatchBuilder::with_capacity_hint(self.size_hint, self.max_batch_bytes(), self.view.format);
        self.write_gaps(&mut batch);
        // What was lost is told before what comes after it.
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

    /// Returns whether the position can be resumed without a gap: ready once the first event of every partition is there, or none is to
    /// be had for now, or one has a gap. For `?on_gap=fail`, before the first [`poll_batch`](Self::poll_batch).
    pub fn poll_gap_check(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gap>> {
        self.read_context.shared_waker.register(context);
        self.refresh();
        let mut is_decided = self.partition_set.is_known();
        for index in 0..self.partition_set.parts.len() {
            is_decided &= self.with_part(index, |part, read_context, gaps| {
                part.poll_first(context, read_context, gaps).is_ready()
            });
        }
        match self.gaps.first() {
            Some(gap) => Poll::Ready(Err(gap.clone())),
            None if is_decided => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    /// Finds out where each partition is to be read, as far as that can be told by now.
    pub(super) fn resolve_positions(&mut self, context: &mut Context<'_>) {
        self.read_context.shared_waker.register(context);
        self.refresh();
        for index in 0..self.partition_set.parts.len() {
            // Of those that are read a page would be fetched, and nobody takes it here.
            if !self.partition_set.parts[index].is_determined() {
                self.poll_part(index, context);
            }
        }
    }

    /// Whether every partition is read.
    pub(super) fn is_determined(&self) -> bool {
        self.partition_set.is_determined()
    }

    /// Wakes nobody until it is polled again.
    pub(super) fn stop_waking(&self) {
        self.read_context.shared_waker.clear();
    }

    /// Lets go of what is being fetched: its client takes nothing for now.
    pub(super) fn cancel_fetches(&mut self) {
        let cursors = self
            .partition_set
            .parts
            .iter_mut()
            .filter_map(PartitionReader::cursor_mut);
        cursors.for_each(Cursor::cancel_fetch);
    }

    /// Moves on to `snapshot`, which another has reached from where it stands.
    pub(super) fn advance_to(&mut self, snapshot: &Snapshot) {
        for (part, saved) in self.partition_set.parts.iter_mut().zip(&snapshot.parts) {
            part.advance_to(saved);
        }
        self.is_id_stale = true;
        // What was waited for is behind it.
        self.merge_timer = None;
    }

    /// Where it stands now.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            topics: self.partition_set.topics().clone(),
            parts: self
                .partition_set
                .parts
                .iter()
                .map(PartitionReader::snapshot)
                .collect(),
            gaps: self.gaps.clone(),
            resumable: self.gaps.is_empty() && self.is_determined(),
        }
    }

    /// Whether it has come to the end of every partition, as far as the tail has read it.
    pub(super) fn is_at_end(&self) -> bool {
        self.partition_set.is_at_end()
    }

    /// Whether going on leads it to `other`, which is settled: the same partitions in the same logs, none of them behind it,
    /// and each with as good a proof.
    pub(super) fn can_reach(&self, other: &Snapshot) -> bool {
        self.partition_set.compare(other, |own, other| own <= other)
    }

    /// Whether it stands exactly at `other`, which is settled, and has told all.
    pub(super) fn is_at(&self, other: &Snapshot) -> bool {
        self.gaps.is_empty() && self.partition_set.compare(other, |own, other| own == other)
    }

    /// Goes no further than `limit` in each partition, or as far as it can; `limit` is one it [leads to](Self::can_reach).
    pub(super) fn set_limit(&mut self, limit: Option<&Snapshot>) {
        self.partition_set.set_limit(limit);
    }

    /// Whether nothing can come: Kafka does not answer, or no leader of any of its partitions has.
    pub fn is_held(&self) -> bool {
        !self
            .partition_set
            .is_reachable(&self.read_context.source.directory)
            || !self
                .partition_set
                .parts
                .iter()
                .any(PartitionReader::is_determined)
    }

    fn max_batch_bytes(&self) -> usize {
        self.tracker
            .as_ref()
            .map_or(MAX_BATCH_BYTES, |tracker| tracker.max_batch_bytes())
    }

    /// Moves gaps into the batch, as far as it has room.
    fn write_gaps(&mut self, batch: &mut BatchBuilder) {
        let mut told = 0;
        while told < self.gaps.len() && batch.has_room_for(gap::MAX_GAP_BYTES) {
            batch.gap(self.gaps[told].clone());
            told += 1;
        }
        self.gaps.drain(..told);
    }

    /// Returns the id, brought up to the places. What a filter passes over moves them, and writes nothing.
    fn fresh_id(&mut self) -> &mut IdWriter {
        let is_stale = std::mem::take(&mut self.is_id_stale);
        if let Some(id) = &mut self.id
            && is_stale
        {
            id.set_all(self.partition_set.parts.iter().map(|part| part.place));
        }
        self.id.get_or_insert_with(|| {
            let id = IdWriter::new(self.view.form, self.partition_set.entries());
            if self.view.format == EventFormat::Sse && !id.is_readable() {
                oversize::warn(self.partition_set.parts.len());
            }
            id
        })
    }

    /// Tells a client whose filter has passed nothing for a while how far it has come. JSON lines have no ids to tell it by.
    fn checkpoint(&mut self, context: &mut Context<'_>, batch: &mut BatchBuilder) {
        let Some(filter_state) = &mut self.filter_state else {
            return;
        };
        if batch.has_events() {
            return filter_state.record_id();
        }
        // An id behind a gap that is not told yet would hide it.
        if self.view.format == EventFormat::Sse
            && batch.is_empty()
            && self.gaps.is_empty()
            && let Poll::Ready(skipped) = filter_state.poll_due(context)
        {
            filter_state.record_id();
            batch.checkpoint(skipped, self.fresh_id());
        }
    }

    /// Returns a batch that says nothing but where it stands; `None` while it is no place to resume from.
    pub(super) fn checkpoint_now(&self) -> Option<Batch> {
        if !self.gaps.is_empty() {
            return None;
        }
        let entries = self.partition_set.entries().collect();
        batch_builder::checkpoint(&self.view, entries, self.tracker.as_ref())
    }

    /// Brings the parts up to the directory. The id is of other parts then.
    fn refresh(&mut self) {
        if self
            .partition_set
            .refresh(&self.read_context.source.directory, &mut self.gaps)
        {
            self.id = None;
        }
    }

    fn poll_part(&mut self, index: usize, context: &mut Context<'_>) -> PartitionPoll {
        self.with_part(index, |part, read_context, gaps| {
            part.poll(context, read_context, gaps)
        })
    }

    /// Polls one part. When that determined its place, the id is behind: those of hundreds of partitions are determined at once.
    fn with_part<T>(
        &mut self,
        index: usize,
        poll: impl FnOnce(&mut PartitionReader, &ReadContext, &mut Vec<Gap>) -> T,
    ) -> T {
        let part = &mut self.partition_set.parts[index];
        let place = part.place;
        let polled = poll(part, &self.read_context, &mut self.gaps);
        self.is_id_stale |= part.place != place;
        polled
    }
}

#[cfg(test)]
mod tests;
