//! The section `limits`, and the parsing of a stream's own client limit.

use std::num::NonZeroU32;

use ipnet::IpNet;

use super::{
    diagnostic::{ParseResult, fail_if_any, repeated},
    network::{network, networks},
    node::{Node, NodeKind},
    table::{KeySpec, fill, key},
};
use crate::{
    client::Ipv6Prefix,
    limits::settings::{LimitSettings, NetworkLimits},
};

/// The keys of the section.
pub(super) const KEYS: &[KeySpec<LimitSettings>] = &[
    key!(streams_per_client: Node::count),
    key!(streams_total: Node::count),
    key!(connections_without_stream: Node::count),
    key!(connections_without_stream_per_client: Node::count),
    key!(clients_per_stream: limit_or_unlimited),
    key!(requests_per_minute: Node::count),
    key!(request_burst: Node::count),
    key!(ipv6_prefix: prefix),
    key!(networks: networks_with_limits),
    key!(deny: networks),
    key!(allow: networks),
    key!(probes: networks),
    key!(evict_when_full: Node::flag),
];

const NETWORK: &[KeySpec<NetworkLimits>] = &[
    key!(cidr: network, "set the network of these limits: \"192.0.2.0/24\""),
    key!(streams_per_client: Node::count),
    key!(requests_per_minute: Node::count),
    key!(request_burst: Node::count),
];

/// Parses a whole number from 1 on, or `"unlimited"`.
pub(super) fn limit_or_unlimited(node: &Node) -> ParseResult<Option<NonZeroU32>> {
    match &node.kind {
        NodeKind::Text(text) if text == UNLIMITED => Ok(None),
        NodeKind::Text(_) => Err(node.refused("a whole number from 1 on, or \"unlimited\"", "found neither")),
        _ => node.count().map(Some),
    }
}

fn prefix(node: &Node) -> ParseResult<Ipv6Prefix> {
    let bits = node.count()?.get();
    Ipv6Prefix::new(bits).ok_or_else(|| node.refused("a length from 32 to 128", "found another number"))
}

/// Parses the networks with their own limits, each at most once.
fn networks_with_limits(node: &Node) -> ParseResult<Vec<NetworkLimits>> {
    let networks = node.list("an array of tables, [[limits.networks]]", |item| {
        let mut network = NetworkLimits::new(IpNet::default());
        fill(NETWORK, item, &mut network).map(|()| network)
    })?;
    let keys = networks.iter().zip(node.items());
    let keys = keys.map(|(network, item)| (network.cidr, item.location_of("cidr")));
    fail_if_any(repeated(keys, |cidr| {
        format!("the limits of {cidr} are set twice")
    }))?;
    Ok(networks)
}

const UNLIMITED: &str = "unlimited";
