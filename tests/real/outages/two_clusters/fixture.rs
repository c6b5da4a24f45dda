//! A topic in two clusters, with the same records at different offsets, and a gateway that prefers the first
//! cluster.

use std::{sync::OnceLock, time::Duration};

use riverhead_brokers::{Cluster, Ledger, ProducerBuilder, Running, SharedCluster, eventually, shared};
use riverhead_loadtest::gateway::{Gateway, GatewayPlan};
use serde_json::Value;

use crate::{
    following::{STREAM, plan, start},
    healthz::{until_said, until_state},
    table::now,
};

/// Clusters `a` and `b`, and a gateway that reads them.
pub(super) struct TwoClusters {
    pub(super) gateway: Gateway,
    topic: &'static str,
    pub(super) b: Cluster,
    // Declared after the gateway, so that its lock of the cluster is released last.
    pub(super) a: SharedCluster,
}

impl TwoClusters {
    /// Starts both, with this many partitions of the topic in each.
    pub(super) fn start(topic: &'static str, partitions: [usize; 2]) -> Self {
        let (a, b) = (shared(), second());
        a.create_topic(topic, partitions[0]);
        b.create_topic(topic, partitions[1]);
        // Different offsets, and records that are older than everything in `a`.
        let mut older = b.producer(topic).numbers_from(0).timestamp(time_of).start();
        older.send(FIRST);
        assert_eq!(older.finish().len() as u64, FIRST);
        let gateway = start(&both(&a, &b, topic));
        until_state(&gateway, "ok");
        Self { gateway, topic, b, a }
    }

    /// Returns a producer to one of the clusters. A number is in the same partition of both, with the same
    /// time.
    pub(super) fn writer<'a>(&self, cluster: &'a Cluster) -> ProducerBuilder<'a> {
        let producer = cluster.producer(self.topic);
        producer.numbers_from(FIRST).timestamp(time_of)
    }

    /// Writes the same records to both clusters, until it is finished.
    pub(super) fn flow(&self) -> [Running; 2] {
        [&self.a, &self.b].map(|cluster| self.writer(cluster).rate(50.0).start().run())
    }

    /// Ends both producers. In the end, `a` has everything that `b` has.
    pub(super) fn finish([a, b]: [Running; 2]) -> Ledger {
        let b = b.finish();
        let mut a = a.stop();
        a.flush();
        a.send(b.len().saturating_sub(a.ledger().len()) as u64);
        let a = a.finish();
        assert!(a.numbers().is_superset(&b.numbers()), "the same records");
        a
    }

    /// Sends the command to read from this cluster. Returns the gateway's answer.
    pub(super) fn command(&self, cluster: &str) -> Value {
        let path = format!("/admin/clusters/{STREAM}/active");
        let order = format!(r#"{{"cluster":"{cluster}"}}"#);
        // A cluster that was just started is refused until it is known to serve.
        let answer = eventually(Duration::from_secs(30), "a command that is obeyed", || {
            let answer = self.gateway.command(&path, TOKEN, &order).expect("an answer");
            if answer.contains(" 409 ") {
                Err(answer)
            } else {
                Ok(answer)
            }
        });
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.contains(" 200 "), "{answer}");
        serde_json::from_str(body).expect("JSON")
    }

    /// Waits until `b` is read, and until `/healthz` says that this should not last, with these words too.
    pub(super) fn until_moved(&self, words: &[&str]) {
        let all = [&["read from b, which is not the first choice"], words].concat();
        until_said(&self.gateway, "/clusters/1", "degraded", &all);
        let (said, _) = until_said(&self.gateway, "/streams/0", "ok", &[]);
        assert_eq!(
            said["state"], "degraded",
            "everything is served, but it needs attention: {said}"
        );
        assert_eq!(self.moves(), 1.0);
    }

    /// Waits until `a` is healthy.
    pub(super) fn until_mended(&self) {
        until_said(&self.gateway, "/clusters/0", "ok", &[]);
    }

    /// Returns how often the gateway moved from one cluster to the other.
    pub(super) fn moves(&self) -> f64 {
        let moves = self.gateway.metric("riverhead_kafka_failovers_total");
        moves.expect("a metric")
    }
}

/// Starts a cluster beside the shared one, as small as possible.
pub(super) fn second() -> Cluster {
    Cluster::builder().brokers(2).combined().start()
}

fn both(a: &Cluster, b: &Cluster, topic: &str) -> GatewayPlan {
    let [a_list, b_list] = [a, b].map(|cluster| {
        let list = cluster.bootstrap_with_dead_first();
        let list: Vec<_> = list.split(',').map(str::to_owned).collect();
        format!("bootstrap = {list:?}, failover_after = '4s'")
    });
    let clusters = format!("[{{ name = 'a', {a_list} }}, {{ name = 'b', {b_list} }}]");
    let streams = format!("[{{ name = '{STREAM}', topics = ['{topic}'], clusters = ['a', 'b'] }}]");
    plan(a, &[topic])
        .set("RIVERHEAD__CLUSTERS", &clusters)
        .set("RIVERHEAD__STREAMS", &streams)
        .set("RIVERHEAD_ADMIN__TOKEN", TOKEN)
}

/// The first number that is in both clusters.
pub(super) const FIRST: u64 = 300;

const TOKEN: &str = "a-token-for-tests";

/// Returns a time within the last hour that is the same in both clusters. These records have their own
/// numbers, because the clock of tests that share a cluster's numbers begins elsewhere.
fn time_of(number: u64) -> i64 {
    static START: OnceLock<i64> = OnceLock::new();
    START.get_or_init(|| now() - 3_600_000) + number as i64 * 10
}
