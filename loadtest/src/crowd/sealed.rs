//! TLS of one of many clients.

use std::io::{self, Read, Write};

use rustls::{ClientConnection, HandshakeKind};

use crate::tls::TlsTrust;

/// The TLS of a connection.
#[derive(Debug)]
pub(super) struct ClientTls(Box<ClientConnection>);

impl ClientTls {
    /// Starts a handshake.
    pub(super) fn begin(trust: &TlsTrust) -> io::Result<Self> {
        trust.begin().map(|connection| Self(Box::new(connection)))
    }

    /// Returns whether the handshake is not complete.
    pub(super) fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Returns whether the handshake resumed a session.
    pub(super) fn is_resumed(&self) -> bool {
        self.0.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Seals text, to be written with what there [is](Self::outgoing).
    pub(super) fn seal(&mut self, text: &[u8]) -> io::Result<()> {
        self.0.writer().write_all(text)
    }

    /// Returns what is to be written.
    pub(super) fn outgoing(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes)?;
        }
        Ok(bytes)
    }

    /// Opens what was received. Fails if a record is not the next one.
    pub(super) fn open(&mut self, mut bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes)?;
            self.0.process_new_packets().map_err(io::Error::other)?;
            match self.0.reader().read_to_end(&mut text) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(text)
    }
}
