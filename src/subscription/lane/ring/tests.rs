use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    event::Encoding,
    partition::{LogDirectory, TopicPartition},
    position::LogTag,
    subscription::{DeflateChunk, tests::gap},
};

const SMALL: usize = MAX_JOINED_BYTES / RUN_LEN as usize;

fn batch(number: u64, length: usize) -> Batch {
    Batch {
        bytes: vec![number as u8; length].into(),
        large: None,
        events: 1,
        gaps: Vec::new(),
        packed: None,
    }
}

fn push(ring: &mut BatchRing, batch: Batch, budget: usize) -> Arc<Snapshot> {
    let after = Arc::new(Snapshot::nowhere());
    ring.push(batch, Arc::clone(&after), budget);
    after
}

/// Creates a ring of this many small batches.
fn ring(batches: u64) -> BatchRing {
    let mut ring = BatchRing::default();
    for number in 0..batches {
        push(&mut ring, batch(number, SMALL), usize::MAX);
    }
    ring
}

fn count(ring: &mut BatchRing, number: u64) -> Option<u64> {
    match ring.take(number) {
        RingRead::Batches(batches) => Some(batches.count),
        RingRead::Empty(_) | RingRead::Gone => None,
    }
}

#[test]
fn who_is_behind_gets_the_rest_of_a_run_at_once_and_who_is_not_does_not() {
    let mut ring = ring(3 * RUN_LEN - 1);
    assert_eq!(count(&mut ring, RUN_LEN + 3), Some(RUN_LEN - 3));
    assert_eq!(count(&mut ring, 2 * RUN_LEN - 1), Some(1));
    assert_eq!(count(&mut ring, 2 * RUN_LEN), Some(1), "not whole");
    assert_eq!(count(&mut ring, 3 * RUN_LEN - 1), None, "the end");
    assert_eq!(
        count(&mut super::tests::ring(RUN_LEN), RUN_LEN - MIN_LAG_TO_JOIN + 1),
        Some(1)
    );
}

#[test]
fn what_is_large_or_packed_or_tells_of_a_gap_stays_single() {
    let packed = DeflateChunk {
        bytes: Bytes::new(),
        number: 0,
        starts_epoch: true,
    };
    let odd = [
        batch(0, SMALL + 1),
        Batch {
            packed: Some(packed),
            ..batch(0, 1)
        },
        Batch {
            gaps: vec![gap()],
            ..batch(0, 1)
        },
    ];
    for odd in odd {
        let mut ring = ring(RUN_LEN - 1);
        push(&mut ring, odd, usize::MAX);
        assert_eq!(count(&mut ring, 0), Some(1));
    }
}

#[test]
fn what_may_hold_a_deleted_record_leaves_with_all_before_it_and_no_more() {
    let directory = LogDirectory::new();
    let log = |partition| {
        let partition = TopicPartition {
            topic: "t".into(),
            partition,
        };
        PartitionLog::new(partition, LogTag::from_bits(1, 1), Encoding::default(), 0)
    };
    let [log, other] = [log(0), log(1)];
    for (start, left) in [(0, 40), (1, 39), (10, 30), (20, 20), (39, 1), (40, 0), (99, 0)] {
        for joined in [false, true] {
            let mut ring = BatchRing::default();
            ring.set_head(Arc::new(Snapshot::at(&[(&log, 0), (&other, 0)])));
            for number in 0..40 {
                let after = Snapshot::at(&[(&log, number as i64 + 1), (&other, 0)]);
                ring.push(batch(number, 1), Arc::new(after), usize::MAX);
            }
            if joined {
                ring.take(16);
            }
            directory.set_start(&log, start);
            let freed = ring.drop_deleted(&log);
            // Joined batches leave together.
            let left = match (joined, start) {
                (true, 17..32) => 8,
                _ => left,
            };
            assert_eq!(ring.entries.len(), left, "from {start}, joined: {joined}");
            assert_eq!(freed == MemoryCost::default(), left == 40);
            assert_eq!(ring.end(), 40);
            assert_eq!(
                ring.drop_deleted(&other),
                MemoryCost::default(),
                "of it nothing was"
            );
        }
    }
}

proptest! {
    /// Clients at any position take batches at any time, while batches come and go.
    #[test]
    fn all_get_every_batch_in_order_until_it_has_left_and_the_bytes_are_accounted_for(
        steps in vec((0usize..4, 1usize..2 * SMALL, 0usize..4), 1..300),
        budget in SMALL..100 * SMALL,
    ) {
        let (mut ring, mut pushed, mut clients) = (BatchRing::default(), Vec::new(), [0u64; 4]);
        ring.set_head(Arc::new(Snapshot::nowhere()));
        for (what, length, client) in steps {
            if what < 3 {
                let number = pushed.len() as u64;
                // Mostly small batches, so that there are runs.
                let batch = batch(number, if what == 0 { length } else { 1 + length % 40 });
                pushed.push((batch.bytes.clone(), push(&mut ring, batch, budget)));
                continue;
            }
            let number = clients[client];
            match ring.take(number) {
                RingRead::Empty(_) => prop_assert_eq!(number, pushed.len() as u64),
                RingRead::Gone => {
                    prop_assert!(number < ring.first);
                    clients[client] = ring.end();
                }
                RingRead::Batches(JoinedBatches { batch, count, after }) => {
                    let all = &pushed[number as usize..(number + count) as usize];
                    let bytes: Vec<_> = all.iter().flat_map(|(bytes, _)| bytes.to_vec()).collect();
                    prop_assert_eq!(&*batch.bytes, bytes);
                    prop_assert_eq!(u64::from(batch.events), count);
                    prop_assert!(Arc::ptr_eq(&after, &all[all.len() - 1].1));
                    clients[client] = number + count;
                }
            }
            prop_assert!(ring.cost.total() <= budget);
            let costs = ring.entries.iter().map(|entry| entry.cost.total());
            prop_assert_eq!(ring.cost.total(), costs.sum::<usize>());
            prop_assert_eq!(ring.end(), pushed.len() as u64);
        }
        ring.close();
        prop_assert_eq!((ring.cost, ring.entries.len()), (MemoryCost::default(), 0));
    }
}
