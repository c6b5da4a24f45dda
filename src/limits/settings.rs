//! The settings of the limits: what one client, and all clients together, may use.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use ipnet::IpNet;

use crate::client::Ipv6Prefix;

/// The section `limits`. A client is an IPv4 address or an IPv6 network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Streams that one client may have open on this host at a time, at most `streams_total`. An IPv6 /48 may have eight times as
    /// many.
    pub streams_per_client: NonZeroU32,
    /// Streams that all clients together may have open on this host.
    pub streams_total: NonZeroU32,
    /// Connections that may be open without a stream: those that have sent no request yet, and those between two requests.
    pub connections_without_stream: NonZeroU32,
    /// How many of these connections one client may have, at most all of them.
    pub connections_without_stream_per_client: NonZeroU32,
    /// Requests per minute that one client may make on average. An IPv6 /48 may make eight times as many.
    pub requests_per_minute: NonZeroU32,
    /// Requests that one client may make at once before the rate above applies. An IPv6 /48 may make eight times as many.
    pub request_burst: NonZeroU32,
    /// Clients that may read streams of one name at a time. `None` means no limit but the total.
    pub clients_per_stream: Option<NonZeroU32>,
    /// The stream names that have a limit of clients of their own.
    pub max_clients: BTreeMap<Arc<str>, Option<NonZeroU32>>,
    /// The prefix of an IPv6 address that identifies a client.
    pub ipv6_prefix: Ipv6Prefix,
    /// Networks whose clients have other limits, each once. If several contain an address, the longest prefix applies.
    pub networks: Vec<NetworkLimits>,
    /// Networks whose every request is refused, except for networks of `allow` within them.
    pub deny: Vec<IpNet>,
    /// Exceptions to `deny`. No network is in both.
    pub allow: Vec<IpNet>,
    /// Networks of probes, for which a few streams are kept when the host is full.
    pub probes: Vec<IpNet>,
    /// Whether a full host ends a stream of a client that has more than one and more than the mean, in favour of a client that
    /// has none.
    pub evict_when_full: bool,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            // A browser opens six connections to a host, and an office shares one address.
            streams_per_client: const { NonZeroU32::new(10).unwrap() },
            // What one process is measured to carry. Two descriptors each would still fit the usual 20,000.
            streams_total: const { NonZeroU32::new(10_000).unwrap() },
            // Half of the descriptors that are kept beside those of streams.
            connections_without_stream: const { NonZeroU32::new(512).unwrap() },
            // A quarter: enough for an office that opens its browsers at once, and not a host full of one address.
            connections_without_stream_per_client: const { NonZeroU32::new(128).unwrap() },
            // Ten a second: a client that reconnects in a hot loop makes hundreds.
            requests_per_minute: const { NonZeroU32::new(600).unwrap() },
            // Six seconds' worth: all streams of an office resuming at once, several times over.
            request_burst: const { NonZeroU32::new(60).unwrap() },
            // The total protects the host. Only its operator can say which stream is worth less than another.
            clients_per_stream: None,
            max_clients: BTreeMap::new(),
            ipv6_prefix: Ipv6Prefix::default(),
            networks: Vec::new(),
            deny: Vec::new(),
            allow: Vec::new(),
            probes: Vec::new(),
            // Ending a stream of a client that keeps within its limits must be a decision, not an accident.
            evict_when_full: false,
        }
    }
}

/// The limits of each client within a network: a NAT, a university, a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkLimits {
    /// The addresses of the network.
    pub cidr: IpNet,
    /// Replaces [`LimitSettings::streams_per_client`], if set.
    pub streams_per_client: Option<NonZeroU32>,
    /// Replaces [`LimitSettings::requests_per_minute`], if set.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Replaces [`LimitSettings::request_burst`], if set.
    pub request_burst: Option<NonZeroU32>,
}

impl NetworkLimits {
    /// Creates an entry that changes no limit.
    pub fn new(cidr: IpNet) -> Self {
        Self {
            cidr,
            streams_per_client: None,
            requests_per_minute: None,
            request_burst: None,
        }
    }
}

/// The limits of a principal. Where one is `None`, those of its address apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrincipalLimits {
    /// Streams that it may have open on this host at a time, from all addresses together.
    pub streams: Option<NonZeroU32>,
    /// Requests per minute that it may make on average. Those of its address hold too.
    pub requests_per_minute: Option<NonZeroU32>,
}

impl PrincipalLimits {
    /// Returns these limits, and the others where one is missing.
    pub fn or(self, others: Self) -> Self {
        Self {
            streams: self.streams.or(others.streams),
            requests_per_minute: self.requests_per_minute.or(others.requests_per_minute),
        }
    }
}
