//! A byte string with a few slots whose content changes often.

use std::ops::Range;

/// A byte string with replaceable slots.
///
/// An event's id is one copy of [`bytes`](Self::bytes). From one event to the next, one slot changes, and it nearly always keeps
/// its length.
#[derive(Clone, Debug, Default)]
pub(super) struct ByteTemplate {
    bytes: Vec<u8>,
    slots: Vec<Range<usize>>,
}

impl ByteTemplate {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Removes all bytes and slots, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.slots.clear();
    }

    /// Appends bytes that never change.
    pub(super) fn push_fixed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a slot that holds `bytes` for now.
    pub(super) fn push_slot(&mut self, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.slots.push(start..self.bytes.len());
    }

    /// Replaces the content of a slot. Returns the index of its first byte; all bytes before it are unchanged.
    pub(super) fn replace(&mut self, slot: usize, bytes: &[u8]) -> usize {
        let range = self.slots[slot].clone();
        let start = range.start;
        if range.len() == bytes.len() {
            self.bytes[range].copy_from_slice(bytes);
        } else {
            self.slots[slot].end = start + bytes.len();
            for later in &mut self.slots[slot + 1..] {
                let begin = later.start - range.end + start + bytes.len();
                *later = begin..begin + later.len();
            }
            self.bytes.splice(range, bytes.iter().copied());
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_changes_its_length_moves_those_behind_it() {
        let mut pieces = ByteTemplate::default();
        for word in [b"one", b"two", b"six"] {
            pieces.push_fixed(b"<");
            pieces.push_slot(word);
            pieces.push_fixed(b">");
        }
        assert_eq!(pieces.replace(1, b"fourteen"), 6);
        assert_eq!(pieces.replace(0, b""), 1);
        pieces.replace(2, b"ten");
        assert_eq!(pieces.bytes(), b"<><fourteen><ten>");
    }
}
