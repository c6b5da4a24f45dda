//! Building a page from the records of a fetch.

use bytes::Bytes;

use super::Page;
use crate::{
    event::{EncodeError, Encoding, Event, EventKind, Record, encode},
    position::Offset,
};

/// Collects records into a [`Page`].
#[derive(Debug)]
pub struct PageBuilder {
    start: Offset,
    next: Offset,
    events: Vec<Event>,
    arena: Vec<u8>,
    large: Vec<(Offset, Bytes)>,
    large_bytes: usize,
    encoding: Encoding,
}

impl PageBuilder {
    /// Creates a builder of a page that covers the offsets from `start` on.
    pub fn new(start: Offset, encoding: Encoding) -> Self {
        Self {
            start,
            next: start,
            events: Vec::new(),
            arena: Vec::new(),
            large: Vec::new(),
            large_bytes: 0,
            encoding,
        }
    }

    /// Creates a builder with room for this many events, and for this many bytes of headers, keys and lines. A page
    /// that grows into its size is copied again and again.
    pub fn with_capacity(start: Offset, encoding: Encoding, events: usize, bytes: usize) -> Self {
        Self {
            events: Vec::with_capacity(events),
            arena: Vec::with_capacity(bytes),
            ..Self::new(start, encoding)
        }
    }

    /// Adds one record. A record below the page's next offset is ignored, because a fetch may begin inside a batch.
    ///
    /// # Errors
    /// Fails if the record cannot be encoded. It is then in the page as [`EventKind::Skipped`]; the caller should count
    /// and log it.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), EncodeError> {
        if record.offset < self.next {
            return Ok(());
        }
        let start = self.arena.len();
        let headers = record.headers.as_bytes();
        self.arena.extend_from_slice(headers);
        self.arena.extend_from_slice(record.key.unwrap_or_default());
        let from = self.arena.len();
        let result = self.encode(record);
        let kind = *result.as_ref().unwrap_or(&EventKind::Skipped);
        if kind == EventKind::Skipped {
            self.arena.truncate(start);
        }
        let (is_seen, end) = (kind != EventKind::Skipped, self.arena.len());
        self.events.push(Event {
            offset: record.offset,
            timestamp: record.timestamp,
            epoch: record.epoch,
            kind,
            canary: record.canary,
            key: record.key.filter(|_| is_seen).map(|key| key.len() as u32),
            headers: if is_seen { headers.len() as u32 } else { 0 },
            lines: from.min(end) as u32..end as u32,
        });
        self.next = record.offset.saturating_add(1);
        result.map(drop)
    }

    /// Encodes a record's lines, into the arena or, if they are large, into a buffer of their own.
    fn encode(&mut self, record: &Record<'_>) -> Result<EventKind, EncodeError> {
        let size = record.value.or(record.key).map_or(0, <[u8]>::len);
        if size <= LARGE_VALUE {
            return encode(self.encoding, record, &mut self.arena);
        }
        // Room for the field name, the line end and the occasional escape. Base64 reserves its own room.
        let mut lines = Vec::with_capacity(size + 64 + size / 1024);
        let kind = encode(self.encoding, record, &mut lines)?;
        if kind != EventKind::Skipped {
            let lines = Bytes::from(lines.into_boxed_slice());
            self.large_bytes += lines.len();
            self.large.push((record.offset, lines));
        }
        Ok(kind)
    }

    /// Returns the number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Returns the bytes of headers, keys and lines. The caller must keep this below `u32::MAX`.
    pub fn bytes(&self) -> usize {
        self.arena.len() + self.large_bytes
    }

    /// Returns the offset after the last record added.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Returns the page, covering the offsets up to `next`, or at least up to the last record. `next` is the offset of
    /// the next fetch.
    pub fn finish(self, next: Offset) -> Page {
        Page {
            start: self.start,
            next: next.max(self.next),
            events: self.events.into_boxed_slice(),
            // Reserved memory that was not needed is given back.
            arena: self.arena.into_boxed_slice().into(),
            unreadable: false,
            large: self.large.into_boxed_slice(),
        }
    }
}

/// Values longer than this, in bytes, have their lines in a buffer of their own instead of the page's arena. It is the
/// size of a full batch of small events.
pub(super) const LARGE_VALUE: usize = 64 * 1024;
