//! The records that a client is sent.

use std::{hint::black_box, mem};

use bytes::{Buf, Bytes};
use tokio_rustls::rustls::Error;

use super::{
    ALERT, APPLICATION_DATA, HANDSHAKE, HEADER_LEN, KEY_UPDATE, TAIL_LEN,
    key::{NextKeys, RecordKey},
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
    key: RecordKey,
    /// What was sealed and is not written yet. Nothing is sealed until it is empty.
    unsent: Bytes,
    /// Whether these bytes count in a budget.
    is_counted: bool,
    /// How many records one key seals, the KeyUpdate among them.
    key_update_after: u64,
    owes_key_update: bool,
    is_closed: bool,
    /// Whether sealing has failed. What was sealed last is lost then, and the client could open nothing behind it.
    is_broken: bool,
}

impl RecordSender {
    pub(super) fn new(key: RecordKey, key_update_after: u32) -> Self {
        Self {
            key,
            unsent: Bytes::new(),
            is_counted: false,
            key_update_after: key_update_after.into(),
            owes_key_update: false,
            is_closed: false,
            is_broken: false,
        }
    }

    /// See [`TlsRecords::send`](super::TlsRecords::send).
    pub(super) fn send(
        &mut self,
        buffer: &mut RecordBuffer,
        next_keys: &mut impl NextKeys,
        fill: impl FnOnce(&mut [u8]) -> usize,
        write: impl FnOnce(&[u8]) -> usize,
    ) -> Result<usize, Error> {
        if self.is_broken {
            return Err(Error::EncryptError);
        }
        if self.is_closed || !self.unsent.is_empty() {
            return Ok(0);
        }
        let room = buffer.room();
        let length = fill(room).min(room.len());
        if length == 0 {
            return Ok(0);
        }
        self.is_broken = true;
        let start = self.update_key(&mut buffer.0, next_keys)?;
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
        &self.unsent
    }

    /// See [`TlsRecords::prefetch`](super::TlsRecords::prefetch).
    pub(super) fn prefetch(&self) {
        black_box((self.key.sequence(), self.unsent.len(), self.is_broken));
    }

    pub(super) fn advance(&mut self, written: usize) {
        self.unsent.advance(written.min(self.unsent.len()));
        if self.unsent.is_empty() {
            self.keep(Bytes::new());
        }
    }

    /// Counts what is not written in a budget, once: see [`TlsRecords::count_unsent`](super::TlsRecords::count_unsent).
    pub(super) fn count_unsent(&mut self, count: impl FnOnce(Vec<u8>) -> Bytes) {
        if !self.is_counted && !self.unsent.is_empty() {
            self.unsent = count(mem::take(&mut self.unsent).into());
            self.is_counted = true;
        }
    }

    fn keep(&mut self, unsent: Bytes) {
        (self.unsent, self.is_counted) = (unsent, false);
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
        self.keep([&self.unsent, &record[..]].concat().into());
        Ok(())
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Seals a KeyUpdate at the beginning of the buffer if one is due, and changes the key. Returns where in the buffer the records
    /// begin.
    fn update_key(&mut self, buffer: &mut [u8], next_keys: &mut impl NextKeys) -> Result<usize, Error> {
        // The KeyUpdate is the last record under its key.
        let is_used_up = self.key.sequence() + 1 >= self.key_update_after;
        if !is_used_up && !self.owes_key_update {
            return Ok(KEY_UPDATE_LEN);
        }
        let record = &mut buffer[..KEY_UPDATE_LEN];
        record[HEADER_LEN..][..KEY_UPDATE.len()].copy_from_slice(&KEY_UPDATE);
        // The client may keep its own key: it has hardly sealed anything.
        record[HEADER_LEN + KEY_UPDATE.len()] = UPDATE_NOT_REQUESTED;
        self.key.seal(HANDSHAKE, record)?;
        self.key = RecordKey::new(next_keys.next_sending()?, 0);
        self.owes_key_update = false;
        Ok(0)
    }
}

/// The length of a sealed KeyUpdate.
const KEY_UPDATE_LEN: usize = HEADER_LEN + KEY_UPDATE.len() + 1 + TAIL_LEN;

const UPDATE_NOT_REQUESTED: u8 = 0;

/// The alert that ends a connection in order (RFC 8446, section 6.1).
const CLOSE_NOTIFY: [u8; 2] = [1, 0];
