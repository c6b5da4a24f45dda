//! The section `limits`, and the parsing of a stream's own client limit.

use std::{collections::BTreeMap, num::NonZeroU32};

use ipnet::IpNet;

use super::{
    diagnostic::{Diagnostic, Location, ParseResult},
    network::network,
    node::{Node, NodeKind},
    table::{KeySpec, fill, optional, required},
};
use crate::{
    client::Ipv6Prefix,
    limits::settings::{LimitSettings, NetworkLimits},
};

/// The keys of the section.
pub(super) const KEYS: &[KeySpec<LimitSettings>] = &[
    optional("streams_per_client", |limits, node| {
        node.count().map(|v| limits.streams_per_client = v)
    }),
    optional("streams_total", |limits, node| {
        node.count().map(|v| limits.streams_total = v)
    }),
    optional("connections_without_stream", |limits, node| {
        node.count().map(|v| limits.connections_without_stream = v)
    }),
    optional("connections_without_stream_per_client", |limits, node| {
        node.count()
            .map(|v| limits.connections_without_stream_per_client = v)
    }),
    optional("clients_per_stream", |limits, node| {
        limit_or_unlimited(node).map(|v| limits.clients_per_stream = v)
    }),
    optional("requests_per_minute", |limits, node| {
        node.count().map(|v| limits.requests_per_minute = v)
    }),
    optional("request_burst", |limits, node| {
        node.count().map(|v| limits.request_burst = v)
    }),
    optional("ipv6_prefix", |limits, node| {
        prefix(node).map(|v| limits.ipv6_prefix = v)
    }),
    optional("networks", |limits, node| {
        networks(node).map(|v| limits.networks = v)
    }),
    optional("deny", |limits, node| addresses(node).map(|v| limits.deny = v)),
    optional("allow", |limits, node| addresses(node).map(|v| limits.allow = v)),
    optional("probes", |limits, node| {
        addresses(node).map(|v| limits.probes = v)
    }),
    optional("evict_when_full", |limits, node| {
        node.flag().map(|v| limits.evict_when_full = v)
    }),
];

const NETWORK: &[KeySpec<NetworkLimits>] = &[
    required(
        "cidr",
        "set the network of these limits: \"192.0.2.0/24\"",
        |limits, item| network(item).map(|v| limits.cidr = v),
    ),
    optional("streams_per_client", |limits, item| {
        item.count().map(|v| limits.streams_per_client = Some(v))
    }),
    optional("requests_per_minute", |limits, item| {
        item.count().map(|v| limits.requests_per_minute = Some(v))
    }),
    optional("request_burst", |limits, item| {
        item.count().map(|v| limits.request_burst = Some(v))
    }),
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

fn addresses(node: &Node) -> ParseResult<Vec<IpNet>> {
    node.list("an array of networks", network)
}

/// Parses the networks with their own limits, each at most once.
fn networks(node: &Node) -> ParseResult<Vec<NetworkLimits>> {
    let networks = node.list("an array of tables, [[limits.networks]]", |item| {
        let mut network = NetworkLimits::new(IpNet::default());
        fill(NETWORK, item, &mut network).map(|()| network)
    })?;
    let mut seen: BTreeMap<IpNet, Location> = BTreeMap::new();
    let mut faults = Vec::new();
    for (network, item) in networks.iter().zip(node.items()) {
        let location = item.location_of("cidr");
        if let Some(first) = seen.insert(network.cidr, location.clone()) {
            let title = format!("the limits of {} are set twice", network.cidr);
            faults.push(Diagnostic::new(location, title).related(first, "first here"));
        }
    }
    if faults.is_empty() {
        Ok(networks)
    } else {
        Err(faults)
    }
}

const UNLIMITED: &str = "unlimited";
