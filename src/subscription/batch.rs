//! Batches: whole events, ids, checkpoints and gap events as the bytes that a client reads, ready to be written to sockets.

use std::sync::Arc;

use bytes::Bytes;

use super::{BytesTracker, EndEvent, EventFormat, Gap, MAX_BATCH_BYTES, StreamView, gap::MAX_GAP_BYTES};
use crate::{
    event::{Encoding, Event, EventKind, Payload, json_document, write_json},
    partition::Page,
    position::{IdWriter, PartitionPosition},
    projection::{NotADocument, Projection},
};

/// Whole events, encoded and ready to be written to sockets.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The encoded events: at most 64 KiB, or one event.
    pub bytes: Bytes,
    /// The text of the batch's only event, if that is large. It is written after `bytes`, and followed by a line feed.
    /// All batches with the same event share it.
    pub large: Option<Bytes>,
    /// The number of events, not counting gap events.
    pub events: u32,
    /// The gap events that the batch contains.
    pub gaps: Vec<Gap>,
    /// The same events, compressed as the next chunk of the lane's deflate stream.
    pub packed: Option<DeflateChunk>,
}

impl Batch {
    /// Returns whether the batch contains an id. All batches do, except those with only gap events, and those of JSON
    /// lines.
    pub fn has_id(&self) -> bool {
        self.events > 0 || self.gaps.is_empty()
    }

    /// Returns the size before content coding, in bytes.
    pub fn size(&self) -> usize {
        let large = self.large.as_ref().map_or(0, |large| large.len() + 1);
        self.bytes.len() + large
    }

    /// Returns the batch's bytes, in order. A piece may be empty.
    pub fn pieces(&self) -> impl Iterator<Item = Bytes> {
        let large = self.large.clone().map(|large| [large, Bytes::from_static(b"\n")]);
        let bytes = [self.bytes.clone()].into_iter();
        bytes.chain(large.into_iter().flatten())
    }

    /// Returns whether the batch is small, and the same for every client, whatever else the client is sent. Not plain
    /// are a batch with a gap, at which a stream may end, and one with a compressed chunk, which depends on the chunks
    /// before it.
    pub(super) fn is_plain(&self) -> bool {
        self.gaps.is_empty() && self.packed.is_none() && self.large.is_none()
    }
}

/// A chunk of a lane's compressed stream: deflate blocks, the last of which ends on a byte boundary.
#[derive(Clone, Debug)]
pub struct DeflateChunk {
    /// The blocks. They may refer to earlier chunks, back to the one that starts the epoch.
    pub bytes: Bytes,
    /// The chunk's number: one more than that of the chunk before it.
    pub number: u64,
    /// Whether the chunk starts an epoch, and so refers to no earlier chunk.
    pub starts_epoch: bool,
}

/// Collects whole events into a [`Batch`].
pub(super) struct BatchBuilder {
    format: EventFormat,
    /// The capacity reserved for the first event, in bytes. Nothing is reserved before, because many polls find no
    /// event.
    capacity: usize,
    /// The most bytes of a batch of several events.
    max_bytes: usize,
    out: Vec<u8>,
    /// See [`Batch::large`].
    large: Option<Bytes>,
    events: u32,
    gaps: Vec<Gap>,
    id_length: usize,
}

impl BatchBuilder {
    /// Creates a builder of a batch of at most `max_bytes` if it contains several events. `bytes` is its expected size:
    /// a buffer that grows into its size is copied again and again.
    pub(super) fn with_capacity_hint(bytes: usize, max_bytes: usize, format: EventFormat) -> Self {
        Self {
            format,
            capacity: bytes,
            max_bytes,
            out: Vec::new(),
            large: None,
            events: 0,
            gaps: Vec::new(),
            id_length: 0,
        }
    }

    /// Writes into this empty buffer instead of a new one.
    pub(super) fn with_buffer(mut self, buffer: Vec<u8>) -> Self {
        self.out = buffer;
        self
    }

    /// Returns whether an event whose lines take `lines` bytes fits into this batch. The first event always does.
    pub(super) fn has_room_for(&self, lines: usize) -> bool {
        self.is_empty() || self.filled() + lines <= self.max_bytes
    }

    /// Returns the bytes that an event adds to, with the room for what it adds beside its lines.
    pub(super) fn filled(&self) -> usize {
        self.size() + self.id_length + FRAME
    }

    /// Adds an event, with only the `fields` of its value if there are any. Skipped events add no bytes.
    pub(super) fn event(
        &mut self,
        page: &Page,
        event: &Event,
        encoding: Encoding,
        fields: Option<&Projection>,
        id: &IdWriter,
    ) {
        let name: &[u8] = match event.kind {
            EventKind::Message => b"event: message\n",
            EventKind::Delete => b"event: delete\n",
            EventKind::Skipped => return,
        };
        if self.out.is_empty() {
            self.out.reserve(self.capacity.min(self.max_bytes));
        }
        let start = self.out.len();
        if self.format == EventFormat::Sse {
            self.out.extend_from_slice(name);
            self.id(id);
        }
        // The key of a deleted record has no fields, and neither has text or base64.
        let fields = fields.filter(|_| is_json(event, encoding));
        match fields {
            None => self.whole_value(page, event, encoding),
            Some(fields) => {
                if self.part_of_value(page.lines(event), fields).is_err() {
                    // No page has such a value. Without its value there is no event, as on a stream with a bad record.
                    self.out.truncate(start);
                    return;
                }
            }
        }
        self.events += 1;
        // A large event is alone in its batch, because nothing can be added after `large`.
        if self.large.is_none() {
            self.out.push(b'\n');
        }
    }

    /// Adds the lines of an event, or its document.
    fn whole_value(&mut self, page: &Page, event: &Event, encoding: Encoding) {
        self.large = match self.format {
            EventFormat::Sse => page.large_lines(event).cloned(),
            EventFormat::Ndjson => large_document(page, event, encoding),
        };
        match self.format {
            _ if self.large.is_some() => {}
            EventFormat::Sse => self.out.extend_from_slice(page.lines(event)),
            EventFormat::Ndjson => write_json(encoding.payload, event.kind, page.lines(event), &mut self.out),
        }
    }

    /// Adds these fields of an event with these lines.
    fn part_of_value(&mut self, lines: &[u8], fields: &Projection) -> Result<(), NotADocument> {
        let (before, after): (&[u8], &[u8]) = match self.format {
            EventFormat::Sse => (b"data: ", b"\n"),
            EventFormat::Ndjson => (b"", b""),
        };
        let splice = |out: &mut Vec<u8>| {
            out.extend_from_slice(before);
            fields.splice(json_document(lines), out)?;
            out.extend_from_slice(after);
            Ok(())
        };
        if lines.len() <= MAX_BATCH_BYTES {
            return splice(&mut self.out);
        }
        // What is left of a large event may be small, and may be large.
        let mut part = Vec::new();
        splice(&mut part)?;
        if part.len() <= MAX_BATCH_BYTES {
            self.out.extend_from_slice(&part);
        } else {
            part.shrink_to_fit();
            self.large = Some(part.into());
        }
        Ok(())
    }

    /// Adds the `id:` line, unless the id is too long to be read back from a request.
    fn id(&mut self, id: &IdWriter) {
        if !id.is_readable() {
            return;
        }
        self.out.extend_from_slice(b"id: ");
        let from = self.out.len();
        id.write(&mut self.out);
        self.id_length = self.out.len() - from;
        self.out.push(b'\n');
    }

    /// Returns whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty() && self.large.is_none()
    }

    fn size(&self) -> usize {
        self.out.len() + self.large.as_ref().map_or(0, Bytes::len)
    }

    /// Returns whether an event, and so an id, was added.
    pub(super) fn has_events(&self) -> bool {
        self.events > 0
    }

    /// Returns the number of events, not counting gap events.
    pub(super) fn events(&self) -> u32 {
        self.events
    }

    /// Adds the end of a bounded read.
    pub(super) fn end(&mut self, end: &EndEvent, id: &IdWriter) {
        end.write(self.format, id, &mut self.out);
    }

    /// Adds a checkpoint: an id, and the number of events filtered out since the last id, if the client may know it. It has data
    /// because clients break on an event with an id alone.
    pub(super) fn checkpoint(&mut self, skipped: Option<u64>, id: &IdWriter) {
        if !id.is_readable() {
            return;
        }
        self.out.extend_from_slice(b"event: checkpoint\n");
        self.id(id);
        let data = skipped.map_or_else(|| "{}".to_owned(), |skipped| format!("{{\"skipped\":{skipped}}}"));
        self.out.extend_from_slice(format!("data: {data}\n\n").as_bytes());
    }

    /// Moves gaps into the batch, as many as fit.
    pub(super) fn gaps(&mut self, gaps: &mut Vec<Gap>) {
        let mut written = 0;
        while written < gaps.len() && self.has_room_for(MAX_GAP_BYTES) {
            self.gap(gaps[written].clone());
            written += 1;
        }
        gaps.drain(..written);
    }

    /// Adds a gap event. It has no id, because the client's last id stays valid.
    fn gap(&mut self, gap: Gap) {
        let text = match self.format {
            EventFormat::Sse => format!("event: gap\ndata: {gap}\n\n"),
            EventFormat::Ndjson => format!("{{\"gap\":{gap}}}\n"),
        };
        self.out.extend_from_slice(text.as_bytes());
        self.gaps.push(gap);
    }

    /// Returns the batch, counted by `tracker`; `None` if nothing was added.
    pub(super) fn finish(self, tracker: Option<&Arc<BytesTracker>>) -> Option<Batch> {
        // The batch may stay in a lane's ring, and its cost there is its capacity.
        let (bytes, large) = match tracker {
            Some(tracker) => (
                tracker.track(tracker.fit(self.out)),
                self.large.map(|large| tracker.track_shared(large)),
            ),
            None => (self.out.into(), self.large),
        };
        let batch = Batch {
            bytes,
            large,
            events: self.events,
            gaps: self.gaps,
            packed: None,
        };
        (batch.size() > 0).then_some(batch)
    }
}

/// Returns the JSON document of a large event as a part of its lines; `None` if it must be encoded anew.
fn large_document(page: &Page, event: &Event, encoding: Encoding) -> Option<Bytes> {
    let lines = page.large_lines(event).filter(|_| is_json(event, encoding))?;
    Some(lines.slice_ref(json_document(lines)))
}

/// Whether the event has one line, which is a JSON document.
fn is_json(event: &Event, encoding: Encoding) -> bool {
    event.kind == EventKind::Message && encoding.payload == Payload::Json
}

/// Returns a batch with only a checkpoint, whose id has these entries, counted by `tracker`. Returns `None` if the id
/// would not resume anything: no partition is known yet, or one of them would start at its end again.
pub(super) fn checkpoint(
    view: &StreamView,
    entries: Vec<(Arc<str>, i32, PartitionPosition)>,
    tracker: Option<&Arc<BytesTracker>>,
) -> Option<Batch> {
    let is_place = |(_, _, place): &(_, _, PartitionPosition)| *place != PartitionPosition::Latest;
    if view.format != EventFormat::Sse || entries.is_empty() || !entries.iter().all(is_place) {
        return None;
    }
    let mut batch = BatchBuilder::with_capacity_hint(0, MAX_BATCH_BYTES, view.format);
    batch.checkpoint(
        view.tells_skipped().then_some(0),
        &IdWriter::restricted(view.form, view.restriction_tag(), entries),
    );
    batch.finish(tracker)
}

/// The size of an event beside its id and lines, in bytes, with room for an id that has grown by a few digits since the
/// last one.
const FRAME: usize = 64;

#[cfg(test)]
mod tests;
