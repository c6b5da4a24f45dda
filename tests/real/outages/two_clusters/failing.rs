//! The active cluster fails and recovers.

use riverhead_brokers::{Cluster, Ledger, eventually};
use riverhead_loadtest::{numbers::Truth, reading::Reading};
use serde_json::Value;

use super::fixture::TwoClusters;
use crate::{
    following::{FROM_THE_START, STREAM, follow, id, numbers, take},
    outages::crowd::{ReaderGroup, SOON, ask},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn clients_of_a_cluster_that_freezes_go_on_from_the_next_one_and_back_by_command_only() {
    fails("two-frozen", Cluster::freeze, Cluster::thaw).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn clients_of_a_cluster_that_is_stopped_go_on_from_the_next_one_and_back_by_command_only() {
    fails("two-stopped", Cluster::stop, Cluster::spawn).await;
}

/// The brokers of the first cluster fail in one way and recover in another, under load.
async fn fails(topic: &'static str, take_away: fn(&Cluster, i32), give_back: fn(&Cluster, i32)) {
    let two = TwoClusters::start(topic, [PARTITIONS; 2]);
    let flow = two.flow();
    let mut clients = ReaderGroup::once();
    clients.join(&two.gateway, &ask(STREAM, FROM_THE_START), 50).await;
    clients.wait_for(100);
    let mut cut = follow(&two.gateway, FROM_THE_START, None).await;
    let had = take(&mut cut, 60).await;

    two.a
        .broker_ids()
        .into_iter()
        .for_each(|broker| take_away(&two.a, broker));
    clients.wait_for(flow[1].acknowledged() + 100);
    two.until_moved(&[]);
    // A client reconnects with an id of the first cluster.
    let mut resumed = ReaderGroup::once();
    let resume = ask(STREAM, "").resume(Some(id(&had[59]).to_owned()));
    resumed.join(&two.gateway, &resume, 10).await;

    two.a
        .broker_ids()
        .into_iter()
        .for_each(|broker| give_back(&two.a, broker));
    two.until_mended();
    clients.wait_for(flow[1].acknowledged() + 100);
    // Its producer has waited as well. A client that is moved to a cluster that is behind receives again what
    // that lacks.
    eventually(SOON, "a first cluster that has caught up", || {
        let [first, second] = [0, 1].map(|cluster| flow[cluster].acknowledged());
        (first >= second)
            .then_some(())
            .ok_or_else(|| format!("{first} of {second}"))
    });
    assert_eq!(two.moves(), 1.0, "it does not go back by itself");
    assert_eq!(two.command("a")["from"], "b");
    clients.wait_for(flow[1].acknowledged() + 100);

    let ledger = TwoClusters::finish(flow);
    let readings = clients.gets(&Truth::of(std::slice::from_ref(&ledger))).await;
    told(&readings, [FAILOVER; 2]);
    let readings = resumed.gets(&behind(&ledger, &numbers(&had))).await;
    told(&readings, ["other_cluster", FAILOVER]);
}

/// Returns the events that an id leads to by time: the last record that its client had of each partition, and
/// all after it.
fn behind(ledger: &Ledger, had: &[u64]) -> Truth {
    let rest = |partition: &i32| {
        let numbers = ledger.numbers_of(*partition);
        let last = numbers.iter().rposition(|number| had.contains(number));
        numbers[last.expect("a number of each partition")..].to_vec()
    };
    Truth::of_partitions(&ledger.partitions.keys().map(rest).collect::<Vec<_>>())
}

/// Asserts that no client was cut, and that each received a gap for every move, partition by partition, with
/// no more than one repeated record each.
fn told(readings: &[Reading], reasons: [&str; 2]) {
    let expected: Vec<_> = reasons.iter().flat_map(|reason| [*reason; PARTITIONS]).collect();
    for Reading {
        got,
        connects,
        repeats,
        ..
    } in readings
    {
        let gaps: Vec<Value> = got
            .gaps
            .iter()
            .map(|gap| serde_json::from_str(gap).expect("JSON"))
            .collect();
        let told: Vec<_> = gaps
            .iter()
            .map(|gap| gap["reason"].as_str().expect("a reason"))
            .collect();
        assert_eq!(told, expected);
        assert_eq!(*connects, 1, "no client is cut for it");
        assert!(*repeats <= reasons.len() * PARTITIONS, "{repeats} again");
    }
    let most = readings.iter().map(|reading| reading.repeats).max();
    println!(
        "{} clients lost nothing, and got {most:?} records again",
        readings.len()
    );
}

const PARTITIONS: usize = 3;

const FAILOVER: &str = "failover";
