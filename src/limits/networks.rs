//! A map from networks to values, looked up by address: the longest prefix applies.

use std::{collections::HashMap, net::IpAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::client::canonical;

/// Values by network. If several networks contain an address, the one with the longest prefix applies.
///
/// A lookup takes one step for each prefix length in the map, however many networks there are: two or three in practice, 129 at
/// most.
#[derive(Debug)]
pub(super) struct Networks<T> {
    values: HashMap<IpNet, T>,
    /// The lengths of IPv4 prefixes, longest first.
    v4: Vec<u8>,
    v6: Vec<u8>,
}

impl<T> Networks<T> {
    /// Returns the value of the longest network that contains `address`.
    pub(super) fn get(&self, address: IpAddr) -> Option<&T> {
        let lengths = match address {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        let around = lengths.iter().map(|length| network(address, *length));
        around.into_iter().find_map(|network| self.values.get(&network))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.values.values()
    }

    /// Returns the value of exactly this network.
    pub(super) fn of(&self, network: &IpNet) -> Option<&T> {
        self.values.get(&canonical(*network))
    }
}

impl<T> FromIterator<(IpNet, T)> for Networks<T> {
    /// Collects networks. If a network occurs twice, the later value applies. IPv4-mapped IPv6 counts as IPv4.
    fn from_iter<I: IntoIterator<Item = (IpNet, T)>>(values: I) -> Self {
        let values = values.into_iter().map(|(net, value)| (canonical(net), value));
        let values: HashMap<_, _> = values.collect();
        let lengths = |v4: bool| {
            let of_family = values.keys().filter(|net| net.addr().is_ipv4() == v4);
            let mut lengths: Vec<_> = of_family.map(IpNet::prefix_len).collect();
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.dedup();
            lengths
        };
        Self {
            v4: lengths(true),
            v6: lengths(false),
            values,
        }
    }
}

/// Returns the network of this prefix length around `address`. The length comes from a network of the same family.
fn network(address: IpAddr, length: u8) -> IpNet {
    match address {
        IpAddr::V4(address) => Ipv4Net::new_assert(address, length).trunc().into(),
        IpAddr::V6(address) => Ipv6Net::new_assert(address, length).trunc().into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn net() -> impl Strategy<Value = IpNet> {
        // Few bits vary, so that networks often contain each other.
        let v4 = (0..=255u8, 0..=32u8).prop_map(|(a, length)| network([10, a & 3, a >> 4, a].into(), length));
        let v6 = (0..=255u16, 0..=128u8)
            .prop_map(|(a, length)| network([0x2001, a & 3, a >> 4, 0, 0, 0, 0, a].into(), length));
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn the_longest_prefix_counts(nets in vec(net(), 0..30), address in net()) {
            let address = address.addr();
            let networks: Networks<IpNet> = nets.iter().map(|net| (*net, *net)).collect();
            let expected = nets.iter().filter(|net| net.contains(&address)).max_by_key(|net| net.prefix_len());
            prop_assert_eq!(networks.get(address), expected);
        }
    }

    #[test]
    fn a_mapped_network_holds_the_addresses_it_is_of() {
        let net = "::ffff:10.0.0.0/104".parse().unwrap();
        let networks: Networks<()> = [(net, ())].into_iter().collect();
        assert!(networks.get("10.1.2.3".parse().unwrap()).is_some());
        assert!(networks.of(&net).is_some());
        assert!(networks.get("11.1.2.3".parse().unwrap()).is_none());
    }

    #[test]
    fn what_is_in_no_network_has_no_value() {
        let networks: Networks<()> = [("10.0.0.0/8".parse().unwrap(), ())].into_iter().collect();
        assert!(networks.get("10.1.2.3".parse().unwrap()).is_some());
        assert!(networks.get("11.1.2.3".parse().unwrap()).is_none());
        assert!(networks.get("::1".parse().unwrap()).is_none());
        assert!(!networks.is_empty());
    }
}
