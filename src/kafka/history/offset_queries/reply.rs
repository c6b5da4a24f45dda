//! Who gets the answer to a question.

use tokio::sync::oneshot;

use crate::partition::HistoryError;

/// Answers one who asked. Dropped without an answer, it says that there is none.
pub(in crate::kafka::history) struct QueryReply<T>(Option<ReplyTo<T>>);

enum ReplyTo<T> {
    /// Somebody who may stop waiting.
    Waiter(oneshot::Sender<Result<T, HistoryError>>),
    /// Something that wants an answer whatever happens.
    Call(Box<dyn FnOnce(Result<T, HistoryError>) + Send>),
}

impl<T> QueryReply<T> {
    /// To one who waits for this channel.
    pub(in crate::kafka::history) fn to_channel(waiter: oneshot::Sender<Result<T, HistoryError>>) -> Self {
        Self(Some(ReplyTo::Waiter(waiter)))
    }

    /// To a function.
    pub(in crate::kafka::history) fn to_callback(
        call: impl FnOnce(Result<T, HistoryError>) + Send + 'static,
    ) -> Self {
        Self(Some(ReplyTo::Call(Box::new(call))))
    }

    /// Whether anybody waits for it.
    pub(super) fn is_wanted(&self) -> bool {
        match &self.0 {
            Some(ReplyTo::Waiter(waiter)) => !waiter.is_closed(),
            Some(ReplyTo::Call(_)) => true,
            None => false,
        }
    }

    pub(super) fn send(mut self, result: Result<T, HistoryError>) {
        self.answer(result);
    }

    fn answer(&mut self, result: Result<T, HistoryError>) {
        match self.0.take() {
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

/// Gives all of them the same answer.
pub(super) fn send_all<T: Copy>(replies: Vec<QueryReply<T>>, result: Result<T, HistoryError>) {
    for reply in replies {
        reply.send(result);
    }
}

/// Adds a reply, and drops those that are not wanted any more whenever the list has doubled: a leader that is away for long
/// must not collect them.
pub(super) fn push<T>(replies: &mut Vec<QueryReply<T>>, reply: QueryReply<T>) {
    if replies.len() == replies.capacity() {
        replies.retain(QueryReply::is_wanted);
    }
    replies.push(reply);
}
