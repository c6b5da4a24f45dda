//! Partitions that are started before they are read, so that they are fetched during another read.

use std::{
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use super::PartitionFetchers;
use crate::{
    kafka::{
        client::config::PAGE_BYTES,
        history::{
            fetch_client::{FetchClient, FetchSize},
            log_key::{LogKey, key},
            partition_fetcher::PartitionFetcher,
            request_queue::PageRequest,
        },
    },
    position::Offset,
};

impl PartitionFetchers {
    /// Starts partitions that will be read next, as far as the limit allows. They fetch during the current read, so that many
    /// short reads take as long as a few. Those that are short have their end looked for meanwhile.
    pub(in crate::kafka::history) fn start_ahead(
        &mut self,
        requests: impl IntoIterator<Item = (PageRequest, FetchSize)>,
    ) {
        self.take_what_came();
        if self.has_seen_large() {
            return;
        }
        let mut seen: Vec<LogKey> = Vec::new();
        for (request, size) in requests {
            let log = key(&request.log);
            let is_known = seen.contains(&log);
            seen.push(log);
            if is_known || self.open.iter().any(|fetcher| fetcher.continues_with(&request)) {
                continue;
            }
            let Some(client) = self.reserve_ahead(&request, size) else {
                continue;
            };
            let size = client.size();
            match PartitionFetcher::start(&request, client) {
                Ok(mut fetcher) => {
                    self.set_holding_back(&mut fetcher);
                    self.open.push(fetcher);
                }
                Err(_) => self.limit.release(size.ahead()),
            }
        }
        self.let_fetch();
    }

    /// Waits until `deadline` for the next item of a partition, and looks at what comes of the others meanwhile. If the item is a large
    /// record, those that would hold another one are stopped before a page of it takes as much again.
    pub(super) fn wait_for_item(&mut self, fetcher: &mut PartitionFetcher, deadline: Instant) {
        while !fetcher.queue.has_item() && !fetcher.is_detached() {
            let now = Instant::now();
            if fetcher.queue.fill(deadline.min(now + LOOK_EVERY)) || now >= deadline {
                break;
            }
            self.take_what_came();
        }
        if fetcher.queue.is_large() {
            self.make_room_for_large();
        }
    }

    /// Looks at what came of the partitions that are not read yet, and makes room if that is a large record.
    fn take_what_came(&mut self) {
        let mut has_large = false;
        for fetcher in &mut self.open {
            if fetcher.take_last_fetch() {
                fetcher.has_large_records = fetcher.front_size() > PAGE_BYTES;
                has_large = true;
            }
        }
        if has_large {
            self.make_room_for_large();
        }
    }

    /// Stops all partitions but the one that is being read which have large records or may soon: the memory that is reserved for a
    /// partition is a fraction of such a record. What they have is kept as pages, except records larger than a page.
    pub(super) fn make_room_for_large(&mut self) {
        self.large_seen = Some(Instant::now());
        self.stop_all(|fetcher| fetcher.has_large_records || !fetcher.was_read);
    }

    /// Returns whether a large record came of late, so that no partition is started before it is read.
    fn has_seen_large(&self) -> bool {
        self.large_seen
            .is_some_and(|seen| seen.elapsed() < LARGE_REMEMBERED_FOR)
    }

    /// Lets the client fetch the partitions that were started and are not read yet. Waits a moment for those of which it has yet to
    /// hear.
    fn let_fetch(&mut self) {
        let deadline = Instant::now() + START_WAIT;
        let mut starting: Vec<_> = self.open.iter_mut().map(|fetcher| &mut fetcher.queue).collect();
        loop {
            starting.retain_mut(|queue| !queue.take_start_mark());
            if starting.is_empty() || Instant::now() >= deadline {
                return;
            }
            thread::sleep(START_WAIT / 20);
        }
    }

    /// Reserves bytes for a partition that is read next, and returns the client that reads it. A run does not take over from
    /// another one before its turn.
    fn reserve_ahead(&mut self, request: &PageRequest, size: FetchSize) -> Option<FetchClient> {
        if size == FetchSize::Run {
            let has_run =
                |fetcher: &PartitionFetcher| fetcher.size == FetchSize::Run && fetcher.is_of(request);
            if self.open.iter().any(has_run) {
                return None;
            }
            if self.limit.try_acquire(size.ahead()) {
                match self.run_client.acquire(request.log.partition()) {
                    Some(permit) => return Some(FetchClient::Run(permit)),
                    None => self.limit.release(size.ahead()),
                }
            }
        }
        self.stop_all(|fetcher| fetcher.size == FetchSize::Small && fetcher.is_of(request));
        self.make_room_ahead()
            .then(|| FetchClient::Own(self.reader.clone()))
    }

    /// Reserves bytes for one more partition, and stops one that was idle for [`IDLE_AFTER`] if there are none. Returns `false` if
    /// that is not enough.
    fn make_room_ahead(&mut self) -> bool {
        let bytes = FetchSize::Small.ahead();
        let reserved: usize = self.open.iter().map(|fetcher| fetcher.size.ahead()).sum();
        if reserved + bytes <= self.limit.per_reader_limit() && self.limit.try_acquire(bytes) {
            return true;
        }
        let now = Instant::now();
        let idle = |fetcher: &PartitionFetcher| now.duration_since(fetcher.last_used) >= IDLE_AFTER;
        let Some(at) = self.open.iter().position(idle) else {
            return false;
        };
        let fetcher = self.open.swap_remove(at);
        self.stop(fetcher);
        self.limit.try_acquire(bytes)
    }

    /// Lets the client fetch the next place of a partition as soon as it has the fetch of this one. Otherwise the broker would wait
    /// while a page is built, and the reader while it is fetched, and several places would get less than one alone.
    pub(super) fn hand_over(
        &mut self,
        fetcher: &mut PartitionFetcher,
        next: &[(PageRequest, FetchSize)],
        deadline: Instant,
    ) {
        let follows = |(request, size): &&(PageRequest, FetchSize)| {
            *size == fetcher.size && !self.open.iter().any(|open| open.continues_with(request))
        };
        let Some((request, size)) = next.iter().find(follows) else {
            return;
        };
        let is_needed = |fetched: Range<Offset>| next.iter().any(|(it, _)| fetched.contains(&it.from));
        let before = fetcher.reserved_bytes();
        if self.limit.has_room(size.bytes()) && fetcher.detach(deadline, is_needed) {
            self.limit.release(before - fetcher.reserved_bytes());
            if *size == FetchSize::Run {
                self.contests.record(&request.log);
            }
            self.start_ahead([(request.clone(), *size)]);
        }
    }
}

/// How long a reader waits for its client to start partitions, which takes it some 0.1 ms. Those that take longer are fetched when
/// the next page is read.
const START_WAIT: Duration = Duration::from_millis(2);

/// How often a reader that waits for a partition looks at what came of the others.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a large record counts as a sign that others may come.
const LARGE_REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// Time without a read after which a started partition may be stopped for another. Clients that replay one after the other are
/// back sooner.
const IDLE_AFTER: Duration = Duration::from_secs(1);
