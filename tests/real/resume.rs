//! The short forms of the load test's scenarios that may run beside other tests. `loadtest/README.md` has the full ones.

use std::time::Duration;

use riverhead_brokers::{scale, scaled, shared};
use riverhead_loadtest::{
    progress::Progress,
    scenarios::{Report, latency::Latency, resume::Resume},
};

use crate::following::RIVERHEAD;

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn every_number_comes_once_while_clients_are_cut_and_brokers_killed() {
    let cluster = shared();
    let resume = Resume {
        binary: RIVERHEAD.into(),
        records: (20_000.0 * scale()) as u64,
        rate: 2_000.0,
        clients: 10,
        cuts: 20,
        kill_every: Duration::from_secs(9),
        patience: scaled(Duration::from_secs(120)),
        progress: Progress::Silent,
    };
    passes(&resume.run(cluster.get(), "resume"));
}

/// Latencies are not checked here: the machine may do other work meanwhile.
#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn clients_and_a_plain_consumer_get_the_same_records_on_one_clock() {
    let cluster = shared();
    let latency = Latency {
        binary: RIVERHEAD.into(),
        clients: 10,
        rate: 200.0,
        duration: scaled(Duration::from_secs(3)),
        warm_up: Duration::from_secs(1),
        patience: scaled(Duration::from_secs(30)),
        progress: Progress::Silent,
    };
    let report = latency.run(cluster.get(), "latency");
    passes(&report);
    let measured = latency.rate * latency.duration.as_secs_f64();
    assert_eq!(report.plain.count as f64, measured, "{report}");
    assert_eq!(report.gateway.count as f64, measured * 10.0, "{report}");
}

pub(crate) fn passes<R: Report>(report: &R) {
    println!("{report}");
    assert_eq!(
        report.problems(),
        Vec::<String>::new(),
        "{report}\n{}",
        report.log()
    );
}
