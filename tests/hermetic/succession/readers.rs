//! Clients that stay, and resume with their last id whenever they are cut.

use std::{net::SocketAddr, sync::Arc};

use futures_util::future::join_all;
use riverhead_loadtest::{
    goal::Goal,
    numbers::{Faults, Truth},
    reading::Reading,
};
use tokio::{task::JoinHandle, time::timeout};

use crate::succession::{DEADLINE, PARTITIONS, ask};

/// The position before the first record of each partition.
const ALL: &str = r#"[{"topic":"eqiad.edits","partition":0,"offset":-2},{"topic":"eqiad.edits","partition":1,"offset":-2}]"#;

/// Clients that read everything.
pub(crate) struct Readers {
    goal: Arc<Goal>,
    reading: Vec<JoinHandle<Reading>>,
}

impl Readers {
    /// Starts this many clients. Each has received `:ok` when this returns.
    pub(crate) async fn start(address: SocketAddr, count: usize) -> Self {
        let goal = Arc::new(Goal::open());
        let reading = join_all((0..count).map(|_| begin(address))).await;
        let reading = reading.into_iter().map(|mut reading| {
            let goal = Arc::clone(&goal);
            tokio::spawn(async move {
                reading.follow(&goal).await;
                reading
            })
        });
        let reading = reading.collect();
        Self { goal, reading }
    }

    /// Waits until each client has the numbers below `count`, which are spread over the partitions in turn.
    /// Checks that each got them exactly once and in order, and was never refused.
    pub(crate) async fn get(self, count: u64) -> Vec<Reading> {
        let each = u64::from(PARTITIONS.unsigned_abs());
        let partition = |first| (first..count).step_by(each as usize).collect();
        let truth = Truth::of_partitions(&(0..each).map(partition).collect::<Vec<_>>());
        self.goal.set(truth.len());
        let all = timeout(DEADLINE, join_all(self.reading)).await;
        let all = all.expect("all that was written, for everybody");
        let readings: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        for reading in &readings {
            assert_eq!(truth.judge(&reading.got), Faults::default());
            assert_eq!(reading.got.gaps, Vec::<String>::new());
            assert_eq!(reading.refusals, Vec::<String>::new());
        }
        readings
    }
}

async fn begin(address: SocketAddr) -> Reading {
    let mut reading = Reading::new(address, ask().resume(Some(ALL.into())));
    assert!(reading.begin().await.is_some(), "{:?}", reading.refusals);
    reading
}
