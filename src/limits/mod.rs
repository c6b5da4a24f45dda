//! Who may have how much.
//!
//! Counted for the whole process, whatever its threads, and decided in constant time before anything of a request is read
//! but its streams' names. Not here: who is asking (`client`), and what a refusal looks like (`http`).

mod census;
mod connections;
mod guesses;
mod holder;
mod lines;
mod lobby;
mod networks;
mod offenders;
mod policy;
mod rate;
mod refusal;
mod report;
mod sample;
pub mod settings;
mod tarpit;
mod totals;

pub use connections::Permit;
pub use guesses::{Guesses, TooManyGuesses};
pub use holder::{Leave, OpenStream};
pub use lines::ClientLines;
pub use lobby::{Lobby, Place};
pub use policy::Policy;
pub use rate::{Limited, Rate, RateLayer};
pub use refusal::Refusal;
pub use report::{Holding, Offender, Report};
pub use totals::{Names, Wish};

use std::{
    convert::Infallible,
    sync::{Arc, Weak},
    time::Duration,
};

use connections::Connections;
use offenders::Offenders;
use parking_lot::RwLock;
use sample::Sample;
use settings::Settings;
use tarpit::Tarpit;

use crate::{
    client::{ClientKey, Unforwarded},
    metrics::LimitMetrics,
};

/// All limits of this process.
#[derive(Debug)]
pub struct Admission {
    /// How many connections have no stream.
    pub lobby: Lobby,
    /// The same for the admin listener, which has a few of its own.
    pub admin_lobby: Lobby,
    /// Who sends commands with wrong tokens.
    pub guesses: Guesses,
    /// How often clients ask.
    pub rate: Rate,
    /// What is counted here.
    pub metrics: LimitMetrics,
    /// Which log lines about clients are written.
    pub client_lines: Arc<ClientLines>,
    policy: RwLock<Arc<Policy>>,
    connections: Connections,
    offenders: Offenders,
    tarpit: Tarpit,
    unforwarded_lines: Sample,
    refusal_lines: Sample,
}

impl Admission {
    /// Nobody has anything yet.
    pub fn new(settings: &Settings, metrics: LimitMetrics) -> Self {
        Self {
            lobby: Lobby::new(settings, metrics.clone()),
            admin_lobby: Lobby::of_admin(metrics.clone()),
            guesses: Guesses::new(),
            rate: Rate::new(settings),
            metrics: metrics.clone(),
            client_lines: Arc::default(),
            policy: RwLock::new(Arc::new(Policy::new(settings))),
            connections: Connections::new(metrics),
            offenders: Offenders::default(),
            tarpit: Tarpit::new(),
            unforwarded_lines: Sample::new(),
            refusal_lines: Sample::new(),
        }
    }

    /// What is in force.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read())
    }

    /// Takes new limits for whoever asks from now on. No open stream is touched, also when there are more than may be.
    pub fn reload(&self, settings: &Settings) {
        *self.policy.write() = Arc::new(Policy::new(settings));
        self.rate.reload(settings);
        self.lobby.reload(settings);
    }

    /// Lets one more stream be open, for as long as the permit is kept. `stream` is asked whether its client is still there
    /// when another of the same client is refused, and told to go when its place is given away.
    ///
    /// # Errors
    /// When there is no room: see [`Refusal`].
    pub fn admit(&self, wish: &Wish, stream: &Weak<dyn OpenStream>) -> Result<Permit, Refusal> {
        self.connections.admit(&self.policy(), wish, stream)
    }

    /// Notes that `client` was refused, and returns when it may be told so: at once, or later when it is refused again and
    /// again.
    pub async fn refused(&self, client: ClientKey, refusal: Refusal) {
        self.metrics.refused(refusal.name());
        self.offenders.note(client, refusal);
        self.log_refusal(client, refusal.name());
        self.tarpit.hold(client, || self.metrics.held_back()).await;
    }

    /// Notes a request of which a trusted proxy did not say for whom it is.
    pub fn unforwarded(&self, request: &Unforwarded) {
        self.metrics.unforwarded();
        if let Some(left_out) = self.unforwarded_lines.take() {
            let Unforwarded { client, why, named } = request;
            // The nearest hops: those that proxies wrote.
            let named = &named.0[..named.0.len().min(NAMED)];
            tracing::warn!(%client, reason = %why, ?named, left_out, "a trusted proxy does not say for whom it asks");
        }
    }

    /// Writes one line a second, of those that the client may cause: thousands of clients may be refused in a second.
    fn log_refusal(&self, client: ClientKey, reason: &'static str) {
        let Some(left_out) = self.client_lines.take(client) else {
            return;
        };
        match self.refusal_lines.take() {
            Some(of_all) => tracing::info!(%client, reason, left_out, left_out_of_others = of_all, "refused"),
            None => self.client_lines.give_back(client, left_out),
        }
    }

    /// Who has what, and who is refused. Looks at every client that has a stream.
    pub fn report(&self) -> Report {
        Report {
            streams: self.connections.open(),
            streams_total: self.policy().total(),
            clients: self.connections.clients(),
            by_streams: self.connections.top(report::SHOWN),
            by_refusals: self.offenders.top(report::SHOWN),
        }
    }

    /// Forgets, now and then, those who have not asked for a while.
    pub async fn forget_idle(&self) -> Infallible {
        loop {
            tokio::time::sleep(FORGET).await;
            self.rate.forget_idle();
            self.tarpit.forget_idle();
            self.offenders.forget_idle();
            self.guesses.forget_idle();
            for (client, left_out) in self.client_lines.forget_idle() {
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
