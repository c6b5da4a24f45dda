//! Queue of page requests for one history reader.
//!
//! Not here: the thread that serves it (`worker`), and the order among clients (`fair_queue`).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{
    fair_queue::{FairQueue, QueueFull},
    log_key::{LogKey, key},
};
use crate::{
    client::ClientKey,
    partition::{HistoryError, Page, PartitionLog},
    position::Offset,
};

/// Page requests that wait for the reader's thread. A page that several clients want is read once.
#[derive(Default)]
pub(super) struct RequestQueue {
    state: Mutex<QueueState>,
    wakeup: Condvar,
}

/// Result of a read.
#[derive(Clone, Debug)]
pub(super) enum PageRead {
    /// The page. `at_log_end` says that the log ended behind it.
    Page { page: Arc<Page>, at_log_end: bool },
    /// No page: nothing can be read at the start of the request, because the log is damaged there. The damaged range is now
    /// known.
    Unreadable,
}

pub(super) type PageResult = Result<PageRead, HistoryError>;

/// A request to read `from..to` of a log.
#[derive(Clone, Debug)]
pub(super) struct PageRequest {
    pub(super) log: Arc<PartitionLog>,
    pub(super) from: Offset,
    pub(super) to: Offset,
}

/// The reader's next task.
pub(super) enum Task {
    /// Read a page, then call [`finish`](RequestQueue::finish).
    Read(PageRequest),
    /// Read a page that no client waits for yet.
    ReadAhead(PageRequest),
    /// Nothing to do for now.
    Idle,
    /// End the thread.
    Close,
}

#[derive(Default)]
struct QueueState {
    pages: HashMap<PageKey, PendingPage>,
    queue: FairQueue<PageKey>,
    /// A page that a client may want next.
    ahead: Option<PageRequest>,
    /// The page that is being read.
    reading: Option<PageKey>,
    closed: bool,
}

/// A page is identified by its log and its first offset.
type PageKey = (LogKey, Offset);

/// A page that is requested, or being read.
struct PendingPage {
    /// `None` while the page is being read.
    request: Option<PageRequest>,
    /// The client keys under which the page is queued.
    keys: HashSet<ClientKey>,
    waiters: Vec<oneshot::Sender<PageResult>>,
}

impl RequestQueue {
    /// Requests a page for `client`. Returns the receiver of the result, and whether the page was requested already. Dropping the
    /// receiver withdraws the request.
    ///
    /// # Errors
    /// [`QueueFull`], also once the queue is closed.
    pub(super) fn request(
        &self,
        request: PageRequest,
        client: ClientKey,
    ) -> Result<(oneshot::Receiver<PageResult>, bool), QueueFull> {
        let (sender, receiver) = oneshot::channel();
        let page = (key(&request.log), request.from);
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.closed {
            return Err(QueueFull);
        }
        let joined = state.pages.contains_key(&page);
        if state.reading != Some(page)
            && !state
                .pages
                .get(&page)
                .is_some_and(|pending| pending.keys.contains(&client))
        {
            // Each page is queued once per client key: a client that joins late waits at most for its own turn.
            state.queue.push(client, page)?;
        }
        let pending = state.pages.entry(page).or_insert_with(|| PendingPage {
            request: Some(request),
            keys: HashSet::new(),
            waiters: Vec::new(),
        });
        pending.keys.insert(client);
        pending.waiters.push(sender);
        self.wakeup.notify_one();
        Ok((receiver, joined))
    }

    /// Requests a page that a client may want next, at low priority. It is read when the reader is idle, so that a client that
    /// replays alone finds it in the cache, and among many clients it costs no turn. A later call replaces the page of an earlier
    /// one.
    pub(super) fn request_ahead(&self, request: PageRequest) {
        self.state.lock().ahead = Some(request);
        self.wakeup.notify_one();
    }

    /// Waits at most `wait` for a task. Returns reads only if `pages` is set.
    pub(super) fn next(&self, wait: Duration, pages: bool) -> Task {
        let mut state = self.state.lock();
        match state.next(pages) {
            Task::Idle => {
                self.wakeup.wait_for(&mut state, wait);
                state.next(pages)
            }
            task => task,
        }
    }

    /// Returns the requests that are served next, in order, at most `max`.
    pub(super) fn upcoming(&self, max: usize) -> Vec<PageRequest> {
        let state = self.state.lock();
        let pages = state.queue.upcoming(max).into_iter();
        pages
            .filter_map(|page| state.pages.get(page))
            .filter(|pending| pending.waiters.iter().any(|waiter| !waiter.is_closed()))
            .filter_map(|pending| pending.request.clone())
            .collect()
    }

    /// Sends the result of the current read to all clients that wait for it.
    pub(super) fn finish(&self, result: &PageResult) {
        let mut state = self.state.lock();
        let pending = state.reading.take().and_then(|page| state.pages.remove(&page));
        drop(state);
        for waiter in pending.into_iter().flat_map(|pending| pending.waiters) {
            let _ = waiter.send(result.clone());
        }
    }

    /// Ends the reader's thread. Waiting clients get an error, because their senders are dropped.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        self.wakeup.notify_one();
    }
}

impl QueueState {
    fn next(&mut self, pages: bool) -> Task {
        if self.closed {
            self.pages.clear();
            self.ahead = None;
            return Task::Close;
        }
        match pages.then(|| self.next_page()).flatten() {
            Some(request) => Task::Read(request),
            None => match pages.then(|| self.ahead.take()).flatten() {
                Some(request) => Task::ReadAhead(request),
                None => Task::Idle,
            },
        }
    }

    /// Returns the next page that a client still waits for.
    fn next_page(&mut self) -> Option<PageRequest> {
        while let Some(page) = self.queue.pop() {
            let Some(pending) = self.pages.get_mut(&page) else {
                continue;
            };
            pending.waiters.retain(|waiter| !waiter.is_closed());
            if pending.waiters.is_empty() {
                self.pages.remove(&page);
            } else if let Some(request) = pending.request.take() {
                self.reading = Some(page);
                return Some(request);
            }
        }
        None
    }
}
