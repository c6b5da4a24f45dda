//! The bytes of one batch as a list of segments, each of which may be shared with other clients.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::subscription::UnwrittenBytes;

/// The bytes of one batch as they are written: one piece, or several if the batch is so large that a copy for each client would
/// cost too much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Segments {
    pieces: SmallVec<[Bytes; 1]>,
    length: usize,
}

impl Segments {
    /// Appends a piece. An empty one is not added.
    pub(in crate::http) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.length += piece.len();
            self.pieces.push(piece);
        }
    }

    /// Returns the length of all pieces, in bytes.
    pub(in crate::http) fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no bytes.
    pub(in crate::http) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns the pieces. None of them is empty.
    pub(in crate::http) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// Returns all bytes in one piece. Several pieces are copied into one, which `count` counts.
    pub(in crate::http) fn whole(mut self, count: impl FnOnce(Vec<u8>) -> Bytes) -> Bytes {
        match self.pieces.len() {
            0 => Bytes::new(),
            1 => self.pieces.remove(0),
            _ => count(self.pieces.concat()),
        }
    }

    /// Returns how much of the bytes a client that holds them shares with others, and how much is its own. What precedes a large
    /// text is the client's own.
    pub(in crate::http) fn unwritten(&self) -> UnwrittenBytes {
        let mut largest: &[u8] = &[];
        let (mut before, mut own) = (0, 0);
        for piece in &self.pieces {
            // The first of several pieces of the largest length: a large text may be in blocks.
            if piece.len() > largest.len() {
                (largest, own) = (&**piece, before);
            }
            before += piece.len();
        }
        let range = largest.as_ptr_range();
        // Joined batches are shared from any of the batches on, up to the same end.
        let (text, own) = match largest.len() < MAX_JOINED_BYTES {
            true => (range.end.addr(), 0),
            false => (range.start.addr(), own),
        };
        let shared = self.length - own;
        UnwrittenBytes { text, shared, own }
    }
}

/// More bytes than joined batches come to, and no more than a full block of a large text has.
const MAX_JOINED_BYTES: usize = 65_535;

impl From<Bytes> for Segments {
    fn from(piece: Bytes) -> Self {
        Self::from_iter([piece])
    }
}

impl FromIterator<Bytes> for Segments {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut segments = Self::default();
        pieces.into_iter().for_each(|piece| segments.push(piece));
        segments
    }
}

impl IntoIterator for Segments {
    type Item = Bytes;
    type IntoIter = smallvec::IntoIter<[Bytes; 1]>;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces.into_iter()
    }
}
