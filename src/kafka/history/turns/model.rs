//! A model of many clients that read one topic from places of their own: the real queue, turns and cache, with fetches that are
//! only counted.

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc};

use tokio::sync::oneshot;

use super::*;
use crate::{
    event::{Encoding, Record},
    kafka::{
        client::config::PAGE_RECORDS,
        history::{
            cache::{Lookup, PageCache},
            fetch_client::FetchSize,
            fetcher_limit::FetcherLimit,
            log_key::key,
            request_queue::{PageRead, PageRequest, PageResult, RequestQueue, Task},
        },
    },
    partition::{Page, PageBuilder, PartitionLog, TopicPartition},
    position::{LogTag, Offset},
};

/// What the brokers and the worker are made of here.
struct Model {
    /// Records of a producer's batch.
    batch: Offset,
    cache: PageCache,
    limit: Arc<FetcherLimit>,
    turns: Turns,
    queue: RequestQueue,
    started: HashMap<(LogKey, FetchSize), Started>,
    /// Bytes that the brokers sent.
    fetched: usize,
    /// Fetches of [`FETCH_BYTES`].
    small_fetches: usize,
    /// How often a partition was started.
    starts: usize,
    now: Instant,
}

/// A started partition. Everything up to `queued` was fetched. The last record of a fetch is held back until it is needed.
struct Started {
    position: Offset,
    queued: Offset,
    /// Whether the last fetch shows that batches are large.
    has_large_batches: bool,
}

/// A client and what it waits for in each partition.
struct Reader {
    client: ClientKey,
    next: Vec<Offset>,
    waits: Vec<Option<oneshot::Receiver<PageResult>>>,
}

impl Model {
    fn new(budget: usize, batch: usize) -> Self {
        let limit = FetcherLimit::new(budget);
        Self {
            batch: (batch / RECORD) as Offset,
            cache: PageCache::new(budget).reserving(&limit),
            limit,
            turns: Turns::new(budget),
            queue: RequestQueue::default(),
            started: HashMap::new(),
            fetched: 0,
            small_fetches: 0,
            starts: 0,
            now: Instant::now(),
        }
    }

    /// Serves one request, if there is one.
    fn serve(&mut self) {
        self.now += Duration::from_millis(1);
        let (turns, now) = (&self.turns, self.now);
        let task = self
            .queue
            .next(Duration::ZERO, true, |client| turns.admit(client, now));
        if let Task::Read(request, client) = task {
            let page = match self.cache.find(&request.log, request.from) {
                Lookup::Hit(page) => page,
                _ => self.read(&request, client),
            };
            self.queue.finish(&Ok(PageRead::Page {
                page,
                at_log_end: false,
            }));
        }
    }

    fn read(&mut self, request: &PageRequest, client: ClientKey) -> Arc<Page> {
        let (log, before) = (key(&request.log), self.fetched);
        let run = self.cache.run_at(&request.log, request.from);
        let is_crowd = self.queue.has_waiters(request, 10);
        let wanted = FetchSize::of(run, is_crowd, || self.turns.fits_run(Some(client), log));
        let sizes = [FetchSize::Run, FetchSize::Small];
        let continues = |it: &Started| it.position == request.from && it.queued > it.position + 1;
        let size = sizes
            .into_iter()
            .find(|size| self.started.get(&(log, *size)).is_some_and(continues))
            .unwrap_or(wanted);
        let end = match self.take_last_of_small(request, size) {
            true => request.from + 1,
            false => self.read_on(request, size),
        };
        let page = Arc::new(page(request.from, end));
        self.cache.insert(&request.log, &page, false);
        self.turns.record_read(client, log, self.fetched - before);
        page
    }

    /// Stops small fetches of large batches where a run follows. Returns whether the record that is held back is the page.
    fn take_last_of_small(&mut self, request: &PageRequest, size: FetchSize) -> bool {
        let small = (key(&request.log), FetchSize::Small);
        let ends = |it: &Started| it.position == request.from && it.queued == it.position + 1;
        let ends = size == FetchSize::Run && self.started.get(&small).is_some_and(ends);
        let Some(old) = ends.then(|| self.started.remove(&small)).flatten() else {
            return false;
        };
        self.limit.release(FetchSize::Small.ahead());
        self.keep_rest(&request.log, &old, FetchSize::Small);
        old.has_large_batches
    }

    /// Reads a page as far as it was fetched, and returns its end.
    fn read_on(&mut self, request: &PageRequest, size: FetchSize) -> Offset {
        let slot = (key(&request.log), size);
        self.move_to(request, size);
        let Some(started) = self.started.get_mut(&slot) else {
            return request.from;
        };
        started.position = request.to.min(started.queued - 1);
        started.position
    }

    /// Starts the partition at the request, unless it is there, and fetches if nothing but the record that is held back is queued.
    fn move_to(&mut self, request: &PageRequest, size: FetchSize) {
        let slot = (key(&request.log), size);
        let stays = |it: &Started| it.position == request.from;
        if !self.started.get(&slot).is_some_and(stays) {
            match self.started.remove(&slot) {
                Some(old) => self.keep_rest(&request.log, &old, size),
                None => {
                    self.limit.acquire_beyond_limit(size.ahead());
                }
            }
            let started = Started {
                position: request.from,
                queued: request.from,
                has_large_batches: false,
            };
            self.started.insert(slot, started);
            self.starts += 1;
        }
        if let Some(started) = self.started.get_mut(&slot)
            && started.queued <= started.position + 1
        {
            // A broker sends whole batches, from the one on that has the place, and cuts the last one. The first one is never cut.
            let (begin, batch) = (started.queued - started.queued % self.batch, self.batch as usize);
            let batches = (size.bytes() / (batch * RECORD)).max(1);
            let (asked, came) = (size.bytes(), batches * batch * RECORD);
            started.queued = begin + (batches * batch) as Offset;
            started.has_large_batches = size.shows_large_batches(came);
            self.fetched += asked.max(came);
            self.small_fetches += usize::from(size == FetchSize::Small);
        }
    }

    /// Keeps what was fetched for a place as pages. The last record of large batches is kept too, at the risk of one more fetch.
    fn keep_rest(&mut self, log: &Arc<PartitionLog>, old: &Started, size: FetchSize) {
        let end = old.queued - Offset::from(!old.has_large_batches);
        if old.has_large_batches {
            self.fetched += size.bytes().max(self.batch as usize * RECORD) / 4;
        }
        let mut from = old.position;
        while from < end {
            let to = end.min(from + PAGE_RECORDS);
            if let Lookup::Miss { .. } = self.cache.find(log, from) {
                self.cache.insert(log, &Arc::new(page(from, to)), false);
            }
            from = to;
        }
    }

    /// Lets a client take a batch, if there are pages of all its partitions. Returns the bytes that it took.
    fn step(&mut self, logs: &[Arc<PartitionLog>], reader: &mut Reader) -> usize {
        let mut ready = true;
        let mut ends = Vec::new();
        for (index, log) in logs.iter().enumerate() {
            let next = reader.next[index];
            match self.cache.find(log, next) {
                Lookup::Hit(page) => {
                    reader.waits[index] = None;
                    ends.push(page.next());
                }
                Lookup::Miss { from, to } => {
                    ready = false;
                    let answered = |wait: &mut oneshot::Receiver<_>| wait.try_recv().is_ok();
                    if reader.waits[index].as_mut().is_none_or(answered) {
                        let log = Arc::clone(log);
                        self.turns.expect(reader.client, key(&log), self.now);
                        let asked = self.queue.request(PageRequest { log, from, to }, reader.client);
                        reader.waits[index] = asked.ok().map(|(answer, _)| answer);
                    }
                }
                Lookup::Below => panic!("nothing is deleted"),
            }
        }
        if !ready {
            return 0;
        }
        let Some(index) = (0..logs.len()).min_by_key(|index| reader.next[*index]) else {
            return 0;
        };
        let next = (reader.next[index] + (65_536 / RECORD) as Offset).min(ends[index]);
        let taken = next - reader.next[index];
        reader.next[index] = next;
        taken as usize * RECORD
    }
}

fn page(from: Offset, to: Offset) -> Page {
    let value = format!("{{\"n\":\"{}\"}}", "x".repeat(RECORD - 8));
    let mut page = PageBuilder::new(from, Encoding::default());
    for offset in from..to {
        assert_eq!(page.push(&Record::bare(offset, Some(value.as_bytes()))), Ok(()));
    }
    page.finish(to)
}

/// Lets clients read, each from a place of its own in a log of ten times the budget, until they have read `tenths` of it.
/// Returns the model, the bytes that they took, and those of the client that got least.
fn scattered(clients: usize, partitions: usize, budget: usize, tenths: usize) -> (Model, usize, usize) {
    let logs: Vec<_> = (0..partitions).map(log).collect();
    let records = budget * 10 / RECORD / partitions;
    let mut model = Model::new(budget, BATCH);
    let mut readers: Vec<_> = (0..clients)
        .map(|number| Reader {
            client: ClientKey::of(Ipv4Addr::from(number as u32 + 1).into()),
            next: vec![(records / clients * number) as Offset + 7; partitions],
            waits: (0..partitions).map(|_| None).collect(),
        })
        .collect();
    let mut taken = vec![0; clients];
    while taken.iter().sum::<usize>() < budget * tenths {
        for (reader, taken) in readers.iter_mut().zip(&mut taken) {
            *taken += model.step(&logs, reader);
        }
        for _ in 0..4 {
            model.serve();
        }
    }
    let delivered: usize = taken.iter().sum();
    let least = taken.iter().min().copied().unwrap_or(0);
    (model, delivered, least)
}

fn log(partition: usize) -> Arc<PartitionLog> {
    let partition = TopicPartition {
        topic: "edits".into(),
        partition: partition as i32,
    };
    PartitionLog::new(partition, LogTag::from_bits(1, 1), Encoding::default(), 0)
}

#[test]
fn clients_at_many_places_fetch_little_more_than_they_take() {
    // The turns of clients that merge several partitions are longer.
    let cases = [
        (1, 1, 4),
        (8, 1, 4),
        (200, 1, 4),
        (1, 6, 4),
        (8, 6, 6),
        (40, 6, 10),
    ];
    for (clients, partitions, tenths) in cases {
        let (model, delivered, least) = scattered(clients, partitions, 16 << 20, tenths);
        let ratio = model.fetched as f64 / delivered as f64;
        assert!(
            ratio <= 1.3,
            "{clients} clients, {partitions} partitions: {ratio}"
        );
        // With more clients, not all have had a turn by then.
        assert!(
            clients > 8 || least > 0,
            "{clients} clients, {partitions} partitions"
        );
    }
}

#[test]
fn a_client_alone_goes_on_with_large_fetches_from_one_start() {
    for (partitions, budget) in [(1, 16 << 20), (6, 32 << 20)] {
        let (model, delivered, _) = scattered(1, partitions, budget, 4);
        assert_eq!(model.starts, 2 * partitions, "one with fetches of each size");
        assert!(model.small_fetches <= 3 * partitions, "{}", model.small_fetches);
        let ratio = model.fetched as f64 / delivered as f64;
        assert!(ratio <= 1.1, "{partitions} partitions: {ratio}");
    }
}

#[test]
fn clients_that_read_on_and_on_have_large_fetches_although_they_take_turns() {
    for clients in [8, 24] {
        let (model, ..) = scattered(clients, 1, 16 << 20, 4);
        assert!(
            model.small_fetches <= 4 * clients,
            "{clients} clients: {}",
            model.small_fetches
        );
    }
}

#[test]
fn a_crowd_at_one_place_costs_the_brokers_one_whatever_the_batches_of_the_producer() {
    for batch in [16_384, 100_000, 1_000_000] {
        let mut model = Model::new(16 << 20, batch);
        let logs = [log(0)];
        let reader = |number: u32| Reader {
            client: ClientKey::of(Ipv4Addr::from(number + 1).into()),
            next: vec![0],
            waits: vec![None],
        };
        let mut readers: Vec<_> = (0..100).map(reader).collect();
        // One of them comes before the others.
        while model.step(&logs, &mut readers[0]) == 0 {
            model.serve();
        }
        while readers.iter().any(|reader| reader.next[0] < CROWD_RECORDS) {
            for reader in readers.iter_mut().filter(|it| it.next[0] < CROWD_RECORDS) {
                model.step(&logs, reader);
            }
            model.serve();
        }
        let ratio = model.fetched as f64 / (CROWD_RECORDS as usize * RECORD) as f64;
        // Where the last record of a large batch is left when large fetches begin, this is 1.2.
        assert!(ratio <= 1.15, "batches of {batch} bytes: {ratio}");
    }
}

/// Records that a crowd reads: 7.8 MB, somewhat less than eight of the largest batches.
const CROWD_RECORDS: Offset = 3_900;

/// Bytes of a record.
const RECORD: usize = 2_000;

/// Bytes of a producer's batch.
const BATCH: usize = 16_384;
