//! What is wanted of one history reader.

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

/// Wants wait here until the reader's thread takes them. One that is wanted by several is read once.
#[derive(Default)]
pub(super) struct RequestQueue {
    inbox: Mutex<QueueState>,
    wakeup: Condvar,
}

/// What a read of a page gave.
#[derive(Clone, Debug)]
pub(super) enum PageRead {
    /// This page; `at_log_end` says that the log ended behind it.
    Page { page: Arc<Page>, at_log_end: bool },
    /// Nothing, but it is known now that nothing can be read where it was to begin: the log is damaged there.
    Unreadable,
}

pub(super) type PageResult = Result<PageRead, HistoryError>;

/// A page to read.
#[derive(Clone, Debug)]
pub(super) struct PageRequest {
    pub(super) log: Arc<PartitionLog>,
    pub(super) from: Offset,
    pub(super) to: Offset,
}

/// What the reader is to do next.
pub(super) enum Task {
    /// Read a page, then [`finish`](RequestQueue::finish) it.
    Read(PageRequest),
    /// Read a page that nobody waits for yet.
    ReadAhead(PageRequest),
    /// Nothing for now.
    Idle,
    /// End.
    Close,
}

#[derive(Default)]
struct QueueState {
    pages: HashMap<PageKey, PendingPage>,
    queue: FairQueue<PageKey>,
    /// A page that somebody may want next.
    ahead: Option<PageRequest>,
    /// The page being read.
    reading: Option<PageKey>,
    closed: bool,
}

/// A page is named by its log and its start.
type PageKey = (LogKey, Offset);

/// A page that is wanted, or being read.
struct PendingPage {
    request: Option<PageRequest>,
    /// The keys it stands in the queue under.
    keys: HashSet<ClientKey>,
    waiters: Vec<oneshot::Sender<PageResult>>,
}

impl RequestQueue {
    /// Wants a page for `client`; whether somebody else wanted it already. Dropping the receiver takes the want back.
    pub(super) fn request(
        &self,
        request: PageRequest,
        client: ClientKey,
    ) -> Result<(oneshot::Receiver<PageResult>, bool), QueueFull> {
        let (sender, receiver) = oneshot::channel();
        let page = (key(&request.log), request.from);
        let mut inbox = self.inbox.lock();
        let inbox = &mut *inbox;
        if inbox.closed {
            return Err(QueueFull);
        }
        let joined = inbox.pages.contains_key(&page);
        if inbox.reading != Some(page)
            && !inbox
                .pages
                .get(&page)
                .is_some_and(|pending| pending.keys.contains(&client))
        {
            // One page stands in the queue once for each key that wants it: who joins late waits for his own turn at most.
            inbox.queue.push(client, page)?;
        }
        let pending = inbox.pages.entry(page).or_insert_with(|| PendingPage {
            request: Some(request),
            keys: HashSet::new(),
            waiters: Vec::new(),
        });
        pending.keys.insert(client);
        pending.waiters.push(sender);
        self.wakeup.notify_one();
        Ok((receiver, joined))
    }

    /// Suggests a page that somebody may want next: it is read when there is nothing else to do, so a client that replays alone
    /// finds it there, and among many nobody's turn is spent on it. Of several the last counts.
    pub(super) fn request_ahead(&self, request: PageRequest) {
        self.inbox.lock().ahead = Some(request);
        self.wakeup.notify_one();
    }

    /// Waits at most `wait` for something to do. Pages are given out only when `pages` says so.
    pub(super) fn next(&self, wait: Duration, pages: bool) -> Task {
        let mut inbox = self.inbox.lock();
        match inbox.next(pages) {
            Task::Idle => {
                self.wakeup.wait_for(&mut inbox, wait);
                inbox.next(pages)
            }
            task => task,
        }
    }

    /// The pages that will be given out next, at most so many.
    pub(super) fn upcoming(&self, max: usize) -> Vec<PageRequest> {
        let inbox = self.inbox.lock();
        let pages = inbox.queue.upcoming(max).into_iter();
        pages
            .filter_map(|page| inbox.pages.get(page))
            .filter(|pending| pending.waiters.iter().any(|waiter| !waiter.is_closed()))
            .filter_map(|pending| pending.request.clone())
            .collect()
    }

    /// Answers all who want the page that was given out.
    pub(super) fn finish(&self, result: &PageResult) {
        let mut inbox = self.inbox.lock();
        let pending = inbox.reading.take().and_then(|page| inbox.pages.remove(&page));
        drop(inbox);
        for waiter in pending.into_iter().flat_map(|pending| pending.waiters) {
            let _ = waiter.send(result.clone());
        }
    }

    /// Ends the reader's thread. Nobody waits in vain: the drop of a want tells its caller.
    pub(super) fn close(&self) {
        let mut inbox = self.inbox.lock();
        inbox.closed = true;
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

    /// The next page that somebody still waits for.
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
