//! Batches: whole events, encoded and ready to be written to sockets.

use bytes::Bytes;

use super::gap::Gap;

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
        [self.bytes.clone()]
            .into_iter()
            .chain(large.into_iter().flatten())
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
