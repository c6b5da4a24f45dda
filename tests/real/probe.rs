//! What `riverhead probe` says about a gateway whose brokers fail.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use riverhead_brokers::{eventually, shared};
use riverhead_loadtest::gateway::{Gateway, GatewayPlan};

use crate::{
    following::{RIVERHEAD, STREAM, start},
    healthz::told_in_time,
};

/// EventStreams, 2019: for 18 hours the plugin said UNKNOWN, which alerts nobody.
#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_gateway_whose_only_bootstrap_broker_is_gone_is_critical() {
    let brokers = shared();
    brokers.create_topic(TOPIC, 3);
    let flow = brokers.producer(TOPIC).rate(50.0).start().run();
    let only = brokers.proxy(1).address().to_string();
    // The other broker was removed long ago.
    let list = vec![brokers.dead_address().to_string(), only.clone()];
    let plan = GatewayPlan::new(RIVERHEAD, list, STREAM, &[TOPIC]);
    let gateway = start(&plan);
    let said = eventually(SOON, "a probe that is content", || match probe(&gateway) {
        (0, said) => Ok(said),
        (_, said) => Err(said),
    });
    println!("{said}");

    brokers.stop(1);
    // A client that knows the other brokers does not need this one.
    eventually(SOON, "new leaders", || match probe(&gateway) {
        (0, said) => Ok(said),
        (_, said) => Err(said),
    });
    drop(gateway);
    let gateway = start(&plan);
    let began = Instant::now();
    eventually(SOON, "a cause", || {
        let health = gateway.admin("/healthz").expect("an answer");
        // Its proxy accepts connections, and resets them.
        let cause = format!("{only}: connection reset");
        let named = health.contains(" 503 ") && health.to_lowercase().contains(&cause);
        if named { Ok(()) } else { Err(health) }
    });
    let took = began.elapsed();
    told_in_time(took);
    let (code, said) = probe(&gateway);
    println!("/healthz named the cause after {took:.1?}; the probe: {said}");
    assert_eq!(code, 2, "{said}");
    assert!(said.starts_with("RIVERHEAD CRITICAL - stream: "), "{said}");
    flow.finish();
}

/// Returns the exit code and the output.
fn probe(gateway: &Gateway) -> (i32, String) {
    let url = format!("http://{}", gateway.http);
    let output = Command::new(RIVERHEAD)
        .args(["probe", &url, "--stream", STREAM, "--max-age", "10s"])
        .args(["--timeout", "3s"])
        .output()
        .expect("a probe");
    let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.code().expect("an exit code"), line)
}

const TOPIC: &str = "probe-bootstrap";

/// The longest time of what takes a second on an idle machine.
const SOON: Duration = Duration::from_secs(60);
