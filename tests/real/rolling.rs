//! What is planned makes nothing failing: brokers that restart one after the other, and elections.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use riverhead_brokers::{NewTopic, shared};
use riverhead_loadtest::gateway::Gateway;
use serde_json::Value;

use crate::{
    following::{plan, start},
    healthz::{health, until_state},
};

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_rolling_restart_and_clean_elections_under_load_make_nothing_failing_at_any_time() {
    let brokers = shared();
    let replicas: &[&[i32]] = &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]];
    brokers.create(&NewTopic::with_replicas(TOPIC, replicas));
    let gateway = start(&plan(&brokers, &[TOPIC]));
    until_state(&gateway, "ok");
    let flow = brokers.producer(TOPIC).rate(200.0).start().run();
    let over = Arc::new(AtomicBool::new(false));
    let seen = thread::scope(|scope| {
        let watch = scope.spawn(|| watch(&gateway, &over));
        for broker in [1, 2, 3] {
            brokers.restart(broker);
        }
        for partition in 0..3 {
            brokers.elect_preferred_leader(TOPIC, partition);
        }
        until_state(&gateway, "ok");
        over.store(true, Ordering::Relaxed);
        watch.join().expect("the watch")
    });
    flow.finish();
    assert!(seen.leaders.len() > 1, "nothing was elected: {:?}", seen.leaders);
    assert_eq!(seen.faults, Vec::<String>::new());
}

/// What was seen at any time.
#[derive(Default)]
struct Seen {
    /// All that was failing.
    faults: Vec<String>,
    /// Who led the first partition.
    leaders: BTreeSet<i64>,
}

impl Seen {
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

/// Looks all the time, so that what lasts for a moment is seen too: an alert waits for longer than that.
fn watch(gateway: &Gateway, over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !over.load(Ordering::Relaxed) {
        seen.look(&health(gateway));
        thread::sleep(Duration::from_millis(100));
    }
    seen
}

const TOPIC: &str = "rolling";
