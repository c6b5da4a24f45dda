use std::{convert::Infallible, iter, sync::mpsc};

use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};

use super::*;
use crate::{
    event::Encoding,
    kafka::{
        client::config::ClientKind, history::pool_core::PoolCore, settings::ClusterSettings,
        shared::ClusterShared,
    },
    partition::TopicPartition,
    position::{LogTag, Offset},
};

/// The started partitions of a reader of mock brokers, which answer each fetch with one batch of the producer.
struct Fixture {
    fetchers: PartitionFetchers,
    log: Arc<PartitionLog>,
    _brokers: MockCluster<'static, DefaultProducerContext>,
    _gone: mpsc::Receiver<Infallible>,
}

impl Fixture {
    /// Writes a log whose batches have about `batch` bytes.
    fn new(batch: usize) -> Self {
        let brokers = MockCluster::new(1).expect("brokers");
        brokers.create_topic("t", 1, 1).expect("a topic");
        write(&brokers.bootstrap_servers(), batch);
        let address = brokers.bootstrap_servers().parse().expect("an address");
        let shared = ClusterShared::standalone(&ClusterSettings::new("main", vec![address]));
        let (shutdown_guard, gone) = mpsc::channel();
        let core = PoolCore::new(&shared, [ClientConfig::new(), ClientConfig::new()], 1);
        let reader = KafkaReader::of_kind(ClientKind::History, &shared, &shutdown_guard).expect("a client");
        let run_client = RunClient::new(&core, shutdown_guard);
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        let tag = LogTag::from_bits(1, 1);
        Self {
            fetchers: PartitionFetchers::new(reader, run_client, FetcherLimit::new(64 << 20)),
            log: PartitionLog::new(partition, tag, Encoding::default(), RECORDS),
            _brokers: brokers,
            _gone: gone,
        }
    }

    fn request(&self, from: Offset, to: Offset) -> PageRequest {
        PageRequest {
            log: Arc::clone(&self.log),
            from,
            to,
        }
    }

    /// Reads a page, and checks that it begins where it was requested and lacks nothing.
    fn read(&mut self, request: &PageRequest, size: FetchSize, next: &[PageRequest]) -> FetchedPage {
        let next: Vec<_> = iter::zip(next.iter().cloned(), iter::repeat(size)).collect();
        let read = self.fetchers.read(request, size, &next, WAIT).expect("a page");
        assert_whole(&read);
        assert_eq!(read.page.range().start, request.from);
        read
    }

    /// The size and position of each started partition.
    fn started(&self) -> Vec<(FetchSize, Offset)> {
        let open = self.fetchers.open.iter();
        open.map(|fetcher| (fetcher.size, fetcher.position)).collect()
    }
}

/// Writes a log of [`RECORDS`] records to partition 0 of the topic `t`.
fn write(bootstrap: &str, batch: usize) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("batch.size", batch.to_string())
        .set("linger.ms", "1000")
        .create()
        .expect("a producer");
    for number in 0..RECORDS {
        let value = format!("{{\"n\":\"{number:>width$}\"}}", width = RECORD - 8);
        let record = BaseRecord::<[u8], _>::to("t").partition(0).payload(&value);
        producer.send(record).map_err(|(error, _)| error).expect("room");
    }
    producer.flush(WAIT).expect("all are written");
}

/// Checks that the page has an event for each offset that it covers.
fn assert_whole(fetched: &FetchedPage) {
    let offsets = fetched.page.events().iter().map(|event| event.offset);
    assert!(offsets.eq(fetched.page.range()), "{:?}", fetched.page.range());
}

#[test]
fn one_place_alone_is_read_on_without_a_second_start_and_nothing_that_was_fetched_is_dropped() {
    let mut fixture = Fixture::new(900_000);
    let (mut next, mut fetched) = (0, 0);
    while next < RECORDS - 1 {
        let request = fixture.request(next, (next + 256).min(RECORDS - 1));
        if next > 0 {
            assert!(fixture.fetchers.open[0].continues_with(&request));
        }
        let read = fixture.read(&request, FetchSize::Run, &[]);
        next = read.page.next();
        fetched += fixture.fetchers.take_fetched_bytes();
        assert_eq!(fixture.started(), [(FetchSize::Run, next)]);
        assert!(fixture.fetchers.take_leftovers().is_empty());
        // It reads on from what has been fetched, and is not limited to one fetch.
        assert_eq!(next, request.to);
    }
    // The message that says that the log ends may be among them.
    let all = RECORDS as usize * FETCHED_RECORD;
    let expected = all - FETCHED_RECORD..all + FETCHED_RECORD;
    assert!(expected.contains(&fetched), "{fetched} of {all}");
}

/// Reads two places in turn, of which the second follows while the first is read.
fn hand_over(size: FetchSize, batch: usize) {
    let mut fixture = Fixture::new(batch);
    let first = fixture.request(0, 32);
    let second = fixture.request(1000, 1032);
    let read = fixture.read(&first, size, std::slice::from_ref(&second));
    assert_eq!(read.page.range(), 0..32);
    assert_eq!(fixture.started(), [(size, 1000)], "it is fetched already");
    let limit = Arc::clone(&fixture.fetchers.limit);
    assert_eq!(limit.bytes(), size.ahead(), "the first one is gone");

    let mut next = 32;
    for (_, kept) in fixture.fetchers.take_leftovers() {
        assert_whole(&kept);
        assert_eq!(kept.page.range().start, next);
        next = kept.page.next();
    }
    // The last record of a fetch is left.
    assert!(next as usize * FETCHED_RECORD > batch * 9 / 10, "{next}");
    assert_eq!(
        fixture.fetchers.take_fetched_bytes(),
        next as usize * FETCHED_RECORD
    );

    let read = fixture.read(&second, size, &[]);
    assert_eq!(read.page.range(), 1000..1032);
    assert_eq!(fixture.started(), [(size, 1032)]);
    fixture.fetchers.stop_all(|_| true);
    assert_eq!(limit.bytes(), 0);
}

#[test]
fn the_next_place_is_fetched_while_a_page_is_built_and_the_rest_of_the_fetch_is_kept() {
    hand_over(FetchSize::Small, 200_000);
    hand_over(FetchSize::Run, 900_000);
}

#[test]
fn a_place_that_the_same_fetch_has_is_not_fetched_again() {
    let mut fixture = Fixture::new(200_000);
    let (first, second) = (fixture.request(0, 32), fixture.request(32, 64));
    let far = fixture.request(1000, 1032);
    fixture.read(&first, FetchSize::Small, &[second.clone(), far]);
    assert_eq!(fixture.started(), [(FetchSize::Small, 32)]);
    fixture.read(&second, FetchSize::Small, &[]);
    assert_eq!(fixture.started(), [(FetchSize::Small, 64)]);
}

/// Reads the first batch of a log with a small fetch, and then asks for a large one. Returns where the batch ends, the page that came
/// and what is started then.
fn go_over_to_large_fetches(batch: usize) -> (Offset, FetchedPage, Vec<(FetchSize, Offset)>) {
    let mut fixture = Fixture::new(batch);
    let mut next = 0;
    while !fixture
        .fetchers
        .open
        .first()
        .is_some_and(PartitionFetcher::is_used_up)
    {
        let request = fixture.request(next, next + 64);
        next = fixture.read(&request, FetchSize::Small, &[]).page.next();
    }
    let request = fixture.request(next, next + 64);
    let read = fixture.read(&request, FetchSize::Run, &[]);
    let started = fixture.started();
    if started.is_empty() {
        let request = fixture.request(read.page.next(), read.page.next() + 64);
        fixture.read(&request, FetchSize::Run, &[]);
        assert_eq!(fixture.started(), [(FetchSize::Run, request.to)]);
    }
    (next + 1, read, started)
}

#[test]
fn large_fetches_begin_behind_a_large_batch_and_not_with_the_last_record_of_it() {
    let (end, read, started) = go_over_to_large_fetches(900_000);
    assert_eq!(read.page.range(), end - 1..end);
    assert_eq!(started, []);
}

#[test]
fn large_fetches_begin_with_the_record_that_was_held_back_where_its_batch_is_small() {
    let (end, read, started) = go_over_to_large_fetches(200_000);
    assert_eq!(read.page.range(), end - 1..end + 63);
    assert_eq!(started, [(FetchSize::Run, end + 63)]);
}

/// Records of the log: as many as the mock brokers keep.
const RECORDS: Offset = 2_000;

/// Bytes of a record's value.
const RECORD: usize = 2_000;

/// Bytes of a record as they are counted.
const FETCHED_RECORD: usize = RECORD + 12;

/// The longest wait for brokers that have just started.
const WAIT: Duration = Duration::from_secs(20);
