//! Bytes in one piece or several, each of which may be shared with others.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::subscription::UnwrittenBytes;

/// What is written of one batch: one piece, unless it is so large that a copy would cost too much for each client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Segments {
    pieces: SmallVec<[Bytes; 1]>,
    length: usize,
}

impl Segments {
    /// Adds a piece behind the others.
    pub(in crate::http) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.length += piece.len();
            self.pieces.push(piece);
        }
    }

    /// How many bytes they are.
    pub(in crate::http) fn len(&self) -> usize {
        self.length
    }

    /// Whether they are none.
    pub(in crate::http) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The pieces, none of them empty.
    pub(in crate::http) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// All of them in one piece, copied if there are several; `count` counts the copy.
    pub(in crate::http) fn whole(mut self, count: impl FnOnce(Vec<u8>) -> Bytes) -> Bytes {
        match self.pieces.len() {
            0 => Bytes::new(),
            1 => self.pieces.remove(0),
            _ => count(self.pieces.concat()),
        }
    }

    /// What they are to who holds them. What stands before a large text is its client's own.
    pub(in crate::http) fn unwritten(&self) -> UnwrittenBytes {
        let mut largest: &[u8] = &[];
        let (mut before, mut own) = (0, 0);
        for piece in &self.pieces {
            // Of several alike the first: a large text may be in blocks.
            if piece.len() > largest.len() {
                (largest, own) = (&**piece, before);
            }
            before += piece.len();
        }
        let range = largest.as_ptr_range();
        // What is joined is shared from any of its batches on, to the same end.
        let (text, own) = match largest.len() < MAX_JOINED_BYTES {
            true => (range.end.addr(), 0),
            false => (range.start.addr(), own),
        };
        let shared = self.length - own;
        UnwrittenBytes { text, shared, own }
    }
}

/// More than batches come to that are joined, in bytes, and no more than a block of a large text.
const MAX_JOINED_BYTES: usize = 65_535;

impl From<Bytes> for Segments {
    fn from(piece: Bytes) -> Self {
        let mut segments = Self::default();
        segments.push(piece);
        segments
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
