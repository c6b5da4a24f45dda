//! Several processes with librdkafka's mock brokers: hot restart, inherited sockets, and a probe's canaries.

mod canaries;
mod handover;
mod readers;
mod revocations;

use std::time::{Duration, Instant};

use riverhead_loadtest::{
    client::Ask,
    gateway::{Gateway, GatewayPlan},
};

use crate::support::brokers::Brokers;

const STREAM: &str = "edits";
const TOPIC: &str = "eqiad.edits";
const PARTITIONS: i32 = 2;

/// The longest wait for something that must happen.
const DEADLINE: Duration = Duration::from_secs(30);

/// The window over which closes are spread.
const DRAIN: Duration = Duration::from_secs(2);

fn plan(bootstrap: &[String]) -> GatewayPlan {
    let binary = env!("CARGO_BIN_EXE_riverhead");
    GatewayPlan::new(binary, bootstrap.to_vec(), STREAM, &[TOPIC])
        .unlimited()
        .set("RIVERHEAD_HTTP__DRAIN", &format!("{}s", DRAIN.as_secs()))
}

/// Returns a request for new events.
fn ask() -> Ask {
    Ask::new(format!("/v2/stream/{STREAM}"))
}

fn start_brokers() -> Brokers {
    Brokers::start(&[(TOPIC, PARTITIONS)])
}

/// Waits until a condition holds.
fn until(what: &str, gateway: &Gateway, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(
            begun.elapsed() < DEADLINE,
            "{what} never came:\n{}",
            gateway.log()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
