//! Live subscriptions that are shared: merged and composed once for all who want the same.
//!
//! A client that catches up runs a [`Subscription`](super::Subscription) of its own. A lane publishes its head, one snapshot
//! of {number of its next batch, where it stands in every partition}; the client goes exactly there, and from then on is an
//! index into the lane's ring. When the ring has moved past it, it goes back to a subscription of its own, at its place.
//!
//! A client that is alone with its wish has no lane: whoever invents ten thousand of them gets ten thousand subscriptions.
//! Nor have those who catch up, however many: there is nothing to share until two of them have.

mod budget;
mod follower;
mod holds;
#[cfg(test)]
mod model;
mod pack;
mod ring;
mod row;
mod run;
mod shelf;

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    budget::{Budget, Cost},
    holds::Holds,
    ring::{Head, Ring, Taken},
    shelf::Shelf,
};
use super::{Batch, Coding, Format, Request, Source, Subscription, merge::Wish, standing::Standing};
use crate::{
    client::ClientKey,
    filter::{Filter, Filters, TooManyFilters},
    partition::{Bell, Bells, PartitionLog, Waiters},
    position::{IdForm, Timestamp, Topics},
};

pub use follower::{Audience, Follower};
pub use holds::{Hold, Stuck, Unwritten};
pub use row::{Most, News, Row, Stretch};

/// All lanes of a process.
#[derive(Clone)]
pub struct Lanes(Arc<House>);

struct House {
    source: Source,
    lanes: Mutex<HashMap<Key, Arc<Lane>>>,
    budget: Arc<Budget>,
    tasks: TaskTracker,
    filters: Filters,
    holds: Holds,
    /// In bytes.
    composed: AtomicU64,
}

/// What all clients of a lane want alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    topics: Topics,
    form: IdForm,
    format: Format,
    coding: Coding,
    filter: Option<Filter>,
    shows_canaries: bool,
}

/// One lane.
struct Lane {
    key: Key,
    /// Changes under the lock of all lanes only.
    followers: AtomicUsize,
    /// Those of them who have been at the end of all they read.
    arrived: AtomicUsize,
    /// Whether it has a task, or had.
    opened: AtomicBool,
    ring: Mutex<Ring>,
    shelf: Mutex<Shelf>,
    /// How many of the followers are not in the lane. What is on the shelf is for them.
    alone: AtomicUsize,
    /// Rung for those who are not in the lane yet, when its head moves.
    arrivals: Bells,
    /// Rung for those who are in it and have read all there is, when there is a batch.
    audience: Waiters,
    /// Whether its subscription waits for Kafka.
    held: AtomicBool,
    budget: Arc<Budget>,
    /// What packing costs in memory, in bytes.
    packing: AtomicUsize,
    /// Where it stood before the oldest batch that its packer may refer to.
    epoch: Mutex<Option<Arc<Standing>>>,
    /// Whether its packer may hold records that have been deleted.
    must_repack: AtomicBool,
    /// Rung for its task.
    orders: Arc<Bell>,
    /// Cancelled when nobody follows any more.
    ended: CancellationToken,
}

impl Lanes {
    /// None yet. All that is composed costs at most `budget` bytes; each lane that has an audience is one of `tasks`, and
    /// ends when its last follower is dropped.
    pub fn new(source: Source, budget: usize, tasks: TaskTracker) -> Self {
        let filters = Filters::within(budget::for_filters(budget));
        Self(Arc::new(House {
            source,
            lanes: Mutex::default(),
            budget: Arc::new(Budget::new(budget, filters.clone())),
            tasks,
            filters,
            holds: Holds::default(),
            composed: AtomicU64::new(0),
        }))
    }

    /// Follows what `request` asks for, from where it wants to. Inside a runtime.
    ///
    /// # Errors
    /// When it asks for a filter that is not in use yet, and too many are.
    pub fn follow(&self, request: Request) -> Result<Follower, TooManyFilters> {
        let admit = |filter| self.0.filters.admit(request.client, filter);
        let permit = request.filter.as_ref().map(admit).transpose()?;
        let member = self.join(Key::of(&request));
        Ok(Follower::new(member, permit, request))
    }

    /// Drops what has been deleted from Kafka wherever it is kept, as soon as that is known. It does not end by itself.
    pub async fn drop_deleted_records(self) -> Infallible {
        let Source { directory, history } = &self.0.source;
        let bell = Bell::new();
        directory.subscribe_to_deletions(&bell);
        poll_fn(|context| {
            bell.listen(context);
            for log in directory.take_deleted() {
                history.drop_deleted(&log);
                self.drop_deleted(&log);
            }
            Poll::Pending
        })
        .await
    }

    /// What their events come from.
    pub fn source(&self) -> &Source {
        &self.0.source
    }

    /// How many lanes are followed, those of a single client included.
    pub fn count(&self) -> usize {
        self.0.lanes.lock().len()
    }

    /// What all rings and shelves cost in memory, and all batches that somebody holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.budget.used()
    }

    /// What the filters in use cost in memory, in bytes.
    pub fn filter_bytes(&self) -> usize {
        self.0.filters.bytes()
    }

    /// How many bytes of events have been composed so far, however many clients got them.
    pub fn composed(&self) -> u64 {
        self.0.composed.load(Relaxed)
    }

    /// Notes that a client's socket does not take what it was given. When clients hold more than there is, those who hold most, and
    /// have taken nothing for longest, are reset, which may be this one. `None` while all that is composed is little.
    pub fn hold(&self, unwritten: Unwritten, stuck: impl FnOnce() -> Arc<dyn Stuck>) -> Option<Hold> {
        if !self.0.budget.texts().are_many() {
            return None;
        }
        let key = self.0.holds.insert(unwritten, stuck());
        let lanes = self.clone();
        self.relieve();
        Some(Hold::new(lanes, key))
    }

    /// Has clients give back what they hold beyond the budget.
    fn relieve(&self) {
        self.trim();
        match self.0.budget.excess() {
            0 => {}
            // Not under a lock: they are woken by it.
            excess => {
                let chosen = self.0.holds.choose(self.0.budget.limit(), excess);
                chosen.iter().for_each(|stuck| stuck.reset());
            }
        }
    }

    /// Counts a copy of what was composed, for one client alone.
    pub fn count_copy(&self, copy: Vec<u8>) -> Bytes {
        self.0.budget.texts().count(copy)
    }

    fn note_composed(&self, batch: &Batch) {
        self.0.composed.fetch_add(batch.size() as u64, Relaxed);
    }

    fn join(&self, key: Key) -> Membership {
        let mut lanes = self.0.lanes.lock();
        let new = || Arc::new(Lane::new(key.clone(), Arc::clone(&self.0.budget)));
        let lane = Arc::clone(lanes.entry(key.clone()).or_insert_with(new));
        self.0.budget.come();
        lane.followers.fetch_add(1, Relaxed);
        Membership {
            lanes: self.clone(),
            lane,
            has_arrived: false,
        }
    }

    /// Counts one who has come to the end, and opens the lane when they are enough.
    fn arrive(&self, lane: &Arc<Lane>, now: Timestamp) {
        let before = lane.arrived.fetch_add(1, Relaxed);
        if before + 1 >= lane.key.audience() && !lane.opened.swap(true, Relaxed) {
            self.0.tasks.spawn(run::run(self.clone(), Arc::clone(lane), now));
        }
    }

    fn leave(&self, lane: &Lane) {
        let mut lanes = self.0.lanes.lock();
        self.0.budget.go();
        if lane.followers.fetch_sub(1, Relaxed) == 1 {
            lanes.remove(&lane.key);
            lane.ended.cancel();
        }
    }

    /// Adds a batch to a lane's ring; `after` is where it leads.
    fn publish(&self, lane: &Lane, batch: Batch, after: Standing) {
        let room = lane.room(batch.size());
        self.note_composed(&batch);
        let mut ring = lane.ring.lock();
        // Under the lock, so that nobody accounts for less before this accounts for more.
        let (added, freed) = ring.push(batch, Arc::new(after), room);
        self.0.budget.account(added, freed);
        drop(ring);
        lane.tidy();
        self.trim();
    }

    /// Keeps a batch of one who catches up for the others who do.
    fn shelve(&self, lane: &Lane, before: Standing, batch: Batch, after: Standing) {
        let room = lane.shelf_room(batch.size());
        let mut shelf = lane.shelf.lock();
        let (added, freed) = shelf.put(before, batch, Arc::new(after), room);
        self.0.budget.account(added, freed);
        drop(shelf);
        self.trim();
    }

    /// Drops every batch in which records may be that have been deleted from `log`. Whoever was to get it goes on by itself, and
    /// is told what is lost.
    fn drop_deleted(&self, log: &Arc<PartitionLog>) {
        let topic = &log.partition().topic;
        let lanes = self.0.lanes.lock();
        let concerned = lanes.values().filter(|lane| lane.key.topics.contains(topic));
        let concerned: Vec<_> = concerned.cloned().collect();
        drop(lanes);
        concerned.iter().for_each(|lane| lane.drop_deleted(log));
    }

    /// Brings every ring down to its lane's share while more is used than there is: others may have got a part of it since, or
    /// sockets hold more than they did.
    fn trim(&self) {
        // What leaves a ring, and is held by a socket still, leaves less for the others: until nothing more can be freed.
        while self.0.budget.is_exceeded() {
            let lanes = self.0.lanes.lock();
            let freed = lanes.values().map(|lane| lane.trim().total());
            if freed.sum::<usize>() == 0 {
                return;
            }
        }
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lanes({}, {} bytes)", self.count(), self.bytes())
    }
}

impl Key {
    fn of(request: &Request) -> Self {
        Self {
            topics: request.topics.clone(),
            form: request.form,
            format: request.format,
            coding: request.coding,
            filter: request.filter.clone(),
            shows_canaries: request.shows_canaries,
        }
    }

    /// How many at the end it takes to open the lane. For one alone there is nothing to share; but only lanes pack.
    fn audience(&self) -> usize {
        match self.coding {
            Coding::Identity => 2,
            Coding::Gzip => 1,
        }
    }

    fn wish(&self) -> Wish {
        Wish {
            format: self.format,
            form: self.form,
            filter: self.filter.clone(),
            shows_canaries: self.shows_canaries,
        }
    }

    /// The same, from now on.
    fn request(&self, client: ClientKey, now: Timestamp) -> Request {
        Request {
            topics: self.topics.clone(),
            position: None,
            since: None,
            form: self.form,
            format: self.format,
            coding: self.coding,
            filter: self.filter.clone(),
            shows_canaries: self.shows_canaries,
            client,
            now,
        }
    }
}

impl Lane {
    fn new(key: Key, budget: Arc<Budget>) -> Self {
        Self {
            key,
            followers: AtomicUsize::new(0),
            arrived: AtomicUsize::new(0),
            opened: AtomicBool::new(false),
            ring: Mutex::new(Ring::new(budget.texts())),
            shelf: Mutex::default(),
            alone: AtomicUsize::new(0),
            arrivals: Bells::default(),
            audience: Waiters::default(),
            held: AtomicBool::new(false),
            budget,
            packing: AtomicUsize::new(0),
            epoch: Mutex::default(),
            must_repack: AtomicBool::new(false),
            orders: Bell::new(),
            ended: CancellationToken::new(),
        }
    }

    fn share(&self, coming: usize) -> usize {
        self.budget.share(self.followers.load(Relaxed), coming)
    }

    /// What its ring may cost, in bytes, when so many bytes of text are about to come into it.
    fn room(&self, coming: usize) -> usize {
        let beside = self.shelf_room(coming) + self.packing.load(Relaxed);
        self.share(coming).saturating_sub(beside)
    }

    /// What its shelf may cost, in bytes.
    fn shelf_room(&self, coming: usize) -> usize {
        match self.key.filter {
            None => self.share(coming) / SHELF,
            Some(_) => 0,
        }
    }

    /// Brings its ring and its shelf down to its share; what that freed.
    fn trim(&self) -> Cost {
        let mut ring = self.ring.lock();
        let mut freed = ring.trim(self.room(0));
        self.budget.free(freed);
        drop(ring);
        let mut shelf = self.shelf.lock();
        let of_shelf = shelf.trim(self.shelf_room(0));
        self.budget.free(of_shelf);
        freed += of_shelf;
        freed
    }

    /// Drops what may hold records that have been deleted from `log`.
    fn drop_deleted(&self, log: &Arc<PartitionLog>) {
        let mut ring = self.ring.lock();
        self.budget.free(ring.drop_deleted(log));
        let head = ring.head();
        drop(ring);
        let mut shelf = self.shelf.lock();
        self.budget.free(shelf.drop_deleted(log));
        drop(shelf);
        let epoch = self.epoch.lock().clone();
        let refers = |head: Head| head.standing.may_hold_deleted(epoch.as_deref(), log);
        if self.packing.load(Relaxed) > 0 && head.is_none_or(refers) {
            self.must_repack.store(true, Relaxed);
            self.orders.ring();
        }
    }

    /// Moves the head to where the subscription stands; whether that is elsewhere than before.
    fn stand(&self, subscription: &Subscription) -> bool {
        let mut ring = self.ring.lock();
        let same = |head: Head| subscription.stands_at(&head.standing);
        let moved = !ring.head().is_some_and(same);
        if moved {
            ring.stand(Arc::new(subscription.standing()));
        }
        moved
    }

    /// Whether anybody else could come to a place that one of its followers leaves. What a filter tells of its progress is a
    /// matter of time, not of place.
    fn has_shelf(&self) -> bool {
        self.key.filter.is_none() && (self.alone.load(Relaxed) > 1 || self.shelf.lock().is_kept())
    }

    /// Drops what is on the shelf when nobody is left who could need it.
    fn tidy(&self) {
        if self.alone.load(Relaxed) > 1 {
            return;
        }
        let mut shelf = self.shelf.lock();
        if !shelf.is_kept() {
            self.budget.free(shelf.trim(0));
        }
    }

    fn head(&self) -> Option<Head> {
        self.ring.lock().head()
    }

    /// See [`Ring::first_ahead`].
    fn first_ahead(&self, is_ahead: impl Fn(&Standing) -> bool) -> Option<Head> {
        self.ring.lock().first_ahead(is_ahead)
    }

    fn reaches(&self, number: u64) -> bool {
        self.ring.lock().reaches(number)
    }

    fn take(&self, number: u64) -> Taken {
        self.ring.lock().take(number)
    }

    /// Wakes those whom it concerns that the head moved, or that there is a batch.
    fn wake(&self, moved: bool, news: bool, held: bool) {
        if moved || news {
            self.arrivals.ring();
        }
        if self.held.swap(held, Relaxed) != held || news {
            self.audience.ring();
        }
    }

    fn close(&self) {
        let mut ring = self.ring.lock();
        self.budget.free(ring.close());
        drop(ring);
        self.wake(true, true, false);
    }
}

/// What it keeps is no part of what all lanes keep any more.
impl Drop for Lane {
    fn drop(&mut self) {
        let mut freed = self.ring.get_mut().close();
        freed += self.shelf.get_mut().trim(0);
        self.budget.free(freed);
    }
}

/// A shelf costs at most one part in so many of what its lane may. It is a matter of minutes, and what it has lost is only
/// composed once more.
const SHELF: usize = 4;

/// One client's part in a lane; the lane ends with the last.
struct Membership {
    lanes: Lanes,
    lane: Arc<Lane>,
    has_arrived: bool,
}

impl Membership {
    /// It has come to the end of all it reads.
    fn arrive(&mut self, now: Timestamp) {
        if !std::mem::replace(&mut self.has_arrived, true) {
            self.lanes.arrive(&self.lane, now);
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if self.has_arrived {
            self.lane.arrived.fetch_sub(1, Relaxed);
        }
        self.lanes.leave(&self.lane);
    }
}

#[cfg(test)]
pub(super) mod tests {
    pub(crate) use super::row::tests::Stage;
}
