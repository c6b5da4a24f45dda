//! Acts that take more than one step.

use std::{io, thread, time::Duration};

use super::{
    stage::{CUT, NemesisSetup},
    truth::{Partition, PartitionRecords},
};

impl NemesisSetup<'_> {
    /// Makes the next replica of a partition its leader.
    pub(super) fn elect(&self, Partition { topic, number }: Partition) -> io::Result<()> {
        let name = &self.topics[topic].name;
        let states = self.cluster.describe(name).map_err(io::Error::other)?;
        let state = states.iter().find(|state| state.id == number);
        let mut replicas = state.map(|state| state.replicas.clone()).unwrap_or_default();
        if replicas.is_empty() {
            return Err(io::Error::other(format!(
                "{name} has no such partition: {states:?}"
            )));
        }
        replicas.rotate_left(1);
        self.cluster.reassign(name, number, &replicas);
        self.cluster.elect_preferred_leader(name, number);
        Ok(())
    }

    /// Deletes this percentage of a log. The deleted records have been read before, so that it is known what
    /// was lost.
    pub(super) fn delete(&mut self, partition: Partition, percent: i64) -> io::Result<()> {
        self.read_up(partition.topic)?;
        let start = self.truth.newest(partition).map_or(0, PartitionRecords::start);
        let before = start + (self.truth.next(partition) - start) * percent / 100;
        let at = self.chronicle.clock.elapsed();
        self.truth.delete(partition, at, before);
        self.chronicle
            .note(format_args!("the records below {before} are deleted"));
        let topic = &self.topics[partition.topic].name;
        self.cluster.delete_records(topic, partition.number, before);
        Ok(())
    }

    /// Changes a batch in the middle of a log, on its leader's disk. Its records have been read before.
    pub(super) fn damage(&mut self, partition: Partition) -> io::Result<()> {
        let Partition { topic, number } = partition;
        self.hush(topic);
        self.read_up(topic)?;
        let name = &self.topics[topic].name;
        let leader = self.cluster.leader(name, number);
        let segment = self.cluster.segment(leader, name, number);
        let start = self.truth.newest(partition).map_or(0, PartitionRecords::start);
        let batches = segment.batches(0);
        let there: Vec<_> = batches.iter().filter(|batch| batch.first >= start).collect();
        if let Some(batch) = there.get(there.len() / 2) {
            let (first, last) = (batch.first, batch.last);
            let told = format!("offsets {first} to {last} cannot be read on broker {leader}");
            self.chronicle.note(told);
            self.truth.damage(partition, first..last + 1);
            self.spoil(segment, **batch);
        }
        self.write(topic);
        Ok(())
    }

    /// Deletes a topic. Its records have been read before.
    pub(super) fn delete_topic(&mut self, topic: usize) -> io::Result<()> {
        self.hush(topic);
        self.read_up(topic)?;
        self.truth.recreate(topic);
        self.forget(topic);
        self.cluster.delete_topic(&self.topics[topic].name);
        Ok(())
    }

    /// Stops both replicas of a topic, the follower first, and starts the follower first. So the records that
    /// only the leader had are lost.
    pub(super) fn cut(&mut self, number: i32, records: u64) -> io::Result<()> {
        let (cluster, name) = (self.cluster, self.topics[CUT].name.clone());
        self.hush(CUT);
        self.read_up(CUT)?;
        let numbers = 0..self.topics[CUT].partitions as i32;
        let leader = cluster.leader(&name, number);
        let follower = if leader == 1 { 2 } else { 1 };
        cluster.kill(follower);
        numbers
            .clone()
            .for_each(|it| cluster.wait_for_isr(&name, it, &[leader]));
        self.write_to_leaders(CUT, records);
        self.read_up(CUT)?;
        // Clients receive the records that are about to be lost.
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
            self.chronicle
                .note(format_args!("{CUT}-{number} was truncated at {end}"));
            self.truth.cut(partition, end);
            self.forget_behind(partition, end);
        }
        self.write(CUT);
        Ok(())
    }
}

/// The time for clients to receive records that will be lost.
const READ: Duration = Duration::from_secs(2);
