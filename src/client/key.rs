//! The key that limits count a client under.

use std::{fmt, net::IpAddr};

use ipnet::{IpNet, Ipv6Net};

/// A client, as limits count it: an IPv4 address, an IPv6 network (a /64 by default), all unidentified clients behind one proxy, or a
/// principal that has limits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey(KeyKind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum KeyKind {
    Network(IpNet),
    BehindProxy(IpAddr),
    Principal([u8; 16]),
}

impl ClientKey {
    /// Returns the key of `address`, with IPv6 by /64. IPv4-mapped IPv6 counts as IPv4.
    pub fn of(address: IpAddr) -> Self {
        Self::within(address, Ipv6Prefix::default())
    }

    /// Returns the key of `address`, with IPv6 by this prefix. IPv4-mapped IPv6 counts as IPv4.
    pub fn within(address: IpAddr, Ipv6Prefix(prefix): Ipv6Prefix) -> Self {
        Self(KeyKind::Network(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::from(address).into(),
            IpAddr::V6(address) => Ipv6Net::new_assert(address, prefix).trunc().into(),
        }))
    }

    /// Returns the key of the unidentified clients behind the proxy with this address. Each proxy has one, so that clients that
    /// exhaust it do so for one proxy only.
    pub(super) fn behind(proxy: IpAddr) -> Self {
        Self(KeyKind::BehindProxy(proxy.to_canonical()))
    }

    /// Returns the key of the principal with this id, wherever it asks from.
    pub fn of_principal(id: [u8; 16]) -> Self {
        Self(KeyKind::Principal(id))
    }

    /// Returns the IPv6 /48 that contains the key. A site is given one, and can take any addresses from it. Returns `None` for
    /// IPv4, and for a key that is as wide already.
    pub fn site(self) -> Option<Self> {
        match self.0 {
            KeyKind::Network(IpNet::V6(own)) if own.prefix_len() > SITE => {
                let site = Ipv6Net::new_assert(own.addr(), SITE).trunc();
                Some(Self(KeyKind::Network(site.into())))
            }
            _ => None,
        }
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            KeyKind::Network(IpNet::V4(address)) => address.addr().fmt(f),
            KeyKind::Network(IpNet::V6(network)) => network.fmt(f),
            KeyKind::BehindProxy(proxy) => write!(f, "somebody behind {proxy}"),
            KeyKind::Principal(id) => write!(f, "principal {:032x}", u128::from_be_bytes(id)),
        }
    }
}

/// The length of the prefix that the IPv6 addresses of one client share, in bits: 32 to 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Prefix(u8);

impl Ipv6Prefix {
    /// Creates a prefix of this length. Returns `None` if one client cannot have such a prefix.
    pub fn new(bits: u32) -> Option<Self> {
        // A whole provider has a /32.
        let bits = u8::try_from(bits).ok()?;
        (32..=128).contains(&bits).then_some(Self(bits))
    }
}

impl Default for Ipv6Prefix {
    /// 64: the smallest network in which addresses configure themselves (RFC 4862), so that one host can have all of it.
    fn default() -> Self {
        Self(64)
    }
}

/// The prefix that an end site is usually given, in bits (RFC 6177).
const SITE: u8 = 48;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ClientKey {
        ClientKey::of(text.parse().expect("an address"))
    }

    #[test]
    fn neighbours_in_one_64_share_a_key() {
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        assert_eq!(key("::ffff:192.0.2.7"), key("192.0.2.7"));
    }

    #[test]
    fn networks_of_one_site_share_its_48() {
        let site = key("2001:db8:1:2::1").site();
        assert_eq!(site, key("2001:db8:1:ffff::1").site());
        assert_ne!(site, key("2001:db8:2:2::1").site());
        assert_eq!(site.map(|site| site.to_string()), Some("2001:db8:1::/48".into()));
        assert_eq!(key("192.0.2.7").site(), None);
        assert_eq!(site.and_then(ClientKey::site), None);
    }

    #[test]
    fn a_prefix_is_as_long_as_it_is_told() {
        let of = |bits| {
            ClientKey::within(
                "2001:db8:1:2:3::9".parse().unwrap(),
                Ipv6Prefix::new(bits).unwrap(),
            )
        };
        assert_eq!(of(56).to_string(), "2001:db8:1::/56");
        assert_eq!(of(128).to_string(), "2001:db8:1:2:3::9/128");
        assert_eq!(of(48).site(), None);
        assert_eq!([31, 129, 64 + 256].map(Ipv6Prefix::new), [None; 3]);
    }
}
