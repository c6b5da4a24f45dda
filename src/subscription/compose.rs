//! From an event and a position to the bytes a client reads.

use super::{Batch, Format, gap::Gap};
use crate::{
    event::{Encoding, Event, Kind, json_of},
    partition::Page,
    position::Composer,
};

/// Collects whole events into a [`Batch`].
pub(super) struct Composition {
    format: Format,
    /// Reserved with the first event: many a look finds none.
    room: usize,
    out: Vec<u8>,
    events: u32,
    gaps: Vec<Gap>,
    id_length: usize,
}

impl Composition {
    /// One that is likely to have so many bytes: a batch that grows into its size is copied again and again.
    pub(super) fn of_about(bytes: usize, format: Format) -> Self {
        Self {
            format,
            room: bytes,
            out: Vec::new(),
            events: 0,
            gaps: Vec::new(),
            id_length: 0,
        }
    }

    /// Whether an event with so many bytes of lines goes into this batch. The first always does.
    pub(super) fn has_room_for(&self, lines: usize) -> bool {
        self.out.is_empty() || self.out.len() + self.id_length + lines + FRAME <= BATCH
    }

    /// Adds an event. Skipped ones have no bytes.
    pub(super) fn event(&mut self, page: &Page, event: &Event, encoding: Encoding, id: &Composer) {
        let name: &[u8] = match event.kind {
            Kind::Message => b"event: message\nid: ",
            Kind::Delete => b"event: delete\nid: ",
            Kind::Skipped => return,
        };
        if self.out.is_empty() {
            self.out.reserve(self.room);
        }
        match self.format {
            Format::Sse => {
                self.out.extend_from_slice(name);
                let from = self.out.len();
                id.write(&mut self.out);
                self.id_length = self.out.len() - from;
                self.out.push(b'\n');
                self.out.extend_from_slice(page.lines(event));
            }
            Format::Ndjson => json_of(encoding.payload, event.kind, page.lines(event), &mut self.out),
        }
        self.out.push(b'\n');
        self.events += 1;
    }

    /// Whether nothing was added.
    pub(super) fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Whether an event was added, and so an id.
    pub(super) fn has_events(&self) -> bool {
        self.events > 0
    }

    /// Adds a checkpoint: an id, and how many events a filter has passed over since the last. It has data, for an id alone
    /// breaks clients.
    pub(super) fn checkpoint(&mut self, skipped: u64, id: &Composer) {
        self.out.extend_from_slice(b"event: checkpoint\nid: ");
        id.write(&mut self.out);
        self.out
            .extend_from_slice(format!("\ndata: {{\"skipped\":{skipped}}}\n\n").as_bytes());
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

    /// The batch; `None` when nothing was added.
    pub(super) fn finish(mut self) -> Option<Batch> {
        // It may stay in a lane's ring, where what it holds is what it costs.
        self.out.shrink_to_fit();
        let batch = Batch {
            bytes: self.out.into(),
            events: self.events,
            gaps: self.gaps,
            packed: None,
        };
        (!batch.bytes.is_empty()).then_some(batch)
    }
}

/// Bytes after which a batch is closed: large enough that a replay costs few writes, small enough that a client that
/// reads slowly holds little. DESIGN: at most 64 KiB, or one event.
const BATCH: usize = 64 * 1024;

/// What an event costs beside its id and lines, with room for an id that has grown by a few digits since the last.
const FRAME: usize = 64;
