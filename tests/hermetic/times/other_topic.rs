//! Times where a stream has a second topic, which may be absent at first.

use riverhead::{
    event::Encoding,
    partition::{PartitionLog, TopicPartition},
    position::IdForm,
    subscription::Subscription,
};

use super::{START, YEAR_2099, numbers, received, seconds, unknown, write};
use crate::support::model::{ModelFixture, TOPIC, all};

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
    let mut request = fixture.request(Some(id), IdForm::Json);
    request.topics = [TOPIC, OTHER].into();
    request.now = now;
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
