//! Who gets the answer to a question.

use tokio::sync::oneshot;

use crate::partition::HistoryError;

/// Answers one who asked. Dropped without an answer, it says that there is none.
pub(in crate::kafka::history) struct Reply<T>(Option<To<T>>);

enum To<T> {
    /// Somebody who may stop waiting.
    Waiter(oneshot::Sender<Result<T, HistoryError>>),
    /// Something that wants an answer whatever happens.
    Call(Box<dyn FnOnce(Result<T, HistoryError>) + Send>),
}

impl<T> Reply<T> {
    /// To one who waits for this channel.
    pub(in crate::kafka::history) fn to(waiter: oneshot::Sender<Result<T, HistoryError>>) -> Self {
        Self(Some(To::Waiter(waiter)))
    }

    /// To a function.
    pub(in crate::kafka::history) fn call(
        call: impl FnOnce(Result<T, HistoryError>) + Send + 'static,
    ) -> Self {
        Self(Some(To::Call(Box::new(call))))
    }

    /// Whether anybody waits for it.
    pub(super) fn is_wanted(&self) -> bool {
        match &self.0 {
            Some(To::Waiter(waiter)) => !waiter.is_closed(),
            Some(To::Call(_)) => true,
            None => false,
        }
    }

    pub(super) fn send(mut self, result: Result<T, HistoryError>) {
        self.answer(result);
    }

    fn answer(&mut self, result: Result<T, HistoryError>) {
        match self.0.take() {
            Some(To::Waiter(waiter)) => drop(waiter.send(result)),
            Some(To::Call(call)) => call(result),
            None => {}
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        self.answer(Err(HistoryError::Unavailable));
    }
}

/// Gives all of them the same answer.
pub(super) fn send_all<T: Copy>(replies: Vec<Reply<T>>, result: Result<T, HistoryError>) {
    for reply in replies {
        reply.send(result);
    }
}
