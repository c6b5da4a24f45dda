use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_test::task::{AwokenCount, new_count_waker};
use serde_json::json;
use tokio::task::yield_now;
use tokio_util::task::TaskTracker;

use crate::{
    client::ClientKey,
    event::{Encoding, Record},
    filter::{Filter, FilterBuilder, OnlyBuilder, tests::evaluations},
    partition::{LogDirectory, PageBuilder, PartitionLog, TopicPartition},
    position::{IdForm, LogTag},
    sse::SseReader,
    subscription::{
        BatchSource, ContentCoding, EventFormat, LaneSubscriber, Lanes, LogSource, StreamView,
        SubscribeRequest, tests::MemoryHistory,
    },
};

/// Lanes over one topic of one partition.
struct Stage {
    lanes: Lanes,
    tasks: TaskTracker,
    log: Arc<PartitionLog>,
    directory: Arc<LogDirectory>,
}

impl Stage {
    fn new() -> Self {
        let directory = LogDirectory::new();
        let partition = TopicPartition {
            topic: "orders".into(),
            partition: 0,
        };
        let log = PartitionLog::new(
            partition,
            LogTag::new("cluster", &[1; 16]),
            Encoding::default(),
            0,
        );
        log.set_leader_epoch(Some(0));
        directory.put(Arc::clone(&log));
        let source = LogSource {
            directory: Arc::clone(&directory),
            history: Arc::new(MemoryHistory),
        };
        let tasks = TaskTracker::new();
        Self {
            lanes: Lanes::new(source, 256 << 20, tasks.clone()),
            tasks,
            log,
            directory,
        }
    }

    fn subscribe(&self, filter: Filter, coding: ContentCoding) -> LaneSubscriber {
        let request = SubscribeRequest {
            topics: ["orders"].into(),
            position: None,
            ranges: None,
            since: None,
            view: StreamView {
                format: EventFormat::Sse,
                form: IdForm::Json,
                coding,
                filter: Some(filter),
                ..StreamView::default()
            },
            client: ClientKey::of([192, 0, 2, 7].into()),
            now: 0,
        };
        self.lanes.subscribe(request).unwrap()
    }

    fn write(&self, documents: impl IntoIterator<Item = String>) {
        let start = self.log.next();
        let mut page = PageBuilder::new(start, self.log.encoding());
        let mut next = start;
        for document in documents {
            page.push(&Record::bare(next, Some(document.as_bytes()))).unwrap();
            next += 1;
        }
        self.log.append(page.finish(next));
    }
}

/// Returns the filter that `only = 'tenant = $tenant'` makes for this tenant.
fn of_tenant(tenant: usize) -> Filter {
    let claims = json!({ "tenant": tenant });
    let mut only = OnlyBuilder::default();
    only.stream(["orders"], Some("tenant = $tenant"), claims.as_object().unwrap())
        .unwrap();
    let mut parts = FilterBuilder::default();
    parts.only(only);
    parts.compile().unwrap().unwrap()
}

/// Runs the lanes, and returns all that each subscriber is given.
async fn follow(subscribers: &mut [LaneSubscriber], waker: &Waker) -> Vec<Vec<u8>> {
    let mut given = vec![Vec::new(); subscribers.len()];
    for _ in 0..6 {
        for (subscriber, given) in subscribers.iter_mut().zip(&mut given) {
            take(subscriber, waker, given);
        }
        others().await;
    }
    given
}

fn take(subscriber: &mut LaneSubscriber, waker: &Waker, given: &mut Vec<u8>) {
    let mut context = Context::from_waker(waker);
    while let Poll::Ready(batch) = subscriber.poll_batch(&mut context) {
        batch.pieces().for_each(|piece| given.extend(&*piece));
    }
}

async fn others() {
    for _ in 0..20 {
        yield_now().await;
    }
}

/// Returns the names and the data of these events.
fn events(bytes: &[u8]) -> Vec<(String, String)> {
    let mut reader = SseReader::new(1 << 20);
    reader.push(bytes).unwrap();
    let messages = std::iter::from_fn(|| reader.next_message());
    messages
        .map(|message| (message.event.clone(), message.data))
        .collect()
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Returns how many filters are evaluated and how many wake-ups happen for a hundred events, with this many tenants.
async fn cost_of_events(tenants: usize) -> (u64, usize) {
    let stage = Stage::new();
    let mut subscribers: Vec<_> = (0..tenants)
        .map(|tenant| stage.subscribe(of_tenant(tenant), ContentCoding::Identity))
        .collect();
    follow(&mut subscribers, Waker::noop()).await;
    assert!(subscribers.iter().all(LaneSubscriber::is_in_lane));
    assert_eq!((stage.lanes.count(), stage.tasks.len()), (tenants, 1));
    let (waker, woken): (_, AwokenCount) = new_count_waker();
    follow(&mut subscribers, &waker).await;
    let (evaluated, before) = (evaluations(), woken.get());
    for n in 0..100 {
        let tenant = n * 7919 % tenants;
        stage.write([format!(r#"{{"tenant":{tenant},"n":{n}}}"#)]);
        others().await;
        let mut given = Vec::new();
        take(&mut subscribers[tenant], &waker, &mut given);
        let expected = format!(r#"{{"tenant":{tenant},"n":{n}}}"#);
        assert_eq!(events(&given), [("message".to_owned(), expected)]);
    }
    let cost = (evaluations() - evaluated, woken.get() - before);
    let rest = follow(&mut subscribers, &waker).await;
    assert!(
        rest.iter().all(Vec::is_empty),
        "nobody got an event of another tenant"
    );
    drop(subscribers);
    stage.tasks.close();
    tokio::time::timeout(Duration::from_secs(10), stage.tasks.wait())
        .await
        .expect("no dispatcher without lanes");
    assert_eq!((stage.lanes.count(), stage.lanes.bytes()), (0, 0));
    cost
}

#[test]
fn ten_thousand_tenants_cost_an_event_what_ten_cost() {
    paused().block_on(async {
        let ten = cost_of_events(10).await;
        assert_eq!(ten, (100, 100), "one filter and one client for each event");
        assert_eq!(cost_of_events(10_000).await, ten);
    });
}

#[test]
fn tenants_that_come_and_go_leave_nothing_behind_and_the_rest_misses_nothing() {
    paused().block_on(async {
        let stage = Stage::new();
        let mut stays = [stage.subscribe(of_tenant(0), ContentCoding::Identity)];
        follow(&mut stays, Waker::noop()).await;
        let mut got = Vec::new();
        for round in 1..50 {
            let mut guests: Vec<_> = (0..5)
                .map(|guest| stage.subscribe(of_tenant(round * 5 + guest), ContentCoding::Identity))
                .collect();
            if round % 2 == 0 {
                follow(&mut guests, Waker::noop()).await;
            }
            stage.write([0, round * 5].map(|tenant| format!(r#"{{"tenant":{tenant}}}"#)));
            drop(guests.remove(0));
            got.extend(follow(&mut stays, Waker::noop()).await.concat());
        }
        assert_eq!(events(&got).len(), 49);
        assert_eq!((stage.lanes.count(), stage.tasks.len()), (1, 1));
    });
}

#[test]
fn quiet_tenants_are_told_how_far_the_stream_has_come_but_not_what_the_others_write() {
    paused().block_on(async {
        let stage = Stage::new();
        let plain = Filter::parse("tenant = 2").unwrap();
        let mut subscribers = [of_tenant(1), of_tenant(1), plain, of_tenant(3)]
            .map(|filter| stage.subscribe(filter, ContentCoding::Identity));
        follow(&mut subscribers, Waker::noop()).await;
        stage.write((0..30).map(|_| r#"{"tenant":3}"#.to_owned()));
        follow(&mut subscribers, Waker::noop()).await;
        tokio::time::advance(Duration::from_secs(11)).await;
        let given = follow(&mut subscribers, Waker::noop()).await;
        let checkpoint = |data: &str| vec![("checkpoint".to_owned(), data.to_owned())];
        assert_eq!(events(&given[0]), checkpoint("{}"));
        assert_eq!(events(&given[1]), checkpoint("{}"));
        assert_eq!(events(&given[2]), checkpoint(r#"{"skipped":30}"#));
        assert_eq!(events(&given[3]), [], "it had an id with its events");
        tokio::time::advance(Duration::from_secs(11)).await;
        let given = follow(&mut subscribers, Waker::noop()).await;
        assert!(given.iter().all(Vec::is_empty), "nothing was skipped since");
        // They are where the stream is: nothing is missed, and nothing repeated.
        stage.write([r#"{"tenant":1,"n":1}"#.to_owned()]);
        let given = follow(&mut subscribers, Waker::noop()).await;
        assert_eq!(
            given.iter().map(|given| events(given).len()).collect::<Vec<_>>(),
            [1, 1, 0, 0]
        );
    });
}

#[test]
fn compressed_lanes_are_found_by_the_same_values() {
    paused().block_on(async {
        let stage = Stage::new();
        let mut subscribers = [ContentCoding::Gzip, ContentCoding::Identity]
            .map(|coding| stage.subscribe(of_tenant(1), coding));
        follow(&mut subscribers, Waker::noop()).await;
        stage.write((0..3).map(|n| format!(r#"{{"tenant":{n}}}"#)));
        others().await;
        let mut context = Context::from_waker(Waker::noop());
        for (subscriber, packs) in subscribers.iter_mut().zip([true, false]) {
            let Poll::Ready(batch) = subscriber.poll_batch(&mut context) else {
                panic!("nothing came")
            };
            assert_eq!((batch.packed.is_some(), batch.events), (packs, 1));
        }
        assert_eq!(stage.tasks.len(), 1);
    });
}

#[test]
fn when_the_log_is_replaced_all_lanes_are_told() {
    paused().block_on(async {
        let stage = Stage::new();
        let mut subscribers =
            [1, 2].map(|tenant| stage.subscribe(of_tenant(tenant), ContentCoding::Identity));
        stage.write([r#"{"tenant":1}"#, r#"{"tenant":2}"#].map(str::to_owned));
        follow(&mut subscribers, Waker::noop()).await;
        stage.write([r#"{"tenant":1}"#, r#"{"tenant":2}"#].map(str::to_owned));
        follow(&mut subscribers, Waker::noop()).await;
        let partition = stage.log.partition().clone();
        let again = PartitionLog::new(
            partition,
            LogTag::new("cluster", &[2; 16]),
            Encoding::default(),
            0,
        );
        again.set_leader_epoch(Some(0));
        stage.directory.put(again);
        let given = follow(&mut subscribers, Waker::noop()).await;
        for given in given {
            let names: Vec<_> = events(&given).into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, ["gap"]);
        }
    });
}
