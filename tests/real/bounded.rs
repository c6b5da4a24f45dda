//! Reads with an end of real logs, while they are written to, compared with what was acknowledged.

use std::time::{Duration, Instant};

use riverhead::{position::decode, sse::SseMessage};
use riverhead_brokers::{Cluster, NewTopic, scaled, shared};
use riverhead_loadtest::gateway::Gateway;

use crate::following::{follow, id, next, number_of, plan, start};

/// Reads to the end. Returns the numbers, and the event at the end.
async fn read(gateway: &Gateway, query: &str) -> (Vec<u64>, SseMessage) {
    let mut client = follow(gateway, query, None).await;
    let mut numbers = Vec::new();
    loop {
        let message = next(&mut client).await;
        if message.event == "end" {
            return (numbers, message);
        }
        numbers.push(number_of(&message));
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

fn create(brokers: &Cluster) {
    brokers.create(&NewTopic::with_replicas(
        TOPIC,
        &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]],
    ));
}

fn now() -> u128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("a time after 1970").as_millis()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn reads_that_follow_each_other_have_each_record_once_while_a_producer_writes() {
    let brokers = shared();
    create(&brokers);
    let gateway = start(&plan(&brokers, &[TOPIC]));
    gateway.wait_for_partitions(3, SOON);
    let mut producer = brokers.producer(TOPIC).start();
    let mut borders = Vec::new();
    for _ in 0..4 {
        producer.send(500);
        producer.flush();
        borders.push(now());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Tiles of time, the last of which ends now, while more is written.
    let mut all = Vec::new();
    let mut since = 1;
    for border in borders {
        producer.send(20);
        let (numbers, _) = read(&gateway, &format!("?since={since}&until={border}")).await;
        assert!(numbers.len() >= 300, "{}", numbers.len());
        all.extend(numbers);
        since = border;
    }
    producer.flush();
    let before = producer.ledger().len();
    producer.send(500);
    let (numbers, end) = read(&gateway, &format!("?since={since}&until=now&encoding=identity")).await;
    all.extend(numbers);
    assert!(all.len() >= before, "{} of {before}", all.len());
    let mut end = id(&end).to_owned();
    // Tiles of ids: each goes on behind the end of the one before, with a limit too.
    producer.send(500);
    for limit in [1, 100, 250] {
        let query = format!("?from={}&limit={limit}", escaped(&end));
        let (numbers, next) = read(&gateway, &query).await;
        assert_eq!(numbers.len(), limit);
        let until = escaped(id(&next));
        let (again, repeated) = read(&gateway, &format!("?from={}&until={until}", escaped(&end))).await;
        assert_eq!(sorted(again), sorted(numbers.clone()), "an id is an exact end");
        assert_eq!(decode(id(&repeated).as_bytes()), decode(id(&next).as_bytes()));
        all.extend(numbers);
        end = id(&next).to_owned();
    }
    let ledger = producer.finish();
    assert_eq!(ledger.failed, []);
    let (rest, _) = read(&gateway, &format!("?from={}&until=now", escaped(&end))).await;
    all.extend(rest);
    let expected: Vec<_> = (0..3)
        .flat_map(|partition| ledger.numbers_of(partition))
        .collect();
    assert_eq!(sorted(all), sorted(expected));
}

/// The tail is told of records only, not of the marker behind them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_log_that_ends_with_a_marker_or_an_open_transaction_has_an_end() {
    let brokers = shared();
    brokers.create_topic(MARKED, 1);
    let gateway = start(&plan(&brokers, &[MARKED]));
    gateway.wait_for_partitions(1, SOON);
    let mut producer = brokers
        .producer(MARKED)
        .transactional()
        .property("message.timeout.ms", "30000")
        .start();
    let mut expected = 0;
    for commits in [true, false, true] {
        producer.begin();
        producer.send(5);
        producer.flush();
        if commits {
            producer.commit();
            expected += 5;
        } else {
            producer.abort();
        }
        // The marker is written some time after the transaction has ended.
        let deadline = Instant::now() + scaled(SOON);
        while read(&gateway, "?since=1&until=now").await.0.len() != expected {
            assert!(Instant::now() < deadline, "what is committed is in");
        }
        assert_eq!(read(&gateway, "?until=now").await.0.len(), 0);
    }
    producer.begin();
    producer.send(5);
    producer.flush();
    let (numbers, _) = read(&gateway, "?since=1&until=now").await;
    assert_eq!(numbers.len(), expected, "what is open is not in");
    producer.commit();
}

const TOPIC: &str = "bounded";
const MARKED: &str = "bounded-marked";
const SOON: Duration = Duration::from_secs(60);
