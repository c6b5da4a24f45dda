//! Questions to brokers in numbers: many times at once, many partitions at once, and a leader that does not answer.

use std::{path::PathBuf, time::Duration};

use riverhead_brokers::{Fault, NewTopic, scaled, shared, tolerated};
use riverhead_loadtest::{
    progress::Progress,
    scenarios::{Report, cold::Cold, times::Times},
};
use tokio::time::{Instant, timeout};

use crate::following::{FROM_THE_START, RIVERHEAD, SOON, follow, follow_stream, plan, start, take};

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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_mute_leader_keeps_nobody_else_from_an_answer() {
    let brokers = shared();
    let topics = ["times-mute", "times-well"];
    for (topic, leader) in topics.into_iter().zip([3, 1]) {
        brokers.create(&NewTopic::with_replicas(topic, &[&[leader]]));
        let mut producer = brokers.producer(topic).start();
        producer.send(10);
        producer.flush();
    }
    let mut plan = plan(&brokers, &topics[..1]);
    plan.streams.push(("well".into(), vec![topics[1].into()]));
    let gateway = start(&plan);
    gateway.wait_for_partitions(2, SOON);
    brokers.proxy(3).set(Fault::Stall);
    // Clients of the mute one keep asking, each for a time of its own.
    let mut waiting = Vec::new();
    for time in 1..=100 {
        waiting.push(follow(&gateway, &format!("?since={time}"), None).await);
    }
    let began = Instant::now();
    for _ in 0..20 {
        let mut client = follow_stream(&gateway, &format!("well{FROM_THE_START}"), None).await;
        timeout(scaled(SOON), take(&mut client, 10))
            .await
            .expect("events");
    }
    let took = began.elapsed();
    assert!(took < tolerated(Duration::from_secs(3)), "{took:?}");
    brokers.proxy(3).set(Fault::Pass);
    for client in &mut waiting {
        take(client, 10).await;
    }
}

fn passes<R: Report>(report: &R) {
    let problems = report.problems();
    println!("{report}");
    assert!(problems.is_empty(), "{problems:?}\n{report}\n{}", report.log());
}
