//! Reading a partition from its cursor on: pages, unreadable offsets, and the end of a bounded read.
//!
//! Not here: where the cursor starts (`resuming`).

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::{PartitionPoll, PartitionReader, ReaderState};
use crate::{
    partition::{Cursor, CursorStep, Page, PartitionLog},
    position::{LogPosition, Offset, PartitionPosition},
    subscription::{Gap, GapReason, ReadContext, RequiredProof, ends::PartitionEnd},
};

impl PartitionReader {
    /// Returns what the log has at the cursor; `None` if the reader has moved on and is to be polled again.
    pub(super) fn poll_log(
        &mut self,
        context: &mut Context<'_>,
        read_context: &ReadContext,
        gaps: &mut Vec<Gap>,
    ) -> Option<PartitionPoll> {
        let ReaderState::Reading(cursor) = &mut self.state else {
            return None;
        };
        if let Some(waiting) = poll_end(&mut self.end, &mut self.limit, cursor, context, read_context) {
            return Some(waiting);
        }
        if cursor.next() >= self.limit {
            return Some(PartitionPoll::Idle);
        }
        let history = &read_context.source.history;
        match cursor.poll(context, &**history) {
            CursorStep::Page(page) if page.is_unreadable() => {
                return self.pass_unreadable(&page, read_context, gaps);
            }
            CursorStep::Page(page) => {
                self.failed_starts = 0;
                let end = readable_end(&page, cursor.log()).min(self.limit);
                return Some(PartitionPoll::Page(page, cursor.next()..end));
            }
            CursorStep::AtTail
                if let Some(end) = &mut self.end
                    && let Poll::Ready(next) = end.poll_hole(context, cursor, history) =>
            {
                cursor.advance(next);
            }
            CursorStep::AtTail | CursorStep::Unavailable => return Some(PartitionPoll::Idle),
            CursorStep::Fetching => return Some(PartitionPoll::Fetching),
            CursorStep::OutOfRange => {
                let (log, scanned) = (cursor.log().clone(), cursor.next());
                self.start_resolving(log, scanned, read_context);
                self.failed_starts = self.failed_starts.saturating_add(1);
            }
            CursorStep::Replaced => self.wait_for_successor(),
        }
        None
    }

    /// Passes the unreadable offsets of this page with a gap, or seeks a record that proves the position first. Returns
    /// [`Idle`](PartitionPoll::Idle) if none of them can be passed yet.
    fn pass_unreadable(
        &mut self,
        page: &Page,
        read_context: &ReadContext,
        gaps: &mut Vec<Gap>,
    ) -> Option<PartitionPoll> {
        let ReaderState::Reading(cursor) = &mut self.state else {
            return None;
        };
        if lacks_proof(self.place, self.proof_sought, cursor.next()) {
            let (log, next) = (cursor.log().clone(), cursor.next());
            self.seek_proof(log, next, read_context);
            return None;
        }
        let end = readable_end(page, cursor.log()).min(self.limit);
        if end <= cursor.next() {
            return Some(PartitionPoll::Idle);
        }
        gaps.push(Gap {
            partition: self.partition.clone(),
            requested: Some(cursor.next()),
            resumed: Some(end),
            reason: GapReason::Unreadable,
        });
        cursor.seek(end);
        self.place = with_offset(self.place, end);
        None
    }

    /// Seeks a record that proves the position before the reader passes unreadable offsets: after them nothing would
    /// prove it if the log were truncated before them and grew again. A log that begins with unreadable offsets has no
    /// record before them, but its leader has an epoch.
    fn seek_proof(&mut self, log: Arc<PartitionLog>, next: Offset, read_context: &ReadContext) {
        self.proof_sought = Some(next);
        self.place = with_offset(self.place, next);
        let read_context = ReadContext {
            proof: RequiredProof::RecordOrLeader,
            ..read_context.clone()
        };
        self.start_resolving(log, 0, &read_context);
    }
}

/// Updates the offset at which a bounded read stops. Returns what the reader has to give if it is there.
fn poll_end(
    end: &mut Option<Box<PartitionEnd>>,
    limit: &mut Offset,
    cursor: &Cursor,
    context: &mut Context<'_>,
    read_context: &ReadContext,
) -> Option<PartitionPoll> {
    let end = end.as_mut()?;
    *limit = end.poll(context, cursor.log(), read_context);
    if end.is_reached(cursor.log(), cursor.next()) {
        return Some(PartitionPoll::Idle);
    }
    if cursor.log().is_replaced() {
        // The reader has to find that out, and to look for the log that has taken its place.
        *limit = Offset::MAX;
    }
    let waiting = match end.is_asked() {
        true => PartitionPoll::Fetching,
        false => PartitionPoll::Idle,
    };
    (cursor.next() >= *limit).then_some(waiting)
}

/// Returns `place` moved past unreadable offsets. What is known of the last record before them stays: epochs never
/// decrease, so it proves as much.
fn with_offset(place: PartitionPosition, offset: Offset) -> PartitionPosition {
    match place {
        PartitionPosition::At(mark) => PartitionPosition::At(LogPosition { offset, ..mark }),
        place => place,
    }
}

/// Returns whether no record has proved this position yet, and none was sought before `next`.
fn lacks_proof(place: PartitionPosition, sought: Option<Offset>, next: Offset) -> bool {
    let unproven = matches!(place, PartitionPosition::At(mark) if mark.epoch.is_none());
    unproven && sought != Some(next)
}

/// Returns where reading this page leads. A hole at its end beyond the tail is left to the tail. Otherwise a client
/// that read it from history would be after the hole, and the lane, which reads the tail, before it, until the next
/// record.
fn readable_end(page: &Page, log: &PartitionLog) -> Offset {
    let behind_last = page.events().last().map_or(0, |it| it.offset.saturating_add(1));
    page.next().min(log.next().max(behind_last))
}
