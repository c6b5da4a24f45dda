//! The clients of a shard, apart by what they get.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use futures_util::{Stream, task::AtomicWaker};
use tokio::task::coop;

use super::crowd::{Crowd, Served};
use crate::subscription::Audience;

/// Clients in crowds by audience, which take turns.
///
/// A pass over 10,000 clients of one stream takes a twentieth of a second and more. In one list with them, a client of another
/// stream would wait for that with each of its events; so it waits for one turn of theirs, which tokio's budget of 128 ends.
pub(super) struct Audiences<C> {
    crowds: Vec<(Option<Audience>, Crowd<C>)>,
    /// Whose turn it is.
    turn: usize,
    /// Woken when any of them is.
    waker: Arc<AtomicWaker>,
}

impl<C: Served> Audiences<C> {
    /// Adds one to its crowd. Few crowds are the rule, and there are never more than lanes.
    pub(super) fn push(&mut self, audience: Option<Audience>, client: C) {
        let place = self.crowds.iter().position(|(other, _)| *other == audience);
        let place = place.unwrap_or_else(|| {
            self.crowds.push((audience, Crowd::new(&self.waker)));
            self.crowds.len() - 1
        });
        self.crowds[place].1.push(client);
    }
}

impl<C> Default for Audiences<C> {
    fn default() -> Self {
        Self {
            crowds: Vec::new(),
            turn: 0,
            waker: Arc::default(),
        }
    }
}

/// How the next ended, of whichever audience; over itself when there are none.
impl<C: Served> Stream for Audiences<C> {
    type Item = thread::Result<()>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Before any of them looks who was woken.
        self.waker.register(context.waker());
        for _ in 0..self.crowds.len() {
            if !coop::has_budget_remaining() {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let turn = self.turn % self.crowds.len();
            self.turn = turn + 1;
            match self.crowds[turn].1.poll_next(context) {
                Poll::Pending => {}
                Poll::Ready(Some(end)) => return Poll::Ready(Some(end)),
                Poll::Ready(None) => {
                    // The crowd that takes its place has its turn next.
                    drop(self.crowds.swap_remove(turn));
                    self.turn = turn;
                }
            }
        }
        if self.crowds.is_empty() {
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
    use crate::http::crowd::tests::Polled;

    #[tokio::test]
    async fn one_audience_does_not_wait_for_all_of_another() {
        let served = &RefCell::new(Vec::new());
        let mut audiences = Audiences::default();
        for (audience, clients) in [(Some(Audience::default()), 1000), (None, 1)] {
            for _ in 0..clients {
                let serve = move |_: &mut Context<'_>| {
                    served.borrow_mut().push(audience);
                    Poll::<()>::Pending
                };
                audiences.push(audience, Polled(poll_fn(serve)));
            }
        }
        poll_fn(|context| match audiences.poll_next_unpin(context) {
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
        let mut audiences = Audiences::default();
        for name in [Some(Audience::default()), None, None] {
            audiences.push(name, over());
        }
        assert_eq!(audiences.by_ref().count().await, 3);
        audiences.push(None, over());
        assert_eq!(audiences.count().await, 1);
    }
}
