use std::{
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::BoxFuture;

use super::*;
use crate::{
    client::ClientKey,
    event::{Encoding, Record},
    partition::{Bounds, History, HistoryError, LogDirectory, PageBuilder},
    position::{LogPosition, LogTag, Timestamp},
    subscription::{GapReason, LogSource},
};

/// A history that proves a position and then denies that the log reaches it.
#[derive(Default)]
struct Contradictory(AtomicUsize);

const PLACE: Offset = 10;

impl History for Contradictory {
    fn page(
        &self,
        log: &Arc<PartitionLog>,
        offset: Offset,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let mut page = PageBuilder::new(PLACE - 1, log.encoding());
        let record = Record {
            timestamp: 1,
            epoch: 1,
            ..Record::bare(PLACE - 1, Some(b"{}"))
        };
        assert_eq!(page.push(&record), Ok(()));
        let page = Arc::new(page.finish(PLACE));
        let result = if offset < PLACE {
            Ok(page)
        } else {
            Err(HistoryError::OutOfRange)
        };
        Box::pin(async move { result })
    }

    fn bounds(&self, _: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        Box::pin(async { Err(HistoryError::Unavailable) })
    }

    fn first_at(
        &self,
        _: &Arc<PartitionLog>,
        _: Timestamp,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        Box::pin(async { Ok(None) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_proven_and_denied_is_asked_for_with_pauses() {
    let partition = TopicPartition {
        topic: "edits".into(),
        partition: 0,
    };
    let tag = LogTag::from_bits(1, 1);
    let log = PartitionLog::new(partition.clone(), tag, Encoding::default(), 1000);
    let history = Arc::new(Contradictory::default());
    let source = LogSource {
        directory: LogDirectory::new(),
        history: history.clone(),
    };
    source.directory.put(log);
    let read_context = ReadContext::new(&source, ClientKey::of([127, 0, 0, 1].into()), 0);
    let mark = LogPosition {
        offset: PLACE,
        timestamp: Some(1),
        log: Some(tag),
        epoch: Some(1),
    };
    let mut reader = PartitionReader::new(partition, PartitionPosition::At(mark));
    // Each poll of the task may take a few steps. A loop without a pause would never return from the first poll.
    let polls = poll_fn(|context| {
        let _ = reader.poll(context, &read_context, &mut Vec::new());
        assert!(
            history.0.load(Ordering::Relaxed) < 100,
            "no pause between the questions"
        );
        Poll::<()>::Pending
    });
    let over = tokio::time::timeout(Duration::from_secs(60), polls).await;
    assert!(over.is_err());
    assert!(history.0.load(Ordering::Relaxed) > 10, "it goes on asking");
}

#[test]
fn a_client_is_told_exactly_what_it_lost_and_its_id_goes_on_behind_that() {
    let partition = TopicPartition {
        topic: "edits".into(),
        partition: 0,
    };
    let tag = LogTag::from_bits(1, 1);
    let log = PartitionLog::new(partition.clone(), tag, Encoding::default(), 10);
    log.append(Page::unreadable(10..20));
    log.append(PageBuilder::new(20, log.encoding()).finish(25));
    let source = LogSource {
        directory: LogDirectory::new(),
        history: Arc::new(Contradictory::default()),
    };
    source.directory.put(log.clone());
    let read_context = ReadContext::new(&source, ClientKey::of([127, 0, 0, 1].into()), 0);
    let mark = |offset| LogPosition {
        offset,
        timestamp: Some(1),
        log: Some(tag),
        epoch: Some(1),
    };
    // A reader that has read everything before the damage, and one whose batch ended inside it while it was still
    // readable.
    for from in [10, 15] {
        let saved = PartitionSnapshot {
            partition: partition.clone(),
            place: PartitionPosition::At(mark(from)),
            was_read: true,
            at: Some((log.clone(), from)),
        };
        let (mut reader, mut gaps) = (PartitionReader::at(&saved, &read_context), Vec::new());
        let waker = futures_util::task::noop_waker();
        let mut context = Context::from_waker(&waker);
        let polled = reader.poll(&mut context, &read_context, &mut gaps);
        assert!(matches!(polled, PartitionPoll::Page(_, range) if range == (20..25)));
        let sent: Vec<_> = gaps
            .iter()
            .map(|gap| (gap.requested, gap.resumed, gap.reason))
            .collect();
        assert_eq!(sent, [(Some(from), Some(20), GapReason::Unreadable)]);
        assert_eq!(reader.place, PartitionPosition::At(mark(20)));
        reader.poll(&mut context, &read_context, &mut gaps);
        assert_eq!(gaps.len(), 1, "told once");
    }
}
