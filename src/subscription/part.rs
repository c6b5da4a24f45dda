//! One partition of a subscription: undetermined, being determined, or read.

use std::{
    ops::Range,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;

use super::{
    Source,
    gap::{Gap, Reason},
    standing::Stand,
    start::{Proof, Question, Replaced, Start},
};
use crate::{
    client::ClientKey,
    partition::{Bell, Cursor, Page, PartitionLog, Read, Step, TopicPartition},
    position::{Mark, Offset, Place, Timestamp},
};

/// One partition of a subscription.
pub(super) struct Part {
    pub(super) partition: TopicPartition,
    /// What the id says of it.
    pub(super) place: Place,
    state: State,
    /// It has been read: the place was one in a log that was current then.
    was_read: bool,
    /// The client was there before the log that is current.
    was_first: bool,
    /// How many events its client had passed when this began to have one to give; `None` while it has none.
    pub(super) waits_since: Option<u64>,
    /// It kept the others waiting for longer than their patience, and has given nothing since.
    late: bool,
    /// Nothing at or behind this offset is given: there its client goes on in a lane.
    limit: Offset,
    /// How often in a row the place that was found turned out to be none.
    setbacks: u32,
    /// Whether [its first event](Self::poll_first) was there: the page is not kept, and not to be fetched again to be told of.
    is_first_known: bool,
    /// The offset before which a record was looked for that proves it.
    proof_sought: Option<Offset>,
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
    /// See [`Question::proof`].
    pub(super) proof: Proof,
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
            proof: Proof::Unneeded,
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
            was_first: false,
            waits_since: None,
            late: false,
            limit: Offset::MAX,
            setbacks: 0,
            is_first_known: false,
            proof_sought: None,
        }
    }

    /// One whose client was there before the partition's log.
    pub(super) fn waiting(partition: TopicPartition, place: Place) -> Self {
        Self {
            was_first: true,
            ..Self::new(partition, place)
        }
    }

    /// One that stands where another stood; it is read in the name of `asker`.
    pub(super) fn at(stand: &Stand, asker: &Asker) -> Self {
        let mut part = Self::waiting(stand.partition.clone(), stand.place);
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
                        self.was_first = false;
                        self.place = Place::At(start.mark);
                        gaps.extend(start.gap);
                    }
                    Poll::Ready(Err(Replaced)) => self.leave(),
                },
                State::Reading(cursor) if cursor.next() >= self.limit => break Give::Nothing,
                State::Reading(cursor) => match cursor.poll(context, &*asker.source.history) {
                    Step::Page(page)
                        if page.is_unreadable()
                            && lacks_proof(self.place, self.proof_sought, cursor.next()) =>
                    {
                        let (log, next) = (cursor.log().clone(), cursor.next());
                        self.prove(log, next, asker);
                    }
                    Step::Page(page) if page.is_unreadable() => {
                        let end = reach(&page, cursor.log()).min(self.limit);
                        if end <= cursor.next() {
                            break Give::Nothing;
                        }
                        gaps.push(Gap {
                            partition: self.partition.clone(),
                            requested: Some(cursor.next()),
                            resumed: Some(end),
                            reason: Reason::Unreadable,
                        });
                        cursor.jump(end);
                        self.place = moved(self.place, end);
                    }
                    Step::Page(page) => {
                        self.setbacks = 0;
                        let end = reach(&page, cursor.log()).min(self.limit);
                        break Give::Page(page, cursor.next()..end);
                    }
                    Step::AtTail | Step::Unavailable => break Give::Nothing,
                    Step::Fetching => break Give::Soon,
                    Step::OutOfRange => {
                        let (log, scanned) = (cursor.log().clone(), cursor.next());
                        self.begin(log, scanned, asker);
                        self.setbacks = self.setbacks.saturating_add(1);
                    }
                    Step::Replaced => self.leave(),
                },
            }
        };
        self.in_time(give)
    }

    /// Waits until its first event is there, or none is to be had for now. A gap found on the way is put into `gaps`. Only what can be
    /// read shows that no gap comes first: damage may be found by this read.
    pub(super) fn poll_first(
        &mut self,
        context: &mut Context<'_>,
        asker: &Asker,
        gaps: &mut Vec<Gap>,
    ) -> Poll<()> {
        while !self.is_first_known {
            let give = self.poll(context, asker, gaps);
            let State::Reading(cursor) = &mut self.state else {
                return Poll::Pending;
            };
            match give {
                Give::Page(page, range) if page.has_event_in(&range) || range.is_empty() => {
                    self.is_first_known = true;
                }
                Give::Page(_, hole) => cursor.advance(hole.end),
                Give::Nothing if matches!(cursor.log().read(cursor.next()), Read::Ahead) => {
                    self.is_first_known = true;
                }
                Give::Soon | Give::Nothing => return Poll::Pending,
            }
        }
        Poll::Ready(())
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

    /// Waits for the log that takes the place of the one it was in.
    fn leave(&mut self) {
        self.state = State::Undetermined;
        self.was_first = true;
    }

    fn current(&self, asker: &Asker) -> Option<Arc<PartitionLog>> {
        let log = asker
            .source
            .directory
            .get(&self.partition.topic, self.partition.partition);
        // Between its replacement and its successor's entry a log may still stand in the directory.
        log.filter(|log| !log.is_replaced())
    }

    /// Looks for what proves its place, before it passes what cannot be read: behind that nothing does, should the log be cut off before
    /// it and grow again. A log that begins with what cannot be read has no record to prove it by, but its leader has an epoch.
    fn prove(&mut self, log: Arc<PartitionLog>, next: Offset, asker: &Asker) {
        self.proof_sought = Some(next);
        self.place = moved(self.place, next);
        let asker = Asker {
            proof: Proof::RecordOrLeader,
            ..asker.clone()
        };
        self.begin(log, 0, &asker);
    }

    fn begin(&mut self, log: Arc<PartitionLog>, scanned: Offset, asker: &Asker) {
        // Before the first look at the log, so that nothing is missed in between.
        log.subscribe(&asker.bell);
        let horizon = if self.was_first { log.begin() } else { log.next() };
        let question = Question {
            log: log.clone(),
            history: asker.source.history.clone(),
            client: asker.client,
            place: self.place,
            horizon,
            scanned,
            now: asker.now,
            live: self.was_read,
            proof: asker.proof,
        };
        let pause = pause_after(self.setbacks);
        self.state = State::Starting(Starting {
            log,
            scanned,
            answer: Box::pin(async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                question.answer().await
            }),
        });
    }
}

/// The same place behind what cannot be read. What is known of the last record before that stays: epochs never fall, so it
/// proves as much.
fn moved(place: Place, offset: Offset) -> Place {
    match place {
        Place::At(mark) => Place::At(Mark { offset, ..mark }),
        place => place,
    }
}

/// Whether no record has been seen that proves this place, and none was looked for before `next`.
fn lacks_proof(place: Place, sought: Option<Offset>, next: Offset) -> bool {
    let unproven = matches!(place, Place::At(mark) if mark.epoch.is_none());
    unproven && sought != Some(next)
}

/// How long to wait before the place is looked for once more. Brokers that contradict each other, one of which proves a place
/// that the other does not have, would otherwise be asked without an end and without a pause.
fn pause_after(setbacks: u32) -> Duration {
    match setbacks {
        0 => Duration::ZERO,
        // Anybody's log may move on while it is read, so the first time is no reason to wait long.
        more => FIRST_PAUSE
            .saturating_mul(1 << (more - 1).min(10))
            .min(LONGEST_PAUSE),
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);

const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Where a page leads to. A hole at its end that the tail has not come to is left to the tail: a client that has read
/// history would otherwise stand behind it, and the lane, which has read the tail, before it, until the next record.
fn reach(page: &Page, log: &PartitionLog) -> Offset {
    let behind_last = page
        .events()
        .last()
        .map_or(0, |event| event.offset.saturating_add(1));
    page.next().min(log.next().max(behind_last))
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{
        event::{Encoding, Headers, Record},
        partition::{Bounds, Directory, History, HistoryError, PageBuilder},
        position::LogTag,
    };

    /// Brokers that prove a place and deny that anything is there.
    #[derive(Default)]
    struct Contradictory(AtomicUsize);

    const PLACE: Offset = 10;

    impl History for Contradictory {
        fn page(
            &self,
            log: &Arc<PartitionLog>,
            offset: Offset,
            _: ClientKey,
        ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let mut page = PageBuilder::new(PLACE - 1, log.encoding());
            let record = Record {
                offset: PLACE - 1,
                timestamp: 1,
                epoch: 1,
                key: None,
                headers: Headers::default(),
                value: Some(b"{}"),
                canary: false,
            };
            assert_eq!(page.push(&record), Ok(()));
            let page = Arc::new(page.finish(PLACE));
            let result = if offset < PLACE {
                Ok(page)
            } else {
                Err(HistoryError::OutOfRange)
            };
            Box::pin(async move { result })
        }

        fn bounds(&self, _: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
            Box::pin(async { Err(HistoryError::Unavailable) })
        }

        fn first_at(
            &self,
            _: &Arc<PartitionLog>,
            _: Timestamp,
            _: ClientKey,
        ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
            Box::pin(async { Ok(None) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_proven_and_denied_is_asked_for_with_pauses() {
        let partition = TopicPartition {
            topic: "edits".into(),
            partition: 0,
        };
        let tag = LogTag::from_bits(1, 1);
        let log = PartitionLog::new(partition.clone(), tag, Encoding::default(), 1000);
        let history = Arc::new(Contradictory::default());
        let source = Source {
            directory: Directory::new(),
            history: history.clone(),
        };
        source.directory.put(log);
        let asker = Asker::new(&source, ClientKey::of([127, 0, 0, 1].into()), 0);
        let mark = Mark {
            offset: PLACE,
            timestamp: Some(1),
            log: Some(tag),
            epoch: Some(1),
        };
        let mut part = Part::new(partition, Place::At(mark));
        // Each poll of a task may take a few steps; a loop without a pause would not come back from the first.
        let polls = poll_fn(|context| {
            let _ = part.poll(context, &asker, &mut Vec::new());
            assert!(
                history.0.load(Ordering::Relaxed) < 100,
                "no pause between the questions"
            );
            Poll::<()>::Pending
        });
        let over = tokio::time::timeout(Duration::from_secs(60), polls).await;
        assert!(over.is_err());
        assert!(history.0.load(Ordering::Relaxed) > 10, "it goes on asking");
    }

    #[test]
    fn a_client_is_told_exactly_what_it_lost_and_its_id_goes_on_behind_that() {
        let partition = TopicPartition {
            topic: "edits".into(),
            partition: 0,
        };
        let tag = LogTag::from_bits(1, 1);
        let log = PartitionLog::new(partition.clone(), tag, Encoding::default(), 10);
        log.append(Page::unreadable(10..20));
        log.append(PageBuilder::new(20, log.encoding()).finish(25));
        let source = Source {
            directory: Directory::new(),
            history: Arc::new(Contradictory::default()),
        };
        source.directory.put(log.clone());
        let asker = Asker::new(&source, ClientKey::of([127, 0, 0, 1].into()), 0);
        let mark = |offset| Mark {
            offset,
            timestamp: Some(1),
            log: Some(tag),
            epoch: Some(1),
        };
        // One that has read all before it, and one that was cut inside when it could still be read.
        for from in [10, 15] {
            let stand = Stand {
                partition: partition.clone(),
                place: Place::At(mark(from)),
                was_read: true,
                at: Some((log.clone(), from)),
            };
            let (mut part, mut gaps) = (Part::at(&stand, &asker), Vec::new());
            let waker = futures_util::task::noop_waker();
            let mut context = Context::from_waker(&waker);
            let give = part.poll(&mut context, &asker, &mut gaps);
            assert!(matches!(give, Give::Page(_, range) if range == (20..25)));
            let told: Vec<_> = gaps
                .iter()
                .map(|gap| (gap.requested, gap.resumed, gap.reason))
                .collect();
            assert_eq!(told, [(Some(from), Some(20), Reason::Unreadable)]);
            assert_eq!(part.place, Place::At(mark(20)));
            part.poll(&mut context, &asker, &mut gaps);
            assert_eq!(gaps.len(), 1, "told once");
        }
    }
}
