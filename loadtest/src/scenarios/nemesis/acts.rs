//! What the nemesis does, and what undoes it.

use std::{fmt, io, thread, time::Duration};

use fastrand::Rng;
use riverhead_brokers::Fault;

use super::{
    keeper::End,
    stage::{CUT, RECREATED, Stage},
    truth::{Log, Partition},
};

/// One thing that it does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// A broker ends at once, and is started again.
    Kill(i32),
    /// A broker ends in order, and is started again.
    Stop(i32),
    /// A broker's clock stops, and goes on.
    Freeze(i32),
    /// What leads to a broker misbehaves, for clients alone: nobody else is elected.
    Obstruct(i32, Fault),
    /// The next replica of a partition leads it.
    Elect(Partition),
    /// So much of a log is deleted, in percent.
    Delete(Partition, i64),
    /// A topic gets one more partition.
    Add(usize),
    /// The gateway ends, and another one starts.
    Restart(End),
    /// A topic is deleted, and created again with so many partitions.
    Recreate(usize),
    /// An unclean election: what the leader of this partition alone had, so many records, is lost.
    Cut(i32, u64),
}

impl Act {
    /// Any of them.
    pub(super) fn choose(rng: &mut Rng, stage: &Stage<'_>) -> Self {
        match rng.u8(..12) {
            10 => Self::Recreate(rng.usize(1..=3)),
            11 => Self::Cut(partition_of(CUT, rng, stage), rng.u64(1..=200)),
            0 => Self::Kill(broker(rng)),
            1 => Self::Stop(broker(rng)),
            2 => Self::Freeze(broker(rng)),
            3..5 => Self::Obstruct(broker(rng), fault(rng)),
            5..7 => Self::Elect(partition(rng, stage)),
            _ => Self::beside(rng, stage),
        }
    }

    /// One that can be done while another one lasts.
    pub(super) fn beside(rng: &mut Rng, stage: &Stage<'_>) -> Self {
        match rng.u8(..7) {
            0 => match *choose(rng, &GROWING) {
                topic if stage.topics[topic].partitions < MOST_PARTITIONS => Self::Add(topic),
                _ => Self::Restart(End::Kill),
            },
            1..4 => Self::Delete(partition(rng, stage), *choose(rng, &[30, 70, 100])),
            4 => Self::Restart(End::Drain),
            _ => Self::Restart(End::Kill),
        }
    }

    /// Its name, without what it is done to.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::Stop(_) => "stop",
            Self::Freeze(_) => "freeze",
            Self::Obstruct(..) => "obstruct",
            Self::Elect(_) => "elect",
            Self::Delete(..) => "delete records",
            Self::Add(_) => "add a partition",
            Self::Restart(_) => "restart",
            Self::Recreate(_) => "recreate",
            Self::Cut(..) => "cut",
        }
    }

    /// Whether something is as it was before only when it is undone, so that others can be done meanwhile.
    pub(super) fn lasts(self) -> bool {
        matches!(
            self,
            Self::Kill(_) | Self::Stop(_) | Self::Freeze(_) | Self::Obstruct(..) | Self::Recreate(_)
        )
    }

    /// Does it.
    ///
    /// # Errors
    /// When that is impossible, whatever the gateway did.
    pub(super) fn begin(self, stage: &mut Stage<'_>) -> io::Result<()> {
        let cluster = stage.cluster;
        match self {
            Self::Kill(broker) => {
                cluster.kill(broker);
                cluster.wait_until_fenced(broker);
            }
            Self::Stop(broker) => cluster.stop(broker),
            Self::Freeze(broker) => {
                cluster.freeze(broker);
                cluster.wait_until_fenced(broker);
            }
            Self::Obstruct(broker, fault) => cluster.proxy(broker).set(fault),
            Self::Elect(partition) => elect(stage, partition)?,
            Self::Delete(partition, percent) => delete(stage, partition, percent)?,
            Self::Add(topic) => add(stage, topic),
            Self::Restart(how) => stage.keeper.end(how)?,
            Self::Recreate(_) => {
                stage.hush(RECREATED);
                stage.read_up(RECREATED)?;
                stage.truth.recreate(RECREATED);
                stage.forget(RECREATED);
                cluster.delete_topic(&stage.topics[RECREATED].name);
            }
            Self::Cut(number, records) => cut(stage, number, records)?,
        }
        Ok(())
    }

    /// Undoes it, and waits until everything is as it was.
    ///
    /// # Errors
    /// When that is impossible, whatever the gateway did.
    pub(super) fn undo(self, stage: &mut Stage<'_>) -> io::Result<()> {
        let cluster = stage.cluster;
        match self {
            Self::Kill(broker) | Self::Stop(broker) => {
                cluster.start_broker(broker);
                cluster.wait_until_in_sync();
            }
            Self::Freeze(broker) => {
                cluster.thaw(broker);
                cluster.wait_for_broker(broker);
                cluster.wait_until_in_sync();
            }
            Self::Obstruct(broker, _) => cluster.proxy(broker).set(Fault::Pass),
            Self::Restart(_) => stage.keeper.start_again()?,
            Self::Recreate(partitions) => {
                stage.create(RECREATED, partitions);
                stage.write(RECREATED);
            }
            Self::Elect(_) | Self::Delete(..) | Self::Add(_) | Self::Cut(..) => {}
        }
        Ok(())
    }
}

fn elect(stage: &Stage<'_>, partition: Partition) -> io::Result<()> {
    let topic = &stage.topics[partition.topic].name;
    let states = stage.cluster.describe(topic).map_err(io::Error::other)?;
    let state = states.iter().find(|state| state.id == partition.number);
    let mut replicas = state.map(|state| state.replicas.clone()).unwrap_or_default();
    if replicas.is_empty() {
        return Err(io::Error::other(format!(
            "{topic} has no such partition: {states:?}"
        )));
    }
    replicas.rotate_left(1);
    stage.cluster.reassign(topic, partition.number, &replicas);
    stage.cluster.elect_preferred_leader(topic, partition.number);
    Ok(())
}

/// What is deleted has been read before, so that it is known what was lost.
fn delete(stage: &mut Stage<'_>, partition: Partition, percent: i64) -> io::Result<()> {
    stage.read_up(partition.topic)?;
    let start = stage.truth.newest(partition).map_or(0, Log::start);
    let before = start + (stage.truth.next(partition) - start) * percent / 100;
    let at = stage.chronicle.clock.elapsed();
    stage.truth.delete(partition, at, before);
    stage
        .chronicle
        .note(format_args!("what is below {before} is deleted"));
    let topic = &stage.topics[partition.topic].name;
    stage.cluster.delete_records(topic, partition.number, before);
    Ok(())
}

fn add(stage: &mut Stage<'_>, topic: usize) {
    stage.hush(topic);
    stage.grow(topic);
    stage.write(topic);
}

/// Both replicas of the topic are taken, first the one that does not lead, and that one comes back first.
fn cut(stage: &mut Stage<'_>, number: i32, records: u64) -> io::Result<()> {
    let (cluster, name) = (stage.cluster, stage.topics[CUT].name.clone());
    stage.hush(CUT);
    stage.read_up(CUT)?;
    let numbers = 0..stage.topics[CUT].partitions as i32;
    let leader = cluster.leader(&name, number);
    let follower = if leader == 1 { 2 } else { 1 };
    cluster.kill(follower);
    numbers
        .clone()
        .for_each(|it| cluster.wait_for_isr(&name, it, &[leader]));
    stage.write_to_leaders(CUT, records);
    stage.read_up(CUT)?;
    // Clients get what is about to be lost.
    thread::sleep(READ);
    cluster.kill(leader);
    numbers
        .clone()
        .for_each(|it| cluster.wait_for_leader(&name, it, None));
    cluster.start_broker(follower);
    numbers
        .clone()
        .for_each(|it| cluster.wait_for_leader(&name, it, Some(follower)));
    cluster.start_broker(leader);
    cluster.wait_until_in_sync();
    for number in numbers {
        let partition = Partition { topic: CUT, number };
        let end = cluster.offsets(&name, number).end;
        stage
            .chronicle
            .note(format_args!("{CUT}-{number} was cut off at {end}"));
        stage.truth.cut(partition, end);
        stage.forget_behind(partition, end);
    }
    stage.write(CUT);
    Ok(())
}

fn broker(rng: &mut Rng) -> i32 {
    rng.i32(1..=3)
}

fn partition(rng: &mut Rng, stage: &Stage<'_>) -> Partition {
    let there: Vec<_> = (0..stage.topics.len())
        .filter(|topic| stage.topics[*topic].partitions > 0)
        .collect();
    let topic = *choose(rng, &there);
    let number = partition_of(topic, rng, stage);
    Partition { topic, number }
}

fn partition_of(topic: usize, rng: &mut Rng, stage: &Stage<'_>) -> i32 {
    rng.i32(0..stage.topics[topic].partitions.max(1) as i32)
}

fn fault(rng: &mut Rng) -> Fault {
    let faults = [
        Fault::Stall,
        Fault::Blackhole,
        Fault::Refuse,
        Fault::Reset,
        Fault::Delay(Duration::from_millis(300)),
        Fault::Bandwidth(20_000),
    ];
    *choose(rng, &faults)
}

fn choose<'a, T>(rng: &mut Rng, of: &'a [T]) -> &'a T {
    &of[rng.usize(..of.len())]
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(broker) => write!(f, "kill broker {broker}"),
            Self::Stop(broker) => write!(f, "stop broker {broker}"),
            Self::Freeze(broker) => write!(f, "freeze broker {broker}"),
            Self::Obstruct(broker, fault) => write!(f, "obstruct broker {broker}: {fault:?}"),
            Self::Elect(Partition { topic, number }) => write!(f, "elect another leader of {topic}-{number}"),
            Self::Delete(Partition { topic, number }, percent) => {
                write!(f, "delete {percent} % of {topic}-{number}")
            }
            Self::Add(topic) => write!(f, "add a partition to {topic}"),
            Self::Restart(how) => write!(f, "restart the gateway: {how}"),
            Self::Recreate(partitions) => {
                write!(
                    f,
                    "delete {RECREATED}, and create it with {partitions} partitions"
                )
            }
            Self::Cut(number, records) => write!(f, "cut {records} records off {CUT}-{number}"),
        }
    }
}

/// Topics that partitions are added to: neither the one that lives on two brokers alone nor the one that is made again.
const GROWING: [usize; 2] = {
    assert!(CUT > 1 && RECREATED > 1);
    [0, 1]
};

/// How long clients have for records that will be lost.
const READ: Duration = Duration::from_secs(2);

/// So many partitions a topic gets.
const MOST_PARTITIONS: usize = 5;
