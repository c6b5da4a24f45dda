//! The short forms of the load test's scenarios with many clients. `loadtest/README.md` has the full ones.

use std::{path::Path, time::Duration};

use riverhead_brokers::{Cluster, alone, scaled, shared_alone};
use riverhead_loadtest::{
    pins::Pins,
    progress::Progress,
    scenarios::{
        Report,
        churn::Churn,
        fanout::{Fanout, Load},
        nemesis::Nemesis,
        reloads::Reloads,
        revoke::Revoke,
        storm::{Handshakes, RestartKind, Storm},
        tenants::Tenants,
    },
    server::Kind,
};

const RIVERHEAD: &str = env!("CARGO_BIN_EXE_riverhead");

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn every_one_of_a_thousand_live_clients_gets_every_number() {
    let cluster = shared_alone();
    let load = Load {
        clients: 1_000,
        rate: 20.0,
        filters: 0,
        query: String::new(),
        stream_keys: String::new(),
    };
    let fanout = Fanout {
        servers: vec![Kind::Riverhead],
        loads: vec![load],
        ..fanout()
    };
    let report = fanout.run_on(cluster.get(), &Pins::none()).expect("a gateway");
    passes(&report);
    assert_eq!(report.turns[0].judged, 1_000);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_crowd_that_resumes_at_once_costs_the_brokers_one() {
    // The comparison is a consumer with a group, and other tests check that the shared cluster has none.
    let _turn = alone();
    let cluster = Cluster::start();
    let storm = Storm {
        clients: 300,
        // Much more than what the tail fetches meanwhile, whose share is estimated from the seconds before.
        record_bytes: 1_400,
        ..storm(Some(Duration::from_secs(60)))
    };
    let report = storm.run_on(&cluster, &Pins::none(), "storm");
    let report = report.expect("a gateway");
    exact(&report.problems());
    assert!(
        report.fetched_ratio().is_some_and(|ratio| ratio <= 1.2),
        "{report}"
    );
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_crowd_that_meets_a_restart_goes_on_where_it_was() {
    // See `a_crowd_that_resumes_at_once_costs_the_brokers_one`.
    let _turn = alone();
    let cluster = Cluster::start();
    let report = storm(None).run_on(&cluster, &Pins::none(), "restart");
    exact(&report.expect("a gateway").problems());
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_crowd_with_tls_goes_on_over_a_hot_restart_with_its_sessions() {
    // See `a_crowd_that_resumes_at_once_costs_the_brokers_one`.
    let _turn = alone();
    let cluster = Cluster::start();
    let storm = Storm {
        restart: RestartKind::Hot,
        tls: Some(Handshakes::Resumed),
        ..storm(None)
    };
    let report = storm.run_on(&cluster, &Pins::none(), "handed-over");
    let report = report.expect("a gateway");
    exact(&report.problems());
    let handshakes = report.handshakes.expect("handshakes");
    assert!(handshakes.resumed >= 500, "{report}");
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_crowd_over_tls_is_read_whatever_writes_it() {
    let cluster = shared_alone();
    let load = Load {
        clients: 200,
        rate: 20.0,
        filters: 0,
        query: String::new(),
        stream_keys: String::new(),
    };
    let fanout = Fanout {
        servers: vec![Kind::Tls, Kind::TlsBody, Kind::TlsH2, Kind::TlsNginx],
        loads: vec![load],
        // The others only count bytes, as in the full form.
        judge_every: 10,
        ..fanout()
    };
    let report = fanout.run_on(cluster.get(), &Pins::none()).expect("a gateway");
    passes(&report);
    assert!(report.turns.iter().all(|turn| turn.judged == 20), "{report}");
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn the_streams_of_a_revoked_key_end_whole_and_no_others() {
    let cluster = shared_alone();
    let revoke = Revoke {
        binary: RIVERHEAD.into(),
        settings: Vec::new(),
        clients: 300,
        revoked: 200,
        addresses: 50,
        rate: 20.0,
        record_bytes: 350,
        quiet: scaled(Duration::from_secs(2)),
        server_cpus: 0,
        patience: scaled(Duration::from_secs(60)),
        progress: Progress::Silent,
    };
    let report = revoke.run_on(cluster.get(), &Pins::none(), "revoke");
    let report = report.expect("a gateway");
    exact(&report.problems());
    assert_eq!((report.ended_whole, report.finished), (200, 100), "{report}");
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn each_of_three_hundred_tenants_gets_its_own_rows_only() {
    let cluster = shared_alone();
    let tenants = Tenants {
        binary: RIVERHEAD.into(),
        settings: Vec::new(),
        // Every partition has rows of some tenants only.
        tenants: 300,
        few: 10,
        rate: 200.0,
        crowd: 50,
        crowd_rate: 20.0,
        addresses: 50,
        record_bytes: 350,
        rounds: 1,
        warm_up: Duration::from_secs(1),
        duration: scaled(Duration::from_secs(5)),
        server_cpus: 0,
        patience: scaled(Duration::from_secs(60)),
        progress: Progress::Silent,
    };
    let report = tenants.run_on(cluster.get(), &Pins::none());
    passes(&report.expect("a gateway"));
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn clients_that_come_lag_are_cut_and_leave_lose_nothing() {
    let cluster = shared_alone();
    let churn = Churn {
        binary: RIVERHEAD.into(),
        settings: vec![("RIVERHEAD_MEMORY__LANES".into(), "1MiB".into())],
        connects: 50.0,
        rate: 50.0,
        record_bytes: 350,
        addresses: 50,
        duration: scaled(Duration::from_secs(16)),
        progress: Progress::Silent,
    };
    let report = churn.run(cluster.get(), "churn").expect("a gateway");
    exact(&report.problems());
    assert!(report.lags > 50 && report.returns > 50, "{report}");
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn nobody_loses_anything_untold_whatever_happens_to_brokers_logs_and_gateways() {
    // It creates topics and a group, which the shared cluster must not have.
    let _turn = alone();
    let nemesis = Nemesis {
        binary: RIVERHEAD.into(),
        // A new one each time, which the report prints.
        seed: fastrand::u64(..),
        duration: scaled(Duration::from_secs(120)),
        round: Duration::from_secs(40),
        rate: 100.0,
        readers: 16,
        patience: scaled(Duration::from_secs(120)),
        progress: Progress::Silent,
    };
    let report = nemesis.run(&Nemesis::brokers(), "nemesis");
    passes(&report.expect("brokers that tell the truth"));
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn streams_that_come_and_go_by_reload_leave_the_clients_of_another_alone() {
    let cluster = shared_alone();
    let reloads = Reloads {
        binary: RIVERHEAD.into(),
        settings: Vec::new(),
        clients: 200,
        addresses: 50,
        rate: 20.0,
        record_bytes: 350,
        streams: 10,
        rounds: 5,
        quiet: scaled(Duration::from_secs(2)),
        server_cpus: 0,
        patience: scaled(Duration::from_secs(60)),
        progress: Progress::Silent,
    };
    let report = reloads.run_on(cluster.get(), &Pins::none(), "reloads");
    exact(&report.expect("a gateway").problems());
}

fn fanout() -> Fanout<'static> {
    Fanout {
        binary: Path::new(RIVERHEAD),
        peers: "loadtest/peers".into(),
        settings: Vec::new(),
        servers: Vec::new(),
        loads: Vec::new(),
        kafka_sse_clients: 0,
        rounds: 1,
        warm_up: Duration::from_secs(1),
        duration: scaled(Duration::from_secs(5)),
        record_bytes: 350,
        addresses: 50,
        judge_every: 1,
        server_cpus: 0,
        patience: scaled(Duration::from_secs(60)),
        progress: Progress::Silent,
    }
}

fn storm(back: Option<Duration>) -> Storm {
    Storm {
        binary: RIVERHEAD.into(),
        settings: Vec::new(),
        clients: 500,
        addresses: 50,
        rate: 20.0,
        record_bytes: 350,
        back,
        restart: RestartKind::Cold,
        tls: None,
        within: Duration::from_secs(5),
        quiet: scaled(Duration::from_secs(3)),
        server_cpus: 0,
        patience: scaled(Duration::from_secs(120)),
        progress: Progress::Silent,
    }
}

fn passes<R: Report>(report: &R) {
    let problems = report.problems();
    assert!(problems.is_empty(), "{problems:?}\n{report}\n{}", report.log());
}

/// Durations, and what an allocator does within seconds, are not judged here: the machine may run other work meanwhile.
fn exact(problems: &[String]) {
    const NOT_JUDGED: [&str; 5] = [
        "the streams with the revoked key did not end within a second",
        "the latency of the others has more than doubled",
        "resident memory grew",
        "a client of another stream waited twice as long",
        "a client did not catch up",
    ];
    let left: Vec<_> = problems
        .iter()
        .filter(|problem| !NOT_JUDGED.contains(&problem.as_str()))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
