//! From an event and a position to the bytes a client reads.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Batch, Format,
    gap::Gap,
    texts::{BATCH, Texts},
};
use crate::{
    event::{Encoding, Event, Kind, Payload, document_of, json_of},
    partition::Page,
    position::{Composer, IdForm, Place},
};

/// Collects whole events into a [`Batch`].
pub(super) struct Composition {
    format: Format,
    /// Reserved with the first event: many a look finds none.
    room: usize,
    /// Bytes after which it is closed.
    most: usize,
    out: Vec<u8>,
    /// See [`Batch::large`].
    large: Option<Bytes>,
    events: u32,
    gaps: Vec<Gap>,
    id_length: usize,
}

impl Composition {
    /// One that is likely to have so many bytes, and `most` if it has several events: a batch that grows into its size is copied again
    /// and again.
    pub(super) fn of_about(bytes: usize, most: usize, format: Format) -> Self {
        Self {
            format,
            room: bytes,
            most,
            out: Vec::new(),
            large: None,
            events: 0,
            gaps: Vec::new(),
            id_length: 0,
        }
    }

    /// Whether an event with so many bytes of lines goes into this batch. The first always does.
    pub(super) fn has_room_for(&self, lines: usize) -> bool {
        self.is_empty() || self.size() + self.id_length + lines + FRAME <= self.most
    }

    /// Adds an event. Skipped ones have no bytes.
    pub(super) fn event(&mut self, page: &Page, event: &Event, encoding: Encoding, id: &Composer) {
        let name: &[u8] = match event.kind {
            Kind::Message => b"event: message\n",
            Kind::Delete => b"event: delete\n",
            Kind::Skipped => return,
        };
        if self.out.is_empty() {
            self.out.reserve(self.room.min(self.most));
        }
        match self.format {
            Format::Sse => {
                self.out.extend_from_slice(name);
                self.id(id);
                self.large = page.large_lines(event).cloned();
            }
            Format::Ndjson => self.large = large_document(page, event, encoding),
        }
        self.events += 1;
        if self.large.is_some() {
            // It stays alone: there is no room behind it.
            return;
        }
        match self.format {
            Format::Sse => self.out.extend_from_slice(page.lines(event)),
            Format::Ndjson => json_of(encoding.payload, event.kind, page.lines(event), &mut self.out),
        }
        self.out.push(b'\n');
    }

    /// Adds the line with the id, if it can be read back.
    fn id(&mut self, id: &Composer) {
        if !id.is_readable() {
            return;
        }
        self.out.extend_from_slice(b"id: ");
        let from = self.out.len();
        id.write(&mut self.out);
        self.id_length = self.out.len() - from;
        self.out.push(b'\n');
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty() && self.large.is_none()
    }

    fn size(&self) -> usize {
        self.out.len() + self.large.as_ref().map_or(0, Bytes::len)
    }

    /// Whether an event was added, and so an id.
    pub(super) fn has_events(&self) -> bool {
        self.events > 0
    }

    /// Adds a checkpoint: an id, and how many events a filter has passed over since the last. It has data, for an id alone
    /// breaks clients.
    pub(super) fn checkpoint(&mut self, skipped: u64, id: &Composer) {
        if !id.is_readable() {
            return;
        }
        self.out.extend_from_slice(b"event: checkpoint\n");
        self.id(id);
        self.out
            .extend_from_slice(format!("data: {{\"skipped\":{skipped}}}\n\n").as_bytes());
    }

    /// Adds a gap event. It has no id: the client's last one stays true.
    pub(super) fn gap(&mut self, gap: Gap) {
        let text = match self.format {
            Format::Sse => format!("event: gap\ndata: {gap}\n\n"),
            Format::Ndjson => format!("{{\"gap\":{gap}}}\n"),
        };
        self.out.extend_from_slice(text.as_bytes());
        self.gaps.push(gap);
    }

    /// The batch, counted among `texts`; `None` when nothing was added.
    pub(super) fn finish(mut self, texts: Option<&Arc<Texts>>) -> Option<Batch> {
        // It may stay in a lane's ring, where what it holds is what it costs.
        self.out.shrink_to_fit();
        let (bytes, large) = match texts {
            Some(texts) => (texts.count(self.out), self.large.map(|large| texts.share(large))),
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

/// The document of a large event as it stands in its lines; `None` if it has to be written anew.
fn large_document(page: &Page, event: &Event, encoding: Encoding) -> Option<Bytes> {
    let as_it_is = event.kind == Kind::Message && encoding.payload == Payload::Json;
    let lines = page.large_lines(event).filter(|_| as_it_is)?;
    Some(lines.slice_ref(document_of(lines)))
}

/// Returns a batch that holds nothing but an id, of these entries, counted among `texts`. `None` when that would be none to
/// resume from: nothing is known of the partitions yet, or one of them would begin at its end once more.
pub(super) fn checkpoint(
    format: Format,
    form: IdForm,
    entries: Vec<(Arc<str>, i32, Place)>,
    texts: Option<&Arc<Texts>>,
) -> Option<Batch> {
    let is_place = |(_, _, place): &(_, _, Place)| *place != Place::Latest;
    if format != Format::Sse || entries.is_empty() || !entries.iter().all(is_place) {
        return None;
    }
    let mut batch = Composition::of_about(0, BATCH, format);
    batch.checkpoint(0, &Composer::new(form, entries));
    batch.finish(texts)
}

/// What an event costs beside its id and lines, with room for an id that has grown by a few digits since the last.
const FRAME: usize = 64;
