//! The merge of a subscription's partitions by (timestamp, topic, partition).

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{
    boost::{boost, merge_time},
    head::MergeHead,
    merged::{EventSink, MergedEvent, MergedPartitions},
};
use crate::{
    position::{LogPosition, Offset, PartitionPosition},
    subscription::PartitionPoll,
};

impl MergedPartitions {
    /// Waits until no partition is still fetching a page, or until `MERGE_PATIENCE` is over. Returns the head of each
    /// partition that has one. Returns none at all if partitions are fetching while there is a gap to send.
    pub(in crate::subscription) fn poll_heads(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Vec<Option<MergeHead>>> {
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

    /// Gives up to `scan` events to the sink, oldest first. Returns false if there are no more, true if it stopped for
    /// another reason.
    pub(in crate::subscription) fn merge(
        &mut self,
        context: &mut Context<'_>,
        heads: &mut [Option<MergeHead>],
        scan: usize,
        sink: &mut impl EventSink,
    ) -> bool {
        let mut boost = boost(self.passed, &mut self.partitions.readers, heads);
        let mut order: BinaryHeap<_> = heads
            .iter()
            .enumerate()
            .filter_map(|(index, head)| Some(Reverse((merge_time(boost, index, head.as_ref()?), index))))
            .collect();
        for _ in 0..scan {
            let Some(Reverse((_, index))) = order.pop() else {
                return false;
            };
            let Some(head) = &mut heads[index] else { continue };
            if !self.take(index, head, sink) {
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

    /// Gives the next event of a head to the sink, or passes the rest of its page if that is a hole. Returns false if the
    /// sink is full.
    fn take(&mut self, index: usize, head: &mut MergeHead, sink: &mut impl EventSink) -> bool {
        let crosses_boundary = head
            .event()
            .is_some_and(|event| self.crosses_boundary(index, event.offset));
        let reader = &mut self.partitions.readers[index];
        let before = reader.place;
        let Some(cursor) = reader.cursor_mut() else {
            return true;
        };
        let Some(event) = head.event() else {
            cursor.advance(head.next);
            return true;
        };
        if !sink.has_room_for(head.page.lines(event).len()) || (crosses_boundary && !sink.is_empty()) {
            return false;
        }
        let last = head.index + 1 == head.end;
        cursor.advance(if last {
            head.next
        } else {
            event.offset.saturating_add(1)
        });
        let tag = cursor.log().tag();
        let place = PartitionPosition::At(LogPosition {
            offset: event.offset.saturating_add(1),
            // Only a timestamp leads to another cluster's log. A record without one leaves the timestamp of the last
            // record that had one.
            timestamp: Some(event.timestamp).filter(|time| *time >= 0).or(before.time()),
            log: Some(tag),
            epoch: Some(event.epoch).filter(|epoch| *epoch >= 0),
        });
        self.passed += 1;
        self.moves += 1;
        reader.waits_since = None;
        reader.place = place;
        if let Some(cursor) = self.partitions.readers[index].cursor() {
            let merged_event = MergedEvent {
                log: cursor.log(),
                page: &head.page,
                event,
                index,
                place: &place,
            };
            sink.take(&merged_event, self.positions());
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
