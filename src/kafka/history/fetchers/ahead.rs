//! Partitions that are started before they are read, so that they are fetched during another read.

use std::{
    ops::Range,
    sync::Arc,
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
    partition::PartitionLog,
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
        let mut room = self.room_ahead();
        let mut seen: Vec<LogKey> = Vec::new();
        for (request, size) in requests {
            let log = key(&request.log);
            if room == 0 {
                break;
            }
            let is_known = seen.contains(&log);
            seen.push(log);
            if is_known
                || self.large_logs.contains(&request.log)
                || self.open.iter().any(|fetcher| fetcher.continues_with(&request))
            {
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
                    room -= 1;
                }
                Err(_) => self.limit.release(size.ahead()),
            }
        }
        self.let_fetch();
    }

    /// Waits until `deadline` for the next item of a partition, and looks at what comes of the others meanwhile. Whichever begins with a
    /// record larger than a page, the others are stopped, before a page of that one takes as much memory again.
    pub(super) fn wait_for_item(&mut self, fetcher: &mut PartitionFetcher, deadline: Instant) {
        while !fetcher.queue.has_item() && !fetcher.is_detached() {
            let now = Instant::now();
            if fetcher.queue.fill(deadline.min(now + LOOK_EVERY)) || now >= deadline {
                break;
            }
            self.drop_large_unread();
        }
        if fetcher.front_size() > PAGE_BYTES {
            self.make_room_beside(&fetcher.log);
        }
    }

    /// Looks at what came of the partitions that are not read yet. Those with large records are not fetched beside each other, because a
    /// large record is many times what is reserved for a partition: if one came, all are stopped, and what they have is kept as pages.
    fn take_what_came(&mut self) {
        let mut has_large = false;
        for fetcher in &mut self.open {
            has_large |= fetcher.take_last_fetch();
        }
        if has_large {
            self.large_seen = Some(Instant::now());
            self.drop_large_unread();
            self.stop_all(|fetcher| !fetcher.was_read);
        }
    }

    /// Makes room beside a log of which a record larger than a page came: stops all partitions but the one that is being read which hold
    /// such a record or may soon.
    pub(super) fn make_room_beside(&mut self, log: &Arc<PartitionLog>) {
        self.large_logs.record(log);
        self.drop_large_unread();
        self.stop_all(|fetcher| fetcher.has_large_records || !fetcher.was_read);
    }

    /// Stops the partitions that are not read yet if one of them begins with a record larger than a page. Such records are dropped.
    /// They are fetched again when they are read, and their partitions are started no more before that.
    fn drop_large_unread(&mut self) {
        let mut has_large = false;
        for fetcher in self.open.iter_mut().filter(|fetcher| !fetcher.was_read) {
            if fetcher.first_size() > PAGE_BYTES {
                fetcher.has_large_records = true;
                self.large_logs.record(&fetcher.log);
                has_large = true;
            }
        }
        if has_large {
            self.stop_all(|fetcher| !fetcher.was_read);
        }
    }

    /// Returns how many partitions may be started before they are read.
    fn room_ahead(&self) -> usize {
        let is_recent = |seen: Instant| seen.elapsed() < LARGE_REMEMBERED_FOR;
        match self.large_seen.is_some_and(is_recent) || !self.large_logs.is_empty() {
            true => 1,
            false => usize::MAX,
        }
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
        // Two large records would be on their way.
        if self.large_logs.contains(&fetcher.log) {
            return;
        }
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
