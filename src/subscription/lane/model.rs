//! The budget of the lanes against whatever comes: lanes, texts of any size, and clients who hold on to them.

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    partition::Directory,
    subscription::{Gap, no_history::NoHistory},
};

/// Lanes whose batches the test makes, and those whom it has hold some.
struct World {
    lanes: Lanes,
    members: Vec<Membership>,
    held: Vec<Batch>,
    events: Vec<Bytes>,
}

#[derive(Clone, Debug)]
enum Step {
    /// A client of the lane comes.
    Join(usize),
    /// The one who came first of those who are here leaves.
    Leave,
    /// A batch of so many bytes is published.
    Publish(usize, usize),
    /// The same of a large event, which others may publish too.
    PublishLarge(usize, usize),
    /// One who catches up composes so many bytes.
    Shelve(usize, usize),
    /// A client takes what is so many batches behind the head, and its socket takes nothing.
    Take(usize, u64),
    /// So many sockets take what they have.
    Drain(usize),
}

const LANES: usize = 12;

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![6 => 1usize..2_000, 2 => 2_000usize..40_000, 1 => 40_000usize..70_000];
    let lane = 0..LANES;
    prop_oneof![
        2 => lane.clone().prop_map(Step::Join),
        1 => Just(Step::Leave),
        6 => (lane.clone(), size.clone()).prop_map(|(lane, size)| Step::Publish(lane, size)),
        2 => (lane.clone(), 0usize..4).prop_map(|(lane, event)| Step::PublishLarge(lane, event)),
        2 => (lane.clone(), size).prop_map(|(lane, size)| Step::Shelve(lane, size)),
        5 => (lane, 1u64..40).prop_map(|(lane, behind)| Step::Take(lane, behind)),
        1 => (1usize..30).prop_map(Step::Drain),
    ]
}

fn key(lane: usize) -> Key {
    Key {
        topics: vec![lane.to_string().into()],
        form: IdForm::Json,
        format: Format::Sse,
        coding: Coding::Identity,
        filter: None,
        shows_canaries: false,
    }
}

impl World {
    fn new(budget: usize) -> Self {
        let source = Source {
            directory: Directory::new(),
            history: Arc::new(NoHistory),
        };
        Self {
            lanes: Lanes::new(source, budget, TaskTracker::new()),
            members: Vec::new(),
            held: Vec::new(),
            events: (0..4)
                .map(|event| vec![event; 66_000 + 50_000 * usize::from(event)].into())
                .collect(),
        }
    }

    fn lane(&self, lane: usize) -> Option<Arc<Lane>> {
        self.lanes.0.lanes.lock().get(&key(lane)).cloned()
    }

    fn batch(&self, size: usize, large: Option<usize>) -> Batch {
        let texts = self.lanes.0.budget.texts();
        Batch {
            bytes: texts.count(vec![b'x'; size]),
            large: large.map(|event| texts.share(self.events[event].clone())),
            events: 1,
            gaps: Vec::<Gap>::new(),
            packed: None,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Join(lane) => self.members.push(self.lanes.join(key(lane))),
            Step::Leave if self.members.is_empty() => {}
            Step::Leave => drop(self.members.remove(0)),
            Step::Publish(lane, size) => self.publish(lane, self.batch(size, None)),
            Step::PublishLarge(lane, event) => self.publish(lane, self.batch(100, Some(event))),
            Step::Shelve(lane, size) => {
                if let Some(lane) = self.lane(lane) {
                    let batch = self.batch(size, None);
                    self.lanes
                        .shelve(&lane, Standing::nowhere(), batch, Standing::nowhere());
                }
            }
            Step::Take(lane, behind) => {
                if let Some(lane) = self.lane(lane) {
                    let mut ring = lane.ring.lock();
                    let number = ring.end().saturating_sub(behind);
                    if let Taken::Batches(batches) = ring.take(number) {
                        self.held.push(batches.batch);
                    }
                }
            }
            Step::Drain(count) => drop(self.held.drain(..count.min(self.held.len()))),
        }
    }

    fn publish(&self, lane: usize, batch: Batch) {
        if let Some(lane) = self.lane(lane) {
            self.lanes.publish(&lane, batch, Standing::nowhere());
        }
    }

    /// What all rings and shelves keep, as they say themselves.
    fn kept(&self) -> usize {
        let lanes = self.lanes.0.lanes.lock();
        let of = |lane: &Arc<Lane>| lane.ring.lock().cost().total() + lane.shelf.lock().cost().total();
        lanes.values().map(of).sum()
    }
}

proptest! {
    #[test]
    fn the_lanes_hold_their_budget_as_long_as_they_keep_anything(
        steps in vec(step(), 1..300),
        budget in prop_oneof![Just(0usize), 1_000usize..20_000, 50_000usize..400_000],
    ) {
        let mut world = World::new(budget);
        for step in steps {
            let publishes = matches!(step, Step::Publish(..) | Step::PublishLarge(..) | Step::Shelve(..));
            world.take(step);
            if publishes {
                let (used, kept) = (world.lanes.bytes(), world.kept());
                prop_assert!(used <= budget || kept == 0, "{used} of {budget}, {kept} of them kept");
            }
        }
        world.members.clear();
        let held: usize = world.lanes.bytes();
        let most: usize = world.held.iter().map(Batch::size).sum();
        prop_assert!(held <= 2 * most, "joined runs are held whole");
        world.held.clear();
        prop_assert_eq!(world.lanes.bytes(), 0);
        prop_assert_eq!(world.lanes.0.budget.texts().outside(), 0);
    }
}

#[test]
fn batches_are_small_while_sockets_hold_half_of_the_budget() {
    let mut world = World::new(200_000);
    let texts = Arc::clone(world.lanes.0.budget.texts());
    let full = texts.batch();
    world.held.push(world.batch(99_000, None));
    assert_eq!(texts.batch(), full);
    world.held.push(world.batch(1_000, None));
    assert!(texts.batch() <= full / 16);
    world.held.pop();
    assert_eq!(texts.batch(), full);
}

#[test]
fn a_large_event_counts_once_however_many_hold_it() {
    let mut world = World::new(10_000_000);
    let size = world.events[3].len();
    for _ in 0..1000 {
        world.held.push(world.batch(100, Some(3)));
    }
    assert_eq!(world.lanes.bytes(), size + 1000 * 100);
    world.held.truncate(1);
    assert_eq!(world.lanes.bytes(), size + 100);
    world.held.clear();
    assert_eq!(world.lanes.bytes(), 0);
}
