//! Cursor, ring and history under random schedules, compared with a plain `Vec` model: nothing may be lost,
//! repeated or invented, whatever the brokers do meanwhile. Time is simulated, so a failing schedule fails
//! again.

use std::future::poll_fn;

use proptest::prelude::*;
use riverhead::{position::IdForm, subscription::Subscription};
use tokio::time::timeout;

use crate::support::{
    checker::DeliveryChecker,
    cluster_event::{ClusterEvent, cluster_event},
    model::ModelFixture,
};

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        27 => cluster_event().prop_map(Op::ClusterEvent),
        8 => (1..6usize).prop_map(|batches| Op::Read { batches }),
        3 => Just(Op::CutAndResume),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_repeated_or_invented(ops in prop::collection::vec(op(), 1..120), compact in any::<bool>(), canaries in any::<bool>()) {
        SimulationModel::run(&ops, compact, canaries);
    }
}

/// A client receives nothing while it passes invisible records, however many there are, and then everything
/// after them.
#[test]
fn what_comes_behind_a_long_run_of_holes_is_not_lost() {
    let schedule = [
        ClusterEvent::Quiet { quiet: true },
        ClusterEvent::Produce {
            partition: 0,
            records: 2000,
        },
        ClusterEvent::Produce {
            partition: 1,
            records: 2000,
        },
        // All of that is history, of which each page is requested.
        ClusterEvent::TailLags { partition: 0 },
        ClusterEvent::TailLags { partition: 1 },
        ClusterEvent::Quiet { quiet: false },
        ClusterEvent::Produce {
            partition: 0,
            records: 1,
        },
        ClusterEvent::Produce {
            partition: 1,
            records: 1,
        },
    ];
    for canaries in [false, true] {
        SimulationModel::run(&schedule.clone().map(Op::ClusterEvent), false, canaries);
    }
}

/// A step of a schedule.
#[derive(Clone, Debug)]
enum Op {
    /// An event that does not involve the client.
    ClusterEvent(ClusterEvent),
    /// The client takes some batches.
    Read { batches: usize },
    /// The client's connection breaks, and it reconnects with its last id.
    CutAndResume,
}

/// The model, one client, and a checker.
struct SimulationModel {
    fixture: ModelFixture,
    client: Subscription,
    form: IdForm,
    /// Whether the client receives canaries, which are every fifth record. If not, it must see none of them,
    /// and lose no other record.
    shows_canaries: bool,
    checker: DeliveryChecker,
}

impl SimulationModel {
    /// Runs the schedule, then lets everything settle and compares.
    fn run(ops: &[Op], compact: bool, canaries: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = Self::new(if compact { IdForm::Compact } else { IdForm::Json }, canaries);
            for op in ops {
                world.step(op).await;
            }
            world.fixture.restore();
            world.read(usize::MAX).await;
            world.checker.verify(&world.fixture);
        });
    }

    fn new(form: IdForm, shows_canaries: bool) -> Self {
        let fixture = ModelFixture::new(PARTITIONS);
        fixture.model.lock().canary_every = Some(5);
        let wants = |_, n: u64| !n.is_multiple_of(5);
        let mut checker = if shows_canaries {
            DeliveryChecker::default()
        } else {
            DeliveryChecker::of(wants)
        };
        let client = connect(&fixture, &mut checker, form, shows_canaries);
        Self {
            fixture,
            client,
            form,
            shows_canaries,
            checker,
        }
    }

    async fn step(&mut self, op: &Op) {
        match op {
            Op::ClusterEvent(cluster_event) => self.fixture.apply(cluster_event),
            Op::Read { batches } => self.read(*batches).await,
            Op::CutAndResume => {
                self.client = connect(&self.fixture, &mut self.checker, self.form, self.shows_canaries);
            }
        }
    }

    async fn read(&mut self, batches: usize) {
        for _ in 0..batches {
            let batch = poll_fn(|context| self.client.poll_batch(context));
            // It takes no real time, because the clock is simulated.
            let Ok(batch) = timeout(self.fixture.longest_silence(), batch).await else {
                return;
            };
            self.checker.take(&self.fixture, &batch.bytes);
        }
    }
}

fn connect(
    fixture: &ModelFixture,
    checker: &mut DeliveryChecker,
    form: IdForm,
    shows_canaries: bool,
) -> Subscription {
    let id = checker.reconnect(fixture);
    let mut request = fixture.request(Some(&id), form);
    request.view.shows_canaries = shows_canaries;
    Subscription::start(&fixture.source, request)
}

/// The number of partitions at the start. Schedules add up to two more.
const PARTITIONS: usize = 2;
