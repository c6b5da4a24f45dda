//! One client's way through its streams: by itself, or in a lane.

use std::{
    hint::black_box,
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{
    Lane, Lanes, Membership,
    holds::{Hold, Stuck, Unwritten},
    ring::{Head, Taken},
    row::{Row, Stretch},
};
use crate::{
    client::ClientKey,
    filter::FilterPermit,
    partition::Bell,
    position::Timestamp,
    subscription::{Batch, Gap, Given, Request, Subscription, standing::Standing},
};

/// What one client gets: from a subscription of its own while it catches up, from its lane once it has.
pub struct Follower {
    member: Membership,
    /// On the heap, because most have none.
    _filter: Option<Box<FilterPermit>>,
    client: ClientKey,
    now: Timestamp,
    /// Whether a row waits for it while it is in the lane.
    in_row: bool,
    way: Way,
}

/// Names those in one lane, for as long as any of them is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audience(usize);

enum Way {
    Alone(Box<Alone>),
    InLane(Seat),
}

/// A client with a subscription of its own, on the way into its lane.
struct Alone {
    subscription: Subscription,
    /// The place in the lane it goes to, and no further; `None` while there is none that it can get to.
    target: Option<Head>,
    /// Rung when the head moves.
    bell: Arc<Bell>,
    _reader: ShelfReader,
}

/// One for whom the shelf of a lane is kept.
struct ShelfReader(Arc<Lane>);

/// A client in its lane.
struct Seat {
    /// The number of the batch it wants next.
    number: u64,
    /// Where it stands before that.
    standing: Arc<Standing>,
    /// Where it stood when its client had taken all that it was given.
    marked: Arc<Standing>,
    /// Rung when there is more; `None` as long as it never had to wait by itself.
    bell: Option<Arc<Bell>>,
}

impl Follower {
    pub(super) fn new(member: Membership, filter: Option<FilterPermit>, request: Request) -> Self {
        let (client, now) = (request.client, request.now);
        let head = member
            .lane
            .head()
            .filter(|head| request.is_from_now_on() && head.standing.is_now());
        let way = match head {
            Some(head) => Way::InLane(Seat::new(head)),
            None => {
                let subscription = Subscription::start(&member.lanes.0.source, request);
                Way::Alone(Box::new(Alone::new(subscription, &member.lane)))
            }
        };
        Self {
            member,
            _filter: filter.map(Box::new),
            client,
            now,
            in_row: false,
            way,
        }
    }

    /// The next events, as soon as there are any. It does not end by itself.
    pub fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        loop {
            let lane = &self.member.lane;
            match &mut self.way {
                Way::Alone(alone) => match alone.poll_seat(context, lane) {
                    Some(seat) => self.way = Way::InLane(seat),
                    None => {
                        let batch = alone.poll_batch(context, &self.member.lanes, lane);
                        if batch.is_ready() {
                            alone.mute();
                            return batch;
                        }
                        if alone.subscription.is_at_end() {
                            self.member.arrive(self.now);
                        }
                        // Only now it knows where it stands, and that may be where the lane does.
                        match alone.poll_seat(context, &self.member.lane) {
                            Some(seat) => self.way = Way::InLane(seat),
                            None => return Poll::Pending,
                        }
                    }
                },
                Way::InLane(seat) => match seat.poll_taken(context, lane, self.in_row) {
                    Poll::Ready(Some(batch)) => return Poll::Ready(batch),
                    Poll::Ready(None) => {
                        let standing = Arc::clone(&seat.standing);
                        self.way = self.alone_again(&standing);
                    }
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    /// Notes that its client has taken all that it was given.
    pub fn mark(&mut self) {
        match &mut self.way {
            Way::Alone(alone) => alone.subscription.mark(),
            Way::InLane(seat) => seat.marked = Arc::clone(&seat.standing),
        }
    }

    /// Returns what it was given since the last [`mark`](Self::mark).
    pub fn given(&self) -> Given {
        match &self.way {
            Way::Alone(alone) => alone.subscription.given(),
            Way::InLane(seat) => Given::between(&seat.marked, &seat.standing),
        }
    }

    /// Lets go of what it would need only if its client took something now.
    pub fn rest(&mut self) {
        if let Way::Alone(alone) = &mut self.way {
            alone.subscription.rest();
        }
    }

    /// Leaves it to `row`, which is begun if there is none yet, to wait for its lane: while it is in the lane it does not see to
    /// it any more that anybody is woken. Whoever has it asks it once more, and then gives it what the row finds. All in one row
    /// are one [`Audience`].
    pub fn sit_in(&mut self, row: &mut Option<Row>) {
        row.get_or_insert_with(|| Row::new(&self.member.lane));
        self.in_row = true;
    }

    /// Reads what [`take_stretch`](Self::take_stretch) will, so that many wait for it at once.
    pub fn prefetch(&self) {
        if let Way::InLane(seat) = &self.way {
            black_box((seat.number, Arc::as_ptr(&seat.standing)));
        }
    }

    /// Takes the batches of `stretch` that are new to it; how many were not. `None` when it has to be asked itself.
    pub fn take_stretch(&mut self, stretch: &Stretch) -> Option<usize> {
        let Way::InLane(seat) = &mut self.way else {
            // It has its own bells.
            return Some(stretch.batches().len());
        };
        let had = stretch.had(seat.number)?;
        if had < stretch.batches().len() {
            let (number, standing) = stretch.end();
            seat.number = number;
            // All before it is written.
            seat.marked = mem::replace(&mut seat.standing, Arc::clone(standing));
        }
        Some(had)
    }

    /// See [`Subscription::poll_verdict`].
    pub fn poll_verdict(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gap>> {
        match &mut self.way {
            Way::Alone(alone) => alone.subscription.poll_verdict(context),
            Way::InLane(_) => Poll::Ready(Ok(())),
        }
    }

    /// Returns an event that tells the client where it stands, for one that has had no id yet; `None` while that cannot be
    /// said. Behind all that was given before.
    pub fn checkpoint(&mut self) -> Option<Batch> {
        match &mut self.way {
            Way::Alone(alone) => alone.subscription.checkpoint_now(),
            Way::InLane(seat) => {
                let Lane { key, budget, .. } = &*self.member.lane;
                let texts = Some(budget.texts());
                seat.standing.checkpoint(key.format, key.form, texts)
            }
        }
    }

    /// See [`Subscription::is_held`].
    pub fn is_held(&self) -> bool {
        match &self.way {
            Way::Alone(alone) => alone.subscription.is_held(),
            Way::InLane(_) => self.member.lane.held.load(Relaxed),
        }
    }

    /// Whether it gets what a lane has composed.
    pub fn is_in_lane(&self) -> bool {
        matches!(self.way, Way::InLane(_))
    }

    /// See [`Lanes::hold`].
    pub fn hold(&self, unwritten: Unwritten, stuck: impl FnOnce() -> Arc<dyn Stuck>) -> Option<Hold> {
        self.member.lanes.hold(unwritten, stuck)
    }

    /// See [`Lanes::count_copy`].
    pub fn count_copy(&self, copy: Vec<u8>) -> Bytes {
        self.member.lanes.count_copy(copy)
    }

    /// Who gets the same as this client.
    pub fn audience(&self) -> Audience {
        Audience(Arc::as_ptr(&self.member.lane).addr())
    }

    fn alone_again(&self, standing: &Standing) -> Way {
        let Membership { lanes, lane, .. } = &self.member;
        let subscription = Subscription::from_standing(
            &lanes.0.source,
            standing,
            (self.client, self.now),
            lane.key.wish(),
        );
        Way::Alone(Box::new(Alone::new(subscription, lane)))
    }
}

impl Alone {
    fn new(mut subscription: Subscription, lane: &Arc<Lane>) -> Self {
        subscription.count_in(lane.budget.texts());
        let bell = Bell::new();
        lane.arrivals.add(&bell);
        Self {
            subscription,
            target: None,
            bell,
            _reader: ShelfReader::new(lane),
        }
    }

    /// A seat in the lane, once it stands where the lane stood, and the ring still has what came then.
    fn poll_seat(&mut self, context: &Context<'_>, lane: &Lane) -> Option<Seat> {
        self.bell.listen(context);
        let still_good =
            |head: &Head| lane.reaches(head.number) && self.subscription.leads_to(&head.standing);
        if !self.target.as_ref().is_some_and(still_good) {
            // The oldest place of all: what lies behind it is composed already, and all who come from the same places go to the same
            // one, and so share what leads there.
            let first = lane.first_ahead(|place| self.subscription.leads_to(place));
            self.set_target(first.or_else(|| lane.head()));
        }
        let there = |head: &&Head| self.subscription.stands_at(&head.standing);
        let head = self.target.as_ref().filter(there)?;
        Some(Seat::new(head.clone()))
    }

    fn poll_batch(&mut self, context: &mut Context<'_>, lanes: &Lanes, lane: &Lane) -> Poll<Batch> {
        let batch = self.poll_shared(context, lanes, lane);
        // At the limit in some partitions, and held up in others: those must flow on, as far as the lane has come since.
        // It is looked at again, rather than waited for, because it may be there by passing what nobody sees.
        if batch.is_pending() && self.target.is_some() && (self.is_there() || self.aim_at_head(lane)) {
            context.waker().wake_by_ref();
        }
        batch
    }

    /// What another has composed at the same place, or what it composes itself, for others as well.
    fn poll_shared(&mut self, context: &mut Context<'_>, lanes: &Lanes, lane: &Lane) -> Poll<Batch> {
        let before = if lane.has_shelf() {
            self.place(context)
        } else {
            None
        };
        let found = before.as_ref().and_then(|place| lane.shelf.lock().take(place));
        if let Some((batch, after)) = found {
            self.subscription.go_to(&after);
            return Poll::Ready(batch);
        }
        let batch = ready!(self.subscription.poll_batch(context));
        lanes.note_composed(&batch);
        if let Some(before) = before
            && let after = self.subscription.standing()
            && batch.gaps.is_empty()
            && after.goes_on_from(&before)
        {
            lanes.shelve(lane, before, batch.clone(), after);
        }
        Poll::Ready(batch)
    }

    /// Where it stands, if others can come to the same place.
    fn place(&mut self, context: &mut Context<'_>) -> Option<Standing> {
        if !self.subscription.is_determined() {
            // What it finds out is kept, also when it is not all.
            self.subscription.determine(context);
        }
        Some(self.subscription.standing()).filter(|place| place.is_settled() && place.is_current())
    }

    fn is_there(&self) -> bool {
        let target = self.target.as_ref();
        target.is_some_and(|head| self.subscription.stands_at(&head.standing))
    }

    /// It has something, and will ask again: until then nobody need wake it.
    fn mute(&self) {
        self.bell.mute();
        self.subscription.mute();
    }

    /// Goes on to the newest head, if that is another than it goes to and it leads there; whether it does.
    fn aim_at_head(&mut self, lane: &Lane) -> bool {
        let Some(head) = lane.head() else { return false };
        let is_target = |target: &Head| Arc::ptr_eq(&target.standing, &head.standing);
        let goes_there = self.target.as_ref().is_some_and(is_target);
        if goes_there || !self.subscription.leads_to(&head.standing) {
            return false;
        }
        self.set_target(Some(head));
        true
    }

    /// Goes to this place and no further, if it leads there, else on and on.
    fn set_target(&mut self, target: Option<Head>) {
        self.target = target.filter(|head| self.subscription.leads_to(&head.standing));
        let limit = self.target.as_ref().map(|head| &*head.standing);
        self.subscription.set_limit(limit);
    }
}

impl ShelfReader {
    fn new(lane: &Arc<Lane>) -> Self {
        lane.alone.fetch_add(1, Relaxed);
        Self(Arc::clone(lane))
    }
}

impl Drop for ShelfReader {
    fn drop(&mut self) {
        // For one alone nobody composes, unless others follow soon.
        if self.0.alone.fetch_sub(1, Relaxed) == 2 {
            self.0.shelf.lock().set_idle();
        }
    }
}

impl Seat {
    fn new(head: Head) -> Self {
        Self {
            number: head.number,
            marked: Arc::clone(&head.standing),
            standing: head.standing,
            bell: None,
        }
    }

    /// What comes next; `None` when that has left the ring. One `in_row` is not woken.
    fn poll_taken(&mut self, context: &Context<'_>, lane: &Lane, in_row: bool) -> Poll<Option<Batch>> {
        let mut waits = in_row;
        loop {
            match lane.take(self.number) {
                Taken::Batches(batches) => {
                    self.number += batches.count;
                    self.standing = batches.after;
                    return Poll::Ready(Some(batches.batch));
                }
                Taken::Gone => return Poll::Ready(None),
                // Further than behind its last batch, if the lane has passed what nobody sees.
                Taken::Nothing(standing) => self.standing = standing,
            }
            if waits {
                return Poll::Pending;
            }
            let bell = self.bell.get_or_insert_with(Bell::new);
            bell.listen(context);
            lane.audience.add(bell);
            waits = true;
        }
    }
}
