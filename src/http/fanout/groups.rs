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
    wake_queue::{EntryWaker, WakeQueue, Woken},
};
use crate::subscription::LaneId;

/// The groups, which take turns. Only those have one that were woken: by a batch of their lane, or for one of their clients.
///
/// A pass over 10,000 clients of one stream takes a twentieth of a second and more. In one list with them, a client of another
/// stream would wait that long for each of its events. In a group of its own it waits for one turn of theirs, which tokio's
/// budget of 128 ends.
pub(super) struct ClientGroups<C> {
    groups: Slab<GroupEntry<C>>,
    /// With a filter for each tenant there are as many groups as clients.
    by_lane: HashMap<Option<LaneId>, usize>,
    wake_queue: Arc<WakeQueue>,
    /// How many wakers there were.
    wakers: u32,
    /// The groups whose turns are next, before those in `wake_queue`.
    ready: VecDeque<Woken>,
    /// The waker of the write task, which a wake-up of any group wakes.
    task_waker: Arc<AtomicWaker>,
}

struct GroupEntry<C> {
    lane_id: Option<LaneId>,
    group: ClientGroup<C>,
    /// What a wake-up of a client wakes: `waker`.
    clients_waker: Arc<AtomicWaker>,
    waker: Arc<EntryWaker>,
}

impl<C: GroupMember> ClientGroups<C> {
    /// Adds a client to the group of its lane.
    pub(in crate::http) fn push(&mut self, lane_id: Option<LaneId>, client: C) {
        let key = self.by_lane.get(&lane_id).copied();
        let key = key.unwrap_or_else(|| self.add_group(lane_id));
        let entry = &mut self.groups[key];
        entry.group.push(client);
        ArcWake::wake_by_ref(&entry.waker);
    }

    /// Adds a group, and returns its key.
    fn add_group(&mut self, lane_id: Option<LaneId>) -> usize {
        let entry = self.groups.vacant_entry();
        let key = entry.key();
        self.wakers = self.wakers.wrapping_add(1);
        let waker = EntryWaker::queued(key, self.wakers, &self.wake_queue);
        self.ready.push_back(waker.woken());
        let clients_waker = Arc::default();
        entry.insert(GroupEntry {
            lane_id,
            group: ClientGroup::new(&clients_waker),
            clients_waker,
            waker,
        });
        self.by_lane.insert(lane_id, key);
        key
    }

    /// Takes the next group that was woken.
    fn next_woken(&mut self) -> Option<Woken> {
        if self.ready.is_empty() {
            self.wake_queue.drain_into(&mut self.ready);
        }
        self.ready.pop_front()
    }

    /// Gives a group that was woken its turn. Returns how one of its clients ended, if one has.
    fn poll_group(&mut self, woken: Woken) -> Option<thread::Result<()>> {
        let entry = self.groups.get_mut(woken.key)?;
        if entry.waker.woken() != woken {
            return None;
        }
        entry.waker.reset();
        let waker = waker_ref(&entry.waker);
        // Registered before the group takes the members that were woken, so that a wake-up between the two is not lost.
        entry.clients_waker.register(&waker);
        match entry.group.poll_next(&mut Context::from_waker(&waker)) {
            Poll::Pending => None,
            Poll::Ready(Some(end)) => {
                // There may be more to do.
                ArcWake::wake_by_ref(&entry.waker);
                Some(end)
            }
            Poll::Ready(None) => {
                self.by_lane.remove(&entry.lane_id);
                self.groups.remove(woken.key);
                None
            }
        }
    }
}

impl<C> Default for ClientGroups<C> {
    fn default() -> Self {
        let task_waker = Arc::default();
        Self {
            groups: Slab::new(),
            by_lane: HashMap::new(),
            wake_queue: WakeQueue::new(&task_waker),
            wakers: 0,
            ready: VecDeque::new(),
            task_waker,
        }
    }
}

/// The ends of the clients of all lanes, in the order in which they happen. The stream ends when no client is left.
impl<C: GroupMember> Stream for ClientGroups<C> {
    type Item = thread::Result<()>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Registered before the groups that were woken are taken, so that a wake-up between the two is not lost.
        self.task_waker.register(context.waker());
        while let Some(woken) = self.next_woken() {
            if !coop::has_budget_remaining() {
                self.ready.push_front(woken);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(end) = self.poll_group(woken) {
                return Poll::Ready(Some(end));
            }
        }
        if self.groups.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        future::{Ready, poll_fn, ready},
    };

    use futures_util::{FutureExt, StreamExt};

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
    async fn a_wake_up_gives_one_group_a_turn_and_no_other() {
        let wakers = &RefCell::new(Vec::new());
        let mut groups = ClientGroups::default();
        for lane_id in [Some(LaneId::default()), None] {
            let wait = move |context: &mut Context<'_>| {
                wakers.borrow_mut().push(context.waker().clone());
                Poll::<()>::Pending
            };
            groups.push(lane_id, Polled(poll_fn(wait)));
        }
        assert!(groups.next().now_or_never().is_none());
        assert!(groups.next_woken().is_none());
        wakers.borrow()[1].wake_by_ref();
        wakers.borrow()[1].wake_by_ref();
        let woken = groups.next_woken().unwrap();
        assert_eq!(groups.groups[woken.key].lane_id, None);
        assert!(groups.next_woken().is_none());
        assert!(groups.poll_group(woken).is_none());
        assert_eq!(wakers.borrow().len(), 3);
        wakers.borrow()[2].wake_by_ref();
        assert_eq!(groups.next_woken(), Some(woken));
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
