//! The deadline for the client of a request to take the response.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Sleep, sleep_until};

use super::H2Stream;
use crate::metrics::EndReason;

/// The task of a request. It ends when the client has taken nothing for the stall deadline, and hyper then resets the stream.
pub(in crate::http::server) struct StallTimeout<F> {
    task: Pin<Box<F>>,
    h2_stream: Arc<H2Stream>,
    stall_timeout: Duration,
    /// The number of the piece that waits, and its deadline. `None` while none does, as mostly.
    stall: Option<(u64, Pin<Box<Sleep>>)>,
}

impl<F> StallTimeout<F> {
    pub(in crate::http::server) fn new(task: F, h2_stream: Arc<H2Stream>, stall_timeout: Duration) -> Self {
        Self {
            task: Box::pin(task),
            h2_stream,
            stall_timeout,
            stall: None,
        }
    }

    /// Ready when the client has taken no piece for the stall deadline, or has not taken in time what was deleted meanwhile.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some((piece, since)) = self.h2_stream.blocked_since() else {
            self.stall = None;
            return Poll::Pending;
        };
        let timeout = self.stall_timeout;
        let (waits, stall) = self
            .stall
            .get_or_insert_with(|| (piece, Box::pin(sleep_until(since + timeout))));
        if *waits != piece {
            *waits = piece;
            stall.as_mut().reset(since + timeout);
        }
        if let Some(due) = self
            .h2_stream
            .pending_write()
            .due(timeout)
            .filter(|due| *due < stall.deadline())
        {
            stall.as_mut().reset(due);
        }
        stall.as_mut().poll(context)
    }
}

impl<F: Future<Output = ()>> Future for StallTimeout<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.task.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if !self.h2_stream.is_reset(context) {
            ready!(self.poll_stalled(context));
            self.h2_stream.reset(EndReason::Stalled);
        }
        Poll::Ready(())
    }
}
