//! What is wanted of one history reader.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{
    cache::{LogKey, key},
    turns::{Full, Turns},
};
use crate::{
    client::ClientKey,
    partition::{HistoryError, Page, PartitionLog},
    position::Offset,
};

/// Wants wait here until the reader's thread takes them. One that is wanted by several is read once.
#[derive(Default)]
pub(super) struct Mailbox {
    inbox: Mutex<Inbox>,
    mail: Condvar,
}

/// What a read of a page gave.
#[derive(Clone, Debug)]
pub(super) enum PageRead {
    /// This page; `ends` says that the log ended behind it.
    Page { page: Arc<Page>, ends: bool },
    /// Nothing, but it is known now that nothing can be read where it was to begin: the log is damaged there.
    Moved,
}

pub(super) type PageResult = Result<PageRead, HistoryError>;

/// A page to read.
#[derive(Clone, Debug)]
pub(super) struct PageWant {
    pub(super) log: Arc<PartitionLog>,
    pub(super) from: Offset,
    pub(super) to: Offset,
}

/// What the reader is to do next.
pub(super) enum Task {
    /// Read a page, then [`finish`](Mailbox::finish) it.
    Read(PageWant),
    /// Read a page that nobody waits for yet.
    ReadAhead(PageWant),
    /// Nothing for now.
    Rest,
    /// End.
    Close,
}

#[derive(Default)]
struct Inbox {
    pages: HashMap<PageKey, Flight>,
    turns: Turns<PageKey>,
    /// A page that somebody may want next.
    ahead: Option<PageWant>,
    /// The page being read.
    reading: Option<PageKey>,
    closed: bool,
}

/// A page is named by its log and its start.
type PageKey = (LogKey, Offset);

/// A page that is wanted, or being read.
struct Flight {
    want: Option<PageWant>,
    /// The keys it stands in the queue under.
    keys: HashSet<ClientKey>,
    waiters: Vec<oneshot::Sender<PageResult>>,
}

impl Mailbox {
    /// Wants a page for `client`; whether somebody else wanted it already. Dropping the receiver takes the want back.
    pub(super) fn want(
        &self,
        want: PageWant,
        client: ClientKey,
    ) -> Result<(oneshot::Receiver<PageResult>, bool), Full> {
        let (sender, receiver) = oneshot::channel();
        let page = (key(&want.log), want.from);
        let mut inbox = self.inbox.lock();
        let inbox = &mut *inbox;
        if inbox.closed {
            return Err(Full);
        }
        let joined = inbox.pages.contains_key(&page);
        if inbox.reading != Some(page)
            && !inbox
                .pages
                .get(&page)
                .is_some_and(|flight| flight.keys.contains(&client))
        {
            // One page stands in the queue once for each key that wants it: who joins late waits for his own turn at most.
            inbox.turns.push(client, page)?;
        }
        let flight = inbox.pages.entry(page).or_insert_with(|| Flight {
            want: Some(want),
            keys: HashSet::new(),
            waiters: Vec::new(),
        });
        flight.keys.insert(client);
        flight.waiters.push(sender);
        self.mail.notify_one();
        Ok((receiver, joined))
    }

    /// Suggests a page that somebody may want next: it is read when there is nothing else to do, so a client that replays alone
    /// finds it there, and among many nobody's turn is spent on it. Of several the last counts.
    pub(super) fn suggest(&self, want: PageWant) {
        self.inbox.lock().ahead = Some(want);
        self.mail.notify_one();
    }

    /// Waits at most `wait` for something to do. Pages are given out only when `pages` says so.
    pub(super) fn next(&self, wait: Duration, pages: bool) -> Task {
        let mut inbox = self.inbox.lock();
        match inbox.next(pages) {
            Task::Rest => {
                self.mail.wait_for(&mut inbox, wait);
                inbox.next(pages)
            }
            task => task,
        }
    }

    /// The pages that will be given out next, at most so many.
    pub(super) fn upcoming(&self, most: usize) -> Vec<PageWant> {
        let inbox = self.inbox.lock();
        let pages = inbox.turns.upcoming(most).into_iter();
        pages
            .filter_map(|page| inbox.pages.get(page))
            .filter(|flight| flight.waiters.iter().any(|waiter| !waiter.is_closed()))
            .filter_map(|flight| flight.want.clone())
            .collect()
    }

    /// Answers all who want the page that was given out.
    pub(super) fn finish(&self, result: &PageResult) {
        let mut inbox = self.inbox.lock();
        let flight = inbox.reading.take().and_then(|page| inbox.pages.remove(&page));
        drop(inbox);
        for waiter in flight.into_iter().flat_map(|flight| flight.waiters) {
            let _ = waiter.send(result.clone());
        }
    }

    /// Ends the reader's thread. Nobody waits in vain: the drop of a want tells its caller.
    pub(super) fn close(&self) {
        let mut inbox = self.inbox.lock();
        inbox.closed = true;
        self.mail.notify_one();
    }
}

impl Inbox {
    fn next(&mut self, pages: bool) -> Task {
        if self.closed {
            self.pages.clear();
            self.ahead = None;
            return Task::Close;
        }
        match pages.then(|| self.next_page()).flatten() {
            Some(want) => Task::Read(want),
            None => match pages.then(|| self.ahead.take()).flatten() {
                Some(want) => Task::ReadAhead(want),
                None => Task::Rest,
            },
        }
    }

    /// The next page that somebody still waits for.
    fn next_page(&mut self) -> Option<PageWant> {
        while let Some(page) = self.turns.pop() {
            let Some(flight) = self.pages.get_mut(&page) else {
                continue;
            };
            flight.waiters.retain(|waiter| !waiter.is_closed());
            if flight.waiters.is_empty() {
                self.pages.remove(&page);
            } else if let Some(want) = flight.want.take() {
                self.reading = Some(page);
                return Some(want);
            }
        }
        None
    }
}
