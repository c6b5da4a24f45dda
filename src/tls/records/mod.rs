//! The record protocol of TLS 1.3 (RFC 8446, section 5) for a connection that rustls no longer serves: a stream on the bare socket.
//!
//! Not here: the handshake and everything before the stream (`tls::session`), and the socket (`http::fanout`).
//!
//! rustls keeps buffers of tens of kilobytes for each connection, and seals only what is given to it piece by piece. A stream needs
//! two keys, and the bytes that it sends are shared with thousands of others. So [`TlsRecords`] has the keys of one client, and
//! seals the shared bytes in a [`RecordBuffer`] that all clients of a thread use in turn. The key that seals is kept expanded; the
//! other is derived anew when a client sends something, which hardly any does.
//!
//! # Rules
//!
//! 1. A nonce is the sequence number of its record. The number is taken before the record is sealed, and never again. Nothing is sealed
//!    twice: what the socket did not take is kept sealed.
//! 2. Records are written in the order in which they were sealed. Nothing is sealed while an earlier record waits, so that at most
//!    [`RecordBuffer::LEN`] bytes of a client wait.
//! 3. A KeyUpdate is sent before a key has sealed more records than is allowed, and before the next event once the client has
//!    asked for one. A client that asks in a flood gets one.
//! 4. What the client sends is opened to follow its KeyUpdates and to notice its end. Everything else is discarded, and all of it is
//!    bounded.

mod expanded_key;
mod key;
mod reader;
mod schedule;
mod sender;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use tokio_rustls::rustls::{Error, ExtractedSecrets};

pub(crate) use self::reader::ReceiveError;
pub(crate) use self::sender::RecordBuffer;
pub(super) use self::{
    key::{ConnectionKeys, KeyMaterial, SealingKey, sealed_record},
    schedule::{HandshakeSecrets, KeySchedule, SecretLog},
};
use self::{reader::RecordReader, sender::RecordSender};

/// The records of one connection, in both directions.
pub(crate) struct TlsRecords<K = KeySchedule> {
    sender: RecordSender,
    reader: RecordReader,
    keys: K,
}

impl<K: ConnectionKeys> TlsRecords<K> {
    /// Goes on where rustls stopped, with `keys` whose keys are those of `secrets` now. At most `key_update_after` records are sealed
    /// under one key.
    ///
    /// # Errors
    /// When the cipher is unknown.
    pub(super) fn new(secrets: &ExtractedSecrets, keys: K, key_update_after: u32) -> Result<Self, Error> {
        let (sent, sending) = &secrets.tx;
        let (received, _) = secrets.rx;
        let key = SealingKey::new(KeyMaterial::of(sending)?, *sent)?;
        Ok(Self {
            sender: RecordSender::new(key, key_update_after),
            reader: RecordReader::new(received),
            keys,
        })
    }

    /// Seals a record of what `fill` puts into the room that it is given, and lets `write` write it. `fill` and `write` return how many
    /// bytes that was. What is not written is kept, and nothing is sealed before all of it is. Returns how many bytes were sealed.
    ///
    /// # Errors
    /// When nothing can be sealed any more. The connection must end then.
    pub(crate) fn send(
        &mut self,
        buffer: &mut RecordBuffer,
        fill: impl FnOnce(&mut [u8]) -> usize,
        write: impl FnOnce(&[u8]) -> usize,
    ) -> Result<usize, Error> {
        let sealed = self.sender.send(buffer, &mut self.keys, fill, write)?;
        if sealed > 0 {
            self.reader.allow_more();
        }
        Ok(sealed)
    }

    /// Reads the memory that [`send`](Self::send) will need, so that it is in the processor's cache then.
    pub(crate) fn prefetch(&self) {
        self.sender.prefetch();
        self.reader.prefetch();
    }

    /// Returns what was sealed and not written.
    pub(crate) fn unsent(&self) -> &[u8] {
        self.sender.unsent()
    }

    /// Replaces what was sealed and not written by what `count` makes of it, unless that is done. `count` returns the same bytes, which
    /// then count in a budget until they are dropped.
    pub(crate) fn count_unsent(&mut self, count: impl FnOnce(Vec<u8>) -> Bytes) {
        self.sender.count_unsent(count);
    }

    /// Records that so many of the [unsent](Self::unsent) bytes are written.
    pub(crate) fn advance(&mut self, written: usize) {
        self.sender.advance(written);
    }

    /// Seals close_notify, unless that is done. Nothing is sealed behind it.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        self.sender.close()
    }

    /// Whether close_notify was sealed.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Takes what the client has sent, at most `budget` bytes of which may be data. The budget is reduced by these.
    ///
    /// # Errors
    /// When the stream must end: the client has ended it, or has broken a rule.
    pub(crate) fn receive(&mut self, bytes: &[u8], budget: &mut usize) -> Result<(), ReceiveError> {
        let is_update_requested = self.reader.receive(bytes, budget, &mut self.keys)?;
        if is_update_requested {
            self.sender.request_key_update();
        }
        Ok(())
    }
}

impl<K> TlsRecords<K> {
    /// Returns how many received bytes are held because the rest of their record has not come.
    pub(super) fn held(&self) -> usize {
        self.reader.held()
    }
}

debug_by_name!(TlsRecords<K>);

/// The length of a record's header: type, version and length.
const HEADER_LEN: usize = 5;

/// What sealing adds behind the text: its type, and the tag of the AEAD, which has 16 bytes in every cipher of TLS 1.3.
const TAIL_LEN: usize = 1 + TAG_LEN;

const TAG_LEN: usize = 16;

/// The types of records (RFC 8446, section 5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// The beginning of a KeyUpdate (RFC 8446, section 4.6.3). It ends with a byte that says whether the other side is asked for one.
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];
