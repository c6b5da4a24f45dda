//! Logs that change under their readers.

use riverhead::{partition::HistoryError, position::Offset};
use riverhead_brokers::{NewTopic, Replacement, Truncation, eventually, shared};

use super::{KafkaFixture, SOON, caught_up, client, offsets, records_come, replay, ring};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_truncated_log_goes_on_at_its_new_end_and_history_is_of_the_new() {
    for replacement in [Replacement::Shorter, Replacement::Longer] {
        let brokers = shared();
        let topic = format!("truncated-{replacement:?}");
        let truncation = Truncation::prepare(&brokers, &topic);
        let fixture = KafkaFixture::new(&brokers, &topic);
        let (old, history) = (fixture.log(&topic, 0), fixture.history());
        assert_eq!(old.end().offset, 600);
        assert_eq!(replay(&*history, &old, 0, 600).await.len(), 600);
        truncation.finish(replacement);
        eventually(SOON, "another log", || old.is_replaced());
        let new = fixture.log(&topic, 0);
        let bounds = eventually(SOON, "bounds", || {
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(history.bounds(&new)))
        });
        let end = match replacement {
            Replacement::Shorter => 100,
            Replacement::Longer => 1100,
        };
        assert_eq!((bounds.start, bounds.end), (0, end));
        assert!(bounds.epoch > Some(0), "{bounds:?}");
        caught_up(&new, end);
        assert_eq!(new.tag(), old.tag(), "the topic is the same");
        let seen = replay(&*history, &new, 0, end).await;
        assert_eq!(offsets(&seen), (0..end).collect::<Vec<_>>());
        assert!(
            seen.iter()
                .all(|event| (event.epoch > 0) == (event.offset >= 100)),
            "epochs tell the two logs apart"
        );
        // If a log has grown past its old end before its bounds are requested, it does not show that it was
        // truncated.
        let unproven = match replacement {
            Replacement::Shorter => 0,
            Replacement::Longer => fixture.replacements("unproven"),
        };
        assert_eq!(fixture.replacements("truncated") + unproven, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_recreated_topic_is_another_log_read_from_its_start() {
    for (name, records) in [("shorter", 100), ("longer", 900)] {
        let brokers = shared();
        let topic = format!("recreated-{name}");
        brokers.create_topic(&topic, 1);
        let mut producer = brokers.producer(&topic).start();
        producer.send(500);
        producer.flush();
        let fixture = KafkaFixture::new(&brokers, &topic);
        let (old, history) = (fixture.log(&topic, 0), fixture.history());
        assert_eq!(replay(&*history, &old, 0, 500).await.len(), 500);
        brokers.delete_topic(&topic);
        brokers.create_topic(&topic, 1);
        let mut producer = brokers.producer(&topic).start();
        producer.send(records);
        producer.flush();
        eventually(SOON, "another log", || old.is_replaced());
        let new = fixture.log(&topic, 0);
        assert_ne!(new.tag(), old.tag());
        caught_up(&new, records as Offset);
        assert_eq!(
            offsets(&ring(&new, 0)),
            (0..records as Offset).collect::<Vec<_>>()
        );
        let seen = replay(&*history, &new, 0, records as Offset).await;
        assert_eq!(seen.len() as u64, records);
        assert_eq!(fixture.replacements("recreated"), 1);
        assert_eq!(
            history.page(&old, 0, client()).await.err(),
            Some(HistoryError::Replaced)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn added_partitions_are_read_from_their_start() {
    let brokers = shared();
    brokers.create_topic("grows", 1);
    let fixture = KafkaFixture::new(&brokers, "grows");
    fixture.log("grows", 0);
    brokers.add_partitions("grows", 3);
    let mut producer = brokers.producer("grows").partition(2).start();
    producer.send(300);
    producer.flush();
    let log = fixture.log("grows", 2);
    caught_up(&log, 300);
    assert_eq!(ring(&log, 0).len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn deleted_and_compacted_records_are_holes_or_out_of_range() {
    let brokers = shared();
    brokers.create_topic("deleted", 1);
    let mut producer = brokers.producer("deleted").start();
    producer.send(3000);
    producer.flush();
    let fixture = KafkaFixture::new(&brokers, "deleted");
    let (log, history) = (fixture.log("deleted", 0), fixture.history());
    brokers.delete_records("deleted", 0, 1500);
    assert_eq!(
        history.page(&log, 1400, client()).await.err(),
        Some(HistoryError::OutOfRange)
    );
    assert_eq!(
        offsets(&replay(&*history, &log, 1500, 3000).await),
        (1500..3000).collect::<Vec<_>>()
    );
    assert_eq!(
        history
            .bounds(&log)
            .await
            .map(|bounds| (bounds.start, bounds.end)),
        Ok((1500, 3000))
    );

    let compact = NewTopic::with_replicas("compacted", &[&[1]])
        .config("cleanup.policy", "compact")
        .config("segment.bytes", "1048576")
        .config("min.cleanable.dirty.ratio", "0.01")
        .config("max.compaction.lag.ms", "500")
        .config("delete.retention.ms", "100");
    brokers.create(&compact);
    let mut producer = brokers
        .producer("compacted")
        .key(|number| format!("{}", number % 50))
        .start();
    producer.send(20_000);
    producer.flush();
    let fixture = KafkaFixture::new(&brokers, "compacted");
    let (log, history) = (fixture.log("compacted", 0), fixture.history());
    assert_eq!(log.end().offset, 20_000);
    eventually(SOON, "a compaction", || {
        let records = brokers.records("compacted", 0);
        records.len() < 15_000
    });
    let seen = replay(&*history, &log, 0, 20_000).await;
    assert!(seen.len() < 15_000 && seen.is_sorted_by_key(|event| event.offset));
    assert_eq!(seen.last().map(|event| event.offset), Some(19_999));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_killed_broker_costs_neither_a_record_nor_an_order() {
    let brokers = shared();
    brokers.create_topic("killed", 6);
    let fixture = KafkaFixture::new(&brokers, "killed");
    let logs: Vec<_> = (0..6).map(|partition| fixture.log("killed", partition)).collect();
    let producer = brokers.producer("killed").rate(2000.0).start().run();
    for broker in [1, 2] {
        records_come(&logs);
        brokers.kill(broker);
        // The other brokers lead all of them now.
        records_come(&logs);
        brokers.start_broker(broker);
        brokers.wait_until_in_sync();
    }
    let ledger = producer.finish();
    let mut total = 0;
    for log in &logs {
        let partition = log.partition().partition;
        let written = ledger.numbers_of(partition).len() as Offset;
        caught_up(log, written);
        assert!(!log.is_replaced());
        assert_eq!(offsets(&ring(log, 0)), (0..written).collect::<Vec<_>>());
        total += written;
    }
    assert_eq!(total as usize, ledger.len());
    assert!(
        brokers.topics().iter().all(|topic| topic != "__consumer_offsets"),
        "{:?}",
        brokers.topics()
    );
}
