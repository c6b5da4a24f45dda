//! Admission control: how many connections, streams and requests a client may have.
//!
//! Not here: which client a request comes from (`client`), and what a refusal looks like (`http`).
//!
//! Counts are kept for the whole process, across its threads. A decision takes constant time, and is made before anything of a
//! request is read but its stream names.

mod auth_throttle;
mod client_log;
mod client_streams;
mod eviction;
mod evictions;
mod idle;
mod log_sampler;
mod networks;
mod open_streams;
mod policy;
mod principals;
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
pub use evictions::evict_all;
pub use idle::{IdleConnections, IdleGuard, IdleWait};
pub use open_streams::Permit;
pub use policy::Policy;
pub use quotas::{RequestPrincipal, StreamNames, StreamRequest};
pub use rate::RateLimiter;
pub use refusal::Refusal;
pub use report::{ClientUsage, LimitsReport, RefusedClient};

use std::{
    convert::Infallible,
    sync::{Arc, Weak},
    time::Duration,
};

use client_streams::{ClientStreams, NumberedStream, StreamSlot};
use log_sampler::LogSampler;
use networks::Networks;
use open_streams::OpenStreams;
use parking_lot::RwLock;
use policy::{ClientClass, SITE_FACTOR};
use principals::{PrincipalQuota, PrincipalRates};
use quotas::Quotas;
use settings::{LimitSettings, NetworkLimits, PrincipalLimits};
use tarpit::Tarpit;
use top_refused::TopRefused;

use crate::{
    client::{ClientKey, UnidentifiedClient},
    metrics::LimitMetrics,
};

/// All limits of this process.
#[derive(Debug)]
pub struct Admission {
    /// The connections without a stream.
    pub idle: IdleConnections,
    /// The connections without a stream of the admin listener, which has a small limit of its own.
    pub admin_idle: IdleConnections,
    /// The clients that send commands with wrong tokens.
    pub auth_throttle: AuthThrottle,
    /// The request rates of clients.
    pub rate: RateLimiter,
    principal_rates: PrincipalRates,
    /// The counters of decisions made here.
    pub metrics: LimitMetrics,
    /// Decides which log lines about clients are written.
    pub client_log: Arc<ClientLogLimiter>,
    policy: RwLock<Arc<Policy>>,
    open_streams: Arc<OpenStreams>,
    top_refused: TopRefused,
    tarpit: Tarpit,
    unforwarded_sampler: LogSampler,
    refusal_sampler: LogSampler,
}

impl Admission {
    /// Creates the limits, with nothing counted yet.
    pub fn new(settings: &LimitSettings, metrics: LimitMetrics) -> Self {
        Self {
            idle: IdleConnections::new(settings, metrics.clone()),
            admin_idle: IdleConnections::for_admin(metrics.clone()),
            auth_throttle: AuthThrottle::new(),
            rate: RateLimiter::new(settings),
            principal_rates: PrincipalRates::default(),
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

    /// Returns the limits that are in force.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read())
    }

    /// Applies new limits to later requests. No open stream is ended, even if there are more than the new limits allow.
    pub fn reload(&self, settings: &LimitSettings) {
        *self.policy.write() = Arc::new(Policy::new(settings));
        self.rate.reload(settings);
        self.idle.reload(settings);
    }

    /// Admits one more stream, which counts until the permit is dropped. `stream` is asked whether its client is still there when
    /// another request of the same client is refused. It is told to end when its slot is given away.
    ///
    /// # Errors
    /// A [`Refusal`] if a limit is reached.
    pub fn admit(&self, request: &StreamRequest, stream: &Weak<dyn Evictable>) -> Result<Permit, Refusal> {
        self.open_streams.admit(&self.policy(), request, stream)
    }

    /// Counts a request of a principal with these limits, if it has a request rate of its own. Without a limit of streams of its own it
    /// may have as many as the clients that may have most, because it may come from any address.
    ///
    /// # Errors
    /// A [`Refusal`] if it comes too soon.
    pub fn count_request(&self, principal: ClientKey, limits: PrincipalLimits) -> Result<(), Refusal> {
        match PrincipalQuota::of(limits, self.policy().most_streams()) {
            Some(quota) => self.principal_rates.count(principal, quota),
            None => Ok(()),
        }
    }

    /// Records that `client` was refused. Returns when the refusal may be sent: at once, or later if the client is refused again
    /// and again.
    pub async fn delay_refusal(&self, client: ClientKey, refusal: Refusal) {
        self.metrics.refused(refusal.name());
        self.top_refused.record(client, refusal);
        self.log_refusal(client, refusal.name());
        self.tarpit
            .hold(client, || _ = self.metrics.held_back.inc())
            .await;
    }

    /// Records a request for which a trusted proxy did not name the client.
    pub fn record_unidentified(&self, request: &UnidentifiedClient) {
        self.metrics.unforwarded.inc();
        if let Some(left_out) = self.unforwarded_sampler.take() {
            // The nearest hops: proxies wrote those.
            let named: Vec<_> = request.candidates.0.iter().take(MAX_LOGGED_ADDRS).collect();
            tracing::warn!(
                client = %request.client,
                reason = %request.why,
                ?named,
                left_out,
                "a request of a trusted proxy does not name its client; \
                 all such requests of one proxy share the limits of one client"
            );
        }
    }

    /// Writes at most one line a second in all, within the budget of the client: thousands of clients may be refused in a second.
    fn log_refusal(&self, client: ClientKey, reason: &'static str) {
        let Some(left_out) = self.client_log.take(client) else {
            return;
        };
        match self.refusal_sampler.take() {
            Some(of_all) => tracing::info!(
                %client,
                reason,
                left_out,
                left_out_of_others = of_all,
                "a request was refused"
            ),
            None => self.client_log.give_back(client, left_out),
        }
    }

    /// Returns what each client holds, and which clients are refused most. Looks at every client that has a stream.
    pub fn report(&self) -> LimitsReport {
        LimitsReport {
            streams: self.open_streams.open(),
            streams_total: self.policy().total(),
            clients: self.open_streams.clients(),
            by_streams: self.open_streams.top(report::MAX_SHOWN),
            by_refusals: self.top_refused.top(report::MAX_SHOWN),
        }
    }

    /// Forgets clients that have been idle for a while, every ten seconds. Never returns.
    pub async fn forget_idle(&self) -> Infallible {
        loop {
            tokio::time::sleep(FORGET_INTERVAL).await;
            self.rate.forget_idle();
            self.principal_rates.forget_idle();
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
const MAX_LOGGED_ADDRS: usize = 4;

/// How often idle clients are forgotten. Entries left behind by a flood of addresses stay for no longer. Each run looks at every
/// address, which takes some ten milliseconds for a million.
const FORGET_INTERVAL: Duration = Duration::from_secs(10);
