//! Looks at what one client gets, and says when something is lost, repeated, invented or out of order.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};

use riverhead::{position::Offset, sse::SseReader};

use super::model::{ModelFixture, Partition, TOPIC};

/// One client's account.
pub struct DeliveryChecker {
    reader: SseReader,
    last_id: Option<String>,
    seen: BTreeMap<i32, SeenRecords>,
    /// Every number ever delivered: none comes twice, gap or not, because the model never resumes by time.
    delivered: HashSet<u64>,
    /// Of these partitions and numbers, what its client asked for.
    wants: fn(i32, u64) -> bool,
}

/// What a client has seen of one partition since it was last told of a gap.
#[derive(Debug, Default)]
struct SeenRecords {
    /// The first offset it was promised.
    from: Offset,
    numbers: Vec<u64>,
    /// What it was told of that cannot be read.
    unreadable: Vec<Range<Offset>>,
}

impl Default for DeliveryChecker {
    fn default() -> Self {
        Self::of(|_, _| true)
    }
}

impl DeliveryChecker {
    /// One whose client asked for these.
    pub fn of(wants: fn(i32, u64) -> bool) -> Self {
        Self {
            wants,
            reader: reader(),
            last_id: None,
            seen: BTreeMap::new(),
            delivered: HashSet::new(),
        }
    }

    /// A new connection: the id it resumes with. Without an id yet from the start, so that it is known what is due.
    pub fn reconnect(&mut self, fixture: &ModelFixture) -> String {
        self.reader = reader();
        self.last_id.clone().unwrap_or_else(|| from_the_start(fixture))
    }

    /// What came.
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

    /// All that was due has come, in order.
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
        let n = serde_json::from_str::<serde_json::Value>(data).unwrap()["n"]
            .as_u64()
            .unwrap();
        assert!(self.delivered.insert(n), "{n} came twice");
        assert!(!fixture.model.lock().deleted.contains(&n), "{n} was deleted");
        // What is not in the log any more belongs to nobody's account.
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
        // All else is due as before.
        if gap["reason"] == "unreadable" {
            let requested = gap["requested"].as_i64().expect("where it begins");
            return seen.unreadable.push(requested..resumed);
        }
        // What was cut off is lost, and none of what stands in the log.
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

/// Found by the number.
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
