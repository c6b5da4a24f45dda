//! The clients of a shard, apart by what they get.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt, stream::FuturesUnordered};
use tokio::task::coop;

use crate::subscription::Audience;

/// Futures in lists by audience, which take turns.
///
/// A pass over 10,000 clients of one stream takes a tenth of a second. In one list with them, a client of another stream would
/// wait for that with each of its events; so it waits for one turn of theirs, which tokio's budget of 128 ends.
#[derive(Debug)]
pub(super) struct Audiences<F> {
    lists: Vec<(Option<Audience>, FuturesUnordered<F>)>,
    /// Whose turn it is.
    turn: usize,
}

impl<F> Audiences<F> {
    /// Adds one to its list. Few lists are the rule, and there are never more than lanes.
    pub(super) fn push(&mut self, audience: Option<Audience>, future: F) {
        match self.lists.iter().find(|(other, _)| *other == audience) {
            Some((_, list)) => list.push(future),
            None => self.lists.push((audience, FuturesUnordered::from_iter([future]))),
        }
    }
}

impl<F> Default for Audiences<F> {
    fn default() -> Self {
        Self {
            lists: Vec::new(),
            turn: 0,
        }
    }
}

/// The next to be over, of whichever audience; over itself when there are none.
impl<F: Future> Stream for Audiences<F> {
    type Item = F::Output;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        for _ in 0..self.lists.len() {
            if !coop::has_budget_remaining() {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let turn = self.turn % self.lists.len();
            self.turn = turn + 1;
            match self.lists[turn].1.poll_next_unpin(context) {
                Poll::Pending => {}
                Poll::Ready(Some(end)) => return Poll::Ready(Some(end)),
                Poll::Ready(None) => {
                    // The list that takes its place has its turn next.
                    drop(self.lists.swap_remove(turn));
                    self.turn = turn;
                }
            }
        }
        if self.lists.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        future::{poll_fn, ready},
    };

    use super::*;

    #[tokio::test]
    async fn one_audience_does_not_wait_for_all_of_another() {
        let served = &RefCell::new(Vec::new());
        let mut audiences = Audiences::default();
        for (audience, clients) in [(Some(Audience::default()), 1000), (None, 1)] {
            for _ in 0..clients {
                let serve = move |context: &mut Context<'_>| {
                    let Poll::Ready(turn) = coop::poll_proceed(context) else {
                        return Poll::<()>::Pending;
                    };
                    turn.made_progress();
                    served.borrow_mut().push(audience);
                    Poll::Pending
                };
                audiences.push(audience, Box::pin(poll_fn(serve)));
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
        let mut audiences = Audiences::default();
        for name in [Some(Audience::default()), None, None] {
            audiences.push(name, ready(()));
        }
        assert_eq!(audiences.by_ref().count().await, 3);
        audiences.push(None, ready(()));
        assert_eq!(audiences.count().await, 1);
    }
}
