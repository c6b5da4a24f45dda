//! The stream of one client as a state machine without I/O.
//!
//! `state_machine` decides what bytes come next (the prelude, events, a heartbeat after a silence), and when the stream ends.
//! The deadlines and the accounting of a stream are here, once for both sinks.
//!
//! Not here: the source of the events (`subscription`). The sinks write the bytes: `body`, which also chooses the sink, through
//! hyper, and `fanout::socket` to the bare socket. `handoff` takes a connection from the one to the other.

pub(in crate::http) mod accounting;
pub(in crate::http) mod body;
pub(in crate::http) mod evict;
pub(in crate::http) mod expiry;
pub(in crate::http) mod gzip;
pub(in crate::http) mod handle;
pub(in crate::http) mod handoff;
pub(in crate::http) mod segments;
pub(in crate::http) mod state_machine;
#[cfg(test)]
mod tests;
