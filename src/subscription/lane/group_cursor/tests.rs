use std::task::Waker;

use futures_test::task::new_count_waker;
use proptest::{collection::vec, prelude::*};

use super::{
    super::{budget::Budget, state::LaneKey},
    *,
};
use crate::{
    filter::FilterRegistry,
    position::TopicSet,
    subscription::{StreamView, tests::gap},
};

/// A lane whose batches the test makes.
pub(crate) struct Stage(Arc<Lane>);

impl Stage {
    /// Creates a lane that has read its streams and found nothing yet.
    pub(crate) fn new() -> Self {
        let key = LaneKey {
            topics: TopicSet::default(),
            view: StreamView::default(),
        };
        let lane = Lane::new(
            key,
            Arc::new(Budget::new(usize::MAX, FilterRegistry::default())),
            None,
        );
        lane.ring.lock().set_head(Arc::new(Snapshot::nowhere()));
        Self(Arc::new(lane))
    }

    pub(crate) fn group_cursor(&self) -> GroupCursor {
        GroupCursor::new(&self.0)
    }

    /// Publishes batches, and wakes the subscribers that wait for them.
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

/// Polls a group. Returns the bytes of each batch; `None` if every member must be polled.
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
    /// Batches come while a group lags behind by any number of them, some of which are joined by then.
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
