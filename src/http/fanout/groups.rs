//! The clients of a write task, in one group a lane.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use futures_util::{Stream, task::AtomicWaker};
use tokio::task::coop;

use super::group::{ClientGroup, GroupMember};
use crate::subscription::LaneId;

/// The groups, which take turns.
///
/// A pass over 10,000 clients of one stream takes a twentieth of a second and more. In one list with them, a client of another
/// stream would wait that long for each of its events. In a group of its own it waits for one turn of theirs, which tokio's
/// budget of 128 ends.
pub(super) struct ClientGroups<C> {
    groups: Vec<(Option<LaneId>, ClientGroup<C>)>,
    /// The index of the group whose turn it is.
    next_index: usize,
    /// The waker of the write task, which a wake-up of any client wakes.
    waker: Arc<AtomicWaker>,
}

impl<C: GroupMember> ClientGroups<C> {
    /// Adds a client to the group of its lane. Mostly there are few groups, and never more than lanes and one.
    pub(in crate::http) fn push(&mut self, lane_id: Option<LaneId>, client: C) {
        let index = self.groups.iter().position(|(other, _)| *other == lane_id);
        let index = index.unwrap_or_else(|| {
            self.groups.push((lane_id, ClientGroup::new(&self.waker)));
            self.groups.len() - 1
        });
        self.groups[index].1.push(client);
    }
}

impl<C> Default for ClientGroups<C> {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            next_index: 0,
            waker: Arc::default(),
        }
    }
}

/// The ends of the clients of all lanes, in the order in which they happen. The stream ends when no client is left.
impl<C: GroupMember> Stream for ClientGroups<C> {
    type Item = thread::Result<()>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Registered before the groups take the keys of woken members, so that a wake-up between the two is not lost.
        self.waker.register(context.waker());
        for _ in 0..self.groups.len() {
            if !coop::has_budget_remaining() {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let next_index = self.next_index % self.groups.len();
            self.next_index = next_index + 1;
            match self.groups[next_index].1.poll_next(context) {
                Poll::Pending => {}
                Poll::Ready(Some(end)) => return Poll::Ready(Some(end)),
                Poll::Ready(None) => {
                    // The group that moves to this index has the next turn.
                    drop(self.groups.swap_remove(next_index));
                    self.next_index = next_index;
                }
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
        cell::RefCell,
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
}
