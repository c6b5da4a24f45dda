//! The id that goes with the positions of merged partitions.

use crate::{
    position::{IdForm, IdWriter, PartitionPosition},
    subscription::{oversize, partition_set::PartitionSet},
};

/// The positions of merged partitions, and how often they have changed.
#[derive(Clone, Copy)]
pub(in crate::subscription) struct Positions<'a> {
    pub(super) partitions: &'a PartitionSet,
    /// How often the set of partitions has changed.
    pub(super) sets: u64,
    /// How often a position has changed.
    pub(super) moves: u64,
}

/// Writes the ids of merged partitions in one form.
///
/// The writer is created when the first id is written: most clients continue in a lane before that. It may lag behind the positions,
/// because events that no client sees move them without an id.
pub(in crate::subscription) struct IdTracker {
    form: IdForm,
    /// Whether to warn if the ids are too long to be read back.
    warns: bool,
    writer: Option<IdWriter>,
    /// [`Positions::sets`] when the writer was created.
    sets: u64,
    /// [`Positions::moves`] that the writer has followed.
    moves: u64,
}

impl IdTracker {
    pub(in crate::subscription) fn new(form: IdForm, warns: bool) -> Self {
        Self {
            form,
            warns,
            writer: None,
            sets: 0,
            moves: 0,
        }
    }

    /// Returns the id at these positions.
    pub(in crate::subscription) fn at(&mut self, positions: Positions<'_>) -> &IdWriter {
        if self.sets != positions.sets {
            self.writer = None;
        } else if self.moves != positions.moves
            && let Some(writer) = &mut self.writer
        {
            writer.set_all(positions.partitions.readers.iter().map(|reader| reader.place));
        }
        (self.sets, self.moves) = (positions.sets, positions.moves);
        self.writer.get_or_insert_with(|| {
            let partitions = positions.partitions;
            let writer = IdWriter::restricted(self.form, partitions.restriction_tag(), partitions.entries());
            if self.warns && !writer.is_readable() {
                oversize::warn(partitions.readers.len());
            }
            writer
        })
    }

    /// Returns the id at these positions, to the last of which the partition with this index has moved.
    pub(in crate::subscription) fn after(
        &mut self,
        positions: Positions<'_>,
        index: usize,
        place: &PartitionPosition,
    ) -> &IdWriter {
        if self.sets == positions.sets
            && self.moves + 1 == positions.moves
            && let Some(writer) = &mut self.writer
        {
            writer.set(index, place);
            self.moves = positions.moves;
        }
        self.at(positions)
    }
}
