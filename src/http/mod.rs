//! The HTTP server: the two listeners, their routes, and the delivery of events to clients.
//!
//! Not here: where events come from (`subscription`), and anything of Kafka.
//!
//! A request passes [`BoundListener`] (accept), `server::connection` (hyper), `routes::middleware` (what all routes share),
//! `routes::router` and `routes::stream`, which answers it step by step. `delivery` decides what bytes the client gets and when.
//! A delivery has one of two sinks: `delivery::body`, which hyper polls, or `fanout::socket`, which writes to a connection that
//! `delivery::handoff` took back from hyper, in one of the write tasks of `fanout::pool`. `error` is the one table from an error
//! to a status.

mod admin_commands;
mod delivery;
mod error;
mod fanout;
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod json;
mod routes;
mod server;
pub mod settings;

pub use self::{
    admin_commands::{AdminCommands, ClusterSwitch, SwitchError, Switched},
    gateway::Gateway,
    routes::hosts::AllowedHosts,
    server::listener::BoundListener,
};

use std::{sync::Arc, time::Duration};

use self::{
    error::{ALLOWED_METHODS, Error, problem::RequestEcho},
    routes::middleware::HttpService,
    server::{
        context::{ListenerConfig, Timeouts},
        handler::RequestHandler,
    },
    settings::Sink,
};

use crate::client::TrustedProxies;

/// Serves both listeners until a drain ends. That takes the drain's window, and up to two seconds for what is still being
/// written.
///
/// # Errors
/// When a listener cannot be registered with the runtime.
pub async fn serve(public: BoundListener, admin: BoundListener, gateway: Gateway) -> std::io::Result<()> {
    let gateway = Arc::new(gateway);
    let serve = |listener: BoundListener, service, config: ListenerConfig| {
        listener.serve(service, config, gateway.drain.clone())
    };
    let (public_config, admin_config) = (public_config(&gateway), admin_config(&gateway));
    let served = async {
        tokio::try_join!(
            serve(
                public,
                HttpService::public(&gateway, public_config.proxies.clone()),
                public_config
            ),
            serve(admin, HttpService::admin(&gateway), admin_config),
        )
    };
    tokio::select! {
        served = served => served.map(drop),
        never = gateway.admission.forget_idle() => match never {},
    }
}

/// Returns the configuration of the public listener.
fn public_config(gateway: &Gateway) -> ListenerConfig {
    let settings = &gateway.settings;
    ListenerConfig {
        idle_connections: |admission| &admission.idle,
        proxies: TrustedProxies::new(gateway.trusted.clone(), settings.client_addr_source()),
        proxy_protocol: settings.proxy_protocol,
        sink: settings.sink,
        ..admin_config(gateway)
    }
}

/// Returns the configuration of the admin listener.
fn admin_config(gateway: &Gateway) -> ListenerConfig {
    ListenerConfig {
        timeouts: Timeouts {
            stall_timeout: gateway.settings.stall_timeout,
            heartbeat: gateway.settings.heartbeat,
            head_timeout: HEAD_TIMEOUT,
        },
        admission: Some(Arc::clone(&gateway.admission)),
        idle_connections: |admission| &admission.admin_idle,
        proxies: TrustedProxies::default(),
        proxy_protocol: false,
        sink: Sink::Body,
        metrics: gateway.metrics.clone(),
    }
}

/// How long a request's head may take to arrive, and how long an idle connection may stay. It is long for an honest client on
/// a bad line, and short for one that sends a byte now and then to keep its connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
