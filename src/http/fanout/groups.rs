//! The clients of a write task, in one group a lane.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use futures_util::{
    Stream,
    task::{ArcWake, AtomicWaker, waker_ref},
};
use slab::Slab;
use tokio::task::coop;

use super::{
    group::{ClientGroup, GroupMember},
    wake_queue::{ClientWaker, WakeQueue},
};
use crate::subscription::LaneId;

/// The groups, which take turns.
///
/// A pass over 10,000 clients of one stream takes a twentieth of a second and more. In one list with them, a client of another
/// stream would wait that long for each of its events. In a group of its own it waits for one turn of theirs, which tokio's
/// budget of 128 ends.
///
/// Only groups that were woken have a turn: with a filter for each tenant there are as many groups as clients.
pub(super) struct ClientGroups<C> {
    groups: Slab<GroupEntry<C>>,
    by_lane: HashMap<Option<LaneId>, usize>,
    wake_queue: Arc<WakeQueue>,
    /// The keys of groups that have a turn, before those in `wake_queue`.
    ready: VecDeque<usize>,
    /// The waker of the write task, which a wake-up of any client wakes.
    waker: Arc<AtomicWaker>,
}

struct GroupEntry<C> {
    lane_id: Option<LaneId>,
    group: ClientGroup<C>,
    waker: Arc<ClientWaker>,
    /// What wakes `waker` when a member of the group was woken.
    member_waker: Arc<AtomicWaker>,
}

impl<C: GroupMember> ClientGroups<C> {
    /// Adds a client to the group of its lane.
    pub(in crate::http) fn push(&mut self, lane_id: Option<LaneId>, client: C) {
        let Self {
            groups,
            by_lane,
            wake_queue,
            ..
        } = self;
        let new = || {
            let vacant = groups.vacant_entry();
            let key = vacant.key();
            vacant.insert(GroupEntry::new(lane_id, ClientWaker::new(key, wake_queue)));
            key
        };
        let key = *by_lane.entry(lane_id).or_insert_with(new);
        let entry = &mut groups[key];
        entry.group.push(client);
        ArcWake::wake_by_ref(&entry.waker);
    }

    /// Lets a group have a turn. Returns how one of its clients ended, and `None` if the group has no client left.
    fn poll_group(&mut self, key: usize) -> Poll<Option<thread::Result<()>>> {
        // The key may be free, or another group's by now.
        let Some(entry) = self.groups.get_mut(key) else {
            return Poll::Pending;
        };
        entry.waker.reset();
        let waker = waker_ref(&entry.waker);
        // Registered before the group takes the keys of woken members, so that a wake-up between the two is not lost.
        entry.member_waker.register(&waker);
        let polled = entry.group.poll_next(&mut Context::from_waker(&waker));
        match polled {
            // There may be more to do.
            Poll::Ready(Some(_)) => ArcWake::wake_by_ref(&entry.waker),
            Poll::Ready(None) => {
                self.by_lane.remove(&entry.lane_id);
                drop(self.groups.remove(key));
            }
            Poll::Pending => {}
        }
        polled
    }
}

impl<C: GroupMember> GroupEntry<C> {
    fn new(lane_id: Option<LaneId>, waker: Arc<ClientWaker>) -> Self {
        let member_waker = Arc::default();
        Self {
            lane_id,
            group: ClientGroup::new(&member_waker),
            waker,
            member_waker,
        }
    }
}

impl<C> Default for ClientGroups<C> {
    fn default() -> Self {
        let waker = Arc::default();
        Self {
            groups: Slab::new(),
            by_lane: HashMap::new(),
            wake_queue: WakeQueue::new(&waker),
            ready: VecDeque::new(),
            waker,
        }
    }
}

/// The ends of the clients of all lanes, in the order in which they happen. The stream ends when no client is left.
impl<C: GroupMember> Stream for ClientGroups<C> {
    type Item = thread::Result<()>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let groups = &mut *self;
        // Registered before the keys of woken groups are taken, so that a wake-up between the two is not lost.
        groups.waker.register(context.waker());
        while !groups.groups.is_empty() {
            if !coop::has_budget_remaining() {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if groups.ready.is_empty() {
                groups.wake_queue.drain_into(&mut groups.ready);
            }
            let Some(key) = groups.ready.pop_front() else {
                return Poll::Pending;
            };
            if let Poll::Ready(Some(end)) = groups.poll_group(key) {
                return Poll::Ready(Some(end));
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        future::{Ready, poll_fn, ready},
    };

    use futures_util::StreamExt;

    use super::*;
    use crate::http::fanout::group::tests::Polled;

    #[tokio::test]
    async fn one_audience_does_not_wait_for_all_of_another() {
        let served = &RefCell::new(Vec::new());
        let mut groups = ClientGroups::default();
        for (lane_id, clients) in [(Some(LaneId::default()), 1000), (None, 1)] {
            for _ in 0..clients {
                let serve = move |_: &mut Context<'_>| {
                    served.borrow_mut().push(lane_id);
                    Poll::<()>::Pending
                };
                groups.push(lane_id, Polled(poll_fn(serve)));
            }
        }
        poll_fn(|context| match groups.poll_next_unpin(context) {
            Poll::Pending if !served.borrow().contains(&None) => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
        let before = served.borrow().iter().position(Option::is_none);
        assert!(before.is_some_and(|before| before <= 128), "{before:?}");
    }

    #[tokio::test]
    async fn all_of_them_end_and_then_it_ends() {
        let over: fn() -> Polled<Ready<()>> = || Polled(ready(()));
        let mut groups = ClientGroups::default();
        for name in [Some(LaneId::default()), None, None] {
            groups.push(name, over());
        }
        assert_eq!(groups.by_ref().count().await, 3);
        groups.push(None, over());
        assert_eq!(groups.count().await, 1);
    }

    #[tokio::test]
    async fn of_ten_thousand_groups_only_those_that_were_woken_have_a_turn() {
        let (polls, wakers) = (&Cell::new(0), &RefCell::new(Vec::new()));
        let mut groups = ClientGroups::default();
        for number in 0..10_000 {
            let serve = move |context: &mut Context<'_>| {
                polls.set(polls.get() + 1);
                wakers.borrow_mut().push((number, context.waker().clone()));
                Poll::<()>::Pending
            };
            groups.push(Some(LaneId::of(number)), Polled(poll_fn(serve)));
        }
        let mut turn = async |polls_due| {
            poll_fn(|context| match groups.poll_next_unpin(context) {
                Poll::Pending if polls.get() < polls_due => Poll::Pending,
                _ => Poll::Ready(()),
            })
            .await;
        };
        turn(10_000).await;
        for (count, number) in [(1, 7), (2, 9_999), (3, 7)] {
            let waker = wakers
                .borrow()
                .iter()
                .rev()
                .find(|(own, _)| *own == number)
                .map(|it| it.1.clone());
            waker.unwrap().wake();
            turn(10_000 + count).await;
            assert_eq!(polls.get(), 10_000 + count);
        }
    }
}
