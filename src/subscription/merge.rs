//! Many cursors, one order, one position.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Sleep;

use super::{
    Batch, Format, Request, Source,
    compose::{self, Composition},
    gap::{self, Gap},
    given::Given,
    oversize,
    part::{Asker, Give, Part},
    roster::Roster,
    sieve::Sieve,
    standing::Standing,
    start::Proof,
    texts::{BATCH, Texts},
    turn::{Passed, Turn},
};
use crate::{
    event::Event,
    filter::Filter,
    partition::{Cursor, Page},
    position::{Composer, IdForm, Mark, Offset, Place, Timestamp},
};

/// A client's place in its streams.
///
/// It merges what its partitions have to give by (timestamp, topic, partition). Order is promised within a partition
/// only, and the merge never waits for a partition that has nothing to give, nor longer than a moment for one that reads.
pub struct Subscription {
    pub(super) asker: Asker,
    pub(super) roster: Roster,
    format: Format,
    form: IdForm,
    shows_canaries: bool,
    sieve: Option<Sieve>,
    /// Made when the first id is written: most clients go on in a lane before that. `None` also while it is of other parts.
    id: Option<Composer>,
    /// Whether the id is behind the places: it is brought up to them when it is written.
    is_id_stale: bool,
    /// Found, and not told yet.
    pub(super) gaps: Vec<Gap>,
    /// Where its batches are counted, if anywhere.
    texts: Option<Arc<Texts>>,
    /// Where each part stood at the last [`mark`](Self::mark); empty before any.
    marked: Vec<Offset>,
    /// Bytes of the last batch: the next is likely to have as many.
    room: usize,
    /// Runs while the merge waits for a partition that reads.
    patience: Option<Pin<Box<Sleep>>>,
    passed: Passed,
}

/// How a client wants what it gets.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) format: Format,
    pub(super) form: IdForm,
    pub(super) filter: Option<Filter>,
    pub(super) shows_canaries: bool,
}

impl Wish {
    fn of(request: &Request) -> Self {
        Self {
            format: request.format,
            form: request.form,
            filter: request.filter.clone(),
            shows_canaries: request.shows_canaries,
        }
    }
}

/// A page that a part gives from.
pub(super) struct Head {
    page: Arc<Page>,
    /// Of its next event.
    index: usize,
    /// Behind the last event that is given.
    end: usize,
    /// The offset that the part stands at behind that.
    next: Offset,
}

impl Subscription {
    /// Begins at the request's position. Never waits: what needs Kafka is found out while it is polled.
    pub fn start(source: &Source, request: Request) -> Self {
        let asker = Asker::new(source, request.client, request.now);
        let wish = Wish::of(&request);
        let mut subscription = Self::of(asker, Roster::of(request), wish);
        subscription.refresh();
        subscription
    }

    /// One that begins as [`start`](Self::start), but nowhere before it knows what record stands before that. For lanes.
    pub(super) fn start_proven(source: &Source, request: Request) -> Self {
        let mut subscription = Self::start(source, request);
        subscription.asker.proof = Proof::RecordOrLeader;
        subscription
    }

    pub(super) fn of(asker: Asker, roster: Roster, wish: Wish) -> Self {
        Self {
            id: None,
            is_id_stale: false,
            asker,
            roster,
            format: wish.format,
            form: wish.form,
            shows_canaries: wish.shows_canaries,
            sieve: wish.filter.map(Sieve::new),
            gaps: Vec::new(),
            texts: None,
            marked: Vec::new(),
            room: 0,
            patience: None,
            passed: Passed::default(),
        }
    }

    /// Counts its batches among `texts` from now on.
    pub(super) fn count_in(&mut self, texts: &Arc<Texts>) {
        self.texts = Some(Arc::clone(texts));
    }

    /// Remembers where it stands: its client has taken all that it was given.
    pub(super) fn mark(&mut self) {
        let cursors = self.roster.parts.iter().map(Part::cursor);
        self.marked.clear();
        self.marked
            .extend(cursors.map(|cursor| cursor.map_or(0, Cursor::next)));
    }

    /// Returns what was given since the last [`mark`](Self::mark).
    pub(super) fn given(&self) -> Given {
        // Of one that came since it is not known where it began.
        let marked = self.marked.iter().copied().chain(std::iter::repeat(0));
        let ranges = self.roster.parts.iter().zip(marked).filter_map(|(part, from)| {
            let cursor = part.cursor()?;
            // Cut off since, and read again.
            let from = if from <= cursor.next() { from } else { 0 };
            Some((Arc::clone(cursor.log()), from..cursor.next()))
        });
        Given::of(ranges)
    }

    /// The next events, as soon as there are any. It does not end by itself.
    pub fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        self.asker.bell.listen(context);
        self.refresh();
        let mut heads = ready!(self.poll_heads(context));
        let mut batch = Composition::of_about(self.room, self.most_of_a_batch(), self.format);
        self.tell_gaps(&mut batch);
        // What was lost is told before what comes after it.
        let more = self.gaps.is_empty() && self.merge(context, &mut heads, &mut batch);
        self.checkpoint(context, &mut batch);
        match batch.finish(self.texts.as_ref()) {
            Some(batch) => {
                self.room = batch.bytes.len();
                Poll::Ready(batch)
            }
            None => {
                if more {
                    context.waker().wake_by_ref();
                }
                Poll::Pending
            }
        }
    }

    /// Returns whether the position can be resumed without a gap: ready once the first event of every partition is there, or none is to
    /// be had for now, or one has a gap. For `?on_gap=fail`, before the first [`poll_batch`](Self::poll_batch).
    pub fn poll_verdict(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gap>> {
        self.asker.bell.listen(context);
        self.refresh();
        let mut is_decided = self.roster.is_known();
        for index in 0..self.roster.parts.len() {
            is_decided &= self.with_part(index, |part, asker, gaps| {
                part.poll_first(context, asker, gaps).is_ready()
            });
        }
        match self.gaps.first() {
            Some(gap) => Poll::Ready(Err(gap.clone())),
            None if is_decided => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    /// Finds out where each partition is to be read, as far as that can be told by now.
    pub(super) fn determine(&mut self, context: &mut Context<'_>) {
        self.asker.bell.listen(context);
        self.refresh();
        for index in 0..self.roster.parts.len() {
            // Of those that are read a page would be fetched, and nobody takes it here.
            if !self.roster.parts[index].is_determined() {
                self.poll_part(index, context);
            }
        }
    }

    /// Whether every partition is read.
    pub(super) fn is_determined(&self) -> bool {
        self.roster.is_known() && self.roster.parts.iter().all(Part::is_determined)
    }

    /// Wakes nobody until it is polled again.
    pub(super) fn mute(&self) {
        self.asker.bell.mute();
    }

    /// Lets go of what is being fetched: its client takes nothing for now.
    pub(super) fn rest(&mut self) {
        let cursors = self.roster.parts.iter_mut().filter_map(Part::cursor_mut);
        cursors.for_each(Cursor::rest);
    }

    /// Moves on to `standing`, which another has reached from where it stands.
    pub(super) fn go_to(&mut self, standing: &Standing) {
        for (part, stand) in self.roster.parts.iter_mut().zip(&standing.parts) {
            part.go_to(stand);
        }
        self.is_id_stale = true;
        // What was waited for is behind it.
        self.patience = None;
    }

    /// Whether nothing can come: Kafka does not answer, or no leader of any of its partitions has.
    pub fn is_held(&self) -> bool {
        !self.roster.is_reachable(&self.asker.source.directory)
            || !self.roster.parts.iter().any(Part::is_determined)
    }

    /// What each part has to give, once none is about to give something, or the patience with it is over.
    fn poll_heads(&mut self, context: &mut Context<'_>) -> Poll<Vec<Option<Head>>> {
        loop {
            let mut heads = Vec::with_capacity(self.roster.parts.len());
            let mut waiting = false;
            for index in 0..self.roster.parts.len() {
                let give = self.poll_part(index, context);
                waiting |= matches!(give, Give::Soon);
                heads.push(Head::of(give));
            }
            if !waiting {
                self.patience = None;
                return Poll::Ready(heads);
            }
            if !self.gaps.is_empty() {
                return Poll::Ready(Vec::new());
            }
            let patience = self
                .patience
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
            ready!(patience.as_mut().poll(context));
            self.patience = None;
            self.roster.parts.iter_mut().for_each(|part| part.give_up_on());
        }
    }

    fn most_of_a_batch(&self) -> usize {
        self.texts.as_ref().map_or(BATCH, |texts| texts.batch())
    }

    /// Moves gaps into the batch, as far as it has room.
    fn tell_gaps(&mut self, batch: &mut Composition) {
        let mut told = 0;
        while told < self.gaps.len() && batch.has_room_for(gap::MOST_BYTES) {
            batch.gap(self.gaps[told].clone());
            told += 1;
        }
        self.gaps.drain(..told);
    }

    /// Moves events into the batch, oldest first; whether it stopped for another reason than that there are no more.
    fn merge(
        &mut self,
        context: &mut Context<'_>,
        heads: &mut [Option<Head>],
        batch: &mut Composition,
    ) -> bool {
        let mut turn = self.passed.turn(&mut self.roster.parts, heads);
        let mut order: BinaryHeap<_> = heads
            .iter()
            .enumerate()
            .filter_map(|(part, head)| Some(Reverse((head.as_ref()?.turn(part, turn), part))))
            .collect();
        let scan = if self.sieve.is_some() { SCAN_FILTERED } else { SCAN };
        for _ in 0..scan {
            let Some(Reverse((_, part))) = order.pop() else {
                return false;
            };
            let Some(head) = &mut heads[part] else { continue };
            if !self.take(part, head, batch) {
                return true;
            }
            if let Some(turn) = &mut turn {
                turn.count(part);
            }
            if head.index == head.end {
                match self.poll_part(part, context) {
                    // The order would depend on who reads faster.
                    Give::Soon => return true,
                    // What was lost is told before what comes after it.
                    _ if !self.gaps.is_empty() => return true,
                    give => heads[part] = Head::of(give),
                }
            }
            if let Some(head) = &heads[part] {
                order.push(Reverse((head.turn(part, turn), part)));
            }
        }
        true
    }

    /// Consumes the next event of a head, or the rest of its page if that is a hole; false when the batch is full.
    fn take(&mut self, part: usize, head: &mut Head, batch: &mut Composition) -> bool {
        let crosses = head.event().is_some_and(|event| self.crosses(part, event.offset));
        let before = self.roster.parts[part].place;
        let Some(cursor) = self.roster.parts[part].cursor_mut() else {
            return true;
        };
        let Some(event) = head.event() else {
            cursor.advance(head.next);
            return true;
        };
        if !batch.has_room_for(head.page.lines(event).len()) || (crosses && !batch.is_empty()) {
            return false;
        }
        let last = head.index + 1 == head.end;
        cursor.advance(if last {
            head.next
        } else {
            event.offset.saturating_add(1)
        });
        let (tag, encoding) = (cursor.log().tag(), cursor.log().encoding());
        let place = Place::At(Mark {
            offset: event.offset.saturating_add(1),
            // Only time leads to another log: behind a record without one, that of the last record that had one.
            timestamp: Some(event.timestamp).filter(|time| *time >= 0).or(before.time()),
            log: Some(tag),
            epoch: Some(event.epoch).filter(|epoch| *epoch >= 0),
        });
        let shown = self.shows_canaries || !event.canary;
        let wanted = shown
            && self
                .sieve
                .as_mut()
                .is_none_or(|sieve| sieve.accepts(cursor.log(), &head.page, event));
        self.passed.count();
        self.roster.parts[part].waits_since = None;
        self.roster.parts[part].place = place;
        if wanted {
            let id = self.fresh_id();
            id.set(part, &place);
            batch.event(&head.page, event, encoding, id);
        } else {
            self.is_id_stale = true;
        }
        head.index += 1;
        true
    }

    /// Whether the event at `offset` is the first behind a place where batches end for everybody, wherever they began: so
    /// those who began elsewhere come to the same places. Partitions that are written to in turn have them in turn.
    fn crosses(&self, part: usize, offset: Offset) -> bool {
        let parts = &self.roster.parts;
        let step = STEP * parts.len() as Offset;
        let shift = STEP * part as Offset;
        let section = |offset: Offset| offset.saturating_add(shift).div_euclid(step);
        match parts[part].place {
            Place::At(mark) => section(mark.offset - 1) != section(offset),
            _ => false,
        }
    }

    /// Returns the id, brought up to the places. What a filter passes over moves them, and writes nothing.
    fn fresh_id(&mut self) -> &mut Composer {
        let is_stale = std::mem::take(&mut self.is_id_stale);
        if let Some(id) = &mut self.id
            && is_stale
        {
            id.set_all(self.roster.parts.iter().map(|part| part.place));
        }
        self.id.get_or_insert_with(|| {
            let id = Composer::new(self.form, self.roster.entries());
            if self.format == Format::Sse && !id.is_readable() {
                oversize::warn(self.roster.parts.len());
            }
            id
        })
    }

    /// Tells a client whose filter has passed nothing for a while how far it has come. JSON lines have no ids to tell it by.
    fn checkpoint(&mut self, context: &mut Context<'_>, batch: &mut Composition) {
        let Some(sieve) = &mut self.sieve else { return };
        if batch.has_events() {
            return sieve.has_told();
        }
        // An id behind a gap that is not told yet would hide it.
        if self.format == Format::Sse
            && batch.is_empty()
            && self.gaps.is_empty()
            && let Poll::Ready(skipped) = sieve.poll_due(context)
        {
            sieve.has_told();
            batch.checkpoint(skipped, self.fresh_id());
        }
    }

    /// Returns a batch that says nothing but where it stands; `None` while it is no place to resume from.
    pub(super) fn checkpoint_now(&self) -> Option<Batch> {
        if !self.gaps.is_empty() {
            return None;
        }
        let entries = self.roster.entries().collect();
        compose::checkpoint(self.format, self.form, entries, self.texts.as_ref())
    }

    /// Brings the parts up to the directory. The id is of other parts then.
    fn refresh(&mut self) {
        if self.roster.refresh(&self.asker.source.directory, &mut self.gaps) {
            self.id = None;
        }
    }

    fn poll_part(&mut self, index: usize, context: &mut Context<'_>) -> Give {
        self.with_part(index, |part, asker, gaps| part.poll(context, asker, gaps))
    }

    /// Polls one part. When that determined its place, the id is behind: those of hundreds of partitions are determined at once.
    fn with_part<T>(&mut self, index: usize, poll: impl FnOnce(&mut Part, &Asker, &mut Vec<Gap>) -> T) -> T {
        let part = &mut self.roster.parts[index];
        let place = part.place;
        let polled = poll(part, &self.asker, &mut self.gaps);
        self.is_id_stale |= part.place != place;
        polled
    }
}

impl Head {
    fn of(give: Give) -> Option<Self> {
        match give {
            Give::Page(page, range) => Some(Self {
                index: page.index_of(range.start),
                end: page.index_of(range.end),
                next: range.end,
                page,
            }),
            Give::Soon | Give::Nothing => None,
        }
    }

    /// The next event; `None` when there is only a hole left.
    fn event(&self) -> Option<&Event> {
        self.page.events()[..self.end].get(self.index)
    }

    /// What the merge orders by; a hole comes first, because passing it costs nothing.
    fn timestamp(&self) -> Timestamp {
        self.event_time().unwrap_or(Timestamp::MIN)
    }

    /// Returns the time of the next event.
    pub(super) fn event_time(&self) -> Option<Timestamp> {
        self.event().map(|event| event.timestamp)
    }

    /// Returns what the merge orders by while it is somebody's turn.
    fn turn(&self, part: usize, turn: Option<Turn>) -> Timestamp {
        match turn {
            Some(turn) if turn.is_of(part) => Timestamp::MIN,
            _ => self.timestamp(),
        }
    }
}

/// How long the merge waits for a partition that is about to give. A page takes milliseconds; a leader that takes longer
/// holds up nobody but its own partitions.
const PATIENCE: Duration = Duration::from_millis(300);

/// How many events there are between two places where batches end for everybody, if all partitions have as many.
const STEP: Offset = 128;

/// Events looked at in one poll, so that a run of skipped ones does not keep a thread from its other clients.
const SCAN: usize = 10_000;

/// The same with a filter, which reads every document: 3 us each, and 7 us with the costliest that there may be (a build for tests).
const SCAN_FILTERED: usize = 500;
