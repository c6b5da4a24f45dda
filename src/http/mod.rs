//! The HTTP server: the listeners, their routes, and the delivery of events to clients.
//!
//! Not here: where events come from (`subscription`), and anything of Kafka.
//!
//! A request passes [`BoundListener`] (accept), `server::connection` (hyper), `routes::middleware` (what all routes share),
//! `routes::router` and `routes::stream`, which answers it step by step. `delivery` decides what bytes the client gets and when.
//! A delivery has one of two sinks: `delivery::body`, which hyper polls, or `fanout::socket`, which writes to a connection that
//! `delivery::handoff` took back from hyper, in one of the write tasks of `fanout::pool`. `error` is the one table from an error
//! to a status. `pages` are the files of the pages for people.

mod admin_commands;
mod catalog_switch;
mod config_report;
mod delivery;
mod error;
mod fanout;
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod json;
mod listeners;
mod open_streams;
mod pages;
mod routes;
mod server;
pub mod settings;

pub use self::{
    admin_commands::{AdminCommands, ClusterSwitch, SwitchError, Switched},
    catalog_switch::CatalogSwitch,
    config_report::ConfigReport,
    gateway::Gateway,
    listeners::{BoundListeners, TlsListener},
    open_streams::OpenStreams,
    routes::hosts::AllowedHosts,
    server::listener::BoundListener,
};

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use self::{
    error::{ALLOWED_METHODS, Error, problem::RequestEcho},
    routes::{middleware::HttpService, redirect::HttpsRedirect},
    server::{
        context::{ListenerConfig, Timeouts},
        handler::RequestHandler,
    },
    settings::Sink,
};

use tokio::task::spawn_blocking;

use crate::{client::TrustedProxies, tls::TlsServer};

/// Serves all listeners until a drain ends. That takes the drain's window, and up to two seconds for what is still being
/// written.
///
/// # Errors
/// When a listener cannot be registered with the runtime.
pub async fn serve(listeners: BoundListeners, gateway: Gateway) -> std::io::Result<()> {
    let gateway = Arc::new(gateway);
    let proxies = trusted_proxies(&gateway);
    let public = HttpService::public(&gateway, proxies.clone());
    let (plain, admin) = (
        public.clone().with_redirect(redirect(&gateway, &listeners)),
        HttpService::admin(&gateway),
    );
    let (https, tls) = listeners.https.map(|https| (https.listener, https.tls)).unzip();
    let plain_config = public_config(&gateway, proxies.clone(), None);
    let https_config = public_config(&gateway, proxies, tls);
    let admin_config = admin_config(&gateway, listeners.admin_tls);
    // Nobody waits for it. Who asks for the page sooner waits until it is done.
    drop(spawn_blocking(|| LazyLock::force(&pages::doc::DOC_PAGE)));
    let served = async {
        tokio::try_join!(
            serve_one(listeners.http, plain, plain_config, &gateway),
            serve_one(https, public.over_tls(), https_config, &gateway),
            serve_one(Some(listeners.admin), admin, admin_config, &gateway),
        )
    };
    tokio::select! {
        served = served => served.map(drop),
        never = gateway.admission.forget_idle() => match never {},
        never = gateway.discovery.run() => match never {},
    }
}

/// Returns the proxies that public listeners trust to name the client.
fn trusted_proxies(gateway: &Gateway) -> TrustedProxies {
    TrustedProxies::new(gateway.trusted.clone(), gateway.settings.client_addr_source())
}

/// Serves a listener, if there is one.
async fn serve_one(
    listener: Option<BoundListener>,
    service: HttpService,
    config: ListenerConfig,
    gateway: &Gateway,
) -> std::io::Result<()> {
    match listener {
        Some(listener) => listener.serve(service, config, gateway.drain.clone()).await,
        None => Ok(()),
    }
}

/// Returns the redirect of the plain listener, if it is to do nothing else.
fn redirect(gateway: &Gateway, listeners: &BoundListeners) -> Option<HttpsRedirect> {
    let https = listeners.https.as_ref().filter(|_| gateway.settings.redirect);
    https.map(|https| HttpsRedirect::new(https.listener.address().port()))
}

/// Returns the configuration of a public listener, with or without TLS.
fn public_config(gateway: &Gateway, proxies: TrustedProxies, tls: Option<TlsServer>) -> ListenerConfig {
    let settings = &gateway.settings;
    ListenerConfig {
        idle_connections: |admission| &admission.idle,
        proxies,
        proxy_protocol: settings.proxy_protocol,
        sink: settings.sink,
        ..admin_config(gateway, tls)
    }
}

/// Returns the configuration of the admin listener.
fn admin_config(gateway: &Gateway, tls: Option<TlsServer>) -> ListenerConfig {
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
        tls,
        sink: Sink::Body,
        metrics: gateway.metrics.clone(),
    }
}

/// How long a request's head may take to arrive, and how long an idle connection may stay. It is long for an honest client on
/// a bad line, and short for one that sends a byte now and then to keep its connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
