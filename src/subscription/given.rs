//! What a client was given and its socket may not have taken yet.

use std::{ops::Range, sync::Arc, time::Instant};

use super::standing::Standing;
use crate::{partition::PartitionLog, position::Offset};

/// The offsets of the events that a client was given since its socket had taken everything, by log.
#[derive(Clone, Debug, Default)]
pub struct Given(Box<[(Arc<PartitionLog>, Range<Offset>)]>);

impl Given {
    pub(super) fn of(ranges: impl Iterator<Item = (Arc<PartitionLog>, Range<Offset>)>) -> Self {
        Self(ranges.filter(|(_, range)| !range.is_empty()).collect())
    }

    /// What leads from one place to another.
    pub(super) fn between(before: &Standing, after: &Standing) -> Self {
        let logs = after.parts.iter().filter_map(|stand| stand.at.as_ref());
        Self::of(logs.map(|(log, _)| (Arc::clone(log), after.reads(Some(before), log))))
    }

    /// Returns when it became known that some of it has been deleted from its log; `None` while all of it is still there.
    pub fn deleted_at(&self) -> Option<Instant> {
        let deleted = self.0.iter().filter(|(log, range)| range.start < log.start());
        deleted.filter_map(|(log, _)| log.deleted_at()).max()
    }
}
