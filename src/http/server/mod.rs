//! TODO module head of http::server.

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
pub(in crate::http) mod writer;
