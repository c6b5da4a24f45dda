use std::{convert::Infallible, sync::mpsc, thread};

use super::{mailbox::Task, *};
use crate::{
    event::{Encoding, Headers, Record},
    partition::PageBuilder,
    position::LogTag,
};

/// A pool whose only reader is played by the test.
fn pool() -> (Arc<Pool>, Arc<Mailbox>, mpsc::Receiver<Infallible>) {
    let (token, ended) = mpsc::channel();
    let pool = Pool::new(
        &Shared::of_nothing(),
        [ClientConfig::new(), ClientConfig::new()],
        1,
        token,
    );
    pool.core.shared.leaders.set(&"edits".into(), &[Some(1)]);
    let mailbox = Arc::new(Mailbox::default());
    let mut readers = pool.readers.lock();
    readers.mailboxes.push(Arc::clone(&mailbox));
    readers.of_broker.insert(1, 0);
    drop(readers);
    (pool, mailbox, ended)
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
            offset,
            timestamp: 1,
            epoch: 1,
            key: None,
            headers: Headers::default(),
            value: Some(b"{}"),
            canary: false,
        };
        assert_eq!(page.push(&record), Ok(()));
        log.append(page.finish(offset + 1));
    }
    log
}

/// Waits for the one page that is wanted, and says that the log ends where it was to begin; `meanwhile` is before the answer.
fn answer_that_it_ends(mailbox: &Mailbox, meanwhile: impl FnOnce()) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let want = loop {
        assert!(Instant::now() < deadline, "nothing is wanted");
        match mailbox.next(Duration::from_millis(100), true) {
            Task::Read(want) => break want,
            Task::Rest | Task::ReadAhead(_) => {}
            Task::Close => panic!("it is closed"),
        }
    };
    meanwhile();
    let page = PageBuilder::new(want.from, want.log.encoding()).finish(OFFSET);
    let page = Arc::new(page);
    mailbox.finish(&Ok(PageRead::Page { page, ends: true }));
}

/// What a read gets whose answer is that the log ends at the offset asked for. `before` comes before the read, `meanwhile` while it
/// is on its way.
async fn read(
    before: impl FnOnce(&PartitionLog),
    meanwhile: impl FnOnce(&PartitionLog) + Send + 'static,
) -> Result<Arc<Page>, HistoryError> {
    let ((pool, mailbox, _ended), log) = (pool(), log());
    before(&log);
    let brokers = {
        let log = Arc::clone(&log);
        thread::spawn(move || answer_that_it_ends(&mailbox, || meanwhile(&log)))
    };
    let found = pool.find_page(&log, OFFSET, ourselves()).await;
    brokers.join().expect("the answer was given");
    found
}

fn shed_all(log: &PartitionLog) {
    while log.shed() > 0 {}
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
