//! The events that a client was given and that its socket may not have taken yet.

use std::{ops::Range, sync::Arc, time::Instant};

use super::snapshot::Snapshot;
use crate::{partition::PartitionLog, position::Offset};

/// The offsets, by log, of the events that a client was given since its socket last had taken everything.
#[derive(Clone, Debug, Default)]
pub struct UnwrittenOffsets(Box<[(Arc<PartitionLog>, Range<Offset>)]>);

impl UnwrittenOffsets {
    pub(super) fn of(ranges: impl Iterator<Item = (Arc<PartitionLog>, Range<Offset>)>) -> Self {
        Self(ranges.filter(|(_, range)| !range.is_empty()).collect())
    }

    /// Returns the offsets that lead from one snapshot to another.
    pub(super) fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let ranges = after.partitions.iter().enumerate().filter_map(|(index, saved)| {
            let (log, to) = saved.at.as_ref()?;
            // As a rule both have the same partitions in the same order. A search for each would cost the square of
            // their number.
            let old = before.partitions.get(index).and_then(|saved| saved.at.as_ref());
            let range = match old.filter(|(old, _)| Arc::ptr_eq(old, log)) {
                Some((_, from)) => *from..*to,
                None => after.range_since(Some(before), log),
            };
            Some((Arc::clone(log), range))
        });
        Self::of(ranges)
    }

    /// Returns when it became known that some of these records have been deleted from their log; `None` if all of them
    /// still exist.
    pub fn deleted_at(&self) -> Option<Instant> {
        let deleted = self.0.iter().filter(|(log, range)| range.start < log.start());
        deleted.filter_map(|(log, _)| log.deleted_at()).max()
    }
}
