//! Random schedules: clients that join, fall behind, continue by themselves and join again receive what each would have received
//! alone. The task of the lane runs when the schedule allows it.

use std::{
    convert::Infallible,
    future::poll_fn,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::{Context, Poll, Waker},
};

use futures_util::{FutureExt, future::BoxFuture};
use proptest::{prelude::*, test_runner::TestRunner};
use riverhead::{
    position::IdForm,
    subscription::{BatchLimit, BatchSource, GroupCursor, GroupUpdate, LaneSubscriber, Lanes},
};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{PARTITIONS, PATIENCE, PLENTY, others, runtime};
use crate::support::{
    checker::DeliveryChecker,
    cluster_event::{ClusterEvent, cluster_event},
    model::ModelFixture,
};

fn op() -> impl Strategy<Value = Op> {
    let client = 0..CLIENTS;
    prop_oneof![
        27 => cluster_event().prop_map(Op::ClusterEvent),
        8 => (client.clone(), 1..6usize).prop_map(|(client, batches)| Op::Read { client, batches }),
        8 => (client.clone(), 1..6usize).prop_map(|(client, batches)| Op::Peek { client, batches }),
        8 => (1..4usize, 1..4usize, 1..2000usize).prop_map(|(looks, batches, bytes)| {
            Op::Serve { looks, most: BatchLimit { batches, bytes } }
        }),
        6 => (1..4usize).prop_map(|turns| Op::Others { turns }),
        3 => client.prop_map(|client| Op::CutAndResume { client }),
    ]
}

#[test]
fn nothing_is_lost_repeated_or_invented_and_memory_is_within_its_budget() {
    let budget = prop_oneof![Just(0), 500..5_000usize, Just(1024 * 1024)];
    let filter = prop::sample::select(vec![
        None,
        None,
        Some("n < 0"),
        Some("n in (1, 5, 25) or @partition = 1"),
        // These have a dispatcher.
        Some("n in (1, 5, 25)"),
        Some("n = -1"),
    ]);
    let schedule = (prop::collection::vec(op(), 1..150), any::<bool>(), budget, filter);
    let config = ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let seats = LaneCounts::default();
    TestRunner::new(config)
        .run(&schedule, |(ops, compact, budget, filter)| {
            LanesModel::run(&ops, compact, budget, filter, &seats);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(
        seats.taken.load(Relaxed) > 1000,
        "too few clients joined a lane: {seats:?}"
    );
    assert!(
        seats.lost.load(Relaxed) > 100,
        "too few clients fell out of a lane: {seats:?}"
    );
    assert!(
        seats.served.load(Relaxed) > 1000,
        "too few clients were served in a group: {seats:?}"
    );
}

/// A step of a schedule.
#[derive(Clone, Debug)]
enum Op {
    /// An event that does not involve clients.
    ClusterEvent(ClusterEvent),
    /// A client takes some batches, and others run while it waits.
    Read { client: usize, batches: usize },
    /// A client takes what is there, and no other client runs.
    Peek { client: usize, batches: usize },
    /// The members of the group take what it finds in this many steps.
    Serve { looks: usize, most: BatchLimit },
    /// The lane runs.
    Others { turns: usize },
    /// A client's connection breaks, and it reconnects with its last id.
    CutAndResume { client: usize },
}

/// How often clients joined a lane, fell out of it, and received something in its group.
#[derive(Debug, Default)]
struct LaneCounts {
    taken: AtomicUsize,
    lost: AtomicUsize,
    served: AtomicUsize,
}

/// The model, its lanes, some clients with the same request, and a checker for each. All but the first client
/// are in a group.
struct LanesModel<'a> {
    fixture: ModelFixture,
    lanes: Lanes,
    tasks: TaskTracker,
    clients: Vec<(LaneSubscriber, DeliveryChecker)>,
    group_cursor: Option<GroupCursor>,
    form: IdForm,
    filter: Option<&'static str>,
    budget: usize,
    seats: &'a LaneCounts,
    /// Drops deleted records.
    deletions: BoxFuture<'static, Infallible>,
}

impl<'a> LanesModel<'a> {
    /// Runs the schedule, then lets everything settle and compares.
    fn run(ops: &[Op], compact: bool, budget: usize, filter: Option<&'static str>, seats: &'a LaneCounts) {
        runtime().block_on(async {
            let form = if compact { IdForm::Compact } else { IdForm::Json };
            let mut world = Self::new(form, budget, filter, seats);
            for op in ops {
                world.step(op).await;
                assert!(world.lanes.bytes() <= world.budget, "{:?}", world.lanes);
            }
            world.settle().await;
        });
    }

    fn new(form: IdForm, budget: usize, filter: Option<&'static str>, seats: &'a LaneCounts) -> Self {
        let fixture = ModelFixture::new(PARTITIONS);
        let tasks = TaskTracker::new();
        let lanes = Lanes::new(fixture.source.clone(), budget, tasks.clone());
        let mut group_cursor = None;
        let client = |number| {
            let mut checker = DeliveryChecker::of(wants(filter));
            let id = checker.reconnect(&fixture);
            let mut subscriber = lanes
                .subscribe(fixture.filtered(Some(&id), form, filter))
                .unwrap();
            if number > 0 {
                subscriber.join_group(&mut group_cursor);
            }
            (subscriber, checker)
        };
        Self {
            clients: (0..CLIENTS).map(client).collect(),
            group_cursor,
            fixture,
            deletions: lanes.clone().drop_deleted_records().boxed(),
            lanes,
            tasks,
            form,
            filter,
            budget,
            seats,
        }
    }

    async fn step(&mut self, op: &Op) {
        match *op {
            Op::ClusterEvent(ref cluster_event) => {
                self.fixture.apply(cluster_event);
                let ended = (&mut self.deletions).now_or_never();
                assert!(ended.is_none(), "it goes on for ever");
            }
            Op::Read { client, batches } => self.read(client, batches).await,
            Op::Peek { client, batches } => self.peek(client, batches),
            Op::Serve { looks, most } => self.serve(looks, most),
            Op::Others { turns } => others(turns).await,
            Op::CutAndResume { client } => {
                let id = self.clients[client].1.reconnect(&self.fixture);
                let request = self.fixture.filtered(Some(&id), self.form, self.filter);
                self.clients[client].0 = self.lanes.subscribe(request).unwrap();
                if client > 0 {
                    self.clients[client].0.join_group(&mut self.group_cursor);
                    self.peek(client, usize::MAX);
                }
            }
        }
    }

    /// Does what the fan-out does for clients in a group.
    fn serve(&mut self, looks: usize, most: BatchLimit) {
        for _ in 0..looks {
            let context = Context::from_waker(Waker::noop());
            let group_cursor = self.group_cursor.as_mut().unwrap();
            let Poll::Ready(update) = group_cursor.poll_update(&context, most) else {
                return;
            };
            for client in 1..CLIENTS {
                let (subscriber, checker) = &mut self.clients[client];
                let had = match &update {
                    GroupUpdate::BatchRun(batch_run) => subscriber
                        .take_run(batch_run)
                        .map(|had| &batch_run.batches()[had..]),
                    GroupUpdate::PollEach => None,
                };
                match had {
                    Some(new) => {
                        self.seats.served.fetch_add(new.len(), Relaxed);
                        new.iter()
                            .for_each(|batch| checker.take(&self.fixture, &batch.bytes));
                    }
                    None => self.peek(client, usize::MAX),
                }
            }
        }
    }

    async fn read(&mut self, client: usize, batches: usize) {
        for _ in 0..batches {
            let was = self.clients[client].0.is_in_lane();
            let subscriber = &mut self.clients[client].0;
            let batch = poll_fn(|context| subscriber.poll_batch(context));
            let batch = timeout(self.fixture.longest_silence(), batch).await;
            self.note(client, was);
            let Ok(batch) = batch else { return };
            self.clients[client].1.take(&self.fixture, &batch.bytes);
        }
    }

    fn peek(&mut self, client: usize, batches: usize) {
        for _ in 0..batches {
            let (subscriber, checker) = &mut self.clients[client];
            let was = subscriber.is_in_lane();
            let batch = poll_fn(|context| subscriber.poll_batch(context)).now_or_never();
            if let Some(batch) = &batch {
                checker.take(&self.fixture, &batch.bytes);
            }
            self.note(client, was);
            if batch.is_none() {
                return;
            }
        }
    }

    fn note(&self, client: usize, was: bool) {
        match (was, self.clients[client].0.is_in_lane()) {
            (false, true) => self.seats.taken.fetch_add(1, Relaxed),
            (true, false) => self.seats.lost.fetch_add(1, Relaxed),
            _ => 0,
        };
    }

    /// If a client has read ahead of the tail and the records were then compacted away, its position is one
    /// that the lane never has, until there is another record.
    fn write_everywhere(&self) {
        let mut brokers = self.fixture.model.lock();
        brokers.quiet = false;
        (0..brokers.partitions.len()).for_each(|partition| brokers.produce(partition, 1));
    }

    fn verify(&self) {
        for (client, checker) in &self.clients {
            checker.verify(&self.fixture);
            assert!(client.is_in_lane(), "a client never joined");
        }
    }

    async fn settle(mut self) {
        self.write_everywhere();
        self.fixture.restore();
        // The lane opens when two clients are at the end, and then admits the first of them.
        for client in (0..CLIENTS).chain(0..CLIENTS) {
            self.read(client, usize::MAX).await;
            self.serve(usize::MAX, PLENTY);
        }
        self.verify();
        // With a large enough ring, the members of the group receive everything from now on through the group
        // alone.
        if self.budget >= ROOMY {
            self.write_everywhere();
            self.fixture.restore();
            self.read(0, usize::MAX).await;
            self.serve(usize::MAX, PLENTY);
            self.verify();
        }
        drop((self.clients, self.group_cursor));
        self.tasks.close();
        timeout(PATIENCE, self.tasks.wait())
            .await
            .expect("no lane without its clients");
        assert_eq!((self.lanes.count(), self.lanes.bytes()), (0, 0));
    }
}

/// Returns what the checker expects for the filters of the simulation.
fn wants(filter: Option<&str>) -> fn(i32, u64) -> bool {
    match filter {
        None => |_, _| true,
        Some("n < 0" | "n = -1") => |_, _| false,
        Some("n in (1, 5, 25)") => |_, n| [1, 5, 25].contains(&n),
        Some(_) => |partition, n| partition == 1 || [1, 5, 25].contains(&n),
    }
}

/// Enough memory for a ring that holds some records, in bytes.
const ROOMY: usize = 1024 * 1024;

/// The number of clients with the same request: two that make a lane, and one more.
const CLIENTS: usize = 3;
