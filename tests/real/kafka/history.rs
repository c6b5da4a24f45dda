//! History: pages, times, and what they cost.

use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;
use riverhead::position::Offset;
use riverhead_brokers::{NewTopic, eventually, shared};

use super::{KafkaFixture, SOON, client, offsets, replay, ring};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn transactions_leave_holes_and_nothing_aborted() {
    let brokers = shared();
    brokers.create_topic("txn", 1);
    let mut producer = brokers
        .producer("txn")
        .transactional()
        .property("message.timeout.ms", "30000")
        .start();
    for round in 0..6 {
        producer.begin();
        producer.send(5);
        producer.flush();
        if round % 2 == 0 {
            producer.commit()
        } else {
            producer.abort()
        }
    }
    let fixture = KafkaFixture::new(&brokers, "txn");
    let (log, history) = (fixture.log("txn", 0), fixture.history());
    // Six rounds of five records and a marker; the last marker is of an aborted one.
    assert_eq!(log.end().offset, 36);
    let seen = replay(&*history, &log, 0, 36).await;
    let committed: Vec<_> = (0..36)
        .filter(|offset| offset / 6 % 2 == 0 && offset % 6 < 5)
        .collect();
    assert_eq!(offsets(&seen), committed);
    let end = history.page(&log, 36, client()).await.expect("the end");
    assert_eq!((end.next(), end.events().len()), (36, 0));

    // An open transaction holds back the end of the log.
    producer.begin();
    producer.send(5);
    producer.flush();
    let bounds = history.bounds(&log).await.expect("bounds");
    assert_eq!((bounds.start, bounds.end), (0, 36));
    producer.commit();
    eventually(SOON, "the tail", || log.end().offset == 41);
    assert_eq!(offsets(&ring(&log, 36)), (36..41).collect::<Vec<_>>());
    assert_eq!(history.first_at(&log, i64::MAX / 2, client()).await, Ok(None));
    let newest = log.end().timestamp.expect("a timestamp");
    let found = history
        .first_at(&log, newest, client())
        .await
        .expect("an answer")
        .expect("a record");
    assert!(found <= 40);
}

/// The first of these times are looked up at the broker, and most of the others in pages that are in memory.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn times_of_records_that_are_out_of_order_are_found_exactly() {
    let brokers = shared();
    brokers.create_topic("out-of-order", 1);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    let start = since_epoch.as_millis() as i64 - 3_600_000;
    let mut producer = brokers
        .producer("out-of-order")
        .numbers_from(0)
        .timestamp(move |number| {
            // Now and then a time is far ahead of its neighbors, and another one far behind.
            let (at, astray) = (number as i64, [70_000, -70_000]);
            start + at * 100 + if at % 700 < 2 { astray[at as usize % 2] } else { 0 }
        })
        .start();
    producer.send(5000);
    producer.flush();
    let fixture = KafkaFixture::new(&brokers, "out-of-order");
    let (log, history) = (fixture.log("out-of-order", 0), fixture.history());
    let events = replay(&*history, &log, 0, 5000).await;
    for at in 0..1000 {
        let time = start + at * 7919 % 5000 * 100 + 1;
        let first = events.iter().find(|event| event.timestamp >= time);
        assert_eq!(
            history.first_at(&log, time, client()).await,
            Ok(first.map(|event| event.offset)),
            "{at}: {}",
            time - start
        );
    }
}

/// A record that is larger than a page made pages of one record of all behind it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn behind_one_large_record_pages_are_full_again() {
    let (brokers, topic) = (shared(), "one-large");
    brokers.create(&NewTopic::with_replicas(topic, &[&[1]]).config("max.message.bytes", "12000000"));
    let write = |bytes, records| {
        let producer = brokers.producer(topic).record_bytes(bytes);
        let mut producer = producer.property("message.max.bytes", "12000000").start();
        producer.send(records);
        assert_eq!(producer.finish().len() as u64, records);
    };
    write(100, 2_000);
    write(2_000_000, 1);
    write(100, 30_000);
    let fixture = KafkaFixture::new(&brokers, topic);
    let (log, history) = (fixture.log(topic, 0), fixture.history());
    let end = log.end().offset;
    let seen = replay(&*history, &log, 0, end).await;
    assert_eq!(offsets(&seen), (0..32_001).collect::<Vec<_>>());
    // 32 full ones. A machine that does other things may cut some short.
    let pages = fixture.pages_read();
    assert!(pages <= 150, "{pages} pages");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn two_hundred_replays_cost_the_brokers_one() {
    let brokers = shared();
    brokers.create_topic("replayed", 6);
    let mut producer = brokers.producer("replayed").record_bytes(700).start();
    producer.send(60_000);
    producer.flush();
    let fixture = KafkaFixture::new(&brokers, "replayed");
    let logs: Vec<_> = (0..6)
        .map(|partition| fixture.log("replayed", partition))
        .collect();
    let before = brokers.client_counts();
    let started = Instant::now();
    let replays = (0..200).flat_map(|_| &logs).map(|log| {
        let (history, log) = (fixture.history(), Arc::clone(log));
        tokio::spawn(async move { replay(&*history, &log, 0, log.end().offset).await.len() })
    });
    let mut records = 0;
    for replay in join_all(replays).await {
        records += replay.expect("no panic");
    }
    assert_eq!(records, 200 * 60_000);
    let (seconds, unique) = (started.elapsed().as_secs_f64(), 60_000 * 700);
    let fetched = brokers.client_counts().to_client - before.to_client;
    eprintln!("{fetched} of {unique} bytes, {seconds:.2} s");
    assert!(
        fetched as f64 <= 1.2 * f64::from(unique),
        "{fetched} of {unique} bytes"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn pages_are_quick() {
    let brokers = shared();
    brokers.create_topic("pages", 6);
    let mut producer = brokers.producer("pages").record_bytes(700).start();
    producer.send(240_000);
    producer.flush();
    let fixture = KafkaFixture::new(&brokers, "pages");
    let logs: Vec<_> = (0..6).map(|partition| fixture.log("pages", partition)).collect();
    let history = fixture.history();
    let mut times = Vec::new();
    for round in 0..60_usize {
        let (log, offset) = (&logs[round % 6], (round * 7919 % 39) as Offset * 1024);
        let started = Instant::now();
        history.page(log, offset, client()).await.expect("a page");
        times.push(started.elapsed());
    }
    times.sort();
    eprintln!("page p50 {:?} p90 {:?} max {:?}", times[30], times[54], times[59]);
    let fixture = KafkaFixture::new(&brokers, "pages");
    let started = Instant::now();
    let mut replays = Vec::new();
    for partition in 0..6 {
        let (log, history) = (fixture.log("pages", partition), fixture.history());
        replays.push(tokio::spawn(async move {
            replay(&*history, &log, 0, log.end().offset).await.len()
        }));
    }
    let mut records = 0;
    for replay in replays {
        records += replay.await.expect("no panic");
    }
    let seconds = started.elapsed().as_secs_f64();
    eprintln!(
        "replay {records} records in {seconds:.2} s, {:.0} MB/s",
        records as f64 * 700.0 / seconds / 1e6
    );
    assert_eq!(records, 240_000);
}
