//! Bytes in one piece or several, each of which may be shared with others.

use bytes::Bytes;
use smallvec::SmallVec;

/// What is written of one batch: one piece, unless it is so large that a copy would cost too much for each client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Segments {
    pieces: SmallVec<[Bytes; 1]>,
    length: usize,
}

impl Segments {
    /// Adds a piece behind the others.
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.length += piece.len();
            self.pieces.push(piece);
        }
    }

    /// How many bytes they are.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Whether they are none.
    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The pieces, none of them empty.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// All of them in one piece, copied if there are several.
    pub(super) fn whole(mut self) -> Bytes {
        match self.pieces.len() {
            0 => Bytes::new(),
            1 => self.pieces.remove(0),
            _ => self.pieces.concat().into(),
        }
    }
}

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
