//! One reader's place in one partition log.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::Sleep;

use super::{History, HistoryError, LogRead, Page, PartitionLog};
use crate::{client::ClientKey, position::Offset};

/// One reader's place in one partition log: an offset, wherever in memory or on the brokers that is.
///
/// Between polls it holds no page, so that a slow client costs an offset and not a megabyte.
pub struct Cursor {
    log: Arc<PartitionLog>,
    next: Offset,
    client: ClientKey,
    state: FetchState,
}

enum FetchState {
    /// Look at the log.
    Idle,
    /// This history page covered the offset last time; it may still be in the cache.
    Seen(Weak<Page>),
    /// History is being read.
    Fetching(BoxFuture<'static, Result<Arc<Page>, HistoryError>>),
    /// History did not answer; again when this is over.
    Backoff(Pin<Box<Sleep>>),
}

/// What a cursor has to give.
#[derive(Debug)]
pub enum CursorStep {
    /// A page that covers the cursor's offset.
    Page(Arc<Page>),
    /// Nothing before the next record arrives: the cursor is live.
    AtTail,
    /// A page is on its way, within a moment.
    Fetching,
    /// The partition's leader does not answer; the cursor asks again in a while.
    Unavailable,
    /// The broker does not have the offset any more: the position has to be determined anew.
    OutOfRange,
    /// Another log took this one's place.
    Replaced,
}

impl Cursor {
    /// A cursor before `next`, for whom history is read in the name of `client`.
    pub fn new(log: Arc<PartitionLog>, next: Offset, client: ClientKey) -> Self {
        Self {
            log,
            next,
            client,
            state: FetchState::Idle,
        }
    }

    /// The log it stands in.
    pub fn log(&self) -> &Arc<PartitionLog> {
        &self.log
    }

    /// The next offset it looks at. All before it has been consumed, or is a hole.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Moves on to `next`.
    pub fn advance(&mut self, next: Offset) {
        self.next = self.next.max(next);
    }

    /// Moves on to `next` without having read what is before it.
    pub fn seek(&mut self, next: Offset) {
        self.next = next;
        self.state = FetchState::Idle;
    }

    /// Lets go of a page that is being fetched, since its client takes nothing for now: it is asked for again when it does. A page
    /// that has come, and that nobody looks at, would be held for as long.
    pub fn cancel_fetch(&mut self) {
        if matches!(self.state, FetchState::Fetching(_)) {
            self.state = FetchState::Idle;
        }
    }

    /// What there is at the cursor. What is not there yet wakes the task: history through `context`, the tail through the
    /// waker, which the caller registers with the log.
    pub fn poll(&mut self, context: &mut Context<'_>, history: &dyn History) -> CursorStep {
        loop {
            match self.log.read(self.next) {
                LogRead::Page(page) => return CursorStep::Page(self.idle_with_page(page)),
                LogRead::Ahead => return self.idle_with_step(CursorStep::AtTail),
                LogRead::Replaced => return self.idle_with_step(CursorStep::Replaced),
                // It has been deleted, also from pages that somebody still holds.
                LogRead::Below if self.next < self.log.start() => {
                    return self.idle_with_step(CursorStep::OutOfRange);
                }
                LogRead::Below => {}
            }
            if let Some(step) = self.poll_history(context, history) {
                return step;
            }
        }
    }

    fn idle_with_page(&mut self, page: Arc<Page>) -> Arc<Page> {
        self.state = FetchState::Idle;
        page
    }

    fn idle_with_step(&mut self, step: CursorStep) -> CursorStep {
        self.state = FetchState::Idle;
        step
    }

    /// One move of the state; `None` to look again.
    fn poll_history(&mut self, context: &mut Context<'_>, history: &dyn History) -> Option<CursorStep> {
        match &mut self.state {
            FetchState::Idle => {
                self.state = FetchState::Fetching(history.page(&self.log, self.next, self.client));
                None
            }
            FetchState::Seen(page) => {
                let page = page.upgrade().filter(|page| page.range().contains(&self.next));
                if page.is_none() {
                    self.state = FetchState::Idle;
                }
                page.map(CursorStep::Page)
            }
            FetchState::Fetching(fetch) => match fetch.as_mut().poll(context) {
                Poll::Pending => Some(CursorStep::Fetching),
                Poll::Ready(result) => self.fetched(result),
            },
            FetchState::Backoff(sleep) => match sleep.as_mut().poll(context) {
                Poll::Pending => Some(CursorStep::Unavailable),
                Poll::Ready(()) => {
                    self.state = FetchState::Idle;
                    None
                }
            },
        }
    }

    fn fetched(&mut self, result: Result<Arc<Page>, HistoryError>) -> Option<CursorStep> {
        match result {
            Ok(page) if page.range().contains(&self.next) => {
                self.state = FetchState::Seen(Arc::downgrade(&page));
                Some(CursorStep::Page(page))
            }
            // The leader's log ends here although the ring begins later: a replica that lags. It will come.
            Ok(_) | Err(HistoryError::Unavailable) => {
                self.state = FetchState::Backoff(Box::pin(tokio::time::sleep(RETRY_DELAY)));
                None
            }
            Err(HistoryError::OutOfRange) => Some(self.idle_with_step(CursorStep::OutOfRange)),
            Err(HistoryError::Replaced) => Some(self.idle_with_step(CursorStep::Replaced)),
        }
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({} before {})", self.log.partition(), self.next)
    }
}

/// How long a cursor waits after history gave nothing. History itself spaces its questions to a mute leader further
/// apart; this only keeps a cursor from spinning on the refusal.
const RETRY_DELAY: Duration = Duration::from_millis(250);
