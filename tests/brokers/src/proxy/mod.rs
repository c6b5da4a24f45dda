//! A TCP proxy that misbehaves on request: the fault injector in front of every listener of a broker.
//!
//! It needs no privileges, and its address stays the same whatever happens to the node behind it.

mod connection;
mod listener;
mod wire;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use listener::{ListenState, ListenerHandle};
use wire::{FlowMode, Wire};

/// A proxy in front of one address. Dropping it closes its port and resets its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    wire: Arc<Wire>,
    keeper: ListenerHandle,
}

impl Proxy {
    /// Listens on a free loopback port, and forwards to `target` without faults at first.
    pub fn start(target: SocketAddr) -> Self {
        let wire = Arc::new(Wire::new(target));
        let (address, keeper) = ListenerHandle::start(Arc::clone(&wire));
        Self {
            address,
            wire,
            keeper,
        }
    }

    /// Returns the address of the proxy.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts another proxy in front of the same address, which the node behind it does not advertise.
    pub fn beside(&self) -> Self {
        Self::start(self.wire.target)
    }

    /// Sets the behavior from now on, in both directions and for existing connections too.
    pub fn set(&self, fault: Fault) {
        self.wire.set_flow(None, fault.flow());
        self.keeper.set(fault.listen_state());
        if matches!(fault, Fault::Refuse | Fault::Reset) {
            self.wire.reset_all();
        }
    }

    /// Sets the behavior of one direction. The other direction and the port stay as they are.
    ///
    /// # Panics
    ///
    /// If the fault has no direction: [`Fault::Refuse`], [`Fault::Reset`] and [`Fault::Blackhole`].
    pub fn set_direction(&self, direction: Direction, fault: Fault) {
        assert_eq!(
            fault.listen_state(),
            ListenState::Open,
            "{fault:?} has no direction"
        );
        self.wire.set_flow(Some(direction), fault.flow());
    }

    /// Resets the existing connections once, without a change of behavior.
    pub fn cut(&self) {
        self.wire.reset_all();
    }

    /// Returns how many connection requests to this port, from this network namespace, have no answer yet:
    /// sockets in SYN-SENT.
    ///
    /// # Panics
    ///
    /// If there is no `/proc/net/tcp`.
    pub fn unanswered(&self) -> u64 {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux's table of sockets");
        table.lines().filter(|line| self.is_unanswered(line)).count() as u64
    }

    /// Parses `   3: 0100007F:9C40 0100007F:2384 02 ...`: the local address, the other one and the state, in
    /// hexadecimal. The bytes of an IPv4 address are in the order in which this machine reads them as a
    /// number.
    fn is_unanswered(&self, line: &str) -> bool {
        let mut fields = line.split_whitespace().skip(2);
        let SocketAddr::V4(address) = self.address else {
            return false;
        };
        let ip = u32::from_ne_bytes(address.ip().octets());
        let own = format!("{ip:08X}:{:04X}", address.port());
        fields.next() == Some(own.as_str()) && fields.next() == Some(SYN_SENT)
    }

    /// Returns what has passed since the start.
    pub fn counts(&self) -> Counts {
        self.wire.counts()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.reset_all();
    }
}

/// A behavior of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Forwards everything.
    Pass,
    /// No server listens. Existing connections are reset.
    Refuse,
    /// Every connection, existing or new, is accepted and then reset.
    Reset,
    /// Every connection is accepted and nothing is forwarded, as with a frozen process.
    Stall,
    /// Connection requests are not answered (the client stays in SYN-SENT), and nothing is forwarded on
    /// existing connections, as with a dead machine or a firewall that drops packets. It uses a full accept
    /// queue, and so needs Linux.
    Blackhole,
    /// Each byte arrives this much later, with the same bandwidth as before.
    Delay(Duration),
    /// At most this many bytes per second in each direction, over all connections together.
    Bandwidth(u64),
}

impl Fault {
    fn listen_state(self) -> ListenState {
        match self {
            Self::Pass | Self::Stall | Self::Delay(_) | Self::Bandwidth(_) => ListenState::Open,
            Self::Refuse => ListenState::Closed,
            Self::Reset => ListenState::Resetting,
            Self::Blackhole => ListenState::Full,
        }
    }

    fn flow(self) -> FlowMode {
        match self {
            Self::Pass | Self::Refuse | Self::Reset => FlowMode::Free,
            Self::Stall | Self::Blackhole => FlowMode::Stopped,
            Self::Delay(delay) => FlowMode::Late(delay),
            Self::Bandwidth(rate) => FlowMode::Narrow(rate.max(1)),
        }
    }
}

/// A direction through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client, or another node, to the broker.
    ToBroker,
    /// From the broker.
    ToClient,
}

/// What has passed through a proxy. [`Cluster::client_counts`](crate::Cluster::client_counts) returns the sum
/// of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes forwarded from clients to the broker.
    pub to_broker: u64,
    /// Bytes forwarded from the broker to clients.
    pub to_client: u64,
    /// Connections open now.
    pub open: u64,
    /// Connections accepted since the start, including those that were reset at once.
    pub accepted: u64,
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            to_broker: self.to_broker + other.to_broker,
            to_client: self.to_client + other.to_client,
            open: self.open + other.open,
            accepted: self.accepted + other.accepted,
        }
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), std::ops::Add::add)
    }
}

/// The state of a socket whose connection request has no answer, as a number of the kernel.
const SYN_SENT: &str = "02";
