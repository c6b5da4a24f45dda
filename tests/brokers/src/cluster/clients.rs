//! The librdkafka clients of this crate.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rdkafka::{ClientConfig, admin::AdminClient, client::DefaultClientContext, consumer::BaseConsumer};

use super::{Cluster, join};

/// Clients that are kept until a node changes its state. After that their metadata is outdated, and one that
/// waits to reconnect to a dead broker answers late.
#[derive(Default)]
pub(super) struct Clients {
    consumer: Mutex<Option<Arc<BaseConsumer>>>,
    admin: Mutex<Option<Arc<Admin>>>,
}

/// The client for topic administration.
pub(crate) type Admin = AdminClient<DefaultClientContext>;

impl Clients {
    pub(super) fn forget(&self) {
        let consumer = self
            .consumer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Closing a client takes up to a second.
        thread::spawn(move || drop((consumer, admin)));
    }
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Clients").finish_non_exhaustive()
    }
}

impl Cluster {
    /// Returns a client for metadata and watermarks.
    pub(crate) fn consumer(&self) -> Arc<BaseConsumer> {
        let mut kept = self
            .clients
            .consumer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(kept.get_or_insert_with(|| Arc::new(consumer_of(&self.healthy_bootstrap()))))
    }

    pub(crate) fn admin(&self) -> Arc<Admin> {
        let mut kept = self.clients.admin.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(kept.get_or_insert_with(|| {
            Arc::new(
                config(&self.healthy_bootstrap())
                    .create()
                    .expect("an admin client"),
            )
        }))
    }

    /// Returns a new client that bootstraps from this broker only, and the broker's address.
    pub(crate) fn consumer_of_broker(&self, broker: i32) -> (BaseConsumer, String) {
        let address = self.broker(broker).direct.to_string();
        (consumer_of(&address), address)
    }

    /// Returns the direct addresses of the running brokers, or of all if none runs.
    fn healthy_bootstrap(&self) -> String {
        let running = |id: &i32| self.nodes.get(id).is_some_and(super::Node::is_running);
        let healthy = join(
            self.brokers
                .iter()
                .filter(|(id, _)| running(id))
                .map(|(_, broker)| broker),
        );
        if healthy.is_empty() {
            self.direct_bootstrap()
        } else {
            healthy
        }
    }
}

/// Without `group.id`, on purpose: with one, librdkafka looks for the group's coordinator at once, and the
/// broker then creates `__consumer_offsets`, whose absence tests assert.
fn consumer_of(bootstrap: &str) -> BaseConsumer {
    config(bootstrap).create().expect("a consumer without a group")
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("socket.timeout.ms", "5000")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "200")
        // Errors about dead brokers are expected here.
        .set("log_level", "0");
    config
}
