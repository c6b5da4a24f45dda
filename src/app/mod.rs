//! The composition root: builds the leaves, the logs, Kafka and HTTP, and stops them in order.
//!
//! The only place that sees every part. Ports are bound before anything runs, and nothing waits for Kafka.

#[cfg(feature = "kafka")]
mod clusters;
#[cfg(feature = "kafka")]
mod gateway;
#[cfg(feature = "kafka")]
mod health;
#[cfg(feature = "kafka")]
mod logs;
#[cfg(feature = "kafka")]
mod reload;
#[cfg(feature = "kafka")]
mod signals;

use std::{io, net::SocketAddr, num::NonZeroU32, sync::Arc};

use crate::config::{Config, Faults, Sections, Warning};

/// Reads the configuration again from where it came from.
pub type Reread = Arc<dyn Fn() -> Result<(Config, Vec<Warning>), Faults> + Send + Sync>;

/// Why riverhead did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Built without the part that was asked for.
    #[error("this build has no {0}")]
    NotBuiltIn(&'static str),
    /// A port cannot be had.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    /// The operating system refuses threads, signals or sockets.
    #[error(transparent)]
    System(#[from] io::Error),
    /// A cluster cannot even be tried.
    #[cfg(feature = "kafka")]
    #[error(transparent)]
    Kafka(#[from] crate::kafka::ConnectError),
    /// There are no brokers for the demo.
    #[cfg(feature = "kafka")]
    #[error(transparent)]
    Demo(#[from] crate::demo::DemoError),
}

/// What `riverhead demo` was told, over the sections of the environment.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// All but clusters and streams, which the demo brings itself.
    pub sections: Sections,
    /// Events a second, all partitions together.
    pub rate: NonZeroU32,
}

/// Serves `config` until it is told to stop; SIGHUP makes it `reread`.
///
/// # Errors
/// When it does not come up.
#[cfg(feature = "kafka")]
pub fn serve(config: Config, reread: Reread) -> Result<(), StartError> {
    gateway::run(config, Some(reread), crate::kafka::Profile::Real, |_, _| {})
}

/// Serves invented events from brokers in this process until it is told to stop.
///
/// # Errors
/// When it does not come up.
#[cfg(feature = "kafka")]
pub fn demo(options: DemoOptions) -> Result<(), StartError> {
    // Dropped behind the last client of its brokers.
    let demo = crate::demo::Demo::start(options.rate)?;
    let config = gateway::demo_config(options.sections, demo.bootstrap());
    gateway::run(config, None, crate::kafka::Profile::Embedded, |public, admin| {
        for line in crate::demo::lines_to_try(public, admin) {
            gateway::say(&line);
        }
    })
}

/// Serves nothing: this build can only check configurations.
///
/// # Errors
/// Always.
#[cfg(not(feature = "kafka"))]
pub fn serve(_config: Config, _reread: Reread) -> Result<(), StartError> {
    Err(StartError::NotBuiltIn("Kafka"))
}

/// Shows nothing: this build can only check configurations.
///
/// # Errors
/// Always.
#[cfg(not(feature = "kafka"))]
pub fn demo(_options: DemoOptions) -> Result<(), StartError> {
    Err(StartError::NotBuiltIn("Kafka"))
}
