//! From a request to a body, and the one table from error to status.
//!
//! A request passes [`Bound`] (accept), `connection` (hyper), `front` (what all share), `router`, and `stream`, which reads
//! as its story. `delivery` decides what its client gets and when; `body` is the sink that hyper polls.
//!
//! Not here: where events come from (`subscription`), and anything of Kafka.

mod account;
mod admin;
mod body;
mod connection;
mod delivery;
mod error;
mod front;
mod io;
mod json;
mod link;
mod listener;
mod pages;
mod question;
mod router;
pub mod settings;
mod since;
mod stream;

pub use listener::Bound;

use std::{sync::Arc, time::Duration};

use connection::Limits;
use front::Front;
use ipnet::IpNet;
use settings::Settings;

use crate::{
    catalog::Catalog,
    drain::Watch,
    health::Readiness,
    limits::Admission,
    metrics::{HttpMetrics, Registry},
    subscription::Lanes,
};

/// What requests are answered from.
pub struct Gateway {
    /// Which streams there are.
    pub catalog: Arc<Catalog>,
    /// Where their events come from.
    pub lanes: Lanes,
    /// Deadlines.
    pub settings: Settings,
    /// Who may have how much.
    pub admission: Admission,
    /// Whether this replica has started.
    pub readiness: Readiness,
    /// What is counted here.
    pub metrics: HttpMetrics,
    /// Everything that is counted, for `/metrics`.
    pub registry: Arc<Registry>,
    /// Says when to end. The drain is not complete before [`serve`] has returned.
    pub drain: Watch,
}

/// Serves both listeners until a drain ends: its window, and two seconds for what is still being written.
///
/// # Errors
/// When a listener cannot be given to the runtime.
pub async fn serve(public: Bound, admin: Bound, gateway: Gateway) -> std::io::Result<()> {
    let gateway = Arc::new(gateway);
    let (metrics, drain) = (&gateway.metrics, &gateway.drain);
    let limits = Limits {
        stall_timeout: gateway.settings.stall_timeout,
        heartbeat: gateway.settings.heartbeat,
        head_timeout: HEAD_TIMEOUT,
    };
    let serve = |listener: Bound, router, trusted: &[IpNet]| {
        let front = Front::new(router, &gateway, trusted);
        listener.serve(front, limits, metrics.clone(), drain.clone())
    };
    let served = async {
        tokio::try_join!(
            serve(
                public,
                router::public(&gateway),
                &gateway.settings.trusted_proxies
            ),
            serve(admin, router::admin(&gateway), &[]),
        )
    };
    tokio::select! {
        served = served => served.map(drop),
        never = gateway.admission.forget_idle() => match never {},
    }
}

/// How long a request's head may take to arrive, and an idle connection may stay: long for an honest client behind a bad
/// line, short for one that sends a byte now and then to keep its place.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
