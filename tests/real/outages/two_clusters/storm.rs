//! Many clients that are moved to the other cluster, each with a different position.

use std::time::Duration;

use futures_util::future::join_all;
use riverhead_brokers::{Ledger, slack, tolerated};
use riverhead_loadtest::gateway::Gateway;
use tokio::time::Instant;

use super::fixture::TwoClusters;
use crate::following::{FROM_THE_START, follow, id, next, number_of, numbers, take};

/// Between clusters, positions are found by time, so each client needs an offset query for each of its
/// partitions.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn clients_with_a_place_of_their_own_each_do_not_wait_in_one_line_after_a_move() {
    let clients = if slack() > 1.0 { 200 } else { 1_000 };
    let two = TwoClusters::start("two-storm", [PARTITIONS; 2]);
    let ledgers = [&*two.a, &two.b].map(|cluster| {
        let mut producer = two.writer(cluster).start();
        producer.send(clients);
        producer.finish()
    });
    assert_eq!(ledgers.each_ref().map(Ledger::len), [clients as usize; 2]);
    let mut first = follow(&two.gateway, FROM_THE_START, None).await;
    let messages = take(&mut first, clients as usize).await;
    two.command("b");
    two.until_moved(&[]);

    let order = numbers(&messages);
    let firsts: Vec<_> = (0..order.len())
        .map(|at| first_behind(&ledgers[0], &order[..=at]))
        .collect();
    let began = Instant::now();
    let clients_heard = messages
        .iter()
        .zip(firsts)
        .map(|(message, first)| hears(&two.gateway, id(message), first));
    join_all(clients_heard).await;
    let took = began.elapsed();
    println!("{clients} clients were served in {took:?}");
    assert!(took < tolerated(Duration::from_secs(5)), "{took:?}");
}

/// Returns the first number by time for a client that has these: of the last records of each partition the
/// oldest, once more. Returns `None` if the client has nothing of some partition: there it begins with what
/// only the other cluster has.
fn first_behind(ledger: &Ledger, had: &[u64]) -> Option<u64> {
    let lasts = (0..PARTITIONS as i32).map(|partition| {
        let numbers = ledger.numbers_of(partition);
        had.iter().rfind(|number| numbers.contains(number)).copied()
    });
    let lasts: Option<Vec<_>> = lasts.collect();
    lasts?.into_iter().min()
}

/// Resumes a client with this id of the other cluster, and reads until it receives this number, or any
/// number.
async fn hears(gateway: &Gateway, id: &str, expected: Option<u64>) {
    let mut client = follow(gateway, "", Some(id)).await;
    loop {
        let message = next(&mut client).await;
        if message.event == "gap" {
            assert!(message.data.contains("other_cluster"), "{message:?}");
        } else if expected.is_none_or(|number| number == number_of(&message)) {
            return;
        }
    }
}

const PARTITIONS: usize = 3;
