//! Brokers that are replaced, and addresses that move to another cluster.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use rdkafka::types::RDKafkaRespErr;
use riverhead::{
    kafka::{ClusterLabels, UnavailableReason, query_broker, settings::ClusterSettings},
    partition::PartitionLog,
};

use super::{Brokers, DEAD, KafkaFixture, offsets, ring, until};

/// Creates a fixture with exactly these bootstrap addresses and this state directory.
fn fixture(brokers: Brokers, bootstrap: &[&str], state: Option<&Path>) -> KafkaFixture {
    KafkaFixture::kept(brokers, &["a"], state, |settings| {
        settings.bootstrap = addresses(bootstrap);
    })
}

fn addresses(texts: &[&str]) -> Vec<riverhead::kafka::settings::BrokerAddr> {
    texts
        .iter()
        .map(|text| text.parse().expect("an address"))
        .collect()
}

fn brokers() -> Brokers {
    let brokers = Brokers::start(&[("a", 1)]);
    brokers.write("a", 0, 0..10);
    brokers
}

fn renewals(fixture: &KafkaFixture) -> u64 {
    let labels = ClusterLabels {
        cluster: "main".into(),
    };
    fixture.counters.renewals.get_or_create(&labels).get()
}

fn trouble(fixture: &KafkaFixture) -> Option<UnavailableReason> {
    fixture
        .cluster
        .handle()
        .status()
        .unavailable_reason(&["a".into()])
}

fn holds(log: &PartitionLog, from: i64, to: i64) {
    until(|| log.end().offset == to);
    assert_eq!(offsets(&ring(log, from)), (from..to).collect::<Vec<_>>());
}

#[test]
fn a_bootstrap_list_of_the_past_is_no_outage_after_a_restart() {
    let state = tempfile::tempdir().expect("a directory");
    let first = brokers();
    let seed = first.addresses()[0].clone();
    let before = fixture(first, &[DEAD, &seed], Some(state.path()));
    before.log("a", 0);
    let KafkaFixture { brokers, cluster, .. } = before;
    assert!(cluster.shutdown(Duration::from_secs(10)));

    let after = fixture(brokers, &[DEAD, "127.0.0.1:2"], Some(state.path()));
    let log = after.log("a", 0);
    after.brokers.write("a", 0, 10..20);
    holds(&log, 10, 20);
}

#[test]
fn without_what_was_learned_the_same_list_reaches_nobody_until_it_is_read_again() {
    let fixture = fixture(brokers(), &[DEAD, "127.0.0.1:2"], None);
    until(|| matches!(trouble(&fixture), Some(UnavailableReason::NoAnswer(_))));
    assert!(fixture.directory.get("a", 0).is_none());
    let good: Vec<_> = fixture.brokers.addresses().iter().map(String::as_str).collect();
    fixture.cluster.handle().set_bootstrap(addresses(&good[1..2]));
    fixture.log("a", 0);
    assert_eq!(renewals(&fixture), 0, "the running client got the new list");
}

#[test]
fn clients_that_nothing_answers_are_replaced_and_not_a_record_is_lost_or_twice() {
    let fixture = KafkaFixture::kept(brokers(), &["a"], None, |settings| {
        settings.renew_after = Duration::from_secs(2);
    });
    let log = fixture.log("a", 0);
    fixture.brokers.write("a", 0, 10..100);
    until(|| log.end().offset == 100);
    (0..3).for_each(|broker| fixture.brokers.mute(broker));
    until(|| renewals(&fixture) > 0);
    (0..3).for_each(|broker| fixture.brokers.unmute(broker));
    fixture.brokers.write("a", 0, 100..200);
    holds(&log, 10, 200);
    assert!(!log.is_replaced(), "its readers saw nothing");
    until(|| trouble(&fixture).is_none());
}

#[test]
fn an_address_that_answers_for_another_cluster_is_never_served() {
    let state = tempfile::tempdir().expect("a directory");
    let ours = brokers();
    let others = Brokers::start(&[("a", 1)]);
    others.write("a", 0, 1000..2000);
    let (mine, foreign) = (ours.addresses()[0].clone(), others.addresses()[0].clone());
    let before = fixture(ours, &[&mine], Some(state.path()));
    before.log("a", 0);
    let KafkaFixture {
        brokers: ours,
        cluster,
        ..
    } = before;
    assert!(cluster.shutdown(Duration::from_secs(10)));
    std::fs::remove_file(state.path().join("cluster-main.json")).expect("the list is wiped");
    let Ok(answer) = query_broker(
        &ClusterSettings::new("x", addresses(&[&mine])),
        &addresses(&[&mine])[0],
        &["a".into()],
        WAIT,
    ) else {
        panic!("it answers");
    };

    let after = KafkaFixture::kept(ours, &["a"], None, |settings| {
        settings.bootstrap = addresses(&[&foreign]);
        settings.cluster_id = Some(answer.cluster_id.into());
    });
    until(|| matches!(trouble(&after), Some(UnavailableReason::WrongCluster(_))));
    assert!(!after.directory.is_reachable("a"), "its streams are held");
    assert!(after.directory.get("a", 0).is_none(), "nothing of it is read");
    // Beside a good address, the one of another cluster is left out.
    after
        .cluster
        .handle()
        .set_bootstrap(addresses(&[&foreign, &mine]));
    let log = after.log("a", 0);
    assert_eq!(log.end().offset, 10);
    after.brokers.write("a", 0, 10..20);
    holds(&log, 10, 20);
    until(|| trouble(&after).is_none() && after.directory.is_reachable("a"));
}

#[test]
fn each_broker_is_asked_alone_and_its_fault_is_told_in_words() {
    let brokers = brokers();
    let address = addresses(&[&brokers.addresses()[0]]).remove(0);
    let mut settings = ClusterSettings::new("main", vec![address.clone()]);
    let topics: Vec<Arc<str>> = vec!["a".into(), "missing".into()];
    let answer = query_broker(&settings, &address, &topics, WAIT).expect("an answer");
    assert_eq!(answer.brokers, 3);
    assert!(
        answer.cluster_id.starts_with("mockCluster"),
        "{}",
        answer.cluster_id
    );
    let topics: Vec<_> = answer
        .topics
        .iter()
        .map(|(name, found)| (&**name, found.is_ok()))
        .collect();
    assert_eq!(topics, [("a", true), ("missing", false)]);

    let dead = addresses(&[DEAD]).remove(0);
    let said = query_broker(&settings, &dead, &["a".into()], WAIT).expect_err("no server listens");
    assert!(said.contains("Connection refused"), "{said}");

    settings
        .librdkafka
        .insert("security.protocol".into(), "ssl".into());
    let said = query_broker(&settings, &address, &["a".into()], WAIT).expect_err("it speaks no TLS");
    // Which of the two is a race: librdkafka reads something that it cannot parse, and closes.
    let told = ["ssl", "disconnected"].map(|word| said.to_lowercase().contains(word));
    assert!(told.contains(&true), "{said}");
}

/// Returns the output of `check-config --online` for a stream of this topic, and its exit code.
fn check_online(bootstrap: &[&str], topic: &str, more: &str) -> (String, Option<i32>) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = format!(
        "[[clusters]]\nname = 'main'\nbootstrap = {bootstrap:?}\n{more}\n\
         [[streams]]\nname = 's'\ntopics = ['{topic}']\n"
    );
    std::fs::write(file.path(), text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_riverhead"));
    command
        .args(["check-config", "--online", "--config"])
        .arg(file.path());
    let output = command.env_clear().output().expect("the binary runs");
    (
        String::from_utf8_lossy(&output.stdout).into(),
        output.status.code(),
    )
}

#[test]
fn the_check_says_which_brokers_answer_and_which_topics_there_are() {
    let (brokers, others) = (brokers(), Brokers::start(&[("a", 1)]));
    let (own, foreign) = (&*brokers.addresses()[0], &*others.addresses()[0]);
    let (said, code) = check_online(&[DEAD, own], "a", "");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(&format!("ok: cluster main: {own} answers: 3 brokers")),
        "{said}"
    );
    assert!(
        said.contains(&format!("warning: cluster main: {DEAD} does not answer: ")),
        "{said}"
    );
    assert!(said.contains("ok: cluster main: topic a, 1 partition"), "{said}");

    let failures = [
        (
            check_online(&[own, DEAD], "b", ""),
            "error: cluster main: topic b: it does not exist",
        ),
        (
            check_online(&[DEAD, "127.0.0.1:2"], "a", ""),
            "none of its bootstrap brokers answers",
        ),
        (
            check_online(&[own, foreign], "a", ""),
            "answer for different clusters",
        ),
        (
            check_online(&[own, DEAD], "a", "cluster_id = 'x'"),
            "its id must be x",
        ),
    ];
    for ((said, code), wanted) in failures {
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

#[test]
fn the_check_fetches_and_says_which_topic_may_not_be_read() {
    let brokers = brokers();
    let addresses: Vec<_> = brokers.addresses().iter().map(String::as_str).collect();
    brokers.deny_fetches();
    let (said, code) = check_online(&addresses, "a", "");
    assert_eq!(code, Some(1), "{said}");
    let wanted = "error: cluster main: topic a: 1 partition cannot be read: TOPIC_AUTHORIZATION_FAILED";
    assert!(said.contains(wanted), "{said}");
    brokers.mend_fetches();
    assert_eq!(check_online(&addresses, "a", "").1, Some(0));
}

/// librdkafka reports none of these errors, and tries again.
#[test]
fn the_check_names_what_keeps_a_partition_silent() {
    let brokers = brokers();
    let addresses: Vec<_> = brokers.addresses().iter().map(String::as_str).collect();
    let says = |wanted: &str| {
        let (said, code) = check_online(&addresses, "a", "");
        assert_eq!(code, Some(1), "{said}");
        let wanted = format!("error: cluster main: topic a: 1 partition cannot be read: {wanted}");
        assert!(said.contains(&wanted), "{wanted}: {said}");
    };
    brokers.take_leader("a", 0);
    says("LEADER_NOT_AVAILABLE");
    brokers.lead("a", 0, 1);
    brokers.break_fetches();
    brokers.fail_offsets(RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR);
    says("KAFKA_STORAGE_ERROR");
    brokers.mend_offsets();
    // Here the leader tells where its log ends, so it is not known why nothing arrives.
    says("nothing arrived within 5 s");
    brokers.mend_fetches();
    assert_eq!(check_online(&addresses, "a", "").1, Some(0));
}

const WAIT: Duration = Duration::from_secs(5);
