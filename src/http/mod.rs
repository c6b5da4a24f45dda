//! From a request to a body, and the one table from error to status.
//!
//! A request passes [`Bound`] (accept), `connection` (hyper), `front` (what all share), `router`, and `stream`, which reads
//! as its story. `delivery` decides what its client gets and when. There are two sinks for it: `body`, which hyper polls, and
//! `socket`, which writes to a connection that `takeover` took back from hyper, in one of the `shards`.
//!
//! Not here: where events come from (`subscription`), and anything of Kafka.

mod accept;
mod account;
mod admin;
mod audiences;
mod body;
mod calls;
mod carried;
mod carrier;
mod checkpoint;
mod chunks;
mod command;
mod connection;
mod cors;
mod crowd;
mod delivery;
mod error;
mod exit;
mod form;
mod front;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod gzip;
mod held;
mod hosts;
mod http1;
mod http2;
mod io;
mod json;
mod link;
mod listener;
mod opening;
mod pages;
mod panics;
mod presence;
mod question;
mod round;
mod router;
mod segments;
pub mod settings;
mod shards;
mod silence;
mod since;
mod socket;
mod strand;
mod stream;
mod takeover;
mod writer;

pub use command::{Commands, Helm, NotSteered, Steered};
pub use hosts::Hosts;
pub use listener::Bound;

use std::{sync::Arc, time::Duration};

use connection::{Limits, Rules};
use front::Front;
use settings::{Settings, Sink};

use crate::{
    catalog::Catalog,
    client::{Proxies, Trusted},
    drain::Watch,
    health::{Health, Readiness},
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
    /// Whose word on who asks is taken on the public listener.
    pub trusted: Trusted,
    /// Who may have how much.
    pub admission: Arc<Admission>,
    /// What may be commanded on the admin listener, and by whom.
    pub commands: Commands,
    /// Whether this replica has started.
    pub readiness: Readiness,
    /// How clusters, brokers, partitions and streams are.
    pub health: Health,
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
    let serve = |listener: Bound, front, rules: Rules| listener.serve(front, rules, gateway.drain.clone());
    let (to_public, to_admin) = (to_public(&gateway), to_admin(&gateway));
    let served = async {
        tokio::try_join!(
            serve(
                public,
                Front::public(&gateway, to_public.proxies.clone()),
                to_public
            ),
            serve(admin, Front::admin(&gateway), to_admin),
        )
    };
    tokio::select! {
        served = served => served.map(drop),
        never = gateway.admission.forget_idle() => match never {},
    }
}

/// How strangers' connections are treated.
fn to_public(gateway: &Gateway) -> Rules {
    let settings = &gateway.settings;
    Rules {
        lobby: |admission| &admission.lobby,
        proxies: Proxies::new(gateway.trusted.clone(), settings.believed()),
        proxy_protocol: settings.proxy_protocol,
        sink: settings.sink,
        ..to_admin(gateway)
    }
}

/// How those of whoever runs riverhead are.
fn to_admin(gateway: &Gateway) -> Rules {
    Rules {
        limits: Limits {
            stall_timeout: gateway.settings.stall_timeout,
            heartbeat: gateway.settings.heartbeat,
            head_timeout: HEAD_TIMEOUT,
        },
        admission: Some(Arc::clone(&gateway.admission)),
        lobby: |admission| &admission.admin_lobby,
        proxies: Proxies::default(),
        proxy_protocol: false,
        sink: Sink::Body,
        metrics: gateway.metrics.clone(),
    }
}

/// How long a request's head may take to arrive, and an idle connection may stay: long for an honest client behind a bad
/// line, short for one that sends a byte now and then to keep its place.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
