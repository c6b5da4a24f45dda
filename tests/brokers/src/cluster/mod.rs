//! A cluster: its nodes, the proxies in front of them, and what can be done to each.

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

/// A Kafka cluster on loopback; dropping it kills every node and removes its data.
///
/// Every broker has three listeners: one for clients and one for the other nodes, both advertised through
/// proxies, and a direct one for this kit, so that neither its questions nor its [`Producer`](crate::Producer)
/// suffer from faults or show up in the counts.
#[derive(Debug)]
pub struct Cluster {
    // Nodes go before the directory they write to.
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
    /// In front of the controller, for this broker alone; none in a node that is the controller itself.
    controller: Option<Proxy>,
    direct: SocketAddr,
}

impl Cluster {
    /// Three brokers and a controller, running.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A cluster of another shape.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// The cluster's id, as Kafka's metadata tells it.
    pub fn id(&self) -> &str {
        self.identity.as_str()
    }

    /// The ids of the brokers, running or not: 1 and up.
    pub fn broker_ids(&self) -> Vec<i32> {
        self.brokers.keys().copied().collect()
    }

    /// `bootstrap.servers` for clients under test: every broker, through its proxy.
    pub fn bootstrap(&self) -> String {
        self.bootstrap_list().join(",")
    }

    /// Like [`Cluster::bootstrap`], behind an address that refuses connections. Prefer it: production has
    /// such a list sooner or later, and a client that only works with the first entry should not pass.
    pub fn bootstrap_with_dead_first(&self) -> String {
        let mut list = vec![self.dead.address().to_string()];
        list.extend(self.bootstrap_list());
        list.join(",")
    }

    /// The proxied client addresses, in the order of the broker ids.
    pub fn bootstrap_list(&self) -> Vec<String> {
        self.brokers
            .values()
            .map(|broker| broker.client.address().to_string())
            .collect()
    }

    /// An address of this cluster that no broker has any more.
    pub fn dead_address(&self) -> SocketAddr {
        self.dead.address()
    }

    /// `bootstrap.servers` without proxies, for loads and checks that no fault shall touch.
    pub fn direct_bootstrap(&self) -> String {
        join(self.brokers.values())
    }

    /// Like [`Cluster::direct_bootstrap`], of these brokers alone.
    pub(crate) fn direct_bootstrap_of(&self, brokers: &[i32]) -> String {
        join(brokers.iter().map(|broker| self.broker(*broker)))
    }

    /// The fault injector between clients and a broker.
    pub fn proxy(&self, broker: i32) -> &Proxy {
        &self.broker(broker).client
    }

    /// The fault injector between the other brokers and a broker: stalled, its followers fall behind.
    pub fn inter_broker_proxy(&self, broker: i32) -> &Proxy {
        &self.broker(broker).inter_broker
    }

    /// The fault injector between a broker and the controller. With this and [`Cluster::inter_broker_proxy`]
    /// stalled the broker is fenced and does not know: split brain.
    ///
    /// # Panics
    ///
    /// For the broker that is its own controller, in a combined cluster.
    pub fn controller_proxy(&self, broker: i32) -> &Proxy {
        self.broker(broker)
            .controller
            .as_ref()
            .expect("a broker apart from the controller")
    }

    /// What clients have moved and opened, over all brokers.
    pub fn client_counts(&self) -> Counts {
        self.brokers.values().map(|broker| broker.client.counts()).sum()
    }

    /// Starts a node that is down and returns at once.
    pub fn spawn(&self, node: i32) {
        self.node(node).spawn();
        self.clients.forget();
    }

    /// Starts a broker that is down and waits until the others list it.
    pub fn start_broker(&self, broker: i32) {
        self.spawn(broker);
        self.wait_for_broker(broker);
    }

    /// Ends a node in order (SIGTERM): a broker hands over its leaderships first.
    pub fn stop(&self, node: i32) {
        self.node(node).stop();
        self.clients.forget();
    }

    /// Ends a node at once (SIGKILL).
    pub fn kill(&self, node: i32) {
        self.node(node).kill();
        self.clients.forget();
    }

    /// Stops a node's clock (SIGSTOP): its connections stay open and mute.
    pub fn freeze(&self, node: i32) {
        self.node(node).freeze();
        self.clients.forget();
    }

    /// Lets a frozen node go on (SIGCONT).
    pub fn thaw(&self, node: i32) {
        self.node(node).thaw();
        self.clients.forget();
    }

    /// [`Cluster::stop`], then [`Cluster::start_broker`].
    pub fn restart(&self, broker: i32) {
        self.stop(broker);
        self.start_broker(broker);
    }

    /// From the first process to all brokers in service.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// The resident memory of all nodes, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.nodes.values().map(Node::resident_bytes).sum()
    }

    /// The end of every node's log, for a person to read.
    pub fn log_tails(&self) -> String {
        self.workplace.tails()
    }

    /// The Java admin client, started when first wanted.
    pub(crate) fn with_java<T>(&self, ask: impl FnOnce(&mut JavaAdmin) -> T) -> T {
        let mut java = self.java.lock().unwrap_or_else(PoisonError::into_inner);
        ask(java.get_or_insert_with(|| JavaAdmin::start(&self.direct_bootstrap(), self.workplace.path())))
    }

    /// Where its nodes keep what they write.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.workplace.path()
    }

    /// Where producers take numbers that no other record of this cluster has.
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
    #[allow(clippy::print_stderr, reason = "printed so that the test harness shows it with the failure")]
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

/// For a broker to register or a partition to change: ten times the usual, for a busy machine.
pub(crate) const CHANGE: Duration = Duration::from_secs(30);
