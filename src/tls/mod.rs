//! TLS of the listeners: certificates and keys from files, the choice among them, and reading them again while serving.
//!
//! Not here: the handshake of a connection (`http::server::tls`), and what a probe shows and sees as a client.
//!
//! [`TlsServer`] is what a listener serves with. It is loaded once, and [watches](TlsServer::watch) its files from then on. A file
//! that is broken then changes nothing.

mod certificate;
mod check;
pub mod client;
mod config;
mod fault;
mod files;
mod handshakes;
mod load;
mod resolver;
mod server;
pub mod settings;

pub use self::{
    certificate::expires_before,
    check::{CertificateSummary, check},
    fault::{TlsFault, TlsFaults},
    server::{LOOK_INTERVAL, TlsServer},
};
