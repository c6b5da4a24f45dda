//! Listeners and connections: everything between the socket and the service that answers requests.
//!
//! Not here: the routes (`routes`), and writing a stream whose connection hyper has given back (`fanout`).
//!
//! `listener` accepts. `connection` serves one connection: `sniff` reads a PROXY header and detects the protocol, or `tls` does a
//! handshake; then `http1` or `http2` lets hyper answer requests over the `transport`, which is `io` or TLS above it. `unread_head` is
//! for requests that hyper cannot read. `conn` is the state of a connection that hyper, the bodies and the sinks share, and `writer`
//! the one way to write to its socket. `context` is the listener as its connections see it.

pub(in crate::http) mod close;
pub(in crate::http) mod conn;
pub(in crate::http) mod connection;
pub(in crate::http) mod connection_guard;
pub(in crate::http) mod context;
pub(in crate::http) mod h2_stream;
pub(in crate::http) mod handler;
pub(in crate::http) mod http1;
pub(in crate::http) mod http2;
pub(in crate::http) mod io;
pub(in crate::http) mod listener;
pub(in crate::http) mod panics;
pub(in crate::http) mod pending_write;
pub(in crate::http) mod sniff;
pub(in crate::http) mod tcp_info;
#[cfg(test)]
pub(in crate::http) mod test_socket;
pub(in crate::http) mod tls;
pub(in crate::http) mod transport;
pub(in crate::http) mod unread_head;
pub(in crate::http) mod writer;
