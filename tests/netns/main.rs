//! Clients whose network vanishes: each is in a network namespace whose packets can be dropped.
//!
//! Needs root, or the capability to create namespaces, and iproute2: `./tests/run netns` provides both.
#![allow(clippy::expect_used, reason = "what is not as expected fails the test")]

mod kit;

use std::time::{Duration, Instant};

use kit::Elsewhere;
use riverhead_brokers::eventually;
use riverhead_loadtest::gateway::{Gateway, GatewayPlan};

const ADMITTED: &str = "riverhead_streams_admitted";
const HEARTBEAT: Duration = Duration::from_millis(500);
const STALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Starts a gateway that the host can reach. It has no brokers, so it sends heartbeats only.
fn gateway(elsewhere: &Elsewhere) -> Gateway {
    GatewayPlan::new(
        env!("CARGO_BIN_EXE_riverhead"),
        vec!["127.0.0.1:1".into(), "127.0.0.1:2".into()],
        "stream",
        &["topic"],
    )
    .set("RIVERHEAD_HTTP__LISTEN", &format!("{}:0", elsewhere.here()))
    .set(
        "RIVERHEAD_HTTP__HEARTBEAT",
        &format!("{}ms", HEARTBEAT.as_millis()),
    )
    .set(
        "RIVERHEAD_HTTP__STALL_TIMEOUT",
        &format!("{}ms", STALL_TIMEOUT.as_millis()),
    )
    .start()
    .expect("a gateway")
}

fn until(gateway: &Gateway, metric: &str, value: f64) {
    let within = Duration::from_secs(20);
    eventually(within, metric, || {
        gateway.metric(metric).is_ok_and(|now| now == value)
    });
}

#[test]
#[ignore = "needs root and network namespaces: ./tests/run"]
fn a_half_open_peer_gives_its_slot_back() {
    let elsewhere = Elsewhere::new(1);
    let gateway = gateway(&elsewhere);
    let _reader = elsewhere.curl(&format!("http://{}/v2/stream/stream", gateway.http));
    until(&gateway, ADMITTED, 1.0);
    elsewhere.vanish();
    let start = Instant::now();
    until(&gateway, ADMITTED, 0.0);
    // TCP_USER_TIMEOUT counts from the first unacknowledged heartbeat. The retransmission that notices it is
    // late by at most its own backoff.
    let due = HEARTBEAT + (STALL_TIMEOUT + HEARTBEAT);
    assert!(start.elapsed() < due + STALL_TIMEOUT, "{:?}", start.elapsed());
    let text = gateway.admin("/metrics").expect("metrics");
    let vanished = "riverhead_streams_ended_total{stream=\"stream\",reason=\"vanished\"} 1\n";
    assert!(text.contains(vanished), "{text}");
}

#[test]
#[ignore = "needs root and network namespaces: ./tests/run"]
fn a_network_that_comes_back_in_time_costs_nobody_a_stream() {
    let elsewhere = Elsewhere::new(2);
    let gateway = gateway(&elsewhere);
    let _reader = elsewhere.curl(&format!("http://{}/v2/stream/stream", gateway.http));
    until(&gateway, ADMITTED, 1.0);
    elsewhere.vanish();
    std::thread::sleep(STALL_TIMEOUT / 2);
    elsewhere.come_back();
    std::thread::sleep(2 * STALL_TIMEOUT);
    assert_eq!(gateway.metric(ADMITTED).expect("metrics"), 1.0);
}
