//! Reads that follow each other, compared with a plain model: whatever the cuts and limits, and whatever the brokers do meanwhile,
//! each record is given once.

use proptest::prelude::*;
use riverhead::{position::IdForm, subscription::ReadEnd};

use super::{LONG, START, Wish, end_with_hole, numbers, read_some, write};
use crate::support::model::{ModelFixture, StoredRecord};

/// What a log begins with.
#[derive(Clone, Debug)]
enum Written {
    /// A record of this time, out of order with others.
    Record { partition: usize, time: i64, kind: Kind },
    /// Offsets without a record.
    Hole { partition: usize, offsets: i64 },
    /// The records so far are no longer in memory.
    Evicted { partition: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Event,
    Canary,
    Tombstone,
}

/// What happens between two batches of a reader.
#[derive(Clone, Debug)]
enum Step {
    /// The client is cut, and comes back with its last id.
    Cut,
    /// A record is written, after all of the ends.
    Write {
        partition: usize,
    },
    /// The start of a log moves.
    Expire {
        partition: usize,
        percent: usize,
    },
    AddPartition,
    Evict {
        partition: usize,
    },
    Nothing,
}

fn written() -> impl Strategy<Value = Written> {
    let kind = prop_oneof![6 => Just(Kind::Event), 1 => Just(Kind::Canary), 1 => Just(Kind::Tombstone)];
    prop_oneof![
        12 => (0..2_usize, 0..TIMES, kind)
            .prop_map(|(partition, time, kind)| Written::Record { partition, time: START + time, kind }),
        2 => (0..2_usize, 1..20_i64).prop_map(|(partition, offsets)| Written::Hole { partition, offsets }),
        1 => (0..2_usize).prop_map(|partition| Written::Evicted { partition }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Cut),
        3 => (0..2_usize).prop_map(|partition| Step::Write { partition }),
        1 => (0..2_usize, 0..40_usize).prop_map(|(partition, percent)| Step::Expire { partition, percent }),
        1 => Just(Step::AddPartition),
        1 => (0..2_usize).prop_map(|partition| Step::Evict { partition }),
        4 => Just(Step::Nothing),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tiles_of_time_and_of_ids_give_each_record_once(
        log in prop::collection::vec(written(), 1..150),
        mut borders in prop::collection::vec(0..TIMES + 10, 0..4),
        steps in prop::collection::vec((step(), 1..40_u64), 0..30),
        is_sorted in any::<bool>(),
        is_filtered in any::<bool>(),
        compact in any::<bool>(),
    ) {
        borders.sort_unstable();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let log = if is_sorted { sorted_by_time(log) } else { log };
            let mut world = World::new(&log, is_filtered, compact);
            world.is_sorted = is_sorted;
            let mut steps = steps.iter();
            let mut since = 0;
            for border in borders {
                let border = START + border;
                world.read(Wish::since(since), ReadEnd::Time(border), &mut steps).await;
                since = border;
            }
            let id = world.read(Wish::since(since), ReadEnd::Now, &mut steps).await;
            // What came since is behind the id of the end.
            let behind = Wish { id: Some(id), ..Wish::default() };
            world.read(behind, ReadEnd::Now, &mut [].iter()).await;
            world.verify();
        });
    }
}

/// The brokers, and all that clients were given.
struct World {
    fixture: ModelFixture,
    filter: Option<String>,
    form: IdForm,
    got: Vec<u64>,
    /// Whether the records of each partition are in the order of their times.
    is_sorted: bool,
    /// Whether the start of a log may move now. Where times are out of order, the record that a border rests on may stand before
    /// others of before the border. If it is deleted, the border is at another one.
    may_expire: bool,
}

/// Gives the same times to the records in their order.
fn sorted_by_time(mut log: Vec<Written>) -> Vec<Written> {
    let mut times: Vec<_> = log.iter_mut().filter_map(time_of).map(|time| *time).collect();
    times.sort_unstable();
    for (time, sorted) in log.iter_mut().filter_map(time_of).zip(times) {
        *time = sorted;
    }
    log
}

fn time_of(written: &mut Written) -> Option<&mut i64> {
    match written {
        Written::Record { time, .. } => Some(time),
        _ => None,
    }
}

impl World {
    fn new(log: &[Written], is_filtered: bool, compact: bool) -> Self {
        let fixture = ModelFixture::new(2);
        for written in log {
            match *written {
                Written::Record {
                    partition,
                    time,
                    kind,
                } => write_kind(&fixture, partition, time, kind),
                Written::Hole { partition, offsets } => end_with_hole(&fixture, partition, offsets),
                Written::Evicted { partition } => fixture.tail_lags(partition),
            }
        }
        let even = (1..200).map(|n| (2 * n).to_string()).collect::<Vec<_>>();
        Self {
            fixture,
            filter: is_filtered.then(|| format!("n in ({})", even.join(", "))),
            form: if compact { IdForm::Compact } else { IdForm::Json },
            got: Vec::new(),
            is_sorted: false,
            may_expire: false,
        }
    }

    /// Reads to the end over all cuts. Returns the id of the end.
    async fn read(
        &mut self,
        mut wish: Wish,
        end: ReadEnd,
        steps: &mut std::slice::Iter<'_, (Step, u64)>,
    ) -> String {
        wish.filter.clone_from(&self.filter);
        wish.form = self.form;
        wish.now = Some(NOW);
        wish.until = Some(end);
        loop {
            self.may_expire =
                self.is_sorted || (wish.id.is_some() && matches!(wish.until, Some(ReadEnd::Now)));
            let mut next = steps.next();
            // After this many events the client is cut by the gateway: the read is limited.
            wish.limit = next.map(|(_, limit)| *limit);
            let mut read = wish.start(&self.fixture);
            let mut messages = Vec::new();
            loop {
                let has_ended = read_some(&mut read, &mut messages, LONG).await;
                self.got.extend(numbers(&messages));
                let last = messages.pop().unwrap();
                wish.id = last.id.clone().or(wish.id.take());
                messages.clear();
                if has_ended {
                    if last.data.contains(r#""reason":"until""#) {
                        return wish.id.unwrap();
                    }
                    break;
                }
                match next.take() {
                    Some((Step::Cut, _)) => break,
                    Some((step, _)) => self.apply(step),
                    None => {}
                }
            }
        }
    }

    fn apply(&self, step: &Step) {
        let fixture = &self.fixture;
        match *step {
            Step::Cut | Step::Nothing => {}
            Step::Write { partition } => write(fixture, partition, &[LATER]),
            Step::Expire { partition, percent } if self.may_expire => fixture.expire(partition, percent),
            Step::Expire { .. } => {}
            Step::AddPartition if fixture.model.lock().partitions.len() < 4 => {
                fixture.model.lock().clock = LATER;
                fixture.add_partition();
                let added = fixture.model.lock().partitions.len() - 1;
                fixture.tail(added);
            }
            Step::AddPartition => {}
            Step::Evict { partition } => fixture.tail_lags(partition),
        }
    }

    /// Checks that each record that is still there was given once, and no other twice.
    fn verify(mut self) {
        let count = self.got.len();
        self.got.sort_unstable();
        self.got.dedup();
        assert_eq!(self.got.len(), count, "some came twice");
        let brokers = self.fixture.model.lock();
        let records = brokers.partitions.iter().flat_map(|partition| &partition.records);
        for record in records {
            let is_wanted =
                !record.tombstone && !record.canary && (self.filter.is_none() || record.n.is_multiple_of(2));
            assert_eq!(
                self.got.binary_search(&record.n).is_ok(),
                is_wanted,
                "{record:?} of {:?}",
                self.got
            );
        }
    }
}

fn write_kind(fixture: &ModelFixture, partition: usize, time: i64, kind: Kind) {
    let mut brokers = fixture.model.lock();
    brokers.n += 1;
    let n = brokers.n;
    let log = &mut brokers.partitions[partition];
    log.records.push(StoredRecord {
        offset: log.end,
        epoch: log.epoch,
        time,
        n,
        canary: kind == Kind::Canary,
        tombstone: kind == Kind::Tombstone,
    });
    log.end += 1;
    drop(brokers);
    fixture.tail(partition);
}

/// The times of records at the beginning, in milliseconds: few, so that many are equal.
const TIMES: i64 = 30;

/// The time of records that are written while others are read: behind all ends.
const LATER: i64 = START + 1_000;

/// The time of all requests. All ends have passed then.
const NOW: i64 = START + 3_600_000;
