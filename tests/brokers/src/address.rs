//! Loopback addresses: free ones for nodes and proxies, and one at which no server ever listens.

use std::{
    collections::HashSet,
    fs,
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
    sync::{Mutex, PoisonError},
};

use rustix::net::{AddressFamily, SocketType, bind, socket};

/// An address that refuses every connection for as long as this value lives: its port is taken, but no server
/// listens. It stands for a broker that was decommissioned and is still in a bootstrap list.
#[derive(Debug)]
pub struct DeadAddress {
    address: SocketAddr,
    _bound: OwnedFd,
}

impl DeadAddress {
    /// Takes a free port without listening on it.
    pub fn reserve() -> Self {
        let address = free_address();
        let bound = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&bound, &address).expect("the port was free a moment ago");
        Self {
            address,
            _bound: bound,
        }
    }

    /// Returns the refusing address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Returns a free loopback address that this process has not returned before.
///
/// The port lies below the range from which the kernel takes ports for outgoing connections. A broker must
/// find its port free when it restarts, and a connection to the port of a dead broker must not connect to
/// itself.
pub(crate) fn free_address() -> SocketAddr {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = taken.get_or_insert_default();
    let ports = LOWEST_PORT..first_ephemeral_port();
    for _ in 0..ATTEMPTS {
        let port = ports.start + (random() % u64::from(ports.end - ports.start)) as u16;
        let address = SocketAddr::from((host(), port));
        if !taken.contains(&port) && TcpListener::bind(address).is_ok() {
            taken.insert(port);
            return address;
        }
    }
    panic!("no free loopback port in {ports:?} after {ATTEMPTS} attempts")
}

/// Returns a random number, good enough for ports and identifiers of test clusters.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// Returns the loopback address of this process (all of 127.0.0.0/8 is loopback on Linux). A broker's port is
/// free for seconds while its JVM starts, and another test process must not take it then.
fn host() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, HOSTS | high, middle, low)
}

fn first_ephemeral_port() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next().and_then(|port| port.parse().ok());
    first
        .filter(|port| *port > LOWEST_PORT)
        .unwrap_or(USUAL_EPHEMERAL_PORT)
}

static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// Above the ports of well-known services, including a developer's own Kafka (9092).
const LOWEST_PORT: u16 = 10_000;

/// The second byte of these addresses is at least this, far from the usual 127.0.0.1. Process ids have 22
/// bits, so that at most the lower 6 bits of this byte vary.
const HOSTS: u8 = 64;

/// Linux's default for the first ephemeral port.
const USUAL_EPHEMERAL_PORT: u16 = 32_768;

const ATTEMPTS: usize = 1_000;

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, net::TcpStream};

    use super::*;

    #[test]
    fn a_dead_address_refuses() {
        let dead = DeadAddress::reserve();
        let error = TcpStream::connect(dead.address()).expect_err("no server listens");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert!(
            TcpListener::bind(dead.address()).is_err(),
            "the port is kept from others"
        );
    }
}
