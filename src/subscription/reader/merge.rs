//! The merge of a subscription's partitions by (timestamp, topic, partition).

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{
    Subscription,
    boost::{boost, merge_time},
    head::MergeHead,
};
use crate::{
    position::{LogPosition, Offset, PartitionPosition},
    subscription::{BatchBuilder, PartitionPoll},
};

impl Subscription {
    /// Waits until no partition is still fetching a page, or until `MERGE_PATIENCE` is over. Returns the head of each
    /// partition that has one. Returns none at all if partitions are fetching while there is a gap to send.
    pub(super) fn poll_heads(&mut self, context: &mut Context<'_>) -> Poll<Vec<Option<MergeHead>>> {
        loop {
            let mut heads = Vec::with_capacity(self.partitions.readers.len());
            let mut waiting = false;
            for index in 0..self.partitions.readers.len() {
                let polled = self.poll_partition(index, context);
                waiting |= matches!(polled, PartitionPoll::Fetching);
                heads.push(MergeHead::of(polled));
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
            for reader in &mut self.partitions.readers {
                reader.timed_out = true;
            }
        }
    }

    /// Adds events to the batch, oldest first. Returns false if there are no more, true if it stopped for another
    /// reason.
    pub(super) fn merge(
        &mut self,
        context: &mut Context<'_>,
        heads: &mut [Option<MergeHead>],
        batch: &mut BatchBuilder,
    ) -> bool {
        let mut boost = boost(self.passed, &mut self.partitions.readers, heads);
        let mut order: BinaryHeap<_> = heads
            .iter()
            .enumerate()
            .filter_map(|(index, head)| Some(Reverse((merge_time(boost, index, head.as_ref()?), index))))
            .collect();
        let scan = if self.filter_state.is_some() {
            SCAN_FILTERED
        } else {
            SCAN
        };
        for _ in 0..scan {
            let Some(Reverse((_, index))) = order.pop() else {
                return false;
            };
            let Some(head) = &mut heads[index] else { continue };
            if !self.take(index, head, batch) {
                return true;
            }
            if let Some(boost) = &mut boost {
                boost.count(index);
            }
            if head.index == head.end {
                match self.poll_partition(index, context) {
                    // Going on without this partition would make the order depend on which fetch is faster.
                    PartitionPoll::Fetching => return true,
                    // A gap is sent before the events after it.
                    _ if !self.gaps.is_empty() => return true,
                    polled => heads[index] = MergeHead::of(polled),
                }
            }
            if let Some(head) = &heads[index] {
                order.push(Reverse((merge_time(boost, index, head), index)));
            }
        }
        true
    }

    /// Consumes the next event of a head, or the rest of its page if that is a hole. Returns false if the batch is
    /// full.
    fn take(&mut self, index: usize, head: &mut MergeHead, batch: &mut BatchBuilder) -> bool {
        let crosses_boundary = head
            .event()
            .is_some_and(|event| self.crosses_boundary(index, event.offset));
        let before = self.partitions.readers[index].place;
        let Some(cursor) = self.partitions.readers[index].cursor_mut() else {
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
            // Only a timestamp leads to another cluster's log. A record without one leaves the timestamp of the last
            // record that had one.
            timestamp: Some(event.timestamp).filter(|time| *time >= 0).or(before.time()),
            log: Some(tag),
            epoch: Some(event.epoch).filter(|epoch| *epoch >= 0),
        });
        let shown = self.view.shows_canaries || !event.canary;
        let wanted = shown
            && self
                .filter_state
                .as_mut()
                .is_none_or(|filter_state| filter_state.accepts(cursor.log(), &head.page, event));
        self.passed += 1;
        self.partitions.readers[index].waits_since = None;
        self.partitions.readers[index].place = place;
        if wanted {
            let id = self.fresh_id();
            id.set(index, &place);
            batch.event(&head.page, event, encoding, id);
        } else {
            self.is_id_stale = true;
        }
        head.index += 1;
        true
    }

    /// Returns whether the event at `offset` is the first after a batch boundary. Batches end there for all clients,
    /// wherever they started, so clients that started elsewhere come to the same positions. The boundaries of
    /// partitions are staggered, for those that are written to in turn.
    fn crosses_boundary(&self, index: usize, offset: Offset) -> bool {
        let readers = &self.partitions.readers;
        let step = BATCH_BOUNDARY_STEP * readers.len() as Offset;
        let shift = BATCH_BOUNDARY_STEP * index as Offset;
        let section = |offset: Offset| offset.saturating_add(shift).div_euclid(step);
        match readers[index].place {
            PartitionPosition::At(mark) => section(mark.offset - 1) != section(offset),
            _ => false,
        }
    }
}

/// How long the merge waits for a partition that is fetching a page. A page takes milliseconds; a leader that takes
/// longer delays only its own partitions.
const MERGE_PATIENCE: Duration = Duration::from_millis(300);

/// The number of events between two batch boundaries, if all partitions have equally many.
const BATCH_BOUNDARY_STEP: Offset = 128;

/// The most events examined in one poll, so that a run of skipped ones does not keep a thread from its other clients.
const SCAN: usize = 10_000;

/// The same with a filter, which reads every document: 3 us each, and 7 us with the most expensive filter allowed (in a
/// build for tests).
const SCAN_FILTERED: usize = 500;
