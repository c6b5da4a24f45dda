//! A batch: whole events as bytes, ready to be written.

use bytes::Bytes;

use super::gap::Gap;

/// Whole events, ready to be written.
#[derive(Clone, Debug)]
pub struct Batch {
    /// At most 64 KiB, or one event.
    pub bytes: Bytes,
    /// The text of its only event when that is large: it comes behind `bytes`, and behind it comes a line feed. All who send the
    /// event share it.
    pub large: Option<Bytes>,
    /// How many events it holds, gap events not counted.
    pub events: u32,
    /// The gap events it holds.
    pub gaps: Vec<Gap>,
    /// The same bytes, as the packed stream of a lane goes on with them.
    pub packed: Option<DeflateChunk>,
}

impl Batch {
    /// Whether it holds an id. Each does, but one of gaps alone, and one of JSON lines.
    pub fn has_id(&self) -> bool {
        self.events > 0 || self.gaps.is_empty()
    }

    /// How many bytes it is, before any coding.
    pub fn size(&self) -> usize {
        let large = self.large.as_ref().map_or(0, |large| large.len() + 1);
        self.bytes.len() + large
    }

    /// Its bytes, in order; a piece may be empty.
    pub fn pieces(&self) -> impl Iterator<Item = Bytes> {
        let large = self.large.clone().map(|large| [large, Bytes::from_static(b"\n")]);
        [self.bytes.clone()]
            .into_iter()
            .chain(large.into_iter().flatten())
    }

    /// Whether it is small, and the same for all who get it, whatever else they get with it. Behind a gap a stream may end, and
    /// what is packed depends on what was packed before it.
    pub(super) fn is_plain(&self) -> bool {
        self.gaps.is_empty() && self.packed.is_none() && self.large.is_none()
    }
}

/// A piece of the packed stream of a lane: blocks of deflate, the last of which ends on the edge of a byte.
#[derive(Clone, Debug)]
pub struct DeflateChunk {
    /// They refer to pieces before this one, up to the one that begins the epoch.
    pub bytes: Bytes,
    /// Its number, one more than that of the piece before it.
    pub number: u64,
    /// Whether it begins an epoch: it refers to nothing.
    pub starts_epoch: bool,
}
