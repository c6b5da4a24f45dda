//! Many cursors, one order, one position.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Sleep;

use super::{
    Batch, EventFormat, LogSource, SubscribeRequest,
    batch_builder::{self, BatchBuilder},
    boost::{PassedEvents, PriorityBoost},
    filter_state::FilterState,
    gap::{self, Gap},
    oversize,
    partition_reader::{PartitionPoll, PartitionReader, ReadContext},
    partition_set::PartitionSet,
    resume::RequiredProof,
    snapshot::Snapshot,
    tracker::{BytesTracker, MAX_BATCH_BYTES},
    unwritten_offsets::UnwrittenOffsets,
};
use crate::{
    event::Event,
    filter::Filter,
    partition::{Cursor, Page},
    position::{IdForm, IdWriter, LogPosition, Offset, PartitionPosition, Timestamp},
};

/// A client's place in its streams.
///
/// It merges what its partitions have to give by (timestamp, topic, partition). Order is promised within a partition
/// only, and the merge never waits for a partition that has nothing to give, nor longer than a moment for one that reads.
pub struct Subscription {
    pub(super) read_context: ReadContext,
    pub(super) partition_set: PartitionSet,
    format: EventFormat,
    form: IdForm,
    shows_canaries: bool,
    filter_state: Option<FilterState>,
    /// Made when the first id is written: most clients go on in a lane before that. `None` also while it is of other parts.
    id: Option<IdWriter>,
    /// Whether the id is behind the places: it is brought up to them when it is written.
    is_id_stale: bool,
    /// Found, and not told yet.
    pub(super) gaps: Vec<Gap>,
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

/// How a client wants what it gets.
#[derive(Clone, Debug)]
pub(super) struct StreamView {
    pub(super) format: EventFormat,
    pub(super) form: IdForm,
    pub(super) filter: Option<Filter>,
    pub(super) shows_canaries: bool,
}

impl StreamView {
    fn of(request: &SubscribeRequest) -> Self {
        Self {
            format: request.format,
            form: request.form,
            filter: request.filter.clone(),
            shows_canaries: request.shows_canaries,
        }
    }
}

/// A page that a part gives from.
pub(super) struct MergeHead {
    page: Arc<Page>,
    /// Of its next event.
    index: usize,
    /// Behind the last event that is given.
    end: usize,
    /// The offset that the part stands at behind that.
    next: Offset,
}

impl Subscription {
    /// Begins at the request's position. Never waits: what needs Kafka is found out while it is polled.
    pub fn start(source: &LogSource, request: SubscribeRequest) -> Self {
        let read_context = ReadContext::new(source, request.client, request.now);
        let view = StreamView::of(&request);
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

    pub(super) fn of(read_context: ReadContext, partition_set: PartitionSet, view: StreamView) -> Self {
        Self {
            id: None,
            is_id_stale: false,
            read_context,
            partition_set,
            format: view.format,
            form: view.form,
            shows_canaries: view.shows_canaries,
            filter_state: view.filter.map(FilterState::new),
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
        let mut batch = BatchBuilder::with_capacity_hint(self.size_hint, self.max_batch_bytes(), self.format);
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
        self.partition_set.is_known()
            && self
                .partition_set
                .parts
                .iter()
                .all(PartitionReader::is_determined)
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

    /// What each part has to give, once none is about to give something, or the patience with it is over.
    fn poll_heads(&mut self, context: &mut Context<'_>) -> Poll<Vec<Option<MergeHead>>> {
        loop {
            let mut heads = Vec::with_capacity(self.partition_set.parts.len());
            let mut waiting = false;
            for index in 0..self.partition_set.parts.len() {
                let give = self.poll_part(index, context);
                waiting |= matches!(give, PartitionPoll::Fetching);
                heads.push(MergeHead::of(give));
            }
            if !waiting {
                self.merge_timer = None;
                return Poll::Ready(heads);
            }
            if !self.gaps.is_empty() {
                return Poll::Ready(Vec::new());
            }
            let merge_timer = self
                .merge_timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(MERGE_PATIENCE)));
            ready!(merge_timer.as_mut().poll(context));
            self.merge_timer = None;
            self.partition_set
                .parts
                .iter_mut()
                .for_each(|part| part.stop_waiting());
        }
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

    /// Moves events into the batch, oldest first; whether it stopped for another reason than that there are no more.
    fn merge(
        &mut self,
        context: &mut Context<'_>,
        heads: &mut [Option<MergeHead>],
        batch: &mut BatchBuilder,
    ) -> bool {
        let mut boost = self.passed.boost(&mut self.partition_set.parts, heads);
        let mut order: BinaryHeap<_> = heads
            .iter()
            .enumerate()
            .filter_map(|(part, head)| Some(Reverse((head.as_ref()?.merge_time(part, boost), part))))
            .collect();
        let scan = if self.filter_state.is_some() {
            SCAN_FILTERED
        } else {
            SCAN
        };
        for _ in 0..scan {
            let Some(Reverse((_, part))) = order.pop() else {
                return false;
            };
            let Some(head) = &mut heads[part] else { continue };
            if !self.take(part, head, batch) {
                return true;
            }
            if let Some(boost) = &mut boost {
                boost.count(part);
            }
            if head.index == head.end {
                match self.poll_part(part, context) {
                    // The order would depend on who reads faster.
                    PartitionPoll::Fetching => return true,
                    // What was lost is told before what comes after it.
                    _ if !self.gaps.is_empty() => return true,
                    give => heads[part] = MergeHead::of(give),
                }
            }
            if let Some(head) = &heads[part] {
                order.push(Reverse((head.merge_time(part, boost), part)));
            }
        }
        true
    }

    /// Consumes the next event of a head, or the rest of its page if that is a hole; false when the batch is full.
    fn take(&mut self, part: usize, head: &mut MergeHead, batch: &mut BatchBuilder) -> bool {
        let crosses_boundary = head
            .event()
            .is_some_and(|event| self.crosses_boundary(part, event.offset));
        let before = self.partition_set.parts[part].place;
        let Some(cursor) = self.partition_set.parts[part].cursor_mut() else {
            return true;
        };
        let Some(event) = head.event() else {
            cursor.advance(head.next);
            return true;
        };
        if !batch.has_room_for(head.page.lines(event).len()) || (crosses_boundary && !batch.is_empty()) {
            return false;
        }
        let last = head.index + 1 == head.end;
        cursor.advance(if last {
            head.next
        } else {
            event.offset.saturating_add(1)
        });
        let (tag, encoding) = (cursor.log().tag(), cursor.log().encoding());
        let place = PartitionPosition::At(LogPosition {
            offset: event.offset.saturating_add(1),
            // Only time leads to another log: behind a record without one, that of the last record that had one.
            timestamp: Some(event.timestamp).filter(|time| *time >= 0).or(before.time()),
            log: Some(tag),
            epoch: Some(event.epoch).filter(|epoch| *epoch >= 0),
        });
        let shown = self.shows_canaries || !event.canary;
        let wanted = shown
            && self
                .filter_state
                .as_mut()
                .is_none_or(|filter_state| filter_state.accepts(cursor.log(), &head.page, event));
        self.passed.count();
        self.partition_set.parts[part].waits_since = None;
        self.partition_set.parts[part].place = place;
        if wanted {
            let id = self.fresh_id();
            id.set(part, &place);
            batch.event(&head.page, event, encoding, id);
        } else {
            self.is_id_stale = true;
        }
        head.index += 1;
        true
    }

    /// Whether the event at `offset` is the first behind a place where batches end for everybody, wherever they began: so
    /// those who began elsewhere come to the same places. Partitions that are written to in turn have them in turn.
    fn crosses_boundary(&self, part: usize, offset: Offset) -> bool {
        let parts = &self.partition_set.parts;
        let step = BATCH_BOUNDARY_STEP * parts.len() as Offset;
        let shift = BATCH_BOUNDARY_STEP * part as Offset;
        let section = |offset: Offset| offset.saturating_add(shift).div_euclid(step);
        match parts[part].place {
            PartitionPosition::At(mark) => section(mark.offset - 1) != section(offset),
            _ => false,
        }
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
            let id = IdWriter::new(self.form, self.partition_set.entries());
            if self.format == EventFormat::Sse && !id.is_readable() {
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
        if self.format == EventFormat::Sse
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
        batch_builder::checkpoint(self.format, self.form, entries, self.tracker.as_ref())
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

impl MergeHead {
    fn of(give: PartitionPoll) -> Option<Self> {
        match give {
            PartitionPoll::Page(page, range) => Some(Self {
                index: page.index_of(range.start),
                end: page.index_of(range.end),
                next: range.end,
                page,
            }),
            PartitionPoll::Fetching | PartitionPoll::Idle => None,
        }
    }

    /// The next event; `None` when there is only a hole left.
    fn event(&self) -> Option<&Event> {
        self.page.events()[..self.end].get(self.index)
    }

    /// What the merge orders by; a hole comes first, because passing it costs nothing.
    fn timestamp(&self) -> Timestamp {
        self.event_time().unwrap_or(Timestamp::MIN)
    }

    /// Returns the time of the next event.
    pub(super) fn event_time(&self) -> Option<Timestamp> {
        self.event().map(|event| event.timestamp)
    }

    /// Returns what the merge orders by while it is somebody's turn.
    fn merge_time(&self, part: usize, boost: Option<PriorityBoost>) -> Timestamp {
        match boost {
            Some(boost) if boost.is_of(part) => Timestamp::MIN,
            _ => self.timestamp(),
        }
    }
}

/// How long the merge waits for a partition that is about to give. A page takes milliseconds; a leader that takes longer
/// holds up nobody but its own partitions.
const MERGE_PATIENCE: Duration = Duration::from_millis(300);

/// How many events there are between two places where batches end for everybody, if all partitions have as many.
const BATCH_BOUNDARY_STEP: Offset = 128;

/// Events looked at in one poll, so that a run of skipped ones does not keep a thread from its other clients.
const SCAN: usize = 10_000;

/// The same with a filter, which reads every document: 3 us each, and 7 us with the costliest that there may be (a build for tests).
const SCAN_FILTERED: usize = 500;
