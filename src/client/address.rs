//! Where a request comes from: one type for each way of knowing it, so that swapping two does not compile.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::{ClientKey, Ipv6Prefix};

/// The other end of a connection, as the kernel says. Behind a proxy it is the proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// Who sent a request: the peer, who a trusted proxy speaks for, or somebody behind a trusted proxy of whom no more is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr {
    /// Its own address, or that of the proxy it is behind.
    address: IpAddr,
    is_known: bool,
}

impl ClientAddr {
    /// Somebody behind this proxy, whose own address is not known.
    pub fn behind(proxy: PeerAddr) -> Self {
        Self {
            is_known: false,
            ..proxy.into()
        }
    }

    /// The address. `None` for somebody behind a proxy: what is granted to an address, that of the proxy included, is not
    /// theirs.
    pub fn address(self) -> Option<IpAddr> {
        self.is_known.then_some(self.address)
    }

    /// The address of the proxy that it is behind, if it is not known.
    pub fn proxy(self) -> Option<IpAddr> {
        (!self.is_known).then_some(self.address)
    }

    /// What limits count it under.
    pub fn key(self, prefix: Ipv6Prefix) -> ClientKey {
        if self.is_known {
            ClientKey::within(self.address, prefix)
        } else {
            ClientKey::behind(self.address)
        }
    }
}

impl From<PeerAddr> for ClientAddr {
    fn from(PeerAddr(address): PeerAddr) -> Self {
        Self::from(address.ip())
    }
}

impl From<IpAddr> for ClientAddr {
    /// IPv4-mapped IPv6 is IPv4.
    fn from(address: IpAddr) -> Self {
        Self {
            address: address.to_canonical(),
            is_known: true,
        }
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_known {
            self.address.fmt(f)
        } else {
            write!(f, "somebody behind {}", self.address)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_on_a_dual_stack_socket_is_its_ipv4_address() {
        let peer = PeerAddr("[::ffff:192.0.2.7]:4711".parse().expect("an address"));
        let client = ClientAddr::from(peer);
        assert_eq!(client.to_string(), "192.0.2.7");
        assert_eq!(client.key(Ipv6Prefix::default()).to_string(), "192.0.2.7");
    }

    #[test]
    fn somebody_behind_a_proxy_is_not_the_proxy() {
        let proxy = PeerAddr("[::ffff:192.0.2.7]:4711".parse().expect("an address"));
        let somebody = ClientAddr::behind(proxy);
        assert_eq!(somebody.address(), None);
        assert_eq!(somebody.proxy(), Some([192, 0, 2, 7].into()));
        assert_ne!(somebody, proxy.into());
        let key = somebody.key(Ipv6Prefix::default());
        assert_ne!(key, ClientAddr::from(proxy).key(Ipv6Prefix::default()));
        assert_eq!(key.to_string(), "somebody behind 192.0.2.7");
        assert_eq!(key.site(), None);
    }
}
