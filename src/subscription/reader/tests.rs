use std::task::{Poll, Waker};

use super::*;
use crate::{
    partition::{LogDirectory, PartitionLog, TopicPartition},
    subscription::{GapReason, SubscribeRequest, no_history::NoHistory},
};

fn partition() -> TopicPartition {
    TopicPartition {
        topic: "edits".into(),
        partition: 0,
    }
}

fn source() -> LogSource {
    let directory = LogDirectory::new();
    let tag = crate::position::LogTag::new("cluster", &[1; 16]);
    directory.put(PartitionLog::new(partition(), tag, Default::default(), 7));
    LogSource {
        directory,
        history: Arc::new(NoHistory),
    }
}

fn view() -> StreamView {
    StreamView::default()
}

fn live(source: &LogSource) -> Subscription {
    of_topics(source, &["edits"])
}

fn of_topics(source: &LogSource, topics: &[&str]) -> Subscription {
    let request = SubscribeRequest {
        topics: topics.iter().copied().collect(),
        position: None,
        ranges: None,
        since: None,
        view: view(),
        client: ClientKey::of([192, 0, 2, 7].into()),
        now: 0,
    };
    let mut subscription = Subscription::start(source, request);
    let mut context = std::task::Context::from_waker(Waker::noop());
    assert!(subscription.poll_batch(&mut context).is_pending());
    subscription
}

#[test]
fn a_place_names_the_topics_that_are_absent_as_the_ids_of_events_do() {
    let source = source();
    source.directory.set_absent(&"later".into());
    let snapshot = of_topics(&source, &["edits", "later"]).snapshot();
    let batch = snapshot.checkpoint(&view(), None).unwrap();
    let text = String::from_utf8_lossy(&batch.bytes);
    let later = r#"{"topic":"later","partition":0,"offset":-2}]"#;
    assert!(text.contains(later), "{text}");
}

#[test]
fn a_gap_that_is_not_told_yet_keeps_others_away_and_is_told_by_who_goes_on_from_there() {
    let source = source();
    let mut subscription = live(&source);
    assert!(subscription.snapshot().resumable);
    assert!(subscription.is_at(&subscription.snapshot()));
    subscription.merged.gaps.push(Gap {
        partition: partition(),
        requested: Some(3),
        resumed: Some(7),
        reason: GapReason::Truncated,
    });
    let snapshot = subscription.snapshot();
    assert!(!snapshot.resumable);
    assert!(!subscription.is_at(&snapshot));

    let client = (ClientKey::of([192, 0, 2, 8].into()), 0);
    let mut other = Subscription::from_snapshot(&source, &snapshot, client, view());
    let mut context = std::task::Context::from_waker(Waker::noop());
    let Poll::Ready(batch) = other.poll_batch(&mut context) else {
        panic!("nothing was told")
    };
    assert_eq!(batch.gaps, subscription.merged.gaps);
    assert!(other.is_at(&live(&source).snapshot()));
}
