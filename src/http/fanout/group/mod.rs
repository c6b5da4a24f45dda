//! One group: the clients of a write task that read the same lane, as a list that passes and wake-ups serve.

use std::{
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use futures_util::task::{AtomicWaker, waker_ref};
use slab::Slab;
use tokio::task::coop;

use super::{
    chunks::WRITE_LIMIT,
    pass::{BroadcastPass, SharedBatches},
    wake_queue::{EntryWaker, WakeQueue, Woken},
};
use crate::subscription::{GroupCursor, GroupUpdate};

/// A client that is served in a group. As a future it is ready when its stream has ended and its connection is closed.
pub(super) trait GroupMember: Future<Output = ()> + Unpin {
    /// Lets `group_cursor` wait for the lane's batches on its behalf, if it reads a lane. The first member creates the cursor.
    fn join_group(&mut self, group_cursor: &mut Option<GroupCursor>);

    /// Reads the memory that [`write_batches`](Self::write_batches) will need, so that it is in the processor's cache then.
    fn prefetch(&self);

    /// Writes the batches that are new to this client. Returns whether it has to be polled, to get them or the rest of them.
    fn write_batches(&mut self, shared_batches: &SharedBatches) -> bool;
}

/// The clients of one lane, and how they are served: see [`fanout`](super).
pub(super) struct ClientGroup<C> {
    members: Slab<MemberEntry<C>>,
    /// One more than the greatest key since the slab was compacted last.
    key_bound: usize,
    wake_queue: Arc<WakeQueue>,
    /// How many wakers there were.
    wakers: u32,
    /// The members to be polled, before those in `wake_queue`.
    ready: VecDeque<Woken>,
    group_cursor: Option<GroupCursor>,
    pass: Option<BroadcastPass>,
}

struct MemberEntry<C> {
    member: C,
    waker: Arc<EntryWaker>,
}

impl<C: GroupMember> ClientGroup<C> {
    /// Creates a group without members. A wake-up of a member wakes `task_waker`.
    pub(in crate::http) fn new(task_waker: &Arc<AtomicWaker>) -> Self {
        Self {
            members: Slab::new(),
            key_bound: 0,
            wake_queue: WakeQueue::new(task_waker),
            wakers: 0,
            ready: VecDeque::new(),
            group_cursor: None,
            pass: None,
        }
    }

    /// Adds a member, and queues it to be polled.
    pub(in crate::http) fn push(&mut self, mut member: C) {
        member.join_group(&mut self.group_cursor);
        if self.members.capacity() == 0 {
            // Many groups have one member for good.
            self.members.reserve_exact(1);
        }
        let entry = self.members.vacant_entry();
        let key = entry.key();
        self.wakers = self.wakers.wrapping_add(1);
        let waker = EntryWaker::queued(key, self.wakers, &self.wake_queue);
        self.ready.push_back(waker.woken());
        entry.insert(MemberEntry { member, waker });
        self.key_bound = self.key_bound.max(key + 1);
    }

    /// Serves the members that have something to do, within tokio's budget. Returns how a member ended as soon as one does, and
    /// `None` if no member is left. The caller must have registered the write task with `task_waker` before.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<thread::Result<()>>> {
        if self.members.is_empty() {
            return Poll::Ready(None);
        }
        self.poll_updates(context);
        while !self.ready.is_empty() || self.pass.is_some() {
            // By turns, so that members that are always busy, as when they catch up, and live ones do not wait for each other.
            if let Some(woken) = self.ready.pop_front() {
                if !has_budget(context) {
                    self.ready.push_front(woken);
                    return Poll::Pending;
                }
                if let Some(end) = self.poll_woken(woken) {
                    return Poll::Ready(Some(end));
                }
            }
            if self.pass.is_some() {
                if !has_budget(context) {
                    return Poll::Pending;
                }
                if let Some(end) = self.visit_next() {
                    return Poll::Ready(Some(end));
                }
            }
            if self.ready.is_empty() && self.pass.is_none() {
                self.poll_updates(context);
            }
        }
        Poll::Pending
    }

    /// Takes the members that were woken, and the batches that have come for all.
    fn poll_updates(&mut self, context: &Context<'_>) {
        if self.key_bound > MIN_COMPACT_SLOTS && self.members.len() < self.key_bound / SPARSE {
            self.compact();
        }
        if self.ready.is_empty() {
            self.wake_queue.drain_into(&mut self.ready);
        }
        let pass = self.pass.as_ref();
        let capacity = pass.map_or(Some(WRITE_LIMIT), BroadcastPass::remaining_capacity);
        if let (Some(group_cursor), Some(capacity)) = (&mut self.group_cursor, capacity) {
            let update = catch_unwind(AssertUnwindSafe(|| group_cursor.poll_update(context, capacity)));
            // After a panic each member is polled. The one that causes it ends then.
            let Poll::Ready(update) = update.unwrap_or(Poll::Ready(GroupUpdate::PollEach)) else {
                return;
            };
            match &mut self.pass {
                Some(pass) => pass.add(update),
                None => self.pass = Some(BroadcastPass::new(update)),
            }
        }
    }

    /// Frees the slots of members that have left, over which each round would go. All that stay get new wakers and are polled.
    fn compact(&mut self) {
        self.members.compact(|_, _, _| true);
        self.members.shrink_to_fit();
        self.key_bound = self.members.len();
        self.ready.clear();
        // Also those that keep their keys, which `Slab::compact` does not tell of: they may have been in `ready`. What a member has
        // registered with would wake the one that gets its old key.
        for (key, entry) in &mut self.members {
            self.wakers = self.wakers.wrapping_add(1);
            entry.waker = EntryWaker::queued(key, self.wakers, &self.wake_queue);
            self.ready.push_back(entry.waker.woken());
        }
    }

    /// Gives the next member its turn in the pass. Returns how the member ended, if it has.
    fn visit_next(&mut self) -> Option<thread::Result<()>> {
        let pass = self.pass.as_mut()?;
        loop {
            let Some(key) = pass.next_key(self.key_bound) else {
                self.pass = None;
                return None;
            };
            let shared_batches = pass.shared_batches.as_ref();
            if shared_batches.is_some() && key.is_multiple_of(PREFETCH_WIDTH) {
                let next = (key..key + PREFETCH_WIDTH).filter_map(|key| self.members.get(key));
                next.for_each(|entry| entry.member.prefetch());
            }
            let Some(entry) = self.members.get_mut(key) else {
                continue;
            };
            let given = match shared_batches {
                Some(shared_batches) => {
                    catch_unwind(AssertUnwindSafe(|| entry.member.write_batches(shared_batches)))
                }
                None => Ok(true),
            };
            return match given {
                // What is queued is polled from the queue. Polled here too, it would be queued by each of the polls.
                Ok(needs_poll) if !needs_poll || entry.waker.is_queued() => None,
                Ok(_) => self.poll_member(key),
                Err(panic) => {
                    self.members.remove(key);
                    Some(Err(panic))
                }
            };
        }
    }

    /// Polls a member that was queued, unless it has left since. Returns how it ended, if it has.
    fn poll_woken(&mut self, woken: Woken) -> Option<thread::Result<()>> {
        let entry = self.members.get(woken.key)?;
        // The key may be another member's by now.
        if entry.waker.woken() != woken {
            return None;
        }
        entry.waker.reset();
        self.poll_member(woken.key)
    }

    /// Polls a member that is not queued. Returns how it ended, if it has.
    fn poll_member(&mut self, key: usize) -> Option<thread::Result<()>> {
        let entry = self.members.get_mut(key)?;
        let waker = waker_ref(&entry.waker);
        let mut context = Context::from_waker(&waker);
        // A poll in here must not find the write task's budget used up, or a socket would look blocked that is not.
        let member = pin!(coop::unconstrained(&mut entry.member));
        let end = match catch_unwind(AssertUnwindSafe(|| member.poll(&mut context))) {
            Ok(Poll::Pending) => return None,
            Ok(Poll::Ready(())) => Ok(()),
            Err(panic) => Err(panic),
        };
        self.members.remove(key);
        Some(end)
    }
}

/// How many members' memory is read ahead at a time. With 10,000 members none of it is in any cache. A delivery took 6.1 us when
/// the memory was waited for one member at a time, and takes 5.5 us now.
const PREFETCH_WIDTH: usize = 16;

/// The slab is compacted when fewer than one of this many slots is occupied.
const SPARSE: usize = 4;

/// A slab with no more slots than this is never compacted.
const MIN_COMPACT_SLOTS: usize = 64;

/// Takes one unit of tokio's budget. Returns false if none is left, and then wakes the task again.
fn has_budget(context: &mut Context<'_>) -> bool {
    // Checked first, because `poll_proceed` without any budget arranges a wake-up by itself.
    if !coop::has_budget_remaining() {
        context.waker().wake_by_ref();
        return false;
    }
    if let Poll::Ready(turn) = coop::poll_proceed(context) {
        turn.made_progress();
    }
    true
}

#[cfg(test)]
pub(super) mod tests;
