//! Hot restart: a successor takes over the listening sockets themselves, so that no client meets a refused port.
//!
//! On SIGUSR2 the process starts its [`Successor`] with the same command line, so that a binary that was replaced meanwhile is
//! the new one, and with the sockets as inherited descriptors (`LISTEN_FDS`, as systemd does). SO_REUSEPORT is never used:
//! closing one of several such sockets resets the connections that wait in its queue. The successor accepts nothing before Kafka
//! has answered it. Then it sends a byte over a socket pair, and its [`Predecessor`] stops accepting and drains. A successor that
//! Kafka does not answer ends, and the predecessor continues to serve.
//!
//! Until then the predecessor may be told to reload or to revoke credentials. So the successor reads its files again before it accepts,
//! and when the predecessor has noticed that it does. While the predecessor drains, each applies what the other revokes.
//!
//! The keys of tickets come over a socket pair of their own, so that they are in no environment, command line or file. A
//! successor of a version that does not know it ignores it. On the first pair it would take any byte for the end of its predecessor.

mod hot_restart;
mod predecessor;
mod slots;
mod sockets;
mod successor;
mod ticket_keys;

pub(super) use hot_restart::HotRestart;
pub(super) use predecessor::Predecessor;
use sockets::SpareSockets;
pub(super) use sockets::{ListenAddresses, ListenSockets};
use successor::Successor;

/// The message of a successor that accepts connections. It is one byte, which arrives whole or not at all.
const READY: u8 = b'+';

/// The name of the descriptor for this message, in `LISTEN_FDNAMES`. The other descriptors have the names of their sections.
const CHANNEL: &str = "riverhead-handover";

/// The name of the descriptor with the keys of tickets.
const TICKET_KEYS: &str = "riverhead-ticket-keys";
