//! Hot restart: a successor takes over the listening sockets themselves, so that nobody meets a refused port.
//!
//! On SIGUSR2 the process starts its [`Successor`]: the same command line, so that a binary that was replaced meanwhile is
//! the new one, with the sockets as inherited descriptors (`LISTEN_FDS`, as of systemd). Never SO_REUSEPORT: closing one of
//! several such sockets resets whoever waits in its queue. The successor accepts nothing before Kafka has answered it; then
//! it says so over a socket of their own, and its [`Predecessor`] lets nobody in any more and drains. A successor that Kafka
//! does not answer ends, and all is as before.

mod hot_restart;
mod predecessor;
mod sockets;
mod successor;

pub(super) use hot_restart::HotRestart;
use predecessor::Predecessor;
pub(super) use sockets::ListenSockets;
use sockets::SpareSockets;
use successor::Successor;

/// What the successor says when it accepts: one byte, which comes whole or not at all.
const READY: u8 = b'+';

/// The name of the descriptor over which it says so, in `LISTEN_FDNAMES`. The names of the others are those of the sections
/// that they belong to.
const CHANNEL: &str = "riverhead-handover";
