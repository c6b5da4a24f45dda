//! A reader's position in one partition log.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Sleep;

use super::{History, HistoryError, HistoryFuture, LogRead, Page, PartitionLog};
use crate::{client::ClientKey, position::Offset};

/// A reader's position in one partition log: an offset, whether its record is in memory or only on the brokers.
///
/// Between polls a cursor holds no page, so a slow client costs one offset and not a megabyte.
pub struct Cursor {
    log: Arc<PartitionLog>,
    next: Offset,
    client: ClientKey,
    state: FetchState,
}

enum FetchState {
    /// The next poll reads the log's ring first.
    Idle,
    /// This history page covered the offset at the last poll. It may still be in the cache.
    Seen(Weak<Page>),
    /// A page is being read from history.
    Fetching(HistoryFuture<Arc<Page>>),
    /// History returned nothing. The next attempt follows when this timer ends.
    Backoff(Pin<Box<Sleep>>),
}

/// The result of polling a cursor.
#[derive(Debug)]
pub enum CursorStep {
    /// A page that covers the cursor's offset.
    Page(Arc<Page>),
    /// The cursor is at the end of the log, and live: the next page comes with the next record.
    AtTail,
    /// A page is being read from history and is expected within a moment.
    Fetching,
    /// The partition's leader does not answer. The cursor retries after a delay.
    Unavailable,
    /// The broker no longer has the offset. The position must be determined again.
    OutOfRange,
    /// Another log has replaced this one.
    Replaced,
}

impl Cursor {
    /// Creates a cursor at `next`. Its history reads count as those of `client`.
    pub fn new(log: Arc<PartitionLog>, next: Offset, client: ClientKey) -> Self {
        Self {
            log,
            next,
            client,
            state: FetchState::Idle,
        }
    }

    /// Returns the log that the cursor reads.
    pub fn log(&self) -> &Arc<PartitionLog> {
        &self.log
    }

    /// Returns the client on whose account history is read.
    pub fn client(&self) -> ClientKey {
        self.client
    }

    /// Returns the next offset to read. Every offset below it has been consumed, or is a hole.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Moves forward to `next`; does nothing if the cursor is already there or beyond.
    pub fn advance(&mut self, next: Offset) {
        self.next = self.next.max(next);
    }

    /// Moves to `next`, skipping offsets that were not read.
    pub fn seek(&mut self, next: Offset) {
        self.next = next;
        self.state = FetchState::Idle;
    }

    /// Cancels the page fetch in progress, because the client takes nothing for now. The next poll starts it again.
    /// Otherwise a page that has arrived, and that no reader looks at, would stay in memory until then.
    pub fn cancel_fetch(&mut self) {
        if matches!(self.state, FetchState::Fetching(_)) {
            self.state = FetchState::Idle;
        }
    }

    /// Returns what there is at the cursor's offset. If it is not there yet, the task is woken later: by history
    /// through `context`, by the tail through the waker that the caller subscribed to the log.
    pub fn poll(&mut self, context: &mut Context<'_>, history: &dyn History) -> CursorStep {
        loop {
            let step = match self.log.read(self.next) {
                LogRead::Page(page) => CursorStep::Page(page),
                LogRead::Ahead => CursorStep::AtTail,
                LogRead::Replaced => CursorStep::Replaced,
                // The record has been deleted from Kafka, and must not be read from a page that is still in some cache
                // either.
                LogRead::Below if self.next < self.log.start() => CursorStep::OutOfRange,
                LogRead::Below => match self.poll_history(context, history) {
                    Some(step) => return step,
                    None => continue,
                },
            };
            return self.idle_with_step(step);
        }
    }

    fn idle_with_step(&mut self, step: CursorStep) -> CursorStep {
        self.state = FetchState::Idle;
        step
    }

    /// Advances the fetch state by one step. Returns `None` if the ring must be read again.
    fn poll_history(&mut self, context: &mut Context<'_>, history: &dyn History) -> Option<CursorStep> {
        match &mut self.state {
            FetchState::Idle => match history.page_at_hand(&self.log, self.next) {
                Some(page) => self.fetched(Ok(page)),
                None => {
                    self.state = FetchState::Fetching(history.page(&self.log, self.next, self.client));
                    None
                }
            },
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
            // The ring begins later than the leader's answer ends: the leader is a replica that lags. It will catch up.
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

/// The delay of a cursor after history returned nothing. History itself asks an unresponsive leader less often; this
/// only keeps a cursor from spinning on the refusal.
const RETRY_DELAY: Duration = Duration::from_millis(250);
