use std::{convert::Infallible, sync::mpsc, thread, time::Instant};

use super::{times::own_client_key, *};
use crate::{
    event::{Encoding, Record},
    kafka::history::{
        cache::PageCache,
        request_queue::{PageRead, Task},
    },
    partition::PageBuilder,
    position::LogTag,
};

/// A pool whose only reader is the test itself.
fn pool() -> (Arc<HistoryPool>, Arc<RequestQueue>, mpsc::Receiver<Infallible>) {
    let (shutdown_guard, ended) = mpsc::channel();
    let pool = HistoryPool::new(
        &ClusterShared::for_test(),
        [ClientConfig::new(), ClientConfig::new()],
        1,
        shutdown_guard,
    );
    pool.core.shared.leaders.set(&"edits".into(), &[Some(1)]);
    let queue = Arc::new(RequestQueue::default());
    let mut readers = pool.readers.lock();
    readers.request_queues.push(Arc::clone(&queue));
    readers.index_by_broker.insert(1, 0);
    drop(readers);
    (pool, queue, ended)
}

/// A log whose ring has a page of one record for each of the offsets 10 to 14.
fn log() -> Arc<PartitionLog> {
    let partition = TopicPartition {
        topic: "edits".into(),
        partition: 0,
    };
    let log = PartitionLog::new(partition, LogTag::from_bits(1, 1), Encoding::default(), 10);
    for offset in 10..15 {
        let mut page = PageBuilder::new(offset, log.encoding());
        let record = Record {
            timestamp: 1,
            epoch: 1,
            ..Record::bare(offset, Some(b"{}"))
        };
        assert_eq!(page.push(&record), Ok(()));
        log.append(page.finish(offset + 1));
    }
    log
}

/// Waits for the one requested page and answers that the log ends at [`OFFSET`]. `meanwhile` runs before the answer.
fn answer_that_it_ends(queue: &RequestQueue, meanwhile: impl FnOnce()) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let request = loop {
        assert!(Instant::now() < deadline, "nothing is wanted");
        match queue.next(Duration::from_millis(100), true, |_| true) {
            Task::Read(request, _) => break request,
            Task::Idle | Task::ReadAhead(_) => {}
            Task::Close => panic!("it is closed"),
        }
    };
    meanwhile();
    let page = PageBuilder::new(request.from, request.log.encoding()).finish(OFFSET);
    let page = Arc::new(page);
    queue.finish(&Ok(PageRead::Page {
        page,
        at_log_end: true,
    }));
}

/// Reads [`OFFSET`] while the broker answers that the log ends there. `before` runs before the read, `meanwhile` during it.
async fn read(
    before: impl FnOnce(&PartitionLog),
    meanwhile: impl FnOnce(&PartitionLog) + Send + 'static,
) -> Result<Arc<Page>, HistoryError> {
    let ((pool, queue, _ended), log) = (pool(), log());
    before(&log);
    let brokers = {
        let log = Arc::clone(&log);
        thread::spawn(move || answer_that_it_ends(&queue, || meanwhile(&log)))
    };
    let found = pool.find_page(&log, OFFSET, own_client_key()).await;
    brokers.join().expect("the answer was given");
    found
}

fn shed_all(log: &PartitionLog) {
    while log.evict_oldest() > 0 {}
}

#[tokio::test]
async fn an_end_that_the_tail_is_past_is_of_another_leader_and_no_page() {
    assert_eq!(
        read(shed_all, |_| {}).await.err(),
        Some(HistoryError::Unavailable)
    );
}

#[tokio::test]
async fn a_ring_that_sheds_during_a_read_makes_no_answer_one_of_another_leader() {
    let page = read(|_| {}, shed_all).await.expect("the end of the log");
    assert_eq!(page.next(), OFFSET);
}

const OFFSET: Offset = 12;

/// A page of the offsets 0 to 7, with records 10 ms apart and none at 4.
fn page_of_times(log: &PartitionLog) -> Arc<Page> {
    let mut page = PageBuilder::new(0, log.encoding());
    for offset in [0, 1, 2, 3, 5, 6, 7] {
        let record = Record {
            timestamp: offset * 10,
            epoch: 1,
            ..Record::bare(offset, Some(b"{}"))
        };
        assert_eq!(page.push(&record), Ok(()));
    }
    Arc::new(page.finish(8))
}

#[tokio::test]
async fn a_time_that_pages_in_memory_tell_is_asked_of_nobody() {
    let ((pool, _mailbox, _ended), log) = (pool(), log());
    let page = page_of_times(&log);
    *pool.core.cache.lock() = PageCache::new(1 << 20);
    pool.core.cache.lock().insert(&log, &page, false);
    assert_eq!(
        pool.time_in_memory(&log, 45),
        None,
        "an older record may be as new"
    );
    pool.core.cache.lock().note_time(&log, 25, 3);
    for (time, offset) in [(25, 3), (30, 3), (31, 5), (45, 5), (70, 7)] {
        assert_eq!(
            pool.first_at(&log, time, own_client_key()).await,
            Ok(Some(offset)),
            "{time}"
        );
    }
    assert_eq!(pool.time_in_memory(&log, 24), None, "it may be further ahead");
    assert_eq!(
        pool.time_in_memory(&log, 71),
        None,
        "it is behind what is in memory"
    );
    assert!(pool.readers.lock().queries.is_none(), "no broker was asked");
}

#[test]
fn a_time_is_found_in_the_ring_too_and_not_behind_what_cannot_be_read() {
    let ((pool, _mailbox, _ended), log) = (pool(), log());
    pool.core.cache.lock().note_time(&log, 1, 10);
    assert_eq!(pool.time_in_memory(&log, 1), Some(10));
    let log = self::log();
    log.append(Page::unreadable(15..20));
    pool.core.cache.lock().note_time(&log, 2, 15);
    assert_eq!(pool.time_in_memory(&log, 2), None);
}

#[test]
fn what_was_known_of_the_times_of_a_log_goes_with_it() {
    let ((pool, _mailbox, _ended), log) = (pool(), log());
    pool.core.cache.lock().note_time(&log, 1, 10);
    pool.forget(&log);
    assert_eq!(pool.time_in_memory(&log, 1), None);
    pool.core.cache.lock().note_time(&log, 1, 10);
    pool.core.shared.directory.set_start(&log, 11);
    assert_eq!(pool.time_in_memory(&log, 1), None, "that has expired");
}
