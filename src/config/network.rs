//! Parsing of IP networks, for all keys that take them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{diagnostic::ParseResult, node::Node};
use crate::client::canonical;

/// Parses an array of networks.
pub(super) fn networks(node: &Node) -> ParseResult<Vec<IpNet>> {
    node.list("an array of networks", network)
}

/// Parses a network without host bits. A single address is a network of that address, and IPv4-mapped IPv6 becomes IPv4.
pub(super) fn network(node: &Node) -> ParseResult<IpNet> {
    let alone = node.string().ok().and_then(|text| text.parse::<IpAddr>().ok());
    let network = alone.map_or_else(
        || node.parsed("a network such as \"10.0.0.0/8\""),
        |alone| Ok(alone.into()),
    );
    network.map(canonical)
}
