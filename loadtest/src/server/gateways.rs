//! riverhead as a server under load: plain, with TLS, and behind a proxy.

use std::io;

use super::{Guard, PARTITIONS, Server, Site, peers};
use crate::{
    gateway::{Gateway, GatewayPlan},
    scenarios::DETERMINED,
    tls::ServerCertificate,
};

/// Starts a gateway without TLS.
pub(super) fn plain(site: &Site<'_>, topic: &str, more: &[(&str, &str)]) -> io::Result<Server> {
    start(site, topic, more).map(Server::from)
}

/// Starts a gateway with these settings.
fn start(site: &Site<'_>, topic: &str, more: &[(&str, &str)]) -> io::Result<Gateway> {
    let mut plan =
        GatewayPlan::new(site.binary, site.cluster.bootstrap_list(), "numbers", &[topic]).unlimited();
    plan.further = format!("{}\n", site.stream_keys);
    plan = plan.set("RIVERHEAD_LOG__LEVEL", "warn").set_all(site.settings);
    for (name, value) in more {
        plan = plan.set(name, value);
    }
    let gateway = plan.start()?;
    gateway.wait_for_partitions(PARTITIONS, DETERMINED);
    Ok(gateway)
}

/// Starts a gateway whose clients connect over TLS. The plain listener is there too, and has no clients.
pub(super) fn with_tls(site: &Site<'_>, topic: &str, more: &[(&str, &str)]) -> io::Result<Server> {
    let certificate = ServerCertificate::create()?;
    let settings = certificate.settings();
    let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let all: Vec<_> = settings.chain(more.iter().copied()).collect();
    let gateway = start(site, topic, &all)?;
    Ok(Server {
        address: gateway.https.ok_or(io::ErrorKind::NotFound)?,
        certificate: Some(certificate),
        ..Server::from(gateway)
    })
}

/// Starts a gateway whose clients connect over TLS and speak HTTP/2.
pub(super) fn with_http2(site: &Site<'_>, topic: &str) -> io::Result<Server> {
    let server = with_tls(site, topic, &[UNANSWERED_PINGS])?;
    Ok(Server {
        is_http2: true,
        ..server
    })
}

/// Starts a gateway without TLS, and a proxy with TLS in front of it.
pub(super) fn behind_nginx(site: &Site<'_>, topic: &str) -> io::Result<Server> {
    let certificate = ServerCertificate::create()?;
    let gateway = start(site, topic, &[TRUSTED_PROXY, PROXY_HEADER])?;
    let nginx = peers::proxy(site.peers, gateway.http, &certificate)?;
    Ok(Server {
        address: nginx.address(),
        target: STREAM.into(),
        certificate: Some(certificate),
        is_http2: false,
        process: gateway.process().behind(nginx.pid()),
        guard: Guard::Behind {
            _proxy: nginx,
            gateway: Box::new(gateway),
        },
    })
}

impl From<Gateway> for Server {
    fn from(gateway: Gateway) -> Self {
        Self {
            address: gateway.http,
            target: STREAM.into(),
            certificate: None,
            is_http2: false,
            process: gateway.process(),
            guard: Guard::Gateway(Box::new(gateway)),
        }
    }
}

/// The stream of the gateways.
const STREAM: &str = "/v2/stream/numbers";

/// Clients whose bytes are only counted do not answer a PING of HTTP/2, and are kept all the same.
const UNANSWERED_PINGS: (&str, &str) = ("RIVERHEAD_HTTP__STALL_TIMEOUT", "1h");

/// The settings with which the proxy names the client of a request.
const TRUSTED_PROXY: (&str, &str) = ("RIVERHEAD_HTTP__TRUSTED_PROXIES", "[\"127.0.0.1/32\"]");
const PROXY_HEADER: (&str, &str) = ("RIVERHEAD_HTTP__FORWARDED", "x-forwarded-for");

/// The setting that keeps every connection in hyper.
pub(super) const ALL_BODIES: (&str, &str) = ("RIVERHEAD_HTTP__SINK", "body");
