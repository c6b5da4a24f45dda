//! The records that a client sends while a stream is on its connection.

use std::hint::black_box;

use tokio_rustls::rustls::Error;

use super::{
    ALERT, APPLICATION_DATA, HANDSHAKE, HEADER_LEN, KEY_UPDATE, TAIL_LEN,
    key::{ConnectionKeys, KeyMaterial},
};

/// Why a stream ends because of what its client has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReceiveError {
    /// The client has ended the connection, in order or with an alert.
    #[error("the client has ended the connection")]
    Closed,
    /// The client has sent more than a client of a stream has to say.
    #[error("the client has sent too much")]
    TooMuch,
    /// What came is no record of this connection, or not allowed here.
    #[error("the client has sent a bad record")]
    Malformed,
}

impl From<Error> for ReceiveError {
    fn from(_: Error) -> Self {
        Self::Malformed
    }
}

/// Opens what a client sends.
pub(super) struct RecordReader {
    /// The sequence number of the next record under the key.
    sequence: u64,
    /// The beginning of a record whose rest has not come yet. On the heap, because hardly any client has one.
    partial: Option<Box<PartialRecord>>,
    /// How much of a KeyUpdate has come, which may be in several records.
    key_update_len: u8,
    /// How many KeyUpdates and alerts have come since the last event was sent.
    control_records: u8,
    /// How many empty records have come in a row.
    empty_records: u8,
}

#[derive(Default)]
struct PartialRecord {
    bytes: Vec<u8>,
}

impl RecordReader {
    /// Creates one whose next record has this sequence number.
    pub(super) fn new(sequence: u64) -> Self {
        Self {
            sequence,
            partial: None,
            key_update_len: 0,
            control_records: 0,
            empty_records: 0,
        }
    }

    /// Allows the client as many KeyUpdates as at first, because an event was sent.
    pub(super) fn allow_more(&mut self) {
        self.control_records = 0;
    }

    /// See [`TlsRecords::prefetch`](super::TlsRecords::prefetch).
    pub(super) fn prefetch(&self) {
        black_box(self.control_records);
    }

    /// Returns how many bytes are held because the rest of their record has not come.
    pub(super) fn held(&self) -> usize {
        self.partial().len()
    }

    fn partial(&self) -> &[u8] {
        self.partial.as_ref().map_or(&[], |partial| &partial.bytes)
    }

    /// Takes what has come. Returns whether the client has asked for a KeyUpdate. The budget is reduced by all data and padding.
    pub(super) fn receive(
        &mut self,
        mut bytes: &[u8],
        budget: &mut usize,
        keys: &mut impl ConnectionKeys,
    ) -> Result<bool, ReceiveError> {
        let (mut is_update_requested, mut key) = (false, ReceivingKey { keys, derived: None });
        while !bytes.is_empty() {
            let wanted = self.record_len()?.unwrap_or(HEADER_LEN) - self.held();
            let (more, rest) = bytes.split_at(wanted.min(bytes.len()));
            let partial = self.partial.get_or_insert_default();
            partial.bytes.extend_from_slice(more);
            bytes = rest;
            let is_whole = self.record_len()? == Some(self.held());
            if let Some(mut record) = self.partial.take_if(|_| is_whole) {
                is_update_requested |= self.take_record(&mut record.bytes, budget, &mut key)?;
            }
        }
        Ok(is_update_requested)
    }

    /// Returns the length of the record that has begun, with its header, if the header is complete.
    fn record_len(&self) -> Result<Option<usize>, ReceiveError> {
        let Some(&[kind, major, _, high, low]) = self.partial().first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let sealed = usize::from(u16::from_be_bytes([high, low]));
        // Nothing but sealed records comes behind a handshake, and each has a type and a tag.
        if (kind, major) != (APPLICATION_DATA, 3) || !(TAIL_LEN..=MAX_SEALED_LEN).contains(&sealed) {
            return Err(ReceiveError::Malformed);
        }
        Ok(Some(HEADER_LEN + sealed))
    }

    /// Opens a record and does what it says. Returns whether it asks for a KeyUpdate.
    fn take_record(
        &mut self,
        record: &mut [u8],
        budget: &mut usize,
        key: &mut ReceivingKey<'_, impl ConnectionKeys>,
    ) -> Result<bool, ReceiveError> {
        let length = record.len();
        let sequence = self.sequence;
        // Never taken twice, whatever comes.
        self.sequence = sequence.checked_add(1).ok_or(ReceiveError::TooMuch)?;
        let opened = key.get()?.open(sequence, record)?;
        // The type is the last byte that is not zero. Zeros behind it are padding.
        let end = opened.iter().rposition(|byte| *byte != 0);
        let (kind, text) = end
            .and_then(|end| opened[..=end].split_last())
            .ok_or(ReceiveError::Malformed)?;
        if opened.len() > MAX_TEXT_LEN + 1 {
            return Err(ReceiveError::Malformed);
        }
        self.count_empty(text)?;
        // Whoever updates keys for days sends nothing but KeyUpdates, which need no budget. Their padding does.
        let free = if *kind == APPLICATION_DATA {
            0
        } else {
            CONTROL_RECORD_LEN
        };
        *budget = budget
            .checked_sub(length.saturating_sub(free))
            .ok_or(ReceiveError::TooMuch)?;
        match *kind {
            // No other record may come between the parts of a handshake message (RFC 8446, section 5.1).
            HANDSHAKE => self.take_handshake(text, key),
            _ if self.key_update_len > 0 => Err(ReceiveError::Malformed),
            APPLICATION_DATA => Ok(false),
            ALERT => self.take_alert(text).map(|()| false),
            _ => Err(ReceiveError::Malformed),
        }
    }

    /// Counts empty records in a row, which cost work and say nothing.
    fn count_empty(&mut self, text: &[u8]) -> Result<(), ReceiveError> {
        self.empty_records = if text.is_empty() {
            self.empty_records + 1
        } else {
            0
        };
        match self.empty_records > MAX_EMPTY_RECORDS {
            true => Err(ReceiveError::TooMuch),
            false => Ok(()),
        }
    }

    /// Follows a KeyUpdate, which is the only message that a client may send behind its handshake. Returns whether it asks for one.
    fn take_handshake(
        &mut self,
        text: &[u8],
        key: &mut ReceivingKey<'_, impl ConnectionKeys>,
    ) -> Result<bool, ReceiveError> {
        if text.is_empty() {
            return Err(ReceiveError::Malformed);
        }
        let rest = &KEY_UPDATE[usize::from(self.key_update_len)..];
        let (head, request) = text.split_at(text.len().min(rest.len()));
        if !rest.starts_with(head) {
            return Err(ReceiveError::Malformed);
        }
        self.key_update_len += head.len() as u8;
        let is_requested = match request {
            [] => return Ok(false),
            [0] => false,
            [1] => true,
            // An unknown request, or bytes that would belong to the next key.
            _ => return Err(ReceiveError::Malformed),
        };
        self.count_control()?;
        key.update()?;
        (self.sequence, self.key_update_len) = (0, 0);
        Ok(is_requested)
    }

    /// Ends the stream by any alert but one, which some clients send before close_notify.
    fn take_alert(&mut self, text: &[u8]) -> Result<(), ReceiveError> {
        match text {
            [_, USER_CANCELED] => self.count_control(),
            [_, _] => Err(ReceiveError::Closed),
            _ => Err(ReceiveError::Malformed),
        }
    }

    fn count_control(&mut self) -> Result<(), ReceiveError> {
        self.control_records += 1;
        match self.control_records > MAX_CONTROL_RECORDS {
            true => Err(ReceiveError::TooMuch),
            false => Ok(()),
        }
    }
}

/// The key of what is received, while received bytes are taken. It is derived for the first record that is complete.
struct ReceivingKey<'a, K> {
    keys: &'a mut K,
    derived: Option<KeyMaterial>,
}

impl<K: ConnectionKeys> ReceivingKey<'_, K> {
    fn get(&mut self) -> Result<&KeyMaterial, Error> {
        let key = match self.derived.take() {
            Some(key) => key,
            None => self.keys.receiving()?,
        };
        Ok(self.derived.insert(key))
    }

    /// Goes on to the next key.
    fn update(&mut self) -> Result<(), Error> {
        self.derived = None;
        self.keys.next_receiving()
    }
}

/// The most bytes of text in a record (RFC 8446, section 5.1).
const MAX_TEXT_LEN: usize = 1 << 14;

/// The most bytes of a record behind its header (RFC 8446, section 5.2).
const MAX_SEALED_LEN: usize = MAX_TEXT_LEN + 256;

/// How many KeyUpdates a client may send without an event between: as many as rustls and BoringSSL allow.
const MAX_CONTROL_RECORDS: u8 = 32;

/// How many empty records may come in a row, as in rustls.
const MAX_EMPTY_RECORDS: u8 = 32;

/// The length, in bytes, up to which a KeyUpdate or an alert costs no budget. Without padding they have 27 and 24.
const CONTROL_RECORD_LEN: usize = 64;

/// An alert that says nothing (RFC 8446, section 6.1). Java sends it.
const USER_CANCELED: u8 = 90;
