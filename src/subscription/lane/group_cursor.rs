//! Many of a lane's clients, served together.
//!
//! By itself, each of 10,000 who wait for the same batch has a waker of its own, is woken, and asks the lane. A group waits in the
//! place of all of them, and has what comes ready for whoever has them: see [`LaneSubscriber::join_group`](super::LaneSubscriber::join_group).

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use super::{
    Lane,
    ring::{JoinedBatches, RingRead},
};
use crate::{
    partition::SharedWaker,
    subscription::{Batch, snapshot::Snapshot},
};

/// Waits for a lane in the place of some of those in it.
pub struct GroupCursor {
    lane: Arc<Lane>,
    shared_waker: Arc<SharedWaker>,
    /// The number of the next batch it looks for.
    number: u64,
    /// Whether the lane waited for Kafka at the last look.
    held: bool,
    /// Whether there may be more although nobody rang.
    has_more: bool,
}

/// What all in a group have to be served with.
#[derive(Debug)]
pub enum GroupUpdate {
    /// Each gets it, if it waits for nothing but that: see [`LaneSubscriber::take_run`](super::LaneSubscriber::take_run).
    BatchRun(BatchRun),
    /// Each has to be asked: it is not the same for all, or the lane is closed, or waits for Kafka, or does not any more.
    PollEach,
}

/// Batches of a lane, one behind the other.
#[derive(Debug)]
pub struct BatchRun {
    batches: Vec<Batch>,
    /// The number of each.
    numbers: Vec<u64>,
    /// The number behind the last.
    end: u64,
    /// Where the last leads, or further if nobody sees what is there.
    after: Arc<Snapshot>,
}

/// How much may be in one run.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimit {
    /// Once it holds so many batches, no more are added.
    pub batches: usize,
    /// Once it holds so many bytes, no more are added.
    pub bytes: usize,
}

impl GroupCursor {
    pub(super) fn new(lane: &Arc<Lane>) -> Self {
        Self {
            lane: Arc::clone(lane),
            shared_waker: SharedWaker::new(),
            number: lane.ring.lock().end(),
            held: lane.held.load(Relaxed),
            has_more: false,
        }
    }

    /// What has come since the last call; if nothing has, the task is woken when something does.
    ///
    /// Who gets all that this finds misses nothing, if it is asked itself once after it sat in, and whenever it does not take a
    /// run.
    pub fn poll_update(&mut self, context: &Context<'_>, most: BatchLimit) -> Poll<GroupUpdate> {
        self.shared_waker.register(context);
        // It is not among those who wait any more: it was woken.
        let was_rung = self.lane.batch_waiters.add(&self.shared_waker);
        let has_more = mem::take(&mut self.has_more);
        if !was_rung && !has_more {
            return Poll::Pending;
        }
        let held = self.lane.held.load(Relaxed);
        if mem::replace(&mut self.held, held) != held {
            self.number = self.lane.ring.lock().end();
            return Poll::Ready(GroupUpdate::PollEach);
        }
        self.take(most)
    }

    fn take(&mut self, most: BatchLimit) -> Poll<GroupUpdate> {
        let mut ring = self.lane.ring.lock();
        let mut batch_run: Option<BatchRun> = None;
        let mut bytes = 0;
        loop {
            match ring.take(self.number) {
                RingRead::Batches(JoinedBatches { batch, count, after }) if batch.is_plain() => {
                    let batch_run = batch_run.get_or_insert_with(|| BatchRun::new(Arc::clone(&after)));
                    bytes += batch.size();
                    batch_run.push(self.number, batch, count, after);
                    self.number = batch_run.end;
                    self.has_more = batch_run.batches.len() >= most.batches || bytes >= most.bytes;
                    if self.has_more {
                        break;
                    }
                }
                RingRead::Empty(snapshot) => {
                    batch_run
                        .iter_mut()
                        .for_each(|batch_run| batch_run.after = Arc::clone(&snapshot));
                    break;
                }
                RingRead::Batches(_) | RingRead::Gone => {
                    self.number = ring.end();
                    return Poll::Ready(GroupUpdate::PollEach);
                }
            }
        }
        batch_run.map_or(Poll::Pending, |batch_run| {
            Poll::Ready(GroupUpdate::BatchRun(batch_run))
        })
    }
}

impl BatchRun {
    fn new(after: Arc<Snapshot>) -> Self {
        Self {
            batches: Vec::new(),
            numbers: Vec::new(),
            end: 0,
            after,
        }
    }

    /// Its batches, in order.
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// Adds what came next.
    pub fn extend(&mut self, next: Self) {
        debug_assert_eq!(next.numbers.first(), Some(&self.end));
        self.batches.extend(next.batches);
        self.numbers.extend(next.numbers);
        (self.end, self.after) = (next.end, next.after);
    }

    /// Drops the first `count` batches: all have had them.
    pub fn drop_first(&mut self, count: usize) {
        self.batches.drain(..count);
        self.numbers.drain(..count);
    }

    /// The number behind its last batch, and where that leads.
    pub(super) fn end(&self) -> (u64, &Arc<Snapshot>) {
        (self.end, &self.after)
    }

    /// How many of its batches one has had who wants the batch `number` next; `None` if that is in the midst of one, or before
    /// the first.
    pub(super) fn count_before(&self, number: u64) -> Option<usize> {
        if number >= self.end {
            return Some(self.batches.len());
        }
        self.numbers.binary_search(&number).ok()
    }

    fn push(&mut self, number: u64, batch: Batch, count: u64, after: Arc<Snapshot>) {
        self.batches.push(batch);
        self.numbers.push(number);
        self.end = number + count;
        self.after = after;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::task::Waker;

    use futures_test::task::new_count_waker;
    use proptest::{collection::vec, prelude::*};

    use super::{
        super::{LaneKey, budget::Budget},
        *,
    };
    use crate::{
        filter::FilterRegistry,
        position::{IdForm, TopicSet},
        subscription::{ContentCoding, EventFormat, tests::gap},
    };

    /// A lane whose batches the test makes.
    pub(crate) struct Stage(Arc<Lane>);

    impl Stage {
        /// One that has looked at its streams, and found nothing yet.
        pub(crate) fn new() -> Self {
            let key = LaneKey {
                topics: TopicSet::default(),
                form: IdForm::Json,
                format: EventFormat::Sse,
                coding: ContentCoding::Identity,
                filter: None,
                shows_canaries: false,
            };
            let lane = Lane::new(key, Arc::new(Budget::new(usize::MAX, FilterRegistry::default())));
            lane.ring.lock().set_head(Arc::new(Snapshot::nowhere()));
            Self(Arc::new(lane))
        }

        pub(crate) fn group_cursor(&self) -> GroupCursor {
            GroupCursor::new(&self.0)
        }

        /// Has batches come, and wakes who waits for them.
        pub(crate) fn publish(&self, batches: impl IntoIterator<Item = Vec<u8>>) {
            batches.into_iter().for_each(|bytes| self.push(batch(bytes)));
            self.wake(false);
        }

        fn push(&self, batch: Batch) {
            let mut ring = self.0.ring.lock();
            ring.push(batch, Arc::new(Snapshot::nowhere()), usize::MAX);
        }

        fn wake(&self, held: bool) {
            self.0.wake(true, true, held);
        }
    }

    fn batch(bytes: Vec<u8>) -> Batch {
        Batch {
            bytes: bytes.into(),
            large: None,
            events: 1,
            gaps: Vec::new(),
            packed: None,
        }
    }

    /// What a group finds, as the bytes of each batch; `None` is that each has to be asked.
    fn look(group_cursor: &mut GroupCursor, most: BatchLimit) -> Poll<Option<Vec<Vec<u8>>>> {
        let batch_run = |update| match update {
            GroupUpdate::BatchRun(batch_run) => {
                let bytes = |batch: &Batch| batch.bytes.to_vec();
                Some(batch_run.batches().iter().map(bytes).collect())
            }
            GroupUpdate::PollEach => None,
        };
        group_cursor
            .poll_update(&Context::from_waker(Waker::noop()), most)
            .map(batch_run)
    }

    const PLENTY: BatchLimit = BatchLimit {
        batches: usize::MAX,
        bytes: usize::MAX,
    };

    #[test]
    fn a_row_is_woken_by_what_comes_and_finds_it_once() {
        let stage = Stage::new();
        stage.publish([b"before".to_vec()]);
        let mut group_cursor = stage.group_cursor();
        let (waker, woken) = new_count_waker();
        let context = Context::from_waker(&waker);
        assert!(group_cursor.poll_update(&context, PLENTY).is_pending());
        assert_eq!(woken, 0);
        stage.publish([b"one".to_vec(), b"two".to_vec()]);
        assert!(woken.get() > 0);
        assert_eq!(
            look(&mut group_cursor, PLENTY),
            Poll::Ready(Some(vec![b"one".to_vec(), b"two".to_vec()]))
        );
        assert_eq!(look(&mut group_cursor, PLENTY), Poll::Pending);
        stage.publish([]);
        assert_eq!(
            look(&mut group_cursor, PLENTY),
            Poll::Pending,
            "woken for nothing"
        );
    }

    #[test]
    fn what_is_too_much_comes_in_several_stretches_without_another_ring() {
        let stage = Stage::new();
        let mut group_cursor = stage.group_cursor();
        stage.publish([vec![b'x'; 3], vec![b'y'; 3], vec![b'z'; 3]]);
        let most = BatchLimit {
            batches: usize::MAX,
            bytes: 4,
        };
        assert_eq!(
            look(&mut group_cursor, most),
            Poll::Ready(Some(vec![vec![b'x'; 3], vec![b'y'; 3]]))
        );
        assert_eq!(
            look(&mut group_cursor, most),
            Poll::Ready(Some(vec![vec![b'z'; 3]]))
        );
        assert_eq!(look(&mut group_cursor, most), Poll::Pending);
        stage.publish([vec![b'x'], vec![b'y']]);
        let most = BatchLimit {
            batches: 1,
            bytes: usize::MAX,
        };
        assert_eq!(look(&mut group_cursor, most), Poll::Ready(Some(vec![vec![b'x']])));
        assert_eq!(look(&mut group_cursor, most), Poll::Ready(Some(vec![vec![b'y']])));
        assert_eq!(look(&mut group_cursor, most), Poll::Pending);
    }

    #[test]
    fn each_is_asked_when_it_is_not_the_same_for_all() {
        let stage = Stage::new();
        let mut group_cursor = stage.group_cursor();
        assert_eq!(look(&mut group_cursor, PLENTY), Poll::Pending);
        let each = Poll::Ready(None);

        stage.push(batch(b"plain".to_vec()));
        stage.push(Batch {
            gaps: vec![gap()],
            ..batch(b"gap".to_vec())
        });
        stage.wake(false);
        assert_eq!(look(&mut group_cursor, PLENTY), each, "a gap");
        assert_eq!(
            look(&mut group_cursor, PLENTY),
            Poll::Pending,
            "and so each had both"
        );

        stage.wake(true);
        assert_eq!(look(&mut group_cursor, PLENTY), each, "held");
        stage.wake(true);
        assert_eq!(look(&mut group_cursor, PLENTY), Poll::Pending, "still held");
        stage.wake(false);
        assert_eq!(look(&mut group_cursor, PLENTY), each, "not held any more");

        stage.push(batch(b"gone".to_vec()));
        stage.0.ring.lock().trim(0);
        stage.wake(false);
        assert_eq!(look(&mut group_cursor, PLENTY), each, "overrun");
        stage.0.close();
        assert_eq!(look(&mut group_cursor, PLENTY), each, "closed");
        assert_eq!(look(&mut group_cursor, PLENTY), Poll::Pending);
    }

    #[test]
    fn who_has_had_some_of_a_stretch_gets_the_rest_and_who_is_elsewhere_is_asked() {
        let mut batch_run = BatchRun::new(Arc::new(Snapshot::nowhere()));
        for (number, count) in [(5, 1), (6, 10), (16, 1)] {
            batch_run.push(number, batch(Vec::new()), count, Arc::new(Snapshot::nowhere()));
        }
        let had = |number| batch_run.count_before(number);
        assert_eq!([5, 6, 16].map(had), [Some(0), Some(1), Some(2)]);
        assert_eq!([17, 30].map(had), [Some(3), Some(3)]);
        assert_eq!([0, 4, 7, 15].map(had), [None; 4]);

        let mut next = BatchRun::new(Arc::new(Snapshot::nowhere()));
        next.push(17, batch(Vec::new()), 3, Arc::new(Snapshot::nowhere()));
        batch_run.extend(next);
        batch_run.drop_first(2);
        let had = |number| batch_run.count_before(number);
        assert_eq!(
            [5, 6, 16, 17, 18, 20].map(had),
            [None, None, Some(0), Some(1), None, Some(2)]
        );
    }

    proptest! {
        /// Batches come while a group is behind by as many as it happens to be, some of them joined by then.
        #[test]
        fn the_stretches_of_a_row_are_all_that_came(
            steps in vec((any::<bool>(), 1usize..40, 1usize..2000), 1..200),
            (batches, bytes) in (1usize..20, 1usize..20_000),
        ) {
            let stage = Stage::new();
            let mut group_cursor = stage.group_cursor();
            let (mut published, mut found) = (Vec::new(), Vec::new());
            let mut look = |group_cursor: &mut GroupCursor| -> Result<(), TestCaseError> {
                while let Poll::Ready(batch_run) = look(group_cursor, BatchLimit { batches, bytes }) {
                    let batch_run = batch_run.expect("the same for all");
                    let all_but_last = batch_run[..batch_run.len() - 1].iter().map(Vec::len).sum::<usize>();
                    prop_assert!(batch_run.len() <= batches && all_but_last < bytes);
                    found.extend(batch_run.concat());
                }
                Ok(())
            };
            for (looks, count, length) in steps {
                let batch = |number: usize| vec![(published.len() + number) as u8; length];
                let batches: Vec<_> = (0..count).map(batch).collect();
                published.extend(batches.concat());
                stage.publish(batches);
                if looks {
                    look(&mut group_cursor)?;
                }
            }
            look(&mut group_cursor)?;
            prop_assert_eq!(found, published);
        }
    }
}
