//! TLS of the listeners: certificates and keys from files, the choice among them, reading them again while serving, and session
//! tickets.
//!
//! Not here: the handshake of a connection (`http::server::tls`), and the TLS of the probe, which is a client.
//!
//! [`TlsServer`] is what a listener serves with. It is loaded once, and [watches](TlsServer::watch) its files from then on. A file
//! that is broken then changes nothing.

mod certificate;
mod check;
mod client_rules;
mod config;
mod fault;
mod files;
mod handshakes;
mod load;
mod resolver;
mod server;
pub mod settings;
mod tickets;

pub use self::{
    certificate::expires_before,
    check::{CertificateSummary, CheckedFiles, check},
    fault::{TlsFault, TlsFaults},
    server::{LOOK_INTERVAL, TlsServer},
};
