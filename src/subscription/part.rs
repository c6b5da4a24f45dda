//! One partition of a subscription: undetermined, being determined, or read.

use std::{
    ops::Range,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;

use super::{
    Source,
    gap::Gap,
    standing::Stand,
    start::{Question, Replaced, Start},
};
use crate::{
    client::ClientKey,
    partition::{Bell, Cursor, Page, PartitionLog, Step, TopicPartition},
    position::{Offset, Place, Timestamp},
};

/// One partition of a subscription.
pub(super) struct Part {
    pub(super) partition: TopicPartition,
    /// What the id says of it.
    pub(super) place: Place,
    state: State,
    /// It has been read: the place was one in a log that was current then.
    was_read: bool,
    /// It kept the others waiting for longer than their patience, and has given nothing since.
    late: bool,
    /// Nothing at or behind this offset is given: there its client goes on in a lane.
    limit: Offset,
}

enum State {
    /// Its leader has not answered yet: there is no log.
    Undetermined,
    /// The resume table is being walked through.
    Starting(Starting),
    /// It is read.
    Reading(Cursor),
}

struct Starting {
    log: Arc<PartitionLog>,
    /// See [`Question::scanned`].
    scanned: Offset,
    answer: BoxFuture<'static, Result<Start, Replaced>>,
}

/// What a partition has to give.
pub(super) enum Give {
    /// What this page covers of these offsets.
    Page(Arc<Page>, Range<Offset>),
    /// Something, in a moment.
    Soon,
    /// Nothing for now.
    Nothing,
}

/// Who asks.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) source: Source,
    pub(super) bell: Arc<Bell>,
    pub(super) client: ClientKey,
    pub(super) now: Timestamp,
    /// See [`Question::proves`].
    pub(super) proves: bool,
}

impl Asker {
    /// One who hears of every change of the directory.
    pub(super) fn new(source: &Source, client: ClientKey, now: Timestamp) -> Self {
        let bell = Bell::new();
        source.directory.subscribe(&bell);
        Self {
            source: source.clone(),
            bell,
            client,
            now,
            proves: false,
        }
    }
}

impl Part {
    pub(super) fn new(partition: TopicPartition, place: Place) -> Self {
        Self {
            partition,
            place,
            state: State::Undetermined,
            was_read: false,
            late: false,
            limit: Offset::MAX,
        }
    }

    /// One that stands where another stood; it is read in the name of `asker`.
    pub(super) fn at(stand: &Stand, asker: &Asker) -> Self {
        let mut part = Self::new(stand.partition.clone(), stand.place);
        part.was_read = stand.was_read;
        if let Some((log, next)) = &stand.at {
            log.subscribe(&asker.bell);
            part.state = State::Reading(Cursor::new(log.clone(), *next, asker.client));
        }
        part
    }

    /// Where it stands.
    pub(super) fn stand(&self) -> Stand {
        let at = match &self.state {
            State::Undetermined => None,
            // Whoever goes on from here finds out anew; that what was scanned is a hole is not forgotten.
            State::Starting(starting) => {
                (starting.scanned > 0).then(|| (starting.log.clone(), starting.scanned))
            }
            State::Reading(cursor) => Some((cursor.log().clone(), cursor.next())),
        };
        Stand {
            partition: self.partition.clone(),
            place: self.place,
            was_read: self.was_read,
            at,
        }
    }

    /// Moves on in its log to where `stand` is.
    pub(super) fn go_to(&mut self, stand: &Stand) {
        if let (State::Reading(cursor), Some((_, next))) = (&mut self.state, &stand.at)
            && cursor.next() < *next
        {
            cursor.jump(*next);
            self.late = false;
        }
        self.place = stand.place;
    }

    /// Gives nothing at or behind `limit` from now on.
    pub(super) fn set_limit(&mut self, limit: Offset) {
        self.limit = limit;
    }

    /// Whether it is read: its place is one in a log.
    pub(super) fn is_determined(&self) -> bool {
        matches!(self.state, State::Reading(_))
    }

    /// Where it is read; `None` while it is not.
    pub(super) fn cursor(&self) -> Option<&Cursor> {
        match &self.state {
            State::Reading(cursor) => Some(cursor),
            _ => None,
        }
    }

    /// The same, to move it.
    pub(super) fn cursor_mut(&mut self) -> Option<&mut Cursor> {
        match &mut self.state {
            State::Reading(cursor) => Some(cursor),
            _ => None,
        }
    }

    /// What there is to give. A gap found on the way is put into `gaps`; a new place into `self.place`.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, asker: &Asker, gaps: &mut Vec<Gap>) -> Give {
        let give = loop {
            match &mut self.state {
                State::Undetermined => {
                    let Some(log) = self.current(asker) else {
                        return Give::Nothing;
                    };
                    self.begin(log, 0, asker);
                }
                State::Starting(Starting { log, answer, .. }) => match answer.as_mut().poll(context) {
                    Poll::Pending => break Give::Soon,
                    Poll::Ready(Ok(start)) => {
                        let cursor = Cursor::new(log.clone(), start.next, asker.client);
                        self.state = State::Reading(cursor);
                        self.was_read = true;
                        self.place = Place::At(start.mark);
                        gaps.extend(start.gap);
                    }
                    Poll::Ready(Err(Replaced)) => self.state = State::Undetermined,
                },
                State::Reading(cursor) if cursor.next() >= self.limit => break Give::Nothing,
                State::Reading(cursor) => match cursor.poll(context, &*asker.source.history) {
                    Step::Page(page) => {
                        let end = reach(&page, cursor.log()).min(self.limit);
                        break Give::Page(page, cursor.next()..end);
                    }
                    Step::AtTail | Step::Unavailable => break Give::Nothing,
                    Step::Fetching => break Give::Soon,
                    Step::OutOfRange => {
                        let (log, scanned) = (cursor.log().clone(), cursor.next());
                        self.begin(log, scanned, asker);
                    }
                    Step::Replaced => self.state = State::Undetermined,
                },
            }
        };
        self.in_time(give)
    }

    /// The others waited long enough for this one.
    pub(super) fn give_up_on(&mut self) {
        self.late = true;
    }

    fn in_time(&mut self, give: Give) -> Give {
        match give {
            Give::Soon if self.late => Give::Nothing,
            Give::Soon => Give::Soon,
            other => {
                self.late = false;
                other
            }
        }
    }

    fn current(&self, asker: &Asker) -> Option<Arc<PartitionLog>> {
        let log = asker
            .source
            .directory
            .get(&self.partition.topic, self.partition.partition);
        // Between its replacement and its successor's entry a log may still stand in the directory.
        log.filter(|log| !log.is_replaced())
    }

    fn begin(&mut self, log: Arc<PartitionLog>, scanned: Offset, asker: &Asker) {
        // Before the first look at the log, so that nothing is missed in between.
        log.subscribe(&asker.bell);
        let question = Question {
            log: log.clone(),
            history: asker.source.history.clone(),
            client: asker.client,
            place: self.place,
            scanned,
            now: asker.now,
            live: self.was_read,
            proves: asker.proves,
        };
        self.state = State::Starting(Starting {
            log,
            scanned,
            answer: Box::pin(question.answer()),
        });
    }
}

/// Where a page leads to. A hole at its end that the tail has not come to is left to the tail: a client that has read
/// history would otherwise stand behind it, and the lane, which has read the tail, before it, until the next record.
fn reach(page: &Page, log: &PartitionLog) -> Offset {
    let behind_last = page.events().last().map_or(0, |event| event.offset + 1);
    page.next().min(log.next().max(behind_last))
}
