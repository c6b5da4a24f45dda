//! Replies to the callers of offset queries.

use tokio::sync::oneshot;

use crate::partition::HistoryError;

/// The caller of a query. Dropping it unanswered sends [`HistoryError::Unavailable`].
pub(in crate::kafka::history) struct QueryReply<T> {
    to: Option<ReplyTo<T>>,
    wants_lowest_epoch: bool,
}

enum ReplyTo<T> {
    /// A caller that may stop waiting.
    Waiter(oneshot::Sender<Result<T, HistoryError>>),
    /// A callback that runs in any case.
    Call(Box<dyn FnOnce(Result<T, HistoryError>) + Send>),
}

impl<T> QueryReply<T> {
    /// Replies through a channel.
    pub(in crate::kafka::history) fn to_channel(waiter: oneshot::Sender<Result<T, HistoryError>>) -> Self {
        Self::new(ReplyTo::Waiter(waiter))
    }

    /// Replies by calling a function.
    pub(in crate::kafka::history) fn to_callback(
        call: impl FnOnce(Result<T, HistoryError>) + Send + 'static,
    ) -> Self {
        Self::new(ReplyTo::Call(Box::new(call)))
    }

    fn new(to: ReplyTo<T>) -> Self {
        Self {
            to: Some(to),
            wants_lowest_epoch: false,
        }
    }

    /// Makes the epoch in the answer one that no record from the end on is older than, at the cost of one more request.
    pub(in crate::kafka::history) fn with_lowest_epoch(mut self) -> Self {
        self.wants_lowest_epoch = true;
        self
    }

    /// Returns whether [`with_lowest_epoch`](Self::with_lowest_epoch) was called.
    pub(super) fn wants_lowest_epoch(&self) -> bool {
        self.wants_lowest_epoch
    }

    /// Returns whether the caller still waits.
    pub(super) fn is_wanted(&self) -> bool {
        match &self.to {
            Some(ReplyTo::Waiter(waiter)) => !waiter.is_closed(),
            Some(ReplyTo::Call(_)) => true,
            None => false,
        }
    }

    /// Sends the result.
    pub(super) fn send(mut self, result: Result<T, HistoryError>) {
        self.answer(result);
    }

    fn answer(&mut self, result: Result<T, HistoryError>) {
        match self.to.take() {
            Some(ReplyTo::Waiter(waiter)) => drop(waiter.send(result)),
            Some(ReplyTo::Call(call)) => call(result),
            None => {}
        }
    }
}

impl<T> Drop for QueryReply<T> {
    fn drop(&mut self) {
        self.answer(Err(HistoryError::Unavailable));
    }
}

/// Sends the same result to all callers.
pub(super) fn send_all<T: Copy>(replies: Vec<QueryReply<T>>, result: Result<T, HistoryError>) {
    for reply in replies {
        reply.send(result);
    }
}

/// Adds a reply. When the list is about to grow, drops the replies that are no longer wanted, so that they do not pile up while a
/// leader is away for long.
pub(super) fn push<T>(replies: &mut Vec<QueryReply<T>>, reply: QueryReply<T>) {
    if replies.len() == replies.capacity() {
        replies.retain(QueryReply::is_wanted);
    }
    replies.push(reply);
}
