//! Bytes that changed on a broker's disk: what can be read is delivered, and clients receive a gap for the
//! rest.

use riverhead_brokers::{Acked, Cluster, Corruption, Fault, NewTopic, StoredBatch, eventually, shared};
use serde_json::{Value, json};

use super::{
    away::{answer, no_gap, refused},
    fixture::{SOON, TableFixture},
    listener::{Heard, Listener, events},
};
use crate::{checked::check, following::plan, healthz::health};

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_byte_changed_in_a_value_costs_its_batch_and_nothing_else() {
    let damaged = Damaged::new("damaged-payload", Corruption::Payload);
    assert_eq!(damaged.replayed, (damaged.batch.first, damaged.batch.last + 1));
    damaged.live();
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn who_wants_no_gap_and_would_begin_with_damage_gets_410() {
    let mut damaged = Damaged::new("damaged-verdict", Corruption::Payload);
    damaged.refuses_who_wants_no_gap();
    damaged.fixture.restart(1);
    damaged.refuses_though_nobody_has_found_it();
}

/// Before a start, the last record of each partition is tried.
#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn damage_at_the_end_of_a_log_is_found_by_the_check() {
    let (brokers, topic) = (shared(), "damaged-last");
    let spoils = [
        Corruption::Payload,
        Corruption::Magic,
        Corruption::Length,
        Corruption::Record,
    ];
    let leaders: [&[i32]; 5] = [&[1]; 5];
    brokers.create(&NewTopic::with_replicas(topic, &leaders));
    for partition in 0..5 {
        let mut producer = brokers
            .producer(topic)
            .partition(partition)
            .record_bytes(400)
            .start();
        for _ in 0..3 {
            producer.send(1);
            producer.flush();
        }
        assert_eq!(producer.finish().failed, Vec::new());
    }
    let plan = plan(&brokers, &[topic]);
    check(&plan).says(0, &format!("ok: cluster main: topic {topic}, 5 partitions"));
    for (partition, spoil) in (0..).zip(spoils) {
        let segment = brokers.segment(1, topic, partition);
        segment.spoil(*segment.batches(0).last().expect("batches"), spoil);
    }
    let checked = check(&plan);
    checked.says(1, "cannot be read: BAD_MESSAGE");
    println!("{}", checked.text());
    let counts = checked.text().lines().filter_map(|line| {
        let (_, told) = line.split_once("error: cluster main: topic damaged-last: ")?;
        told.split_once(' ')?.0.parse::<usize>().ok()
    });
    assert_eq!(counts.sum::<usize>(), spoils.len(), "{}", checked.text());
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_byte_changed_in_a_header_costs_its_batch_and_nothing_else() {
    let damaged = Damaged::new("damaged-header", Corruption::Magic);
    assert_eq!(damaged.replayed, (damaged.batch.first, damaged.batch.last + 1));
    damaged.live();
}

/// The broker itself finds the following batches by that length.
#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_byte_changed_in_a_length_costs_what_the_broker_cannot_find() {
    let damaged = Damaged::new("damaged-length", Corruption::Length);
    let (from, to) = damaged.replayed;
    assert_eq!(from, damaged.batch.first);
    assert!(to > damaged.batch.last, "{from}..{to}");
    damaged.live();
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_record_that_does_not_parse_costs_that_record() {
    let damaged = Damaged::new("damaged-record", Corruption::Record);
    assert_eq!(damaged.replayed, (damaged.batch.first, damaged.batch.first + 1));
    damaged.live();
}

/// As one that a later version of Kafka has. librdkafka says so, and stands still.
#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_batch_of_a_codec_that_nobody_knows_costs_its_batch_and_nothing_else() {
    let damaged = Damaged::new("damaged-codec", Corruption::Codec);
    assert_eq!(damaged.replayed, (damaged.batch.first, damaged.batch.last + 1));
    damaged.live();
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_byte_changed_in_a_compressed_batch_costs_its_batch_and_nothing_else() {
    let damaged = Damaged::packed("damaged-compressed", Corruption::Payload, "zstd");
    assert!(damaged.batch.is_compressed);
    assert_eq!(damaged.replayed, (damaged.batch.first, damaged.batch.last + 1));
    damaged.live();
}

/// Its checksum is right.
#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_batch_that_does_not_unpack_costs_its_batch_and_nothing_else() {
    let damaged = Damaged::new("damaged-packing", Corruption::Packing);
    assert_eq!(damaged.replayed, (damaged.batch.first, damaged.batch.last + 1));
    damaged.live();
}

/// A topic with a damaged batch, and the gap in a replay of it.
struct Damaged {
    fixture: TableFixture,
    spoil: Corruption,
    codec: &'static str,
    written: Vec<Acked>,
    batch: StoredBatch,
    replayed: (i64, i64),
}

impl Damaged {
    /// Replays a topic after one of its batches was damaged, in a process that has nothing of it in memory;
    /// and once more.
    fn new(topic: &str, spoil: Corruption) -> Self {
        Self::packed(topic, spoil, "none")
    }

    /// Does the same with batches that are compressed by this codec.
    fn packed(topic: &str, spoil: Corruption, codec: &'static str) -> Self {
        let brokers = shared();
        brokers.create(&NewTopic::with_replicas(topic, &[&[1]]));
        let written = write_batches(&brokers, topic, codec);
        let segment = brokers.segment(1, topic, 0);
        let batch = middle(&segment.batches(0));
        segment.spoil(batch, spoil);
        let fixture = TableFixture::over(brokers, topic, 1);
        let mut damaged = Self {
            fixture,
            spoil,
            codec,
            written,
            batch,
            replayed: (0, 0),
        };
        damaged.replayed = damaged.replay();
        assert_eq!(
            damaged.replay(),
            damaged.replayed,
            "the next client receives the same"
        );
        damaged
    }

    /// Replays the topic. Asserts that the client receives everything except one range, with a gap at its
    /// place, and returns that range.
    fn replay(&self) -> (i64, i64) {
        let mut client = self.fixture.read_from_start(1);
        client.upto(&self.written[self.written.len() - 1..]);
        range(&client.heard, &self.written, 0)
    }

    /// Damages a batch before the tail has read it: a live client receives a gap, and continues.
    fn live(&self) {
        let (brokers, topic) = (&self.fixture.brokers, &self.fixture.topic);
        let segment = brokers.segment(1, topic, 0);
        let end = segment.end();
        let mut client = self.fixture.read_from_start(1);
        client.upto(&self.written[self.written.len() - 1..]);
        let heard = client.heard.len();
        brokers.proxy(1).set(Fault::Stall);
        let written = write_batches(brokers, topic, self.codec);
        let first = written[0].offset;
        let batch = middle(&segment.batches(end));
        segment.spoil(batch, self.spoil);
        brokers.proxy(1).set(Fault::Pass);
        client.upto(&written[written.len() - 1..]);
        let (from, to) = range(&client.heard[heard..], &written, first);
        assert_eq!(from, batch.first);
        self.is_told(&[self.replayed, (from, to)]);
    }

    /// A client that wants no gap, and would begin with this one: with its own id, and with a bare offset.
    fn refuses_who_wants_no_gap(&self) {
        let (fixture, (from, to)) = (&self.fixture, self.replayed);
        let gap = json!({"requested": from, "resumed": to, "reason": "unreadable"});
        for id in [self.id_before(), fixture.id(json!({"offset": from}))] {
            let (_, problem) = refused(fixture, &id, 410);
            assert_eq!(problem["gap"], fixture.entry(0, gap.clone()));
        }
        // One more record can be read before the gap: it is delivered, and the stream ends at the gap.
        let mut near = Listener::connect(
            fixture.gateway.http,
            &no_gap(&fixture.id(json!({"offset": from - 1}))),
        );
        near.upto_gap();
        let told = Heard::Gap(0, Some(from), Some(to), "unreadable".to_owned());
        assert_eq!(
            near.heard,
            [&events(&self.before()[self.before().len() - 1..])[..], &[told]].concat()
        );
    }

    /// In a process that has not read there: while the range is searched there is no verdict.
    fn refuses_though_nobody_has_found_it(&self) {
        let fixture = &self.fixture;
        let id = self.id_before();
        let problem = eventually(SOON, "a verdict", || match answer(fixture, &id) {
            (410, problem) => Ok(problem),
            (status, problem) => {
                assert_eq!(status, 503, "{problem}");
                Err(problem.to_string())
            }
        });
        assert_eq!(problem["gap"]["reason"], "unreadable", "{problem}");
    }

    /// Returns the id of a client that has read everything before the damage.
    fn id_before(&self) -> Value {
        let mut client = self.fixture.read_from_start(1);
        client.upto(self.before());
        client.id(self.before()[self.before().len() - 1])
    }

    /// Returns what was written before the damage.
    fn before(&self) -> &[Acked] {
        let first = self.batch.first;
        &self.written[..self.written.partition_point(|record| record.offset < first)]
    }

    fn is_told(&self, ranges: &[(i64, i64)]) {
        let lost: i64 = ranges.iter().map(|(from, to)| to - from).sum();
        assert_eq!(
            self.fixture.gateway.metric(UNREADABLE).expect("a metric"),
            lost as f64
        );
        eventually(SOON, "health that names the offsets", || {
            let health = health(&self.fixture.gateway);
            let partition = &health["clusters"][0]["partitions"][0];
            let reason = partition["reason"].as_str().unwrap_or_default();
            let named = ranges
                .iter()
                .all(|(from, to)| reason.contains(&format!("{from} to {}", to - 1)));
            match named && partition["state"] == "degraded" && health["state"] == "degraded" {
                true => Ok(()),
                false => Err(health.to_string()),
            }
        });
    }
}

/// Writes five batches to a partition, compressed by this codec.
fn write_batches(brokers: &Cluster, topic: &str, codec: &str) -> Vec<Acked> {
    let producer = brokers.producer(topic).record_bytes(400);
    let mut producer = producer.compression(codec).start();
    for _ in 0..5 {
        producer.send(60);
        producer.flush();
    }
    let ledger = producer.finish();
    ledger.partitions.into_values().flatten().collect()
}

/// Returns the range of `written` that was lost. Asserts that the gap was at its place, and that everything
/// else arrived once and in order.
fn range(heard: &[Heard], written: &[Acked], start: i64) -> (i64, i64) {
    let gaps: Vec<_> = heard
        .iter()
        .filter_map(|heard| match heard {
            Heard::Gap(0, Some(from), Some(to), reason) if reason == "unreadable" => Some((*from, *to)),
            Heard::Gap(..) => panic!("{heard:?}"),
            Heard::Number(_) => None,
        })
        .collect();
    let [(from, to)] = gaps[..] else {
        panic!("{gaps:?}");
    };
    let split = |offset: i64| written.partition_point(|record| record.offset < offset);
    assert!(start <= from && from < to, "{from}..{to}");
    let mut expected = events(&written[..split(from)]);
    expected.push(Heard::Gap(0, Some(from), Some(to), "unreadable".to_owned()));
    expected.extend(events(&written[split(to)..]));
    assert!(
        heard == expected,
        "{} heard, {} expected, the gap is {from}..{to}",
        heard.len(),
        expected.len()
    );
    (from, to)
}

/// Returns a batch with others before and after it.
fn middle(batches: &[StoredBatch]) -> StoredBatch {
    assert!(batches.len() >= 5, "{batches:?}");
    batches[batches.len() / 2]
}

const UNREADABLE: &str = "riverhead_kafka_unreadable_offsets_total";
