//! TLS of the listeners: certificates and keys from files, the choice among them, reading them again while serving, and session
//! tickets; and of a connection: its session, and its records once a stream has left that.
//!
//! Not here: reading and writing the socket (`http::server::tls`, `http::fanout`), and what a probe shows and sees as a client.
//!
//! [`TlsServer`] is what a listener serves with. It is loaded once, and [watches](TlsServer::watch) its files from then on. A file
//! that is broken then changes nothing.

mod certificate;
mod check;
pub mod client;
mod client_certificate;
mod client_rules;
mod config;
mod fault;
mod files;
#[doc(hidden)]
pub mod fuzzing;
mod handshakes;
mod load;
mod records;
mod resolver;
mod server;
mod session;
pub mod settings;
#[cfg(test)]
pub(crate) mod test_pair;
mod tickets;
mod turns;

pub use self::{
    check::{CertificateSummary, CheckedFiles, check},
    client_certificate::{CertificateName, ClientCertificate},
    fault::{TlsFault, TlsFaults},
    server::{LOOK_INTERVAL, TlsServer},
    turns::HandshakeTurn,
};
pub(crate) use self::{
    records::{RecordBuffer, TlsRecords},
    session::TlsSession,
};
