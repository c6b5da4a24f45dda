//! Who may have how much.
//!
//! Counted for the whole process, whatever its threads, and decided in constant time before anything of a request is read
//! but its streams' names. Not here: who is asking (`client`), and what a refusal looks like (`http`).

mod connections;
mod lobby;
mod rate;
mod refusal;
mod sample;
pub mod settings;
mod tarpit;

pub use connections::{Connections, Permit};
pub use lobby::{Lobby, Place};
pub use rate::{ByClient, Rate, RateLayer};
pub use refusal::Refusal;

use std::{convert::Infallible, time::Duration};

use sample::Sample;
use settings::Settings;
use tarpit::Tarpit;

use crate::{client::ClientKey, metrics::LimitMetrics};

/// All limits of this process.
#[derive(Debug)]
pub struct Admission {
    /// How many streams are open.
    pub connections: Connections,
    /// How many connections have no stream.
    pub lobby: Lobby,
    /// How often clients ask.
    pub rate: Rate,
    /// What is counted of both.
    pub metrics: LimitMetrics,
    tarpit: Tarpit,
    lines: Sample,
}

impl Admission {
    /// Nobody has anything yet.
    pub fn new(settings: &Settings, metrics: LimitMetrics) -> Self {
        Self {
            connections: Connections::new(settings, metrics.clone()),
            lobby: Lobby::new(settings, metrics.clone()),
            rate: Rate::new(settings),
            metrics,
            tarpit: Tarpit::new(),
            lines: Sample::new(),
        }
    }

    /// Notes that `client` was refused, and returns when it may be told so: at once, or later when it is refused again and
    /// again.
    pub async fn refused(&self, client: ClientKey, refusal: Refusal) {
        self.metrics.refused(refusal.name());
        if let Some(left_out) = self.lines.take() {
            tracing::info!(%client, reason = refusal.name(), left_out, "refused");
        }
        self.tarpit.hold(client, || self.metrics.held_back()).await;
    }

    /// Forgets, now and then, those who have not asked for a while.
    pub async fn forget_idle(&self) -> Infallible {
        loop {
            tokio::time::sleep(FORGET).await;
            self.rate.forget_idle();
            self.tarpit.forget_idle();
        }
    }
}

/// How often those who have not asked are forgotten: what a flood of addresses leaves behind stays for no longer. It looks
/// at every address, which for a million takes some ten milliseconds.
const FORGET: Duration = Duration::from_secs(10);
