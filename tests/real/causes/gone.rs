//! A topic that is deleted while it is read, and one that never existed.

use std::time::Duration;

use riverhead_brokers::{eventually, shared};

use crate::{
    checked::check,
    following::{plan, start},
    healthz::{until_failing, until_said},
};

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_deleted_topic_is_told_as_that_in_time_and_once_until_it_is_back() {
    let brokers = shared();
    brokers.create_topic(TOPIC, 2);
    let plan = plan(&brokers, &[TOPIC]);
    let gateway = start(&plan);
    until_said(&gateway, "/streams/0", "ok", &[]);
    brokers.delete_topic(TOPIC);
    let words = ["the cluster has no such topic", "UNKNOWN_TOPIC_OR_PARTITION"];
    let missed = |health: &serde_json::Value| {
        health["clusters"][0]["topics"][0]["reason"] != "the cluster describes it"
    };
    let said = until_failing(&gateway, missed, "/streams/0", &words);
    assert!(!said.to_string().contains("does not answer"), "{said}");
    assert_eq!(said["clusters"][0]["topics"][0]["state"], "failing", "{said}");
    let fault = gateway.metric("riverhead_kafka_topic_fault").expect("a metric");
    assert_eq!(fault, 1.0, "the metric of RiverheadTopicFault");
    // A new process, which has never seen the topic.
    let late = start(&plan);
    until_said(&late, "/streams/0", "failing", &["has no topic causes-gone"]);
    drop(late);
    check(&plan).says(1, "error: cluster main: topic causes-gone: it does not exist");
    let begun = "the cluster has no such topic; the metadata request is repeated";
    let begins = || gateway.log().matches(begun).count();
    eventually(SOON, begun, || begins() > 0);

    brokers.create_topic(TOPIC, 2);
    until_said(&gateway, "/streams/0", "ok", &[]);
    let over = "the cluster describes the topic again";
    eventually(SOON, over, || gateway.log().contains(over));
    let log = gateway.log();
    assert_eq!((begins(), log.matches(over).count()), (1, 1), "{log}");
}

const SOON: Duration = Duration::from_secs(10);
const TOPIC: &str = "causes-gone";
