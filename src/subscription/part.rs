//! One partition of a subscription: undetermined, being determined, or read.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;

use super::{
    Source,
    gap::Gap,
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
}

enum State {
    /// Its leader has not answered yet: there is no log.
    Undetermined,
    /// The resume table is being walked through.
    Starting(Arc<PartitionLog>, BoxFuture<'static, Result<Start, Replaced>>),
    /// It is read.
    Reading(Cursor),
}

/// What a partition has to give.
pub(super) enum Give {
    /// A page, from this offset on.
    Page(Arc<Page>, Offset),
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
}

impl Part {
    pub(super) fn new(partition: TopicPartition, place: Place) -> Self {
        Self {
            partition,
            place,
            state: State::Undetermined,
            was_read: false,
            late: false,
        }
    }

    /// Whether it is read: its place is one in a log.
    pub(super) fn is_determined(&self) -> bool {
        matches!(self.state, State::Reading(_))
    }

    /// Where it is read; `None` while it is not.
    pub(super) fn cursor(&mut self) -> Option<&mut Cursor> {
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
                State::Starting(log, start) => match start.as_mut().poll(context) {
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
                State::Reading(cursor) => match cursor.poll(context, &*asker.source.history) {
                    Step::Page(page) => break Give::Page(page, cursor.next()),
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
        };
        self.state = State::Starting(log, Box::pin(question.answer()));
    }
}
