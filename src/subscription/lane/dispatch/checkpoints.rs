//! When the lanes of a dispatcher are due to be told how far it has come.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// The times at which lanes are due, by their numbers.
#[derive(Default)]
pub(super) struct Checkpoints {
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Checkpoints {
    pub(super) fn push(&mut self, due: Instant, number: u64) {
        self.due.push(Reverse((due, number)));
    }

    /// Removes a lane that is due. If there is none, the task is woken when there is one.
    pub(super) fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<u64> {
        let Some(Reverse((due, number))) = self.due.peek().copied() else {
            return Poll::Pending;
        };
        if due > Instant::now() {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        self.due.pop();
        Poll::Ready(number)
    }
}
