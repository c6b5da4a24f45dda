//! A cluster: its nodes, the proxies in front of them, and what a test can do to each.

mod builder;
mod clients;
mod health;
mod node;
pub(crate) mod properties;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

pub use builder::ClusterBuilder;
pub(crate) use clients::Admin;
pub(crate) use health::ANSWER;

use crate::{
    address::DeadAddress,
    java_admin::JavaAdmin,
    proxy::{Counts, Proxy},
    workplace::WorkDir,
};
use clients::Clients;
use node::Node;
use properties::Identity;

/// A Kafka cluster on loopback. Dropping it kills every node and removes its data.
///
/// Every broker has three listeners: one for clients and one for the other nodes, both advertised through
/// proxies, and a direct one for this crate. So neither the requests of this crate nor its
/// [`Producer`](crate::Producer) suffer from faults or appear in the counts.
#[derive(Debug)]
pub struct Cluster {
    // Nodes are dropped before the directory that they write to.
    nodes: BTreeMap<i32, Node>,
    brokers: BTreeMap<i32, Broker>,
    clients: Clients,
    java: Mutex<Option<JavaAdmin>>,
    next_number: Arc<AtomicU64>,
    dead: DeadAddress,
    started_in: Duration,
    identity: Identity,
    workplace: WorkDir,
}

/// The addresses and proxies of one broker.
#[derive(Debug)]
struct Broker {
    client: Proxy,
    inter_broker: Proxy,
    /// In front of the controller, for this broker only; none in a node that is the controller itself.
    controller: Option<Proxy>,
    direct: SocketAddr,
}

impl Cluster {
    /// Starts three brokers and a controller.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Returns a builder for a cluster of another configuration.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// Returns the cluster id, as Kafka's metadata reports it.
    pub fn id(&self) -> &str {
        self.identity.as_str()
    }

    /// Returns the ids of the brokers, running or not: from 1 on.
    pub fn broker_ids(&self) -> Vec<i32> {
        self.brokers.keys().copied().collect()
    }

    /// Returns `bootstrap.servers` for clients under test: every broker, through its proxy.
    pub fn bootstrap(&self) -> String {
        self.bootstrap_list().join(",")
    }

    /// Returns the same, after an address that refuses connections. Prefer it: sooner or later every
    /// production list has such an address, and a client that works only with the first entry must not pass.
    pub fn bootstrap_with_dead_first(&self) -> String {
        let mut list = vec![self.dead.address().to_string()];
        list.extend(self.bootstrap_list());
        list.join(",")
    }

    /// Returns the proxied client addresses, in the order of the broker ids.
    pub fn bootstrap_list(&self) -> Vec<String> {
        self.brokers
            .values()
            .map(|broker| broker.client.address().to_string())
            .collect()
    }

    /// Returns an address of this cluster that no broker has any more.
    pub fn dead_address(&self) -> SocketAddr {
        self.dead.address()
    }

    /// Returns `bootstrap.servers` without proxies, for loads and checks that faults must not affect.
    pub fn direct_bootstrap(&self) -> String {
        join(self.brokers.values())
    }

    /// Returns the same for these brokers only.
    pub(crate) fn direct_bootstrap_of(&self, brokers: &[i32]) -> String {
        join(brokers.iter().map(|broker| self.broker(*broker)))
    }

    /// Returns the fault injector between clients and a broker.
    pub fn proxy(&self, broker: i32) -> &Proxy {
        &self.broker(broker).client
    }

    /// Returns the fault injector between the other brokers and a broker. While it stalls, the broker's
    /// followers fall behind.
    pub fn inter_broker_proxy(&self, broker: i32) -> &Proxy {
        &self.broker(broker).inter_broker
    }

    /// Returns the fault injector between a broker and the controller. While this and
    /// [`Cluster::inter_broker_proxy`] stall, the broker is fenced without noticing: split brain.
    ///
    /// # Panics
    ///
    /// If the broker is its own controller, in a combined cluster.
    pub fn controller_proxy(&self, broker: i32) -> &Proxy {
        self.broker(broker)
            .controller
            .as_ref()
            .expect("a broker apart from the controller")
    }

    /// Returns the bytes and connections of clients, over all brokers.
    pub fn client_counts(&self) -> Counts {
        self.brokers.values().map(|broker| broker.client.counts()).sum()
    }

    /// Starts a node that is down, and returns at once.
    pub fn spawn(&self, node: i32) {
        self.node(node).spawn();
        self.clients.forget();
    }

    /// Starts a broker that is down, and waits until the others list it.
    pub fn start_broker(&self, broker: i32) {
        self.spawn(broker);
        self.wait_for_broker(broker);
    }

    /// Stops a node in order (SIGTERM): a broker hands over its leaderships first.
    pub fn stop(&self, node: i32) {
        self.node(node).stop();
        self.clients.forget();
    }

    /// Kills a node (SIGKILL).
    pub fn kill(&self, node: i32) {
        self.node(node).kill();
        self.clients.forget();
    }

    /// Freezes a node (SIGSTOP): its connections stay open, and it does not answer.
    pub fn freeze(&self, node: i32) {
        self.node(node).freeze();
        self.clients.forget();
    }

    /// Continues a frozen node (SIGCONT).
    pub fn thaw(&self, node: i32) {
        self.node(node).thaw();
        self.clients.forget();
    }

    /// Calls [`Cluster::stop`], then [`Cluster::start_broker`].
    pub fn restart(&self, broker: i32) {
        self.stop(broker);
        self.start_broker(broker);
    }

    /// Returns the time from the first process to all brokers in service.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Returns the resident memory of all nodes, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.nodes.values().map(Node::resident_bytes).sum()
    }

    /// Returns the end of every node's log, for a person.
    pub fn log_tails(&self) -> String {
        self.workplace.tails()
    }

    /// Uses the Java admin client, which is started on first use.
    pub(crate) fn with_java<T>(&self, ask: impl FnOnce(&mut JavaAdmin) -> T) -> T {
        let mut java = self.java.lock().unwrap_or_else(PoisonError::into_inner);
        ask(java.get_or_insert_with(|| JavaAdmin::start(&self.direct_bootstrap(), self.workplace.path())))
    }

    /// Returns the directory of the nodes' files.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.workplace.path()
    }

    /// Returns the counter from which producers take numbers that are unique in this cluster.
    pub(crate) fn numbers(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.next_number)
    }

    fn node(&self, id: i32) -> &Node {
        self.nodes
            .get(&id)
            .unwrap_or_else(|| panic!("the cluster has no node {id}"))
    }

    fn broker(&self, id: i32) -> &Broker {
        self.brokers
            .get(&id)
            .unwrap_or_else(|| panic!("the cluster has no broker {id}"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tell_logs_of_a_failure();
    }
}

impl Cluster {
    /// Prints the end of every log if this thread's test is failing.
    #[allow(clippy::print_stderr, reason = "the test harness shows it with the failure")]
    pub(crate) fn tell_logs_of_a_failure(&self) {
        if std::thread::panicking() {
            eprintln!("logs of cluster {}:\n{}", self.id(), self.log_tails());
        }
    }
}

fn join<'a>(brokers: impl Iterator<Item = &'a Broker>) -> String {
    brokers
        .map(|broker| broker.direct.to_string())
        .collect::<Vec<_>>()
        .join(",")
}

/// The node id of a controller that is not a broker.
pub const CONTROLLER: i32 = 100;

/// The longest time for a broker to register or a partition to change: ten times the usual, for a busy
/// machine.
pub(crate) const CHANGE: Duration = Duration::from_secs(30);
