//! The composition root: builds the leaves, the logs, Kafka and HTTP, and stops them in order.
//!
//! It is the only module that sees every part. Ports are bound before anything runs, and nothing waits for Kafka.

#[cfg(feature = "kafka")]
mod allocator;
#[cfg(feature = "kafka")]
mod auth;
#[cfg(feature = "kafka")]
mod cluster_switch;
#[cfg(feature = "kafka")]
mod clusters;
#[cfg(feature = "kafka")]
mod config_history;
#[cfg(feature = "kafka")]
mod core_dumps;
#[cfg(feature = "kafka")]
mod demo;
#[cfg(feature = "kafka")]
mod descriptors;
#[cfg(feature = "kafka")]
mod former_topics;
#[cfg(feature = "kafka")]
mod gateway;
#[cfg(feature = "kafka")]
mod handover;
#[cfg(feature = "kafka")]
mod health;
#[cfg(feature = "kafka")]
mod lifecycle;
#[cfg(feature = "kafka")]
mod passed_keys;
#[cfg(feature = "kafka")]
mod reload;
#[cfg(feature = "kafka")]
mod reload_scope;
#[cfg(feature = "kafka")]
mod scrape;
#[cfg(feature = "kafka")]
mod signals;
#[cfg(feature = "kafka")]
mod started;
#[cfg(feature = "kafka")]
mod stream_config;
pub(crate) mod stream_document;
#[cfg(feature = "kafka")]
mod streams;
#[cfg(feature = "kafka")]
mod ticket_message;
#[cfg(feature = "kafka")]
mod tls;
#[cfg(feature = "kafka")]
mod transforms;

use std::{io, net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

#[cfg(feature = "kafka")]
use crate::demo::{Demo, DemoCertificate, DemoCredentials, DemoError};
use crate::{
    auth::AuthFaults,
    config::{Config, ConfigErrors, Warning},
    filter::FilterError,
    tls::TlsFaults,
};

/// Reads the configuration again from its source.
pub type ConfigLoader = Arc<dyn Fn() -> Result<(Config, Vec<Warning>), ConfigErrors> + Send + Sync>;

/// Why riverhead did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This build lacks the requested part.
    #[error("this build has no support for {0}; build riverhead with its default features")]
    NotBuiltIn(&'static str),
    /// A port cannot be bound.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    /// A descriptor that systemd, or another parent process, passes on is no listening socket.
    #[error(
        "descriptor {} (number {} of LISTEN_FDS) cannot be served: {why}; it must be a listening TCP socket; \
         in a socket unit of systemd, the first ListenStream= is the public listener, and the one with the \
         name https is the public listener with TLS",
        index + 3,
        index + 1
    )]
    Inherited {
        /// The index among the inherited descriptors, from 0.
        index: usize,
        /// What is wrong with it.
        why: io::Error,
    },
    /// Certificates or keys cannot be served.
    #[error("the certificates cannot be used:\n{0}")]
    Tls(#[from] TlsFaults),
    /// The files of authentication cannot be used.
    #[error("the files of authentication cannot be used:\n{0}")]
    Auth(#[from] AuthFaults),
    /// The rules of a stream for its records cannot be compiled. Nothing is read without them.
    #[error("the rules of stream `{0}` for its records cannot be used: {1}")]
    Rules(String, FilterError),
    /// Kafka does not answer a successor, which must not take over then.
    #[error("no answer from Kafka within {0:?}; this process ends, and its predecessor continues to serve")]
    Unanswered(Duration),
    /// More streams were configured than this process may have file descriptors for.
    #[error(
        "limits.streams_total = {wanted} needs one file descriptor per stream, and {others} more are needed \
         for other purposes, but this process may have only {available}; raise its hard limit \
         (LimitNOFILE=, ulimit -n), or lower streams_total"
    )]
    Descriptors {
        /// The configured number of streams.
        wanted: NonZeroU32,
        /// Descriptors for everything else.
        others: u64,
        /// Descriptors that the operating system grants.
        available: u64,
    },
    /// The operating system refuses threads, signals or sockets.
    #[error(transparent)]
    System(#[from] io::Error),
    /// A cluster cannot be connected at all.
    #[cfg(feature = "kafka")]
    #[error(transparent)]
    Kafka(#[from] crate::kafka::ConnectError),
    /// The demo's brokers cannot be started.
    #[cfg(feature = "kafka")]
    #[error(transparent)]
    Demo(#[from] crate::demo::DemoError),
}

/// The options of `riverhead demo`.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// The configuration of the environment. Clusters and streams are the demo's own.
    pub config: Config,
    /// Events a second, all partitions together.
    pub rate: NonZeroU32,
    /// Where to serve them over TLS, with a certificate of the demo's own.
    pub tls: Option<SocketAddr>,
    /// Whether to add a stream that needs a credential, with credentials of the demo's own.
    pub auth: bool,
}

/// Serves `config` until a signal ends the process, or a successor has taken over. On SIGHUP it calls `load_config`. Takes
/// listening sockets that systemd or a predecessor passes on. Must be called before there is any other thread that reads the
/// environment (the thread of the log does not).
///
/// # Errors
/// [`StartError`] if it does not start.
#[cfg(feature = "kafka")]
pub fn serve(config: Config, load_config: ConfigLoader) -> Result<(), StartError> {
    allocator::start();
    gateway::run(
        config,
        Some(load_config),
        crate::kafka::BrokerProfile::Real,
        |_| {},
    )
}

/// Serves invented events from brokers in this process until a signal ends it.
///
/// # Errors
/// [`StartError`] if it does not start.
#[cfg(feature = "kafka")]
pub fn demo(options: DemoOptions) -> Result<(), StartError> {
    allocator::start();
    // Dropped after the last client of its brokers.
    let demo = match options.auth {
        true => Demo::with_private_stream(options.rate)?,
        false => Demo::start(options.rate)?,
    };
    // Their files are deleted when they are dropped.
    let certificate = options.tls.map(|_| DemoCertificate::create()).transpose();
    let certificate = certificate.map_err(DemoError::from)?;
    let credentials = options.auth.then(DemoCredentials::create).transpose();
    let credentials = credentials.map_err(DemoError::from)?;
    let mut config = demo::config(options.config, demo.bootstrap(), credentials.as_ref());
    if let (Some(listen), Some(certificate)) = (options.tls, &certificate) {
        config.http.tls = Some(demo::tls(listen, certificate));
    }
    gateway::run(config, None, crate::kafka::BrokerProfile::Embedded, |addresses| {
        for line in demo::lines_to_try(addresses, certificate.as_ref(), credentials.as_ref()) {
            gateway::print_line(&line);
        }
    })
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
