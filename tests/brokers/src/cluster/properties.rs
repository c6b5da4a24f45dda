//! The files that make a directory a Kafka node: `server.properties`, and `meta.properties`, which is written
//! by hand instead of by the storage tool (one more JVM per node).

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{address::random, patience::slack};

/// The properties of one node, by key.
pub(super) type Properties = BTreeMap<String, String>;

/// The identity of a cluster, in the form of Kafka's ids: 22 characters of base64url.
#[derive(Clone, Debug)]
pub(crate) struct Identity(String);

impl Identity {
    pub(crate) fn random() -> Self {
        let bytes = (u128::from(random()) << 64 | u128::from(random())).to_be_bytes();
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Writes the files of a node below `directory`, with or without a spare log directory. Returns the path of
/// its properties.
pub(super) fn write(
    cluster: &Identity,
    directory: &Path,
    node: i32,
    spare: bool,
    mut properties: Properties,
) -> PathBuf {
    let names = [format!("node-{node}"), format!("node-{node}-spare")];
    let directories = names.iter().take(1 + usize::from(spare));
    let directories: Vec<_> = directories
        .map(|name| log_directory(cluster, node, &directory.join(name)))
        .collect();
    properties.insert("node.id".to_owned(), node.to_string());
    properties.insert("log.dirs".to_owned(), directories.join(","));
    let path = directory.join(format!("node-{node}.properties"));
    fs::write(&path, render(&properties)).expect("server.properties");
    path
}

/// Makes a directory that the node accepts as its own, and returns its path.
fn log_directory(cluster: &Identity, node: i32, path: &Path) -> String {
    fs::create_dir_all(path).expect("a directory for the node");
    let meta = format!(
        "version=1\ncluster.id={}\nnode.id={node}\ndirectory.id={}\n",
        cluster.as_str(),
        Identity::random().as_str()
    );
    fs::write(path.join("meta.properties"), meta).expect("meta.properties");
    path.display().to_string()
}

/// Returns the properties of every node of a small and fast cluster that keeps little.
pub(super) fn common(brokers: usize) -> Properties {
    let replicas = brokers.min(3).to_string();
    let mut properties = of(COMMON);
    // A test may kill any broker in the middle of a transaction.
    properties.insert("transaction.state.log.replication.factor".to_owned(), replicas);
    properties.extend(of(if slack() > 1.0 { PATIENT } else { QUICK }));
    properties
}

pub(super) fn of(pairs: &[(&str, &str)]) -> Properties {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Returns the properties of one node that is controller and broker, without proxies, for a run that only
/// loads classes.
pub(crate) fn combined_for_archive(
    cluster: &Identity,
    directory: &Path,
    broker: SocketAddr,
    controller: SocketAddr,
) -> PathBuf {
    let mut properties = common(1);
    properties.extend(of(&[
        ("process.roles", "broker,controller"),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.voters", &format!("1@{controller}")),
        (
            "listeners",
            &format!("PLAINTEXT://{broker},CONTROLLER://{controller}"),
        ),
    ]));
    write(cluster, directory, 1, false, properties)
}

fn render(properties: &Properties) -> String {
    properties.iter().fold(String::new(), |mut text, (key, value)| {
        let _ = writeln!(text, "{key}={value}");
        text
    })
}

/// Small threads and buffers for small heaps, and times that let a fault show within a few seconds instead of
/// ten.
const COMMON: &[(&str, &str)] = &[
    ("num.network.threads", "1"),
    ("num.io.threads", "2"),
    ("auto.create.topics.enable", "false"),
    ("offsets.topic.replication.factor", "1"),
    ("offsets.topic.num.partitions", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("transaction.state.log.num.partitions", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("log.retention.check.interval.ms", "500"),
    ("log.initial.task.delay.ms", "500"),
    ("log.index.size.max.bytes", "1048576"),
    // The default of 128 MB does not fit the heap.
    ("log.cleaner.dedupe.buffer.size", "2097152"),
    ("log.cleaner.backoff.ms", "300"),
    // A follower that is elected uncleanly first falls back to the high watermark that it last wrote.
    ("replica.high.watermark.checkpoint.interval.ms", "500"),
    ("replica.lag.time.max.ms", "5000"),
];

/// When the controller fences a broker, which then loses its partitions, where other tests and compilers may run beside the
/// brokers. Few tests expect that.
///
/// A heartbeat fails if the controller has not begun with it after half of the interval (`ControllerApis`). At 200 ms, a
/// controller that waits for a processor for 100 ms misses it, and with a session of one second brokers were fenced when
/// two tests ran at a time on two processors.
const PATIENT: &[(&str, &str)] = &[
    ("broker.session.timeout.ms", "3000"),
    ("broker.heartbeat.interval.ms", "500"),
];

/// The same in the full form, beside which nothing runs.
const QUICK: &[(&str, &str)] = &[
    ("broker.session.timeout.ms", "1000"),
    ("broker.heartbeat.interval.ms", "200"),
];
