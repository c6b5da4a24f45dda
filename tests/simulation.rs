//! Cursor, ring and history under random schedules, against a plain `Vec` model: nothing lost, nothing repeated, nothing
//! invented, whatever the brokers do meanwhile. Time is simulated, so a failing schedule fails again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::{
    collections::{BTreeMap, HashSet},
    future::poll_fn,
    time::Duration,
};

use proptest::prelude::*;
use riverhead::{
    position::{IdForm, Offset},
    sse::Reader,
    subscription::Subscription,
};
use support::model::{House, Partition, TOPIC};

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..3usize, 1..40usize).prop_map(|(partition, records)| Op::Produce { partition, records }),
        8 => (0..3usize).prop_map(|partition| Op::Tail { partition }),
        3 => (1..6usize).prop_map(|pages| Op::Shed { pages }),
        8 => (1..6usize).prop_map(|batches| Op::Read { batches }),
        3 => Just(Op::CutAndResume),
        2 => (0..3usize).prop_map(|partition| Op::Compact { partition }),
        1 => (0..3usize, 0..100usize).prop_map(|(partition, percent)| Op::Expire { partition, percent }),
        1 => (0..3usize, 0..100usize, 0..60usize).prop_map(|(partition, keep_percent, records)| Op::Truncate {
            partition,
            keep_percent,
            records
        }),
        1 => (0..60usize).prop_map(|records| Op::Recreate { records }),
        1 => (0..3usize, any::<bool>()).prop_map(|(partition, mute)| Op::Mute { partition, mute }),
        1 => Just(Op::AddPartition),
        1 => (0..3usize).prop_map(|partition| Op::TailLags { partition }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_repeated_or_invented(ops in prop::collection::vec(op(), 1..120), compact in any::<bool>(), canaries in any::<bool>()) {
        World::run(&ops, compact, canaries);
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Op {
    /// A producer writes.
    Produce { partition: usize, records: usize },
    /// The tail reads what there is.
    Tail { partition: usize },
    /// Memory is short.
    Shed { pages: usize },
    /// The client takes some batches.
    Read { batches: usize },
    /// The client's connection breaks; it comes back with its last id.
    CutAndResume,
    /// Half of the records are superseded.
    Compact { partition: usize },
    /// The oldest records are deleted.
    Expire { partition: usize, percent: usize },
    /// An unclean election: the log is cut, a new epoch begins and other records are written.
    Truncate {
        partition: usize,
        keep_percent: usize,
        records: usize,
    },
    /// The topic is deleted and created again, and written to.
    Recreate { records: usize },
    /// A leader stops answering, or answers again.
    Mute { partition: usize, mute: bool },
    /// The topic gets one more partition, with records in it before anybody looks.
    AddPartition,
    /// The tail was away so long that what it read last has expired.
    TailLags { partition: usize },
}

/// What a client has seen of one partition since it was last told of a gap.
#[derive(Debug, Default)]
struct Seen {
    /// The first offset it was promised.
    from: Offset,
    numbers: Vec<u64>,
}

/// The house, one client, a referee.
struct World {
    house: House,
    client: Subscription,
    reader: Reader,
    last_id: Option<String>,
    form: IdForm,
    /// Whether it is shown the records of probes, every fifth. Else it must see none, and lose nothing but them.
    shows_canaries: bool,
    seen: BTreeMap<i32, Seen>,
    /// Every number ever delivered: none comes twice, gap or not, because the model never resumes by time.
    delivered: HashSet<u64>,
}

impl World {
    /// Plays the schedule, then lets everything settle and compares.
    fn run(ops: &[Op], compact: bool, shows_canaries: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let form = if compact { IdForm::Compact } else { IdForm::Json };
            let mut world = Self::new(form, shows_canaries);
            for op in ops {
                world.step(op).await;
            }
            world.settle().await;
        });
    }

    fn new(form: IdForm, shows_canaries: bool) -> Self {
        let house = House::new(PARTITIONS);
        house.model.lock().canary_every = Some(5);
        let seen: BTreeMap<_, _> = (0..PARTITIONS as i32)
            .map(|partition| (partition, Seen::default()))
            .collect();
        let client = house.subscribe_with(Some(&from_the_start(seen.keys())), form, shows_canaries);
        Self {
            house,
            client,
            reader: reader(),
            last_id: None,
            form,
            shows_canaries,
            seen,
            delivered: HashSet::new(),
        }
    }

    /// Without an id yet from the start, so that the referee knows what is due.
    fn connect(&mut self) {
        let id = self
            .last_id
            .clone()
            .unwrap_or_else(|| from_the_start(self.seen.keys()));
        self.reader = reader();
        let Self {
            form, shows_canaries, ..
        } = *self;
        self.client = self.house.subscribe_with(Some(&id), form, shows_canaries);
    }

    async fn step(&mut self, op: &Op) {
        let count = self.house.model.lock().partitions.len();
        match *op {
            Op::Produce { partition, records } => self.house.model.lock().produce(partition % count, records),
            Op::Tail { partition } => self.house.tail(partition % count),
            Op::Shed { pages } => {
                for log in self.house.source.directory.all() {
                    (0..pages).for_each(|_| _ = log.shed());
                }
            }
            Op::Read { batches } => self.read(batches).await,
            Op::CutAndResume => self.connect(),
            Op::Compact { partition } => {
                self.house.model.lock().partitions[partition % count]
                    .records
                    .retain(|record| record.n % 2 == 0);
            }
            Op::Expire { partition, percent } => self.house.expire(partition % count, percent),
            Op::Truncate {
                partition,
                keep_percent,
                records,
            } => {
                self.house.truncate(partition % count, keep_percent, records);
            }
            Op::Recreate { records } => self.house.recreate(records),
            Op::Mute { partition, mute } => self.house.model.lock().partitions[partition % count].mute = mute,
            Op::AddPartition if count < 4 => {
                self.house.add_partition();
                self.seen.insert(count as i32, Seen::default());
            }
            Op::AddPartition => {}
            Op::TailLags { partition } => self.house.tail_lags(partition % count),
        }
    }

    async fn read(&mut self, batches: usize) {
        for _ in 0..batches {
            let Some(bytes) = self.next_batch().await else {
                return;
            };
            self.reader.push(&bytes).expect("well-formed");
            while let Some(message) = self.reader.next_message() {
                match message.event.as_str() {
                    "gap" => self.gap(&message.data),
                    _ => self.event(&message.data),
                }
                self.last_id = message.id.or(self.last_id.take());
            }
        }
    }

    async fn next_batch(&mut self) -> Option<bytes::Bytes> {
        let batch = poll_fn(|context| self.client.poll_batch(context));
        // Longer than any pause in the house, and costs nothing: the clock is simulated.
        tokio::time::timeout(Duration::from_secs(20), batch)
            .await
            .ok()
            .map(|batch| batch.bytes)
    }

    fn event(&mut self, data: &str) {
        let n = serde_json::from_str::<serde_json::Value>(data).unwrap()["n"]
            .as_u64()
            .unwrap();
        assert!(self.delivered.insert(n), "{n} came twice");
        assert!(self.shows_canaries || !n.is_multiple_of(5), "{n} is hidden");
        let partition = self.partition_of_last_event(n);
        self.seen.get_mut(&partition).unwrap().numbers.push(n);
    }

    /// Found by the number: what is not in the log any more belongs to nobody's account.
    fn partition_of_last_event(&self, n: u64) -> i32 {
        let brokers = self.house.model.lock();
        let holds = |p: &Partition| p.records.iter().any(|record| record.n == n);
        brokers.partitions.iter().position(holds).unwrap_or(0) as i32
    }

    fn gap(&mut self, data: &str) {
        let gap: serde_json::Value = serde_json::from_str(data).unwrap();
        let partition = gap["partition"].as_i64().unwrap() as i32;
        let seen = self.seen.get_mut(&partition).unwrap();
        seen.from = gap["resumed"]
            .as_i64()
            .expect("every partition of the model goes on");
        seen.numbers.clear();
    }

    async fn settle(&mut self) {
        let count = self.house.model.lock().partitions.len();
        self.house
            .model
            .lock()
            .partitions
            .iter_mut()
            .for_each(|partition| partition.mute = false);
        (0..count).for_each(|partition| self.house.tail(partition));
        self.read(usize::MAX).await;
        let brokers = self.house.model.lock();
        for (number, partition) in brokers.partitions.iter().enumerate() {
            let seen = &self.seen[&(number as i32)];
            for record in partition
                .records
                .iter()
                .filter(|record| record.offset >= seen.from && (self.shows_canaries || !record.canary))
            {
                assert!(
                    self.delivered.contains(&record.n),
                    "partition {number} lost {record:?}, promised from {}",
                    seen.from
                );
            }
            let order: Vec<_> = seen
                .numbers
                .iter()
                .filter(|n| partition.records.iter().any(|r| r.n == **n))
                .collect();
            assert!(order.is_sorted(), "partition {number} out of order: {order:?}");
        }
        assert!(self.delivered.iter().all(|n| *n <= brokers.n), "invented");
    }
}

fn reader() -> Reader {
    Reader::new(1024 * 1024)
}

fn from_the_start<'a>(partitions: impl Iterator<Item = &'a i32>) -> String {
    let entry = |partition| format!(r#"{{"topic":"{TOPIC}","partition":{partition},"offset":-2}}"#);
    format!("[{}]", partitions.map(entry).collect::<Vec<_>>().join(","))
}

/// Partitions at the beginning; schedules add up to two more.
const PARTITIONS: usize = 2;
