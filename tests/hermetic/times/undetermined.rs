//! Partitions and topics that are not determined when a client connects.

use std::future::poll_fn;

use riverhead::{position::IdForm, sse::SseReader, subscription::Subscription};

use super::{START, YEAR_2099, numbers, received, seconds, since, unknown, write};
use crate::support::model::{ModelFixture, TOPIC};

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
