//! Building a page from the records of a fetch.

use std::{mem, sync::Arc};

use bytes::Bytes;

use super::{Page, PartitionLog, TopicPartition};
use crate::{
    event::{
        EncodeError, Encoding, Event, EventKind, Record, RecordOrigin, Transform, TransformBuffers,
        TransformCounts, Transformed, encode,
    },
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
    /// What is done to each record first. It and its buffers are on the heap, because most topics have none.
    transform: Option<Box<PageTransform>>,
}

impl PageBuilder {
    /// Creates a builder of a page of `log` that covers the offsets from `start` on.
    pub fn of(log: &PartitionLog, start: Offset) -> Self {
        Self {
            transform: PageTransform::of(log),
            ..Self::new(start, log.encoding())
        }
    }

    /// Creates a builder of a page of `log` with room for this many events, and for this many bytes of headers, keys and
    /// lines. A page that grows into its size is copied again and again.
    pub fn with_capacity(log: &PartitionLog, start: Offset, events: usize, bytes: usize) -> Self {
        Self {
            events: Vec::with_capacity(events),
            arena: Vec::with_capacity(bytes),
            ..Self::of(log, start)
        }
    }

    /// Creates a builder of a page that covers the offsets from `start` on, for records that come from no log.
    pub fn new(start: Offset, encoding: Encoding) -> Self {
        Self {
            start,
            next: start,
            events: Vec::new(),
            arena: Vec::new(),
            large: Vec::new(),
            large_bytes: 0,
            encoding,
            transform: None,
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
        let Some(mut transform) = self.transform.take() else {
            return self.add(record);
        };
        let added = match transform.apply(record) {
            Ok(Some(record)) => self.add(&record),
            Ok(None) => {
                self.skip(record);
                Ok(())
            }
            Err(reject) => {
                self.skip(record);
                Err(reject)
            }
        };
        self.transform = Some(transform);
        added
    }

    /// Adds a record that no client sees.
    fn skip(&mut self, record: &Record<'_>) {
        let at = self.arena.len() as u32;
        self.events.push(Event {
            offset: record.offset,
            timestamp: record.timestamp,
            epoch: record.epoch,
            kind: EventKind::Skipped,
            canary: record.canary,
            key: None,
            headers: 0,
            lines: at..at,
        });
        self.next = record.offset.saturating_add(1);
    }

    fn add(&mut self, record: &Record<'_>) -> Result<(), EncodeError> {
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

    /// Returns how many records were dropped and redacted since the last call.
    pub fn take_counts(&mut self) -> TransformCounts {
        let transform = self.transform.as_mut();
        transform.map_or_else(TransformCounts::default, |it| mem::take(&mut it.counts))
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

/// What is done to each record of a page before it is encoded.
#[derive(Debug)]
struct PageTransform {
    transform: Arc<dyn Transform>,
    partition: TopicPartition,
    /// They live no longer than the page, so that no text stays in them.
    buffers: TransformBuffers,
    counts: TransformCounts,
}

impl PageTransform {
    fn of(log: &PartitionLog) -> Option<Box<Self>> {
        let transform = Arc::clone(log.transform()?);
        Some(Box::new(Self {
            transform,
            partition: log.partition().clone(),
            buffers: TransformBuffers::default(),
            counts: TransformCounts::default(),
        }))
    }

    /// Returns what is left of a record, or `None` if nobody gets it.
    fn apply<'r>(&'r mut self, record: &Record<'r>) -> Result<Option<Record<'r>>, EncodeError> {
        let origin = RecordOrigin {
            topic: &self.partition.topic,
            partition: self.partition.partition,
        };
        match self.transform.apply(record, origin, &mut self.buffers)? {
            Transformed::Dropped => {
                self.counts.dropped += 1;
                Ok(None)
            }
            Transformed::Kept { record, is_redacted } => {
                self.counts.redacted += u64::from(is_redacted);
                Ok(Some(record))
            }
        }
    }
}

/// Values longer than this, in bytes, have their lines in a buffer of their own instead of the page's arena. It is the
/// size of a full batch of small events.
pub(super) const LARGE_VALUE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use memchr::memmem;

    use super::*;
    use crate::{
        event::{Headers, HeadersBuf},
        position::LogTag,
    };

    /// Drops records of an odd offset, refuses every fifth, and leaves the others neither key nor headers, and another value.
    #[derive(Debug)]
    struct Half;

    impl Transform for Half {
        fn apply<'r>(
            &self,
            record: &Record<'r>,
            origin: RecordOrigin<'_>,
            buffers: &'r mut TransformBuffers,
        ) -> Result<Transformed<'r>, EncodeError> {
            match record.offset {
                offset if offset % 2 == 1 => return Ok(Transformed::Dropped),
                offset if offset % 5 == 0 => return Err(EncodeError::NotJson),
                _ => {}
            }
            buffers.value.clear();
            let left = format!("{{\"from\":\"{}-{}\"}}", origin.topic, origin.partition);
            buffers.value.extend_from_slice(left.as_bytes());
            let record = Record {
                key: None,
                headers: Headers::default(),
                value: Some(&buffers.value),
                ..*record
            };
            Ok(Transformed::Kept {
                record,
                is_redacted: true,
            })
        }
    }

    #[test]
    fn what_a_transform_takes_away_is_nowhere_in_the_page_and_positions_move_on() {
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 7,
        };
        let tag = LogTag::from_bits(1, 1);
        let log = PartitionLog::with_transform(partition, tag, Encoding::default(), Some(Arc::new(Half)), 0);
        let mut page = PageBuilder::of(&log, 0);
        let mut headers = HeadersBuf::default();
        headers.push(b"ip", Some(b"secret"));
        // A large value has a buffer of its own in a page.
        let large = format!("{{\"x\":\"{}secret\"}}", "x".repeat(2 * LARGE_VALUE));
        for offset in 0..10 {
            let value = if offset < 5 { "{\"x\":\"secret\"}" } else { &large };
            let record = Record {
                timestamp: 100 + offset,
                epoch: 3,
                key: Some(b"secret"),
                headers: headers.headers(),
                ..Record::bare(offset, Some(value.as_bytes()))
            };
            let expected = (offset % 10 == 0).then_some(EncodeError::NotJson);
            assert_eq!(page.push(&record).err(), expected);
        }
        let counts = TransformCounts {
            dropped: 5,
            redacted: 4,
        };
        assert_eq!(page.take_counts(), counts);
        assert_eq!(
            page.take_counts(),
            TransformCounts::default(),
            "each is counted once"
        );
        let page = page.finish(12);
        assert_eq!(page.range(), 0..12);
        let kept = page
            .large
            .iter()
            .map(|(_, lines)| &lines[..])
            .chain([&page.arena[..]]);
        assert!(
            kept.into_iter()
                .all(|bytes| memmem::find(bytes, b"secret").is_none())
        );
        for event in page.events() {
            assert_eq!((event.timestamp, event.epoch), (100 + event.offset, 3));
            assert_eq!((page.key(event), page.headers(event).count()), (None, 0));
            let expected: &[u8] = match event.kind {
                EventKind::Skipped => b"",
                _ => b"data: {\"from\":\"t-7\"}\n",
            };
            assert_eq!(page.lines(event), expected);
        }
        let seen = page
            .events()
            .iter()
            .filter(|event| event.kind == EventKind::Message);
        assert_eq!(seen.map(|event| event.offset).collect::<Vec<_>>(), [2, 4, 6, 8]);
        assert!(page.bytes() < LARGE_VALUE, "the large values are not kept");
    }

    #[test]
    fn a_log_without_a_transform_keeps_all_of_its_records() {
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        let log = PartitionLog::new(partition, LogTag::from_bits(1, 1), Encoding::default(), 0);
        let mut page = PageBuilder::with_capacity(&log, 0, 1, 16);
        let record = Record {
            key: Some(b"k"),
            ..Record::bare(0, Some(b"{}"))
        };
        assert_eq!(page.push(&record), Ok(()));
        assert_eq!(page.take_counts(), TransformCounts::default());
        let page = page.finish(1);
        assert_eq!(page.key(&page.events()[0]), Some(&b"k"[..]));
    }
}
