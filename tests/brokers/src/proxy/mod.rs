//! A TCP proxy that can be told to misbehave: the fault injector in front of every listener of a broker.
//!
//! It needs no privileges, and the address it listens on stays the same whatever happens to the node behind.

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
    /// Listens on a free loopback port and forwards to `target`, faithfully at first.
    pub fn start(target: SocketAddr) -> Self {
        let wire = Arc::new(Wire::new(target));
        let (address, keeper) = ListenerHandle::start(Arc::clone(&wire));
        Self {
            address,
            wire,
            keeper,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts another proxy in front of the same address: a way in that the node behind it advertises to nobody.
    pub fn beside(&self) -> Self {
        Self::start(self.wire.target)
    }

    /// Behaves so from now on, in both directions and towards connections that exist already.
    pub fn set(&self, fault: Fault) {
        self.wire.set_flow(None, fault.flow());
        self.keeper.set(fault.listen_state());
        if matches!(fault, Fault::Refuse | Fault::Reset) {
            self.wire.reset_all();
        }
    }

    /// Behaves so in one direction; the other direction and the port stay as they are.
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

    /// Resets the connections that exist, once, and behaves on as before.
    pub fn cut(&self) {
        self.wire.reset_all();
    }

    /// How many connection requests to its port, of this network namespace, have got no answer yet: sockets in SYN-SENT.
    ///
    /// # Panics
    ///
    /// Where there is no `/proc/net/tcp`.
    pub fn unanswered(&self) -> u64 {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux's table of sockets");
        table.lines().filter(|line| self.is_unanswered(line)).count() as u64
    }

    /// `   3: 0100007F:9C40 0100007F:2384 02 ...`: the local address, the other one and the state, in hexadecimal; the
    /// bytes of an IPv4 address stand in the order in which this machine would read them as a number.
    fn is_unanswered(&self, line: &str) -> bool {
        let mut fields = line.split_whitespace().skip(2);
        let SocketAddr::V4(address) = self.address else {
            return false;
        };
        let ip = u32::from_ne_bytes(address.ip().octets());
        let own = format!("{ip:08X}:{:04X}", address.port());
        fields.next() == Some(own.as_str()) && fields.next() == Some(SYN_SENT)
    }

    /// What has passed since the start.
    pub fn counts(&self) -> Counts {
        self.wire.counts()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.reset_all();
    }
}

/// A way to behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Forwards all.
    Pass,
    /// Nobody listens; existing connections are reset.
    Refuse,
    /// Every connection, existing or new, is accepted and then reset.
    Reset,
    /// Every connection is accepted and stays mute, as with a frozen process.
    Stall,
    /// No answer to a connection request (the client stays in SYN-SENT), existing connections mute: as with a
    /// dead machine or a firewall that drops. Made of a full accept queue, hence Linux only.
    Blackhole,
    /// Each byte arrives this much later; as many bytes per second as before.
    Delay(Duration),
    /// At most so many bytes per second in each direction, over all connections together.
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
    /// From the client, or the other node, to the broker.
    ToBroker,
    /// From the broker.
    ToClient,
}

/// What has passed through a proxy. [`Cluster::client_counts`](crate::Cluster::client_counts) sums them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes forwarded from clients to the broker.
    pub to_broker: u64,
    /// Bytes forwarded from the broker to clients.
    pub to_client: u64,
    /// Connections open now.
    pub open: u64,
    /// Connections accepted since the start, those that were reset at once included.
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

/// The state of a socket whose connection request has got no answer, in the kernel's numbers.
const SYN_SENT: &str = "02";
