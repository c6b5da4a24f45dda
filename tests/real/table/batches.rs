//! Damage inside compressed batches and in transactions, of several partitions at once: each loses exactly what is
//! damaged.

use std::ops::Range;

use riverhead_brokers::{
    Acked, Cluster, Corruption, Fault, Ledger, NewTopic, Producer, Segment, StoredBatch, eventually, shared,
};

use super::{
    fixture::{SOON, TableFixture},
    listener::{Heard, Listener, events},
};

/// The checksums are right: each codec has its own way to fail.
#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn compressed_batches_that_do_not_unpack_cost_themselves_and_nothing_else() {
    let (brokers, topic) = (shared(), "batches-compressed");
    let leaders: [&[i32]; CODECS.len()] = [&[1]; CODECS.len()];
    brokers.create(&NewTopic::with_replicas(topic, &leaders));
    let parts = (0..).zip(CODECS).map(|(partition, codec)| {
        let producer = brokers.producer(topic).partition(partition).record_bytes(400);
        let mut producer = producer.compression(codec).start();
        for _ in 0..5 {
            producer.send(60);
            producer.flush();
        }
        let written = producer.finish().partitions.remove(&partition);
        let segment = brokers.segment(1, topic, partition);
        let batches = segment.batches(0);
        let batch = batches[batches.len() / 2];
        assert!(batch.is_compressed, "{codec}: {batch:?}");
        segment.spoil(batch, Corruption::Packed);
        Part {
            partition,
            written: written.expect("records"),
            lost: batch.first..batch.last + 1,
        }
    });
    let parts: Vec<_> = parts.collect();
    let fixture = TableFixture::over(brokers, topic, CODECS.len());
    for _ in 0..2 {
        let mut client = fixture.read_from_start(CODECS.len() as i32);
        assert_losses(&mut client, 0, &parts);
    }
    assert_counted(&fixture, &[&parts]);
}

/// The damage is in records of a transaction that was committed, in its marker, and in those of a transaction that was aborted.
/// No aborted record is delivered, whatever is lost of its transaction.
#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn damage_in_transactions_costs_what_is_damaged_and_delivers_nothing_that_was_aborted() {
    let (brokers, topic) = (shared(), "batches-transactions");
    let leaders: [&[i32]; DAMAGE.len()] = [&[1]; DAMAGE.len()];
    brokers.create(&NewTopic::with_replicas(topic, &leaders));
    let mut transactions = Transactions::new(&brokers, topic);
    let replayed = transactions.write_and_damage(&brokers);
    let fixture = TableFixture::over(brokers, topic, DAMAGE.len());
    let mut client = fixture.read_from_start(DAMAGE.len() as i32);
    assert_losses(&mut client, 0, &replayed);
    assert_losses(&mut fixture.read_from_start(DAMAGE.len() as i32), 0, &replayed);

    // The tail has not read it before it is damaged.
    let heard = client.heard.len();
    fixture.brokers.proxy(1).set(Fault::Stall);
    let live = transactions.write_and_damage(&fixture.brokers);
    fixture.brokers.proxy(1).set(Fault::Pass);
    assert_losses(&mut client, heard, &live);
    assert_counted(&fixture, &[&replayed, &live]);
}

/// What was written to a partition, and which offsets of it cannot be read.
struct Part {
    partition: i32,
    written: Vec<Acked>,
    lost: Range<i64>,
}

/// Reads until every partition's last record has arrived. Asserts that from the item `start` on the client received everything
/// that can be read, a gap at the place of each loss, and nothing else.
fn assert_losses(client: &mut Listener, start: usize, parts: &[Part]) {
    let lasts: Vec<_> = parts
        .iter()
        .map(|part| part.written[part.written.len() - 1])
        .collect();
    client.upto(&lasts);
    let heard = &client.heard[start..];
    for Part {
        partition,
        written,
        lost,
    } in parts
    {
        let own = |heard: &&Heard| match heard {
            Heard::Number(number) => written.iter().any(|record| record.n == *number),
            Heard::Gap(of, ..) => *of == i64::from(*partition),
        };
        let split = |offset: i64| written.partition_point(|record| record.offset < offset);
        let reason = "unreadable".to_owned();
        let gap = Heard::Gap(i64::from(*partition), Some(lost.start), Some(lost.end), reason);
        let mut expected = events(&written[..split(lost.start)]);
        expected.push(gap);
        expected.extend(events(&written[split(lost.end)..]));
        let heard: Vec<_> = heard.iter().filter(own).cloned().collect();
        let gaps: Vec<_> = heard
            .iter()
            .filter(|heard| matches!(heard, Heard::Gap(..)))
            .collect();
        assert!(
            heard == expected,
            "partition {partition}: {} heard, {} expected, lost {lost:?}, gaps {gaps:?}",
            heard.len(),
            expected.len()
        );
    }
    let numbers = heard.iter().filter_map(|heard| match heard {
        Heard::Number(number) => Some(*number),
        Heard::Gap(..) => None,
    });
    let own = |number: u64| {
        parts
            .iter()
            .any(|part| part.written.iter().any(|record| record.n == number))
    };
    let foreign: Vec<_> = numbers.filter(|number| !own(*number)).collect();
    assert_eq!(foreign, Vec::<u64>::new(), "written by nobody, or aborted");
}

/// Asserts that each unreadable offset was counted once.
fn assert_counted(fixture: &TableFixture, parts: &[&[Part]]) {
    let lost: i64 = parts
        .iter()
        .copied()
        .flatten()
        .map(|part| part.lost.end - part.lost.start)
        .sum();
    let counted = fixture.gateway.metric("riverhead_kafka_unreadable_offsets_total");
    assert_eq!(counted.expect("a metric"), lost as f64);
}

/// A producer of transactions, each with records for every partition.
struct Transactions {
    topic: &'static str,
    producer: Producer,
}

impl Transactions {
    fn new(brokers: &Cluster, topic: &'static str) -> Self {
        let producer = brokers.producer(topic).record_bytes(400).transactional();
        Self {
            topic,
            producer: producer.start(),
        }
    }

    /// Writes one transaction after the other, and damages a part of one of them in each partition.
    fn write_and_damage(&mut self, brokers: &Cluster) -> Vec<Part> {
        let segments: Vec<_> = (0..DAMAGE.len() as i32)
            .map(|partition| brokers.segment(1, self.topic, partition))
            .collect();
        let ends: Vec<_> = segments.iter().map(Segment::end).collect();
        let before = self.producer.ledger();
        for commits in COMMITS {
            self.producer.begin();
            self.producer.send(60 * DAMAGE.len() as u64);
            self.producer.flush();
            if commits {
                self.producer.commit();
            } else {
                self.producer.abort();
            }
        }
        let ledger = self.producer.ledger();
        let parts = (0..).zip(DAMAGE).zip(segments.iter().zip(ends));
        let parts = parts.map(|((partition, (transaction, is_marker)), (segment, end))| {
            let batches = finished(segment, end);
            // The marker of a transaction is the last of its batches.
            let mut of_each = batches.split_inclusive(|batch| batch.is_marker);
            let own = of_each.nth(transaction).expect("the batches of a transaction");
            let batch = if is_marker { own[own.len() - 1] } else { own[0] };
            assert_eq!(batch.is_marker, is_marker, "{own:?}");
            segment.spoil(batch, Corruption::Payload);
            Part {
                partition,
                written: new_of(&before, &ledger, partition),
                lost: batch.first..batch.last + 1,
            }
        });
        parts.collect()
    }
}

/// Waits until the markers of all transactions are written, which brokers do after the answer, and returns the batches.
fn finished(segment: &Segment, end: usize) -> Vec<StoredBatch> {
    eventually(SOON, "the markers of all transactions", || {
        let batches = segment.batches(end);
        let markers = batches.iter().filter(|batch| batch.is_marker).count();
        let all = markers == COMMITS.len();
        all.then_some(batches).ok_or_else(|| markers.to_string())
    })
}

/// Returns the records of a partition that one ledger has and the earlier one has not.
fn new_of(before: &Ledger, after: &Ledger, partition: i32) -> Vec<Acked> {
    let of = |ledger: &Ledger| ledger.partitions.get(&partition).cloned().unwrap_or_default();
    of(after).split_off(of(before).len())
}

const CODECS: [&str; 4] = ["gzip", "snappy", "lz4", "zstd"];

/// Whether each transaction is committed. Others are behind the damaged ones.
const COMMITS: [bool; 5] = [true, false, true, false, true];

/// What is damaged in each partition: the transaction, and whether it is its marker.
const DAMAGE: [(usize, bool); 4] = [(2, false), (2, true), (1, false), (1, true)];
