//! Parsing of networks in CIDR notation, for every key that takes some.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{diagnostic::ParseResult, node::Node};
use crate::client::canonical;

/// A network without host bits; an address alone is a network of one, and IPv4-mapped IPv6 is IPv4.
pub(super) fn network(node: &Node) -> ParseResult<IpNet> {
    let alone = node.string().ok().and_then(|text| text.parse::<IpAddr>().ok());
    let network = alone.map_or_else(
        || node.parsed("networks such as \"10.0.0.0/8\""),
        |alone| Ok(alone.into()),
    );
    network.map(canonical)
}
