//! Cursor, ring and history under random schedules, against a plain `Vec` model: nothing lost, nothing repeated, nothing
//! invented, whatever the brokers do meanwhile. Time is simulated, so a failing schedule fails again.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::future::poll_fn;

use proptest::prelude::*;
use riverhead::{
    position::IdForm,
    subscription::{Request, Subscription},
};
use support::{
    model::House,
    referee::Referee,
    weather::{Weather, weather},
};
use tokio::time::timeout;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        27 => weather().prop_map(Op::Weather),
        8 => (1..6usize).prop_map(|batches| Op::Read { batches }),
        3 => Just(Op::CutAndResume),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_repeated_or_invented(ops in prop::collection::vec(op(), 1..120), compact in any::<bool>(), canaries in any::<bool>()) {
        World::run(&ops, compact, canaries);
    }
}

/// A client gets nothing while it passes what nobody sees, however much that is, and then all that comes behind it.
#[test]
fn what_comes_behind_a_long_run_of_holes_is_not_lost() {
    let schedule = [
        Weather::Quiet { quiet: true },
        Weather::Produce {
            partition: 0,
            records: 2000,
        },
        Weather::Produce {
            partition: 1,
            records: 2000,
        },
        // All of that is history, of which each page is asked for.
        Weather::TailLags { partition: 0 },
        Weather::TailLags { partition: 1 },
        Weather::Quiet { quiet: false },
        Weather::Produce {
            partition: 0,
            records: 1,
        },
        Weather::Produce {
            partition: 1,
            records: 1,
        },
    ];
    for canaries in [false, true] {
        World::run(&schedule.clone().map(Op::Weather), false, canaries);
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Op {
    /// Something the client has no part in.
    Weather(Weather),
    /// The client takes some batches.
    Read { batches: usize },
    /// The client's connection breaks; it comes back with its last id.
    CutAndResume,
}

/// The house, one client, a referee.
struct World {
    house: House,
    client: Subscription,
    form: IdForm,
    /// Whether it is shown the records of probes, every fifth. Else it must see none, and lose nothing but them.
    shows_canaries: bool,
    referee: Referee,
}

impl World {
    /// Plays the schedule, then lets everything settle and compares.
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
            world.house.clear_up();
            world.read(usize::MAX).await;
            world.referee.verify(&world.house);
        });
    }

    fn new(form: IdForm, shows_canaries: bool) -> Self {
        let house = House::new(PARTITIONS);
        house.model.lock().canary_every = Some(5);
        let wants = |_, n: u64| !n.is_multiple_of(5);
        let mut referee = if shows_canaries {
            Referee::default()
        } else {
            Referee::of(wants)
        };
        let client = connect(&house, &mut referee, form, shows_canaries);
        Self {
            house,
            client,
            form,
            shows_canaries,
            referee,
        }
    }

    async fn step(&mut self, op: &Op) {
        match op {
            Op::Weather(weather) => self.house.suffer(weather),
            Op::Read { batches } => self.read(*batches).await,
            Op::CutAndResume => {
                self.client = connect(&self.house, &mut self.referee, self.form, self.shows_canaries);
            }
        }
    }

    async fn read(&mut self, batches: usize) {
        for _ in 0..batches {
            let batch = poll_fn(|context| self.client.poll_batch(context));
            // Costs nothing: the clock is simulated.
            let Ok(batch) = timeout(self.house.longest_silence(), batch).await else {
                return;
            };
            self.referee.take(&self.house, &batch.bytes);
        }
    }
}

fn connect(house: &House, referee: &mut Referee, form: IdForm, shows_canaries: bool) -> Subscription {
    let id = referee.reconnect(house);
    let request = Request {
        shows_canaries,
        ..house.request(Some(&id), form)
    };
    Subscription::start(&house.source, request)
}

/// Partitions at the beginning; schedules add up to two more.
const PARTITIONS: usize = 2;
