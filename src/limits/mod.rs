//! Who may have how much.
//!
//! Counted for the whole process, whatever its threads, and decided in constant time before anything of a request is read
//! but its streams' names. Not here: who is asking (`client`), and what a refusal looks like (`http`).

mod auth_throttle;
mod client_log;
mod client_streams;
mod eviction;
mod idle;
mod log_sampler;
mod networks;
mod open_streams;
mod policy;
mod quotas;
mod rate;
mod refusal;
mod report;
pub mod settings;
mod tarpit;
mod top_refused;

pub use auth_throttle::{AuthThrottle, TooManyAttempts};
pub use client_log::ClientLogLimiter;
pub use client_streams::{EvictReason, Evictable};
pub use idle::{IdleConnections, IdleGuard};
pub use open_streams::Permit;
pub use policy::Policy;
pub use quotas::{StreamNames, StreamRequest};
pub use rate::{RateLimitLayer, RateLimited, RateLimiter};
pub use refusal::Refusal;
pub use report::{ClientUsage, LimitsReport, RefusedClient};

use std::{
    convert::Infallible,
    sync::{Arc, Weak},
    time::Duration,
};

use log_sampler::LogSampler;
use open_streams::OpenStreams;
use parking_lot::RwLock;
use settings::LimitSettings;
use tarpit::Tarpit;
use top_refused::TopRefused;

use crate::{
    client::{ClientKey, UnidentifiedClient},
    metrics::LimitMetrics,
};

/// All limits of this process.
#[derive(Debug)]
pub struct Admission {
    /// How many connections have no stream.
    pub idle: IdleConnections,
    /// The same for the admin listener, which has a few of its own.
    pub admin_idle: IdleConnections,
    /// Who sends commands with wrong tokens.
    pub auth_throttle: AuthThrottle,
    /// How often clients ask.
    pub rate: RateLimiter,
    /// What is counted here.
    pub metrics: LimitMetrics,
    /// Which log lines about clients are written.
    pub client_log: Arc<ClientLogLimiter>,
    policy: RwLock<Arc<Policy>>,
    open_streams: OpenStreams,
    top_refused: TopRefused,
    tarpit: Tarpit,
    unforwarded_sampler: LogSampler,
    refusal_sampler: LogSampler,
}

impl Admission {
    /// Nobody has anything yet.
    pub fn new(settings: &LimitSettings, metrics: LimitMetrics) -> Self {
        Self {
            idle: IdleConnections::new(settings, metrics.clone()),
            admin_idle: IdleConnections::for_admin(metrics.clone()),
            auth_throttle: AuthThrottle::new(),
            rate: RateLimiter::new(settings),
            metrics: metrics.clone(),
            client_log: Arc::default(),
            policy: RwLock::new(Arc::new(Policy::new(settings))),
            open_streams: OpenStreams::new(metrics),
            top_refused: TopRefused::default(),
            tarpit: Tarpit::new(),
            unforwarded_sampler: LogSampler::new(),
            refusal_sampler: LogSampler::new(),
        }
    }

    /// What is in force.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read())
    }

    /// Takes new limits for whoever asks from now on. No open stream is touched, also when there are more than may be.
    pub fn reload(&self, settings: &LimitSettings) {
        *self.policy.write() = Arc::new(Policy::new(settings));
        self.rate.reload(settings);
        self.idle.reload(settings);
    }

    /// Lets one more stream be open, for as long as the permit is kept. `stream` is asked whether its client is still there
    /// when another of the same client is refused, and told to go when its place is given away.
    ///
    /// # Errors
    /// When there is no room: see [`Refusal`].
    pub fn admit(&self, request: &StreamRequest, stream: &Weak<dyn Evictable>) -> Result<Permit, Refusal> {
        self.open_streams.admit(&self.policy(), request, stream)
    }

    /// Notes that `client` was refused, and returns when it may be told so: at once, or later when it is refused again and
    /// again.
    pub async fn delay_refusal(&self, client: ClientKey, refusal: Refusal) {
        self.metrics.refused(refusal.name());
        self.top_refused.record(client, refusal);
        self.log_refusal(client, refusal.name());
        self.tarpit.hold(client, || self.metrics.held_back()).await;
    }

    /// Notes a request of which a trusted proxy did not say for whom it is.
    pub fn record_unidentified(&self, request: &UnidentifiedClient) {
        self.metrics.unforwarded();
        if let Some(left_out) = self.unforwarded_sampler.take() {
            let UnidentifiedClient {
                client,
                why,
                candidates,
            } = request;
            // The nearest hops: those that proxies wrote.
            let named = &candidates.0[..candidates.0.len().min(NAMED)];
            tracing::warn!(%client, reason = %why, ?named, left_out, "a trusted proxy does not say for whom it asks");
        }
    }

    /// Writes one line a second, of those that the client may cause: thousands of clients may be refused in a second.
    fn log_refusal(&self, client: ClientKey, reason: &'static str) {
        let Some(left_out) = self.client_log.take(client) else {
            return;
        };
        match self.refusal_sampler.take() {
            Some(of_all) => tracing::info!(%client, reason, left_out, left_out_of_others = of_all, "refused"),
            None => self.client_log.give_back(client, left_out),
        }
    }

    /// Who has what, and who is refused. Looks at every client that has a stream.
    pub fn report(&self) -> LimitsReport {
        LimitsReport {
            streams: self.open_streams.open(),
            streams_total: self.policy().total(),
            clients: self.open_streams.clients(),
            by_streams: self.open_streams.top(report::SHOWN),
            by_refusals: self.top_refused.top(report::SHOWN),
        }
    }

    /// Forgets, now and then, those who have not asked for a while.
    pub async fn forget_idle(&self) -> Infallible {
        loop {
            tokio::time::sleep(FORGET).await;
            self.rate.forget_idle();
            self.tarpit.forget_idle();
            self.top_refused.forget_idle();
            self.auth_throttle.forget_idle();
            for (client, left_out) in self.client_log.forget_idle() {
                tracing::info!(%client, left_out, "log lines about this client were left out");
            }
        }
    }
}

/// How many of the addresses that a request names are logged.
const NAMED: usize = 4;

/// How often those who have not asked are forgotten: what a flood of addresses leaves behind stays for no longer. It looks
/// at every address, which for a million takes some ten milliseconds.
const FORGET: Duration = Duration::from_secs(10);
