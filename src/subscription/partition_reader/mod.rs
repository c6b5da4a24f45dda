//! One partition of a subscription: undetermined, being determined, or read.

mod resuming;

use std::{
    ops::Range,
    sync::Arc,
    task::{Context, Poll},
};

use self::resuming::Resuming;
use super::{
    gap::{Gap, GapReason},
    read_context::ReadContext,
    resume::{LogReplaced, RequiredProof, ResumeResolver},
    snapshot::PartitionSnapshot,
};
use crate::{
    partition::{Cursor, CursorStep, LogRead, Page, PartitionLog, TopicPartition},
    position::{LogPosition, Offset, PartitionPosition},
};

/// One partition of a subscription.
pub(super) struct PartitionReader {
    pub(super) partition: TopicPartition,
    /// What the id says of it.
    pub(super) place: PartitionPosition,
    state: ReaderState,
    /// It has been read: the place was one in a log that was current then.
    was_read: bool,
    /// The client was there before the log that is current.
    predates_log: bool,
    /// How many events its client had passed when this began to have one to give; `None` while it has none.
    pub(super) waits_since: Option<u64>,
    /// It kept the others waiting for longer than their patience, and has given nothing since.
    timed_out: bool,
    /// Nothing at or behind this offset is given: there its client goes on in a lane.
    limit: Offset,
    /// How often in a group the place that was found turned out to be none.
    failed_starts: u32,
    /// Whether [its first event](Self::poll_first) was there: the page is not kept, and not to be fetched again to be told of.
    is_first_known: bool,
    /// The offset before which a record was looked for that proves it.
    proof_sought: Option<Offset>,
}

enum ReaderState {
    /// Its leader has not answered yet: there is no log.
    Undetermined,
    /// The resume table is being walked through.
    Resuming(Resuming),
    /// It is read.
    Reading(Cursor),
}

/// What a partition has to give.
pub(super) enum PartitionPoll {
    /// What this page covers of these offsets.
    Page(Arc<Page>, Range<Offset>),
    /// Something, in a moment.
    Fetching,
    /// Nothing for now.
    Idle,
}

impl PartitionReader {
    pub(super) fn new(partition: TopicPartition, place: PartitionPosition) -> Self {
        Self {
            partition,
            place,
            state: ReaderState::Undetermined,
            was_read: false,
            predates_log: false,
            waits_since: None,
            timed_out: false,
            limit: Offset::MAX,
            failed_starts: 0,
            is_first_known: false,
            proof_sought: None,
        }
    }

    /// One whose client was there before the partition's log.
    pub(super) fn new_predating_log(partition: TopicPartition, place: PartitionPosition) -> Self {
        Self {
            predates_log: true,
            ..Self::new(partition, place)
        }
    }

    /// One that stands where another stood; it is read in the name of `read_context`.
    pub(super) fn at(saved: &PartitionSnapshot, read_context: &ReadContext) -> Self {
        let mut part = Self::new_predating_log(saved.partition.clone(), saved.place);
        part.was_read = saved.was_read;
        if let Some((log, next)) = &saved.at {
            log.subscribe(&read_context.shared_waker);
            part.state = ReaderState::Reading(Cursor::new(log.clone(), *next, read_context.client));
        }
        part
    }

    /// Where it stands.
    pub(super) fn snapshot(&self) -> PartitionSnapshot {
        let at = match &self.state {
            ReaderState::Undetermined => None,
            // Whoever goes on from here finds out anew; that what was scanned is a hole is not forgotten.
            ReaderState::Resuming(starting) => {
                (starting.scanned > 0).then(|| (starting.log.clone(), starting.scanned))
            }
            ReaderState::Reading(cursor) => Some((cursor.log().clone(), cursor.next())),
        };
        PartitionSnapshot {
            partition: self.partition.clone(),
            place: self.place,
            was_read: self.was_read,
            at,
        }
    }

    /// Moves on in its log to where `saved` is.
    pub(super) fn advance_to(&mut self, saved: &PartitionSnapshot) {
        if let (ReaderState::Reading(cursor), Some((_, next))) = (&mut self.state, &saved.at)
            && cursor.next() < *next
        {
            cursor.seek(*next);
            self.timed_out = false;
        }
        self.place = saved.place;
    }

    /// Gives nothing at or behind `limit` from now on.
    pub(super) fn set_limit(&mut self, limit: Offset) {
        self.limit = limit;
    }

    /// Whether it is read: its place is one in a log.
    pub(super) fn is_determined(&self) -> bool {
        matches!(self.state, ReaderState::Reading(_))
    }

    /// Where it is read; `None` while it is not.
    pub(super) fn cursor(&self) -> Option<&Cursor> {
        match &self.state {
            ReaderState::Reading(cursor) => Some(cursor),
            _ => None,
        }
    }

    /// The same, to move it.
    pub(super) fn cursor_mut(&mut self) -> Option<&mut Cursor> {
        match &mut self.state {
            ReaderState::Reading(cursor) => Some(cursor),
            _ => None,
        }
    }

    /// What there is to give. A gap found on the way is put into `gaps`; a new place into `self.place`.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        read_context: &ReadContext,
        gaps: &mut Vec<Gap>,
    ) -> PartitionPoll {
        let give = loop {
            match &mut self.state {
                ReaderState::Undetermined => {
                    let Some(log) = self.current_log(read_context) else {
                        return PartitionPoll::Idle;
                    };
                    self.start_resolving(log, 0, read_context);
                }
                ReaderState::Resuming(Resuming { log, answer, .. }) => match answer.as_mut().poll(context) {
                    Poll::Pending => break PartitionPoll::Fetching,
                    Poll::Ready(Ok(start)) => {
                        let cursor = Cursor::new(log.clone(), start.next, read_context.client);
                        self.state = ReaderState::Reading(cursor);
                        self.was_read = true;
                        self.predates_log = false;
                        self.place = PartitionPosition::At(start.mark);
                        gaps.extend(start.gap);
                    }
                    Poll::Ready(Err(LogReplaced)) => self.wait_for_successor(),
                },
                ReaderState::Reading(cursor) if cursor.next() >= self.limit => break PartitionPoll::Idle,
                ReaderState::Reading(cursor) => match cursor.poll(context, &*read_context.source.history) {
                    CursorStep::Page(page)
                        if page.is_unreadable()
                            && lacks_proof(self.place, self.proof_sought, cursor.next()) =>
                    {
                        let (log, next) = (cursor.log().clone(), cursor.next());
                        self.seek_proof(log, next, read_context);
                    }
                    CursorStep::Page(page) if page.is_unreadable() => {
                        let end = readable_end(&page, cursor.log()).min(self.limit);
                        if end <= cursor.next() {
                            break PartitionPoll::Idle;
                        }
                        gaps.push(Gap {
                            partition: self.partition.clone(),
                            requested: Some(cursor.next()),
                            resumed: Some(end),
                            reason: GapReason::Unreadable,
                        });
                        cursor.seek(end);
                        self.place = with_offset(self.place, end);
                    }
                    CursorStep::Page(page) => {
                        self.failed_starts = 0;
                        let end = readable_end(&page, cursor.log()).min(self.limit);
                        break PartitionPoll::Page(page, cursor.next()..end);
                    }
                    CursorStep::AtTail | CursorStep::Unavailable => break PartitionPoll::Idle,
                    CursorStep::Fetching => break PartitionPoll::Fetching,
                    CursorStep::OutOfRange => {
                        let (log, scanned) = (cursor.log().clone(), cursor.next());
                        self.start_resolving(log, scanned, read_context);
                        self.failed_starts = self.failed_starts.saturating_add(1);
                    }
                    CursorStep::Replaced => self.wait_for_successor(),
                },
            }
        };
        self.apply_timeout(give)
    }

    /// Waits until its first event is there, or none is to be had for now. A gap found on the way is put into `gaps`. Only what can be
    /// read shows that no gap comes first: damage may be found by this read.
    pub(super) fn poll_first(
        &mut self,
        context: &mut Context<'_>,
        read_context: &ReadContext,
        gaps: &mut Vec<Gap>,
    ) -> Poll<()> {
        while !self.is_first_known {
            let give = self.poll(context, read_context, gaps);
            let ReaderState::Reading(cursor) = &mut self.state else {
                return Poll::Pending;
            };
            match give {
                PartitionPoll::Page(page, range) if page.has_event_in(&range) || range.is_empty() => {
                    self.is_first_known = true;
                }
                PartitionPoll::Page(_, hole) => cursor.advance(hole.end),
                PartitionPoll::Idle if matches!(cursor.log().read(cursor.next()), LogRead::Ahead) => {
                    self.is_first_known = true;
                }
                PartitionPoll::Fetching | PartitionPoll::Idle => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// The others waited long enough for this one.
    pub(super) fn stop_waiting(&mut self) {
        self.timed_out = true;
    }

    fn apply_timeout(&mut self, give: PartitionPoll) -> PartitionPoll {
        match give {
            PartitionPoll::Fetching if self.timed_out => PartitionPoll::Idle,
            PartitionPoll::Fetching => PartitionPoll::Fetching,
            other => {
                self.timed_out = false;
                other
            }
        }
    }

    /// Waits for the log that takes the place of the one it was in.
    fn wait_for_successor(&mut self) {
        self.state = ReaderState::Undetermined;
        self.predates_log = true;
    }

    fn current_log(&self, read_context: &ReadContext) -> Option<Arc<PartitionLog>> {
        let log = read_context
            .source
            .directory
            .get(&self.partition.topic, self.partition.partition);
        // Between its replacement and its successor's entry a log may still stand in the directory.
        log.filter(|log| !log.is_replaced())
    }

    /// Looks for what proves its place, before it passes what cannot be read: behind that nothing does, should the log be cut off before
    /// it and grow again. A log that begins with what cannot be read has no record to prove it by, but its leader has an epoch.
    fn seek_proof(&mut self, log: Arc<PartitionLog>, next: Offset, read_context: &ReadContext) {
        self.proof_sought = Some(next);
        self.place = with_offset(self.place, next);
        let read_context = ReadContext {
            proof: RequiredProof::RecordOrLeader,
            ..read_context.clone()
        };
        self.start_resolving(log, 0, &read_context);
    }

    fn start_resolving(&mut self, log: Arc<PartitionLog>, scanned: Offset, read_context: &ReadContext) {
        // Before the first look at the log, so that nothing is missed in between.
        log.subscribe(&read_context.shared_waker);
        let horizon = if self.predates_log {
            log.tail_start()
        } else {
            log.next()
        };
        let resolver = ResumeResolver {
            log,
            history: read_context.source.history.clone(),
            client: read_context.client,
            place: self.place,
            horizon,
            scanned,
            now: read_context.now,
            live: self.was_read,
            proof: read_context.proof,
        };
        self.state = ReaderState::Resuming(Resuming::start(resolver, self.failed_starts));
    }
}

/// The same place behind what cannot be read. What is known of the last record before that stays: epochs never fall, so it
/// proves as much.
fn with_offset(place: PartitionPosition, offset: Offset) -> PartitionPosition {
    match place {
        PartitionPosition::At(mark) => PartitionPosition::At(LogPosition { offset, ..mark }),
        place => place,
    }
}

/// Whether no record has been seen that proves this place, and none was looked for before `next`.
fn lacks_proof(place: PartitionPosition, sought: Option<Offset>, next: Offset) -> bool {
    let unproven = matches!(place, PartitionPosition::At(mark) if mark.epoch.is_none());
    unproven && sought != Some(next)
}

/// Where a page leads to. A hole at its end that the tail has not come to is left to the tail: a client that has read
/// history would otherwise stand behind it, and the lane, which has read the tail, before it, until the next record.
fn readable_end(page: &Page, log: &PartitionLog) -> Offset {
    let behind_last = page
        .events()
        .last()
        .map_or(0, |event| event.offset.saturating_add(1));
    page.next().min(log.next().max(behind_last))
}

#[cfg(test)]
mod tests;
