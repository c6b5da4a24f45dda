//! Those of a write task's clients who get the same.

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
    wake_queue::{ClientWaker, WakeQueue},
};
use crate::subscription::{GroupCursor, GroupUpdate};

/// One who is served in a group. As a future it is over when its client has been served to its end.
pub(super) trait GroupMember: Future<Output = ()> + Unpin {
    /// Has `group_cursor` wait in its place for what all get, if there is anything; begins it, if it is the first.
    fn join_group(&mut self, group_cursor: &mut Option<GroupCursor>);

    /// Reads what [`write_batches`](Self::write_batches) will need, so that it is in the processor's cache then.
    fn prefetch(&self);

    /// Gives it what all get. Whether it has to be polled to get it, or for the rest of it.
    fn write_batches(&mut self, shared_batches: &SharedBatches) -> bool;
}

/// Clients who get the same.
///
/// When there is something for all, a pass over the list gives it to them, one write each. As futures each would be woken by
/// itself, look whether there is anything, and say to everything it waits for that it waits again; of 10,000, nothing which that
/// touches is in any cache. Only what is one client's own matter wakes that one: its socket was full, it is gone, a silence.
pub(super) struct ClientGroup<C> {
    members: Slab<MemberEntry<C>>,
    /// Behind the greatest key there was since they moved together last.
    key_bound: usize,
    wake_queue: Arc<WakeQueue>,
    /// Whom to poll, before those of `wake_queue`.
    ready: VecDeque<usize>,
    group_cursor: Option<GroupCursor>,
    pass: Option<BroadcastPass>,
}

struct MemberEntry<C> {
    member: C,
    waker: Arc<ClientWaker>,
}

impl<C: GroupMember> ClientGroup<C> {
    /// Nobody yet. `task_waker` is woken when one of them is.
    pub(in crate::http) fn new(task_waker: &Arc<AtomicWaker>) -> Self {
        Self {
            members: Slab::new(),
            key_bound: 0,
            wake_queue: WakeQueue::new(task_waker),
            ready: VecDeque::new(),
            group_cursor: None,
            pass: None,
        }
    }

    /// Adds one, to be polled.
    pub(in crate::http) fn push(&mut self, mut member: C) {
        member.join_group(&mut self.group_cursor);
        let entry = self.members.vacant_entry();
        let key = entry.key();
        entry.insert(MemberEntry {
            member,
            waker: ClientWaker::new(key, &self.wake_queue),
        });
        self.key_bound = self.key_bound.max(key + 1);
        self.ready.push_back(key);
    }

    /// Serves who has to be, as far as tokio's budget goes, until one is over; over itself when nobody is left. Whoever asks
    /// registers for the write task to be woken first.
    pub(in crate::http) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<thread::Result<()>>> {
        if self.members.is_empty() {
            return Poll::Ready(None);
        }
        self.poll_updates(context);
        while !self.ready.is_empty() || self.pass.is_some() {
            // By turns, so that those who are always busy, as who catches up is, and those who are live do not wait for each other.
            if let Some(key) = self.ready.pop_front() {
                if !has_budget(context) {
                    self.ready.push_front(key);
                    return Poll::Pending;
                }
                if let Some(end) = self.poll_member(key) {
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

    /// Looks who was woken, and what has come for all.
    fn poll_updates(&mut self, context: &Context<'_>) {
        if self.key_bound > MIN_COMPACT_SLOTS && self.members.len() < self.key_bound / SPARSE {
            self.compact();
        }
        if self.ready.is_empty() {
            self.wake_queue.drain_into(&mut self.ready);
        }
        let capacity = self
            .pass
            .as_ref()
            .map_or(Some(WRITE_LIMIT), BroadcastPass::remaining_capacity);
        if let (Some(group_cursor), Some(capacity)) = (&mut self.group_cursor, capacity) {
            let update = catch_unwind(AssertUnwindSafe(|| group_cursor.poll_update(context, capacity)));
            // Whose fault it is ends when it asks for itself.
            let Poll::Ready(update) = update.unwrap_or(Poll::Ready(GroupUpdate::PollEach)) else {
                return;
            };
            match &mut self.pass {
                Some(pass) => pass.add(update),
                None => self.pass = Some(BroadcastPass::new(update)),
            }
        }
    }

    /// Frees the memory of those who have left, over whom each round would go.
    fn compact(&mut self) {
        let Self {
            members,
            wake_queue,
            ready,
            ..
        } = self;
        members.compact(|member_entry, _, key| {
            // What it waits for would wake whoever has its old key.
            member_entry.waker = ClientWaker::new(key, wake_queue);
            ready.push_back(key);
            true
        });
        members.shrink_to_fit();
        self.key_bound = members.len();
    }

    /// Gives the next client its part of the round.
    fn visit_next(&mut self) -> Option<thread::Result<()>> {
        let pass = self.pass.as_mut()?;
        loop {
            let Some(key) = pass.next_key(self.key_bound) else {
                self.pass = None;
                return None;
            };
            let shared_batches = pass.shared_batches();
            if shared_batches.is_some() && key.is_multiple_of(PREFETCH_WIDTH) {
                let next = (key..key + PREFETCH_WIDTH).filter_map(|key| self.members.get(key));
                next.for_each(|member_entry| member_entry.member.prefetch());
            }
            let Some(member_entry) = self.members.get_mut(key) else {
                continue;
            };
            let Some(shared_batches) = shared_batches else {
                return self.poll_member(key);
            };
            let given = catch_unwind(AssertUnwindSafe(|| {
                member_entry.member.write_batches(shared_batches)
            }));
            return match given {
                Ok(false) => None,
                Ok(true) => self.poll_member(key),
                Err(panic) => {
                    self.members.remove(key);
                    Some(Err(panic))
                }
            };
        }
    }

    /// How it ended, if it has.
    fn poll_member(&mut self, key: usize) -> Option<thread::Result<()>> {
        // Somebody else's by now, or nobody's, if it was called before it ended.
        let member_entry = self.members.get_mut(key)?;
        member_entry.waker.reset();
        let waker = waker_ref(&member_entry.waker);
        let mut context = Context::from_waker(&waker);
        // What is polled in here must not find the write task's budget used up, or a socket would look blocked that is not.
        let member = pin!(coop::unconstrained(&mut member_entry.member));
        let end = match catch_unwind(AssertUnwindSafe(|| member.poll(&mut context))) {
            Ok(Poll::Pending) => return None,
            Ok(Poll::Ready(())) => Ok(()),
            Err(panic) => Err(panic),
        };
        self.members.remove(key);
        Some(end)
    }
}

/// Clients whose memory is waited for together. Of 10,000, none of it is in any cache, and one at a time a delivery took 6.1 us
/// where it now takes 5.5.
const PREFETCH_WIDTH: usize = 16;

/// Of so many places of which one is taken, the rest is worth to be given back.
const SPARSE: usize = 4;

/// Places that are not worth it.
const MIN_COMPACT_SLOTS: usize = 64;

/// Whether there is budget for one more; if not, the task is woken when there is again.
fn has_budget(context: &mut Context<'_>) -> bool {
    // Asked first, because what is polled without any budget takes itself to be woken.
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
