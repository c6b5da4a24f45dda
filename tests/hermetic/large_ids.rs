//! Ids with hundreds of entries, for existing and missing partitions: their cost, and the gaps of their
//! clients.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use riverhead::{
    position::{IdForm, IdWriter, LogPosition, PartitionPosition, decode},
    sse::{SseMessage, SseReader},
    subscription::{Batch, EventFormat, SubscribeRequest, Subscription},
};

use crate::support::model::{ModelFixture, TOPIC};

/// The most bytes of a batch that is not one event.
const BATCH: usize = 64 * 1024;

fn at(offset: i64) -> PartitionPosition {
    PartitionPosition::At(LogPosition {
        offset,
        timestamp: None,
        log: None,
        epoch: None,
    })
}

/// Returns a compact id of this many partitions of a topic.
fn id(topic: &str, partitions: i32, place: PartitionPosition) -> String {
    let entries = (0..partitions).map(|partition| (Arc::from(topic), partition, place));
    let mut id = Vec::new();
    IdWriter::new(IdForm::Compact, entries).write(&mut id);
    String::from_utf8(id).unwrap()
}

fn request(fixture: &ModelFixture, topics: &[&str], id: &str) -> SubscribeRequest {
    let mut request = fixture.request(Some(id), IdForm::Json);
    request.topics = topics.iter().map(|topic| Arc::from(*topic)).collect();
    request
}

fn poll(subscription: &mut Subscription) -> Poll<Batch> {
    subscription.poll_batch(&mut Context::from_waker(Waker::noop()))
}

fn messages(batch: &Batch) -> Vec<SseMessage> {
    let mut reader = SseReader::new(1 << 20);
    reader.push(&batch.bytes).unwrap();
    std::iter::from_fn(|| reader.next_message()).collect()
}

#[tokio::test(start_paused = true)]
async fn partitions_that_a_topic_does_not_have_are_one_gap() {
    let fixture = ModelFixture::new(6);
    let id = id(TOPIC, 1024, at(0));
    let mut subscription = Subscription::start(&fixture.source, request(&fixture, &[TOPIC], &id));
    let Poll::Ready(batch) = poll(&mut subscription) else {
        panic!("there is no batch")
    };
    assert_eq!(batch.gaps.len(), 1, "{} bytes", batch.bytes.len());
    let [message] = &*messages(&batch) else {
        panic!("{batch:?}")
    };
    assert_eq!(
        message.data,
        r#"{"topic":"edits","partition":6,"requested":0,"resumed":null,"reason":"partition_gone","partitions":1018}"#
    );
}

#[tokio::test(start_paused = true)]
async fn a_single_partition_that_is_gone_is_told_as_ever() {
    let fixture = ModelFixture::new(6);
    let id = id(TOPIC, 7, at(0));
    let mut subscription = Subscription::start(&fixture.source, request(&fixture, &[TOPIC], &id));
    let Poll::Ready(batch) = poll(&mut subscription) else {
        panic!("there is no batch")
    };
    assert_eq!(
        messages(&batch)[0].data,
        r#"{"topic":"edits","partition":6,"requested":0,"resumed":null,"reason":"partition_gone"}"#
    );
}

#[tokio::test(start_paused = true)]
async fn gaps_of_a_thousand_partitions_come_in_batches_of_64_kib_before_what_follows() {
    let fixture = ModelFixture::new(1000);
    for partition in 0..1000 {
        fixture.write(partition, 3);
        fixture.expire(partition, 50);
        fixture.tail_lags(partition);
    }
    let id = id(TOPIC, 1000, at(0));
    let mut subscription = Subscription::start(&fixture.source, request(&fixture, &[TOPIC], &id));
    let (mut gaps, mut batches) = (0, 0);
    while gaps < 1000 {
        let batch = std::future::poll_fn(|context| subscription.poll_batch(context)).await;
        assert!(batch.bytes.len() <= BATCH, "{} bytes", batch.bytes.len());
        gaps += batch.gaps.len();
        batches += 1;
        if gaps < 1000 {
            assert_eq!(batch.events, 0, "an event before a gap");
        }
    }
    assert!(batches > 1);
}

/// Gaps that become known all at once, with the first metadata.
#[tokio::test(start_paused = true)]
async fn gaps_of_hundreds_of_topics_at_once_come_in_batches_of_64_kib() {
    const TOPICS: usize = 400;
    let fixture = ModelFixture::new(1);
    let topics: Vec<_> = (0..TOPICS)
        .map(|number| format!("{number:03}-{}", "x".repeat(200)))
        .collect();
    for topic in &topics {
        fixture
            .source
            .directory
            .set_partition_count(&topic.as_str().into(), 1);
    }
    let entries = topics
        .iter()
        .flat_map(|topic| [0, 1].map(|partition| (Arc::from(&**topic), partition, at(5))));
    let mut id = Vec::new();
    IdWriter::new(IdForm::Compact, entries).write(&mut id);
    let names: Vec<_> = topics.iter().map(String::as_str).collect();
    let request = request(&fixture, &names, &String::from_utf8(id).unwrap());
    let mut subscription = Subscription::start(&fixture.source, request);
    let (mut told, mut bytes) = (Vec::new(), 0);
    while told.len() < TOPICS {
        let Poll::Ready(batch) = poll(&mut subscription) else {
            panic!("{} gaps are missing", TOPICS - told.len())
        };
        assert!(batch.bytes.len() <= BATCH, "{} bytes", batch.bytes.len());
        bytes += batch.bytes.len();
        told.extend(messages(&batch).into_iter().map(|message| message.data));
    }
    assert!(bytes > BATCH, "nothing was bounded: {bytes} bytes");
    for (topic, told) in topics.iter().zip(&told) {
        assert!(told.contains(topic) && told.contains("partition_gone"), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn entries_of_a_topic_that_is_not_known_yet_are_bounded_in_the_ids_of_others() {
    let fixture = ModelFixture::new(2);
    let (known, unknown) = (id(TOPIC, 2, at(0)), id("unknown", 1000, at(5)));
    let mut entries = decode(known.as_bytes()).unwrap().entries;
    entries.extend(decode(unknown.as_bytes()).unwrap().entries);
    let mut request = request(&fixture, &[TOPIC, "unknown"], &known);
    entries.sort_by(|a, b| (&a.topic, a.partitions).cmp(&(&b.topic, b.partitions)));
    request.position.as_mut().unwrap().entries = entries;
    fixture.write(0, 1);
    let mut subscription = Subscription::start(&fixture.source, request);
    let batch = std::future::poll_fn(|context| subscription.poll_batch(context)).await;
    let message = messages(&batch).pop().unwrap();
    let sent = message.id.unwrap();
    assert!(sent.len() < 2048, "{} bytes", sent.len());
    assert_eq!(decode(sent.as_bytes()).unwrap().entries.len(), 2 + 128);

    // The positions are kept: when a partition becomes known, it continues where it was.
    fixture
        .source
        .directory
        .set_partition_count(&"unknown".into(), 1000);
    fixture.write(0, 1);
    let batch = std::future::poll_fn(|context| subscription.poll_batch(context)).await;
    let sent = messages(&batch).pop().unwrap().id.unwrap();
    let entries = decode(sent.as_bytes()).unwrap().entries;
    assert_eq!(entries.iter().filter(|entry| entry.place == at(5)).count(), 1000);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_would_not_be_read_back_is_not_sent_and_its_events_are() {
    let fixture = ModelFixture::new(2100);
    fixture.write(7, 3);
    let mut request = fixture.request(Some(&id(TOPIC, 2, at(0))), IdForm::Json);
    request.position = None;
    request.since = Some(0);
    request.view.format = EventFormat::Sse;
    let mut subscription = Subscription::start(&fixture.source, request);
    let mut events = Vec::new();
    while events.len() < 3 {
        let batch = std::future::poll_fn(|context| subscription.poll_batch(context)).await;
        events.extend(messages(&batch));
    }
    for event in events {
        assert_eq!(event.event, "message");
        if let Some(id) = event.id {
            assert!(decode(id.as_bytes()).is_ok(), "{} bytes", id.len());
        }
    }
}
