//! The end of a bounded read in one partition: searched, awaited, or known.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use tokio::time::{Instant, Sleep, sleep_until};

use super::hole_search::HoleSearch;
use crate::{
    partition::{Cursor, History, LogRead, PartitionLog},
    position::{LogPosition, Offset, PartitionPosition, Timestamp},
    subscription::{FoundEnd, LogReplaced, ReadContext, RequiredProof, ResumeResolver},
};

/// The end of a bounded read in one partition.
pub(in crate::subscription) struct PartitionEnd {
    /// The end, as the position at which another read would begin.
    place: PartitionPosition,
    /// When a time that is the end counts as passed.
    passed_at: Option<Instant>,
    /// The log in which `state` counts; `None` before the first.
    log: Option<Arc<PartitionLog>>,
    state: EndState,
    /// Set to `passed_at` while the time is awaited.
    timer: Option<Pin<Box<Sleep>>>,
    /// Runs while the cursor is at the end of what the tail has read, and short of the end of the read.
    hole: Option<HoleSearch>,
}

/// What is known of the end in the current log.
enum EndState {
    /// It was not asked for yet.
    Unasked,
    /// It is being asked for. Before `below` it is not.
    Asking {
        below: Offset,
        answer: BoxFuture<'static, Result<FoundEnd, LogReplaced>>,
    },
    /// No record before `below` bears the time that is the end, or a later one.
    Awaited { below: Offset },
    /// The read ends at this offset.
    At(Offset),
}

impl PartitionEnd {
    pub(super) fn new(place: PartitionPosition, passed_at: Option<Instant>) -> Self {
        Self {
            place,
            passed_at,
            log: None,
            state: EndState::Unasked,
            timer: None,
            hole: None,
        }
    }

    /// Returns the offset in `log` before which everything belongs to the read, as far as is known by now. Until more is known the
    /// task is woken through `context`, or through the waker that is subscribed to the log.
    pub(in crate::subscription) fn poll(
        &mut self,
        context: &mut Context<'_>,
        log: &Arc<PartitionLog>,
        read_context: &ReadContext,
    ) -> Offset {
        if !self.log.as_ref().is_some_and(|own| Arc::ptr_eq(own, log)) {
            self.log = Some(Arc::clone(log));
            (self.state, self.hole) = (EndState::Unasked, None);
        }
        loop {
            match &mut self.state {
                EndState::Unasked => self.ask(NOTHING, log, read_context),
                EndState::Asking { below, answer } => match answer.as_mut().poll(context) {
                    Poll::Pending => return *below,
                    Poll::Ready(Ok(FoundEnd::At(offset))) => self.found(offset, log, read_context),
                    Poll::Ready(Ok(FoundEnd::NotBefore(below))) => self.state = EndState::Awaited { below },
                    // The reader looks for the log that replaces this one.
                    Poll::Ready(Err(LogReplaced)) => {
                        self.state = EndState::Unasked;
                        return NOTHING;
                    }
                },
                EndState::Awaited { below } => {
                    let from = *below;
                    match self.scan(from, log) {
                        Scan::Found(offset) => self.found(offset, log, read_context),
                        Scan::Below => self.ask(from, log, read_context),
                        Scan::Ahead(below) if self.poll_passed(context) => self.ask(below, log, read_context),
                        Scan::Ahead(below) => {
                            self.state = EndState::Awaited { below };
                            return below;
                        }
                    }
                }
                EndState::At(offset) => return *offset,
            }
        }
    }

    /// Returns whether the end in this log is known, and a reader at `next` has nothing left to read before it.
    pub(in crate::subscription) fn is_reached(&self, log: &Arc<PartitionLog>, next: Offset) -> bool {
        let is_in = self.log.as_ref().is_some_and(|own| Arc::ptr_eq(own, log));
        is_in && matches!(self.state, EndState::At(offset) if next >= offset)
    }

    /// Returns whether it is being asked for the end.
    pub(in crate::subscription) fn is_asked(&self) -> bool {
        matches!(self.state, EndState::Asking { .. })
    }

    /// Returns the offset to which a cursor can move on that waits for the tail: the end of the read, if there is only a hole before
    /// it. A log may end with a transaction marker, of which the tail is told with the next record only.
    pub(in crate::subscription) fn poll_hole(
        &mut self,
        context: &mut Context<'_>,
        cursor: &Cursor,
        history: &Arc<dyn History>,
    ) -> Poll<Offset> {
        let EndState::At(end) = self.state else {
            return Poll::Pending;
        };
        let next = cursor.next();
        if next >= end {
            return Poll::Pending;
        }
        let search = self.hole.take().filter(|search| search.is_from(next));
        let mut search = search.unwrap_or_else(|| HoleSearch::start(cursor, end, history));
        let found = search.poll(context);
        self.hole = found.is_pending().then_some(search);
        found
    }

    fn ask(&mut self, below: Offset, log: &Arc<PartitionLog>, read_context: &ReadContext) {
        let resolver = ResumeResolver {
            log: Arc::clone(log),
            history: Arc::clone(&read_context.source.history),
            client: read_context.client,
            place: self.place,
            horizon: log.next(),
            scanned: 0,
            now: read_context.now,
            live: false,
            proof: RequiredProof::Unneeded,
        };
        let has_passed = self
            .passed_at
            .is_some_and(|passed_at| passed_at <= Instant::now());
        self.state = EndState::Asking {
            below,
            answer: Box::pin(resolver.resolve_end(has_passed)),
        };
    }

    /// Records where the read ends in this log. In another log the end is found by the same time or position. The end of a log
    /// becomes such a position once it is known: the end of another log would be another moment.
    fn found(&mut self, offset: Offset, log: &PartitionLog, read_context: &ReadContext) {
        self.state = EndState::At(offset);
        self.timer = None;
        if self.place == PartitionPosition::Latest {
            self.place = PartitionPosition::At(LogPosition {
                offset,
                timestamp: Some(read_context.now),
                log: Some(log.tag()),
                epoch: None,
            });
        }
    }

    /// Seeks the first record that bears the time, from this offset on, in what the tail has read.
    fn scan(&self, from: Offset, log: &PartitionLog) -> Scan {
        let mut below = from;
        loop {
            let page = match log.read(below) {
                LogRead::Page(page) => page,
                LogRead::Below => return Scan::Below,
                LogRead::Ahead | LogRead::Replaced => return Scan::Ahead(below),
            };
            let events = &page.events()[page.index_of(below)..];
            if let Some(event) = events.iter().find(|event| event.timestamp >= self.time()) {
                return Scan::Found(event.offset);
            }
            below = page.next();
        }
    }

    /// Returns the time that is the end.
    fn time(&self) -> Timestamp {
        match self.place {
            PartitionPosition::Since(time) => time,
            // Only times are awaited.
            _ => Timestamp::MAX,
        }
    }

    /// Returns whether the time counts as passed, although no record shows it.
    fn poll_passed(&mut self, context: &mut Context<'_>) -> bool {
        let Some(passed_at) = self.passed_at else {
            return false;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(passed_at)));
        timer.as_mut().poll(context).is_ready()
    }
}

/// The result of looking for a time in memory.
enum Scan {
    /// The first record that bears it is at this offset.
    Found(Offset),
    /// No record before this offset does, and the tail has read no further.
    Ahead(Offset),
    /// The records are no longer in memory.
    Below,
}

/// Nothing is known to belong to the read.
const NOTHING: Offset = Offset::MIN;
