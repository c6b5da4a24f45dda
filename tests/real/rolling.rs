//! Planned work makes nothing failing and no alert fire: brokers that restart one after the other, and
//! elections.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use riverhead_brokers::{NewTopic, shared, spawn};
use riverhead_loadtest::gateway::Gateway;
use serde_json::Value;

use crate::{
    following::{RIVERHEAD, STREAM, plan, start},
    healthz::{health, until_state},
    prometheus::{ALWAYS, Prometheus},
};

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_rolling_restart_and_clean_elections_under_load_make_nothing_failing_and_no_alert_fire() {
    let brokers = shared();
    let replicas: &[&[i32]] = &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]];
    brokers.create(&NewTopic::with_replicas(TOPIC, replicas));
    let gateway = start(&plan(&brokers, &[TOPIC]));
    until_state(&gateway, "ok");
    let flow = brokers.producer(TOPIC).rate(200.0).start().run();
    let probe = WatchProbe::start(&gateway);
    let prometheus = Prometheus::start(&gateway, &probe.address, PERSISTENT, &[A_BROKER_IS_DOWN]);
    let (over, looking) = channel();
    let gateway = &gateway;
    let seen = thread::scope(|scope| {
        let watch = scope.spawn(move || watch(gateway, &looking));
        for broker in [1, 2, 3] {
            brokers.restart(broker);
        }
        for partition in 0..3 {
            brokers.elect_preferred_leader(TOPIC, partition);
        }
        until_state(gateway, "ok");
        drop(over);
        watch.join().expect("the watch")
    });
    flow.finish();
    assert!(seen.leaders.len() > 1, "nothing was elected: {:?}", seen.leaders);
    assert_eq!(seen.faults, Vec::<String>::new());
    // A pending alert becomes firing, or does not.
    prometheus.until(&format!(
        r#"absent(ALERTS{{alertstate="pending", alertname!="{A_BROKER_IS_DOWN}"}})"#
    ));
    let (unfit, rules) = prometheus.rules();
    assert_eq!(unfit, Vec::<String>::new());
    assert!(rules > 20, "{rules} rules");
    assert_eq!(prometheus.fired(), [ALWAYS]);
}

/// `riverhead probe --watch`, which checks a gateway as a client does. Dropping it ends the process.
struct WatchProbe {
    child: Child,
    address: String,
}

impl WatchProbe {
    fn start(gateway: &Gateway) -> Self {
        let mut command = Command::new(RIVERHEAD);
        command
            .args(["probe", &format!("http://{}", gateway.http), "--stream", STREAM])
            .args([
                "--max-age",
                "10s",
                "--resume",
                "--watch",
                "1s",
                "--listen",
                "127.0.0.1:0",
            ])
            .stdout(Stdio::piped());
        let mut child = spawn(command).expect("a probe");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let said = lines.next().expect("a line").expect("text");
        let address = said.strip_prefix("listening on http://").expect("an address");
        let address = address.trim().to_owned();
        // Its output is read to the end, because it ends when its output is closed.
        thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }
}

impl Drop for WatchProbe {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What was observed at any time.
#[derive(Default)]
struct RollingResult {
    /// Everything that was failing.
    faults: Vec<String>,
    /// The leaders of the first partition.
    leaders: BTreeSet<i64>,
}

impl RollingResult {
    fn look(&mut self, health: &Value) {
        let cluster = &health["clusters"][0];
        let all = [&health["streams"], &health["clusters"], &cluster["topics"]];
        let all = all.into_iter().filter_map(Value::as_array).flatten();
        let failing = all.filter(|it| it["state"] == "failing");
        let partitions = cluster["partitions"].as_array().into_iter().flatten();
        let bad = partitions
            .filter(|it| it["state"] == "failing" || it["stalled"] == true || it["error"].is_string());
        self.faults.extend(failing.chain(bad).map(ToString::to_string));
        self.leaders.extend(cluster["partitions"][0]["leader"].as_i64());
    }
}

/// Samples ten times a second until the other end of `looking` is dropped, so that short states are seen too.
/// An alert waits for longer than that.
fn watch(gateway: &Gateway, looking: &Receiver<()>) -> RollingResult {
    let mut seen = RollingResult::default();
    while looking.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
        seen.look(&health(gateway));
    }
    seen
}

/// The `for:` of alerts here: as long as a persistent fault lasts. The shipped alerts wait longer, so that
/// they do not wake people without need.
const PERSISTENT: Duration = Duration::from_secs(10);

/// This alert says that a broker does not answer, which is true of each broker that restarts. It is worth an
/// alert only if it lasts, so it waits as shipped.
const A_BROKER_IS_DOWN: &str = "RiverheadBrokerUnreachable";

const TOPIC: &str = "rolling";
