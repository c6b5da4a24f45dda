//! Benchmarks of the parts that every record, batch and id passes through: `cargo bench --package
//! riverhead-loadtest`.

// A benchmark that cannot be set up has no result.
#![allow(missing_docs, clippy::expect_used)]

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use divan::{
    Bencher, black_box,
    counter::{BytesCount, ItemsCount},
};
use futures_util::future::{BoxFuture, pending};
use riverhead::{
    client::ClientKey,
    event::{Encoding, Headers, Record, encode},
    filter::{Filter, FilterInput},
    partition::{
        Bounds, History, HistoryError, LogDirectory, LogRead, Page, PageBuilder, PartitionLog, TopicPartition,
    },
    position::{IdForm, IdWriter, LogPosition, LogTag, Offset, PartitionPosition, Timestamp, decode},
    projection::Projection,
    subscription::{LogSource, StreamView, SubscribeRequest, Subscription},
};

fn main() {
    divan::main();
}

/// Encodes a value as its `data:` line, with validation.
#[divan::bench(args = [200, 700, 4_000])]
fn encode_json(bencher: Bencher<'_, '_>, bytes: usize) {
    let value = value(1, bytes);
    let mut out = Vec::with_capacity(2 * bytes);
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        out.clear();
        encode(Encoding::default(), &record(1, &value), &mut out)
    });
}

/// Evaluates filters: on a field that comes early, on one that comes last, on Kafka's metadata, and on all of
/// them.
#[divan::bench(args = [
    "n > -1",
    "exists pad",
    "@partition = 0",
    "n > -1 and (title = other or title prefix \"Bj\") and exists pad and @partition in (0, 1)",
])]
fn filter(bencher: Bencher<'_, '_>, text: &str) {
    let filter = Filter::parse(text).expect("a filter");
    let value = value(1, 700);
    let subject = FilterInput {
        topic: TOPIC,
        partition: 0,
        offset: 1,
        timestamp: NOW,
        key: None,
        headers: Headers::default(),
        document: Some(value.as_bytes()),
    };
    assert!(filter.accepts(&subject));
    bencher.bench_local(|| filter.accepts(black_box(&subject)));
}

/// Parses a filter as a client sends it.
#[divan::bench]
fn compile_a_filter(bencher: Bencher<'_, '_>) {
    let text = r#"wiki = "enwiki" and type in (edit, new) and not bot = true"#;
    bencher.bench_local(|| Filter::parse(black_box(text)).is_ok());
}

/// Writes the id of an event when one partition has moved.
#[divan::bench(args = [1, 6, 60], consts = [true, false])]
fn id_behind_an_event<const COMPACT: bool>(bencher: Bencher<'_, '_>, partitions: usize) {
    let form = if COMPACT { IdForm::Compact } else { IdForm::Json };
    let mut composer = composer(form, partitions);
    let (mut out, mut offset) = (Vec::with_capacity(8192), 1);
    bencher.bench_local(|| {
        out.clear();
        offset += 1;
        composer.set(offset as usize % partitions, &place(offset));
        composer.write(&mut out);
        out.len()
    });
}

/// Parses a `Last-Event-ID` as a client sends it.
#[divan::bench(args = [1, 6, 60], consts = [true, false])]
fn decode_an_id<const COMPACT: bool>(bencher: Bencher<'_, '_>, partitions: usize) {
    let form = if COMPACT { IdForm::Compact } else { IdForm::Json };
    let mut id = Vec::new();
    composer(form, partitions).write(&mut id);

    bencher.bench_local(|| decode(black_box(&id)).is_ok());
}

/// Adds a page to a ring, which drops the oldest one.
#[divan::bench(args = [1, 100])]
fn ring_append(bencher: Bencher<'_, '_>, events: usize) {
    let log = log(0, 0);
    for _ in 0..RING {
        log.append(page(log.next(), events));
    }
    bencher
        .counter(ItemsCount::new(events))
        .with_inputs(|| page(log.next(), events))
        .bench_local_values(|page| {
            log.append(page);
            log.evict_oldest()
        });
}

/// Finds the page of a cursor in a full ring.
#[divan::bench]
fn ring_read(bencher: Bencher<'_, '_>) {
    let log = log(0, 0);
    for _ in 0..RING {
        log.append(page(log.next(), 10));
    }
    let mut offset = 0;
    bencher.bench_local(|| {
        offset = (offset + 7_919) % (RING as i64 * 10);
        matches!(log.read(offset), LogRead::Page(_))
    });
}

/// Merges events of three partitions that are in memory into batches with ids: whole events, or two fields of each.
#[divan::bench(args = [350, 700], consts = [false, true])]
fn compose<const FIELDS: bool>(bencher: Bencher<'_, '_>, bytes: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime");
    let _inside = runtime.enter();
    let source = source(bytes);
    let fields = FIELDS.then(|| Arc::new(Projection::parse("n,title").expect("fields")));
    let request = || {
        let mut request = request();
        request.view.fields.clone_from(&fields);
        request
    };
    bencher
        .counter(ItemsCount::new(EVENTS * PARTITIONS))
        .with_inputs(|| Subscription::start(&source, request()))
        .bench_local_values(|mut subscription| {
            let mut context = Context::from_waker(Waker::noop());
            let mut events = 0;
            // The position says that the first events of each partition were seen.
            while events < (EVENTS - 1) * PARTITIONS {
                if let Poll::Ready(batch) = subscription.poll_batch(&mut context) {
                    events += batch.events as usize;
                }
            }
            events
        });
}

/// Creates three partitions whose rings hold everything.
fn source(bytes: usize) -> LogSource {
    let directory = LogDirectory::new();
    directory.set_partition_count(&TOPIC.into(), PARTITIONS as i32);
    for partition in 0..PARTITIONS {
        let log = log(partition as i32, 0);
        let mut builder = PageBuilder::new(0, Encoding::default());
        for offset in 0..EVENTS as Offset {
            let value = value(offset, bytes);
            builder.push(&record(offset, &value)).expect("JSON");
        }
        log.append(builder.finish(EVENTS as Offset));
        directory.put(log);
    }
    LogSource {
        directory,
        history: Arc::new(Nothing),
    }
}

/// Returns a position after the first record of every partition.
fn request() -> SubscribeRequest {
    let mut id = Vec::new();
    composer(IdForm::Json, PARTITIONS).write(&mut id);
    SubscribeRequest {
        topics: [TOPIC].into(),
        position: decode(&id).ok(),
        ranges: None,
        since: None,
        view: StreamView::default(),
        client: ClientKey::of(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        now: NOW,
    }
}

fn composer(form: IdForm, partitions: usize) -> IdWriter {
    let places = (0..partitions as i32).map(|partition| (TOPIC.into(), partition, place(1)));
    IdWriter::new(form, places)
}

fn place(offset: Offset) -> PartitionPosition {
    PartitionPosition::At(LogPosition {
        offset,
        timestamp: Some(NOW + offset - 1),
        log: Some(tag()),
        epoch: Some(4),
    })
}

fn log(partition: i32, next: Offset) -> Arc<PartitionLog> {
    let topic = TOPIC.into();
    PartitionLog::new(
        TopicPartition { topic, partition },
        tag(),
        Encoding::default(),
        next,
    )
}

fn page(start: Offset, events: usize) -> Page {
    let mut builder = PageBuilder::new(start, Encoding::default());
    let value = value(start, 700);
    for offset in start..start + events as Offset {
        builder.push(&record(offset, &value)).expect("JSON");
    }
    builder.finish(start + events as Offset)
}

fn record(offset: Offset, value: &str) -> Record<'_> {
    Record {
        offset,
        timestamp: NOW + offset,
        epoch: 4,
        key: None,
        headers: Headers::default(),
        value: Some(value.as_bytes()),
        canary: false,
    }
}

/// Returns a value with escapes and non-ASCII letters, as events of wikis have them.
fn value(number: i64, bytes: usize) -> String {
    let bare = format!(r#"{{"n":{number},"title":"Bj\u00f6rk \"源氏物語\"","pad":""#);
    let pad = bytes.saturating_sub(bare.len() + 2);
    format!("{bare}{:x<pad$}\"}}", "")
}

fn tag() -> LogTag {
    LogTag::from_bits(7, 11)
}

/// A history that is never read: everything is in memory.
struct Nothing;

impl History for Nothing {
    fn page(
        &self,
        _: &Arc<PartitionLog>,
        _: Offset,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        Box::pin(pending())
    }

    fn bounds(&self, _: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        Box::pin(pending())
    }

    fn first_at(
        &self,
        _: &Arc<PartitionLog>,
        _: Timestamp,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        Box::pin(pending())
    }
}

const TOPIC: &str = "eqiad.mediawiki.recentchange";

const PARTITIONS: usize = 3;

/// Records of each partition.
const EVENTS: usize = 1_000;

/// Pages of a ring.
const RING: usize = 1_000;

const NOW: Timestamp = 1_790_487_705_415;
