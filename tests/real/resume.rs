//! The short forms of the load test's scenarios. `loadtest/README.md` has the full ones.

use std::time::Duration;

use riverhead_brokers::{scale, scaled, shared, shared_alone, slack};
use riverhead_loadtest::{
    progress::Progress,
    scenarios::{Report, hostile::Hostile, latency::Latency, replay::Replay, resume::Resume, slow::Slow},
};

const RIVERHEAD: &str = env!("CARGO_BIN_EXE_riverhead");

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

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn two_hundred_replays_at_once_cost_the_brokers_one() {
    let cluster = shared_alone();
    let replay = Replay {
        binary: RIVERHEAD.into(),
        records: 20_000,
        record_bytes: 1000,
        clients: 200,
        patience: scaled(Duration::from_secs(180)),
        progress: Progress::Silent,
    };
    passes(&replay.run(cluster.get(), "replay"));
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn honest_clients_stay_exact_while_strangers_send_everything_they_can() {
    let cluster = shared_alone();
    let hostile = Hostile {
        binary: RIVERHEAD.into(),
        clients: 200,
        cuts: 3,
        addresses: 50,
        at_once: 6,
        rate: 50.0,
        quiet: Duration::from_secs(4),
        // Several times the deadlines for a head and for a client that does not read, so that memory and descriptors that are not
        // given back add up. Not scaled: `loadtest hostile`, which is a part of the long form, takes an hour.
        loud: Duration::from_secs(120),
        // Promised are two: anything may run beside this test.
        ratio: 2.0 * slack(),
        memory: 32,
        patience: scaled(Duration::from_secs(60)),
        // A new one each time, which the report prints.
        seed: fastrand::u64(..),
        progress: Progress::Silent,
    };
    passes(&hostile.run(cluster.get(), "hostile"));
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_client_that_reads_a_byte_a_second_costs_a_cursor_and_loses_nothing() {
    let cluster = shared_alone();
    let slow = Slow {
        binary: RIVERHEAD.into(),
        rate: 4_000.0,
        warm_up: scaled(Duration::from_secs(4)),
        slowly: scaled(Duration::from_secs(6)),
        memory: 4,
        patience: scaled(Duration::from_secs(60)),
        progress: Progress::Silent,
    };
    let report = slow.run(cluster.get(), "slow");
    passes(&report);
    assert!(report.behind > 10_000, "it was not slow: {report}");
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

fn passes<R: Report>(report: &R) {
    println!("{report}");
    assert_eq!(
        report.problems(),
        Vec::<String>::new(),
        "{report}\n{}",
        report.log()
    );
}
