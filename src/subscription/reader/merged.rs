//! The partitions of a request as one sequence of events, before these are filtered and encoded.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::Sleep;

use super::id_tracker::Positions;
use crate::{
    client::ClientKey,
    event::Event,
    partition::{Page, PartitionLog},
    position::{PartitionPosition, Restriction, Timestamp},
    subscription::{
        Gap, LogSource, PartitionPoll, PartitionReader, ReadContext, ReadEnd, RequiredProof, Snapshot,
        SubscribeRequest, ends::EndPositions, partition_set::PartitionSet,
    },
};

/// The partitions of a request, merged by (timestamp, topic, partition).
///
/// Order is promised within a partition only. The merge never waits for a partition that has nothing to give, and only
/// a moment for one that is fetching a page.
pub(in crate::subscription) struct MergedPartitions {
    pub(super) read_context: ReadContext,
    pub(super) partitions: PartitionSet,
    /// Gaps that were found but not sent yet.
    pub(in crate::subscription) gaps: Vec<Gap>,
    /// Runs while the merge waits for a partition that is fetching a page.
    pub(super) merge_timer: Option<Pin<Box<Sleep>>>,
    /// The number of events that were passed.
    pub(super) passed: u64,
    /// See [`Positions`].
    sets: u64,
    pub(super) moves: u64,
}

/// An event of a merge.
pub(in crate::subscription) struct MergedEvent<'a> {
    pub(in crate::subscription) log: &'a PartitionLog,
    pub(in crate::subscription) page: &'a Page,
    pub(in crate::subscription) event: &'a Event,
    /// The index of the event's partition.
    pub(in crate::subscription) index: usize,
    /// The position after the event.
    pub(in crate::subscription) place: &'a PartitionPosition,
}

/// Where the events of a merge go.
pub(in crate::subscription) trait EventSink {
    /// Whether it has taken nothing so far that someone is to be given.
    fn is_empty(&self) -> bool;

    /// Returns whether it can take an event whose lines take this many bytes. At its beginning it can, unless it takes no
    /// events at all.
    fn has_room_for(&self, lines: usize) -> bool;

    /// Takes an event. `positions` are those after it.
    fn take(&mut self, event: &MergedEvent<'_>, positions: Positions<'_>);
}

impl MergedPartitions {
    /// Starts at the request's position. See [`Subscription::start`](super::Subscription::start).
    pub(in crate::subscription) fn start(source: &LogSource, request: SubscribeRequest) -> Self {
        let read_context = ReadContext::new(source, request.client, request.now);
        let mut merged = Self::of(read_context, PartitionSet::of(request));
        merged.refresh();
        merged
    }

    /// Starts like [`start`](Self::start), and ends there.
    pub(in crate::subscription) fn start_bounded(
        source: &LogSource,
        request: SubscribeRequest,
        end: ReadEnd,
    ) -> Self {
        let read_context = ReadContext::new(source, request.client, request.now);
        let ends = EndPositions::of(&request, end);
        let mut partitions = PartitionSet::of(request);
        partitions.end_at(ends);
        let mut merged = Self::of(read_context, partitions);
        merged.refresh();
        merged
    }

    /// Starts like [`start`](Self::start), but for lanes: a partition starts only once the epoch of the record before
    /// its start, or else the leader's epoch, is known.
    pub(in crate::subscription) fn start_proven(source: &LogSource, request: SubscribeRequest) -> Self {
        let mut merged = Self::start(source, request);
        merged.require_proof();
        merged
    }

    /// Continues from `snapshot`, with everything that has arrived since.
    pub(super) fn from_snapshot(
        source: &LogSource,
        snapshot: &Snapshot,
        restriction: Option<Restriction>,
        (client, now): (ClientKey, Timestamp),
    ) -> Self {
        let read_context = ReadContext::new(source, client, now);
        let readers = snapshot.partitions.iter();
        let readers = readers.map(|saved| PartitionReader::at(saved, &read_context));
        let partitions = PartitionSet::at(snapshot.topics.clone(), restriction, readers.collect(), now);
        let mut merged = Self::of(read_context, partitions);
        merged.gaps.clone_from(&snapshot.gaps);
        merged
    }

    fn of(read_context: ReadContext, partitions: PartitionSet) -> Self {
        Self {
            read_context,
            partitions,
            gaps: Vec::new(),
            merge_timer: None,
            passed: 0,
            sets: 0,
            moves: 0,
        }
    }

    pub(super) fn require_proof(&mut self) {
        self.read_context.proof = RequiredProof::RecordOrLeader;
    }

    /// Prepares a poll: wakes the current task from now on, and updates the set of partitions.
    pub(in crate::subscription) fn begin_poll(&mut self, context: &Context<'_>) {
        self.read_context.shared_waker.register(context);
        self.refresh();
    }

    /// Updates the set of partitions from the directory. If it has changed, ids have other entries.
    pub(super) fn refresh(&mut self) {
        let directory = &self.read_context.source.directory;
        if self.partitions.refresh(directory, &mut self.gaps) {
            self.sets += 1;
        }
    }

    pub(super) fn poll_partition(&mut self, index: usize, context: &mut Context<'_>) -> PartitionPoll {
        let reader = &mut self.partitions.readers[index];
        let place = reader.place;
        let polled = reader.poll(context, &self.read_context, &mut self.gaps);
        // The change is only counted, because hundreds of partitions may be determined at once.
        self.moves += u64::from(reader.place != place);
        polled
    }

    /// See [`Subscription::poll_gap_check`](super::Subscription::poll_gap_check).
    pub(super) fn poll_gap_check(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gap>> {
        self.begin_poll(context);
        let mut is_decided = self.partitions.is_known();
        for reader in &mut self.partitions.readers {
            let first = reader.poll_first(context, &self.read_context, &mut self.gaps);
            is_decided &= first.is_ready();
        }
        // Usually some have been determined now.
        self.moves += 1;
        match self.gaps.first() {
            Some(gap) => Poll::Ready(Err(gap.clone())),
            None if is_decided => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    /// Determines where each partition is read, as far as is known by now.
    pub(super) fn resolve_positions(&mut self, context: &mut Context<'_>) {
        self.begin_poll(context);
        for index in 0..self.partitions.readers.len() {
            // Polling a partition that is read already would fetch a page, which nothing takes here.
            if !self.partitions.readers[index].is_determined() {
                self.poll_partition(index, context);
            }
        }
    }

    /// Advances to `snapshot`, which another client reached from the same position.
    pub(super) fn advance_to(&mut self, snapshot: &Snapshot) {
        for (reader, saved) in self.partitions.readers.iter_mut().zip(&snapshot.partitions) {
            reader.advance_to(saved);
        }
        self.moves += 1;
        // Any fetch that it waited for is now behind the position.
        self.merge_timer = None;
    }

    /// Returns whether everything before the end of a bounded read has been given, gaps too.
    pub(super) fn is_done(&self) -> bool {
        self.gaps.is_empty() && self.partitions.is_done()
    }

    /// Returns the positions, for ids.
    pub(in crate::subscription) fn positions(&self) -> Positions<'_> {
        Positions {
            partitions: &self.partitions,
            sets: self.sets,
            moves: self.moves,
        }
    }

    /// Returns a snapshot of the current position.
    pub(in crate::subscription) fn snapshot(&self) -> Snapshot {
        let partitions = self.partitions.readers.iter().map(PartitionReader::snapshot);
        Snapshot {
            topics: self.partitions.topics.clone(),
            partitions: partitions.collect(),
            gaps: self.gaps.clone(),
            resumable: self.gaps.is_empty() && self.partitions.is_determined(),
        }
    }

    /// Returns whether the position equals `other`, which must be determined, with no gap left to send.
    pub(in crate::subscription) fn is_at(&self, other: &Snapshot) -> bool {
        self.gaps.is_empty() && self.partitions.compare(other, |own, other| own == other)
    }

    /// See [`Subscription::is_held`](super::Subscription::is_held).
    pub(in crate::subscription) fn is_held(&self) -> bool {
        let can_read = || {
            let mut readers = self.partitions.readers.iter();
            readers.any(PartitionReader::is_determined) || self.partitions.has_none_of_its_own()
        };
        !self.partitions.is_reachable(&self.read_context.source.directory) || !can_read()
    }
}
