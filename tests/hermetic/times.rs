//! All ways to name a position by time mean the same, and our clock never decides what only the log knows.

use std::future::poll_fn;

use riverhead::{
    client::ClientKey,
    event::Encoding,
    partition::{PartitionLog, TopicPartition},
    position::{IdForm, decode},
    sse::{SseMessage, SseReader},
    subscription::{ContentCoding, EventFormat, StreamView, SubscribeRequest, Subscription},
};

use crate::support::{
    gateway::{TestClient, TestGateway},
    model::{ModelFixture, StoredRecord, TOPIC, all},
};

/// When the records were written, unless a test sets other times.
const START: i64 = 1_790_000_000_000;

const YEAR_2099: i64 = 4_100_000_000_000;

/// Returns the reasons of the gaps, and the numbers.
async fn received(subscription: &mut Subscription) -> (Vec<String>, Vec<u64>) {
    let (gaps, events): (Vec<_>, Vec<_>) = all(subscription)
        .await
        .into_iter()
        .partition(|message| message.event == "gap");
    let value = |message: &SseMessage| serde_json::from_str::<serde_json::Value>(&message.data).unwrap();
    let reason = |gap: &SseMessage| value(gap)["reason"].as_str().unwrap().to_owned();
    let number = |event: &SseMessage| value(event)["n"].as_u64().unwrap();
    (
        gaps.iter().map(reason).collect(),
        events.iter().map(number).collect(),
    )
}

/// Writes a record for each of these times; -1 for no time.
fn write(fixture: &ModelFixture, partition: usize, times: &[i64]) {
    let mut brokers = fixture.model.lock();
    for time in times {
        brokers.n += 1;
        let n = brokers.n;
        let partition = &mut brokers.partitions[partition];
        partition.records.push(StoredRecord {
            offset: partition.end,
            epoch: partition.epoch,
            time: *time,
            n,
            canary: false,
            tombstone: false,
        });
        partition.end += 1;
    }
    drop(brokers);
    fixture.tail(partition);
}

fn seconds(range: std::ops::Range<i64>) -> Vec<i64> {
    range.map(|second| START + second * 1000).collect()
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

/// Creates a request from this time on, made at `now`.
fn since(fixture: &ModelFixture, time: i64, now: i64) -> Subscription {
    let request = SubscribeRequest {
        since: Some(time),
        now,
        ..fixture.request(None, IdForm::Json)
    };
    Subscription::start(&fixture.source, request)
}

fn at(fixture: &ModelFixture, id: &str, now: i64) -> Subscription {
    let request = SubscribeRequest {
        now,
        ..fixture.request(Some(id), IdForm::Json)
    };
    Subscription::start(&fixture.source, request)
}

/// Runs a check with the records in the ring, and again with the records in history only.
async fn in_ring_and_history(times: &[i64], check: impl AsyncFn(&ModelFixture)) {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, times);
    check(&fixture).await;
    fixture.tail_lags(0);
    check(&fixture).await;
}

#[tokio::test]
async fn a_since_ahead_of_our_clock_finds_the_records_that_bear_that_time() {
    let fixture = ModelFixture::new(1);
    let ahead = jiff::Timestamp::now().as_millisecond() + 3_600_000;
    write(&fixture, 0, &[START, ahead, ahead + 1]);
    let gateway = TestGateway::of(&fixture, |_| {});
    let id = format!(r#"[{{"topic":"{TOPIC}","partition":0,"timestamp":{ahead}}}]"#);
    let asked = [
        (format!("/v2/stream/edits?since={ahead}"), String::new()),
        ("/v2/stream/edits".to_owned(), format!("last-event-id: {id}\r\n")),
    ];
    for (target, headers) in asked {
        let mut client = TestClient::ask(gateway.public, &target, &headers).await;
        let head = client.until(r#"{"n":2}"#).await;
        assert!(!head.contains(r#"{"n":1}"#), "{head}");
        client.until(r#"{"n":3}"#).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_that_nothing_bears_yet_is_the_end_at_the_request() {
    for lags in [false, true] {
        let fixture = ModelFixture::new(1);
        write(&fixture, 0, &seconds(0..10));
        if lags {
            fixture.tail_lags(0);
        }
        let mut subscription = since(&fixture, YEAR_2099, START + 10_000);
        assert_eq!(received(&mut subscription).await, (vec![], vec![]));
        write(&fixture, 0, &[START + 11_000, YEAR_2099]);
        assert_eq!(received(&mut subscription).await, (vec![], numbers(11..=12)));
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_come_while_a_time_is_asked_for_are_not_skipped_by_one_that_bears_it() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..10));
    fixture.model.lock().partitions[0].mute = true;
    let mut subscription = since(&fixture, YEAR_2099, START + 10_000);
    assert_eq!(received(&mut subscription).await, (vec![], vec![]));
    write(&fixture, 0, &[START + 11_000, YEAR_2099, START + 12_000]);
    fixture.model.lock().partitions[0].mute = false;
    assert_eq!(received(&mut subscription).await, (vec![], numbers(11..=13)));
}

#[tokio::test(start_paused = true)]
async fn the_id_of_a_time_that_is_still_to_come_leads_on_in_another_cluster() {
    let fixture = ModelFixture::new(2);
    write(&fixture, 0, &seconds(0..10));
    write(&fixture, 1, &seconds(0..3));
    let mut subscription = since(&fixture, YEAR_2099, START + 10_000);
    assert_eq!(received(&mut subscription).await, (vec![], vec![]));
    write(&fixture, 1, &[START + 10_001]);
    let message = all(&mut subscription).await.pop().unwrap();
    let id = message.id.unwrap();
    assert!(!id.contains(&YEAR_2099.to_string()), "{id}");
    write(&fixture, 0, &[START + 11_000]);
    fixture.fail_over(1_000);
    fixture.tail(0);
    let (_, got) = received(&mut at(&fixture, &id, START + 12_000)).await;
    assert!(got.contains(&15), "{got:?} after {id}");
}

#[tokio::test(start_paused = true)]
async fn since_below_all_is_the_start_with_the_records_that_bear_no_time() {
    let times = [vec![-1; 3], seconds(0..5), vec![-1; 2], seconds(5..7)].concat();
    in_ring_and_history(&times, async |fixture| {
        for time in [0, 5, START - 1, START] {
            let got = received(&mut since(fixture, time, START + 20_000)).await;
            assert_eq!(got, (vec![], numbers(1..=12)), "{time}");
        }
        let got = received(&mut since(fixture, START + 2_000, START + 20_000)).await;
        assert_eq!(got, (vec![], numbers(6..=12)));
        // It is not known whether records without a time are older.
        let got = received(&mut since(fixture, START + 5_000, START + 20_000)).await;
        assert_eq!(got, (vec![], numbers(9..=12)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_long_run_without_times_is_the_start_too() {
    let times = [vec![-1; 200], seconds(0..2)].concat();
    in_ring_and_history(&times, async |fixture| {
        let got = received(&mut since(fixture, 1, START + 20_000)).await;
        assert_eq!(got, (vec![], numbers(1..=202)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn behind_a_record_without_a_time_an_id_still_leads_to_another_cluster() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..5));
    let mut subscription = since(&fixture, 0, START + 20_000);
    write(&fixture, 0, &[-1, -1]);
    assert_eq!(received(&mut subscription).await, (vec![], numbers(1..=7)));
    write(&fixture, 0, &[-1, START + 6_000]);
    fixture.model.lock().partitions[0].mute = true;
    let id = id_of(&fixture, &mut subscription, 9).await;
    fixture.fail_over(1_000);
    fixture.model.lock().partitions[0].mute = false;
    write(&fixture, 0, &[-1, START + 7_000]);
    let (gaps, got) = received(&mut at(&fixture, &id, START + 20_000)).await;
    assert_eq!(gaps, ["other_cluster"]);
    assert!(got.ends_with(&[10, 11]), "{got:?} after {id}");
}

/// Returns the last id of a client after the event with this number.
async fn id_of(fixture: &ModelFixture, subscription: &mut Subscription, n: u64) -> String {
    let message = all(subscription).await.pop().unwrap();
    assert_eq!(fixture.model.lock().n, n);
    message.id.unwrap()
}

/// Adds a second topic with the same records, so that an id can name that topic alone.
fn with_other_topic(fixture: &ModelFixture) {
    let tag = fixture.model.lock().tag();
    let partition = TopicPartition {
        topic: OTHER.into(),
        partition: 0,
    };
    let end = fixture.model.lock().partitions[0].end;
    let log = PartitionLog::new(partition, tag, Encoding::default(), end);
    fixture.source.directory.put(log);
}

const OTHER: &str = "other";

fn two_topics(fixture: &ModelFixture, id: &str, now: i64) -> Subscription {
    let request = SubscribeRequest {
        topics: [TOPIC, OTHER].into(),
        position: Some(decode(id.as_bytes()).unwrap()),
        ranges: None,
        since: None,
        view: StreamView {
            form: IdForm::Json,
            format: EventFormat::Sse,
            coding: ContentCoding::Identity,
            shows_canaries: false,
            filter: None,
        },
        client: ClientKey::of([127, 0, 0, 1].into()),
        now,
    };
    Subscription::start(&fixture.source, request)
}

#[tokio::test(start_paused = true)]
async fn one_time_far_ahead_does_not_skip_what_another_topic_has() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..10));
    with_other_topic(&fixture);
    let now = START + 10_000;
    let end = fixture.model.lock().partitions[0].end;
    let tag = fixture.model.lock().tag();
    let other = |time: i64| {
        format!(r#"[{{"topic":"{OTHER}","partition":0,"offset":{end},"timestamp":{time},"log":"{tag}.0"}}]"#)
    };
    let (_, got) = received(&mut two_topics(&fixture, &other(YEAR_2099), now)).await;
    assert_eq!(got, numbers(1..=10), "nothing else is known of when it was here");
    let (_, got) = received(&mut two_topics(&fixture, &other(START + 7_000), now)).await;
    assert_eq!(got, numbers(8..=10));
    let both = format!(
        r#"[{{"topic":"{OTHER}","partition":0,"offset":{end},"timestamp":{YEAR_2099},"log":"{tag}.0"}},
            {{"topic":"{OTHER}","partition":1,"timestamp":{}}}]"#,
        START + 7_000
    );
    let (_, got) = received(&mut two_topics(&fixture, &both, now)).await;
    assert_eq!(got, numbers(8..=10));
}

/// Creates a model whose topic is not in the directory yet.
fn unknown() -> ModelFixture {
    let fixture = ModelFixture::new(1);
    let source = riverhead::subscription::LogSource {
        directory: riverhead::partition::LogDirectory::new(),
        history: fixture.source.history.clone(),
    };
    ModelFixture {
        source,
        model: fixture.model,
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_created_under_waiting_clients_is_read_from_its_start() {
    for starts in [
        None,
        Some("[]"),
        Some(r#"["edits"]"#),
        Some(r#"[{"topic":"edits","partition":0,"offset":-1}]"#),
    ] {
        for tells_absent in [false, true] {
            for writes_first in [false, true] {
                let fixture = unknown();
                fixture.model.lock().clock = START + 60_000;
                let mut waiting = fixture.subscribe(starts, IdForm::Json);
                if tells_absent {
                    fixture.source.directory.set_absent(&TOPIC.into());
                }
                assert_eq!(received(&mut waiting).await, (vec![], vec![]));
                if writes_first {
                    fixture.model.lock().produce(0, 20);
                    age(&fixture);
                }
                fixture.publish_all();
                if !writes_first {
                    fixture.model.lock().produce(0, 20);
                    age(&fixture);
                }
                fixture.tail(0);
                let case = format!("{starts:?}, absent: {tells_absent}, first: {writes_first}");
                assert_eq!(received(&mut waiting).await, (vec![], numbers(1..=20)), "{case}");
            }
        }
    }
}

/// Dates all records before the clients connected, by the clocks of their producers.
fn age(fixture: &ModelFixture) {
    for record in &mut fixture.model.lock().partitions[0].records {
        record.time = START;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_an_absent_topic_that_is_cut_before_it_exists_loses_nothing_of_it() {
    let fixture = unknown();
    fixture.model.lock().produce(0, 3);
    with_other_topic(&fixture);
    fixture.source.directory.set_absent(&TOPIC.into());
    let now = fixture.model.lock().clock + 60_000;
    let mut waiting = two_topics(
        &fixture,
        &format!(r#"[{{"topic":"{OTHER}","partition":0,"offset":-2}}]"#),
        now,
    );
    let id = all(&mut waiting).await.pop().unwrap().id.unwrap();
    assert!(
        id.contains(r#"{"topic":"edits","partition":0,"offset":-2}"#),
        "{id}"
    );
    drop(waiting);
    fixture.publish_all();
    fixture.tail(0);
    let (gaps, got) = received(&mut two_topics(&fixture, &id, now)).await;
    assert_eq!((gaps, got), (vec![], numbers(1..=3)));
}

#[tokio::test(start_paused = true)]
async fn what_comes_to_a_partition_that_was_undetermined_at_the_connect_is_not_skipped_by_its_times() {
    for put_before_first_poll in [false, true] {
        let fixture = unknown();
        fixture.model.lock().produce(0, 5);
        fixture.source.directory.set_partition_count(&TOPIC.into(), 1);
        fixture.model.lock().clock = START + 60_000;
        let mut live = fixture.subscribe(None, IdForm::Json);
        if !put_before_first_poll {
            assert_eq!(received(&mut live).await, (vec![], vec![]));
        }
        fixture.tail_lags(0);
        write(&fixture, 0, &[START, START]);
        assert_eq!(
            received(&mut live).await,
            (vec![], numbers(6..=7)),
            "{put_before_first_poll}"
        );
    }
}

/// Our clock is ahead by a minute. Partition 1 has no leader when the client connects, and has one again
/// after three more records.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ahead_loses_nothing_of_a_partition_that_was_undetermined_at_the_connect() {
    let fixture = ModelFixture::new(2);
    let undetermined = riverhead::subscription::LogSource {
        directory: riverhead::partition::LogDirectory::new(),
        history: fixture.source.history.clone(),
    };
    let fixture = ModelFixture {
        source: undetermined,
        model: fixture.model,
    };
    fixture.model.lock().clock = START;
    fixture.source.directory.set_partition_count(&TOPIC.into(), 2);
    fixture.model.lock().produce(0, 5);
    fixture.model.lock().produce(1, 5);
    fixture.tail_lags(0);
    fixture.tail(0);
    // The records that the tail has read tell the time.
    fixture.write(0, 1);
    let mut request = fixture.request(None, IdForm::Json);
    request.now = fixture.model.lock().clock + 60_000;
    let mut live = Subscription::start(&fixture.source, request);
    assert_eq!(received(&mut live).await, (vec![], vec![]));
    fixture.model.lock().clock += 1_000;
    fixture.model.lock().produce(1, 3);
    fixture.tail_lags(1);
    assert_eq!(received(&mut live).await, (vec![], numbers(12..=14)));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_came_before_the_directory_knew_the_topic_gets_all_that_comes() {
    let fixture = unknown();
    fixture.model.lock().produce(0, 5);
    fixture.model.lock().clock = START + 60_000;
    let mut live = fixture.subscribe(None, IdForm::Json);
    // Not polled until both are there: the log, and more records in it.
    fixture.source.directory.set_partition_count(&TOPIC.into(), 1);
    fixture.tail_lags(0);
    write(&fixture, 0, &[START, START]);
    assert_eq!(received(&mut live).await, (vec![], numbers(6..=7)));
}

#[tokio::test(start_paused = true)]
async fn a_replaced_log_and_another_cluster_do_not_lose_what_comes_late() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..5));
    let mut subscription = since(&fixture, START + 3_000, START + 20_000);
    assert_eq!(received(&mut subscription).await, (vec![], numbers(4..=5)));
    fixture.fail_over(1_000);
    // After the move there is a record whose clock is an hour behind, and then one with the id's time.
    fixture.model.lock().partitions[0].records.clear();
    write(&fixture, 0, &[START - 3_600_000, START + 6_000]);
    assert_eq!(
        received(&mut subscription).await,
        (vec!["failover".to_owned()], numbers(6..=7))
    );
}

/// Makes a client take a batch while more than that is written to partition 1. Returns after how many batches
/// it has all of partition 0.
async fn batches_until_partition_0_is_there(zero: i64, one: i64) -> usize {
    let fixture = ModelFixture::new(2);
    let mut subscription = fixture.subscribe(None, IdForm::Json);
    assert_eq!(received(&mut subscription).await, (vec![], vec![]));
    write(&fixture, 0, &[zero; 5]);
    let mut missing: std::collections::BTreeSet<u64> = (1..=5).collect();
    let mut reader = SseReader::new(1024 * 1024);
    for batches in 1..200 {
        write(&fixture, 1, &[one; 1000]);
        let batch = poll_fn(|context| subscription.poll_batch(context)).await;
        reader.push(&batch.bytes).unwrap();
        for message in std::iter::from_fn(|| reader.next_message()) {
            let value: serde_json::Value = serde_json::from_str(&message.data).unwrap();
            missing.remove(&value["n"].as_u64().unwrap());
        }
        if missing.is_empty() {
            return batches;
        }
    }
    panic!("{missing:?} were never there");
}

#[tokio::test(start_paused = true)]
async fn no_timestamps_starve_a_partition_of_a_client_that_is_slower_than_what_comes() {
    assert!(
        batches_until_partition_0_is_there(YEAR_2099, START).await < 100,
        "in the future"
    );
    assert!(
        batches_until_partition_0_is_there(START, 1).await < 100,
        "beside one of 1970"
    );
    assert_eq!(batches_until_partition_0_is_there(START, START + 1).await, 1);
}

/// What follows, and all the other tests, say nothing of a release otherwise.
#[test]
fn releases_check_arithmetic_as_these_tests_do() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, profile) = text.split_once("[profile.release.package.riverhead]\n").unwrap();
    let profile = profile.split("\n[").next().unwrap();
    assert!(
        profile.lines().any(|line| line == "overflow-checks = true"),
        "{profile}"
    );
}

/// Whatever a client writes into an id, and however far a position is from all existing records, its client
/// waits or receives a gap, and then receives new records. Tests check arithmetic for overflow, as release
/// builds do.
#[tokio::test(start_paused = true)]
async fn the_largest_and_the_smallest_numbers_are_places_like_any_other() {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, &seconds(0..5));
    let tag = fixture.model.lock().tag();
    let logs = [
        String::new(),
        format!(r#","log":"{tag}""#),
        format!(r#","log":"{tag}.0""#),
        format!(r#","log":"{tag}.2147483647""#),
        r#","log":"AAAA.AAAAAA.1""#.to_owned(),
    ];
    let far = [
        i64::MIN,
        i64::MIN + 1,
        -2,
        -1,
        0,
        1,
        1 << 53,
        i64::MAX - 1024,
        i64::MAX - 1,
        i64::MAX,
    ];
    let mut taken = 0;
    for offset in far {
        for time in far {
            for log in &logs {
                let id = format!(
                    r#"[{{"topic":"edits","partition":0,"offset":{offset},"timestamp":{time}{log}}}]"#
                );
                let Ok(position) = decode(id.as_bytes()) else {
                    continue;
                };
                taken += 1;
                let mut request = fixture.request(None, IdForm::Json);
                request.position = Some(position);
                let mut subscription = Subscription::start(&fixture.source, request);
                let (_, got) = received(&mut subscription).await;
                assert!(got.len() <= 5, "{id}: {got:?}");
            }
        }
    }
    assert!(taken > 100, "{taken} of them are ids");
}
