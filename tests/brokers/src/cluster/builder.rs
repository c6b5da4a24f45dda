//! The configuration of a cluster.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Broker, CONTROLLER, Cluster,
    clients::Clients,
    node::Node,
    properties::{self, Identity, Properties},
};
use crate::{
    address::{DeadAddress, free_address},
    home::KafkaHome,
    proxy::Proxy,
    workplace::WorkDir,
};

/// Builds a [`Cluster`].
#[derive(Clone, Debug)]
pub struct ClusterBuilder {
    brokers: usize,
    combined: bool,
    heap_mb: u32,
    spare_directory: bool,
    properties: Properties,
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self {
            brokers: 3,
            combined: false,
            heap_mb: DEFAULT_HEAP_MB,
            spare_directory: false,
            properties: Properties::new(),
        }
    }
}

impl ClusterBuilder {
    /// Sets the number of brokers; the default is 3.
    pub fn brokers(mut self, brokers: usize) -> Self {
        self.brokers = brokers;
        self
    }

    /// Makes broker 1 the controller too: one JVM less, where two clusters must fit on a machine. Then broker
    /// 1 cannot be taken down without the controller.
    pub fn combined(mut self) -> Self {
        self.combined = true;
        self
    }

    /// Sets the heap of each node, in megabytes; the default is 96.
    pub fn heap_mb(mut self, megabytes: u32) -> Self {
        self.heap_mb = megabytes;
        self
    }

    /// Gives each node a second log directory, as if on another disk: see [`Cluster::lose_directory_of`].
    pub fn spare_directory(mut self) -> Self {
        self.spare_directory = true;
        self
    }

    /// Sets a property of every node.
    pub fn property(mut self, key: &str, value: &str) -> Self {
        self.properties.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Starts the cluster and waits until every broker is in service.
    ///
    /// # Panics
    ///
    /// If Java or Maven is missing (with what to install), or the cluster does not start.
    pub fn start(self) -> Cluster {
        KafkaHome::get();
        let mut cluster = self.lay_out();
        let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        cluster.nodes.values().for_each(Node::spawn);
        cluster.wait_for_all_brokers();
        cluster.started_in = start.elapsed();
        cluster
    }

    fn lay_out(&self) -> Cluster {
        let workplace = WorkDir::create();
        let identity = Identity::random();
        let controller = free_address();
        let plans: BTreeMap<i32, Plan> = (1..)
            .take(self.brokers)
            .map(|id| (id, Plan::new(id, controller, self.combined)))
            .collect();
        let mut nodes: BTreeMap<i32, Node> = plans
            .iter()
            .map(|(id, plan)| {
                (
                    *id,
                    self.node(&identity, workplace.path(), *id, plan.properties()),
                )
            })
            .collect();
        if !self.combined {
            let properties = controller_properties(controller);
            nodes.insert(
                CONTROLLER,
                self.node(&identity, workplace.path(), CONTROLLER, properties),
            );
        }
        Cluster {
            nodes,
            brokers: plans.into_iter().map(|(id, plan)| (id, plan.broker)).collect(),
            clients: Clients::default(),
            java: Mutex::default(),
            next_number: Arc::default(),
            dead: DeadAddress::reserve(),
            started_in: Duration::ZERO,
            identity,
            workplace,
        }
    }

    fn node(&self, cluster: &Identity, directory: &Path, id: i32, own: Properties) -> Node {
        let mut properties = properties::common(self.brokers);
        properties.extend(own);
        properties.extend(self.properties.clone());
        Node::new(
            id,
            properties::write(cluster, directory, id, self.spare_directory, properties),
            self.heap_mb,
        )
    }
}

/// A broker with the addresses that only its own configuration needs.
struct Plan {
    broker: Broker,
    client: SocketAddr,
    inter_broker: SocketAddr,
    /// The address where this broker reaches the controller, and whether that is the broker itself.
    controller: SocketAddr,
    controller_id: i32,
}

impl Plan {
    fn new(id: i32, controller: SocketAddr, combined: bool) -> Self {
        let controller_id = if combined { 1 } else { CONTROLLER };
        let (client, inter_broker) = (free_address(), free_address());
        let proxy = (id != controller_id).then(|| Proxy::start(controller));
        let controller = proxy.as_ref().map_or(controller, Proxy::address);
        let broker = Broker {
            client: Proxy::start(client),
            inter_broker: Proxy::start(inter_broker),
            controller: proxy,
            direct: free_address(),
        };
        Self {
            broker,
            client,
            inter_broker,
            controller,
            controller_id,
        }
    }

    fn properties(&self) -> Properties {
        let Self {
            broker,
            client,
            inter_broker,
            controller,
            controller_id,
        } = self;
        let direct = broker.direct;
        let mut roles = "broker";
        let mut listeners = format!("PLAINTEXT://{client},INT://{inter_broker},DIRECT://{direct}");
        if broker.controller.is_none() {
            roles = "broker,controller";
            listeners += &format!(",CONTROLLER://{controller}");
        }
        let (client, inter_broker) = (broker.client.address(), broker.inter_broker.address());
        let advertised = format!("PLAINTEXT://{client},INT://{inter_broker},DIRECT://{direct}");
        properties::of(&[
            ("process.roles", roles),
            ("listeners", &listeners),
            ("advertised.listeners", &advertised),
            ("inter.broker.listener.name", "INT"),
            ("controller.listener.names", "CONTROLLER"),
            (
                "controller.quorum.voters",
                &format!("{controller_id}@{controller}"),
            ),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,INT:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            ),
        ])
    }
}

fn controller_properties(address: SocketAddr) -> Properties {
    properties::of(&[
        ("process.roles", "controller"),
        ("listeners", &format!("CONTROLLER://{address}")),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.voters", &format!("{CONTROLLER}@{address}")),
    ])
}

/// Clusters start one after the other. The JVMs of one keep two processors busy for seconds, and other tests run
/// meanwhile.
static STARTING: Mutex<()> = Mutex::new(());

/// Measured: 64 MB already carries 100,000 records/s of 700 bytes. Each node's RSS is about 150 MB.
const DEFAULT_HEAP_MB: u32 = 96;
