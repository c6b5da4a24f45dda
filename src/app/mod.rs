//! The composition root: builds the leaves, the logs, Kafka and HTTP, and stops them in order.
//!
//! The only place that sees every part. Ports are bound before anything runs, and nothing waits for Kafka.

#[cfg(feature = "kafka")]
mod allocator;
#[cfg(feature = "kafka")]
mod cluster_switch;
#[cfg(feature = "kafka")]
mod clusters;
#[cfg(feature = "kafka")]
mod demo;
#[cfg(feature = "kafka")]
mod descriptors;
#[cfg(feature = "kafka")]
mod gateway;
#[cfg(feature = "kafka")]
mod handover;
#[cfg(feature = "kafka")]
mod health;
#[cfg(feature = "kafka")]
mod lifecycle;
#[cfg(feature = "kafka")]
mod log_lines;
#[cfg(feature = "kafka")]
mod logs;
#[cfg(feature = "kafka")]
mod reload;
#[cfg(feature = "kafka")]
mod signals;

use std::{io, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use crate::config::{Config, ConfigErrors, Sections, Warning};

/// Reads the configuration again from where it came from.
pub type ConfigLoader = Arc<dyn Fn() -> Result<(Config, Vec<Warning>), ConfigErrors> + Send + Sync>;

/// Why riverhead did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Built without the part that was asked for.
    #[error("this build has no {0}")]
    NotBuiltIn(&'static str),
    /// A port cannot be had.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    /// What systemd, or whoever started this process, passes on is no listening socket.
    #[error(
        "descriptor {} (LISTEN_FDS, number {}) cannot be served: {why}; it must be a TCP socket that listens: with systemd a \
         ListenStream= of a socket unit, the public one first",
        index + 3,
        index + 1
    )]
    Inherited {
        /// Which of those that were passed on, from 0.
        index: usize,
        /// What is wrong with it.
        why: io::Error,
    },
    /// A successor that Kafka does not answer must not take over.
    #[error("no answer from Kafka within {0:?}; the process before this one stays")]
    Unanswered(Duration),
    /// Somebody asked for more streams than this process may have file descriptors for.
    #[error(
        "limits.streams_total = {wanted} needs a file descriptor each, and {others} more are kept for other things; this process \
         may have {available}: raise its hard limit (LimitNOFILE=, ulimit -n), or lower streams_total"
    )]
    Descriptors {
        /// Streams.
        wanted: NonZeroU32,
        /// Descriptors for all else.
        others: u64,
        /// Descriptors that the operating system grants.
        available: u64,
    },
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

/// Serves `config` until it is told to stop, or a successor has taken over; SIGHUP makes it `load_config`. Listening sockets that
/// systemd or a predecessor passes on are taken; call it before there is any other thread that reads the environment (that of the
/// log does not).
///
/// # Errors
/// When it does not come up.
#[cfg(feature = "kafka")]
pub fn serve(config: Config, load_config: ConfigLoader) -> Result<(), StartError> {
    allocator::start();
    gateway::run(
        config,
        Some(load_config),
        crate::kafka::BrokerProfile::Real,
        |_, _| {},
    )
}

/// Serves invented events from brokers in this process until it is told to stop.
///
/// # Errors
/// When it does not come up.
#[cfg(feature = "kafka")]
pub fn demo(options: DemoOptions) -> Result<(), StartError> {
    allocator::start();
    // Dropped behind the last client of its brokers.
    let demo = crate::demo::Demo::start(options.rate)?;
    let config = demo::config(options.sections, demo.bootstrap());
    gateway::run(
        config,
        None,
        crate::kafka::BrokerProfile::Embedded,
        |public, admin| {
            for line in crate::demo::lines_to_try(public, admin) {
                gateway::print_line(&line);
            }
        },
    )
}

/// Serves nothing: this build can only check configurations.
///
/// # Errors
/// Always.
#[cfg(not(feature = "kafka"))]
pub fn serve(_config: Config, _reread: ConfigLoader) -> Result<(), StartError> {
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
