//! What a client was given and its socket may not have taken yet.

use std::{ops::Range, sync::Arc, time::Instant};

use super::snapshot::Snapshot;
use crate::{partition::PartitionLog, position::Offset};

/// The offsets of the events that a client was given since its socket had taken everything, by log.
#[derive(Clone, Debug, Default)]
pub struct UnwrittenOffsets(Box<[(Arc<PartitionLog>, Range<Offset>)]>);

impl UnwrittenOffsets {
    pub(super) fn of(ranges: impl Iterator<Item = (Arc<PartitionLog>, Range<Offset>)>) -> Self {
        Self(ranges.filter(|(_, range)| !range.is_empty()).collect())
    }

    /// What leads from one place to another.
    pub(super) fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let ranges = after.parts.iter().enumerate().filter_map(|(index, saved)| {
            let (log, to) = saved.at.as_ref()?;
            // As a rule both have the same partitions. To look for each would cost their number squared.
            let old = before.parts.get(index).and_then(|saved| saved.at.as_ref());
            let range = match old.filter(|(old, _)| Arc::ptr_eq(old, log)) {
                Some((_, from)) => *from..*to,
                None => after.range_since(Some(before), log),
            };
            Some((Arc::clone(log), range))
        });
        Self::of(ranges)
    }

    /// Returns when it became known that some of it has been deleted from its log; `None` while all of it is still there.
    pub fn deleted_at(&self) -> Option<Instant> {
        let deleted = self.0.iter().filter(|(log, range)| range.start < log.start());
        deleted.filter_map(|(log, _)| log.deleted_at()).max()
    }
}
