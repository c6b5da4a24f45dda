//! The addresses that a request can come from. Each way of knowing one has a type of its own, so that swapping two does not
//! compile.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::{ClientKey, Ipv6Prefix};

/// The other end of a connection, as the kernel reports it. Behind a proxy it is the proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// The sender of a request: the peer, the client that a trusted proxy names, or an unidentified client behind a trusted proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr {
    /// The client's own address, or that of the proxy in front of it.
    address: IpAddr,
    is_known: bool,
}

impl ClientAddr {
    /// Creates the address of an unidentified client behind this proxy.
    pub fn behind(proxy: PeerAddr) -> Self {
        Self {
            is_known: false,
            ..proxy.into()
        }
    }

    /// Returns the client's address, or `None` for an unidentified client behind a proxy: permissions of an address, the proxy's
    /// included, are not for such a client.
    pub fn address(self) -> Option<IpAddr> {
        self.is_known.then_some(self.address)
    }

    /// Returns the address of the proxy in front of the client if the client is unidentified.
    pub fn proxy(self) -> Option<IpAddr> {
        (!self.is_known).then_some(self.address)
    }

    /// Returns the key that limits count the client under.
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
    /// Converts an address. IPv4-mapped IPv6 counts as IPv4.
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
        let unidentified = ClientAddr::behind(proxy);
        assert_eq!(unidentified.address(), None);
        assert_eq!(unidentified.proxy(), Some([192, 0, 2, 7].into()));
        assert_ne!(unidentified, proxy.into());
        let key = unidentified.key(Ipv6Prefix::default());
        assert_ne!(key, ClientAddr::from(proxy).key(Ipv6Prefix::default()));
        assert_eq!(key.to_string(), "somebody behind 192.0.2.7");
        assert_eq!(key.site(), None);
    }
}
