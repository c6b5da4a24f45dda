//! The tail: every record once and in order, whatever one leader does.

use std::time::{Duration, Instant};

use riverhead::{
    event::EventKind,
    kafka::{RejectLabels, ReplacementLabels},
    partition::{HistoryError, LogRead},
};

use super::{KafkaFixture, client, offsets, page, ring, until};
use crate::support::brokers::{Brokers, stamp};

#[test]
fn the_tail_reads_every_record_once_and_in_order() {
    let fixture = KafkaFixture::new(Brokers::start(&[("a", 3), ("b", 1)]), &["a", "b"]);
    let partitions = [("a", 0), ("a", 1), ("a", 2), ("b", 0)];
    let logs = partitions.map(|(topic, partition)| fixture.log(topic, partition));
    for (topic, partition) in partitions {
        fixture.brokers.write(topic, partition, 0..1500);
        fixture.brokers.write(topic, partition, 1500..3000);
    }
    for log in &logs {
        until(|| log.end().offset == 3000);
        let events = ring(log, 0);
        assert_eq!(offsets(&events), (0..3000).collect::<Vec<_>>());
        assert!(
            events
                .iter()
                .all(|event| event.timestamp == stamp(event.offset) && event.kind == EventKind::Message)
        );
        assert!(events.iter().all(|event| event.epoch == 0), "the epoch is known");
        assert_eq!(log.end().epoch, Some(0));
    }
    let groups = [8, 9, 10, 11, 12, 13, 14];
    assert!(
        fixture.brokers.requests().iter().all(|key| !groups.contains(key)),
        "no group, no coordinator"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_headers_are_kept_by_the_tail_and_by_history() {
    let fixture = KafkaFixture::new(Brokers::start(&[("a", 1)]), &["a"]);
    let log = fixture.log("a", 0);
    let headers = [("type", Some("old")), ("none", None), ("type", Some("edit"))];
    fixture.brokers.write_described("a", "Q42", &headers);
    fixture.brokers.write("a", 0, [1]);
    until(|| log.end().offset == 2);
    let LogRead::Page(tail) = log.read(0) else {
        panic!("no page")
    };
    let history = page(&fixture, &log, 0).await.expect("a page");
    for page in [tail, history] {
        let described = &page.events()[0];
        assert_eq!(page.key(described), Some(&b"Q42"[..]));
        assert_eq!(page.headers(described).last("type"), Some(Some(&b"edit"[..])));
        assert_eq!(page.headers(described).last("none"), Some(None));
        assert_eq!(page.headers(described).count(), 3);
        assert_eq!(page.lines(described), b"data: {}\n");
        if let Some(plain) = page.events().get(1) {
            assert_eq!((page.key(plain), page.headers(plain).count()), (None, 0));
        }
    }
}

#[test]
fn a_bad_record_is_skipped_alone() {
    let fixture = KafkaFixture::new(Brokers::start(&[("a", 1)]), &["a"]);
    let log = fixture.log("a", 0);
    let values = ["{\"n\":0}", "not json", "{\"n\":2}"];
    fixture
        .brokers
        .write_values("a", 0, values.map(|value| (1, value.to_owned())));
    until(|| log.end().offset == 3);
    let kinds: Vec<_> = ring(&log, 0).iter().map(|event| event.kind).collect();
    assert_eq!(
        kinds,
        [EventKind::Message, EventKind::Skipped, EventKind::Message]
    );
    let labels = RejectLabels {
        cluster: "main".into(),
        topic: "a".into(),
        reason: "not_json".into(),
    };
    assert_eq!(fixture.counters.bad_records.get_or_create(&labels).get(), 1);
}

#[test]
fn a_topic_that_appears_later_is_read_from_its_start() {
    let fixture = KafkaFixture::new(Brokers::start(&[("a", 1)]), &["a", "late"]);
    fixture.log("a", 0);
    fixture.brokers.create("late", 2);
    fixture.brokers.write("late", 1, 0..100);
    let log = fixture.log("late", 1);
    until(|| log.end().offset == 100);
    assert_eq!(
        ring(&log, 0).len(),
        100,
        "nothing was written too early to be read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_leader_holds_up_nobody_else() {
    let brokers = Brokers::start(&[("a", 2)]);
    brokers.lead("a", 0, 1);
    brokers.lead("a", 1, 2);
    for partition in 0..2 {
        brokers.write("a", partition, 0..10_000);
    }
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let (mute, well, history) = (fixture.log("a", 0), fixture.log("a", 1), fixture.history());
    page(&fixture, &mute, 0).await.expect("both answer");
    fixture.brokers.mute(1);

    let started = Instant::now();
    let silence = history.page(&mute, 5000, client());
    let silence = tokio::spawn(async move { (silence.await.err(), started.elapsed()) });
    for offset in (0..10_000).step_by(1024) {
        page(&fixture, &well, offset)
            .await
            .expect("another leader's page");
    }
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    let (error, waited) = silence.await.expect("no panic");
    assert_eq!(error, Some(HistoryError::Unavailable));
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    assert_eq!(history.bounds(&mute).await, Err(HistoryError::Unavailable));
    assert!(history.bounds(&well).await.is_ok());

    fixture.brokers.unmute(1);
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = history.page(&mute, 5000, client()).await {
        assert_eq!(error, HistoryError::Unavailable);
        assert!(Instant::now() < deadline, "the leader is back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_leader_that_is_mute_at_the_start_holds_up_nobody_else() {
    let brokers = Brokers::start(&[("a", 2)]);
    brokers.lead("a", 0, 1);
    brokers.lead("a", 1, 2);
    brokers.write("a", 0, 0..100);
    brokers.mute(1);
    let fixture = KafkaFixture::new(brokers, &["a"]);
    fixture.log("a", 1);
    assert!(fixture.directory.get("a", 0).is_none());
    fixture.brokers.unmute(1);
    assert_eq!(fixture.log("a", 0).end().offset, 100, "it was there when we came");
}

#[test]
fn a_tail_whose_offset_is_refused_goes_on_in_a_new_log() {
    let fixture = KafkaFixture::new(Brokers::start(&[("a", 1)]), &["a"]);
    let old = fixture.log("a", 0);
    fixture.brokers.write("a", 0, 0..100);
    until(|| old.end().offset == 100);
    fixture.brokers.refuse_fetches(1);
    until(|| old.is_replaced());
    let new = fixture.log("a", 0);
    assert_eq!((new.tag(), new.end().offset), (old.tag(), 100));
    fixture.brokers.write("a", 0, 100..200);
    until(|| new.end().offset == 200);
    assert_eq!(offsets(&ring(&new, 100)), (100..200).collect::<Vec<_>>());
    let labels = ReplacementLabels {
        cluster: "main".into(),
        reason: "unproven".into(),
    };
    assert_eq!(fixture.counters.replacements.get_or_create(&labels).get(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_comes_in_time_also_when_nobody_answers() {
    let brokers = Brokers::start(&[("a", 3)]);
    (0..3).for_each(|partition| brokers.write("a", partition, 0..10));
    let fixture = KafkaFixture::new(brokers, &["a"]);
    for partition in 0..3 {
        page(&fixture, &fixture.log("a", partition), 0)
            .await
            .expect("a page");
    }
    (0..3).for_each(|broker| fixture.brokers.mute(broker));
    let (log, history) = (fixture.log("a", 0), fixture.history());
    let waiting = tokio::spawn(history.page(&log, 10, client()));
    let KafkaFixture { cluster, .. } = fixture;
    let started = Instant::now();
    assert!(
        cluster.shutdown(Duration::from_secs(10)),
        "all threads and clients are gone"
    );
    println!("gone after {} ms", started.elapsed().as_millis());
    assert_eq!(
        waiting.await.expect("no panic").err(),
        Some(HistoryError::Unavailable)
    );
    assert_eq!(history.bounds(&log).await, Err(HistoryError::Unavailable));
}
