//! What the two listeners can be told.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use http::HeaderName;
use ipnet::IpNet;

/// The section `http`: the public listener and the streams it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the public listener accepts; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The peers whose forwarding headers are believed, without host bits. Empty believes nobody.
    pub trusted_proxies: Vec<IpNet>,
    /// The one header of theirs that says who asks; without it `X-Forwarded-For` and `Forwarded` do.
    pub client_header: Option<HeaderName>,
    /// Whether each connection begins with a PROXY header (version 2), from a trusted proxy.
    pub proxy_protocol: bool,
    /// After this much silence a stream gets a heartbeat; more than zero, less than `stall_timeout`.
    pub heartbeat: Duration,
    /// After this much time without one byte taken by its socket a stream is reset; more than zero.
    pub stall_timeout: Duration,
    /// A stream that has waited this long for Kafka ends; more than zero.
    pub hold_limit: Duration,
    /// How long the closes of a drain are spread over; zero closes all streams at once.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // Loopback: what is served to the public is a decision, not an accident.
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            trusted_proxies: Vec::new(),
            client_header: None,
            proxy_protocol: false,
            // A quarter of the 60 s after which common proxies and load balancers cut a silent connection.
            heartbeat: Duration::from_secs(15),
            // Four heartbeats: longer than a phone between two cells, shorter than a reader that is gone.
            stall_timeout: Duration::from_secs(60),
            // Longer than a rolling restart of the brokers; a replica that alone lost Kafka must not keep its clients.
            hold_limit: Duration::from_secs(600),
            // Below the 30 s that Kubernetes grants before it kills, with room for the rest of the stop.
            drain: Duration::from_secs(20),
        }
    }
}

/// The section `admin`: the listener for those who run riverhead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Where it accepts; port 0 takes a free one.
    pub listen: SocketAddr,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            // Loopback: health and metrics name brokers and topics, which is nobody else's business.
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
        }
    }
}
