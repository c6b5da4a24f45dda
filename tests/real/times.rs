//! Questions to brokers in numbers: many times at once, many partitions at once, and those of clients who are gone.

use std::{path::PathBuf, time::Duration};

use futures_util::future::join_all;
use riverhead_brokers::{Fault, NewTopic, eventually, scaled, shared, tolerated};
use riverhead_loadtest::{
    progress::Progress,
    scenarios::{Report, cold::Cold, times::Times},
};
use tokio::time::Instant;

use crate::{
    following::{RIVERHEAD, SOON, follow, plan, start, take},
    table::now,
};

/// `riverhead-loadtest times` is the full form: 1,000 clients in 5 s, the bystander in 1 s. Before, 54 were served in 60 s, and
/// the bystander was not in 20 s.
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

/// `riverhead-loadtest cold` is the full form: 300 partitions in 1 s. Before, it was 25 ms for each partition.
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

/// A queue that is worked off whoever waits still has 40 s of it before the new client's turn comes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn what_clients_asked_who_are_gone_is_not_asked_of_a_leader_that_is_back() {
    let brokers = shared();
    brokers.create(&NewTopic::with_replicas(GONE, &[&[3]]));
    let mut producer = brokers.producer(GONE).start();
    producer.send(10);
    producer.flush();
    let gateway = start(&plan(&brokers, &[GONE]));
    gateway.wait_for_partitions(1, SOON);
    brokers.proxy(3).set(Fault::Stall);
    let times: Vec<_> = (1..=400)
        .map(|time| format!("?since={}", now() - 1_000_000 + time))
        .collect();
    drop(join_all(times.iter().map(|since| follow(&gateway, since, None))).await);
    eventually(SOON, "a gateway that has noticed", || {
        gateway
            .metric("riverhead_streams_open")
            .is_ok_and(|open| open == 0.0)
    });
    // A question and its answer take 100 ms.
    brokers.proxy(3).set(Fault::Delay(Duration::from_millis(50)));
    let began = Instant::now();
    let mut client = follow(&gateway, &format!("?since={}", now() - 2_000_000), None).await;
    take(&mut client, 10).await;
    let took = began.elapsed();
    brokers.proxy(3).set(Fault::Pass);
    println!("served after {took:?}");
    assert!(took < tolerated(Duration::from_secs(3)), "{took:?}");
}

fn passes<R: Report>(report: &R) {
    let problems = report.problems();
    println!("{report}");
    assert!(problems.is_empty(), "{problems:?}\n{report}\n{}", report.log());
}

const GONE: &str = "times-gone";
