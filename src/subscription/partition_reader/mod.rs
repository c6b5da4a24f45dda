//! The reader of one partition of a subscription: undetermined, resuming, or reading.

mod log_read;
mod resuming;

use std::{
    ops::Range,
    sync::Arc,
    task::{Context, Poll},
};

use self::resuming::Resuming;
use super::{
    Gap, LogReplaced, PartitionSnapshot, ReadContext, ResumePoint, ResumeResolver, ends::PartitionEnd,
};
use crate::{
    client::ClientKey,
    partition::{Cursor, LogRead, Page, PartitionLog, TopicPartition},
    position::{Offset, PartitionPosition},
};

/// The reader of one partition of a subscription.
pub(super) struct PartitionReader {
    pub(super) partition: TopicPartition,
    /// The position as the id has it.
    pub(super) place: PartitionPosition,
    state: ReaderState,
    /// Whether the partition has been read: the position was in a log that was current then.
    was_read: bool,
    /// Whether the client was there before the current log.
    predates_log: bool,
    /// How many events the subscription had passed when this partition last became ready with one; `None` while it has
    /// none.
    pub(super) waits_since: Option<u64>,
    /// Whether the merge goes on without this partition. Reset when it gives something.
    pub(super) timed_out: bool,
    /// The offset before which the reader stops, because its client continues in a lane there.
    pub(super) limit: Offset,
    /// The end of a bounded read, which sets `limit`; `None` for a read without an end.
    pub(super) end: Option<Box<PartitionEnd>>,
    /// How many times in a row the start that was found turned out not to exist.
    failed_starts: u32,
    /// Whether [the first event](Self::poll_first) was there. The page is not kept, and is not fetched again to say so.
    is_first_known: bool,
    /// The offset before which a record was last sought that proves the position.
    proof_sought: Option<Offset>,
}

enum ReaderState {
    /// The partition's leader has not answered yet: there is no log.
    Undetermined,
    /// The start is being determined by the resume rules.
    Resuming(Resuming),
    /// The log is being read.
    Reading(Cursor),
}

/// The result of polling a partition.
pub(super) enum PartitionPoll {
    /// The events of this page with these offsets.
    Page(Arc<Page>, Range<Offset>),
    /// A page is being read and is expected within a moment.
    Fetching,
    /// Nothing is available for now.
    Idle,
}

impl PartitionReader {
    #[inline]
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
            end: None,
            failed_starts: 0,
            is_first_known: false,
            proof_sought: None,
        }
    }

    /// Creates a reader for a client that was there before the partition's log.
    #[inline]
    pub(super) fn new_predating_log(partition: TopicPartition, place: PartitionPosition) -> Self {
        Self {
            predates_log: true,
            ..Self::new(partition, place)
        }
    }

    /// Creates a reader at the position of a snapshot, which reads with `read_context`.
    pub(super) fn at(saved: &PartitionSnapshot, read_context: &ReadContext) -> Self {
        let mut reader = Self::new_predating_log(saved.partition.clone(), saved.place);
        reader.was_read = saved.was_read;
        if let Some((log, next)) = &saved.at {
            log.subscribe(&read_context.shared_waker);
            reader.state = ReaderState::Reading(Cursor::new(log.clone(), *next, read_context.client));
        }
        reader
    }

    /// Returns a snapshot of the current position.
    pub(super) fn snapshot(&self) -> PartitionSnapshot {
        let at = match &self.state {
            ReaderState::Undetermined => None,
            // A client that continues from here determines its start anew, but keeps what is known to be a hole.
            ReaderState::Resuming(resuming) => {
                (resuming.scanned > 0).then(|| (resuming.log.clone(), resuming.scanned))
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

    /// Advances within the log to the position of `saved`.
    pub(super) fn advance_to(&mut self, saved: &PartitionSnapshot) {
        if let (ReaderState::Reading(cursor), Some((_, next))) = (&mut self.state, &saved.at)
            && cursor.next() < *next
        {
            cursor.seek(*next);
            self.timed_out = false;
        }
        self.place = saved.place;
    }

    /// Returns whether the start is determined and the log is being read.
    pub(super) fn is_determined(&self) -> bool {
        matches!(self.state, ReaderState::Reading(_))
    }

    /// Returns whether everything before the end of a bounded read has been read.
    pub(super) fn is_done(&self) -> bool {
        match (&self.state, &self.end) {
            (ReaderState::Reading(cursor), Some(end)) => end.is_reached(cursor.log(), cursor.next()),
            _ => false,
        }
    }

    /// Returns the cursor; `None` while the start is not determined.
    pub(super) fn cursor(&self) -> Option<&Cursor> {
        match &self.state {
            ReaderState::Reading(cursor) => Some(cursor),
            _ => None,
        }
    }

    /// Returns the cursor to move it; `None` while the start is not determined.
    pub(super) fn cursor_mut(&mut self) -> Option<&mut Cursor> {
        match &mut self.state {
            ReaderState::Reading(cursor) => Some(cursor),
            _ => None,
        }
    }

    /// Returns what is available. A gap found on the way is added to `gaps`; a new position is put into `self.place`.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        read_context: &ReadContext,
        gaps: &mut Vec<Gap>,
    ) -> PartitionPoll {
        let polled = loop {
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
                        let log = log.clone();
                        gaps.extend(self.read_from(log, start, read_context.client));
                    }
                    Poll::Ready(Err(LogReplaced)) => self.wait_for_successor(),
                },
                ReaderState::Reading(_) => {
                    if let Some(polled) = self.poll_log(context, read_context, gaps) {
                        break polled;
                    }
                }
            }
        };
        self.apply_timeout(polled)
    }

    /// Waits until the first event has been read, or none is available for now. A gap found on the way is added to
    /// `gaps`. Only reading shows that no gap comes first, because damage is found by reading.
    pub(super) fn poll_first(
        &mut self,
        context: &mut Context<'_>,
        read_context: &ReadContext,
        gaps: &mut Vec<Gap>,
    ) -> Poll<()> {
        while !self.is_first_known {
            let polled = self.poll(context, read_context, gaps);
            self.is_first_known = self.is_done();
            let ReaderState::Reading(cursor) = &mut self.state else {
                return Poll::Pending;
            };
            match polled {
                PartitionPoll::Page(page, range) if page.has_event_in(&range) || range.is_empty() => {
                    self.is_first_known = true;
                }
                PartitionPoll::Page(_, hole) => cursor.advance(hole.end),
                PartitionPoll::Idle if matches!(cursor.log().read(cursor.next()), LogRead::Ahead) => {
                    self.is_first_known = true;
                }
                PartitionPoll::Fetching | PartitionPoll::Idle if !self.is_first_known => {
                    return Poll::Pending;
                }
                PartitionPoll::Fetching | PartitionPoll::Idle => {}
            }
        }
        Poll::Ready(())
    }

    fn apply_timeout(&mut self, polled: PartitionPoll) -> PartitionPoll {
        match polled {
            PartitionPoll::Fetching if self.timed_out => PartitionPoll::Idle,
            PartitionPoll::Fetching => PartitionPoll::Fetching,
            other => {
                self.timed_out = false;
                other
            }
        }
    }

    /// Reads `log` from `start` on. Returns the gap on the way there, if any.
    fn read_from(&mut self, log: Arc<PartitionLog>, start: ResumePoint, client: ClientKey) -> Option<Gap> {
        self.state = ReaderState::Reading(Cursor::new(log, start.next, client));
        self.was_read = true;
        self.predates_log = false;
        self.place = PartitionPosition::At(start.mark);
        start.gap
    }

    /// Waits for the log that replaces the current one.
    fn wait_for_successor(&mut self) {
        self.state = ReaderState::Undetermined;
        self.predates_log = true;
    }

    fn current_log(&self, read_context: &ReadContext) -> Option<Arc<PartitionLog>> {
        let TopicPartition { topic, partition } = &self.partition;
        let log = read_context.source.directory.get(topic, *partition);
        // A replaced log may still be in the directory before its successor is put there.
        log.filter(|log| !log.is_replaced())
    }

    fn start_resolving(&mut self, log: Arc<PartitionLog>, scanned: Offset, read_context: &ReadContext) {
        // Subscribed before the log is first read, so that nothing in between is missed.
        log.subscribe(&read_context.shared_waker);
        let horizon = if self.predates_log {
            log.tail_start()
        } else {
            log.next()
        };
        let resolver = ResumeResolver {
            log: Arc::clone(&log),
            history: read_context.source.history.clone(),
            client: read_context.client,
            place: self.place,
            horizon,
            scanned,
            now: read_context.now,
            live: self.was_read,
            proof: read_context.proof,
        };
        // After a failed start there is a pause first.
        if self.failed_starts == 0
            && let Some(start) = resolver.answer_at_hand()
        {
            self.read_from(log, start, read_context.client);
            return;
        }
        self.state = ReaderState::Resuming(Resuming::start(resolver, self.failed_starts));
    }
}

#[cfg(test)]
mod tests;
