//! Where a request comes from: one type for each way of knowing it, so that swapping two does not compile.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::{ClientKey, Ipv6Prefix};

/// The other end of a connection, as the kernel says. Behind a proxy it is the proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// Who sent a request: the peer, unless a trusted proxy speaks for somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr(IpAddr);

impl ClientAddr {
    /// The address.
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// What limits count it under.
    pub fn key(self, prefix: Ipv6Prefix) -> ClientKey {
        ClientKey::within(self.0, prefix)
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
        Self(address.to_canonical())
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
}
