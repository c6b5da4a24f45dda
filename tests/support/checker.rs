//! Checks what one client receives: nothing may be lost, repeated, invented or out of order.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};

use riverhead::{position::Offset, sse::SseReader};

use super::model::{ModelFixture, Partition, TOPIC, number};

/// The checks of one client.
pub struct DeliveryChecker {
    reader: SseReader,
    last_id: Option<String>,
    seen: BTreeMap<i32, SeenRecords>,
    /// Every number ever delivered. None may be delivered twice, with or without a gap, because the model
    /// never resumes by time.
    delivered: HashSet<u64>,
    /// Returns whether the client requested this number of this partition.
    wants: fn(i32, u64) -> bool,
}

/// What a client has received of one partition since its last gap.
#[derive(Debug, Default)]
struct SeenRecords {
    /// The first offset that it must receive.
    from: Offset,
    numbers: Vec<u64>,
    /// The unreadable offsets that gaps have named.
    unreadable: Vec<Range<Offset>>,
}

impl Default for DeliveryChecker {
    fn default() -> Self {
        Self::of(|_, _| true)
    }
}

impl DeliveryChecker {
    /// Creates a checker for a client that requested these numbers.
    pub fn of(wants: fn(i32, u64) -> bool) -> Self {
        Self {
            wants,
            reader: reader(),
            last_id: None,
            seen: BTreeMap::new(),
            delivered: HashSet::new(),
        }
    }

    /// Begins a new connection. Returns the id to resume with: without an id yet, that of the start, so that
    /// the expected records are known.
    pub fn reconnect(&mut self, fixture: &ModelFixture) -> String {
        self.reader = reader();
        self.last_id.clone().unwrap_or_else(|| from_the_start(fixture))
    }

    /// Checks received bytes.
    pub fn take(&mut self, fixture: &ModelFixture, bytes: &[u8]) {
        self.reader.push(bytes).expect("well-formed");
        while let Some(message) = self.reader.next_message() {
            match message.event.as_str() {
                "gap" => self.gap(&message.data),
                "checkpoint" => {}
                _ => self.event(fixture, &message.data),
            }
            self.last_id = message.id.or(self.last_id.take());
        }
    }

    /// Checks that all expected records have arrived, in order.
    pub fn verify(&self, fixture: &ModelFixture) {
        let brokers = fixture.model.lock();
        for (number, partition) in brokers.partitions.iter().enumerate() {
            self.verify_partition(number as i32, partition);
        }
        assert!(self.delivered.iter().all(|n| *n <= brokers.n), "invented");
    }

    fn verify_partition(&self, number: i32, partition: &Partition) {
        let nothing = SeenRecords::default();
        let seen = self.seen.get(&number).unwrap_or(&nothing);
        for record in &partition.records {
            let wanted = !record.tombstone && (self.wants)(number, record.n);
            let due = wanted && record.offset >= seen.from;
            assert!(
                !due || self.delivered.contains(&record.n),
                "partition {number} lost {record:?}, promised from {}",
                seen.from
            );
        }
        for range in &partition.damaged {
            let due = range.start >= seen.from.max(partition.start) && range.end < partition.end;
            assert!(
                !due || range.clone().all(|offset| seen.is_told_of(offset)),
                "partition {number}: not told of {range:?}, promised from {}, told of {:?}",
                seen.from,
                seen.unreadable
            );
        }
        let order: Vec<_> = seen
            .numbers
            .iter()
            .filter(|n| partition.records.iter().any(|r| r.n == **n))
            .collect();
        assert!(order.is_sorted(), "partition {number} out of order: {order:?}");
    }

    fn event(&mut self, fixture: &ModelFixture, data: &str) {
        let n = number(data);
        assert!(self.delivered.insert(n), "{n} came twice");
        assert!(!fixture.model.lock().deleted.contains(&n), "{n} was deleted");
        // A record that is no longer in the log is not expected.
        let partition = partition_of(fixture, n);
        assert!(
            partition.is_none_or(|partition| (self.wants)(partition, n)),
            "{n} was not asked for"
        );
        let seen = self.seen.entry(partition.unwrap_or(0)).or_default();
        seen.numbers.push(n);
    }

    fn gap(&mut self, data: &str) {
        let gap: serde_json::Value = serde_json::from_str(data).unwrap();
        let partition = gap["partition"].as_i64().unwrap() as i32;
        let seen = self.seen.entry(partition).or_default();
        let resumed = gap["resumed"]
            .as_i64()
            .expect("every partition of the model goes on");
        // Everything else stays expected.
        if gap["reason"] == "unreadable" {
            let requested = gap["requested"].as_i64().expect("where it begins");
            return seen.unreadable.push(requested..resumed);
        }
        // What was truncated is lost, but nothing that is still in the log.
        if gap["reason"] == "truncated" || gap["reason"] == "unproven" {
            seen.from = seen.from.min(resumed);
            seen.unreadable
                .iter_mut()
                .for_each(|range| range.end = range.end.min(resumed));
            return;
        }
        *seen = SeenRecords {
            from: resumed,
            ..SeenRecords::default()
        };
    }
}

impl SeenRecords {
    fn is_told_of(&self, offset: Offset) -> bool {
        self.unreadable.iter().any(|range| range.contains(&offset))
    }
}

/// Returns the partition of a number.
fn partition_of(fixture: &ModelFixture, n: u64) -> Option<i32> {
    let brokers = fixture.model.lock();
    let holds = |p: &Partition| p.records.iter().any(|record| record.n == n);
    brokers.partitions.iter().position(holds).map(|at| at as i32)
}

fn reader() -> SseReader {
    SseReader::new(1024 * 1024)
}

fn from_the_start(fixture: &ModelFixture) -> String {
    let entry = |partition| format!(r#"{{"topic":"{TOPIC}","partition":{partition},"offset":-2}}"#);
    let count = fixture.model.lock().partitions.len();
    format!("[{}]", (0..count).map(entry).collect::<Vec<_>>().join(","))
}
