//! Rights that are missing or taken away: they are reported under the name of the error.

use std::{sync::OnceLock, time::Duration};

use riverhead_brokers::{Cluster, eventually, turn};
use riverhead_loadtest::gateway::{Gateway, GatewayPlan};
use serde_json::Value;

use crate::{
    checked::check,
    following::{FROM_THE_START, follow, numbers, plan_with, start, take},
    healthz::{lasted, told_in_time, until_failing, until_said},
};

/// Returns a cluster that all of these tests share. Each uses a different topic.
fn shared() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(cluster)
}

/// Starts a broker that grants `reader` its rights only, and everything to clients of the other listeners.
fn cluster() -> Cluster {
    Cluster::builder()
        .brokers(1)
        .combined()
        .property(
            "listener.security.protocol.map",
            "PLAINTEXT:SASL_PLAINTEXT,INT:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        )
        .property("listener.name.plaintext.sasl.enabled.mechanisms", "PLAIN")
        .property(
            "listener.name.plaintext.plain.sasl.jaas.config",
            "org.apache.kafka.common.security.plain.PlainLoginModule required user_reader=\"secret\";",
        )
        .property(
            "authorizer.class.name",
            "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        )
        .property("super.users", "User:ANONYMOUS")
        .start()
}

fn plan(cluster: &Cluster, topic: &str) -> GatewayPlan {
    plan_with(cluster, &[topic], AS_READER)
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_right_to_read_that_is_taken_away_is_failing_within_seconds_and_ok_when_it_is_back() {
    let _turn = turn();
    let (cluster, topic) = (shared(), "rights-read");
    let plan = plan(cluster, topic);
    cluster.create_topic(topic, 2);
    cluster.allow("reader", topic, &["READ", "DESCRIBE"]);
    let gateway = start(&plan);
    until_said(&gateway, "/streams/0", "ok", &[]);
    cluster.allow("reader", topic, &["DESCRIBE"]);
    // A new process, which never had the right.
    let late = start(&plan);
    let words = ["TOPIC_AUTHORIZATION_FAILED"];
    let failed = |_: &Value| has_met_an_error(&gateway);
    let said = until_failing(&gateway, failed, "/clusters/0/partitions/1", &words);
    until_said(&late, "/clusters/0/partitions/1", "failing", &words);
    let begun = "the partition cannot be read";
    let log = eventually(SOON, begun, || {
        let log = late.log();
        let told = log.matches(begun).count();
        (told >= 2).then(|| log.clone()).ok_or(log)
    });
    lasted(&log, begun).into_iter().for_each(told_in_time);
    drop(late);
    assert_eq!(said["clusters"][0]["partitions"][0]["error"], words[0], "{said}");
    check(&plan).says(
        1,
        "topic rights-read: 2 partitions cannot be read: TOPIC_AUTHORIZATION_FAILED",
    );
    cluster.allow("reader", topic, &["READ", "DESCRIBE"]);
    until_said(&gateway, "/streams/0", "ok", &[]);
    for line in ["cannot be read", "fault has ended"] {
        eventually(SOON, line, || {
            let log = gateway.log();
            let told = log.matches(line).count();
            (told >= 2).then_some(()).ok_or(log)
        });
        let log = gateway.log();
        assert_eq!(log.matches(line).count(), 2, "once for each partition: {log}");
    }
    lasted(&gateway.log(), begun).into_iter().for_each(told_in_time);
}

/// Whether the tail has met an error of the right to read.
fn has_met_an_error(gateway: &Gateway) -> bool {
    let metrics = gateway.admin("/metrics").expect("metrics");
    let errors = metrics
        .lines()
        .filter(|line| line.starts_with("riverhead_kafka_errors_total{"));
    let mut kinds = errors.filter(|line| line.contains("client=\"tail\""));
    kinds.any(|line| line.contains("kind=\"TopicAuthorizationFailed\""))
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_topic_whose_rights_were_all_taken_is_not_called_a_mute_broker() {
    let _turn = turn();
    let (cluster, topic) = (shared(), "rights-all");
    let plan = plan(cluster, topic);
    cluster.create_topic(topic, 1);
    cluster.allow("reader", topic, &["READ", "DESCRIBE"]);
    let gateway = start(&plan);
    until_said(&gateway, "/streams/0", "ok", &[]);
    cluster.allow("reader", topic, &[]);
    let words = ["access to the topic is denied", "TOPIC_AUTHORIZATION_FAILED"];
    let said = until_failing(&gateway, is_refused, "/clusters/0/partitions/0", &words);
    assert!(!said.to_string().contains("does not answer"), "{said}");
    // A new process, which has never seen the topic.
    let late = start(&plan);
    until_failing(&late, is_refused, "/streams/0", &words);
    check(&plan).says(1, "error: cluster main: topic rights-all: access is denied");
}

/// Whether the cluster does not describe the topic any more, or never did.
fn is_refused(health: &Value) -> bool {
    let topic = &health["clusters"][0]["topics"][0];
    let reason = topic["reason"].as_str().unwrap_or_default();
    !reason.is_empty() && reason != "the cluster describes it"
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_replay_whose_right_is_taken_is_told_of_and_goes_on_where_it_was() {
    let _turn = turn();
    let (cluster, topic) = (shared(), "rights-replay");
    // The memory is so small, and the history rate so low, that a replay takes a while.
    let settings = format!("history_rate = 1000000, {AS_READER}");
    let plan = plan_with(cluster, &[topic], &settings).set("RIVERHEAD_MEMORY__TAIL", "1MiB");
    cluster.create_topic(topic, 1);
    let mut producer = cluster.producer(topic).record_bytes(1_000).start();
    producer.send(6_000);
    let written = producer.finish().numbers_of(0);
    cluster.allow("reader", topic, &["READ", "DESCRIBE"]);
    let gateway = start(&plan);
    until_said(&gateway, "/streams/0", "ok", &[]);
    let mut client = follow(&gateway, FROM_THE_START, None).await;
    let first = numbers(&take(&mut client, 100).await);
    // The client continues to read, so that its gateway does too.
    let rest = tokio::spawn(async move { numbers(&take(&mut client, 5_900).await) });
    cluster.allow("reader", topic, &["DESCRIBE"]);
    let line = "the partition's history cannot be read: ";
    let log = eventually(SOON, line, || {
        let log = gateway.log();
        log.contains(line).then(|| log.clone()).ok_or(log)
    });
    // Pages that were fetched ahead are delivered before the first attempt fails, which is when the gateway begins to count.
    lasted(&log, line).into_iter().for_each(told_in_time);
    let told = log.lines().find(|it| it.contains(line)).unwrap_or_default();
    assert!(told.contains("TOPIC_AUTHORIZATION_FAILED"), "{told}");
    let words = ["TOPIC_AUTHORIZATION_FAILED"];
    until_said(&gateway, "/clusters/0/partitions/0", "failing", &words);

    cluster.allow("reader", topic, &["READ", "DESCRIBE"]);
    let heard = [first, rest.await.expect("all the others")].concat();
    assert!(heard == written, "{} of {}", heard.len(), written.len());
    until_said(&gateway, "/streams/0", "ok", &[]);
    let over = "fault has ended";
    eventually(SOON, over, || {
        let log = gateway.log();
        (log.matches(over).count() == 2).then_some(()).ok_or(log)
    });
    assert_eq!(gateway.log().matches(line).count(), 1, "{}", gateway.log());
}

const AS_READER: &str = r#"librdkafka = { "security.protocol" = "sasl_plaintext", "sasl.mechanism" = "PLAIN", "sasl.username" = "reader", "sasl.password" = "secret" }"#;

/// The longest wait for what the gateway logs, which it checks every few seconds.
const SOON: Duration = Duration::from_secs(45);
