//! Many requests to brokers: for many times at once, and for many partitions at once.

use std::{path::PathBuf, time::Duration};

use riverhead_brokers::{scaled, shared, tolerated};
use riverhead_loadtest::{
    progress::Progress,
    scenarios::{Report, cold::Cold, times::Times},
};

use crate::following::RIVERHEAD;

/// `riverhead-loadtest times` is the full form: 1,000 clients in 5 s, and the client for the earliest event
/// in 1 s. Before a change, 54 were served in 60 s, and that client not within 20 s.
#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn clients_with_a_time_of_their_own_each_do_not_wait_in_one_line() {
    let brokers = shared();
    let times = Times {
        binary: PathBuf::from(RIVERHEAD),
        clients: 300,
        addresses: 50,
        partitions: 6,
        round_trip: Duration::from_millis(10),
        within: tolerated(Duration::from_secs(6)),
        bystander_within: tolerated(Duration::from_secs(3)),
        patience: scaled(Duration::from_secs(15)),
        progress: Progress::Silent,
    };
    passes(&times.run_on(brokers.get(), "times").expect("a gateway"));
}

/// `riverhead-loadtest cold` is the full form: 300 partitions in 1 s. Before a change, it took 25 ms for each
/// partition.
#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_cold_start_of_many_partitions_does_not_take_them_one_by_one() {
    let brokers = shared();
    let cold = Cold {
        binary: PathBuf::from(RIVERHEAD),
        partitions: 150,
        records: 3,
        within: tolerated(Duration::from_millis(1_500)),
        patience: scaled(Duration::from_secs(15)),
        progress: Progress::Silent,
    };
    passes(&cold.run_on(brokers.get(), "cold").expect("a gateway"));
}

fn passes<R: Report>(report: &R) {
    let problems = report.problems();
    println!("{report}");
    assert!(problems.is_empty(), "{problems:?}\n{report}\n{}", report.log());
}
