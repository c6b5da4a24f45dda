//! The short forms of the load test's scenarios: the full ones are in `loadtest/README.md`.

use std::time::Duration;

use riverhead_brokers::{scale, shared};
use riverhead_loadtest::scenarios::{replay::Replay, resume::Resume};

const RIVERHEAD: &str = env!("CARGO_BIN_EXE_riverhead");

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn every_number_comes_once_while_clients_are_cut_and_brokers_killed() {
    let cluster = shared();
    let resume = Resume {
        binary: RIVERHEAD.into(),
        records: (20_000.0 * scale()) as u64,
        rate: 1_000.0,
        clients: 10,
        cuts: 20,
        kill_every: Duration::from_secs(9),
        patience: Duration::from_secs(120).mul_f64(scale()),
    };
    let report = resume.run(cluster.get(), "resume");
    println!("{report}");
    assert_eq!(report.finished, 10, "{report}\n{}", report.log);
    assert!(report.faults.none(), "{report}\n{}", report.log);
    assert_eq!(report.gaps, Vec::<String>::new(), "{}", report.log);
    assert!(report.cuts >= 20 && report.kills >= 1, "{report}");
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn two_hundred_replays_at_once_cost_the_brokers_one() {
    let cluster = shared();
    let replay = Replay {
        binary: RIVERHEAD.into(),
        records: 60_000,
        record_bytes: 500,
        clients: 200,
        patience: Duration::from_secs(180),
    };
    let report = replay.run(cluster.get(), "replay");
    println!("{report}");
    assert_eq!(report.finished, 200, "{report}\n{}", report.log);
    assert!(
        report.faults.none() && report.gaps == 0,
        "{report}\n{}",
        report.log
    );
    assert!(report.ratio() <= 1.2, "{report}");
}
