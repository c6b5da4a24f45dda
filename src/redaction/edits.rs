//! Edits of a text: everything but what is replaced is copied as it is.

use std::ops::Range;

/// A text that is copied with changes, from its start to its end.
pub(super) struct Edits<'t, 'o> {
    text: &'t [u8],
    /// What comes before this place is copied or replaced.
    copied: usize,
    out: &'o mut Vec<u8>,
    is_changed: bool,
}

impl<'t, 'o> Edits<'t, 'o> {
    /// Begins to copy a text to the end of `out`.
    pub(super) fn new(text: &'t [u8], out: &'o mut Vec<u8>) -> Self {
        out.reserve(text.len());
        Self {
            text,
            copied: 0,
            out,
            is_changed: false,
        }
    }

    /// Writes something in place of a range, which lies behind all earlier ones.
    pub(super) fn replace(&mut self, range: Range<usize>, with: &[u8]) {
        self.out.extend_from_slice(&self.text[self.copied..range.start]);
        self.out.extend_from_slice(with);
        self.copied = range.end;
        self.is_changed = true;
    }

    /// Copies the rest. Returns whether anything was replaced.
    pub(super) fn finish(self) -> bool {
        self.out.extend_from_slice(&self.text[self.copied..]);
        self.is_changed
    }
}
