//! A transaction that its producer does not end hides what others have written after it.

use riverhead_brokers::{Producer, shared};
use riverhead_loadtest::gateway::Gateway;

use crate::{
    following::{FROM_THE_START, follow, numbers, plan_with, start, take},
    healthz::until_said,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_transaction_whose_producer_is_gone_counts_in_the_lag_and_degrades_until_it_ends() {
    let brokers = shared();
    brokers.create_topic(TOPIC, 1);
    let gateway = start(&plan_with(&brokers, &[TOPIC], "transaction_patience = \"3s\""));
    until_said(&gateway, "/streams/0", "ok", &[]);
    let transactional = || -> Producer {
        let producer = brokers.producer(TOPIC).transactional();
        producer.property("transactional.id", TOPIC).start()
    };
    let mut producer = transactional();
    producer.begin();
    producer.send(5);
    producer.flush();
    // Neither committed nor aborted: the brokers wait for two minutes.
    drop(producer);
    let mut others = brokers.producer(TOPIC).start();
    others.send(49);
    let hidden = others.finish();
    assert_eq!(hidden.len(), 49, "acknowledged");

    let words = [
        "a transaction has been open for",
        "the last stable offset stays at 0",
        "54 offsets after it",
    ];
    until_said(&gateway, "/streams/0", "degraded", &words);
    let (said, _) = until_said(&gateway, PARTITION, "degraded", &words);
    let partition = said.pointer(PARTITION).expect("a partition");
    for (field, value) in [("lag", 54), ("high_watermark", 54), ("last_stable_offset", 0)] {
        assert_eq!(partition[field], value, "{field}: {partition}");
    }
    let age = partition["last_stable_offset_age_seconds"].as_f64();
    assert!(age >= Some(3.0), "{partition}");
    assert_eq!(partition["error"], serde_json::Value::Null, "{partition}");
    assert_eq!(metric(&gateway, "partition_lag"), 54.0);
    // The two values that RiverheadTransactionHangs compares.
    let (age, patience) = (
        metric(&gateway, "partition_last_stable_offset_age_seconds"),
        metric(&gateway, "transaction_patience_seconds"),
    );
    assert!(age > patience && patience == 3.0, "{age}, {patience}");

    // The next producer of that id aborts what the previous one left open.
    let mut client = follow(&gateway, FROM_THE_START, None).await;
    drop(transactional());
    let heard = numbers(&take(&mut client, 49).await);
    assert_eq!(heard, hidden.numbers_of(0));
    let (said, _) = until_said(&gateway, PARTITION, "ok", &[]);
    let partition = said.pointer(PARTITION).expect("a partition");
    assert_eq!(partition["lag"], 0, "{partition}");
    assert_eq!(partition["last_stable_offset_age_seconds"], 0.0, "{partition}");
}

fn metric(gateway: &Gateway, name: &str) -> f64 {
    let name = format!("riverhead_kafka_{name}");
    gateway.metric_if_any(&name).expect("metrics").expect(&name)
}

const PARTITION: &str = "/clusters/0/partitions/0";
const TOPIC: &str = "causes-transaction";
