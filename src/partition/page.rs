//! Pages: immutable runs of encoded events of one partition.

use std::ops::Range;

use bytes::Bytes;

use crate::{
    event::{EncodeError, Encoding, Event, EventKind, Headers, Record, encode},
    position::Offset,
};

/// An immutable run of encoded events of one partition, shared by `Arc`.
///
/// A page states the range of offsets that it covers, so that the holes left by compaction and transactions need no
/// further read.
///
/// ```
/// use riverhead::{
///     event::{Encoding, Headers, Record},
///     partition::PageBuilder,
/// };
///
/// let mut page = PageBuilder::new(10, Encoding::default());
/// page.push(&Record {
///     offset: 12,
///     timestamp: 0,
///     epoch: 0,
///     key: None,
///     headers: Headers::default(),
///     value: Some(b"{}"),
///     canary: false,
/// })?;
/// let page = page.finish(15);
///
/// assert_eq!(page.range(), 10..15);
/// assert_eq!(page.lines(&page.events()[0]), b"data: {}\n");
/// assert!(page.at(11).is_none(), "a hole");
/// # Ok::<(), riverhead::event::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Page {
    start: Offset,
    next: Offset,
    events: Box<[Event]>,
    arena: Bytes,
    unreadable: bool,
    /// The lines of large events, sorted by offset.
    large: Box<[(Offset, Bytes)]>,
}

impl Page {
    /// Creates a page of offsets that the broker has but that cannot be read. A client that reaches it has lost these
    /// records and must be told.
    pub fn unreadable(range: Range<Offset>) -> Self {
        Self {
            start: range.start,
            next: range.end,
            events: Box::default(),
            arena: Bytes::new(),
            large: Box::default(),
            unreadable: true,
        }
    }

    /// Returns whether the page's offsets could not be read, and so are not holes.
    pub fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    /// Returns the offsets that this page covers. Those without an event are holes.
    pub fn range(&self) -> Range<Offset> {
        self.start..self.next
    }

    /// Returns the first offset after this page.
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Returns all events, sorted by offset.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Returns the index of the first event at or after `offset`; `events().len()` if there is none.
    pub fn index_of(&self, offset: Offset) -> usize {
        self.events.partition_point(|event| event.offset < offset)
    }

    /// Returns whether an event has an offset in `range`.
    pub(crate) fn has_event_in(&self, range: &Range<Offset>) -> bool {
        self.index_of(range.start) < self.index_of(range.end)
    }

    /// Returns the event at exactly `offset`.
    pub fn at(&self, offset: Offset) -> Option<&Event> {
        self.events
            .get(self.index_of(offset))
            .filter(|event| event.offset == offset)
    }

    /// Returns the `data:` lines of one of this page's events.
    pub fn lines(&self, event: &Event) -> &[u8] {
        if let Some(lines) = self.large_lines(event) {
            return lines;
        }
        &self.arena[event.lines.start as usize..event.lines.end as usize]
    }

    /// Returns the `data:` lines of an event in a buffer that can be kept beyond the page; `None` if the event is not
    /// large. Lines longer than a batch are shared by all batches that contain them, not copied.
    pub fn large_lines(&self, event: &Event) -> Option<&Bytes> {
        if self.large.is_empty() {
            return None;
        }
        let at = self
            .large
            .binary_search_by_key(&event.offset, |(offset, _)| *offset);
        at.ok().map(|at| &self.large[at].1)
    }

    /// Returns the key of one of this page's events.
    pub fn key(&self, event: &Event) -> Option<&[u8]> {
        let end = event.lines.start as usize;
        event.key.map(|length| &self.arena[end - length as usize..end])
    }

    /// Returns the headers of one of this page's events.
    pub fn headers(&self, event: &Event) -> Headers<'_> {
        let end = (event.lines.start - event.key.unwrap_or(0)) as usize;
        Headers::from_bytes(&self.arena[event.arena_start()..end])
    }

    /// Returns a copy of this page without the offsets below `start`, the log start; `None` if the page has no such
    /// offsets. A page whose records have all been deleted becomes one that covers nothing.
    pub(crate) fn without_deleted(&self, start: Offset) -> Option<Self> {
        if self.start >= start {
            return None;
        }
        let first = self.index_of(start);
        let from = self
            .events
            .get(first)
            .map_or(self.arena.len(), Event::arena_start);
        let events = self.events[first..].iter().map(|event| event.shifted_back(from));
        let large = self.large.iter().filter(|(offset, _)| *offset >= start);
        Some(Self {
            start: start.min(self.next),
            next: self.next,
            events: events.collect(),
            arena: Bytes::copy_from_slice(&self.arena[from..]),
            unreadable: self.unreadable,
            large: large.cloned().collect(),
        })
    }

    /// Returns the memory taken by this page, in bytes.
    pub fn bytes(&self) -> usize {
        let large = self.large.iter().map(|(_, lines)| lines.len() + LARGE_OVERHEAD);
        self.arena.len() + large.sum::<usize>() + self.events.len() * size_of::<Event>() + PAGE_OVERHEAD
    }
}

impl Event {
    /// Returns the start of the event in its page's arena, where its headers begin.
    fn arena_start(&self) -> usize {
        (self.lines.start - self.key.unwrap_or(0) - self.headers) as usize
    }

    /// Returns a copy of the event for an arena that begins `by` bytes later.
    fn shifted_back(&self, by: usize) -> Self {
        let by = by as u32;
        Self {
            lines: self.lines.start - by..self.lines.end - by,
            ..self.clone()
        }
    }
}

/// The memory taken by a page beside its events, in bytes: the `Arc`, the struct, its slot in a ring, allocator slack.
const PAGE_OVERHEAD: usize = 192;

/// The memory taken by the lines of a large event beside their own length, in bytes.
const LARGE_OVERHEAD: usize = 96;

/// Values longer than this, in bytes, have their lines in a buffer of their own instead of the page's arena. It is the
/// size of a full batch of small events.
const LARGE_VALUE: usize = 64 * 1024;

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

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::event::HeadersBuf;

    fn page(records: &[(i64, Option<Vec<u8>>, usize)]) -> Page {
        let mut page = PageBuilder::new(100, Encoding::default());
        let mut offset = 100;
        for (hole, key, size) in records {
            offset += hole;
            let mut headers = HeadersBuf::default();
            headers.push(b"number", Some(offset.to_string().as_bytes()));
            let value = format!("\"{}\"", "v".repeat(*size));
            let _ = page.push(&Record {
                offset,
                timestamp: offset,
                epoch: 0,
                key: key.as_deref(),
                headers: headers.headers(),
                value: Some(value.as_bytes()),
                canary: false,
            });
            offset += 1;
        }
        page.finish(offset + 3)
    }

    proptest! {
        #[test]
        fn without_what_was_deleted_all_else_is_as_it_was(
            records in vec((0i64..3, any::<Option<Vec<u8>>>(), prop_oneof![8 => 0usize..50, 1 => Just(LARGE_VALUE + 1)]), 0..20),
            start in 90i64..160,
        ) {
            let whole = page(&records);
            let Some(rest) = whole.without_deleted(start) else {
                prop_assert!(start <= 100);
                return Ok(());
            };
            prop_assert_eq!(rest.range(), start.min(whole.next())..whole.next());
            let kept: Vec<_> = whole.events().iter().filter(|event| event.offset >= start).collect();
            prop_assert_eq!(rest.events().len(), kept.len());
            for (own, other) in rest.events().iter().zip(kept) {
                prop_assert_eq!(own.offset, other.offset);
                prop_assert_eq!(rest.lines(own), whole.lines(other));
                prop_assert_eq!(rest.key(own), whole.key(other));
                prop_assert_eq!(rest.headers(own).as_bytes(), whole.headers(other).as_bytes());
            }
            // No byte of a deleted record is left.
            let small = rest.events().iter().filter(|event| rest.large_lines(event).is_none());
            let lines: usize = small.map(|event| rest.lines(event).len()).sum();
            let beside = |event: &Event| rest.headers(event).as_bytes().len() + event.key.unwrap_or(0) as usize;
            prop_assert_eq!(rest.arena.len(), lines + rest.events().iter().map(beside).sum::<usize>());
        }
    }
}
