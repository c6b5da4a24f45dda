//! Queue of page requests for one history reader.
//!
//! Requests are served in sweeps: those of some clients, in the order of the log.
//!
//! Not here: the thread that serves it (`worker`), the order among clients (`fair_queue`), and which of them have their turn
//! (`turns`).

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{
    fair_queue::{Choice, FairQueue, QueueFull},
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
    /// Read a page for this client, then call [`finish`](RequestQueue::finish).
    Read(PageRequest, ClientKey),
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
    /// The pages of this sweep, the last one first: sorted by log and offset, so that neighboring pages come from one fetch.
    sweep: Vec<(PageKey, ClientKey)>,
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

    /// Waits at most `wait` for a task. Returns reads only if `pages` is set, and only of clients that `admit` lets read now.
    pub(super) fn next(&self, wait: Duration, pages: bool, mut admit: impl FnMut(ClientKey) -> bool) -> Task {
        let mut state = self.state.lock();
        match state.next(pages, &mut admit) {
            Task::Idle => {
                let wait = match pages && !state.queue.is_empty() {
                    true => wait.min(LINE_INTERVAL),
                    false => wait,
                };
                self.wakeup.wait_for(&mut state, wait);
                state.next(pages, &mut admit)
            }
            task => task,
        }
    }

    /// Returns the requests that are served next, in order, and for which client.
    pub(super) fn upcoming(&self) -> Vec<(PageRequest, ClientKey)> {
        let state = self.state.lock();
        let pages = state.sweep.iter().rev();
        pages
            .filter_map(|(page, client)| Some((state.pages.get(page)?, *client)))
            .filter(|(pending, _)| pending.has_waiter())
            .filter_map(|(pending, client)| Some((pending.request.clone()?, client)))
            .collect()
    }

    /// Returns whether `count` callers wait for a page.
    pub(super) fn has_waiters(&self, request: &PageRequest, count: usize) -> bool {
        let state = self.state.lock();
        let pending = state.pages.get(&(key(&request.log), request.from));
        let waiters = pending.into_iter().flat_map(|pending| &pending.waiters);
        waiters.filter(|waiter| !waiter.is_closed()).take(count).count() == count
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
    fn next(&mut self, pages: bool, admit: &mut impl FnMut(ClientKey) -> bool) -> Task {
        if self.closed {
            self.pages.clear();
            self.sweep.clear();
            self.ahead = None;
            return Task::Close;
        }
        if !pages {
            return Task::Idle;
        }
        match self.next_page(admit) {
            Some((request, client)) => Task::Read(request, client),
            None => self.ahead.take().map_or(Task::Idle, Task::ReadAhead),
        }
    }

    /// Returns the next page that a client still waits for, and that client.
    fn next_page(&mut self, admit: &mut impl FnMut(ClientKey) -> bool) -> Option<(PageRequest, ClientKey)> {
        if self.sweep.is_empty() {
            self.begin_sweep(admit);
        }
        while let Some((page, client)) = self.sweep.pop() {
            if let Some(request) = self.take_request(page) {
                self.reading = Some(page);
                // The next sweep begins before the last page of this one is read, so that its first pages are fetched meanwhile.
                if self.sweep.is_empty() {
                    self.begin_sweep(admit);
                }
                return Some((request, client));
            }
        }
        None
    }

    /// Takes the next pages out of the queue, at most [`SWEEP`] of them. A page that is in the sweep, or being read, takes no turn of
    /// the other clients that want it.
    fn begin_sweep(&mut self, admit: &mut impl FnMut(ClientKey) -> bool) {
        while self.sweep.len() < SWEEP {
            let (queue, pages, sweep) = (&mut self.queue, &mut self.pages, &self.sweep);
            let next = queue.pop_where(|client, page| match pages.get(page) {
                Some(pending) if pending.request.is_none() => Choice::Drop,
                Some(pending) if !pending.has_waiter() => {
                    pages.remove(page);
                    Choice::Drop
                }
                Some(_) if sweep.iter().any(|(swept, _)| swept == page) => Choice::Drop,
                Some(_) if admit(client) => Choice::Take,
                Some(_) => Choice::Leave,
                None => Choice::Drop,
            });
            let Some((client, page)) = next else { break };
            self.sweep.push((page, client));
        }
        // The last one is taken first.
        self.sweep.sort_unstable_by_key(|(page, _)| Reverse(*page));
    }

    /// Marks a page as being read, and returns its request. Returns `None` if no client waits for it, or if it is read already.
    fn take_request(&mut self, page: PageKey) -> Option<PageRequest> {
        let pending = self.pages.get_mut(&page)?;
        if !pending.has_waiter() {
            self.pages.remove(&page);
            return None;
        }
        pending.request.take()
    }
}

impl PendingPage {
    fn has_waiter(&self) -> bool {
        self.waiters.iter().any(|waiter| !waiter.is_closed())
    }
}

/// The most pages of a sweep. A client that requests a page after a sweep has begun waits for as many others. The partitions of a
/// sweep are fetched at once: reading a short one to its end takes two fetches, and the second one waits at the broker, which
/// costs a millisecond each with this many.
const SWEEP: usize = 32;

/// How often the line of clients is looked at that wait for their turn. A turn ends while another reader serves its client.
const LINE_INTERVAL: Duration = Duration::from_millis(3);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{event::Encoding, partition::TopicPartition, position::LogTag};

    fn log() -> Arc<PartitionLog> {
        let partition = TopicPartition {
            topic: "edits".into(),
            partition: 0,
        };
        PartitionLog::new(partition, LogTag::from_bits(1, 1), Encoding::default(), 0)
    }

    fn request(log: &Arc<PartitionLog>, from: Offset) -> PageRequest {
        PageRequest {
            log: Arc::clone(log),
            from,
            to: from + 64,
        }
    }

    fn client(number: u8) -> ClientKey {
        ClientKey::of(Ipv4Addr::new(192, 0, 2, number).into())
    }

    /// Returns the first offset of the next page, and the clients whose turns it and the sweep behind it take.
    fn next(queue: &RequestQueue) -> (Offset, Vec<ClientKey>) {
        let mut admitted = Vec::new();
        let task = queue.next(Duration::ZERO, true, |client| {
            admitted.push(client);
            true
        });
        let Task::Read(request, _) = task else {
            panic!("nothing to read")
        };
        (request.from, admitted)
    }

    #[test]
    fn a_page_that_many_clients_want_takes_one_turn_and_answers_them_all() {
        let (queue, log) = (RequestQueue::default(), log());
        let ask = |from, number| {
            let asked = queue.request(request(&log, from), client(number));
            asked.expect("room").0
        };
        let mut answers: Vec<_> = (0..20).map(|number| ask(0, number)).collect();
        let other = ask(64, 99);
        assert!(queue.has_waiters(&request(&log, 0), 20) && !queue.has_waiters(&request(&log, 0), 21));
        assert_eq!(next(&queue), (0, vec![client(0), client(99)]));
        // One that comes during the read joins it.
        answers.push(ask(0, 20));
        queue.finish(&Ok(PageRead::Unreadable));
        for mut answer in answers {
            assert!(matches!(answer.try_recv(), Ok(Ok(PageRead::Unreadable))));
        }
        assert_eq!(next(&queue), (64, vec![]));
        queue.finish(&Ok(PageRead::Unreadable));
        drop(other);
        assert!(matches!(queue.next(Duration::ZERO, true, |_| true), Task::Idle));
    }
}
