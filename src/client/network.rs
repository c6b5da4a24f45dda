//! The canonical form of networks.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Returns the network without host bits. A network of IPv4-mapped IPv6 addresses (`::ffff:192.0.2.0/120`) becomes the network of
/// the IPv4 addresses, because addresses are compared as IPv4.
pub fn canonical(network: IpNet) -> IpNet {
    let network = network.trunc();
    let length = network.prefix_len().checked_sub(MAPPED);
    match (network, network.addr().to_canonical(), length) {
        (IpNet::V6(_), IpAddr::V4(address), Some(length)) => Ipv4Net::new_assert(address, length).into(),
        _ => network,
    }
}

/// The length of the prefix of IPv4-mapped addresses, in bits (RFC 4291, section 2.5.5.2).
const MAPPED: u8 = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_network_is_one_of_ipv4() {
        for (text, meant) in [
            ("::ffff:192.0.2.7/128", "192.0.2.7/32"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
            ("::ffff:c000:207/127", "192.0.2.6/31"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("::ffff:0:0/95", "::fffe:0:0/95"),
            ("2001:db8::7/64", "2001:db8::/64"),
            ("::192.0.2.7/128", "::192.0.2.7/128"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(
                canonical(text.parse().unwrap()),
                meant.parse::<IpNet>().unwrap(),
                "{text}"
            );
        }
    }
}
