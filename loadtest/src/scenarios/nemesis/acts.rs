//! The acts of the nemesis, and how each is undone.

use std::{fmt, io, time::Duration};

use fastrand::Rng;
use riverhead::http::settings::Sink;
use riverhead_brokers::Fault;

use super::{
    keeper::StopMode,
    stage::{CUT, NemesisSetup, READER, RECREATED},
    truth::Partition,
};

/// One act.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// A broker is killed, and started again.
    Kill(i32),
    /// A broker is stopped in order, and started again.
    Stop(i32),
    /// A broker's process is stopped by a signal, and continued.
    Freeze(i32),
    /// The clients' connections to a broker misbehave. Brokers still reach each other, so there is no
    /// election.
    Obstruct(i32, Fault),
    /// The next replica of a partition becomes its leader.
    Elect(Partition),
    /// This percentage of a log is deleted.
    Delete(Partition, i64),
    /// A topic gets one more partition.
    Add(usize),
    /// The gateway ends, and another one starts with this sink.
    Restart(StopMode, Sink),
    /// The gateway hands over to a successor.
    HandOver,
    /// Records are written in a transaction, which ends in this way.
    Transact(usize, Ending),
    /// The brokers allow one of the gateway's clients to fetch very little.
    Throttle(&'static str),
    /// The gateway may no longer read a topic, and perhaps not even see it.
    Forbid(usize, Sight),
    /// Bytes of a batch in the middle of a log change on its leader's disk.
    Damage(Partition),
    /// A topic is deleted, and created again with this many partitions.
    Recreate(usize),
    /// An unclean election: this many records, which only the leader of this partition had, are lost.
    Cut(i32, u64),
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Commit,
    Abort,
    /// Its producer disappears, and leaves it open until the next producer of this id comes.
    Hang,
}

/// What remains of the right to read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sight {
    Describe,
    Nothing,
}

impl Act {
    /// Chooses any act.
    pub(super) fn choose(rng: &mut Rng, stage: &NemesisSetup<'_>) -> Self {
        match rng.u8(..18) {
            0 => Self::Kill(broker(rng)),
            1 => Self::Stop(broker(rng)),
            2 => Self::Freeze(broker(rng)),
            3..5 => Self::Obstruct(broker(rng), fault(rng)),
            5..7 => Self::Elect(partition(rng, stage)),
            7 => Self::Recreate(rng.usize(1..=3)),
            8 => Self::Cut(partition_of(CUT, rng, stage), rng.u64(1..=200)),
            9..11 => Self::Transact(
                choose(rng, &GROWING),
                choose(rng, &[Ending::Commit, Ending::Abort, Ending::Hang]),
            ),
            11 => Self::Throttle(choose(rng, &CLIENTS)),
            12 => Self::Forbid(topic(rng, stage), choose(rng, &[Sight::Describe, Sight::Nothing])),
            13..15 => Self::Damage(partition(rng, stage)),
            _ => Self::beside(rng, stage),
        }
    }

    /// Chooses an act that is possible while another one lasts.
    pub(super) fn beside(rng: &mut Rng, stage: &NemesisSetup<'_>) -> Self {
        let sink = choose(rng, &Sink::ALL);
        match rng.u8(..8) {
            0 => match choose(rng, &GROWING) {
                topic if stage.topics[topic].partitions < MOST_PARTITIONS && !stage.is_transacting() => {
                    Self::Add(topic)
                }
                _ => Self::Restart(StopMode::Kill, sink),
            },
            // Damaged records must not be deleted.
            1..4 if !stage.is_damaged() => Self::Delete(partition(rng, stage), choose(rng, &[30, 70, 100])),
            4 => Self::Restart(StopMode::Drain, sink),
            5 => Self::HandOver,
            _ => Self::Restart(StopMode::Kill, sink),
        }
    }

    /// Returns the name of the act, without its object.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::Stop(_) => "stop",
            Self::Freeze(_) => "freeze",
            Self::Obstruct(..) => "obstruct",
            Self::Elect(_) => "elect",
            Self::Delete(..) => "delete records",
            Self::Add(_) => "add a partition",
            Self::Restart(..) => "restart",
            Self::HandOver => "hand over",
            Self::Transact(..) => "transact",
            Self::Throttle(_) => "throttle",
            Self::Forbid(..) => "forbid",
            Self::Damage(_) => "damage",
            Self::Recreate(_) => "recreate",
            Self::Cut(..) => "cut",
        }
    }

    /// Returns whether the effect lasts until it is undone, so that other acts are possible meanwhile.
    pub(super) fn lasts(self) -> bool {
        matches!(
            self,
            Self::Kill(_)
                | Self::Stop(_)
                | Self::Freeze(_)
                | Self::Obstruct(..)
                | Self::Recreate(_)
                | Self::Transact(..)
                | Self::Throttle(_)
                | Self::Forbid(..)
                | Self::Damage(_)
        )
    }

    /// Begins the act.
    ///
    /// # Errors
    /// If it fails for a reason that is not the gateway's.
    pub(super) fn begin(self, stage: &mut NemesisSetup<'_>) -> io::Result<()> {
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
            Self::Elect(partition) => stage.elect(partition)?,
            Self::Delete(partition, percent) => stage.delete(partition, percent)?,
            Self::Add(topic) => {
                stage.hush(topic);
                stage.grow(topic);
                stage.write(topic);
            }
            Self::Restart(how, _) => stage.keeper.end(how)?,
            Self::HandOver => {
                if !stage.keeper.hand_over() {
                    stage.chronicle.note("the successor did not take over");
                }
            }
            Self::Transact(topic, ending) => stage.transact(topic, matches!(ending, Ending::Hang)),
            Self::Throttle(client) => cluster.limit_fetches(client, Some(THROTTLED)),
            Self::Forbid(topic, Sight::Describe) => stage.allow(topic, &["DESCRIBE"]),
            Self::Forbid(topic, Sight::Nothing) => stage.allow(topic, &[]),
            Self::Damage(partition) => stage.damage(partition)?,
            Self::Recreate(_) => stage.delete_topic(RECREATED)?,
            Self::Cut(number, records) => stage.cut(number, records)?,
        }
        Ok(())
    }

    /// Undoes the act, and waits until everything is as before.
    ///
    /// # Errors
    /// If it fails for a reason that is not the gateway's.
    pub(super) fn undo(self, stage: &mut NemesisSetup<'_>) -> io::Result<()> {
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
            Self::Restart(_, sink) => stage.keeper.start_again(sink)?,
            Self::Transact(topic, ending) => stage.end_transaction(topic, matches!(ending, Ending::Commit)),
            Self::Throttle(client) => cluster.limit_fetches(client, None),
            Self::Forbid(topic, _) => stage.allow(topic, READER),
            Self::Damage(_) => stage.repair(),
            Self::Recreate(partitions) => {
                stage.create(RECREATED, partitions);
                stage.write(RECREATED);
            }
            Self::Elect(_) | Self::Delete(..) | Self::Add(_) | Self::Cut(..) | Self::HandOver => {}
        }
        Ok(())
    }
}

fn broker(rng: &mut Rng) -> i32 {
    rng.i32(1..=3)
}

/// Chooses a topic that exists now.
fn topic(rng: &mut Rng, stage: &NemesisSetup<'_>) -> usize {
    let there: Vec<_> = (0..stage.topics.len())
        .filter(|topic| stage.topics[*topic].partitions > 0)
        .collect();
    choose(rng, &there)
}

fn partition(rng: &mut Rng, stage: &NemesisSetup<'_>) -> Partition {
    let topic = topic(rng, stage);
    let number = partition_of(topic, rng, stage);
    Partition { topic, number }
}

fn partition_of(topic: usize, rng: &mut Rng, stage: &NemesisSetup<'_>) -> i32 {
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
    choose(rng, &faults)
}

fn choose<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(broker) => write!(f, "kill broker {broker}"),
            Self::Stop(broker) => write!(f, "stop broker {broker}"),
            Self::Freeze(broker) => write!(f, "freeze broker {broker}"),
            Self::Obstruct(broker, fault) => {
                write!(f, "disturb the connections of broker {broker}: {fault:?}")
            }
            Self::Elect(Partition { topic, number }) => write!(f, "elect another leader of {topic}-{number}"),
            Self::Delete(Partition { topic, number }, percent) => {
                write!(f, "delete {percent} % of {topic}-{number}")
            }
            Self::Add(topic) => write!(f, "add a partition to {topic}"),
            Self::Restart(how, sink) => write!(f, "restart the gateway: {how}, then sink {}", sink.name()),
            Self::HandOver => f.write_str("have the gateway hand over to a successor"),
            Self::Transact(topic, ending) => write!(f, "write to {topic} in a transaction: {ending:?}"),
            Self::Throttle(client) => write!(f, "throttle {client}"),
            Self::Forbid(topic, left) => write!(f, "deny access to {topic}, except for {left:?}"),
            Self::Damage(Partition { topic, number }) => write!(f, "damage {topic}-{number}"),
            Self::Recreate(partitions) => {
                write!(
                    f,
                    "delete {RECREATED}, and create it with {partitions} partitions"
                )
            }
            Self::Cut(number, records) => write!(f, "truncate {CUT}-{number} by {records} records"),
        }
    }
}

/// The topics that partitions are added to: not the one that is on two brokers only, and not the one that is
/// recreated.
const GROWING: [usize; 2] = {
    assert!(CUT > 1 && RECREATED > 1);
    [0, 1]
};

/// Bytes per second: less than is written.
const THROTTLED: f64 = 3_000.0;

/// The gateway's clients that read records.
const CLIENTS: [&str; 2] = ["riverhead-tail", "riverhead-history"];

/// The most partitions of a topic.
const MOST_PARTITIONS: usize = 5;
