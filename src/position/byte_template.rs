//! Bytes of which a few ranges change again and again.

use std::ops::Range;

/// One run of bytes with replaceable slots in it.
///
/// What is written once per event is one copy of [`bytes`](Self::bytes); what changed since the last event is one slot,
/// and nearly always as long as before.
#[derive(Clone, Debug, Default)]
pub(super) struct ByteTemplate {
    bytes: Vec<u8>,
    slots: Vec<Range<usize>>,
}

impl ByteTemplate {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Empties it and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.slots.clear();
    }

    /// Appends bytes that stay.
    pub(super) fn push_fixed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends the next slot, with these bytes in it for now.
    pub(super) fn push_slot(&mut self, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.slots.push(start..self.bytes.len());
    }

    /// Puts `bytes` into a slot. Returns where it begins: what stands before that is as it was.
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
