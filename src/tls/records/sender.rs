//! The records that a client is sent.

use std::{hint::black_box, mem};

use bytes::{Buf, Bytes};
use tokio_rustls::rustls::Error;

use super::{
    ALERT, APPLICATION_DATA, HANDSHAKE, HEADER_LEN, KEY_UPDATE, TAIL_LEN,
    key::{ConnectionKeys, SealingKey},
};

/// The buffer in which records are sealed. The clients of a thread use one in turn, since nothing stays in it.
pub(crate) struct RecordBuffer(Box<[u8]>);

impl RecordBuffer {
    /// How many bytes are sealed at a time: a record, and a KeyUpdate before it. No record is larger than TLS allows.
    pub(crate) const LEN: usize = 16 * 1024;

    /// Returns the room for the text of a record.
    fn room(&mut self) -> &mut [u8] {
        let end = self.0.len() - TAIL_LEN;
        &mut self.0[KEY_UPDATE_LEN + HEADER_LEN..end]
    }
}

impl Default for RecordBuffer {
    fn default() -> Self {
        Self(vec![0; Self::LEN].into())
    }
}

/// Seals records in the order in which they are written: see [`records`](super).
pub(super) struct RecordSender {
    key: SealingKey,
    /// Nothing is sealed while there is something. On the heap, because hardly any client has something.
    unsent: Option<Box<Unsent>>,
    /// How many records one key seals, the KeyUpdate among them.
    key_update_after: u32,
    owes_key_update: bool,
    is_closed: bool,
    /// Whether sealing has failed. What was sealed last is lost then, and the client could open nothing behind it.
    is_broken: bool,
}

/// What was sealed and is not written yet: at least a byte.
struct Unsent {
    bytes: Bytes,
    /// Whether these bytes count in a budget.
    is_counted: bool,
}

impl RecordSender {
    pub(super) fn new(key: SealingKey, key_update_after: u32) -> Self {
        Self {
            key,
            unsent: None,
            key_update_after,
            owes_key_update: false,
            is_closed: false,
            is_broken: false,
        }
    }

    /// See [`TlsRecords::send`](super::TlsRecords::send).
    pub(super) fn send(
        &mut self,
        buffer: &mut RecordBuffer,
        keys: &mut impl ConnectionKeys,
        fill: impl FnOnce(&mut [u8]) -> usize,
        write: impl FnOnce(&[u8]) -> usize,
    ) -> Result<usize, Error> {
        if self.is_broken {
            return Err(Error::EncryptError);
        }
        if self.is_closed || self.unsent.is_some() {
            return Ok(0);
        }
        let room = buffer.room();
        let length = fill(room).min(room.len());
        if length == 0 {
            return Ok(0);
        }
        self.is_broken = true;
        let start = self.update_key(&mut buffer.0, keys)?;
        let end = KEY_UPDATE_LEN + HEADER_LEN + length + TAIL_LEN;
        self.key
            .seal(APPLICATION_DATA, &mut buffer.0[KEY_UPDATE_LEN..end])?;
        self.is_broken = false;
        let sealed = &buffer.0[start..end];
        let written = write(sealed).min(sealed.len());
        if written < sealed.len() {
            self.keep(Bytes::copy_from_slice(&sealed[written..]));
        }
        Ok(length)
    }

    /// Returns how many records there were under the key.
    #[cfg(test)]
    pub(super) fn sequence(&self) -> u64 {
        self.key.sequence()
    }

    /// Sends a KeyUpdate before the next record.
    pub(super) fn request_key_update(&mut self) {
        self.owes_key_update = true;
    }

    pub(super) fn unsent(&self) -> &[u8] {
        self.unsent.as_ref().map_or(&[], |unsent| &unsent.bytes)
    }

    /// See [`TlsRecords::prefetch`](super::TlsRecords::prefetch).
    pub(super) fn prefetch(&self) {
        black_box((self.key.sequence(), self.unsent.is_some(), self.is_broken));
        self.key.prefetch();
    }

    pub(super) fn advance(&mut self, written: usize) {
        if let Some(unsent) = &mut self.unsent {
            unsent.bytes.advance(written.min(unsent.bytes.len()));
            self.unsent.take_if(|unsent| unsent.bytes.is_empty());
        }
    }

    /// Counts what is not written in a budget, once: see [`TlsRecords::count_unsent`](super::TlsRecords::count_unsent).
    pub(super) fn count_unsent(&mut self, count: impl FnOnce(Vec<u8>) -> Bytes) {
        if let Some(unsent) = self.unsent.as_mut().filter(|unsent| !unsent.is_counted) {
            unsent.bytes = count(mem::take(&mut unsent.bytes).into());
            unsent.is_counted = true;
        }
    }

    /// Keeps what is sealed and not written, which is not empty.
    fn keep(&mut self, bytes: Bytes) {
        self.unsent = Some(Box::new(Unsent {
            bytes,
            is_counted: false,
        }));
    }

    pub(super) fn close(&mut self) -> Result<(), Error> {
        if self.is_broken {
            return Err(Error::EncryptError);
        }
        if self.is_closed {
            return Ok(());
        }
        // A record that waits is written before this one.
        let mut record = [0; HEADER_LEN + CLOSE_NOTIFY.len() + TAIL_LEN];
        record[HEADER_LEN..][..CLOSE_NOTIFY.len()].copy_from_slice(&CLOSE_NOTIFY);
        self.is_broken = true;
        self.key.seal(ALERT, &mut record)?;
        (self.is_broken, self.is_closed) = (false, true);
        self.keep([self.unsent(), &record[..]].concat().into());
        Ok(())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Seals a KeyUpdate at the beginning of the buffer if one is due, and changes the key. Returns where in the buffer the records
    /// begin.
    fn update_key(&mut self, buffer: &mut [u8], keys: &mut impl ConnectionKeys) -> Result<usize, Error> {
        // The KeyUpdate is the last record under its key.
        let is_used_up = self.key.sequence() + 1 >= u64::from(self.key_update_after);
        if !is_used_up && !self.owes_key_update {
            return Ok(KEY_UPDATE_LEN);
        }
        let record = &mut buffer[..KEY_UPDATE_LEN];
        record[HEADER_LEN..][..KEY_UPDATE.len()].copy_from_slice(&KEY_UPDATE);
        // The client may keep its own key: it has hardly sealed anything.
        record[HEADER_LEN + KEY_UPDATE.len()] = UPDATE_NOT_REQUESTED;
        self.key.seal(HANDSHAKE, record)?;
        self.key = SealingKey::new(keys.next_sending()?, 0)?;
        self.owes_key_update = false;
        Ok(0)
    }
}

/// The length of a sealed KeyUpdate.
const KEY_UPDATE_LEN: usize = HEADER_LEN + KEY_UPDATE.len() + 1 + TAIL_LEN;

const UPDATE_NOT_REQUESTED: u8 = 0;

/// The alert that ends a connection in order (RFC 8446, section 6.1).
const CLOSE_NOTIFY: [u8; 2] = [1, 0];
