//! A topic that does not exist when clients request it.

use riverhead_brokers::{eventually, shared};
use riverhead_loadtest::{client::Ask, gateway::GatewayPlan};

use super::{
    fixture::{RIVERHEAD, SOON, STREAM, time_of},
    listener::{Listener, events},
};

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_topic_created_under_waiting_clients_is_delivered_whole() {
    let brokers = shared();
    let plan = GatewayPlan::new(RIVERHEAD, brokers.bootstrap_list(), "stream", &["created"]);
    let gateway = plan.unlimited().start().expect("the gateway starts");
    let early = Listener::connect(gateway.http, &Ask::new(STREAM));
    eventually(SOON, "a topic that is known to be absent", || {
        gateway
            .admin("/healthz")
            .is_ok_and(|health| health.contains("has no topic created"))
    });
    let late = Listener::connect(gateway.http, &Ask::new(STREAM));
    brokers.create_topic("created", 2);
    // All of them have times before the clients connected.
    let mut producer = brokers.producer("created").timestamp(time_of).start();
    producer.send(20);
    let ledger = producer.finish();
    for mut client in [early, late] {
        for written in ledger.partitions.values() {
            client.upto(written);
        }
        let mut heard = client.heard.clone();
        heard.sort();
        let mut written: Vec<_> = ledger
            .partitions
            .values()
            .flat_map(|of_one| events(of_one))
            .collect();
        written.sort();
        assert_eq!(heard, written);
    }
}
