//! The most frequent mistake with Kafka: a bootstrap broker answers, and advertises an address that does not.

use riverhead_brokers::{Cluster, Fault, Proxy, shared};
use riverhead_loadtest::gateway::GatewayPlan;

use crate::{
    checked::check,
    following::{RIVERHEAD, STREAM, start},
    healthz::{until_failing, until_said},
};

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn wrong_advertised_listeners_are_named_and_the_broker_that_answers_is_not_called_mute() {
    let brokers = shared();
    brokers.create_topic(TOPIC, 3);
    let doors: Vec<_> = doors(&brokers);
    let listed: Vec<_> = doors.iter().map(|door| door.address().to_string()).collect();
    advertised(&brokers, Fault::Refuse);
    let plan = GatewayPlan::new(RIVERHEAD, listed, STREAM, &[TOPIC]).unlimited();

    let gateway = start(&plan);
    let words = [SAYS, "advertised.listeners"];
    let said = until_failing(&gateway, |_| true, "/clusters/0", &words);
    let reason = said["clusters"][0]["reason"].as_str().expect("a reason");
    assert!(is_true(reason, &brokers, &doors), "{reason}");
    // No broker is reported as not answering: neither the one that answers nor another one.
    assert!(!said.to_string().contains("no answer"), "{said}");
    until_said(&gateway, "/streams/0", "failing", &[SAYS]);
    let checked = check(&plan);
    checked.says(1, SAYS);
    let told = checked.line("error: ");
    assert!(is_true(told, &brokers, &doors), "{told}");

    advertised(&brokers, Fault::Pass);
    until_said(&gateway, "/streams/0", "ok", &[]);
    check(&plan).says(0, "ok: cluster main: topic");
}

/// Sets how the addresses that brokers advertise behave.
fn advertised(brokers: &Cluster, fault: Fault) {
    let ids = brokers.broker_ids().into_iter();
    ids.for_each(|broker| brokers.proxy(broker).set(fault));
}

/// Returns an address of each broker that it does not advertise.
fn doors(brokers: &Cluster) -> Vec<Proxy> {
    let ids = brokers.broker_ids().into_iter();
    ids.map(|broker| brokers.proxy(broker).beside()).collect()
}

/// Returns whether a sentence names one of these addresses, and a broker with the address that it advertises.
fn is_true(said: &str, brokers: &Cluster, doors: &[Proxy]) -> bool {
    let mut pairs = doors.iter().flat_map(|door| {
        brokers
            .broker_ids()
            .into_iter()
            .map(move |id| (door.address(), id))
    });
    pairs.any(|(door, id)| {
        let advertised = brokers.proxy(id).address();
        said.contains(&format!(
            "{door} answers and advertises broker {id} at {advertised}, which refuses"
        ))
    })
}

const SAYS: &str = "answers and advertises broker";
const TOPIC: &str = "causes-addresses";
