//! Pages: immutable runs of encoded events of one partition.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use crate::{
    event::{Event, Headers},
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
    pub(super) start: Offset,
    pub(super) next: Offset,
    pub(super) events: Box<[Event]>,
    pub(super) arena: Bytes,
    pub(super) unreadable: bool,
    /// The lines of large events, sorted by offset.
    pub(super) large: Box<[(Offset, Bytes)]>,
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
        let large = &self.large;
        let at = large.binary_search_by_key(&event.offset, |(offset, _)| *offset);
        at.ok().map(|at| &large[at].1)
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
        let from = self.events.get(first);
        let from = from.map_or(self.arena.len(), Event::arena_start);
        let events = self.events[first..].iter().map(|event| event.moved(from, 0));
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

    /// Returns whether the page is worth to be merged with those beside it: it has few bytes, and no large event.
    pub(super) fn is_small(&self) -> bool {
        !self.unreadable
            && self.large.is_empty()
            && self.arena.len() < SMALL_ARENA
            && self.events.len() < SMALL_EVENTS
    }

    /// Returns a page with the events of all `pages`, which are small and follow each other without a gap.
    pub(super) fn merged(pages: &[Arc<Self>]) -> Self {
        let mut events = Vec::with_capacity(pages.iter().map(|page| page.events.len()).sum());
        let mut arena = Vec::with_capacity(pages.iter().map(|page| page.arena.len()).sum());
        for page in pages {
            events.extend(page.events.iter().map(|event| event.moved(0, arena.len())));
            arena.extend_from_slice(&page.arena);
        }
        Self {
            start: pages.first().map_or(0, |page| page.start),
            next: pages.last().map_or(0, |page| page.next),
            events: events.into_boxed_slice(),
            arena: Bytes::from(arena.into_boxed_slice()),
            unreadable: false,
            large: Box::default(),
        }
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

    /// Returns a copy of the event for an arena in which the byte at `from` stands at `to`.
    fn moved(&self, from: usize, to: usize) -> Self {
        let (from, to) = (from as u32, to as u32);
        Self {
            lines: self.lines.start - from + to..self.lines.end - from + to,
            ..self.clone()
        }
    }
}

/// A page with fewer bytes of headers, keys and lines than this, and with fewer events than [`SMALL_EVENTS`], is small.
const SMALL_ARENA: usize = 4096;
const SMALL_EVENTS: usize = 16;

/// The memory taken by a page beside its events, in bytes: the `Arc`, the struct, its slot in a ring, allocator slack.
const PAGE_OVERHEAD: usize = 192;

/// The memory taken by the lines of a large event beside their own length, in bytes.
const LARGE_OVERHEAD: usize = 96;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        event::{Encoding, HeadersBuf, Record, json_document},
        partition::page_builder::{LARGE_VALUE, PageBuilder},
    };

    fn page(records: &[(i64, Option<Vec<u8>>, usize)]) -> Page {
        let mut page = PageBuilder::new(100, Encoding::default());
        let mut offset = 100;
        for (hole, key, size) in records {
            offset += hole;
            let mut headers = HeadersBuf::default();
            headers.push(b"number", Some(offset.to_string().as_bytes()));
            let value = format!("[\"{}\"]", "v".repeat(*size));
            let pushed = page.push(&Record {
                offset,
                timestamp: offset,
                epoch: 0,
                key: key.as_deref(),
                headers: headers.headers(),
                value: Some(value.as_bytes()),
                canary: false,
            });
            pushed.expect("a JSON array");
            offset += 1;
        }
        page.finish(offset + 3)
    }

    /// Builds a page of the events of `whole` in a range of offsets.
    fn part(whole: &Page, range: Range<Offset>) -> Page {
        let mut part = PageBuilder::new(range.start, Encoding::default());
        for event in whole
            .events()
            .iter()
            .filter(|event| range.contains(&event.offset))
        {
            let pushed = part.push(&Record {
                offset: event.offset,
                timestamp: event.timestamp,
                epoch: event.epoch,
                key: whole.key(event),
                headers: whole.headers(event),
                value: Some(json_document(whole.lines(event))),
                canary: event.canary,
            });
            pushed.expect("a JSON array");
        }
        part.finish(range.end)
    }

    proptest! {
        #[test]
        fn merged_pages_have_the_events_of_all_and_cover_their_offsets(
            records in vec((0i64..3, any::<Option<Vec<u8>>>(), 0usize..50), 1..40),
            cuts in vec(0i64..130, 0..6),
        ) {
            let whole = page(&records);
            let mut bounds: Vec<_> = cuts.iter().map(|cut| (100 + cut).min(whole.next())).collect();
            bounds.extend([100, whole.next()]);
            bounds.sort_unstable();
            let parts: Vec<_> = bounds.windows(2).map(|bound| Arc::new(part(&whole, bound[0]..bound[1]))).collect();
            let merged = Page::merged(&parts);
            prop_assert_eq!(merged.range(), whole.range());
            prop_assert_eq!(merged.events(), whole.events());
            prop_assert_eq!(merged.arena, whole.arena);
        }

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
